from __future__ import annotations

from typing import get_args

import pytest

from api.jobs.schemas import ContentType
from contracts.errors import Code, EchoError
from media.sniff import DECLARED, sniff


@pytest.mark.parametrize(
    ("name", "container"),
    [
        ("plain", "mp4"),
        ("fragmented", "mp4"),
        ("pcm_mov", "mov"),
        ("avi", "avi"),
        ("mkv", "mkv"),
        ("webm", "webm"),
        ("m4a", "mp4"),
        ("mp3", "mp3"),
        ("bare_mp3", "mp3"),
        ("mp3_behind_padding", "mp3"),
        ("wav", "wav"),
        ("flac", "flac"),
        ("tagged_flac", "flac"),
        ("opus", "ogg"),
        ("vorbis", "ogg"),
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


def test_headers_of_sound_tell_its_duration_where_they_know_it(clip):
    for name in ("m4a", "wav", "flac", "flac_with_cover", "tagged_flac", "sound_mkv"):
        assert sniff(clip(name)).headers.duration_s == pytest.approx(2, abs=0.03), name
    assert sniff(clip("mp3")).headers.duration_s == pytest.approx(2.04, abs=0.03)  # with the encoder's delay
    for name in ("bare_mp3", "live_wav", "opus", "vorbis"):
        assert sniff(clip(name)).headers.duration_s == 0, name


def test_what_only_begins_like_mp3_is_none(clip, tmp_path):
    frames = clip("bare_mp3").read_bytes()
    path = tmp_path / "song.mp3"
    for data in (
        frames[:700] + b"dear diary " * 200,
        b"\xff\xfe" + "dear diary".encode("utf-16-le") * 200,
        b"\xff" * 5000,
        b"\0" + frames,
        b"ID3\x04\0\0\0\0\0\0" * 3,
    ):
        path.write_bytes(data)
        with pytest.raises(EchoError) as caught:
            sniff(path)
        assert caught.value.code == Code.NOT_A_VIDEO


@pytest.mark.parametrize(
    ("head", "code"),
    [
        (b"ID3\x04\0\0\x7f\x7f\x7f\x7f", Code.TRUNCATED),
        (b"ID3\x04\0\0\0\0\0\0" * 101, Code.CORRUPT),
        (b"fLaC\x81\0\0\0", Code.CORRUPT),
        (b"fLaC\0\0\0\x22" + b"\0" * 34, Code.CORRUPT),
        (b"fLaC\0\0\0\x22" + b"\xff" * 34 + b"\xff", Code.TRUNCATED),
        (b"fLaC\0\0\0\x22" + b"\xff" * 34 + b"\x06\xff\xff\xff", Code.TRUNCATED),
        (b"RIFF\0\0\0\0WAVEdata\x01\0\0\0x", Code.CORRUPT),
        (b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0", Code.TRUNCATED),
        (b"OggS" + b"\0" * 22 + b"\xff" * 256, Code.TRUNCATED),
        ((b"OggS" + b"\0" * 23) * 100_001, Code.CORRUPT),
    ],
)
def test_headers_of_sound_that_do_not_hold_are_refused_before_ffmpeg_sees_them(tmp_path, head, code):
    path = tmp_path / "song"
    path.write_bytes(head)
    with pytest.raises(EchoError) as caught:
        sniff(path)
    assert caught.value.code == code


def test_a_matroska_number_of_unknown_size_says_nothing(tmp_path):
    segment = b"\x15\x49\xa9\x66\x83" + b"\x44\x89\xff"
    path = tmp_path / "odd.mkv"
    path.write_bytes(b"\x1a\x45\xdf\xa3\x8b\x42\x82\x88matroska" + b"\x18\x53\x80\x67\x88" + segment)
    assert sniff(path).headers.duration_s == 0


def test_tags_and_covers_that_would_fill_the_memory_are_refused(tmp_path):
    tag = b"ID3\x04\0\0\x20\0\0\0"
    cover = b"\x06\xff\xff\xff" + b"\0" * 0xFFFFFF
    flac = b"fLaC\0\0\0\x22" + (44100 << 44).to_bytes(18).ljust(34, b"\0")
    path = tmp_path / "song"
    for data in (tag + b"\0" * (0x20 << 21), flac + cover * 5):
        path.write_bytes(data)
        with pytest.raises(EchoError) as caught:
            sniff(path)
        assert caught.value.code == Code.CORRUPT


@pytest.mark.parametrize(
    ("name", "declared"),
    [
        ("m4a", "audio/mp4"),
        ("m4a", "audio/x-m4a"),
        ("m4a", "video/mp4"),  # as phones call a recording of sound
        ("mp3", "audio/mpeg"),
        ("wav", "audio/wav"),
        ("wav", "audio/x-wav"),
        ("flac", "audio/flac"),
        ("flac", "audio/x-flac"),
        ("opus", "audio/ogg"),
        ("vorbis", "audio/ogg; codecs=vorbis"),
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


def test_every_type_that_an_upload_may_declare_stands_for_a_container():
    assert set(get_args(ContentType)) <= set(DECLARED)


@pytest.mark.parametrize(
    ("name", "declared"),
    [
        ("avi", "video/mp4"),
        ("plain", "video/webm"),
        ("mkv", "video/webm"),
        ("plain", "image/jpeg"),
        ("plain", "text/html"),
        ("mp3", "video/mp4"),
        ("wav", "audio/mpeg"),
        ("plain", "audio/mpeg"),
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
        ("RIFF\x00\x00\x00\x00WEBPVP8 ", Code.NOT_A_VIDEO),
        ("\x00\x00\x00\x18ftypheic\x00\x00\x00\x00", Code.NOT_A_VIDEO),
    ],
)
def test_texts_and_other_formats_never_reach_a_demuxer(tmp_path, text, code):
    path = tmp_path / "video.mp4"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(EchoError) as caught:
        sniff(path)
    assert caught.value.code == code
