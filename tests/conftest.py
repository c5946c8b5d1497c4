"""The servers of the test session, started when first asked for, and fresh places in them for every test.

Each server is the real one and is started once in each of the processes that share the tests (Makefile). A test gets
its own database (a clone of a migrated template), its own bucket and its own task queue names: tests never meet.
"""

from __future__ import annotations

import gc
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings
from pydantic import SecretStr
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from contracts.settings import Settings
from dev.servers.issuer import Issuer
from dev.servers.postgres import Postgres
from dev.servers.s3 import ACCESS_KEY, REGION, ObjectStore
from dev.servers.temporal import NAMESPACE, Temporal
from dev.stack import migrate
from dev.toolchain import find
from tests.standins import (  # fixtures for all tests  # noqa: F401
    portone_process,
    portone_standin,
    stripe_mock,
    stripe_process,
    stripe_standin,
)
from tests.waiting import loop_of_tests, pytest_runtest_makereport  # noqa: F401

# A developer's own settings must not lead tests to other servers than these.
for _name in [name for name in os.environ if name.startswith(("ECHOSHOT_", "TEMPORAL_"))]:
    del os.environ[_name]
# A test may give its program another HOME; the servers' programs must still be found in the real cache, not rebuilt.
os.environ.setdefault("XDG_CACHE_HOME", str(Path.home() / ".cache"))

# How long an example takes says more of the machine's other work than of ours. And a change is judged by the same
# examples wherever it is tested; `--hypothesis-profile fresh` looks for other ones.
_untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("fresh", _untimed, derandomize=False)
settings.register_profile("same", _untimed, derandomize=True)
settings.load_profile("same")

SERVER_FIXTURES = {
    *("postgres", "temporal", "object_store", "issuer", "platform", "fragile"),
    *("stripe_process", "portone_process", "stripe_mock"),
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`make fast` runs what needs no server, soon enough to be run before every commit."""
    for item in items:
        if isinstance(item, pytest.Function) and SERVER_FIXTURES & set(item.fixturenames):
            item.add_marker("servers")


def pytest_collection_finish() -> None:
    """What three thousand tests have imported stays until the end: no collection need look at it. One that falls into a
    workflow's thread on a busy machine can outlast the two seconds after which Temporal takes the workflow for stuck,
    and loses the word that should have freed it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 10, 10)


@pytest.fixture(scope="session")
def servers_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """State and logs of this session's servers."""
    return tmp_path_factory.mktemp("servers")


@pytest_asyncio.fixture(scope="session")
async def postgres(servers_dir: Path) -> AsyncIterator[Postgres]:
    server = Postgres(servers_dir, servers_dir / "logs", durable=False)
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture(scope="session")
async def temporal(servers_dir: Path) -> AsyncIterator[Temporal]:
    server = Temporal(servers_dir, servers_dir / "logs", await find.temporal())
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture(scope="session")
async def object_store(servers_dir: Path) -> AsyncIterator[ObjectStore]:
    server = ObjectStore(servers_dir, servers_dir / "logs", await find.versitygw())
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture(scope="session")
async def issuer(servers_dir: Path) -> AsyncIterator[Issuer]:
    """`issuer.signer.mint("alice", ["admin"])` makes a token without a request."""
    server = Issuer(servers_dir, servers_dir / "logs")
    await server.start()
    yield server
    await server.stop()


@pytest_asyncio.fixture(scope="session")
async def make_database(postgres: Postgres) -> Callable[[], Awaitable[str]]:
    """Call it for the SQLAlchemy URL of a fresh, migrated database, in fixtures of any scope."""
    await postgres.create_database("template_migrated")
    await migrate({"ECHOSHOT_DATABASE_URL": postgres.sqlalchemy_url("template_migrated")})

    async def make() -> str:
        name = f"test_{uuid4().hex}"
        await postgres.create_database(name, template="template_migrated")
        return postgres.sqlalchemy_url(name)

    return make


@pytest_asyncio.fixture
async def empty_database_url(postgres: Postgres) -> AsyncIterator[str]:
    """SQLAlchemy URL of a database without any table."""
    name = f"empty_{uuid4().hex}"
    await postgres.create_database(name)
    yield postgres.sqlalchemy_url(name)
    await postgres.drop_database(name)


@pytest_asyncio.fixture
async def database_url(postgres: Postgres, make_database: Callable[[], Awaitable[str]]) -> AsyncIterator[str]:
    """SQLAlchemy URL of this test's own migrated database."""
    url = await make_database()
    yield url
    await postgres.drop_database(url.rpartition("/")[2])


@pytest_asyncio.fixture
async def bucket(object_store: ObjectStore) -> str:
    """This test's own empty bucket."""
    name = f"test-{uuid4().hex}"
    await object_store.create_bucket(name)
    return name


@pytest_asyncio.fixture(scope="session")
async def temporal_client(temporal: Temporal) -> Client:
    return await Client.connect(temporal.address, namespace=NAMESPACE, data_converter=pydantic_data_converter)


@pytest.fixture
def queue_prefix() -> str:
    """Put before every task queue name of this test, so that no other test's worker takes its tasks."""
    return f"{uuid4().hex}-"


@pytest.fixture
def platform_settings(
    temporal: Temporal,
    object_store: ObjectStore,
    issuer: Issuer,
    database_url: str,
    bucket: str,
    queue_prefix: str,
    tmp_path: Path,
) -> Settings:
    """Settings of a platform that is this test's own in everything but the servers."""
    return Settings(
        database_url=SecretStr(database_url),
        temporal_address=temporal.address,
        temporal_namespace=NAMESPACE,
        temporal_ui_url=temporal.ui_url,
        queue_prefix=queue_prefix,
        s3_endpoint=object_store.endpoint,
        s3_region=REGION,
        s3_bucket=bucket,
        s3_access_key=SecretStr(ACCESS_KEY),
        s3_secret_key=SecretStr(object_store.secret_key),
        oidc_issuer=issuer.url,
        work_dir=tmp_path / "work",
    )
