"""Thin FastAPI layer: authenticate, validate, one transaction, start, signal or query a workflow."""
