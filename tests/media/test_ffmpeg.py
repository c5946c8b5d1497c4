from __future__ import annotations

from pathlib import Path

import ffmpeg
import pytest

from contracts.errors import Code, EchoError
from media.ffmpeg import command
from media.ffmpeg.errors import from_failure


def test_a_command_runs_and_tells_how_far_it_is(clip, tmp_path):
    out, positions = tmp_path / "out.mp4", []
    command.run(
        ffmpeg.output(command.source(clip("plain"), "mp4"), command.target(out), c="copy"),
        timeout_s=60,
        on_time=positions.append,
    )
    assert out.stat().st_size > 0
    assert positions[-1] > 900_000


def test_a_name_that_looks_like_an_option_or_a_protocol_is_only_a_name(clip, tmp_path):
    odd = tmp_path / "http:--version; rm -rf $HOME.mp4"
    odd.write_bytes(clip("plain").read_bytes())
    out = tmp_path / "concat:a|b.mp4"
    command.run(ffmpeg.output(command.source(odd, "mp4"), command.target(out), c="copy"), timeout_s=60)
    assert out.exists()


def test_a_playlist_is_not_followed_even_when_it_gets_this_far(clip, tmp_path):
    copy = ffmpeg.output(command.source(clip("playlist"), "mp4"), command.target(tmp_path / "o.mp4"))
    with pytest.raises(EchoError) as caught:
        command.run(copy, timeout_s=60)
    assert caught.value.code == Code.CORRUPT


def test_a_wrong_command_is_our_fault_and_not_the_files(clip, tmp_path):
    wrong = ffmpeg.output(
        command.source(clip("plain"), "mp4"), command.target(tmp_path / "o.mp4"), vcodec="nonsense"
    )
    with pytest.raises(EchoError) as caught:
        command.run(wrong, timeout_s=60)
    assert caught.value.code == Code.ENGINE_CRASHED
    assert "nonsense" in caught.value.detail


def test_a_command_that_does_not_end_is_killed(tmp_path):
    endless = ffmpeg.input("anullsrc", f="lavfi", re=None).output(command.target(tmp_path / "o.wav"))
    with pytest.raises(EchoError) as caught:
        command.run(endless, timeout_s=0.5)
    assert caught.value.code == Code.ENGINE_STALLED


def test_a_full_disk_is_named_so(clip):
    sound = ffmpeg.output(command.source(clip("plain"), "mp4"), command.target(Path("/dev/full")), f="wav")
    with pytest.raises(EchoError) as caught:
        command.run(sound, timeout_s=60)
    assert caught.value.code == Code.OUT_OF_DISK


@pytest.mark.parametrize(
    ("returncode", "stderr", "code"),
    [
        (1, "av_interleaved_write_frame(): No space left on device", Code.OUT_OF_DISK),
        (183, "in.mp4: Invalid data found when processing input", Code.CORRUPT),
        (
            1,
            "Unrecognized option 'x'.\nError opening input: Invalid data found when processing input",
            Code.ENGINE_CRASHED,
        ),
        (-11, "", Code.ENGINE_CRASHED),
        (1, "something new", Code.ENGINE_CRASHED),
    ],
)
def test_failures_are_named_by_their_cause(returncode, stderr, code):
    assert from_failure(returncode, stderr).code == code
