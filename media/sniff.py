"""Which container a file is, by its first bytes, and what its headers claim, before ffmpeg touches it.

ffmpeg's own guessing would open playlists, scripts and image lists, some of which make it read other files or
addresses. Here only nine containers pass, and the demuxer is named to ffmpeg instead of guessed by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from contracts.errors import Code, EchoError
from contracts.media import ContainerName
from media.containers import Headers, ebml, flac, isobmff, mpeg, ogg, riff, wave

HEAD_BYTES = 4096

DECLARED: dict[str, tuple[ContainerName, ...]] = {
    "video/mp4": ("mp4", "mov"),
    "video/quicktime": ("mov", "mp4"),
    "video/3gpp": ("mp4",),
    "video/x-msvideo": ("avi",),
    "video/avi": ("avi",),
    "video/vnd.avi": ("avi",),
    "video/x-matroska": ("mkv", "webm"),
    "video/matroska": ("mkv", "webm"),
    "video/webm": ("webm",),
    "audio/mpeg": ("mp3",),
    "audio/mp4": ("mp4", "mov"),
    "audio/x-m4a": ("mp4", "mov"),
    "audio/wav": ("wav",),
    "audio/x-wav": ("wav",),
    "audio/flac": ("flac",),
    "audio/x-flac": ("flac",),
    "audio/ogg": ("ogg",),
}
"""Containers that a content type may stand for. MP4 and MOV are one family that phones mix up; WebM is a Matroska.
Whether there is a picture inside is not the type's to say: phones call a recording of sound `video/mp4` as well."""
UNDECLARED = ("", "application/octet-stream")

FAMILIES = {
    "mp4": isobmff,
    "mov": isobmff,
    "mkv": ebml,
    "webm": ebml,
    "avi": riff,
    "mp3": mpeg,
    "wav": wave,
    "flac": flac,
    "ogg": ogg,
}

STILL_BRANDS = {b"mif1", b"msf1", b"heic", b"heix", b"hevc", b"avif", b"avis", b"crx "}
MOVIE_ATOMS = {b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}
"""First atoms of QuickTime files from before `ftyp` existed."""

RIFF_FORMS: dict[bytes, ContainerName] = {b"AVI ": "avi", b"WAVE": "wav"}

POINTERS: tuple[tuple[bytes, str], ...] = (
    (b"#extm3u", "an HLS playlist"),
    (b"ffconcat", "an ffmpeg concat script"),
    (b"file ", "an ffmpeg concat script"),
    (b"v=0", "an SDP session description"),
    (b"[playlist]", "a PLS playlist"),
    (b"[reference]", "an ASX reference file"),
    (b"<asx", "an ASX playlist"),
    (b"<smil", "a SMIL playlist"),
    (b"<mpd", "a DASH manifest"),
    (b"rtsptext", "an RTSP reference"),
    (b"http://", "an address"),
    (b"https://", "an address"),
)
OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\x89PNG", "a PNG picture"),
    (b"GIF8", "a GIF animation"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"Rar!", "a RAR archive"),
    (b"%PDF", "a PDF document"),
    (b"ID3", "a tag of an MP3 without sound behind it"),
    (b"\x30\x26\xb2\x75", "a Windows Media file"),
    (b"FLV", "a Flash video"),
    (b"\x00\x00\x01\xba", "an MPEG program stream"),
    (b"\x47", "an MPEG transport stream"),
)


@dataclass(frozen=True)
class Sniffed:
    container: ContainerName
    headers: Headers


def sniff(path: Path, declared_type: str | None = None) -> Sniffed:
    """Container and claimed headers. Raises EchoError: NOT_A_VIDEO, EXTERNAL_REFERENCE, TYPE_MISMATCH, TRUNCATED,
    CORRUPT, CODEC_UNSUPPORTED."""
    size = path.stat().st_size
    with path.open("rb") as file:
        container = _container(file, size)
        _compare(container, declared_type)
        return Sniffed(container, FAMILIES[container].inspect(file, size))


def _container(file: BinaryIO, size: int) -> ContainerName:
    head = file.read(HEAD_BYTES)
    if not head:
        raise EchoError(Code.NOT_A_VIDEO, "the file is empty")
    if head[4:8] == b"ftyp":
        return _iso_brand(head)
    if head[4:8] in MOVIE_ATOMS:
        return "mov"
    if head[:4] == b"RIFF" and head[8:12] in RIFF_FORMS:
        return RIFF_FORMS[head[8:12]]
    if head[:4] == ogg.MAGIC:
        return "ogg"
    match ebml.doc_type(head):
        case "matroska":
            return "mkv"
        case "webm":
            return "webm"
    if flac.is_flac(file, size):
        return "flac"
    if mpeg.is_mp3(file, size):
        return "mp3"
    raise _refusal(head)


def _iso_brand(head: bytes) -> ContainerName:
    brand = head[8:12]
    if brand in STILL_BRANDS:
        raise EchoError(Code.NOT_A_VIDEO, f"a still picture (brand {brand.decode('latin-1')})")
    return "mov" if brand == b"qt  " else "mp4"


def _refusal(head: bytes) -> EchoError:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for start, name in POINTERS:
        if text.startswith(start):
            return EchoError(Code.EXTERNAL_REFERENCE, f"{name}, not a video")
    if text.startswith((b"<?xml", b"<svg", b"<!doctype")):
        if b"<mpd" in text or b"<smil" in text:
            return EchoError(Code.EXTERNAL_REFERENCE, "an XML manifest, not a video")
        return EchoError(Code.NOT_A_VIDEO, "an XML, SVG or HTML document")
    for start, name in OTHERS:
        if head.startswith(start):
            return EchoError(Code.NOT_A_VIDEO, name)
    return EchoError(Code.NOT_A_VIDEO, "unknown first bytes")


def _compare(container: ContainerName, declared_type: str | None) -> None:
    declared = (declared_type or "").partition(";")[0].strip().lower()
    if declared not in UNDECLARED and container not in DECLARED.get(declared, ()):
        raise EchoError(Code.TYPE_MISMATCH, f"declared as {declared}, the content is {container}")
