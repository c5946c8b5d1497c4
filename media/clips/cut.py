"""Cuts one clip from a local video: the pictures copied where that is possible and wished, else coded anew.

The result is verified by decoding all of it. A clip of copied pictures that does not pass is made again without
copying: then the source was stranger than its headers say, and the user need not know.
"""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Literal

from av.video.frame import VideoFrame

from contracts.errors import Code, EchoError
from contracts.kinds.clip import ClipFile, ClipFormat, Cut
from contracts.media import AudioInfo, MediaInfo, VideoInfo
from contracts.ranges import judged
from media.clips import aac, copying, sound, writing
from media.clips.anew import Anew
from media.clips.coding import brightness, timed
from media.clips.loudness import resampled
from media.clips.pictures import Pictures
from media.clips.preview import PREVIEW_S, Stills
from media.clips.verify import Expected, verify
from media.clips.window import Coded, Window, read_window
from media.clips.writing import Made, Track
from media.progress import Progress, silent

STAGE = "clip"


def cut_clip(source: Path, info: MediaInfo, cut: Cut, out_dir: Path, progress: Progress = silent) -> ClipFile:
    """Writes clip.mp4, preview.webp and poster.jpg into `out_dir`, each whole or not at all.

    Progress: stage `clip`, in frames; each counts when it is coded and when it is verified.
    Raises RANGE_OUTSIDE, CLIP_LONGER_THAN_VIDEO, CLIP_TOO_LARGE, CORRUPT; RESULT_UNVERIFIED when the clip does not
    pass its own checks.
    """
    start_s, end_s = judged(cut.start_s, cut.end_s, float(info.picture.duration_s))
    out_dir.mkdir(parents=True, exist_ok=True)
    window = read_window(source, info, Fraction(start_s), Fraction(end_s))
    with tempfile.TemporaryDirectory(prefix=".clip-", dir=out_dir) as scratch:
        return _Clip(source, info, cut, window, out_dir, Path(scratch), progress).make()


class _Clip:
    def __init__(
        self,
        source: Path,
        info: MediaInfo,
        cut: Cut,
        window: Window,
        out_dir: Path,
        scratch: Path,
        progress: Progress,
    ) -> None:
        self._source, self._info, self._cut, self._window = source, info, cut, window
        self._out, self._scratch = out_dir / "clip.mp4", scratch
        self._done, self._total, self._progress = 0, 2 * len(window.pts), progress
        self._pictures = Pictures(source, info, window, cut.fade_s, self._beat)
        self._original = cut.format == ClipFormat.ORIGINAL
        self._heard = self._info.audio if self._original else self._info.audio[:1]
        self._loudest_s: float | None = None
        self._sounds: list[AudioInfo] = []

    def make(self) -> ClipFile:
        sounds = [self._sound(track) for track in self._heard]
        sound_bytes = sum(track.bytes for track in sounds)
        finished = self._of_copies(sounds, sound_bytes) if self._original else None
        if finished is None or not finished.verification.ok:
            anew = Anew(self._info, self._cut, self._window, self._pictures, self._scratch)
            finished = self._finished(anew.within(sound_bytes), sounds)
        if not finished.verification.ok:
            checks = finished.verification.checks
            wrong = [f"{c.name}: {c.expected} expected, {c.found} found" for c in checks if not c.ok]
            raise EchoError(Code.RESULT_UNVERIFIED, "; ".join(wrong))
        self._progress(STAGE, self._total, self._total)
        return finished

    def _of_copies(self, sounds: list[Track], sound_bytes: int) -> ClipFile | None:
        """None when nothing can be copied, or the copy would be larger than allowed."""
        made = self._copied()
        bound = self._cut.bytes_max
        if made is None or (bound is not None and made.track.bytes + sound_bytes > bound):
            return None
        try:
            return self._finished(made, sounds)
        except EchoError as error:
            if error.code != Code.RESULT_UNVERIFIED:
                raise
            return None

    def _copied(self) -> Made | None:
        """None when nothing can be copied."""
        if groups := copying.whole_groups(self._window, self._info):
            return self._hidden(groups)
        configuration = copying.joinable(self._source, self._info)
        plan = copying.plan_splice(self._window, self._cut.fade_s) if configuration else None
        if configuration is None or plan is None:
            return None
        joined = copying.splice(self._source, self._info, self._window, plan, configuration, self._pictures)
        end = self._window.end - self._window.origin
        packets = list(timed(joined.units, end, self._window.time_base))
        track = Track(writing.copied_picture(self._source, self._info, joined.extradata), packets)
        return self._as_source(track, "all" if plan.whole else "inner", joined.brightness)

    def _hidden(self, groups: tuple[Coded, ...]) -> Made:
        window = self._window
        units = list(copying.copied(self._source, self._info, window, groups))
        end = max(window.end, max(frame.pts for frame in groups) + 1) - window.origin
        packets = list(timed(units, end, window.time_base))
        track = Track(writing.copied_picture(self._source, self._info), packets, window.duration_s)
        unfaded = Pictures(self._source, self._info, window, 0.0, self._beat)
        return self._as_source(track, "all", brightness(next(unfaded.frames(window.pts[:1]))))

    def _as_source(self, track: Track, copied: Literal["all", "inner"], light: float) -> Made:
        video = self._info.picture
        return Made(track, self._window.shown(), copied, video.width, video.height, light)

    def _sound(self, track: AudioInfo) -> Track:
        source, info, cut, window = self._source, self._info, self._cut, self._window
        layout = None if self._original else "stereo"
        samples = sound.read(
            source, info, track, window.origin_s, window.duration_s, layout, self._beat_again
        )
        if self._loudest_s is None:
            self._loudest_s = sound.loudest_s(samples, float(PREVIEW_S))
        if self._original and copying.may_copy_sound(source, info, track, window, cut):
            packets = copying.copied_sound(source, info, track, window)
            self._sounds.append(track)
            return Track(writing.copied_sound(source, info, track), packets)
        samples = aac.fitting_rate(samples) if self._original else resampled(samples, aac.RATE)
        self._sounds.append(track.model_copy(update={"channels": samples.channels}))
        made = aac.coded_at(sound.faded(samples, cut.fade_s), cut.lufs)
        return Track(writing.coded_sound(made, track.language), made.packets)

    def _finished(self, made: Made, sounds: list[Track]) -> ClipFile:
        """Written, verified and pictured; whether it is good is in its verification."""
        window, out = self._window, self._out
        writing.write(out, [made.track, *sounds], window.time_base.denominator)
        expected = Expected(
            shown=made.shown, tick=window.time_base, duration_s=window.duration_s,
            width=made.width, height=made.height, look=self._info.picture if self._original else None,
            brightness=made.brightness, lufs=self._cut.lufs, bytes_max=self._cut.bytes_max,
            sounds=tuple(self._sounds),
        )  # fmt: skip
        stills = Stills(window.duration_s, self._preview_from_s())

        def see(frame: VideoFrame, video: VideoInfo, at_s: Fraction) -> None:
            stills.see(frame, video, at_s)
            self._beat()

        info, verification = verify(out, expected, see)
        poster, preview = out.with_name("poster.jpg"), out.with_name("preview.webp")
        if verification.ok:
            stills.write_poster(poster)
            stills.write_preview(preview)
        origin = window.origin_s - self._info.picture.start_s
        turned = info.picture.rotation_deg in (90, 270)
        width, height = (made.height, made.width) if turned else (made.width, made.height)
        return ClipFile(
            start_s=round(float(origin), 3), end_s=round(float(origin + window.duration_s), 3),
            width=width, height=height, copied=made.copied, info=info, verification=verification,
            video=str(out), preview=str(preview), poster=str(poster),
        )  # fmt: skip

    def _preview_from_s(self) -> Fraction:
        """At the loudest three seconds, without sound in the middle."""
        if self._loudest_s is not None:
            return Fraction(self._loudest_s)
        return (self._window.duration_s - PREVIEW_S) / 2

    def _beat(self) -> None:
        self._done = min(self._done + 1, self._total - 1)
        self._beat_again()

    def _beat_again(self) -> None:
        self._progress(STAGE, self._done, self._total)
