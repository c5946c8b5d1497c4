"""`echoshot`: a REST client with progress bars, for people and scripts."""
