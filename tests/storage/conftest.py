"""A store in this test's own bucket of the real S3 server, and a road to it that can be broken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from contracts.settings import Settings
from dev.servers.s3 import ACCESS_KEY, REGION, ObjectStore
from storage.presign import Presigner
from storage.store import Store
from tests.faulty_proxy import FaultyProxy


@pytest.fixture
def settings(object_store: ObjectStore, bucket: str, tmp_path: Path) -> Settings:
    return Settings(
        s3_endpoint=object_store.endpoint,
        s3_region=REGION,
        s3_bucket=bucket,
        s3_access_key=SecretStr(ACCESS_KEY),
        s3_secret_key=SecretStr(object_store.secret_key),
        work_dir=tmp_path / "work",
    )


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    store = Store.from_settings(settings)
    yield store
    store.close()


@pytest.fixture
def presigner(settings: Settings) -> Iterator[Presigner]:
    presigner = Presigner.from_settings(settings)
    yield presigner
    presigner.client.close()


@pytest.fixture
def proxy(object_store: ObjectStore) -> Iterator[FaultyProxy]:
    with FaultyProxy(object_store.port) as proxy:
        yield proxy


@pytest.fixture
def settings_by_proxy(settings: Settings, proxy: FaultyProxy) -> Settings:
    return settings.model_copy(update={"s3_endpoint": proxy.endpoint})


@pytest.fixture
def store_by_proxy(settings_by_proxy: Settings) -> Iterator[Store]:
    store = Store.from_settings(settings_by_proxy)
    yield store
    store.close()
