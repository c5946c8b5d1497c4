"""The answer to a request for a job that a card pays for: the job and its charge as they are by then."""

from __future__ import annotations

from typing import Any

from api.jobs import schemas
from api.jobs.view import job_view
from api.links import Links
from api.payments.checkout import checkout_of
from api.services import Services
from contracts.ids import JobId, PurchaseId
from contracts.purchases import CheckoutAnswer
from db import purchases
from db.jobs import get_job


def new_job(
    view: schemas.Job,
    upload: schemas.UploadTarget | None,
    duplicate: bool,
    answer: CheckoutAnswer | None = None,
) -> schemas.NewJob:
    """What is stored for repeats is made without `answer`: the checkout holds secrets."""
    charge = None
    if view.charge is not None:
        charge = schemas.NewCharge(
            **dict(view.charge),
            action_required=answer.action_required if answer else False,
            checkout=answer.checkout if answer and not view.charge.status.settled else None,
        )
    fields: dict[str, Any] = {name: value for name, value in view if name != "charge"}
    return schemas.NewJob(**fields, charge=charge, upload=upload, duplicate=duplicate)


async def charged_job(
    services: Services, stored: schemas.NewJob, links: Links, locale: str
) -> schemas.NewJob:
    """The stored answer with today's job, and the checkout fetched anew; that also puts the charge on its way."""
    assert stored.charge, "a job that is paid by card"
    async with services.database.read() as session:
        purchase = await purchases.get(session, PurchaseId(stored.charge.purchase_id))
    assert purchase is not None, "rows of purchases are never deleted"
    answer = await checkout_of(services, purchase)
    async with services.database.read() as session:
        job = await get_job(session, JobId(stored.id))
        assert job is not None, "nor are those of jobs"
        view = await job_view(session, job, links, locale)
    return new_job(view, stored.upload, stored.duplicate, answer)
