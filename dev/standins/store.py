"""The state of one stand-in in one SQLite file: objects, idempotency keys, deliveries, faults, settings.

All access is from the event loop's thread, and a transaction never spans an await: requests execute one at a time.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

JsonObject: TypeAlias = dict[str, Any]

_SCHEMA = """
create table if not exists objects (
    seq integer primary key autoincrement, kind text not null, id text not null unique, body text not null);
create index if not exists objects_by_kind on objects (kind, seq);
create table if not exists links (
    name text not null, value text not null, seq integer not null, primary key (name, value, seq)) without rowid;
create table if not exists keys (
    key text primary key, fingerprint text not null, status integer not null, body text not null) without rowid;
create table if not exists faults (
    seq integer primary key autoincrement, match text not null, kind text not null, times integer not null,
    skip integer not null, delay_ms integer not null);
create table if not exists deliveries (
    seq integer primary key autoincrement, event_id text not null, body text not null, not_before real not null,
    attempts integer not null default 0, delivered_at real);
create index if not exists deliveries_waiting on deliveries (not_before) where delivered_at is null;
create table if not exists requests (
    seq integer primary key autoincrement, at real not null, method text not null, path text not null,
    params text not null, idempotency_key text, status integer, replayed integer not null default 0, fault text);
create table if not exists settings (name text primary key, value text not null) without rowid;
"""
_TABLES = ("objects", "links", "keys", "faults", "deliveries", "requests", "settings")


class Store:
    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self.db = sqlite3.connect(file, isolation_level=None)
        self.db.row_factory = sqlite3.Row
        # Off: commits outlive a kill of the process all the same; only a power cut could lose them.
        self.db.executescript("pragma journal_mode = wal; pragma synchronous = off;" + _SCHEMA)
        self.cleared = 0
        """How often everything was forgotten: a request that was held up meanwhile belongs to the past."""

    def close(self) -> None:
        self.db.close()

    def clear(self) -> None:
        with self.transaction():
            for table in _TABLES:
                self.db.execute(f"delete from {table}")  # noqa: S608 (names from the tuple above)
        self.cleared += 1

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.db.execute("begin immediate")
        try:
            yield
        except BaseException:
            self.db.execute("rollback")
            raise
        self.db.execute("commit")

    def add(self, kind: str, body: JsonObject, links: Mapping[str, str | None] | None = None) -> JsonObject:
        """A new object under `body["id"]`. `links` (None values left out) are what it can be listed by."""
        cursor = self.db.execute(
            "insert into objects (kind, id, body) values (?, ?, ?)", (kind, body["id"], json.dumps(body))
        )
        for name, value in (links or {}).items():
            if value is not None:
                self.link(name, value, cursor.lastrowid)
        return body

    def link(self, name: str, value: str, seq: int | None) -> None:
        self.db.execute("insert into links values (?, ?, ?)", (name, value, seq))

    def link_object(self, name: str, value: str, object_id: str) -> None:
        """Make an object that exists already listable by one more name."""
        row = self.db.execute("select seq from objects where id = ?", (object_id,)).fetchone()
        self.link(name, value, row["seq"])

    def unlink_object(self, name: str, value: str, object_id: str) -> None:
        self.db.execute(
            "delete from links where name = ? and value = ? and seq = (select seq from objects where id = ?)",
            (name, value, object_id),
        )

    def save(self, body: JsonObject) -> JsonObject:
        self.db.execute("update objects set body = ? where id = ?", (json.dumps(body), body["id"]))
        return body

    def get(self, kind: str, object_id: str) -> JsonObject | None:
        row = self.db.execute(
            "select body from objects where id = ? and kind = ?", (object_id, kind)
        ).fetchone()
        return json.loads(row["body"]) if row else None

    def find(self, object_id: str) -> JsonObject | None:
        """Of any kind."""
        row = self.db.execute("select body from objects where id = ?", (object_id,)).fetchone()
        return json.loads(row["body"]) if row else None

    def newest(
        self, kind: str, links: Mapping[str, str] | None = None, *, after: str | None = None
    ) -> Iterator[JsonObject]:
        """Newest first; of those, the ones that carry all `links`, and that are older than the object `after`."""
        yield from self._listed(kind, links or {}, "<", "desc", after)

    def oldest(
        self, kind: str, links: Mapping[str, str] | None = None, *, after: str | None = None
    ) -> Iterator[JsonObject]:
        """Oldest first, newer than the object `after`."""
        yield from self._listed(kind, links or {}, ">", "asc", after)

    def _listed(
        self, kind: str, links: Mapping[str, str], side: str, order: str, after: str | None
    ) -> Iterator[JsonObject]:
        query, values = "select body from objects where kind = ?", [kind]
        for name, value in links.items():
            query += " and seq in (select seq from links where name = ? and value = ?)"
            values += [name, value]
        if after is not None:
            query += f" and seq {side} (select seq from objects where id = ?)"  # noqa: S608 (`<` or `>`)
            values.append(after)
        for row in self.db.execute(f"{query} order by seq {order}", values):
            yield json.loads(row["body"])

    def setting(self, name: str, default: Any) -> Any:
        row = self.db.execute("select value from settings where name = ?", (name,)).fetchone()
        return json.loads(row["value"]) if row else default

    def set(self, name: str, value: object) -> None:
        self.db.execute("insert or replace into settings values (?, ?)", (name, json.dumps(value)))


def new_id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(12)}"


def now_s() -> int:
    return int(time.time())
