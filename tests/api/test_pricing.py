from __future__ import annotations

from datetime import UTC, datetime

import httpx

from contracts.refunds import REFUND_MATRIX
from db import purchases
from db.engine import Database


async def test_the_price_list_is_the_databases_and_needs_no_token(
    anonymous: httpx.AsyncClient, database: Database
) -> None:
    async with database.read() as session:
        prices = await purchases.on_sale(session, datetime.now(UTC))

    pricing = (await anonymous.get("/v1/pricing")).json()

    shown = [(p["package"], p["credits"], p["krw"], p["price_id"]) for p in pricing["packages"]]
    assert shown == [(price.package, price.credits, price.krw, price.id) for price in prices]
    assert [(credits, krw) for _, credits, krw, _ in shown] == [(100, 10_000), (500, 40_000), (1_000, 70_000)]
    assert pricing["charge_krw_per_credit"] == 100


async def test_every_kind_has_a_price_by_time_or_by_piece(anonymous: httpx.AsyncClient) -> None:
    kinds = (await anonymous.get("/v1/pricing")).json()["kinds"]

    assert [(k["kind"], k["credits_per_started_minute"], k["credits_per_piece"]) for k in kinds] == [
        ("enhance", 10, None),
        ("music", 1, None),
        ("clip", None, 3),
    ]
    assert all(k["title_en"] and k["title_ko"] for k in kinds)


async def test_the_refund_matrix_is_published_in_both_languages(anonymous: httpx.AsyncClient) -> None:
    matrix = (await anonymous.get("/v1/pricing")).json()["refund_matrix"]
    assert len(matrix) == len(REFUND_MATRIX)
    [case] = [
        row
        for row in matrix
        if (row["subject"], row["paid_by"], row["reason"], row["refund_to"])
        == ("job", "card", "job_failed", "card")
    ]
    assert case["states"] == ["CREATED", "INGESTED", "QUEUED", "RUNNING"]
    assert (case["card"], case["arrives"]) == ("full", "card_days")
    assert case["text_en"].startswith("The held credits go back as money.")
    assert "전액이 카드로 환불" in case["text_ko"]
