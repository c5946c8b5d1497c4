"""`python -m media enhance`: a whole run in real engine processes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from contracts.errors import Code, EchoError
from contracts.kinds.enhance import EnhanceParams
from contracts.media import Manifest, MediaLimits
from media.__main__ import EXIT_FAULT, EXIT_REFUSED, EXIT_USAGE, main
from media.enhance import enhance
from media.manifest import sha256_file
from media.probe import probe

PLAIN = EnhanceParams(upscaler="lanczos")


@pytest.mark.slow
def test_a_clip_with_sound_comes_out_twice_as_large_at_60_fps_and_verified(
    clip, tmp_path: Path, capsys
) -> None:
    out = tmp_path / "out.mp4"
    assert main(["enhance", str(clip("plain")), str(out), "--workers", "2"]) == 0
    assert "320x240, 60 fps, 60 frames, 1.00 s, 1 audio, verified" in capsys.readouterr().out
    made = Manifest.model_validate_json((tmp_path / "out.mp4.manifest.json").read_text())
    assert made.verification.ok
    assert made.result == probe(out, MediaLimits())
    assert made.result.sha256 == sha256_file(out)[1]
    assert {use.role: use.name for use in made.engines} == {
        "decode": "h264", "upscale": "animevideov3 (ncnn)", "interpolate": "dis optical flow", "encode": "libx264",
    }  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4", "out.mp4.manifest.json"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["odd_sized", "ntsc", "variable_rate", "rotated_90", "hlg", "two_tracks"])
def test_odd_clips_are_enhanced_and_verified(name: str, clip, tmp_path: Path) -> None:
    source = probe(clip(name), MediaLimits())
    made = enhance(clip(name), tmp_path / "out.mp4", PLAIN, workers=1)
    assert made.verification.ok
    assert made.result.picture.rotation_deg == source.picture.rotation_deg
    assert made.result.picture.frame_count == round(source.picture.duration_s * 60)
    assert len(made.result.audio) == len(source.audio)
    assert made.result.picture.color.transfer == source.picture.color.transfer


def test_a_refused_source_is_one_line_with_its_code(clip, tmp_path: Path, capsys) -> None:
    source = tmp_path / "notes.mp4"
    source.write_text("this is not a video")
    assert main(["enhance", str(source), str(tmp_path / "out.mp4")]) == EXIT_REFUSED
    assert capsys.readouterr().err.strip().splitlines()[-1].startswith("not_a_video: This is not a video")
    assert main(["enhance", str(source), str(tmp_path / "out.mp4"), "--json"]) == EXIT_REFUSED
    assert json.loads(capsys.readouterr().out)["code"] == "not_a_video"
    assert [path.name for path in tmp_path.iterdir()] == ["notes.mp4"]


@pytest.mark.parametrize(
    "wrong",
    [["--strength", "2"], ["--scale", "3"], ["--workers", "0"], ["--upscaler", "magic"], ["--fps", "61"]],
)
def test_a_wrong_command_line_is_told_before_any_work(wrong: list[str], tmp_path: Path, capsys) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["enhance", "in.mp4", str(tmp_path / "out.mp4"), *wrong])
    assert caught.value.code == EXIT_USAGE
    assert wrong[0].lstrip("-") in capsys.readouterr().err


def test_the_source_is_never_overwritten(clip) -> None:
    before = sha256_file(clip("silent"))
    with pytest.raises(EchoError) as caught:
        enhance(clip("silent"), clip("silent"), PLAIN, workers=1)
    assert caught.value.code == Code.BAD_REQUEST
    assert sha256_file(clip("silent")) == before


def test_a_place_that_cannot_be_written_is_told_without_a_traceback(clip, tmp_path: Path, capsys) -> None:
    (tmp_path / "file").write_text("not a folder")
    out = tmp_path / "file" / "out.mp4"
    assert main(["enhance", str(clip("silent")), str(out), "--upscaler", "lanczos"]) == EXIT_FAULT
    assert "file" in capsys.readouterr().err.strip().splitlines()[-1]


class _PulledPlug(Exception):
    pass


@pytest.mark.slow
def test_an_interrupted_run_goes_on_where_it_stopped(clip, tmp_path: Path) -> None:
    out, whole = tmp_path / "out.mp4", tmp_path / "whole.mp4"
    enhance(clip("ntsc"), whole, PLAIN, workers=1)

    def pull_the_plug(stage: str, done: int, total: int) -> None:
        if stage == "interpolate" and done > total / 2:
            raise _PulledPlug

    with pytest.raises(_PulledPlug):
        enhance(clip("ntsc"), out, PLAIN, workers=1, progress=pull_the_plug)
    assert not out.exists()
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob(".out.mp4.work/*.mp4")}
    assert kept
    redone: list[int] = []
    made = enhance(
        clip("ntsc"), out, PLAIN, workers=1,
        progress=lambda stage, done, total: redone.append(done) if stage == "upscale" else None,
    )  # fmt: skip
    assert min(redone) > 1, "the first segment is not made again"
    assert made.result.sha256 == sha256_file(whole)[1], "and the result is the same, byte for byte"
