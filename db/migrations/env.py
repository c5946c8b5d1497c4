"""Alembic's entry: one connection, handed over by db/migrate.py, which holds the lock."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"], transaction_per_migration=True)
context.run_migrations()
