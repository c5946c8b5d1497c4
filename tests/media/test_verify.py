from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import pytest

from contracts.media import MediaLimits, Verification
from dev.clips import GOOD
from media.containers.isobmff import boxes
from media.probe import probe
from media.verify import verify


def failed(verification: Verification) -> set[str]:
    return {check.name for check in verification.checks if not check.ok}


@pytest.mark.parametrize("name", list(GOOD))
def test_a_proper_result_passes_every_check(joined, name):
    case = joined(name)
    found, verification = verify(case.result, case.info, case.plan)
    assert failed(verification) == set()
    assert verification.ok
    assert found == probe(case.result, MediaLimits())


def test_a_missing_or_torn_result_is_a_failed_check_and_not_an_exception(joined, tmp_path):
    result, info, plan = joined("plain").result, joined("plain").info, joined("plain").plan
    torn = tmp_path / "torn.mp4"
    torn.write_bytes(result.read_bytes()[:-500])
    for bad in (torn, tmp_path / "none.mp4"):
        found, verification = verify(bad, info, plan)
        assert failed(verification) == {"readable"}
        assert found.picture.frame_count == 0


def test_sound_that_starts_two_milliseconds_late_is_found(joined, tmp_path):
    result, info, plan = joined("plain").result, joined("plain").info, joined("plain").plan
    priming_s = Fraction(1024, 48000)
    moved = _remuxed(
        result, tmp_path, lambda packet: packet.stream.type == "audio", priming_s + Fraction(2, 1000)
    )
    assert failed(verify(moved, info, plan)[1]) == {"sound 1 against picture"}


def test_one_frame_moved_by_a_millisecond_is_found(joined, tmp_path):
    result, info, plan = joined("plain").result, joined("plain").info, joined("plain").plan
    numbers = iter(range(10**6))
    moved = _remuxed(
        result,
        tmp_path,
        lambda packet: packet.stream.type == "video" and next(numbers) == 40,
        Fraction(1, 1000),
    )
    assert "frames off their time" in failed(verify(moved, info, plan)[1])


def test_a_lost_frame_a_lost_track_and_a_lost_faststart_are_found(joined, tmp_path):
    result, info, plan = joined("plain").result, joined("plain").info, joined("plain").plan
    lossy = tmp_path / "lossy.mp4"
    with av.open(str(result)) as before, av.open(str(lossy), "w") as after:
        stream = after.add_stream_from_template(before.streams.video[0])
        for number, packet in enumerate(before.demux(video=0)):
            if packet.size and number != 30:
                packet.stream = stream
                after.mux(packet)
    names = failed(verify(lossy, info, plan)[1])
    assert names >= {"frames", "frame rate", "sound tracks", "index before media"}


def test_damaged_pictures_at_a_seam_are_found(joined, tmp_path):
    result, info, plan = joined("plain").result, joined("plain").info, joined("plain").plan
    data = bytearray(result.read_bytes())
    with av.open(str(result)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    seam = plan.segments[1].out_first
    packet = next(packet for packet in packets if round((packet.pts or 0) * packet.time_base * 60) == seam)
    start = packet.pos or 0
    data[start : start + packet.size] = b"\0" * packet.size
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(bytes(data))
    assert failed(verify(damaged, info, plan)[1]) & {"seams decoded", "readable"}


def test_a_lost_turn_is_found(joined, tmp_path):
    case = joined("rotated_90")
    result = case.result
    data = bytearray(result.read_bytes())
    with result.open("rb") as file:
        movie = next(box for box in boxes(file, 0, len(data)) if box.kind == b"moov")
    header = data.index(b"tkhd", movie.start)
    upright = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    data[header + 4 + 40 : header + 4 + 76] = upright
    unturned = tmp_path / "unturned.mp4"
    unturned.write_bytes(bytes(data))
    assert failed(verify(unturned, case.info, case.plan)[1]) == {"rotation"}


def _remuxed(path: Path, folder: Path, moved, by_s: Fraction) -> Path:
    """A copy in which chosen packets are shown later."""
    out = folder / "moved.mp4"
    options = {"movflags": "faststart", "video_track_timescale": "90000", "movie_timescale": "90000"}
    with av.open(str(path)) as before, av.open(str(out), "w", options=options) as after:
        streams = {stream.index: after.add_stream_from_template(stream) for stream in before.streams}
        for packet in before.demux():
            if not packet.size:
                continue
            shift = round(by_s / packet.time_base) if moved(packet) else 0
            assert packet.pts is not None
            assert packet.dts is not None
            packet.pts += shift
            packet.dts += shift if packet.stream.type == "audio" else 0
            packet.stream = streams[packet.stream_index]
            after.mux(packet)
    return out
