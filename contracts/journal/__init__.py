"""The sealed journal (docs/adr/023): how a transfer is written as a line, how lines are chained and blocks are signed,
how all of it stands in a file, and how such a file is verified without any server."""
