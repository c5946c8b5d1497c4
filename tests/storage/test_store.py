from __future__ import annotations

import errno
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import SecretStr

from contracts.base import Contract
from contracts.errors import Code, EchoError
from contracts.media import Artifact
from contracts.settings import Settings
from dev.servers.s3 import ObjectStore
from dev.toolchain import find
from storage.client import storage_errors
from storage.parts import PART_BYTES_MIN
from storage.store import Store
from tests.faulty_proxy import FaultyProxy

MIB = 1024**2


def a_file(folder: Path, size: int, name: str = "file") -> Path:
    path = folder / name
    path.write_bytes(os.urandom(size))
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def open_uploads(store: Store) -> list[str]:
    found = store.client.list_multipart_uploads(Bucket=store.bucket)
    return [item.get("Key", "") for item in found.get("Uploads", [])]


@pytest.mark.parametrize("size", [0, 1, PART_BYTES_MIN, PART_BYTES_MIN + 1, 2 * PART_BYTES_MIN + 5])
def test_a_file_comes_back_as_it_went_in(store: Store, tmp_path: Path, size: int):
    path = a_file(tmp_path, size)
    put = store.put_file(path, "work/j/plan", "video/mp4")
    assert put == Artifact(key="work/j/plan", bytes=size, sha256=sha256(path), content_type="video/mp4")
    assert store.get_file("work/j/plan", tmp_path / "back", expect=put) == put
    assert (tmp_path / "back").read_bytes() == path.read_bytes()
    assert open_uploads(store) == []


def test_progress_of_both_ways_rises_to_the_size_of_the_file(store: Store, tmp_path: Path):
    path = a_file(tmp_path, 2 * PART_BYTES_MIN + 5)
    sent: list[tuple[int, int]] = []
    received: list[tuple[int, int]] = []
    store.put_file(path, "k", "video/mp4", progress=lambda *step: sent.append(step))
    store.get_file("k", tmp_path / "back", progress=lambda *step: received.append(step))
    for steps in (sent, received):
        assert steps == sorted(steps)
        assert len(steps) >= 3
        assert steps[-1] == (path.stat().st_size, path.stat().st_size)


@pytest.mark.parametrize("size", [10, PART_BYTES_MIN + 1])
def test_a_file_that_does_not_have_the_hash_it_is_said_to_have_is_not_stored(
    store: Store, tmp_path: Path, size: int
):
    with pytest.raises(EchoError) as raised:
        store.put_file(a_file(tmp_path, size), "k", "video/mp4", sha256="0" * 64)
    assert raised.value.code is Code.HASH_MISMATCH
    assert store.head("k") is None
    assert open_uploads(store) == []


def test_an_upload_that_is_broken_off_leaves_no_parts_behind(store: Store, tmp_path: Path):
    def cancel(_done: int, _total: int) -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        store.put_file(a_file(tmp_path, PART_BYTES_MIN + 1), "k", "video/mp4", progress=cancel)
    assert store.head("k") is None
    assert open_uploads(store) == []


def test_a_corrupted_object_is_found_out_and_never_appears_as_a_file(store: Store, tmp_path: Path):
    path = a_file(tmp_path, 1000)
    put = store.put_file(path, "k", "video/mp4")
    body = bytearray(path.read_bytes())
    body[500] ^= 1
    store.client.put_object(Bucket=store.bucket, Key="k", Body=bytes(body), Metadata={"sha256": put.sha256})
    for expect in (put, None):
        with pytest.raises(EchoError) as raised:
            store.get_file("k", tmp_path / "out" / "back", expect=expect)
        assert raised.value.code is Code.HASH_MISMATCH
    assert list((tmp_path / "out").iterdir()) == []


def test_a_truncated_object_is_found_out_before_it_is_fetched(store: Store, tmp_path: Path):
    path = a_file(tmp_path, 1000)
    put = store.put_file(path, "k", "video/mp4")
    store.client.put_object(Bucket=store.bucket, Key="k", Body=path.read_bytes()[:900])
    with pytest.raises(EchoError) as raised:
        store.get_file("k", tmp_path / "back", expect=put)
    assert raised.value.code is Code.SIZE_MISMATCH
    assert not (tmp_path / "back").exists()


def test_a_failed_fetch_leaves_the_file_that_was_there(store: Store, tmp_path: Path):
    target = a_file(tmp_path, 10, "target")
    before = target.read_bytes()
    put = store.put_file(a_file(tmp_path, 1000), "k", "video/mp4")
    wrong = put.model_copy(update={"sha256": "0" * 64})
    with pytest.raises(EchoError):
        store.get_file("k", target, expect=wrong)
    assert target.read_bytes() == before


def test_what_is_not_there_is_reported_as_missing(store: Store, tmp_path: Path):
    assert store.head("k") is None
    for call in (lambda: store.get_file("k", tmp_path / "back"), lambda: store.get_json("k", Contract)):
        with pytest.raises(EchoError) as raised:
            call()
        assert raised.value.code is Code.SOURCE_MISSING
    store.delete("k")


def test_a_clients_upload_is_hashed_when_it_is_read(store: Store, tmp_path: Path):
    store.client.put_object(Bucket=store.bucket, Key="k", Body=b"abc", ContentType="video/mp4")
    head = store.head("k")
    assert head
    assert head.sha256 is None
    assert store.get_file("k", tmp_path / "back").sha256 == hashlib.sha256(b"abc").hexdigest()


def test_a_second_writer_of_a_segment_is_given_what_the_first_one_stored(store: Store, tmp_path: Path):
    first = store.put_file(a_file(tmp_path, 100, "a"), "k", "video/mp4", if_absent=True)
    second = store.put_file(a_file(tmp_path, 200, "b"), "k", "video/mp4", if_absent=True)
    assert second == first
    assert store.get_file("k", tmp_path / "back", expect=first) == first


@pytest.mark.parametrize("size", [1000, PART_BYTES_MIN + 1])
def test_writers_of_one_segment_at_the_same_time_agree_on_one_of_them(
    store: Store, tmp_path: Path, size: int
):
    files = [a_file(tmp_path, size, f"attempt-{n}") for n in range(6)]
    with ThreadPoolExecutor(len(files)) as pool:
        results = list(pool.map(lambda path: store.put_file(path, "k", "video/mp4", if_absent=True), files))
    assert len(set(results)) == 1
    assert results[0].sha256 in {sha256(path) for path in files}
    assert store.get_file("k", tmp_path / "back", expect=results[0]) == results[0]
    assert open_uploads(store) == []


def test_json_comes_back_as_it_went_in(store: Store):
    value = Artifact(key="k", bytes=1, sha256="aa")
    put = store.put_json("work/j/plan.json", value)
    assert store.get_json("work/j/plan.json", Artifact) == value
    head = store.head("work/j/plan.json")
    assert head
    assert (head.bytes, head.sha256, head.content_type) == (put.bytes, put.sha256, "application/json")


def test_deleting_a_prefix_takes_its_objects_and_open_uploads_and_nothing_else(store: Store):
    for key in ("work/1/plan.json", "work/1/segments/ab/00000", "work/10/plan.json"):
        store.client.put_object(Bucket=store.bucket, Key=key, Body=b"x")
    for key in ("work/1/segments/ab/00001", "work/10/segments/ab/00001"):
        store.client.create_multipart_upload(Bucket=store.bucket, Key=key)
    assert store.delete_prefix("work/1/") == 2
    assert store.delete_prefix("work/1/") == 0
    assert store.head("work/1/segments/ab/00000") is None
    assert store.head("work/10/plan.json")
    assert open_uploads(store) == ["work/10/segments/ab/00001"]


def test_deleting_a_prefix_goes_on_past_the_first_page(store: Store):
    def put(number: int) -> None:
        store.client.put_object(Bucket=store.bucket, Key=f"work/1/{number}", Body=b"x")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(1001)))
    assert store.delete_prefix("work/1/") == 1001
    assert store.client.list_objects_v2(Bucket=store.bucket)["KeyCount"] == 0


def test_the_folders_under_a_prefix_are_listed_once_each_and_without_their_own(store: Store):
    for key in ("work/a/plan.json", "work/a/segments/f/0", "work/b/plan.json", "work/loose", "result/c/x"):
        store.client.put_object(Bucket=store.bucket, Key=key, Body=b"x")
    assert store.folders("work/") == ["a", "b"]
    assert store.folders("raw/") == []


@pytest.mark.parametrize("prefix", ["", "/", "work/1"])
def test_a_prefix_that_could_take_more_than_meant_is_refused(store: Store, prefix: str):
    with pytest.raises(ValueError, match="slash"):
        store.delete_prefix(prefix)


def test_a_fetch_goes_on_where_its_connection_broke_however_often(
    store: Store, store_by_proxy: Store, proxy: FaultyProxy, tmp_path: Path
):
    put = store.put_file(a_file(tmp_path, 4 * MIB), "k", "video/mp4")
    proxy.fault_at_bytes, proxy.faults = MIB // 2, 5
    received: list[int] = []
    got = store_by_proxy.get_file(
        "k", tmp_path / "back", expect=put, progress=lambda done, _: received.append(done)
    )
    assert got == put
    assert proxy.faults == 0
    assert proxy.count("GET") == 6
    assert received == sorted(set(received)), "no byte is fetched twice"


def test_a_fetch_whose_connections_bring_nothing_is_given_up_without_a_trace(
    store: Store, store_by_proxy: Store, proxy: FaultyProxy, tmp_path: Path
):
    put = store.put_file(a_file(tmp_path, 4 * MIB), "k", "video/mp4")
    proxy.fault_at_bytes, proxy.faults = 2000, 1000
    with pytest.raises(EchoError) as raised:
        store_by_proxy.get_file("k", tmp_path / "out" / "back", expect=put)
    assert raised.value.code is Code.STORAGE_UNAVAILABLE
    assert list((tmp_path / "out").iterdir()) == []


async def test_a_store_that_is_away_is_reported_as_such_and_used_again_when_it_is_back(tmp_path: Path):
    server = ObjectStore(tmp_path / "s3", tmp_path / "logs", await find.versitygw())
    await server.start()
    store = Store.from_settings(
        Settings(
            s3_endpoint=server.endpoint,
            s3_access_key=SecretStr("echoshot"),
            s3_secret_key=SecretStr(server.secret_key),
        )
    )
    store.ensure_bucket()
    store.ensure_bucket()
    path = a_file(tmp_path, 10)
    put = store.put_file(path, "k", "video/mp4")
    server.kill()
    for call in (
        lambda: store.head("k"),
        lambda: store.put_file(path, "k2", "video/mp4"),
        lambda: store.get_file("k", tmp_path / "back"),
        lambda: store.delete_prefix("work/"),
        store.ensure_bucket,
    ):
        with pytest.raises(EchoError) as raised:
            call()
        assert raised.value.code is Code.STORAGE_UNAVAILABLE
        assert raised.value.retryable
    await server.restart()
    assert store.get_file("k", tmp_path / "back", expect=put) == put
    store.close()
    await server.stop()


def test_wrong_credentials_are_an_operators_fault_not_the_callers(settings: Settings):
    store = Store.from_settings(settings.model_copy(update={"s3_secret_key": SecretStr("wrong")}))
    with pytest.raises(EchoError) as raised:
        store.get_json("k", Contract)
    assert raised.value.code is Code.STORAGE_UNAVAILABLE
    assert "SignatureDoesNotMatch" in raised.value.detail
    store.close()


def test_a_full_disk_has_a_name_of_its_own():
    with pytest.raises(EchoError) as raised, storage_errors("get k"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert raised.value.code is Code.OUT_OF_DISK
    with pytest.raises(FileNotFoundError), storage_errors("get k"):
        raise FileNotFoundError
