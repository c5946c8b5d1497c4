"""Recordings without picture in all that is accepted: two seconds of clicks each, see `pattern`."""

from __future__ import annotations

import struct
from pathlib import Path

from dev.clips.pattern import numbered
from dev.clips.writer import Sound, write_sound

PCM, MP3, FLAC, OPUS = (Sound(codec=codec) for codec in ("pcm_s16le", "libmp3lame", "flac", "libopus"))


def clip_m4a(folder: Path) -> Path:
    return write_sound(folder / "song.m4a", Sound(), "ipod")


def clip_m4a_with_cover(folder: Path) -> Path:
    return write_sound(folder / "cover.m4a", Sound(), "mp4", cover=numbered(1))


def clip_mp3(folder: Path) -> Path:
    return write_sound(folder / "song.mp3", MP3, "mp3")


def clip_mp3_with_cover(folder: Path) -> Path:
    return write_sound(folder / "cover.mp3", MP3, "mp3", cover=numbered(1))


def clip_bare_mp3(folder: Path) -> Path:
    """Frames only, as an encoder that was stopped leaves them: no tag, no length."""
    return write_sound(folder / "bare.mp3", MP3, "mp3", options={"id3v2_version": "0", "write_xing": "0"})


def clip_mp3_behind_padding(folder: Path) -> Path:
    """Two tags, and zeros before the first frame."""
    tags = _id3(b"\0" * 300) + _id3(b"\0" * 20) + b"\0" * 1000
    return _bytes(folder / "padded.mp3", tags + clip_bare_mp3(folder).read_bytes())


def clip_wav(folder: Path) -> Path:
    return write_sound(folder / "song.wav", PCM, "wav")


def clip_live_wav(folder: Path) -> Path:
    """Its recorder could not come back to write the length down."""
    data = bytearray(clip_wav(folder).read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = data[4:8] = b"\xff" * 4
    return _bytes(folder / "live.wav", bytes(data))


def clip_flac(folder: Path) -> Path:
    return write_sound(folder / "song.flac", FLAC, "flac")


def clip_flac_with_cover(folder: Path) -> Path:
    return write_sound(folder / "cover.flac", FLAC, "flac", cover=numbered(1))


def clip_tagged_flac(folder: Path) -> Path:
    """Behind a tag that belongs in front of MP3."""
    return _bytes(folder / "tagged.flac", _id3(b"\0" * 100) + clip_flac(folder).read_bytes())


def clip_opus(folder: Path) -> Path:
    return write_sound(folder / "song.opus", OPUS, "ogg")


def clip_vorbis(folder: Path) -> Path:
    return write_sound(folder / "song.ogg", Sound(codec="vorbis"), "ogg")


def clip_sound_mkv(folder: Path) -> Path:
    return write_sound(folder / "sound.mkv", Sound(), "matroska")


def clip_sound_webm(folder: Path) -> Path:
    return write_sound(folder / "sound.webm", OPUS, "webm")


def clip_sound_mov(folder: Path) -> Path:
    return write_sound(folder / "sound.mov", PCM, "mov")


def _id3(content: bytes) -> bytes:
    """A tag of version 2.4 with this content, shorter than 2048 bytes."""
    return b"ID3\x04\0\0" + struct.pack(">BBBB", 0, 0, len(content) >> 7, len(content) & 127) + content


def _bytes(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path
