"""`python -m media enhance IN OUT`: the engine alone, with progress bars.

Exit status: 0 done, 1 a fault on our side, 2 a wrong command line, 3 the source was refused, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import get_args

from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from contracts.errors import EchoError
from contracts.kinds.enhance import ENHANCE, EnhanceParams, Upscaler
from contracts.media import Manifest
from media.enhance import enhance

EXIT_FAULT, EXIT_USAGE, EXIT_REFUSED, EXIT_INTERRUPTED = 1, 2, 3, 130


def main(arguments: list[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        params = EnhanceParams(
            scale=options.scale, fps=options.fps, upscaler=options.upscaler, strength=options.strength
        )
    except ValidationError as error:
        parser.error("; ".join(f"{fault['loc'][0]}: {fault['msg']}" for fault in error.errors()))
    try:
        with _Bars(quiet=options.json) as bars:
            result = enhance(options.source, options.out, params, workers=options.workers, progress=bars)
    except EchoError as error:
        return _fail(error, options.json)
    except OSError as error:  # a folder that cannot be written, a full disk
        print(f"{error.strerror or error}: {error.filename or options.out}", file=sys.stderr)
        return EXIT_FAULT
    except KeyboardInterrupt:
        print("interrupted; the same command goes on where it stopped", file=sys.stderr)
        return EXIT_INTERRUPTED
    print(result.model_dump_json(indent=2) if options.json else _summary(options.out, result))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m media", description="EchoShotX's engines, without the platform."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("enhance", help="twice the size at 60 frames per second")
    command.add_argument("source", type=Path, metavar="IN")
    command.add_argument("out", type=Path, metavar="OUT", help="an MP4; its manifest is written beside it")
    command.add_argument("--scale", type=int, choices=(1, 2), default=2)
    command.add_argument("--fps", choices=("60", "2x", "source"), default="60")
    command.add_argument("--upscaler", choices=get_args(Upscaler), default="animevideov3")
    command.add_argument(
        "--strength", type=float, default=1.0, help="0 plain enlargement ... 1 the network's picture"
    )
    command.add_argument("--workers", type=_positive, default=os.cpu_count() or 1, help="engine processes")
    command.add_argument("--json", action="store_true", help="the manifest on stdout, no bars")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


class _Bars:
    """A bar per stage, on stderr."""

    def __init__(self, quiet: bool) -> None:
        self._progress = Progress(
            TextColumn("{task.description:<12}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
            console=Console(stderr=True), disable=quiet,
        )  # fmt: skip
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> _Bars:
        self._progress.start()
        self._tasks = {stage: self._progress.add_task(stage, total=None) for stage in ENHANCE.stages}
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, stage: str, done: int, total: int) -> None:
        if stage in self._tasks:
            self._progress.update(self._tasks[stage], completed=done, total=total or None)


def _fail(error: EchoError, as_json: bool) -> int:
    refused = error.info.status < 500
    if as_json:
        print(json.dumps({"code": error.code.value, "message": error.info.en, "detail": error.detail}))
    detail = f" ({' '.join(error.detail.split())})" if error.detail else ""
    print(f"{error.code.value}: {error.info.en}{detail}", file=sys.stderr)
    return EXIT_REFUSED if refused else EXIT_FAULT


def _summary(out: Path, made: Manifest) -> str:
    video = made.result.picture
    return (
        f"{out}: {video.width}x{video.height}, {float(video.average_fps):g} fps, {video.frame_count} frames, "
        f"{float(made.result.duration_s):.2f} s, {len(made.result.audio)} audio, verified"
    )


if __name__ == "__main__":
    sys.exit(main())
