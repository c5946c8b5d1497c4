from __future__ import annotations

import pytest

from contracts.errors import Code, EchoError
from media.sniff import sniff


@pytest.mark.parametrize(
    ("name", "container"),
    [
        ("plain", "mp4"),
        ("fragmented", "mp4"),
        ("pcm_mov", "mov"),
        ("avi", "avi"),
        ("mkv", "mkv"),
        ("webm", "webm"),
    ],
)
def test_the_container_is_known_by_its_content_whatever_its_name(clip, tmp_path, name, container):
    disguised = tmp_path / "holiday.txt"
    disguised.write_bytes(clip(name).read_bytes())
    assert sniff(disguised).container == container


def test_headers_tell_size_and_duration_before_anything_is_decoded(clip):
    for name in ("plain", "pcm_mov", "avi", "mkv", "webm"):
        headers = sniff(clip(name)).headers
        assert (headers.width, headers.height) == (160, 120)
        assert headers.duration_s == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize(
    ("name", "declared"),
    [
        ("plain", "video/mp4"),
        ("plain", "video/mp4; codecs=avc1"),
        ("plain", "VIDEO/MP4"),
        ("plain", None),
        ("plain", "application/octet-stream"),
        ("pcm_mov", "video/quicktime"),
        ("pcm_mov", "video/mp4"),  # phones mix the two up, and one demuxer reads both
        ("avi", "video/x-msvideo"),
        ("mkv", "video/x-matroska"),
        ("webm", "video/webm"),
    ],
)
def test_a_declared_type_that_agrees_passes(clip, name, declared):
    sniff(clip(name), declared)


@pytest.mark.parametrize(
    ("name", "declared"),
    [
        ("avi", "video/mp4"),
        ("plain", "video/webm"),
        ("mkv", "video/webm"),
        ("plain", "image/jpeg"),
        ("plain", "text/html"),
    ],
)
def test_a_declared_type_that_disagrees_is_refused(clip, name, declared):
    with pytest.raises(EchoError) as caught:
        sniff(clip(name), declared)
    assert caught.value.code == Code.TYPE_MISMATCH


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("#EXTM3U\n", Code.EXTERNAL_REFERENCE),
        ("\ufeff \n#extm3u\n", Code.EXTERNAL_REFERENCE),
        ("file '/etc/passwd'\n", Code.EXTERNAL_REFERENCE),
        ('<?xml version="1.0"?><MPD></MPD>', Code.EXTERNAL_REFERENCE),
        ("https://example.org/a.mp4", Code.EXTERNAL_REFERENCE),
        ("<!DOCTYPE html><html></html>", Code.NOT_A_VIDEO),
        ("dear diary", Code.NOT_A_VIDEO),
        ("RIFF\x00\x00\x00\x00WAVEfmt ", Code.NOT_A_VIDEO),
        ("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00", Code.NOT_A_VIDEO),
    ],
)
def test_texts_and_other_formats_never_reach_a_demuxer(tmp_path, text, code):
    path = tmp_path / "video.mp4"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(EchoError) as caught:
        sniff(path)
    assert caught.value.code == code
