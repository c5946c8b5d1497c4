"""python -m bench.clips [--seconds 30] [--minutes 5] [--source FILE]: the table of bench/README.md, section clips.

A clip from the middle of a 1080p video, beginning between two key frames, by plain ffmpeg and by the engine, in turn in
one run. ffmpeg does less: no verification, preview, poster or loudness; its stream copy begins at a key frame.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import av
from imageio_ffmpeg import get_ffmpeg_exe

from activities.clips import FADE_S
from bench.enhance.measure import Cost, run
from contracts.kinds.clip import ClipFormat, Cut
from contracts.media import MediaLimits
from media.probe import probe

PIECE_S = 30
"""The source is made of one piece of this length, again and again."""
VERTICAL = "crop=ih*9/16:ih,scale=1080:1920:flags=lanczos"
X264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-c:a", "aac", "-b:a", "192k")


@dataclass(frozen=True)
class Case:
    name: str
    command: list[str]
    result: Path


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.clips", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="of the clip")
    parser.add_argument("--minutes", type=float, default=5.0, help="of the source that is synthesized")
    parser.add_argument("--source", type=Path, help="cut this file instead")
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="bench-clips-"))
    try:
        source = options.source or _synthesize(work, options.minutes)
        info = probe(source, MediaLimits())
        (work / "info.json").write_text(info.model_dump_json())
        video = info.picture
        start_s = float(video.duration_s) / 2 + 0.7
        print(
            f"source {video.width}x{video.height}, {float(video.duration_s):.0f} s, {info.bytes / 1e6:.0f} MB, "
            f"{video.codec}; clip of {options.seconds:g} s from {start_s:.1f} s\n"
        )
        print("| | wall s | CPU s | peak MB | begins at s | frames |")
        print("|---|---|---|---|---|---|")
        for case in _cases(source, work, start_s, start_s + options.seconds):
            print(_row(case, run(case.command), start_s), flush=True)
    finally:
        shutil.rmtree(work)


def _synthesize(work: Path, minutes: float) -> Path:
    """Test pictures with film grain at some 8 Mbit/s, a key frame every two seconds, and noise for sound."""
    piece, source = work / "piece.mp4", work / "source.mp4"
    _ffmpeg(
        "-f", "lavfi", "-i", f"testsrc2=size=1920x1080:rate=30:duration={PIECE_S},noise=alls=6:allf=t",
        "-f", "lavfi", "-i", f"anoisesrc=colour=pink:amplitude=0.3:sample_rate=48000:duration={PIECE_S}",
        "-c:v", "libx264", "-preset", "superfast", "-b:v", "8M", "-g", "60", "-bf", "2", "-pix_fmt", "yuv420p",
        "-c:a", "aac", "-ac", "2", str(piece),
    )  # fmt: skip
    loops = str(max(0, round(minutes * 60 / PIECE_S) - 1))
    _ffmpeg("-stream_loop", loops, "-i", str(piece), "-c", "copy", "-movflags", "faststart", str(source))
    return source


def _cases(source: Path, work: Path, start_s: float, end_s: float) -> list[Case]:
    entry = [
        "-ss",
        f"{start_s}",
        "-i",
        str(source),
        "-t",
        f"{end_s - start_s}",
        "-map",
        "0:v:0",
        "-map",
        "0:a:0",
    ]

    def ffmpeg(name: str, *arguments: str) -> Case:
        out = work / f"ffmpeg-{len(name)}.mp4"
        return Case(
            f"ffmpeg, {name}", [get_ffmpeg_exe(), "-v", "error", "-y", *entry, *arguments, str(out)], out
        )

    def engine(name: str, cut: Cut) -> Case:
        folder = work / name.replace(" ", "-").replace(",", "")
        command = [sys.executable, "-m", "bench.clips.engine", str(source), str(work / "info.json")]
        return Case(f"engine, {name}", [*command, cut.model_dump_json(), str(folder)], folder / "clip.mp4")

    cut = Cut(start_s=start_s, end_s=end_s, format=ClipFormat.ORIGINAL, fade_s=FADE_S)
    return [
        ffmpeg("stream copy", "-c", "copy"),
        engine("original, sound as it is", cut.model_copy(update={"lufs": None, "fade_s": 0.0})),
        engine("original, faded, -14 LUFS", cut),
        ffmpeg("coded anew", *X264),
        ffmpeg("vertical", "-vf", VERTICAL, *X264),
        engine("vertical, faded, -14 LUFS", cut.model_copy(update={"format": ClipFormat.VERTICAL})),
    ]


def _row(case: Case, cost: Cost, start_s: float) -> str:
    with av.open(str(case.result)) as container:
        frames = container.streams.video[0].frames
    begins = f"{start_s:.1f}" if "stream copy" not in case.name else "key frame before"
    return (
        f"| {case.name} | {cost.wall_s:.1f} | {cost.cpu_s:.1f} | {cost.peak_mb:.0f} | {begins} | {frames} |"
    )


def _ffmpeg(*arguments: str) -> None:
    subprocess.run([get_ffmpeg_exe(), "-v", "error", "-y", *arguments], check=True)


if __name__ == "__main__":
    main()
