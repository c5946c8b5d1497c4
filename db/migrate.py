"""Brings the schema up to date. Several processes may start at once: an advisory lock lets one of them work."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text

LOCK_KEY = 0x6563686F
"""Any number that nothing else in the database uses; these are the letters `echo`."""

LOCK_TIMEOUT = "5s"
"""A migration that waits for a table lock makes every later query of that table wait behind it."""


def migrate(database_url: str, revision: str = "head") -> None:
    """Upgrade to `revision`. There is no way down: a mistake is repaired by the next migration."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    engine = create_engine(database_url)
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": LOCK_KEY})
            connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
            connection.commit()
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
            connection.commit()
    finally:
        engine.dispose()
