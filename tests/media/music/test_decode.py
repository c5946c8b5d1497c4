from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream

from contracts.errors import Code, EchoError
from media.music.decode import SAMPLE_RATE, sound
from media.music.loudness import Meter
from tests.media.music.songs import clicks, silence, write


def coded(path: Path, samples: np.ndarray, codec: str, rate: int = 44100, drop: range = range(0)) -> Path:
    """Stereo, in a container by the path's suffix. Packets numbered in `drop` are not written."""
    wide = np.interp(np.arange(0, len(samples), SAMPLE_RATE / rate), np.arange(len(samples)), samples)
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=rate, layout="stereo")
        assert isinstance(stream, AudioStream)
        packets = []
        for at in range(0, len(wide), 1024):
            piece = wide[at : at + 1024].astype(np.float32)
            frame = av.AudioFrame.from_ndarray(np.stack([piece, piece]), format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = rate, at
            packets += stream.encode(frame)
        packets += stream.encode(None)
        for index, packet in enumerate(packets):
            if index not in drop:
                file.mux(packet)
    return path


def onsets(samples: np.ndarray) -> np.ndarray:
    """Seconds at which the sound rises from below a tenth to above a quarter of full scale, 0.1 s apart at least."""
    loud = np.flatnonzero(np.abs(samples) > 0.25)
    return loud[np.r_[True, np.diff(loud) > 0.1 * SAMPLE_RATE]] / SAMPLE_RATE


def beep_at(*seconds: float, length_s: float) -> np.ndarray:
    samples = silence(length_s)
    for second in seconds:
        start = round(second * SAMPLE_RATE)
        samples[start : start + 1000] = 0.8 * np.sin(np.arange(1000) * 0.3)
    return samples


def test_sound_of_another_rate_and_two_channels_keeps_its_times(tmp_path: Path) -> None:
    path = coded(tmp_path / "a.mp4", beep_at(1.0, 4.5, length_s=6), "aac")
    heard = np.concatenate(list(sound(path, "mp4")))
    assert len(heard) / SAMPLE_RATE == pytest.approx(6, abs=0.05)
    assert onsets(heard) == pytest.approx([1.0, 4.5], abs=0.01)


def test_lost_packets_become_silence_and_later_times_stay_true(tmp_path: Path) -> None:
    path = coded(tmp_path / "a.mkv", beep_at(1.0, 8.5, length_s=10), "aac", drop=range(100, 200))
    heard = np.concatenate(list(sound(path, "mkv")))
    assert onsets(heard) == pytest.approx([1.0, 8.5], abs=0.05)


def test_damage_in_the_middle_costs_only_itself(tmp_path: Path) -> None:
    path = coded(tmp_path / "a.mkv", 0.1 * clicks(120, 12) + beep_at(1.0, 10.5, length_s=12), "aac")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = np.random.default_rng(0).bytes(3000)
    path.write_bytes(data)
    heard = np.concatenate(list(sound(path, "mkv")))
    assert len(heard) / SAMPLE_RATE == pytest.approx(12, abs=0.1)
    found = onsets(heard)
    assert found[0] == pytest.approx(1.0, abs=0.02)
    assert found[-1] == pytest.approx(10.5, abs=0.03)


def test_loudness_is_that_of_the_standard(tmp_path: Path) -> None:
    """EBU Tech 3341, test 1: a stereo sine of 1 kHz at -23 dBFS is -23 LUFS."""
    tone = (10 ** (-23 / 20) * np.sin(2 * np.pi * 1000 * np.arange(20 * SAMPLE_RATE) / SAMPLE_RATE)).astype(
        np.float32
    )
    meter = Meter()
    for _ in sound(coded(tmp_path / "tone.mp4", tone, "aac"), "mp4", meter.hear):
        pass
    found = meter.loudness()
    assert found.integrated_lufs == pytest.approx(-23, abs=0.2)
    assert found.true_peak_dbtp == pytest.approx(-23, abs=0.3)
    assert found.range_lu < 1


def test_a_file_without_sound_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EchoError) as refused:
        list(sound(write(tmp_path / "a.wav", silence(1)), "mp3"))
    assert refused.value.code in (Code.CORRUPT, Code.NO_AUDIO)
