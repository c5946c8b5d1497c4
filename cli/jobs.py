"""`echoshot jobs`, `job`, `watch`, `cancel`, `resume` and `download`."""

from __future__ import annotations

from argparse import Namespace
from mimetypes import guess_extension
from pathlib import Path
from typing import Any

from cli.clips import save_clips
from cli.context import Context
from cli.download import result_of
from cli.exits import Exit
from cli.screen import local_time
from cli.waiting import check_output, fetch, require_success, wait_for
from contracts.kinds import CLIP


def jobs(context: Context, options: Namespace) -> Exit:
    messages = context.messages
    wishes = {
        "limit": options.limit,
        "starting_after": options.after,
        "status": [status.upper() for status in options.status],
        "kind": options.kind,
    }
    page = context.api.get("/v1/videos/jobs", **{name: value for name, value in wishes.items() if value})
    context.screen.document("jobs", page)
    columns = ("col_id", "col_kind", "col_status", "col_progress", "col_credits", "col_created")
    context.screen.table(
        [messages(column) for column in columns], [_row(context, job) for job in page["data"]]
    )
    if page["has_more"]:
        context.screen.say(messages("more", command=f"echoshot jobs --after {page['data'][-1]['id']}"))
    return Exit.OK


def _row(context: Context, job: dict[str, Any]) -> list[str]:
    percents = [stage["percent"] for stage in job["stages"]]
    return [
        job["id"],
        job["kind"],
        context.messages.name(job["status"]),
        f"{sum(percents) // max(1, len(percents))} %",
        str(job["quote"]["credits"]),
        local_time(job["created_at"]),
    ]


def job(context: Context, options: Namespace) -> Exit:
    found = context.api.get(f"/v1/jobs/{options.id}")
    messages, screen = context.messages, context.screen
    screen.document("job", found)
    screen.table(
        [messages(f"col_{name}") for name in ("id", "kind", "status", "progress", "credits", "created")],
        [_row(context, found)],
    )
    for stage in found["stages"]:
        screen.say(f"  {messages.name(stage['name'])}: {stage['percent']} %")
    if found["failure"]:
        screen.say(found["failure"]["message"])
    return Exit.OK


def watch(context: Context, options: Namespace) -> Exit:
    progress = wait_for(context, options.id)
    require_success(context, progress)
    context.screen.say(context.messages("succeeded", credits=progress.credits))
    context.screen.say(context.messages("download_hint", job=options.id))
    return Exit.OK


def cancel(context: Context, options: Namespace) -> Exit:
    answer = context.api.call("POST", f"/v1/jobs/{options.id}/cancel").json()
    context.screen.document("job", answer)
    context.screen.say(context.messages("canceling", job=options.id))
    return Exit.OK


def resume(context: Context, options: Namespace) -> Exit:
    answer = context.api.call("POST", f"/v1/jobs/{options.id}/resume").json()
    context.screen.document("job", answer)
    context.screen.say(context.messages("resumed", job=options.id))
    return Exit.OK


def download(context: Context, options: Namespace) -> Exit:
    found = context.api.get(f"/v1/jobs/{options.id}")
    result = result_of(context.api, options.id)
    if found["kind"] == CLIP.name:
        stem = Path(context.api.get(f"/v1/videos/{found['source_video_id']}")["filename"]).stem
        return save_clips(context, options.id, options.output or Path(), stem, force=options.force).exit
    output = options.output or Path(f"{options.id}{guess_extension(result['content_type']) or ''}")
    check_output(context, output, force=options.force)
    fetch(context, options.id, output)
    return Exit.OK
