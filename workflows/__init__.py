"""Durable processes only.

Every activity call stands in `workflows/steps.py` with its time-outs, retries, queue and summary; activities are
called by name and never imported.
"""
