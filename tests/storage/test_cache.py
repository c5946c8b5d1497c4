from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from contracts.errors import Code, EchoError
from contracts.media import Artifact
from contracts.settings import Settings
from storage.cache import SourceCache
from storage.store import Store
from tests.faulty_proxy import FaultyProxy

MIB = 1024**2


@pytest.fixture
def put(store: Store, tmp_path: Path) -> Callable[[str, int], Artifact]:
    def put(name: str, size: int) -> Artifact:
        path = tmp_path / name
        path.write_bytes(os.urandom(size))
        return store.put_file(path, f"raw/u/{name}/source", "video/mp4")

    return put


@pytest.fixture
def reader(settings_by_proxy: Settings) -> Iterator[Callable[[Artifact], subprocess.Popen[str]]]:
    """Starts worker processes that read through the proxy; the secret travels as the worker's own would."""
    started: list[subprocess.Popen[str]] = []
    secret = settings_by_proxy.s3_secret_key.get_secret_value()
    fields = {"s3_endpoint", "s3_bucket", "work_dir", "work_dir_bytes_max"}
    arguments = settings_by_proxy.model_dump(mode="json", include=fields)

    def start(source: Artifact) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.storage.cache_reader",
                json.dumps(arguments),
                source.model_dump_json(),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "ECHOSHOT_S3_ACCESS_KEY": "echoshot", "ECHOSHOT_S3_SECRET_KEY": secret},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def files(cache: SourceCache) -> set[str]:
    return {path.name for path in cache.folder.iterdir() if not path.name.endswith(".lock")}


def until(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.02)


def test_processes_that_need_a_source_at_the_same_time_fetch_it_once(
    put: Callable[[str, int], Artifact],
    reader: Callable[[Artifact], subprocess.Popen[str]],
    proxy: FaultyProxy,
):
    source = put("a", 3 * MIB)
    processes = [reader(source) for _ in range(4)]
    for process in processes:
        assert process.communicate()[0].strip() == source.sha256
        assert process.returncode == 0
    assert proxy.count("GET") == 1


def test_a_second_use_asks_the_store_for_nothing(
    put: Callable[[str, int], Artifact], store_by_proxy: Store, proxy: FaultyProxy, tmp_path: Path
):
    source = put("a", 1000)
    cache = SourceCache(store_by_proxy, tmp_path / "work", MIB)
    for _ in range(2):
        with cache.open(source) as path:
            assert path.read_bytes() == (tmp_path / "a").read_bytes()
    assert proxy.count("GET") == 1


def test_the_longest_unused_copy_makes_room_and_one_in_use_never_does(
    put: Callable[[str, int], Artifact], store: Store, tmp_path: Path
):
    cache = SourceCache(store, tmp_path / "work", 2500)
    a, b, c, d = (put(name, 1000) for name in "abcd")
    with cache.open(a) as path_a:
        with cache.open(b):
            pass
        with cache.open(c):
            assert files(cache) == {a.sha256, c.sha256}, "b made room; a is older but in use"
            with cache.open(d):
                assert files(cache) == {a.sha256, c.sha256, d.sha256}, "all in use: more than the limit"
        assert path_a.read_bytes() == (tmp_path / "a").read_bytes()
    with cache.open(b):
        assert len(files(cache)) == 2


def test_another_process_cannot_evict_what_this_one_reads(
    put: Callable[[str, int], Artifact],
    reader: Callable[[Artifact], subprocess.Popen[str]],
    settings: Settings,
    store: Store,
):
    a, b = put("a", 1000), put("b", 1000)
    process = reader(a)
    assert process.stdout
    assert process.stdout.readline().strip() == a.sha256
    cache = SourceCache(store, settings.work_dir, 1500)
    with cache.open(b):
        assert files(cache) == {a.sha256, b.sha256}
    process.communicate()
    with cache.open(put("c", 1000)) as path:
        assert files(cache) == {path.name}


def test_a_process_killed_in_mid_fetch_leaves_nothing_wrong(
    put: Callable[[str, int], Artifact],
    reader: Callable[[Artifact], subprocess.Popen[str]],
    proxy: FaultyProxy,
    settings: Settings,
    store: Store,
    tmp_path: Path,
):
    source = put("a", 4 * MIB)
    proxy.fault_at_bytes, proxy.faults, proxy.stall = 2 * MIB, 1, True
    cache = SourceCache(store, settings.work_dir, 100 * MIB)
    process = reader(source)
    until(lambda: any(path.stat().st_size for path in cache.folder.glob("*.partial")))
    process.kill()
    process.wait()
    assert all(name.endswith(".partial") for name in files(cache))

    with cache.open(source) as path:
        assert path.read_bytes() == (tmp_path / "a").read_bytes()
        assert files(cache) == {source.sha256}


def test_who_waits_for_anothers_fetch_hears_of_its_progress(
    put: Callable[[str, int], Artifact],
    reader: Callable[[Artifact], subprocess.Popen[str]],
    proxy: FaultyProxy,
    settings: Settings,
    store: Store,
):
    source = put("a", 4 * MIB)
    proxy.fault_at_bytes, proxy.faults, proxy.stall = 2 * MIB, 1, True
    cache = SourceCache(store, settings.work_dir, 100 * MIB)
    process = reader(source)
    until(lambda: any(cache.folder.glob("*.partial")))
    heard: list[int] = []
    done: list[bytes] = []

    def wait_for_it() -> None:
        with cache.open(source, lambda bytes_done, _: heard.append(bytes_done)) as path:
            done.append(path.read_bytes())

    waiter = threading.Thread(target=wait_for_it)
    waiter.start()
    process.kill()
    waiter.join()
    assert len(done[0]) == source.bytes
    assert heard[-1] == source.bytes


def test_a_wrong_object_is_not_kept(put: Callable[[str, int], Artifact], store: Store, tmp_path: Path):
    source = put("a", 1000)
    store.client.put_object(Bucket=store.bucket, Key=source.key, Body=b"x" * 1000)
    cache = SourceCache(store, tmp_path / "work", MIB)
    with pytest.raises(EchoError) as raised, cache.open(source):
        pass
    assert raised.value.code is Code.HASH_MISMATCH
    assert files(cache) == set()


def test_a_file_fetched_elsewhere_is_taken_over_instead_of_fetched_again(
    put: Callable[[str, int], Artifact], store_by_proxy: Store, proxy: FaultyProxy, tmp_path: Path
):
    source = put("a", 1000)
    cache = SourceCache(store_by_proxy, tmp_path / "work", MIB)
    cache.adopt(tmp_path / "a", source)
    with cache.open(source) as path:
        assert path.stat().st_size == 1000
    assert proxy.requests == []
