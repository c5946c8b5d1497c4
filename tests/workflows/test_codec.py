"""Temporal's database may be read by whoever runs it: no file name, no person's words, no error text in clear."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from google.protobuf.message import Message
from pydantic import SecretStr
from temporalio.api.common.v1 import Payload, WorkflowExecution
from temporalio.api.query.v1 import WorkflowQuery
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionRequest, QueryWorkflowRequest
from temporalio.client import Client, WorkflowHistory
from temporalio.worker import Replayer

from contracts.errors import Code, EchoError
from contracts.jobs import Attention
from contracts.settings import Settings
from contracts.video_job import GiveUpRequest, JobInput
from tests.workflows.house import Handle, House, card_of, failure_of, open_house, until, workers
from tests.workflows.prepared import prepared_runner
from tests.workflows.recording import HISTORIES
from tests.workflows.stand_ins import Fails
from tests.workflows.test_replay import history_of
from workflows.client import connect
from workflows.codec import ENCODING, KEY_ID, KEY_ID_BYTES_MAX, codec, data_converter
from workflows.registry import WORKFLOWS

FILENAME = "지민이 생일 콘서트.mp4"
REASON = "the customer Kim asked for it"
SUMMARY_BYTES_MAX = 400
"""Temporal's `limit.userMetadataSummarySize`."""


def new_key() -> SecretStr:
    return SecretStr(base64.b64encode(os.urandom(32)).decode())


A, B = new_key(), new_key()
ONLY_A = Settings(codec_keys={"a": A}, codec_key_id="a")
A_THEN_B = Settings(codec_keys={"a": A, "b": B}, codec_key_id="b")
ONLY_B = Settings(codec_keys={"b": B}, codec_key_id="b")
PLAIN = Payload(metadata={"encoding": b"json/plain"}, data=json.dumps(FILENAME).encode())


# ---- one payload -------------------------------------------------------------------------------------------


async def test_a_payload_comes_back_as_it_was_and_says_nothing_on_the_way() -> None:
    [sealed] = await codec(ONLY_A).encode([PLAIN])
    assert dict(sealed.metadata) == {"encoding": ENCODING, KEY_ID: b"a"}
    assert PLAIN.data not in sealed.SerializeToString()
    assert await codec(ONLY_A).decode([sealed]) == [PLAIN]


async def test_the_same_payload_is_never_written_alike_twice() -> None:
    first, second = await codec(ONLY_A).encode([PLAIN, PLAIN])
    assert first.data != second.data


async def test_after_a_rotation_old_payloads_are_read_and_new_ones_are_written_with_the_new_key() -> None:
    [before] = await codec(ONLY_A).encode([PLAIN])
    [after] = await codec(A_THEN_B).encode([PLAIN])
    assert after.metadata[KEY_ID] == b"b"
    assert await codec(A_THEN_B).decode([before, after]) == [PLAIN, PLAIN]
    assert await codec(ONLY_B).decode([after]) == [PLAIN]


async def test_a_key_that_was_dropped_is_named() -> None:
    sealed = await codec(ONLY_A).encode([PLAIN])
    with pytest.raises(EchoError, match="'a'") as refused:
        await codec(ONLY_B).decode(sealed)
    assert refused.value.code == Code.CODEC_KEY_UNKNOWN


@pytest.mark.parametrize("keys", [ONLY_A, Settings()], ids=["with keys", "without keys"])
async def test_what_was_written_before_encryption_is_still_read(keys: Settings) -> None:
    assert await codec(keys).decode([PLAIN]) == [PLAIN]


async def test_without_keys_nothing_is_encrypted_and_nothing_encrypted_is_taken_for_plain() -> None:
    assert await codec(Settings()).encode([PLAIN]) == [PLAIN]
    with pytest.raises(EchoError) as refused:
        await codec(Settings()).decode(await codec(ONLY_A).encode([PLAIN]))
    assert refused.value.code == Code.CODEC_KEY_UNKNOWN


@pytest.mark.parametrize("spoil", [lambda data: data[:-1], lambda data: b"\0" + data[1:], lambda data: b""])
async def test_a_changed_payload_is_refused(spoil) -> None:
    [sealed] = await codec(ONLY_A).encode([PLAIN])
    changed = Payload(metadata=sealed.metadata, data=spoil(sealed.data))
    with pytest.raises(EchoError) as refused:
        await codec(ONLY_A).decode([changed])
    assert refused.value.code == Code.CODEC_PAYLOAD_INVALID


@pytest.mark.parametrize(
    ("keys", "active", "complaint"),
    [
        ({"a": A}, "", "must name one of"),
        ({"a": A}, "b", "must name one of"),
        ({}, "a", "must name one of"),
        ({"a": SecretStr("bm90IGEga2V5")}, "a", "9 bytes"),
        ({"a": SecretStr("not base64!")}, "a", "not base64"),
        ({"a" * (KEY_ID_BYTES_MAX + 1): A}, "a" * (KEY_ID_BYTES_MAX + 1), "1 to 32 bytes"),
    ],
)
def test_unusable_keys_are_refused_at_the_start_and_not_told(
    keys: dict[str, SecretStr], active: str, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint) as refused:
        data_converter(Settings(codec_keys=keys, codec_key_id=active))
    assert not any(key.get_secret_value() in str(refused.value) for key in keys.values())


# ---- whole jobs on a real Temporal ---------------------------------------------------------------------------


@asynccontextmanager
async def encrypted_house(settings: Settings, keys: Settings) -> AsyncIterator[House]:
    """The platform with the keys of `keys`, without workers yet."""
    codec_settings = {"codec_keys": keys.codec_keys, "codec_key_id": keys.codec_key_id}
    with_keys = settings.model_copy(update=codec_settings)
    async with open_house(with_keys, await connect(with_keys)) as house:
        yield house


async def stuck(house: House) -> tuple[JobInput, Handle]:
    house.stand_ins.on["enhance_segment/1"] = Fails(Code.ENGINE_CRASHED)
    job = (await house.open_job()).model_copy(update={"filename": FILENAME})
    handle = await house.start(job)
    await house.until_waiting(job, Attention.FAULT)
    return job, handle


async def seen_without_keys(client: Client, job: JobInput) -> bytes:
    """Everything that Temporal's own API tells of the workflow, as bytes."""
    execution = WorkflowExecution(workflow_id=job.workflow_id)
    described = await client.workflow_service.describe_workflow_execution(
        DescribeWorkflowExecutionRequest(namespace=client.namespace, execution=execution)
    )
    card = await client.workflow_service.query_workflow(
        QueryWorkflowRequest(
            namespace=client.namespace,
            execution=execution,
            query=WorkflowQuery(query_type="__temporal_workflow_metadata"),
        )
    )
    history = client.get_workflow_handle(job.workflow_id).fetch_history_events()
    events = [event.SerializeToString() async for event in history]
    return b"".join([described.SerializeToString(), card.SerializeToString(), *events])


def fields_in_clear(message: Message, field: str = "") -> Iterator[str]:
    """Names of the fields that hold a payload which is not encrypted."""
    if isinstance(message, Payload):
        if message.metadata["encoding"] != ENCODING:
            yield field
        return
    for descriptor, value in message.ListFields():
        if descriptor.message_type is None:
            continue
        elif isinstance(value, Message):
            yield from fields_in_clear(value, descriptor.name)
        else:
            for part in value.values() if hasattr(value, "values") else value:
                if isinstance(part, Message):
                    yield from fields_in_clear(part, descriptor.name)


async def test_neither_the_file_nor_anybodys_words_nor_an_error_stand_in_the_history(
    platform_settings: Settings, temporal_client: Client
) -> None:
    async with encrypted_house(platform_settings, ONLY_A) as house, workers(house):
        job, handle = await stuck(house)
        assert "injected engine_crashed" in await card_of(handle), "whoever has the key reads the card"
        await handle.execute_update("give_up", GiveUpRequest(reason=REASON))
        await failure_of(handle)
        seen = await seen_without_keys(temporal_client, job)
        for words in (
            *(FILENAME, json.dumps(FILENAME), FILENAME.split()[0], ".mp4"),
            *(REASON, "Kim", "injected engine_crashed"),
            *("고객지원", "Traceback", "site-packages", '"quote_credits"'),
        ):
            assert words.encode() not in seen, words
        assert job.user_id.encode() in seen, "search attributes are what support filters by"
        events = [event async for event in handle.fetch_history_events()]
        assert {field for event in events for field in fields_in_clear(event)} == {"indexed_fields"}
        described = await handle.describe()
        assert FILENAME in str(await described.static_summary())


async def test_summaries_stay_within_what_temporal_takes_when_they_are_encrypted(
    platform_settings: Settings,
) -> None:
    longest = "k" * KEY_ID_BYTES_MAX
    keys = Settings(codec_keys={longest: A}, codec_key_id=longest)
    async with encrypted_house(platform_settings, keys) as house, workers(house):
        job = (await house.open_job()).model_copy(update={"filename": "콘" * 251 + ".mp4"})
        handle = await house.start(job)
        await handle.result()
        sizes = [event.user_metadata.summary.ByteSize() async for event in handle.fetch_history_events()]
        assert max(sizes) in range(SUMMARY_BYTES_MAX - 40, SUMMARY_BYTES_MAX + 1)


async def test_a_job_begun_with_the_old_key_goes_on_with_the_new_one(platform_settings: Settings) -> None:
    async with encrypted_house(platform_settings, ONLY_A) as before, workers(before):
        job, _ = await stuck(before)
    async with encrypted_house(platform_settings, A_THEN_B) as after, workers(after):
        handle = after.handle(job)
        await handle.execute_update("retry")
        await handle.result()
        await after.assert_captured(job)
        written = {
            payload.metadata[KEY_ID]
            async for event in handle.fetch_history_events()
            for payload in event.activity_task_completed_event_attributes.result.payloads
        }
        assert written == {b"a", b"b"}


async def test_a_worker_without_the_key_leaves_the_job_to_one_that_has_it(
    platform_settings: Settings,
) -> None:
    async with encrypted_house(platform_settings, ONLY_A) as house:
        job = await house.open_job()
        handle = await house.start(job)
        async with encrypted_house(platform_settings, ONLY_B) as stranger, workers(stranger):

            async def was_tried() -> bool:
                raw = await stranger.client.workflow_service.describe_workflow_execution(
                    DescribeWorkflowExecutionRequest(
                        namespace=stranger.client.namespace,
                        execution=WorkflowExecution(workflow_id=job.workflow_id),
                    )
                )
                return raw.pending_workflow_task.attempt > 1

            await until(was_tried)
            assert await stranger.transfers(job) == [("hold", 10)], "nothing has moved"
        async with workers(house):
            await handle.result()
            await house.assert_captured(job)


# ---- replay ----------------------------------------------------------------------------------------------------


def replayer(keys: Settings) -> Replayer:
    return Replayer(
        workflows=WORKFLOWS, workflow_runner=prepared_runner(), data_converter=data_converter(keys)
    )


@pytest.mark.parametrize("file", sorted(HISTORIES.glob("*.json")), ids=lambda file: file.stem)
async def test_a_history_recorded_in_clear_replays_where_payloads_are_encrypted(file: Path) -> None:
    await replayer(ONLY_A).replay_workflow(history_of(file.read_text()))


async def test_an_encrypted_history_replays(platform_settings: Settings) -> None:
    async with encrypted_house(platform_settings, ONLY_A) as house, workers(house):
        job, handle = await stuck(house)
        await handle.execute_update("retry")
        await handle.result()
        history = WorkflowHistory(job.workflow_id, [event async for event in handle.fetch_history_events()])
    await replayer(A_THEN_B).replay_workflow(history)
