"""Stripe, as far as this platform uses it: strict about every request, stateful, deterministic where Stripe is not.

Written after the public API reference of the version that the official library pins. `python -m dev.standins.stripe`.
"""
