"""Whatever belongs to somebody else is not there, whoever asks and however."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from contracts.ids import PurchaseId, UserId, purchase_id
from contracts.payments import Provider, RefundTo
from db import purchases
from db.engine import Database
from tests.api.acts import Person, assert_problem, create_job, grant, key, upload_request
from tests.api.cutting import a_video, make
from tests.api.serving import Api

BODIES: dict[str, dict[str, Any]] = {
    "/v1/videos/{video_id}/sections": {"restore": 1},
    "/v1/videos/{video_id}/uploads/{upload_id}/parts": {"numbers": [1]},
    "/v1/jobs/{job_id}/heartbeat": {"stage": "upscale", "part": 0, "done": 1, "total": 1},
    "/v1/clips/{clip_id}/regenerate": {},
    "/v1/clips/{clip_id}/share": {},
}
STAFF = ("/v1/support/", "/v1/finance/", "/v1/admin/")
ROLES_NEEDED = ("/v1/jobs/{job_id}/heartbeat", *STAFF)
"""Refused to everybody without the role, before anything is looked for."""


def guarded_operations(api: Api) -> list[tuple[str, str]]:
    """Every operation of the document with an id in its path, so that a new one cannot be forgotten."""
    return [
        (method.upper(), path)
        for path, operations in api.server.app.openapi()["paths"].items()
        for method in operations
        if "{" in path and not path.startswith(ROLES_NEEDED)
    ]


async def test_every_operation_of_staff_is_forbidden_to_users(alice: Person, api: Api) -> None:
    operations = [
        (method.upper(), re.sub(r"{\w+}", "abc_" + "0" * 32, path))
        for path, methods in api.server.app.openapi()["paths"].items()
        for method in methods
        if path.startswith(STAFF)
    ]
    assert len(operations) >= 10
    for method, path in operations:
        assert_problem(await alice.request(method, path, json={}, headers=key()), 403, "forbidden")


@pytest.mark.parametrize("whose", ["another user's", "nobody's"])
async def test_every_operation_on_it_answers_not_found(
    whose: str, alice: Person, bob: Person, api: Api, database: Database
) -> None:
    job = await create_job(alice, upload_request(b"x" * (9 * 1024**2)))
    upload = (await alice.post(job["upload"]["multipart_url"])).json()
    ids = {
        "job_id": job["id"],
        "video_id": job["source_video_id"],
        "upload_id": upload["upload_id"],
        "purchase_id": await a_purchase(database, alice),
        **await a_shared_clip(database, api, alice),
    }
    if whose == "nobody's":
        ids = {name: value[:4] + "0" * 32 for name, value in ids.items()}
    operations = guarded_operations(api)
    assert len(operations) >= 15

    for method, path in operations:
        url = re.sub(r"{(\w+)}", lambda match: ids[match[1]], path)
        answer = await bob.request(method, url, json=BODIES.get(path), headers=key())
        assert_problem(answer, 404, "not_found")

    assert (await alice.get(job["status_url"])).json()["status"] == "CREATED"
    assert (await alice.get(upload["parts_url"])).status_code == 200
    if whose != "nobody's":
        [share] = (await alice.get(f"/v1/clips/{ids['clip_id']}/shares")).json()["data"]
        assert share["revoked_at"] is None


async def a_shared_clip(database: Database, api: Api, person: Person) -> dict[str, str]:
    body = {"video_id": await a_video(database, person), "length": 15}
    asked = (await person.post("/v1/clips", json=body, headers=key())).json()
    await make(database, api.services.store, asked["job"]["id"])
    [clip] = asked["clips"]
    share = (await person.post(clip["share_url"], json={}, headers=key())).json()
    return {"clip_id": clip["id"], "share_id": share["id"]}


async def a_purchase(database: Database, person: Person) -> PurchaseId:
    """Written down, as by a request that died before it told anybody."""
    user_id = UserId((await person.get("/v1/me")).json()["user_id"])
    async with database.transaction() as session:
        [price, *_] = await purchases.on_sale(session, datetime.now(UTC))
        purchase = await purchases.create(
            session,
            purchase_id=purchase_id(user_id, "a key"),
            user_id=user_id,
            provider=Provider.STRIPE,
            credits=price.credits,
            amount_krw=price.krw,
            price_id=price.id,
            job_id=None,
            payment_method=None,
            refund_to=RefundTo.CARD,
        )
    return purchase.id


async def test_another_users_video_cannot_be_a_source(alice: Person, bob: Person, admin: Person) -> None:
    await grant(admin, bob)
    job = await create_job(alice)
    request = {"kind": "enhance", "source": {"video_id": job["source_video_id"]}}

    assert_problem(await bob.post("/v1/jobs", json=request, headers=key()), 404, "not_found")


async def test_a_list_shows_only_ones_own(alice: Person, bob: Person) -> None:
    await create_job(alice)
    for path in ("/v1/videos/jobs", "/v1/videos/processed", "/v1/credits/history", "/v1/payments"):
        assert (await bob.get(path)).json() == {"data": [], "has_more": False}
