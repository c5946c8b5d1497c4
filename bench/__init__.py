"""Benchmarks against peers. How to run them and what was measured: README.md."""
