"""What of a clip's pictures is copied, and that every decoder shows copied and coded ones in one row."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest

from contracts.kinds.clip import ClipFormat
from media.clips.avc import parse
from media.ffmpeg.command import executable
from media.opening import open_media, video_stream
from tests.media.clips.sources import decoded, number_in, shown_numbers
from tests.media.pixels import psnr

ORIGINAL = ClipFormat.ORIGINAL


@pytest.mark.parametrize(
    ("start_s", "end_s", "copied"),
    [(1.0, 3.0, "all"), (0.5, 3.0, "inner"), (1.0, 2.5, "inner"), (0.3, 3.7, "inner"), (1.2, 1.9, "none")],
)
def test_pictures_between_key_frames_are_copied(source, tmp_path, start_s, end_s, copied):
    clip = source("plain").cut(tmp_path, start_s, end_s, ORIGINAL, lufs=None)
    assert clip.copied == copied
    assert shown_numbers(clip) == source("plain").numbers(start_s, end_s)


def test_copied_pictures_are_the_sources_to_the_bit_and_coded_ones_hardly_differ(source, tmp_path):
    clip = source("plain").cut(tmp_path, 0.5, 3.5, ORIGINAL, lufs=None)
    originals = [picture for _, picture in decoded(source("plain").path)][15:105]
    made = [picture for _, picture in decoded(clip)]
    assert clip.copied == "inner"
    same = [np.array_equal(a, b) for a, b in zip(made, originals, strict=True)]
    assert all(same[15:75])  # from the key frame at 1 s to beyond the one at 2 s
    assert not any(same[:15])
    assert min(psnr(a, b) for a, b in zip(made, originals, strict=True)) > 36
    with open_media(tmp_path / "clip.mp4", "mp4") as container:
        configuration = parse(video_stream(container).codec_context.extradata)
    assert configuration is not None
    assert (len(configuration.sps), len(configuration.pps)) == (2, 2)  # both in the one header


@pytest.mark.parametrize("fade_s", [0.0, 0.25])
def test_hevc_is_copied_in_whole_groups_whose_ends_are_hidden(source, tmp_path, fade_s):
    """Faded in its sound alone: a phone's HEVC is not coded anew for that."""
    clip = source("hevc").cut(tmp_path, 0.7, 2.45, ORIGINAL, lufs=None, fade_s=fade_s)
    originals = [picture for _, picture in decoded(source("hevc").path)]
    numbers = source("hevc").numbers(0.7, 2.45)
    assert clip.copied == "all"
    made = [picture for _, picture in decoded(clip)]
    assert all(np.array_equal(a, originals[b]) for a, b in zip(made, numbers, strict=True))
    assert clip.info.picture.frame_count == len(numbers)


def test_what_cannot_be_joined_cleanly_is_coded_anew(source, tmp_path):
    assert source("open_gop").cut(tmp_path, 1.1, 2.9, ORIGINAL, lufs=None).copied == "none"


@pytest.mark.parametrize("name", ["plain", "hevc"])
def test_another_ffmpeg_decodes_the_same_frames(source, tmp_path, name):
    clip = source(name).cut(tmp_path, 0.5, 3.5, ORIGINAL, lufs=None)
    rows = [*("-f", "rawvideo", "-pix_fmt", "rgb24"), "-fps_mode", "passthrough", "pipe:1"]
    command = [executable(), "-v", "error", "-i", clip.video, "-map", "0:v", *rows]
    raw = subprocess.run(command, capture_output=True, check=True)
    pictures = np.frombuffer(raw.stdout, np.uint8).reshape(-1, 180, 320, 3)
    assert raw.stderr == b""
    assert [number_in(picture) for picture in pictures] == source(name).numbers(0.5, 3.5)
