"""Waiting for a job, and saving what it made: what the commands that order, watch and download share."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from cli.context import Context
from cli.download import Find, fetch_file, result_of
from cli.exits import Exit, Stop, exit_of_job
from cli.follow import Progress, follow
from contracts.errors import Code, sentence
from contracts.jobs import Attention, JobStatus
from contracts.ledger import CreditEffect
from contracts.payments import RefundStatus


def wait_for(context: Context, job_id: str) -> Progress:
    """Shows the job's progress until it has settled, well or not. Raises `Stop` when it waits for credits."""
    messages, screen = context.messages, context.screen
    attention: Attention | None = None
    try:
        with screen.stage_bars() as show:
            for progress in follow(context.api, job_id):
                screen.document("progress", progress.model_dump(mode="json"))
                show(progress)
                if progress.status.settled:
                    return progress
                if progress.attention is Attention.FUNDS:
                    raise Stop(Exit.CREDITS_SHORT, messages("attention_funds", job=job_id))
                if progress.attention is Attention.FAULT and attention is None:
                    screen.note(messages("attention_fault"))
                attention = progress.attention
    except KeyboardInterrupt:
        screen.note(messages("come_back", job=job_id))
        raise
    except Stop as stop:
        if stop.exit is Exit.UNREACHABLE:
            screen.note(messages("come_back", job=job_id))
        raise
    raise AssertionError("following ends with a settled job")


def require_success(context: Context, progress: Progress) -> None:
    if progress.status is not JobStatus.SUCCEEDED:
        code = progress.failure_code or ""
        reason = sentence(code, context.messages.locale) if code else ""
        if code == Code.PAYMENT_DECLINED:
            # Events name the code alone; the API knows what the bank has said.
            reason = context.api.get(f"/v1/jobs/{progress.job_id}")["failure"]["message"]
        status = context.messages.name(progress.status)
        text = context.messages("ended", job=progress.job_id, status=status, reason=reason).strip()
        if progress.credit_effect is CreditEffect.RELEASED:
            text += " " + context.messages("credits_back")
            if _payment_kept(context, progress.job_id):
                text += " " + context.messages("payment_kept")
        if progress.credit_effect is CreditEffect.REFUNDED:
            text += " " + context.messages("money_back")
        raise Stop(exit_of_job(code), text, code)


def _payment_kept(context: Context, job_id: str) -> bool:
    """A card has paid for the job, and no money goes back."""
    charge = context.api.get(f"/v1/jobs/{job_id}")["charge"]
    return charge is not None and all(refund["status"] == RefundStatus.FAILED for refund in charge["refunds"])


def fetch(context: Context, job_id: str, path: Path) -> None:
    """Download the result of a finished job to `path`."""
    again = shlex.join(["echoshot", "download", job_id, "-o", str(path)])
    result = save(context, lambda: result_of(context.api, job_id), path, again)
    context.screen.document("result", {"job_id": job_id, "path": str(path.resolve()), **result})


def save(context: Context, find: Find, path: Path, again: str) -> dict[str, Any]:
    """Download the file that `find` finds to `path`; `again` is the command that goes on after an interruption."""
    messages, screen = context.messages, context.screen
    found = find()
    try:
        with screen.bytes_bar(messages("downloading"), found["bytes"]) as on_bytes:
            fetch_file(context.api, found, find, path, on_bytes)
    except (KeyboardInterrupt, Stop):
        screen.note(messages("resume_download", command=again))
        raise
    screen.say(messages("saved", path=path, size=f"{found['bytes'] / 1024**2:.1f} MiB"))
    return found


def check_output(context: Context, path: Path, *, force: bool) -> None:
    """Before anything is paid for: the result will have a place to go to."""
    if not path.parent.is_dir():
        raise Stop(Exit.USAGE, context.messages("output_folder", path=path.parent))
    if path.is_dir() or (path.exists() and not force):
        raise Stop(Exit.USAGE, context.messages("output_exists", path=path))
