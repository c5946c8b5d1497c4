"""Stand-ins for payment providers: own processes that answer over HTTP as strictly as the real ones do.

Each keeps its whole state in one SQLite file, so that a killed stand-in forgets nothing that it acknowledged. What
both share (state, idempotency, faults, webhooks, control, serving) are the modules here.
"""
