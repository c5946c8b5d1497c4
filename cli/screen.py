"""What the user sees. Answers go to stdout; notes and bars to stderr, so that they never end up in a pipe."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.progress import Progress as Bars

from cli.follow import Progress
from cli.messages import Messages


class Screen:
    """`as_json`: stdout carries JSON documents only, one a line, and nothing moves."""

    def __init__(self, messages: Messages, *, as_json: bool) -> None:
        self.messages = messages
        self.as_json = as_json
        self.out = Console(markup=False, highlight=False, soft_wrap=True)
        self.err = Console(stderr=True, markup=False, highlight=False, soft_wrap=True)

    @property
    def bars_shown(self) -> bool:
        return self.err.is_terminal and not self.as_json

    def document(self, type: str, content: dict[str, Any]) -> None:
        """One line of JSON; nothing for people."""
        if self.as_json:
            sys.stdout.write(json.dumps({"type": type, **content}, ensure_ascii=False) + "\n")
            sys.stdout.flush()

    def say(self, text: str) -> None:
        """An answer, for people."""
        if not self.as_json:
            self.out.print(text)

    def note(self, text: str) -> None:
        """Something about the way there."""
        self.err.print(text)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        if self.as_json:
            return
        if not rows:
            self.out.print(self.messages("nothing"))
            return
        # No rich table: it cuts columns off in a narrow window or a pipe, and half an id is of no use.
        widths = [max(map(cell_len, cells)) for cells in zip(columns, *rows, strict=True)]
        for row in (columns, *rows):
            padded = (cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True))
            self.out.print("  ".join(padded).rstrip())

    @contextmanager
    def bytes_bar(self, title: str, total: int) -> Generator[Callable[[int], None]]:
        """A bar of bytes; call what it gives with the bytes done so far."""
        bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=self.err,
            disable=not self.bars_shown,
        )
        with bars:
            task = bars.add_task(title, total=total)
            yield lambda done: bars.update(task, completed=done)

    @contextmanager
    def rows_bar(self, title: str, total: int) -> Generator[Callable[[int], None]]:
        """The same of rows."""
        bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self.err,
            disable=not self.bars_shown,
        )
        with bars:
            task = bars.add_task(title, total=total)
            yield lambda done: bars.update(task, completed=done)

    @contextmanager
    def stage_bars(self) -> Generator[Callable[[Progress], None]]:
        """One bar for each stage of a job; call what it gives with every progress."""
        bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[eta]}"),
            console=self.err,
            disable=not self.bars_shown,
        )
        tasks: dict[str, TaskID] = {}
        shown = ""

        def show(progress: Progress) -> None:
            nonlocal shown
            status = self.messages.name(progress.status)
            if not self.bars_shown and not self.as_json and status != shown:
                self.err.print(f"{progress.job_id}: {status}")
            shown = status
            for stage in progress.stages:
                name = self.messages.name(stage.name)
                if stage.name not in tasks:
                    tasks[stage.name] = bars.add_task(name, total=100, eta="")
                eta = self._eta(progress) if stage.state == "running" else ""
                bars.update(tasks[stage.name], completed=stage.percent, eta=eta)

        with bars:
            yield show

    def _eta(self, progress: Progress) -> str:
        if progress.eta_s is None:
            return ""
        minutes, seconds = divmod(progress.eta_s, 60)
        return self.messages("eta", time=f"{minutes}:{seconds:02}")


def local_time(text: str) -> str:
    """An instant of the API in the user's own time zone."""
    return datetime.fromisoformat(text).astimezone().strftime("%Y-%m-%d %H:%M")
