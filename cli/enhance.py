"""`echoshot enhance FILE`: from the file on disk to the finished video on disk."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from cli.api import Api
from cli.context import Context
from cli.credits import show_balance
from cli.exits import Exit, Refused, Stop
from cli.pending import Pending, pending_job
from cli.upload import send_file
from cli.videofile import VideoFile, inspect, sha256_of
from cli.waiting import check_output, fetch, require_success, wait_for
from contracts.errors import Code
from contracts.jobs import JobStatus
from contracts.kinds import ENHANCE
from contracts.payments import PurchaseStatus

PARAMS = ("scale", "fps", "upscaler", "strength")


def enhance(context: Context, options: Namespace) -> Exit:
    messages, screen, path = context.messages, context.screen, options.file
    output = options.output or Path(f"{path.stem}.enhanced.mp4")
    if options.wait:
        check_output(context, output, force=options.force)
    video = inspect(path, messages, ENHANCE.needs)
    # Asked before the file is read: a token that has expired shows at once.
    user_id = context.api.get("/v1/me")["user_id"]
    body = _request(context, video, options)
    job, pending = _take_on(context.api, user_id, body)
    screen.document("job", job)
    if pending.resumed:
        screen.note(messages("resuming", job=job["id"]))
    lost = _lost(job)
    if not lost:
        _tell_of_price(context, job)
        if job.get("duplicate"):
            screen.note(messages("duplicate"))
        if job["status"] == JobStatus.CREATED and job.get("upload"):
            lost = not _upload(context, job, video, resumed=pending.resumed)
    if not (options.wait or lost):
        pending.forget()
        screen.say(messages("started", job=job["id"]))
        return Exit.OK
    # Kept until the result is here: whoever repeats an interrupted command does not mean a second job.
    progress = wait_for(context, job["id"])
    if progress.status is not JobStatus.SUCCEEDED:
        pending.forget()
    require_success(context, progress)
    fetch(context, job["id"], output)
    pending.forget()
    screen.say(messages("succeeded", credits=progress.credits))
    show_balance(context)
    return Exit.OK


def _request(context: Context, video: VideoFile, options: Namespace) -> dict[str, Any]:
    done = 0

    def count(size: int) -> None:
        nonlocal done
        done += size
        on_bytes(done)

    with context.screen.bytes_bar(context.messages("checking"), video.bytes) as on_bytes:
        sha256 = sha256_of(video.path, count)
    upload = {
        "filename": video.path.name,
        "bytes": video.bytes,
        "content_type": video.content_type,
        "sha256": sha256,
        "duration_ms": video.duration_ms,
    }
    params = {name: getattr(options, name) for name in PARAMS if getattr(options, name) is not None}
    body = {"kind": "enhance", "params": params, "source": {"upload": upload}}
    if options.charge:
        charge = {"type": "charge", "payment_method": options.charge}
        body["funding"] = charge | ({"refund_to": options.refund_to} if options.refund_to else {})
    return body


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


def _take_on(api: Api, user_id: str, body: dict[str, Any]) -> tuple[dict[str, Any], Pending]:
    """The job of this request: a new one, or the unfinished one of an earlier run, as it stands now."""
    pending = pending_job(api.login.api_url, user_id, body)
    try:
        job = api.call("POST", "/v1/jobs", body=pending.body, key=pending.key).json()
    except Refused as refusal:
        # When the server is in trouble the job may exist all the same: only a clear no ends the matter.
        if refusal.exit is not Exit.UNREACHABLE:
            pending.forget()
        raise
    if not pending.resumed:
        return job, pending
    now = api.get(f"/v1/jobs/{job['id']}")
    status = JobStatus(now["status"])
    if status.settled and status is not JobStatus.SUCCEEDED:
        pending.forget()
        return _take_on(api, user_id, body)
    return {**job, **now}, pending


def _upload(context: Context, job: dict[str, Any], video: VideoFile, *, resumed: bool) -> bool:
    """False when the job ended meanwhile: its card was declined, or somebody cancelled it elsewhere."""
    api, messages, screen = context.api, context.messages, context.screen
    try:
        if resumed and _announce(api, job):
            return True
        target = api.call("POST", f"/v1/jobs/{job['id']}/upload").json() if resumed else job["upload"]
        with screen.bytes_bar(messages("uploading"), video.bytes) as on_bytes:
            send_file(api, job["id"], target, video.path, on_bytes)
        if not _announce(api, job):
            raise Stop(Exit.UNREACHABLE, messages("upload_incomplete"))
        return True
    except (KeyboardInterrupt, Stop) as end:
        # A job that has ended takes no file any more: how it ended says more than the refusal.
        refused = isinstance(end, Refused) and end.exit is not Exit.UNREACHABLE
        if refused and _lost(api.get(f"/v1/jobs/{job['id']}")):
            return False
        if isinstance(end, KeyboardInterrupt) or end.exit is Exit.UNREACHABLE:
            screen.note(messages("resume_upload", path=video.path))
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
