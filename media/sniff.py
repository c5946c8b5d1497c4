"""Which container a file is, by its first bytes, and what its headers claim, before ffmpeg touches it.

ffmpeg's own guessing would open playlists, scripts and image lists, some of which make it read other files or
addresses. Here only five containers pass, and the demuxer is named to ffmpeg instead of guessed by it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from contracts.errors import Code, EchoError
from contracts.media import ContainerName
from media.containers import Headers, ebml, isobmff, riff

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
}
"""Containers that a content type may stand for. MP4 and MOV are one family that phones mix up; WebM is a Matroska."""
UNDECLARED = ("", "application/octet-stream")

STILL_BRANDS = {b"mif1", b"msf1", b"heic", b"heix", b"hevc", b"avif", b"avis", b"crx "}
MOVIE_ATOMS = {b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}
"""First atoms of QuickTime files from before `ftyp` existed."""

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
    (b"ID3", "an MP3 file"),
    (b"OggS", "an Ogg file"),
    (b"fLaC", "a FLAC file"),
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
        container = _container(file.read(HEAD_BYTES))
        _compare(container, declared_type)
        family = {"mp4": isobmff, "mov": isobmff, "mkv": ebml, "webm": ebml, "avi": riff}[container]
        return Sniffed(container, family.inspect(file, size))


def _container(head: bytes) -> ContainerName:
    if not head:
        raise EchoError(Code.NOT_A_VIDEO, "the file is empty")
    if head[4:8] == b"ftyp":
        return _iso_brand(head)
    if head[4:8] in MOVIE_ATOMS:
        return "mov"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return "avi"
    match ebml.doc_type(head):
        case "matroska":
            return "mkv"
        case "webm":
            return "webm"
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
