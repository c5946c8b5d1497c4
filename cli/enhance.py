"""`echoshot enhance`: from the file on disk to the finished video on disk."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from cli.context import Context
from cli.exits import Exit
from cli.follow import Progress
from cli.order import carry_out, order_job
from cli.source import source_of
from cli.waiting import check_output, fetch
from contracts.kinds import ENHANCE

PARAMS = ("scale", "fps", "upscaler", "strength")


def enhance(context: Context, options: Namespace) -> Exit:
    source = source_of(context, options.source, ENHANCE)
    output = options.output or Path(f"{source.stem}.enhanced.mp4")
    if options.wait:
        check_output(context, output, force=options.force)
    params = {name: getattr(options, name) for name in PARAMS if getattr(options, name) is not None}

    def deliver(progress: Progress) -> Exit:
        fetch(context, progress.job_id, output)
        context.screen.say(context.messages("succeeded", credits=progress.credits))
        return Exit.OK

    return carry_out(
        context, order_job(context, options, ENHANCE, source, params), deliver, wait=options.wait
    )
