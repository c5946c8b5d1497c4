from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from api.jobs.schemas import ContentType
from cli.exits import Exit, Stop
from cli.messages import Messages
from cli.videofile import inspect
from contracts.errors import Code
from contracts.kinds.base import Need
from dev.clips import sounds
from dev.clips.good import clip_avi, clip_fragmented, clip_mkv, clip_pcm_mov, clip_plain, clip_webm
from dev.clips.packaged import packaged

EN = Messages("en")


@pytest.mark.parametrize(
    ("make", "content_type"),
    [
        (clip_plain, "video/mp4"),
        (clip_pcm_mov, "video/quicktime"),
        (clip_avi, "video/x-msvideo"),
        (clip_mkv, "video/x-matroska"),
        (clip_webm, "video/webm"),
    ],
)
def test_a_real_clip_is_announced_as_what_it_is_whatever_its_name(tmp_path: Path, make, content_type: str):
    clip = make(tmp_path).rename(tmp_path / "clip.dat")
    found = inspect(clip, EN)
    assert content_type in get_args(ContentType)
    assert (found.content_type, found.bytes) == (content_type, clip.stat().st_size)


def test_the_duration_is_read_wherever_the_header_stands():
    assert inspect(packaged("bikes"), EN).duration_ms == 10_000
    assert inspect(packaged("carphone_pristine"), EN).duration_ms in range(3900, 4100)


def test_a_duration_that_the_header_does_not_know_is_left_out(tmp_path: Path):
    assert inspect(clip_mkv(tmp_path), EN).duration_ms is None
    assert inspect(clip_fragmented(tmp_path), EN).duration_ms is None
    header = b"\0\0\0\x08ftyp"
    for tail in (b"", b"\0\0\0\x01moov", b"\0\0\0\0mdat", b"\0\0\0\x02free", b"\0\0\0\x10moov\0\0\0\x08mvhd"):
        path = tmp_path / "odd.mp4"
        path.write_bytes(header + tail)
        assert inspect(path, EN).duration_ms is None


@pytest.mark.parametrize(
    ("content", "exit"),
    [(b"", Exit.BAD_FILE), (b"#EXTM3U\nhttp://x/y.ts", Exit.BAD_FILE), (None, Exit.USAGE)],
)
def test_what_is_no_video_file_is_refused_before_anything_is_sent(tmp_path: Path, content, exit: Exit):
    path = tmp_path / "clip.mp4"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(Stop) as raised:
        inspect(path, EN)
    assert raised.value.exit is exit
    assert str(path) in raised.value.message


@pytest.mark.parametrize(
    ("make", "content_type", "duration_ms"),
    [
        (sounds.clip_m4a, "audio/mp4", 2000),
        (sounds.clip_mp3, "audio/mpeg", None),
        (sounds.clip_bare_mp3, "audio/mpeg", None),
        (sounds.clip_mp3_with_cover, "audio/mpeg", None),
        (sounds.clip_mp3_behind_padding, "audio/mpeg", None),
        (sounds.clip_wav, "audio/wav", None),
        (sounds.clip_flac, "audio/flac", None),
        (sounds.clip_tagged_flac, "audio/flac", None),
        (sounds.clip_opus, "audio/ogg", None),
        (sounds.clip_vorbis, "audio/ogg", None),
        (sounds.clip_sound_webm, "video/webm", None),
    ],
)
def test_a_recording_is_announced_as_what_it_is_unless_a_picture_is_needed(
    tmp_path: Path, make, content_type: str, duration_ms: int | None
):
    clip = make(tmp_path).rename(tmp_path / "clip.dat")
    found = inspect(clip, EN, frozenset({Need.SOUND}))
    assert content_type in get_args(ContentType)
    assert (found.content_type, found.duration_ms) == (content_type, duration_ms)
    if content_type.startswith("audio/"):
        with pytest.raises(Stop) as raised:
            inspect(clip, EN, frozenset({Need.PICTURE}))
        assert (raised.value.exit, raised.value.code) == (Exit.BAD_FILE, Code.NO_VIDEO)
