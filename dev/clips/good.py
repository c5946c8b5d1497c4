"""Sources that must be handled, each with one oddity that phones, editors or recorders produce."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import ffmpeg
import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream

from dev.clips.pattern import Picture, numbered
from dev.clips.writer import X264, Look, Sound, steady, write
from media.editlist import skip_priming
from media.ffmpeg import command

NTSC = Fraction(30000, 1001)
HALF_S = Fraction(1, 2)


def clip_plain(folder: Path) -> Path:
    """30 fps, 1 s, stereo AAC: nothing odd."""
    return write(folder / "plain.mp4", steady(30), sounds=[Sound(duration_s=Fraction(1))])


def clip_silent(folder: Path) -> Path:
    return write(folder / "silent.mp4", steady(30))


def clip_odd_sized(folder: Path) -> Path:
    look = Look(codec="mpeg4", options={"b": "2M"})
    return write(folder / "odd_sized.mp4", steady(15, size=(161, 119)), tick=Fraction(1, 30), look=look)


def clip_ntsc(folder: Path) -> Path:
    """29.97 fps."""
    pictures, last = steady(45, NTSC), 1 / NTSC
    sound = Sound(duration_s=45 / NTSC)
    return write(
        folder / "ntsc.mp4", pictures, tick=Fraction(1, 30000), last_s=last, rate=NTSC, sounds=[sound]
    )


def clip_15_fps(folder: Path) -> Path:
    return write(folder / "15_fps.mp4", steady(20, 15), last_s=Fraction(1, 15), rate=15)


def clip_120_fps(folder: Path) -> Path:
    return write(folder / "120_fps.mp4", steady(90, 120), last_s=Fraction(1, 120), rate=120)


def clip_variable_rate(folder: Path) -> Path:
    """Distances of 20 to 70 ms, as phones do in the dark."""
    gaps_ms = (33, 34, 50, 20, 33, 70, 33, 25, 41, 33, 33, 60, 33, 20, 47, 33, 33, 52, 33, 29)
    times = np.concatenate([[0], np.cumsum(gaps_ms)])
    pictures = [(Fraction(int(time), 1000), numbered(number)) for number, time in enumerate(times)]
    sound = Sound(duration_s=Fraction(int(times[-1]), 1000))
    return write(folder / "variable_rate.mp4", pictures, last_s=Fraction(40, 1000), sounds=[sound])


def clip_rotated_90(folder: Path) -> Path:
    """A portrait recording: to be shown turned 90 degrees clockwise."""
    return _rotated(folder, 90)


def clip_rotated_180(folder: Path) -> Path:
    return _rotated(folder, 180)


def clip_rotated_270(folder: Path) -> Path:
    return _rotated(folder, 270)


def _rotated(folder: Path, clockwise: int) -> Path:
    return write(folder / f"rotated_{clockwise}.mp4", steady(12), look=Look(rotation_ccw=-clockwise))


def clip_mirrored(folder: Path) -> Path:
    """As some front cameras record: mirrored left to right."""
    return write(folder / "mirrored.mp4", steady(12), look=Look(mirrored=True))


def clip_late_start(folder: Path) -> Path:
    """First frame at 1 s, sound with it."""
    pictures = [(time + 1, picture) for time, picture in steady(30)]
    sound = Sound(start_s=Fraction(1), duration_s=Fraction(1))
    return write(folder / "late_start.mp4", pictures, sounds=[sound])


def clip_long_freeze(folder: Path) -> Path:
    """Motion, one second without a new frame, motion again."""
    pictures = steady(12)
    resumed = [(time + 1, numbered(12 + number)) for number, (time, _) in enumerate(steady(12), start=0)]
    return write(folder / "long_freeze.mp4", pictures + [(time + Fraction(11, 30), p) for time, p in resumed])


def clip_hard_cut(folder: Path) -> Path:
    """Another scene from frame 15 on."""
    pictures = steady(30)
    return write(
        folder / "hard_cut.mp4", pictures[:15] + [(time, _other_scene(p)) for time, p in pictures[15:]]
    )


def _other_scene(picture: Picture) -> Picture:
    other = picture.copy()
    rows = np.arange(0, 90)
    other[:90] = np.where((rows // 6 % 2)[:, None, None] > 0, (20, 160, 30), (200, 30, 160)).astype(np.uint8)
    return other


def clip_flash(folder: Path) -> Path:
    """One white frame (number 15) as of a strobe."""
    pictures = steady(30)
    time, white = pictures[15][0], np.full_like(pictures[15][1], 250)
    return write(folder / "flash.mp4", [*pictures[:15], (time, white), *pictures[16:]])


def clip_sound_late(folder: Path) -> Path:
    """Sound begins 150 ms after the picture."""
    sound = Sound(start_s=Fraction(150, 1000), duration_s=Fraction(1))
    return write(folder / "sound_late.mp4", steady(36), sounds=[sound])


def clip_sound_late_primed(folder: Path) -> Path:
    """As `clip_sound_late`, with the encoder's priming hidden behind an empty edit, as iPhones write."""
    path = clip_sound_late(folder).rename(folder / "sound_late_primed.mp4")
    skip_priming(path, track=1, priming=1024, sample_rate=48000, movie_timescale=1000)
    return path


def clip_sound_late_pcm(folder: Path) -> Path:
    sound = Sound(start_s=Fraction(150, 1000), duration_s=Fraction(1), codec="pcm_s16le")
    return write(folder / "sound_late_pcm.mov", steady(36), sounds=[sound])


def clip_sound_early(folder: Path) -> Path:
    """Sound begins 200 ms before the picture."""
    pictures = [(time + Fraction(1, 5), picture) for time, picture in steady(30)]
    return write(folder / "sound_early.mp4", pictures, sounds=[Sound(duration_s=Fraction(6, 5))])


def clip_two_tracks(folder: Path) -> Path:
    """Korean stereo at 48 kHz and English mono at 44.1 kHz."""
    second = Sound(duration_s=Fraction(1), rate=44100, channels=1, language="eng")
    first = Sound(duration_s=Fraction(1), language="kor")
    return write(folder / "two_tracks.mp4", steady(30), sounds=[first, second])


def clip_pcm_mov(folder: Path) -> Path:
    """QuickTime with uncompressed sound, as cameras write."""
    return write(folder / "pcm.mov", steady(30), sounds=[Sound(duration_s=Fraction(1), codec="pcm_s16le")])


def clip_hlg(folder: Path) -> Path:
    return write(folder / "hlg.mp4", steady(12), look=_hdr(18, "arib-std-b67"))


def clip_pq(folder: Path) -> Path:
    return write(folder / "pq.mp4", steady(12), look=_hdr(16, "smpte2084"))


def _hdr(transfer: int, name: str) -> Look:
    colors = f"colorprim=bt2020:transfer={name}:colormatrix=bt2020nc:range=limited:log-level=error"
    return Look(
        codec="libx265", pixel_format="yuv420p10le", options={"preset": "ultrafast", "x265-params": colors},
        matrix=9, primaries=9, transfer=transfer, color_range=1,
    )  # fmt: skip


def clip_full_range(folder: Path) -> Path:
    look = Look(pixel_format="yuvj420p", matrix=5, primaries=1, transfer=1, color_range=2)
    return write(folder / "full_range.mp4", steady(12), look=look)


def clip_bt601(folder: Path) -> Path:
    return write(
        folder / "bt601.mp4", steady(12), look=Look(matrix=6, primaries=6, transfer=6, color_range=1)
    )


def clip_bt709(folder: Path) -> Path:
    return write(
        folder / "bt709.mp4", steady(12), look=Look(matrix=1, primaries=1, transfer=1, color_range=1)
    )


def clip_anamorphic(folder: Path) -> Path:
    """Pixels 4:3 wide."""
    return write(folder / "anamorphic.mp4", steady(12), look=Look(sample_aspect=Fraction(4, 3)))


def clip_b_frames(folder: Path) -> Path:
    """Frames coded out of order, so the first decoding time is negative or an edit list hides the delay."""
    look = Look(options=X264 | {"bf": "3", "g": "12", "b-pyramid": "strict"})
    return write(folder / "b_frames.mp4", steady(40), look=look, sounds=[Sound(duration_s=Fraction(4, 3))])


def clip_trimmed(folder: Path) -> Path:
    """A lossless cut: all 60 frames are stored, the edit list shows the last 45 and their sound."""
    look = Look(options=X264 | {"bf": "2", "g": "60"})
    whole = write(folder / "untrimmed.mp4", steady(60), look=look, sounds=[Sound(duration_s=Fraction(2))])
    out = folder / "trimmed.mp4"
    command.run(
        ffmpeg.output(command.source(whole, "mp4", ss="0.5"), command.target(out), c="copy"), timeout_s=60
    )
    whole.unlink()
    return out


def clip_fragmented(folder: Path) -> Path:
    """As cameras write that must survive a dead battery."""
    options = {"movflags": "frag_keyframe+delay_moov+default_base_moof"}
    look = Look(options=X264 | {"g": "10", "bf": "0"})
    return write(
        folder / "fragmented.mp4",
        steady(30),
        look=look,
        options=options,
        sounds=[Sound(duration_s=Fraction(1))],
    )


def clip_avi(folder: Path) -> Path:
    """Motion JPEG with uncompressed sound, as older cameras write."""
    look = Look(codec="mjpeg", pixel_format="yuvj420p", color_range=2, options={"qmin": "2", "qmax": "4"})
    sound = Sound(duration_s=Fraction(1), codec="pcm_s16le")
    return write(folder / "clip.avi", steady(30), tick=Fraction(1, 30), look=look, sounds=[sound])


def clip_avi_b_frames(folder: Path) -> Path:
    """MPEG-4 with frames coded out of order, for which AVI has no presentation times, and MP3 sound."""
    look = Look(codec="mpeg4", options={"b": "2M", "bf": "2"})
    sound = Sound(duration_s=Fraction(1), codec="libmp3lame")
    return write(folder / "b_frames.avi", steady(30), tick=Fraction(1, 30), look=look, sounds=[sound])


def clip_mkv(folder: Path) -> Path:
    """H.264 with FLAC sound, times rounded to milliseconds."""
    sound = Sound(duration_s=Fraction(1), codec="flac")
    return write(folder / "clip.mkv", steady(30), tick=Fraction(1, 1000), sounds=[sound])


def clip_webm(folder: Path) -> Path:
    look = Look(codec="libvpx-vp9", options={"crf": "20", "b": "0", "cpu-used": "8", "deadline": "realtime"})
    sound = Sound(duration_s=Fraction(1), codec="libopus")
    return write(folder / "clip.webm", steady(30), tick=Fraction(1, 1000), look=look, sounds=[sound])


def clip_live_webm(folder: Path) -> Path:
    """As browsers record: neither length nor index are known when the header is written."""
    look = Look(codec="libvpx", options={"b": "1M", "deadline": "realtime", "cpu-used": "8"})
    sound = Sound(duration_s=Fraction(1), codec="libopus")
    path = folder / "live.webm"
    return write(path, steady(30), tick=Fraction(1, 1000), look=look, sounds=[sound], options={"live": "1"})


def clip_hidden_frames(folder: Path) -> Path:
    """VP8 in which every tenth frame is stored for reference only and never shown."""
    look = Look(codec="libvpx", options={"b": "1M", "deadline": "realtime", "cpu-used": "8"})
    shown = write(folder / "shown.webm", steady(30), tick=Fraction(1, 1000), look=look)
    path = folder / "hidden_frames.webm"
    with av.open(str(shown)) as before, av.open(str(path), "w") as after:
        stream = after.add_stream_from_template(before.streams.video[0])
        for number, packet in enumerate(before.demux(video=0)):
            if packet.size:
                after.mux(_hidden(packet, stream) if number % 10 == 5 else _moved(packet, stream))
    shown.unlink()
    return path


def _moved(packet: Packet, stream: VideoStream) -> Packet:
    packet.stream = stream
    return packet


def _hidden(packet: Packet, stream: VideoStream) -> Packet:
    data = bytearray(bytes(packet))
    data[0] &= ~0x10 & 0xFF  # RFC 6386, 9.1: show_frame
    hidden = Packet(bytes(data))
    hidden.pts, hidden.dts, hidden.duration = packet.pts, packet.dts, packet.duration
    hidden.time_base, hidden.stream = packet.time_base, stream
    return hidden


def clip_empty_track(folder: Path) -> Path:
    """A sound track in which nothing was recorded, beside one with sound."""
    sounds = [Sound(duration_s=Fraction(0)), Sound(duration_s=Fraction(1), language="kor")]
    return write(folder / "empty_track.mp4", steady(30), sounds=sounds)


def clip_single_frame(folder: Path) -> Path:
    return write(folder / "single_frame.mp4", steady(1), last_s=HALF_S)
