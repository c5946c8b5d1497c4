"""The real servers of the embedded stack, one module each, all bound to 127.0.0.1 with their state in one folder."""
