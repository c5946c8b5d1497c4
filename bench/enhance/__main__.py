"""python -m bench.enhance [--clip FILE] [--seconds 2] [--hd]: prints the table of bench/README.md, section enhance.

The clip is made half its size, every pipeline enlarges that to the original's size at 60 fps, and the frames that
fall on source frames are compared with the original's. All pipelines run one after another on the same machine, with
the same network, the same flow and the same x264 settings. `--hd` measures the engine's memory on a 1080p source.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import av
from imageio_ffmpeg import get_ffmpeg_exe

from bench.enhance.measure import Cost, Quality, quality, run
from bench.enhance.peers import network_name
from dev.clips import packaged

PEERS = ("interpolate_first", "upscale_first", "bare")
HD_FRAMES = 4


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.enhance", description=__doc__)
    parser.add_argument("--clip", type=Path, default=packaged("bikes"))
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--hd", action="store_true")
    options = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="bench-enhance-"))
    try:
        if options.hd:
            _hd_memory(options.clip, work)
        else:
            _compare(options.clip, options.seconds, work)
    finally:
        shutil.rmtree(work)


def _compare(clip: Path, seconds: float, work: Path) -> None:
    original, source = work / "original.mkv", work / "source.mp4"
    trim = ["-i", str(clip), "-t", str(seconds), "-an"]
    _ffmpeg(*trim, "-c:v", "ffv1", "-pix_fmt", "yuv420p", str(original))
    half = ["-vf", "scale=iw/4*2:ih/4*2:flags=area"]
    _ffmpeg(*trim, *half, "-c:v", "libx264", "-crf", "14", "-pix_fmt", "yuv420p", str(source))
    with av.open(str(source)) as container:
        stream = container.streams.video[0]
        fps, frames = stream.average_rate, stream.frames
        print(
            f"source {stream.width}x{stream.height}, {frames} frames at {fps} fps; Real-ESRGAN: {network_name()}\n"
        )
    assert fps
    print("| pipeline | wall s | CPU s | peak MB | written MB | PSNR dB | SSIM | VMAF |")
    print("|---|---|---|---|---|---|---|---|")
    for name in (*PEERS, "engine", "engine, lanczos"):
        out = work / f"{name.replace(', ', '_')}.mp4"
        cost = run(_command(name, source, out))
        found = quality(out, original, Fraction(fps), work / "vmaf.json")
        print(_row(name, cost, found), flush=True)


def _command(name: str, source: Path, out: Path) -> list[str]:
    if name in PEERS:
        return [sys.executable, "-m", "bench.enhance.peers", name, str(source), str(out)]
    upscaler = ["--upscaler", "lanczos"] if name.endswith("lanczos") else []
    return [
        sys.executable,
        "-m",
        "media",
        "enhance",
        str(source),
        str(out),
        "--workers",
        "2",
        "--json",
        *upscaler,
    ]


def _row(name: str, cost: Cost, found: Quality) -> str:
    return (
        f"| {name} | {cost.wall_s:.1f} | {cost.cpu_s:.1f} | {cost.peak_mb:.0f} | {cost.written_mb:.1f} "
        f"| {found.psnr_db:.2f} | {found.ssim:.4f} | {found.vmaf:.2f} |"
    )


def _hd_memory(clip: Path, work: Path) -> None:
    source, out = work / "hd.mp4", work / "out.mp4"
    size = ["-vf", "scale=1920:1080", "-frames:v", str(HD_FRAMES), "-an"]
    _ffmpeg("-i", str(clip), *size, "-c:v", "libx264", "-pix_fmt", "yuv420p", str(source))
    cost = run([sys.executable, "-m", "media", "enhance", str(source), str(out), "--workers", "1", "--json"])
    print(
        f"1920x1080, {HD_FRAMES} frames, one engine process: {cost.peak_process_mb:.0f} MB resident at most, {cost}"
    )


def _ffmpeg(*arguments: str) -> None:
    subprocess.run([get_ffmpeg_exe(), "-v", "error", "-y", *arguments], check=True)


if __name__ == "__main__":
    main()
