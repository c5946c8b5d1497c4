"""Tests mirror the rooms; `tests/e2e` drives the running platform. Every server in them is a real one."""
