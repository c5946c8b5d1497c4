"""Pure engines: bytes and frames in, bytes and numbers out. No Temporal, database, S3 or HTTP.

Runnable alone with `python -m media`.
"""
