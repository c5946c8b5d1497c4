"""What finance reads and signs, and who may not."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr

from contracts.errors import Code
from contracts.finance import (
    Difference,
    DifferenceKind,
    Reconciled,
    UnderWay,
    UnderWayPayment,
    UnderWayTotal,
)
from contracts.ids import UserId
from contracts.jobs import JobStatus
from contracts.ledger import TransferOrigin
from contracts.payments import BalanceEntry, Provider, RefundState
from contracts.signing import key_id_of, new_key_pem, signer, signing_key
from contracts.video_job import Release
from db import provider_statements, reconciliations, refunds, saga_log, settlement
from db.engine import Database
from db.ids import new_id
from db.tables import User
from db.users import get_user
from tests.api.acts import Login, Person, assert_problem, create_job, fail, key
from tests.api.serving import Api
from tests.books import a_user, run_sql
from tests.purchases import a_charged_job, a_purchase, provider_says, refund

ADDRESSES = ("transfers", "purchases", "refunds", "liability", "revenue", "reconciliations", "corrections")


@pytest.fixture
def kim(login: Login) -> Person:
    return login("kim", "finance")


@pytest.fixture
def lee(login: Login) -> Person:
    return login("lee", "finance")


@pytest_asyncio.fixture
async def customer(login: Login, database: Database) -> tuple[Person, User]:
    person = login("customer")
    user_id = (await person.get("/v1/me")).json()["user_id"]
    async with database.read() as session:
        user = await get_user(session, UserId(user_id))
    assert user is not None
    return person, user


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("roles", [(), ("support",), ("worker",)])
async def test_nobody_else_reads_the_books(login: Login, address: str, roles: tuple[str, ...]) -> None:
    assert_problem(await login("eve", *roles).get(f"/v1/finance/{address}"), 403, "forbidden")


async def test_lists_filter_add_up_and_stream_as_csv(
    kim: Person, customer: tuple[Person, User], database: Database
) -> None:
    _, user = customer
    bought = [await a_purchase(database, user) for _ in range(3)]
    asked = {"user_id": user.id}
    page = (await kim.get("/v1/finance/purchases", params={**asked, "limit": 2})).json()
    assert [row["id"] for row in page["data"]] == [bought[2].id, bought[1].id]
    assert page["has_more"]
    assert page["totals_by_status"] == {"PAID": {"rows": 3, "credits": 300, "amount_krw": 30_000}}
    rest = await kim.get("/v1/finance/purchases", params={**asked, "starting_after": page["data"][-1]["id"]})
    assert [row["id"] for row in rest.json()["data"]] == [bought[0].id]
    unpaid = await kim.get("/v1/finance/purchases", params={**asked, "status": "EXPIRED"})
    assert unpaid.json()["data"] == []
    for address, columns in (("purchases", "amount_krw"), ("transfers", "kind"), ("liability", "krw")):
        answer = await kim.get(f"/v1/finance/{address}", params={**asked, "format": "csv"})
        assert answer.headers["content-type"].startswith("text/csv")
        rows = list(csv.DictReader(io.StringIO(answer.text)))
        assert len(rows) == 3
        assert columns in rows[0]


async def test_money_that_was_paid_and_money_that_never_came_are_not_added_up(
    kim: Person, customer: tuple[Person, User], database: Database
) -> None:
    _, user = customer
    await a_purchase(database, user)
    await a_purchase(database, user, credits=500, paid=False)

    page = (await kim.get("/v1/finance/purchases", params={"user_id": user.id})).json()

    assert page["totals"] is None
    assert page["totals_by_status"] == {
        "CREATED": {"rows": 1, "credits": 500, "amount_krw": 40_000},
        "PAID": {"rows": 1, "credits": 100, "amount_krw": 10_000},
    }


async def test_a_refunds_transfers_say_what_each_has_done(
    kim: Person, customer: tuple[Person, User], database: Database
) -> None:
    _, user = customer
    purchase = await a_purchase(database, user)
    for ends in (("succeeded",), ("failed",), ("succeeded", "failed")):
        asked = await refund(database, purchase, credits=10)
        for status in ends:
            await provider_says(database, asked, status)

    of_refunds = {"purchase_id": purchase.id, "kind": "refund"}
    rows = (await kim.get("/v1/finance/transfers", params=of_refunds)).json()["data"]

    phases = ["reserved", "paid_out", "reserved", "returned", "reserved", "paid_out", "undone"]
    assert [row["phase"] for row in reversed(rows)] == phases
    answer = await kim.get("/v1/finance/transfers", params={**of_refunds, "format": "csv"})
    assert [row["phase"] for row in csv.DictReader(io.StringIO(answer.text))] == phases[::-1]
    others = await kim.get("/v1/finance/transfers", params={"purchase_id": purchase.id, "kind": "purchase"})
    assert [row["phase"] for row in others.json()["data"]] == [None]


@pytest.mark.parametrize(
    ("address", "params", "code"),
    [
        ("transfers", {"kind": "gift"}, "validation_failed"),
        ("transfers", {"starting_after": "00000000-0000-0000-0000-000000000000"}, "cursor_invalid"),
        ("purchases", {"from": "yesterday"}, "validation_failed"),
        ("purchases", {"starting_after": "pur_" + "0" * 32}, "cursor_invalid"),
        ("refunds", {"limit": 0}, "validation_failed"),
        ("revenue", {"colour": "red"}, "validation_failed"),
        ("liability", {"format": "pdf"}, "validation_failed"),
    ],
)
async def test_a_wrong_question_has_a_clear_answer(
    kim: Person, address: str, params: dict[str, Any], code: str
) -> None:
    answer = await kim.get(f"/v1/finance/{address}", params=params)
    assert_problem(answer, 400 if code == "cursor_invalid" else 422, code)


async def test_a_saga_is_told_and_the_reader_is_written_down(
    kim: Person, alice: Person, database: Database
) -> None:
    job = await create_job(alice)
    await fail(database, job["id"])
    told = (await kim.get(f"/v1/finance/sagas/{job['id']}")).json()
    assert told["status"] == "FAILED"
    assert [entry["what"] for entry in told["entries"] if entry["source"] == "ledger"] == ["hold", "release"]
    again = (await kim.get(f"/v1/finance/sagas/{job['id']}")).json()
    readers = [entry["actor"] for entry in again["entries"] if entry["source"] == "staff"]
    assert readers
    assert readers[0].startswith("finance:usr_")
    rows = await run_sql(database, "SELECT role, subject FROM staff_log WHERE object = :job", job=job["id"])
    assert {tuple(row) for row in rows} == {("finance", kim.subject)}


async def test_the_receipt_is_signed_for_its_owner_alone(
    api: Api, alice: Person, bob: Person, kim: Person, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    pem = new_key_pem()
    monkeypatch.setattr(api.services.settings, "signing_key", SecretStr(pem))
    job = await create_job(alice)
    await fail(database, job["id"])
    await kim.get(f"/v1/finance/sagas/{job['id']}")
    answer = await alice.get(f"/v1/jobs/{job['id']}/receipt")
    assert answer.status_code == 200, answer.text
    receipt = answer.json()
    ours = signing_key(pem)
    assert ours is not None
    assert signer(receipt) == key_id_of(ours.key_id)
    assert all(entry["source"] != "staff" for entry in receipt["entries"])
    assert signer({**receipt, "captured_credits": 1}) is None
    assert_problem(await bob.get(f"/v1/jobs/{job['id']}/receipt"), 404, "not_found")
    whole = (await kim.get(f"/v1/finance/sagas/{job['id']}/receipt")).json()
    assert signer(whole) == ours.key_id


LOST = "lost_or_stolen_card"
BROKEN = "internal: complete: IntegrityError: violates check constraint"


async def test_an_owner_reads_no_raw_failures_staff_or_fees_and_staff_read_all(
    api: Api,
    customer: tuple[Person, User],
    kim: Person,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(api.services.settings, "signing_key", SecretStr(new_key_pem()))
    owner, user = customer
    job, purchase = await a_charged_job(database, user)
    ann, sam = (TransferOrigin(actor=who, step="test") for who in ("finance:ann", "support:sam"))
    async with database.transaction() as session:
        await saga_log.append(session, job.id, "attention", "waiting", ann, key="attention/9", detail=BROKEN)
        ends = Release(job_id=job.id, status=JobStatus.FAILED, failure_code=Code.CORRUPT)
        await settlement.release_job(session, ends, sam)
    (row,) = await run_sql(
        database, "SELECT id, amount_krw FROM refunds WHERE purchase_id = :id", id=purchase.id
    )
    failed = RefundState(
        provider_ref="re_1", refund_id=row.id, amount_krw=row.amount_krw, status="failed", failure=LOST
    )
    charge = BalanceEntry(
        provider=Provider.STRIPE, entry_id="txn_1", kind="charge", amount_krw=1_000, fee_krw=35,
        created_at=datetime.now(UTC), purchase_id=purchase.id,
    )  # fmt: skip
    fee = charge.model_copy(update={"entry_id": "txn_2", "kind": "fee", "amount_krw": -30, "fee_krw": 0})
    async with database.transaction() as session:
        await refunds.record(session, row.id, failed, sam)
        await provider_statements.keep_entries(session, [charge, fee])

    whole = (await kim.get(f"/v1/finance/sagas/{job.id}/receipt")).text
    steps_of_staff = (await kim.get(f"/v1/jobs/{job.id}/saga")).text
    for told in (whole, steps_of_staff):
        for word in (LOST, "IntegrityError", "finance:ann", "support:sam"):
            assert word in told
    assert "entry txn_1 fee 35" in whole
    assert "entry txn_2 fee 0" in whole

    receipt = await owner.get(f"/v1/jobs/{job.id}/receipt")
    saga = await owner.get(f"/v1/jobs/{job.id}/saga")
    for answer in (receipt, saga):
        assert answer.status_code == 200
        for word in (LOST, "IntegrityError", "finance:", "support:", "entry txn"):
            assert word not in answer.text
    assert signer(receipt.json()) is not None
    steps = {step["step"]: (step["actor"], step["detail"]) for step in saga.json()["steps"]}
    assert steps["attention"] == ("finance", "internal")
    assert steps["release"] == ("support", "corrupt")
    assert steps["charge"] == ("system:TokenPurchase", "1000 won by stripe")
    assert steps["refund_failed"] == ("support", "1000 won, job_failed")
    entries = {entry["what"]: (entry["actor"], entry["detail"]) for entry in receipt.json()["entries"]}
    assert entries["refund_failed failed"] == ("support", "granted 1000 won, job_failed")
    assert entries["refund job_failed"] == ("support", "FAILED")
    assert entries["charge"] == ("stripe", "")
    assert "fee" not in entries


async def test_without_a_key_there_are_no_receipts(
    api: Api, alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.services.settings, "signing_key", SecretStr(""))
    job = await create_job(alice)
    assert_problem(await alice.get(f"/v1/jobs/{job['id']}/receipt"), 503, "signing_unavailable")


def taking(user: User, credits: int) -> dict[str, Any]:
    return {
        "reason": "granted twice",
        "legs": [
            {"account": "available", "bucket": "paid", "user_id": user.id, "amount": -credits},
            {"account": "losses", "bucket": "paid", "amount": credits},
        ],
    }


async def test_a_correction_takes_two_people(
    kim: Person, lee: Person, admin: Person, customer: tuple[Person, User], database: Database
) -> None:
    person, user = customer
    await a_purchase(database, user)
    headers = key()
    proposed = await kim.post("/v1/finance/corrections", json=taking(user, 30), headers=headers)
    assert proposed.status_code == 201, proposed.text
    repeated = await kim.post("/v1/finance/corrections", json=taking(user, 30), headers=headers)
    assert repeated.json() == proposed.json()
    address = f"/v1/finance/corrections/{proposed.json()['id']}"
    assert_problem(await kim.post(f"{address}/approve", json={}), 409, "correction_conflict")
    assert_problem(await admin.post(f"{address}/approve", json={}), 403, "forbidden")
    approved = await lee.post(f"{address}/approve", json={"note": "checked"})
    assert approved.json()["status"] == "APPROVED"
    assert (await person.get("/v1/credits/balance")).json()["available"] == 70
    assert_problem(await lee.post(f"{address}/reject", json={}), 409, "correction_conflict")


@pytest.mark.parametrize(
    "legs",
    [
        [],
        [{"account": "losses", "bucket": "paid", "amount": 5}],
        [
            {"account": "losses", "bucket": "paid", "amount": 5},
            {"account": "issued", "bucket": "paid", "amount": -4},
        ],
        [
            {"account": "losses", "bucket": "paid", "amount": 0},
            {"account": "issued", "bucket": "paid", "amount": 0},
        ],
        [{"account": "vault", "amount": 5}, {"account": "issued", "amount": -5}],
    ],
)
async def test_a_correction_that_cannot_be_is_refused_at_once(
    kim: Person, legs: list[dict[str, Any]]
) -> None:
    answer = await kim.post("/v1/finance/corrections", json={"reason": "x", "legs": legs}, headers=key())
    assert_problem(answer, 422, "validation_failed")


@pytest.mark.parametrize(
    ("leg", "why"),
    [
        ({"account": "held", "bucket": "paid", "user_id": "USER"}, "held credits belong to their job"),
        ({"account": "available", "bucket": "paid", "user_id": "usr_nobody"}, "there is no user"),
        ({"account": "available", "bucket": "paid"}, "it needs its user"),
        ({"account": "revenue", "bucket": "paid", "user_id": "USER"}, "no user's"),
        ({"account": "debt", "bucket": "promo", "user_id": "USER"}, "it has no promo credits"),
        ({"account": "cash"}, "it needs its provider"),
        ({"account": "losses", "provider": "stripe"}, "no provider has an account"),
        ({"account": "revenue"}, "needs its bucket"),
        ({"account": "losses", "bucket": "paid"}, "named twice"),
    ],
)
async def test_a_correction_of_an_account_that_cannot_be_corrected_is_refused_when_it_is_proposed(
    kim: Person, customer: tuple[Person, User], leg: dict[str, Any], why: str
) -> None:
    leg = {name: customer[1].id if value == "USER" else value for name, value in leg.items()}
    against = {
        "account": "breakage" if leg.get("bucket") == "promo" else "losses",
        "bucket": leg.get("bucket"),
    }
    body = {"reason": "x", "legs": [{**against, "amount": -5}, {**leg, "amount": 5}]}
    answer = await kim.post("/v1/finance/corrections", json=body, headers=key())
    assert_problem(answer, 422, "correction_impossible")
    assert why in answer.json()["technical"]
    korean = {**key(), "Accept-Language": "ko"}
    answer = await kim.post("/v1/finance/corrections", json=body, headers=korean)
    assert answer.json()["title"].startswith("정정은 존재하는 계정")


async def test_a_correction_of_two_users_is_refused_when_it_is_proposed(
    kim: Person, customer: tuple[Person, User], database: Database
) -> None:
    other = await a_user(database, paid=5)
    legs = [
        {"account": "available", "bucket": "paid", "user_id": user, "amount": amount}
        for user, amount in ((customer[1].id, 5), (other.id, -5))
    ]
    answer = await kim.post("/v1/finance/corrections", json={"reason": "x", "legs": legs}, headers=key())
    assert_problem(answer, 422, "correction_impossible")


async def test_a_report_is_read_as_json_csv_and_a_page(kim: Person, database: Database) -> None:
    now = datetime.now(UTC)
    async with database.read() as session:
        totals = await provider_statements.totals(session, now - timedelta(days=3), now)
    report = Reconciled(
        reconciliation_id=new_id("rec"),
        period_from=now - timedelta(days=3),
        period_to=now,
        providers=totals,
        jobs_compared=2,
        differences=(
            Difference(
                kind=DifferenceKind.PAYMENT_UNKNOWN,
                subject="txn_<1>",
                since=now - timedelta(hours=30),
                amount_krw=10_000,
                provider=Provider.STRIPE,
                detail="payment pi_1",
            ),
        ),
        under_way=UnderWay(
            stages=(UnderWayTotal(stage="not_paid", payments=3, amount_krw=30_000),),
            oldest=(
                UnderWayPayment(
                    subject="pur_<2>",
                    provider=Provider.PORTONE,
                    amount_krw=10_000,
                    since=now - timedelta(hours=5),
                    stage="not_paid",
                ),
            ),
        ),
    )
    origin = TransferOrigin(actor="system:Reconcile", step="reconcile", workflow_id="w", run_id="r")
    async with database.transaction() as session:
        await reconciliations.record(session, report, "finance:kim", origin)
    address = f"/v1/finance/reconciliations/{report.reconciliation_id}"
    told = (await kim.get(address, headers={"Accept-Language": "ko"})).json()
    (found,) = told["differences"]
    assert found["difference"]["amount_krw"] == 10_000
    assert 30 * 3600 <= found["age_s"] < 31 * 3600
    assert "결제사" in found["what_to_do"]
    coming = told["under_way"]
    assert (coming["payments"], coming["amount_krw"]) == (3, 30_000)
    assert [(of["payment"]["subject"], of["age_s"]) for of in coming["oldest"]] == [("pur_<2>", 5 * 3600)]
    rows = list(csv.DictReader(io.StringIO((await kim.get(address, params={"format": "csv"})).text)))
    assert [(row["kind"], row["amount_krw"]) for row in rows] == [("payment_unknown", "10000")]
    legs = [
        {name: value for name, value in leg.items() if value is not None} for leg in found["suggested_legs"]
    ]
    assert json.loads(rows[0]["suggested_legs"]) == legs
    correction = {"reason": "ours after all", "legs": json.loads(rows[0]["suggested_legs"])}
    assert (await kim.post("/v1/finance/corrections", json=correction, headers=key())).status_code == 201
    page = await kim.get(address, params={"format": "html"})
    assert page.headers["content-type"].startswith("text/html")
    assert "<svg" in page.text
    assert "txn_&lt;1&gt;" in page.text
    assert "Payments: 3, 30,000 won." in page.text
    assert "Differences: 1, 10,000 won in all" in page.text
    assert "pur_&lt;2&gt;</td><td>portone</td><td>5 h 0 min</td>" in page.text
    korean = await kim.get(address, params={"format": "html"}, headers={"Accept-Language": "ko"})
    assert "결제 3건, 30,000원이 아직 진행 중입니다" in korean.text
    listed = (await kim.get("/v1/finance/reconciliations")).json()["data"][0]
    assert (listed["id"], listed["differences"], listed["krw"]) == (report.reconciliation_id, 1, 10_000)
    assert_problem(await kim.get(f"/v1/finance/reconciliations/{new_id('rec')}"), 404, "not_found")


async def test_a_reconciliation_is_started_once_for_one_key(kim: Person) -> None:
    headers = key()
    first = await kim.post("/v1/finance/reconciliations", json={}, headers=headers)
    assert first.status_code == 202, first.text
    second = await kim.post("/v1/finance/reconciliations", json={}, headers=headers)
    assert second.json() == first.json()
    assert_problem(await kim.get(first.json()["status_url"]), 404, "not_found")  # nobody works here
