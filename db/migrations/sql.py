"""Migrations are written in SQL, because triggers and partial indexes are the point of them."""

from __future__ import annotations

from alembic import op
from psycopg import Connection


def run_sql(script: str) -> None:
    """Several statements, as they stand: no parameters, so that `%` and `:` keep their plpgsql meaning."""
    driver = op.get_bind().connection.dbapi_connection
    assert isinstance(driver, Connection)
    driver.execute(script.encode())
