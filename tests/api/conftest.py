"""One API served over real HTTP for all tests of this room; people are made up by each test, so tests never meet."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from pydantic import SecretStr
from temporalio.client import Client

from contracts.settings import Settings
from contracts.signing import new_key_pem
from db.engine import Database
from dev.servers.issuer import Issuer
from dev.servers.s3 import ACCESS_KEY, REGION, ObjectStore
from dev.servers.standins import StripeStandIn
from dev.servers.temporal import NAMESPACE, Temporal
from tests.api.acts import Login, Person, grant
from tests.api.serving import Api, served
from tests.api.till import Till, let_api_wait, open_till
from tests.workflows.house import workers


@pytest_asyncio.fixture(scope="session")
async def api_settings(
    temporal: Temporal,
    object_store: ObjectStore,
    issuer: Issuer,
    make_database: Callable[[], Awaitable[str]],
    servers_dir: Path,
) -> Settings:
    bucket = f"test-{uuid4().hex}"
    await object_store.create_bucket(bucket)
    return Settings(
        database_url=SecretStr(await make_database()),
        temporal_address=temporal.address,
        temporal_namespace=NAMESPACE,
        temporal_ui_url=temporal.ui_url,
        queue_prefix=f"{uuid4().hex}-",
        s3_endpoint=object_store.endpoint,
        s3_region=REGION,
        s3_bucket=bucket,
        s3_access_key=SecretStr(ACCESS_KEY),
        s3_secret_key=SecretStr(object_store.secret_key),
        oidc_issuer=issuer.url,
        signing_key=SecretStr(new_key_pem()),
        work_dir=servers_dir / "work",
    )


@pytest_asyncio.fixture(scope="session")
async def api(api_settings: Settings) -> AsyncIterator[Api]:
    async with served(api_settings) as running:
        yield running


@pytest_asyncio.fixture(scope="session")
async def database(api_settings: Settings) -> AsyncIterator[Database]:
    opened = Database.from_settings(api_settings)
    yield opened
    await opened.aclose()


@pytest_asyncio.fixture
async def login(api: Api, issuer: Issuer) -> AsyncIterator[Login]:
    """`login("alice", "admin")`: a new person, with a client that sends their token."""
    async with AsyncExitStack() as clients:

        def person(name: str, *roles: str, locale: str = "en") -> Person:
            subject = f"{name}-{uuid4().hex}"
            token = issuer.signer.mint(subject, roles, locale=locale)
            new = Person(base_url=api.url, headers={"Authorization": f"Bearer {token}"}, trust_env=False)
            new.subject = subject
            clients.push_async_callback(new.aclose)
            return new

        yield person


@pytest_asyncio.fixture
async def admin(login: Login) -> Person:
    return login("root", "admin")


@pytest_asyncio.fixture
async def alice(login: Login, admin: Person) -> Person:
    """Has 100 credits."""
    person = login("alice")
    await grant(admin, person, 100)
    return person


@pytest_asyncio.fixture
async def bob(login: Login) -> Person:
    """Has no credits."""
    return login("bob")


@pytest_asyncio.fixture
async def anonymous(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    """A client without a token; also for presigned URLs."""
    async with httpx.AsyncClient(base_url=api.url, trust_env=False) as client:
        yield client


@pytest_asyncio.fixture
async def closed_till(
    platform_settings: Settings, temporal_client: Client, stripe_standin: StripeStandIn, issuer: Issuer
) -> AsyncIterator[Till]:
    """A platform of this test's own that sells by card, before any worker has come to work."""
    async with open_till(platform_settings, temporal_client, stripe_standin, issuer) as till:
        yield till


@pytest_asyncio.fixture
async def till(closed_till: Till, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Till]:
    """The same with its workers, whom the API waits for."""
    let_api_wait(monkeypatch)
    async with workers(closed_till.shop.house):
        yield closed_till
