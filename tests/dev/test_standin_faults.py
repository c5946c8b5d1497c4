"""Faults that tests order, and what idempotency keys make of the retry that follows."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import httpx
import pytest

from dev.servers.standins import StripeStandIn
from tests.dev.standin_clients import send

INTENT = {"amount": "10000", "currency": "krw"}
CREATE = "POST /v1/payment_intents"


async def create(
    standin: StripeStandIn,
    key: str | None = None,
    more: Mapping[str, str] | None = None,
    *,
    read_timeout_s: float = 5,
) -> httpx.Response:
    form = INTENT | dict(more or {})
    return await send(standin, "POST", "/v1/payment_intents", form, key=key, read_timeout_s=read_timeout_s)


async def intents(standin: StripeStandIn) -> int:
    return len((await standin.control.get("ledger"))["payments"])


# Keys


async def test_the_same_key_and_parameters_replay_the_first_answer(stripe_standin: StripeStandIn) -> None:
    first = await create(stripe_standin, "k")
    second = await create(stripe_standin, "k")
    assert first.content == second.content
    assert "Idempotent-Replayed" not in first.headers
    assert second.headers["Idempotent-Replayed"] == "true"
    assert await intents(stripe_standin) == 1


async def test_the_same_key_with_other_parameters_or_path_is_refused(stripe_standin: StripeStandIn) -> None:
    await create(stripe_standin, "k")
    other_amount = await create(stripe_standin, "k", {"amount": "20000"})
    other_path = await send(stripe_standin, "POST", "/v1/customers", key="k")
    for answer in (other_amount, other_path):
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "idempotency_error")
    assert await intents(stripe_standin) == 1


async def test_an_error_of_execution_is_remembered_and_one_of_validation_is_not(
    stripe_standin: StripeStandIn,
) -> None:
    card = {"payment_method": "pm_card_chargeDeclined", "confirm": "true", "return_url": "https://e.example"}
    declined = await create(stripe_standin, "k", card)
    again = await create(stripe_standin, "k", card)
    assert declined.status_code == again.status_code == 402
    assert again.headers["Idempotent-Replayed"] == "true"
    assert await intents(stripe_standin) == 1
    invalid = await create(stripe_standin, "k2", {"amount": "ten"})
    assert invalid.status_code == 400
    assert (await create(stripe_standin, "k2")).status_code == 200


async def test_a_key_in_flight_is_refused_and_replays_afterwards(stripe_standin: StripeStandIn) -> None:
    await stripe_standin.control.post("faults", match=CREATE, kind="slow", delay_ms=1_500)
    first = asyncio.create_task(create(stripe_standin, "k"))
    while not await stripe_standin.control.get("requests"):
        pass
    meanwhile = await create(stripe_standin, "k")
    assert (meanwhile.status_code, meanwhile.json()["error"]["code"]) == (409, "idempotency_key_in_use")
    assert (await first).status_code == 200
    assert (await create(stripe_standin, "k")).headers["Idempotent-Replayed"] == "true"
    assert await intents(stripe_standin) == 1


async def test_forgotten_keys_execute_again(stripe_standin: StripeStandIn) -> None:
    await create(stripe_standin, "k")
    await stripe_standin.control.post("forget_keys")
    await create(stripe_standin, "k")
    assert await intents(stripe_standin) == 2


# Faults


@pytest.mark.parametrize(
    ("kind", "effects_after_fault", "effects_after_retry", "retry_status"),
    [
        ("timeout_before", 0, 1, 200),
        ("timeout_after", 1, 1, 200),
        ("reset_before", 0, 1, 200),
        ("reset_after", 1, 1, 200),
        ("429", 0, 1, 200),
        ("500", 0, 1, 200),
        ("500_saved", 0, 0, 500),
        ("500_after", 1, 1, 500),
        ("slow", 1, 1, 200),
        ("slow_after", 1, 1, 200),
    ],
)
async def test_a_fault_has_its_effect_or_not_and_a_retry_never_doubles_it(
    stripe_standin: StripeStandIn,
    kind: str,
    effects_after_fault: int,
    effects_after_retry: int,
    retry_status: int,
) -> None:
    await stripe_standin.control.post(
        "faults", match=CREATE, kind=kind, delay_ms=60_000 if kind.startswith("timeout") else 100
    )
    if kind.startswith(("timeout", "reset")):
        with pytest.raises((httpx.ReadTimeout, httpx.ReadError, httpx.RemoteProtocolError)) as broken:
            await create(stripe_standin, "k", read_timeout_s=0.5)
        assert isinstance(broken.value, httpx.ReadTimeout) == kind.startswith("timeout")
    else:
        answer = await create(stripe_standin, "k")
        assert answer.status_code == {"429": 429, "slo": 200}.get(kind[:3], 500)
    assert await intents(stripe_standin) == effects_after_fault
    assert (await create(stripe_standin, "k")).status_code == retry_status
    assert await intents(stripe_standin) == effects_after_retry


async def test_a_held_connection_is_reset_when_its_time_is_over(stripe_standin: StripeStandIn) -> None:
    await stripe_standin.control.post("faults", match=CREATE, kind="timeout_before", delay_ms=50)
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        await create(stripe_standin)


async def test_a_fault_hits_as_often_as_ordered_and_only_what_it_matches(
    stripe_standin: StripeStandIn,
) -> None:
    await stripe_standin.control.post(
        "faults", match="POST /v1/payment_intents/*/cancel", kind="500", times=2, skip=1
    )
    made = [(await create(stripe_standin)).json()["id"] for _ in range(4)]
    statuses = [
        (await send(stripe_standin, "POST", f"/v1/payment_intents/{intent}/cancel")).status_code
        for intent in made
    ]
    assert statuses == [200, 500, 500, 200]
    assert await stripe_standin.control.get("faults") == []


async def test_latency_is_that_of_every_answer(stripe_standin: StripeStandIn) -> None:
    await stripe_standin.control.post("latency", ms=700)
    with pytest.raises(httpx.ReadTimeout):
        await create(stripe_standin, read_timeout_s=0.3)
    await stripe_standin.control.post("latency", ms=0)
    assert (await create(stripe_standin)).is_success


async def test_the_request_log_tells_what_came_and_what_was_answered(stripe_standin: StripeStandIn) -> None:
    await stripe_standin.control.post("faults", match=CREATE, kind="reset_after")
    with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        await create(stripe_standin, "k")
    await create(stripe_standin, "k")
    log = await stripe_standin.control.get("requests")
    told = [(row["status"], row["replayed"], row["fault"], row["idempotency_key"]) for row in log]
    assert told == [(None, False, "reset_after", "k"), (200, True, None, "k")]
    assert log[0]["params"] == INTENT


async def test_an_order_with_a_misspelt_field_is_refused(stripe_standin: StripeStandIn) -> None:
    with pytest.raises(httpx.HTTPStatusError, match="extra_forbidden"):
        await stripe_standin.control.post("faults", match=CREATE, kind="500", time=2)
