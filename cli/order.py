"""A job of any kind, from the wish to what it delivers: what `enhance`, `music` and `clips` share."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cli.api import Api
from cli.context import Context
from cli.credits import show_balance
from cli.exits import Exit, Refused, Stop
from cli.follow import Progress
from cli.pending import Pending, pending_job
from cli.source import Source, announced
from cli.upload import send_file
from cli.videofile import VideoFile
from cli.waiting import require_success, wait_for
from contracts.errors import Code
from contracts.jobs import JobStatus
from contracts.kinds import JobKind
from contracts.payments import PurchaseStatus


@dataclass(frozen=True)
class Order:
    user_id: str
    path: str
    """Where `body` is posted; the answer is a job, or has one as its `job`."""
    body: dict[str, Any]
    file: VideoFile | None
    """What is uploaded, unless the platform has it."""


def order_job(
    context: Context, options: Namespace, kind: JobKind, source: Source, params: dict[str, Any]
) -> Order:
    """A job of any kind from any source."""
    # Asked before the file is read: a token that has expired shows at once.
    user_id = context.api.get("/v1/me")["user_id"]
    body = {"kind": kind.name, "params": params, "source": announced(context, source)} | funding(options)
    return Order(user_id, "/v1/jobs", body, source.file)


def funding(options: Namespace) -> dict[str, Any]:
    """The part of a request's body that says who pays, when it is not the balance."""
    if not options.charge:
        return {}
    charge = {"type": "charge", "payment_method": options.charge}
    return {"funding": charge | ({"refund_to": options.refund_to} if options.refund_to else {})}


def carry_out(context: Context, order: Order, deliver: Callable[[Progress], Exit], *, wait: bool) -> Exit:
    """Request, upload and, unless told not to, wait; then `deliver` what the job has made."""
    messages, screen = context.messages, context.screen
    job, pending = _take_on(context.api, order)
    screen.document("job", job)
    if pending.resumed:
        screen.note(messages("resuming", job=job["id"]))
    lost = _lost(job)
    if not lost:
        _tell_of_price(context, job)
        if job.get("duplicate") and order.file:
            screen.note(messages("duplicate"))
        if job["status"] == JobStatus.CREATED and job.get("upload") and order.file:
            lost = not _upload(context, order, job, order.file, resumed=pending.resumed)
    if not (wait or lost):
        pending.forget()
        screen.say(messages("started", job=job["id"]))
        return Exit.OK
    # Kept until the result is here: whoever repeats an interrupted command does not mean a second job.
    progress = wait_for(context, job["id"])
    if progress.status is not JobStatus.SUCCEEDED:
        pending.forget()
    require_success(context, progress)
    exit = deliver(progress)
    pending.forget()
    show_balance(context)
    return exit


def _tell_of_price(context: Context, job: dict[str, Any]) -> None:
    messages, screen, charge = context.messages, context.screen, job["charge"]
    if charge is None:
        screen.note(messages("held", job=job["id"], credits=job["quote"]["credits"]))
        return
    screen.note(messages("charging", job=job["id"], amount=charge["amount_krw"]))
    if charge.get("action_required"):
        screen.note(messages("pay_in_app", purchase=charge["purchase_id"]))


def _lost(job: dict[str, Any]) -> bool:
    """It ended without a result, or will in a moment: its payment came to nothing."""
    status, charge = JobStatus(job["status"]), job["charge"]
    if status.settled:
        return status is not JobStatus.SUCCEEDED
    payment = PurchaseStatus(charge["status"]) if charge else PurchaseStatus.PAID
    return payment.settled and payment is not PurchaseStatus.PAID


def _take_on(api: Api, order: Order) -> tuple[dict[str, Any], Pending]:
    """The job of this order: a new one, or the unfinished one of an earlier run, as it stands now."""
    pending = pending_job(api.login.api_url, order.user_id, order.path, order.body)
    try:
        answer = api.call("POST", order.path, body=pending.body, key=pending.key).json()
    except Refused as refusal:
        # When the server is in trouble the job may exist all the same: only a clear no ends the matter.
        if refusal.exit is not Exit.UNREACHABLE:
            pending.forget()
        raise
    job = answer.get("job", answer)
    if not pending.resumed:
        return job, pending
    now = api.get(f"/v1/jobs/{job['id']}")
    status = JobStatus(now["status"])
    if status.settled and status is not JobStatus.SUCCEEDED:
        pending.forget()
        return _take_on(api, order)
    return {**job, **now}, pending


def _upload(context: Context, order: Order, job: dict[str, Any], file: VideoFile, *, resumed: bool) -> bool:
    """False when the job ended meanwhile: its card was declined, or somebody cancelled it elsewhere."""
    api, messages, screen = context.api, context.messages, context.screen
    try:
        if resumed and _announce(api, job):
            return True
        target = api.call("POST", f"/v1/jobs/{job['id']}/upload").json() if resumed else job["upload"]
        with screen.bytes_bar(messages("uploading"), file.bytes) as on_bytes:
            send_file(api, job["id"], target, file.path, on_bytes)
        if not _announce(api, job):
            raise Stop(Exit.UNREACHABLE, messages("upload_incomplete"))
        return True
    except (KeyboardInterrupt, Stop) as end:
        # A job that has ended takes no file any more: how it ended says more than the refusal.
        refused = isinstance(end, Refused) and end.exit is not Exit.UNREACHABLE
        if refused and _lost(api.get(f"/v1/jobs/{job['id']}")):
            return False
        if isinstance(end, KeyboardInterrupt) or end.exit is Exit.UNREACHABLE:
            screen.note(messages("resume_upload"))
        raise


def _announce(api: Api, job: dict[str, Any]) -> bool:
    """False when the store does not have the whole file yet."""
    try:
        api.call("PATCH", f"/v1/jobs/{job['id']}/ingested")
    except Refused as refusal:
        if refusal.code == Code.UPLOAD_INCOMPLETE:
            return False
        raise
    return True
