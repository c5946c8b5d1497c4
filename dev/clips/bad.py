"""Files that must be refused, each for one reason: the code that the probe answers is in `REFUSALS`."""

from __future__ import annotations

import io
import random
import struct
import zipfile
from fractions import Fraction
from pathlib import Path

import av
from av.video.frame import VideoFrame

from contracts.errors import Code
from dev.clips.good import clip_avi, clip_mkv, clip_plain
from dev.clips.pattern import numbered
from dev.clips.writer import X264, Look, Sound, steady, write, write_sound
from media.containers.isobmff import boxes

SOUND = Sound(duration_s=Fraction(1))


def clip_empty(folder: Path) -> Path:
    return _bytes(folder / "empty.mp4", b"")


def clip_random_bytes(folder: Path) -> Path:
    return _bytes(folder / "random.mp4", random.Random(1).randbytes(20_000))  # noqa: S311


def clip_random_body(folder: Path) -> Path:
    """A true first box, then noise."""
    return _bytes(folder / "random_body.mp4", _plain(folder)[:32] + random.Random(2).randbytes(20_000))  # noqa: S311


def clip_jpeg(folder: Path) -> Path:
    picture = VideoFrame.from_ndarray(numbered(1), format="rgb24")
    path = folder / "picture.jpg"
    picture.save(path)
    return path.rename(folder / "jpeg.mp4")


def clip_zip(folder: Path) -> Path:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("video.mp4", b"x" * 1000)
    return _bytes(folder / "zip.mp4", archive.getvalue())


def clip_svg(folder: Path) -> Path:
    return _bytes(folder / "svg.mp4", b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>')


def clip_playlist(folder: Path) -> Path:
    """An HLS playlist that calls itself MP4 and points to a local file."""
    return _bytes(folder / "playlist.mp4", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n")


def clip_concat_script(folder: Path) -> Path:
    return _bytes(folder / "concat.mp4", b"ffconcat version 1.0\nfile '/etc/hostname'\n")


def clip_sdp(folder: Path) -> Path:
    return _bytes(folder / "sdp.mp4", b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n")


def clip_external_reference(folder: Path) -> Path:
    """A MOV whose media data are declared to be in another file."""
    data = write(folder / "plain.mov", steady(5)).read_bytes()
    at = data.index(b"dref") + 8
    entry = data.index(b"url ", at)
    flags = slice(entry + 4, entry + 8)
    return _bytes(folder / "external.mov", data[: flags.start] + b"\0\0\0\0" + data[flags.stop :])


def clip_reference_movie(folder: Path) -> Path:
    """QuickTime's redirect to another address."""
    url = b"http://127.0.0.1/other.mov\0"
    rdrf = _box(b"rdrf", b"\0\0\0\0url " + struct.pack(">I", len(url)) + url)
    movie = _box(b"moov", _box(b"rmra", _box(b"rmda", rdrf)))
    return _bytes(folder / "reference.mov", _box(b"ftyp", b"qt  \0\0\0\0qt  ") + movie)


def clip_linked_mkv(folder: Path) -> Path:
    """A Matroska that names the file to play next. The name takes the place of the muxer's own name."""
    data = clip_mkv(folder).read_bytes()
    at = data.index(b"\x4d\x80")  # MuxingApp: 2 bytes of id, size, text; NextFilename has 3 bytes of id
    length = data[at + 2] & 0x7F
    linked = b"\x3e\x83\xbb" + bytes([0x80 | (length - 1)]) + b"n" * (length - 1)
    return _bytes(folder / "linked.mkv", data[:at] + linked + data[at + 3 + length :])


def clip_no_index(folder: Path) -> Path:
    """A recording that was never closed: media data without `moov`."""
    data = _plain(folder)
    return _bytes(folder / "no_index.mp4", data[: data.rindex(b"moov") - 4])


def clip_cut_off(folder: Path) -> Path:
    """An upload that ended early: the index comes first and promises more than there is."""
    data = write(folder / "fast.mp4", steady(30), options={"movflags": "faststart"}).read_bytes()
    return _bytes(folder / "cut_off.mp4", data[: len(data) * 6 // 10])


def clip_short_media(folder: Path) -> Path:
    """As `clip_cut_off`, but the length of the media data was corrected: only its sample table tells."""
    path = clip_cut_off(folder)
    data = bytearray(path.read_bytes())
    at = data.index(b"mdat") - 4
    data[at : at + 4] = struct.pack(">I", len(data) - at)
    return _bytes(folder / "short_media.mp4", bytes(data))


def clip_cut_off_mkv(folder: Path) -> Path:
    data = clip_mkv(folder).read_bytes()
    return _bytes(folder / "cut_off.mkv", data[: len(data) // 2])


def clip_cut_off_avi(folder: Path) -> Path:
    data = clip_avi(folder).read_bytes()
    return _bytes(folder / "cut_off.avi", data[: len(data) // 2])


def clip_no_frames(folder: Path) -> Path:
    """A video track whose sample tables are empty."""
    path = folder / "no_frames.mp4"
    with av.open(str(path), "w", options={"movflags": "empty_moov"}) as container:
        stream = container.add_stream("libx264", rate=30, options=dict(X264))
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        container.start_encoding()
    return path


def clip_nothing_in_it(folder: Path) -> Path:
    """The only track is neither picture nor sound."""
    data = clip_unknown_sound(folder).read_bytes()
    return _bytes(folder / "nothing.mp4", data.replace(b"soun", b"zzzz").replace(b"smhd", b"zzzz"))


def clip_unknown_sound(folder: Path) -> Path:
    data = write_sound(folder / "sound.m4a", SOUND, "ipod").read_bytes()
    return _bytes(folder / "unknown_sound.m4a", data.replace(b"mp4a", b"zzz9").replace(b"esds", b"zzzz"))


def clip_no_sound(folder: Path) -> Path:
    """A WAV that was begun and never written to."""
    data = _wav(folder)
    return _bytes(folder / "no_sound.wav", data[: data.index(b"data") + 4] + b"\0" * 4)


def clip_untimed_ogg(folder: Path) -> Path:
    """No page with sound says where it belongs."""
    data = bytearray(_opus(folder))
    for at in (at for at in range(len(data)) if data.startswith(b"OggS", at)):
        if any(data[at + 6 : at + 14]):
            data[at + 6 : at + 14] = b"\xff" * 8
    return _bytes(folder / "untimed.ogg", bytes(data))


def clip_noise_m4a(folder: Path) -> Path:
    return _noise(folder / "noise.m4a", write_sound(folder / "sound.m4a", SOUND, "ipod").read_bytes())


def clip_text_mp3(folder: Path) -> Path:
    """A tag, and behind it a letter."""
    return _bytes(folder / "text.mp3", b"ID3\x04\0\0\0\0\0\x0a" + b"\0" * 10 + b"dear diary " * 500)


def clip_endless_mp3(folder: Path) -> Path:
    """Its first frame promises more than a year."""
    data = bytearray(write_sound(folder / "sound.mp3", Sound(codec="libmp3lame"), "mp3").read_bytes())
    at = data.index(b"Info" if b"Info" in data else b"Xing") + 8
    data[at : at + 4] = b"\x7f" * 4
    return _bytes(folder / "endless.mp3", bytes(data))


def clip_huge_wav(folder: Path) -> Path:
    """Its header promises three gigabytes."""
    data = bytearray(_wav(folder))
    at = data.index(b"data") + 4
    data[at : at + 4] = struct.pack("<I", 3 * 1024**3)
    return _bytes(folder / "huge.wav", bytes(data))


def clip_endless_wav(folder: Path) -> Path:
    """Its header makes days of a second: one byte of sound each second."""
    data = bytearray(_wav(folder))
    at = data.index(b"fmt ") + 8
    data[at + 8 : at + 12] = struct.pack("<I", 1)
    return _bytes(folder / "endless.wav", bytes(data))


def clip_cut_off_wav(folder: Path) -> Path:
    data = _wav(folder)
    return _bytes(folder / "cut_off.wav", data[: len(data) // 2])


def clip_cut_off_flac(folder: Path) -> Path:
    data = _flac(folder)
    return _bytes(folder / "cut_off.flac", data[: len(data) * 6 // 10])


def clip_endless_flac(folder: Path) -> Path:
    """Its stream information promises sixteen days."""
    data = bytearray(_flac(folder))
    data[21] |= 0x0F
    data[22:26] = b"\xff" * 4
    return _bytes(folder / "endless.flac", bytes(data))


def clip_huge_picture(folder: Path) -> Path:
    """A tiny file whose headers promise 32768 x 32768 pixels."""
    return _bytes(folder / "huge.mp4", _claim_size(_plain(folder), 32768, 32768))


def clip_hidden_huge_picture(folder: Path) -> Path:
    """Headers claim 160 x 120, but the coded picture has more than ten million pixels."""
    look = Look(options={"preset": "ultrafast", "crf": "40"})
    large = write(folder / "large.mp4", [(Fraction(0), numbered(0, 4096, 2560))], look=look)
    return _bytes(folder / "hidden_huge.mp4", _claim_size(large.read_bytes(), 160, 120))


def clip_endless(folder: Path) -> Path:
    """A header that promises ten years."""
    data = bytearray(_plain(folder))
    at = data.index(b"mvhd") + 4
    scale = struct.unpack(">I", data[at + 12 : at + 16])[0]
    assert scale == 1000
    data[at + 12 : at + 20] = struct.pack(">II", 1, 10 * 365 * 86400)
    return _bytes(folder / "endless.mp4", bytes(data))


def clip_endless_frames(folder: Path) -> Path:
    """Two frames a day apart; the header says nothing of it."""
    pictures = [(Fraction(0), numbered(0)), (Fraction(86_400), numbered(1))]
    data = bytearray(write(folder / "day.mp4", pictures, tick=Fraction(1, 1000)).read_bytes())
    at = data.index(b"mvhd") + 4
    data[at + 16 : at + 20] = b"\0\0\0\0"
    return _bytes(folder / "endless_frames.mp4", bytes(data))


def clip_corrupt(folder: Path) -> Path:
    """A whole structure around pictures that are noise."""
    return _noise(folder / "corrupt.mp4", _plain(folder))


def clip_unknown_codec(folder: Path) -> Path:
    data = _plain(folder)
    return _bytes(folder / "unknown_codec.mp4", data.replace(b"avc1", b"zzz9").replace(b"avcC", b"zzzC"))


def clip_tiny_picture(folder: Path) -> Path:
    return write(
        folder / "tiny.mp4",
        steady(3, size=(8, 8)),
        look=Look(codec="mpeg4", options={}),
        tick=Fraction(1, 30),
    )


def clip_too_fast(folder: Path) -> Path:
    """1000 frames a second."""
    return write(folder / "too_fast.mp4", steady(20, 1000), last_s=Fraction(1, 1000), rate=1000)


REFUSALS: dict[str, Code] = {
    "empty": Code.NOT_A_VIDEO,
    "random_bytes": Code.NOT_A_VIDEO,
    "random_body": Code.CORRUPT,
    "jpeg": Code.NOT_A_VIDEO,
    "zip": Code.NOT_A_VIDEO,
    "svg": Code.NOT_A_VIDEO,
    "text_mp3": Code.NOT_A_VIDEO,
    "playlist": Code.EXTERNAL_REFERENCE,
    "concat_script": Code.EXTERNAL_REFERENCE,
    "sdp": Code.EXTERNAL_REFERENCE,
    "external_reference": Code.EXTERNAL_REFERENCE,
    "reference_movie": Code.EXTERNAL_REFERENCE,
    "linked_mkv": Code.EXTERNAL_REFERENCE,
    "no_index": Code.TRUNCATED,
    "cut_off": Code.TRUNCATED,
    "short_media": Code.TRUNCATED,
    "cut_off_mkv": Code.TRUNCATED,
    "cut_off_avi": Code.TRUNCATED,
    "no_frames": Code.NO_FRAMES,
    "nothing_in_it": Code.NO_VIDEO_STREAM,
    "unknown_sound": Code.NO_AUDIO,
    "no_sound": Code.NO_AUDIO,
    "untimed_ogg": Code.CORRUPT,
    "noise_m4a": Code.CORRUPT,
    "endless_mp3": Code.TOO_LONG,
    "huge_wav": Code.TRUNCATED,
    "endless_wav": Code.TOO_LONG,
    "cut_off_wav": Code.TRUNCATED,
    "cut_off_flac": Code.TRUNCATED,
    "endless_flac": Code.TOO_LONG,
    "huge_picture": Code.TOO_LARGE_PICTURE,
    "hidden_huge_picture": Code.TOO_LARGE_PICTURE,
    "endless": Code.TOO_LONG,
    "endless_frames": Code.TOO_LONG,
    "corrupt": Code.CORRUPT,
    "unknown_codec": Code.CODEC_UNSUPPORTED,
    "tiny_picture": Code.TOO_SMALL_PICTURE,
    "too_fast": Code.FRAME_RATE_UNSUPPORTED,
}


def _plain(folder: Path) -> bytes:
    return clip_plain(folder).read_bytes()


def _bytes(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _wav(folder: Path) -> bytes:
    return write_sound(folder / "sound.wav", Sound(codec="pcm_s16le"), "wav").read_bytes()


def _opus(folder: Path) -> bytes:
    return write_sound(folder / "sound.ogg", Sound(codec="libopus"), "ogg").read_bytes()


def _flac(folder: Path) -> bytes:
    sound = Sound(duration_s=Fraction(6), codec="flac")
    return write_sound(folder / "sound.flac", sound, "flac").read_bytes()


def _noise(path: Path, movie: bytes) -> Path:
    data = bytearray(movie)
    noise = random.Random(3)  # noqa: S311
    media = next(box for box in boxes(io.BytesIO(data), 0, len(data)) if box.kind == b"mdat")
    data[media.start : media.end] = noise.randbytes(media.end - media.start)
    return _bytes(path, bytes(data))


def _claim_size(data: bytes, width: int, height: int) -> bytes:
    """Rewrites the picture size in track header and sample description."""
    changed = bytearray(data)
    track = data.index(b"tkhd")
    end = track - 4 + struct.unpack(">I", data[track - 4 : track])[0]
    changed[end - 8 : end] = struct.pack(">II", width << 16, height << 16)
    entry = data.index(b"avc1", data.index(b"stsd"))
    changed[entry + 28 : entry + 32] = struct.pack(">HH", width, height)
    return bytes(changed)


def _box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content
