"""Durable processes only; `workflows/registry.py` lists them.

Every activity call stands in `workflows/steps.py` with its time-outs, retries, queue and summary. Activities
are called by name, never imported.
"""
