"""`echoshot clips`: short cuts of a video, each in a file of its own."""

from __future__ import annotations

import hashlib
import re
import shlex
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.context import Context
from cli.exits import Exit, Stop
from cli.follow import Progress
from cli.music import clock
from cli.order import Order, carry_out, funding, order_job
from cli.source import Source, source_of
from cli.waiting import check_output, save
from contracts.errors import Code
from contracts.kinds import CLIP
from contracts.kinds.clip import ClipType

LENGTH_S = 30
"""Of a highlight, unless another is asked for."""


def clips(context: Context, options: Namespace) -> Exit:
    wishes = _wishes(context, options)
    source = source_of(context, options.source, CLIP)
    if options.wait:
        for wish in wishes:
            check_output(context, options.output_dir / file_name(source.stem, wish), force=options.force)

    def deliver(progress: Progress) -> Exit:
        # What is in the way was looked for before anything was paid.
        outcome = save_clips(context, progress.job_id, options.output_dir, source.stem, force=True)
        credits = sum(clip["credits"] for clip in outcome.made)
        context.screen.say(context.messages("succeeded", credits=credits))
        return outcome.exit

    return carry_out(context, _order(context, options, source, wishes), deliver, wait=options.wait)


@dataclass(frozen=True)
class Outcome:
    """The clips of a finished job, in the order of its wishes."""

    made: list[dict[str, Any]]
    failed: list[dict[str, Any]]

    @property
    def faulty(self) -> list[dict[str, Any]]:
        """Whoever asks for the best five of a song that has three is content with three; these failed otherwise."""
        return [clip for clip in self.failed if not _is_beyond(clip)]

    @property
    def exit(self) -> Exit:
        return Exit.JOB_FAILED if self.faulty else Exit.OK


def _is_beyond(clip: dict[str, Any]) -> bool:
    return clip["failure"]["code"] == Code.NO_SUCH_HIGHLIGHT and clip["wish"]["rank"] > 0


def save_clips(context: Context, job_id: str, folder: Path, stem: str, *, force: bool) -> Outcome:
    """Download what a finished job has made into `folder`, and tell what it could not make."""
    outcome = _outcome(context, job_id)
    paths = {clip["id"]: folder / file_name(stem, clip["wish"]) for clip in outcome.made}
    missing = [clip for clip in outcome.made if not _is_there(clip, paths[clip["id"]])]
    for clip in missing:
        check_output(context, paths[clip["id"]], force=force)
    for clip in missing:
        again = shlex.join(["echoshot", "download", job_id, "-o", str(folder)])
        save(context, lambda clip=clip: _found(context, clip), paths[clip["id"]], again)
    for clip in (*outcome.made, *outcome.failed):
        path = paths.get(clip["id"])
        context.screen.document("clip", {"path": path and str(path.resolve()), "clip": clip})
    _show(context, outcome, paths, stem)
    return outcome


def _show(context: Context, outcome: Outcome, paths: dict[str, Path], stem: str) -> None:
    messages, screen = context.messages, context.screen
    columns = ("col_file", "col_start", "col_end", "col_section", "col_size", "col_credits")
    screen.table(
        [messages(column) for column in columns],
        [
            [
                str(paths[clip["id"]]),
                clock(clip["start"]),
                clock(clip["end"]),
                messages.name(clip["type"] or ""),
                f"{clip['width']}x{clip['height']}",
                str(clip["credits"]),
            ]
            for clip in outcome.made
        ],
    )
    for clip in outcome.faulty:
        name = file_name(stem, clip["wish"])
        screen.note(messages("clip_failed", name=name, reason=clip["failure"]["message"]))
    if len(outcome.faulty) < len(outcome.failed):
        screen.note(messages("clips_beyond", found=len(outcome.made)))


def file_name(stem: str, wish: dict[str, Any]) -> str:
    """Such as `song-chorus-30s-vertical.mp4`; the next best ends with `-2`."""
    if wish.get("length"):
        what, rank = f"{wish.get('type') or ClipType.BEST}-{wish['length']}s", wish.get("rank") or 0
    else:
        what, rank = f"{wish['start']:.7g}-{wish['end']:.7g}s", 0
    return f"{stem}-{what}-{wish['format']}{f'-{rank + 1}' if rank else ''}.mp4"


def seconds(text: str) -> float:
    """A place in a video: `83.5` or `1:23.5`. Raises ValueError."""
    found = re.fullmatch(r"(?:(\d+):(?=[0-5]\d(?:\.|$)))?(\d+(?:\.\d+)?)", text)
    if found is None:
        raise ValueError(f"no place in a video: {text}")
    return 60 * int(found[1] or 0) + float(found[2])


def _wishes(context: Context, options: Namespace) -> list[dict[str, Any]]:
    """A `ClipSpec` each."""
    ranged = options.start is not None or options.end is not None
    if ranged:
        alone = options.length is None and options.type is None and options.count is None
        if not alone or options.start is None or options.end is None:
            raise Stop(Exit.USAGE, context.messages("range_alone"))
        return [{"start": options.start, "end": options.end, "format": options.format}]
    shape = {
        "length": options.length or LENGTH_S,
        "type": options.type or ClipType.BEST.value,
        "format": options.format,
    }
    return [shape | {"rank": rank} for rank in range(options.count or 1)]


def _order(context: Context, options: Namespace, source: Source, wishes: list[dict[str, Any]]) -> Order:
    if source.file:
        return order_job(context, options, CLIP, source, {"clips": wishes})
    # Of a video that is there the platform knows more: what cannot be is refused before anything is held.
    body: dict[str, Any] = {"video_id": source.given, "format": options.format}
    if len(wishes) == 1:
        body |= wishes[0]
    else:
        first = wishes[0]
        body["highlights"] = {"lengths": [first["length"]], "type": first["type"], "count": len(wishes)}
    user_id = context.api.get("/v1/me")["user_id"]
    return Order(user_id, "/v1/clips", body | funding(options), None)


def _outcome(context: Context, job_id: str) -> Outcome:
    job = context.api.get(f"/v1/jobs/{job_id}")
    path, found, after = f"/v1/videos/{job['source_video_id']}/clips", [], {}
    while len(found) < len(job["params"]["clips"]):
        page = context.api.get(path, limit=100, **after)
        found += [clip for clip in page["data"] if clip["job_id"] == job_id]
        if not page["has_more"]:
            break
        after = {"starting_after": page["data"][-1]["id"]}
    found.reverse()  # lists begin with the newest
    made, failed = ([clip for clip in found if clip["state"] == state] for state in ("ready", "failed"))
    return Outcome(made, failed)


def _found(context: Context, clip: dict[str, Any]) -> dict[str, Any]:
    answer = context.api.call("GET", f"/v1/clips/{clip['id']}/download")
    return {"url": answer.headers["Location"], "bytes": clip["bytes"], "sha256": clip["sha256"]}


def _is_there(clip: dict[str, Any], path: Path) -> bool:
    """An earlier run has downloaded it."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() == clip["sha256"]
