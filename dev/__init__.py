"""The whole platform on one machine (real Temporal, PostgreSQL, S3), the demo, and strict payment doubles."""
