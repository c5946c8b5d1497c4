from __future__ import annotations

from pathlib import Path

import pytest

from cli.follow import Progress
from cli.messages import Messages
from cli.screen import Screen
from contracts.jobs import JobStatus, Stage, StageState
from storage.store import Store
from tests.api.acts import succeed
from tests.cli.conftest import Echoshot

RUNNING = Progress(
    job_id="job_1",
    status=JobStatus.RUNNING,
    stages=(
        Stage(name="ingest", state=StageState.DONE, percent=100),
        Stage(name="upscale", state=StageState.RUNNING, percent=40),
        Stage(name="mux", state=StageState.WAITING, percent=0),
    ),
    eta_s=95,
)


def test_a_terminal_shows_a_bar_for_each_stage_with_the_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with Screen(Messages("ko"), as_json=False).stage_bars() as show:
        show(RUNNING)
    shown = capsys.readouterr()
    assert shown.out == ""
    for part in ("확인", "업스케일", "합치기", "40%", "약 1:35 남음"):
        assert part in shown.err


def test_a_pipe_gets_one_line_for_each_change_of_state(capsys: pytest.CaptureFixture[str]):
    with Screen(Messages("en"), as_json=False).stage_bars() as show:
        show(RUNNING)
        show(RUNNING)
        show(RUNNING.model_copy(update={"status": JobStatus.SUCCEEDED}))
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "job_1: running\njob_1: done\n")


def test_json_is_never_mixed_with_words_or_bars(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("FORCE_COLOR", "1")
    screen = Screen(Messages("en"), as_json=True)
    with screen.stage_bars() as show, screen.bytes_bar("Uploading", 10) as on_bytes:
        show(RUNNING)
        on_bytes(5)
    screen.say("words")
    screen.table(["a"], [["b"]])
    screen.document("job", {"name": "한글"})
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ('{"type": "job", "name": "한글"}\n', "")


def test_an_id_is_never_cut_off_however_narrow_the_window(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("COLUMNS", "20")
    job_id = "job_" + "0" * 32
    Screen(Messages("en"), as_json=False).table(["id", "status"], [[job_id, "running"]])
    assert f"{job_id} running" in " ".join(capsys.readouterr().out.split())


async def test_names_with_brackets_are_shown_as_they_are(echoshot: Echoshot, fan: str, home: Path):
    ended = await echoshot("enhance", "[bold]stage[/bold].mp4")
    assert "[bold]stage[/bold].mp4" in ended.err


async def test_a_finished_job_reads_well(echoshot: Echoshot, fan: str, clip: Path, database, store: Store):
    job_id = (await echoshot("enhance", clip, "--no-wait", "--json")).document("job")["id"]
    await succeed(database, store, job_id)
    shown = (await echoshot("job", job_id)).out
    assert job_id in shown
    assert "done" in shown
    assert "upscale:" in shown
