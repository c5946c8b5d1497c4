"""The servers of the platform on one machine, with their state below one data folder.

A server whose address the environment gives (`ECHOSHOT_DATABASE_URL`, `TEMPORAL_ADDRESS`, `ECHOSHOT_S3_ENDPOINT`,
`ECHOSHOT_OIDC_ISSUER`) is used where it is; the others are started here. A payment provider whose secret the
environment gives (`ECHOSHOT_STRIPE__SECRET_KEY`, `ECHOSHOT_PORTONE__API_SECRET`) is the real one, with whatever the
other variables of its group say; for the others a stand-in is started.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dev import codec_keys, signing_key
from dev.failures import ServerFailed
from dev.issuer import WebUi
from dev.servers.issuer import Issuer
from dev.servers.ports import port_for
from dev.servers.postgres import Postgres
from dev.servers.process import Server, together
from dev.servers.s3 import ACCESS_KEY, REGION, ObjectStore
from dev.servers.standins import PortOneStandIn, StandIn, StripeStandIn
from dev.servers.temporal import NAMESPACE, Temporal, prepare_namespace
from dev.toolchain import find

REPOSITORY = Path(__file__).parent.parent
DATABASE = "echoshot"
BUCKET = "echoshot"


@dataclass
class Stack:
    """None in place of a server that the environment names."""

    data_dir: Path
    postgres: Postgres | None
    temporal: Temporal | None
    s3: ObjectStore | None
    issuer: Issuer | None
    stripe: StripeStandIn | None
    portone: PortOneStandIn | None

    @classmethod
    async def below(cls, data_dir: Path, *, durable: bool = True) -> Stack:
        """Nothing runs yet. Raises `ToolMissing` when a server program can neither be found nor built."""
        logs = data_dir / "logs"
        api_url = f"http://127.0.0.1:{port_for('api', data_dir)}"
        issuer = None if "ECHOSHOT_OIDC_ISSUER" in os.environ else Issuer(data_dir, logs)
        temporal: Temporal | None = None
        if "TEMPORAL_ADDRESS" not in os.environ:
            temporal = Temporal(data_dir, logs, await find.temporal(), issuer.url if issuer else "")
        if issuer is not None and temporal is not None:
            issuer.web_ui = WebUi(temporal.ui_url, f"{api_url}/codec")
        return cls(
            data_dir,
            None if "ECHOSHOT_DATABASE_URL" in os.environ else Postgres(data_dir, logs, durable=durable),
            temporal,
            None
            if "ECHOSHOT_S3_ENDPOINT" in os.environ
            else ObjectStore(data_dir, logs, await find.versitygw()),
            issuer,
            None
            if "ECHOSHOT_STRIPE__SECRET_KEY" in os.environ
            else StripeStandIn(data_dir, logs, f"{api_url}/v1/webhooks/stripe"),
            None
            if "ECHOSHOT_PORTONE__API_SECRET" in os.environ
            else PortOneStandIn(data_dir, logs, f"{api_url}/v1/webhooks/portone"),
        )

    async def start(self) -> None:
        """All servers at once; on return the schema is migrated, and bucket and namespace exist."""
        tasks: list[Callable[[], Awaitable[None]]] = [
            self._start_database,
            self._start_issuer_and_temporal,
            self._start_s3,
            *(standin.start for standin in self._standins()),
        ]
        try:
            await together(tasks)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        await asyncio.gather(*(server.stop() for server in self._servers()))

    def environment(self) -> Mapping[str, str]:
        """What the API, the workers and the CLI need to find these servers, on top of this process's environment."""
        found: dict[str, str] = {}
        if self.postgres is not None:
            found["ECHOSHOT_DATABASE_URL"] = self.postgres.sqlalchemy_url(DATABASE)
        if self.temporal is not None:
            found |= {
                "TEMPORAL_ADDRESS": self.temporal.address,
                "TEMPORAL_NAMESPACE": NAMESPACE,
                "ECHOSHOT_TEMPORAL_UI_URL": self.temporal.ui_url,
            }
            if self.temporal.decodes:
                found |= codec_keys.kept_below(self.data_dir)
        if self.s3 is not None:
            found |= {
                "ECHOSHOT_S3_ENDPOINT": self.s3.endpoint,
                "ECHOSHOT_S3_REGION": REGION,
                "ECHOSHOT_S3_BUCKET": BUCKET,
                "ECHOSHOT_S3_ACCESS_KEY": ACCESS_KEY,
                "ECHOSHOT_S3_SECRET_KEY": self.s3.secret_key,
            }
        if self.issuer is not None:
            found["ECHOSHOT_OIDC_ISSUER"] = self.issuer.url
        for standin in self._standins():
            found |= standin.settings()
        if "ECHOSHOT_SIGNING_KEY" not in os.environ:
            found |= signing_key.kept_below(self.data_dir)
        return found

    def _standins(self) -> list[StandIn]:
        return [standin for standin in (self.stripe, self.portone) if standin is not None]

    def _servers(self) -> list[Server]:
        servers = (self.postgres, self.temporal, self.s3, self.issuer, *self._standins())
        return [server for server in servers if server is not None]

    async def _start_database(self) -> None:
        environment: dict[str, str] = {}
        if self.postgres is not None:
            await self.postgres.start()
            if not await self.postgres.has_database(DATABASE):
                await self.postgres.create_database(DATABASE)
            environment["ECHOSHOT_DATABASE_URL"] = self.postgres.sqlalchemy_url(DATABASE)
        await migrate(environment)

    async def _start_issuer_and_temporal(self) -> None:
        # In this order: the Web UI asks the issuer for its keys when it starts.
        if self.issuer is not None:
            await self.issuer.start()
        if self.temporal is not None:
            await self.temporal.start()
        else:
            address, namespace = (
                os.environ["TEMPORAL_ADDRESS"],
                os.environ.get("TEMPORAL_NAMESPACE", NAMESPACE),
            )
            await prepare_namespace(address, namespace)

    async def _start_s3(self) -> None:
        if self.s3 is not None:
            await self.s3.start()
            await self.s3.create_bucket(BUCKET)


async def migrate(environment: Mapping[str, str]) -> None:
    """`python -m db migrate`, as an operator would run it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "db", "migrate"),
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    if process.returncode:
        raise ServerFailed(f"python -m db migrate failed:\n{output.decode(errors='replace')}")
