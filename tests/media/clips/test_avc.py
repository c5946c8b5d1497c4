from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from media.clips import avc
from media.opening import open_media, video_stream

CLIP = bytes.fromhex(
    "0164000bffe100196764000bacd942847e5c0440000003004000afc803c50a658001000668ebe1b2c8b0fdf8f800"
)
"""What x264 writes, with id 0."""
OTHER = bytes.fromhex(
    "0164000bffe100186764000b4b3650a11f96100000030010002bf200f1429960010005684af827cbfdf8f800"
)
"""The same with id 1."""


def parsed(data: bytes) -> avc.Configuration:
    found = avc.parse(data)
    assert found is not None
    return found


def test_a_configuration_is_read_and_written_back_to_the_byte():
    assert parsed(CLIP).with_sets_of(None) == CLIP
    assert (parsed(CLIP).profile, parsed(CLIP).level) == (100, 11)


def test_the_free_id_is_one_that_no_set_has():
    assert parsed(CLIP).free_id() == 1
    assert parsed(OTHER).free_id() == 0
    assert parsed(parsed(CLIP).with_sets_of(parsed(OTHER))).free_id() == 2


def test_a_joint_configuration_holds_both():
    joint = parsed(parsed(CLIP).with_sets_of(parsed(OTHER)))
    assert joint.sps == parsed(CLIP).sps + parsed(OTHER).sps
    assert joint.pps == parsed(CLIP).pps + parsed(OTHER).pps
    assert joint.tail == parsed(CLIP).tail


@given(st.integers(0, len(CLIP) - 5))
def test_a_configuration_that_is_cut_off_is_none(length):
    assert avc.parse(CLIP[:length]) is None


@given(st.binary(max_size=80))
def test_no_bytes_make_the_reader_fail(data):
    configuration = avc.parse(b"\x01\x64\x00\x0b\xff" + data)
    if configuration:
        configuration.free_id()
    avc.is_idr(data)


def test_idr_pictures_are_told_from_others(source):
    with open_media(source("plain").path, "mp4") as container:
        stream = video_stream(container)
        packets = [packet for packet in container.demux(stream) if packet.size]
    assert [avc.is_idr(bytes(packet)) for packet in packets] == [packet.is_keyframe for packet in packets]


def test_open_groups_have_no_idr_picture_but_the_first(source):
    with open_media(source("open_gop").path, "mp4") as container:
        stream = video_stream(container)
        packets = [packet for packet in container.demux(stream) if packet.size]
    assert [avc.is_idr(bytes(packet)) for packet in packets].count(True) == 1
