"""Finds or builds the server programs that no Python package carries; `*/go.mod` pin what is built."""
