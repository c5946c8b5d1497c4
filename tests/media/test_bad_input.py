from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from contracts.errors import Code, EchoError
from contracts.media import MediaLimits
from dev.clips import BAD, SOUNDS
from dev.clips.bad import REFUSALS
from media.containers import isobmff
from media.opening import audio_streams, heard_frames, open_media
from media.probe import probe


@pytest.mark.parametrize(("name", "code"), list(REFUSALS.items()))
def test_a_bad_file_is_refused_with_its_own_code_and_reason(clip, name, code):
    with pytest.raises(EchoError) as caught:
        probe(clip(name), MediaLimits())
    assert caught.value.code == code
    assert caught.value.detail
    assert not caught.value.retryable


def test_every_bad_clip_has_its_expected_refusal():
    assert set(BAD) == set(REFUSALS)


def test_a_missing_file_is_named_as_missing(tmp_path):
    with pytest.raises(EchoError) as caught:
        probe(tmp_path / "none.mp4", MediaLimits())
    assert caught.value.code == Code.SOURCE_MISSING


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (MediaLimits(bytes_max=1000), Code.UPLOAD_TOO_LARGE),
        (MediaLimits(duration_s_max=0), Code.TOO_LONG),
        (MediaLimits(pixels_max=160 * 119), Code.TOO_LARGE_PICTURE),
        (MediaLimits(side_px_max=159), Code.TOO_LARGE_PICTURE),
        (MediaLimits(side_px_min=121), Code.TOO_SMALL_PICTURE),
        (MediaLimits(fps_max=29), Code.FRAME_RATE_UNSUPPORTED),
    ],
)
def test_each_limit_has_its_own_refusal(clip, limits, code):
    with pytest.raises(EchoError) as caught:
        probe(clip("plain"), limits)
    assert caught.value.code == code


def test_a_file_exactly_at_the_limits_passes(clip):
    plain = clip("plain")
    limits = MediaLimits(
        bytes_max=plain.stat().st_size,
        duration_s_max=1,
        pixels_max=160 * 120,
        side_px_max=160,
        side_px_min=120,
        fps_max=30,
    )
    assert probe(plain, limits).picture.frame_count == 30


@pytest.mark.parametrize("bytes_left_out", [1, 100, 2000])
def test_an_upload_that_lost_its_last_bytes_is_truncated(clip, tmp_path, bytes_left_out):
    data = clip("plain").read_bytes()
    torn = tmp_path / "torn.mp4"
    torn.write_bytes(data[:-bytes_left_out])
    with pytest.raises(EchoError) as caught:
        probe(torn, MediaLimits())
    assert caught.value.code == Code.TRUNCATED


@pytest.mark.parametrize(
    "name", ["mp3", "mp3_with_cover", "bare_mp3", "live_wav", "flac", "opus", "vorbis", "sound_webm"]
)
def test_every_prefix_of_sound_is_refused_or_no_longer_than_it_is(clip, tmp_path, name):
    data = clip(name).read_bytes()
    torn = tmp_path / clip(name).name
    for share in range(0, 100, 9):
        torn.write_bytes(data[: len(data) * share // 100])
        try:
            info = probe(torn, MediaLimits())
        except EchoError:
            continue
        with open_media(torn, info.container) as container:
            frames = list(heard_frames(container, audio_streams(container)[0]))
        assert float(info.duration_s) <= sum(frame.samples for frame in frames) / 48000 + 0.1


def test_sound_is_held_to_the_longest_duration_too(clip):
    for name in ("mp3", "bare_mp3", "live_wav", "opus", "flac"):
        with pytest.raises(EchoError) as caught:
            probe(clip(name), MediaLimits(duration_s_max=0))
        assert caught.value.code == Code.TOO_LONG


def test_rubbish_after_the_last_box_is_ignored_as_players_do(clip, tmp_path):
    padded = tmp_path / "padded.mp4"
    padded.write_bytes(clip("plain").read_bytes() + b"\xff\xfe" * 50)
    assert probe(padded, MediaLimits()).picture.frame_count == 30


def test_a_few_damaged_bytes_do_not_refuse_a_video(clip, tmp_path):
    data = bytearray(clip("plain").read_bytes())
    with clip("plain").open("rb") as file:
        media = next(box for box in isobmff.boxes(file, 0, len(data)) if box.kind == b"mdat")
    data[media.end - 40 : media.end - 36] = b"\xaa\xbb\xcc\xdd"
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(bytes(data))
    assert probe(damaged, MediaLimits()).picture.frame_count == 30


def test_every_prefix_of_a_file_gets_an_answer_and_never_a_stray_exception(clip, tmp_path):
    for name in ("plain", "mkv", "avi", "fragmented", "m4a", "wav"):
        source = clip(name)
        data = source.read_bytes()
        for share in range(0, 100, 9):
            torn = tmp_path / f"torn{source.suffix}"
            torn.write_bytes(data[: len(data) * share // 100])
            with pytest.raises(EchoError):
                probe(torn, MediaLimits())


@pytest.mark.slow
def test_flipped_bytes_get_an_answer_and_never_a_stray_exception(clip, tmp_path):
    import random

    chance = random.Random(7)
    for name in ("plain", "mkv", "webm", "avi", "trimmed", "pcm_mov", *SOUNDS):
        source = clip(name)
        for _ in range(40):
            data = bytearray(source.read_bytes())
            for _ in range(8):
                data[chance.randrange(min(len(data), 6000))] = chance.randrange(256)
                data[-chance.randrange(1, min(len(data), 3000))] = chance.randrange(256)
            mutant = tmp_path / f"mutant{source.suffix}"
            mutant.write_bytes(bytes(data))
            try:
                info = probe(mutant, MediaLimits())
            except EchoError:
                continue
            assert info.audio or info.picture.frame_count > 0


def test_no_network_address_is_ever_opened(tmp_path):
    """Even past our own refusal: FFmpeg itself is told to open nothing but files."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        visited = threading.Event()

        def listen() -> None:
            try:
                server.accept()[0].close()
                visited.set()
            except TimeoutError:
                return

        listener = threading.Thread(target=listen)
        listener.start()
        playlist = Path(tmp_path / "list.mp4")
        playlist.write_text(f"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:{server.getsockname()[1]}/a.ts\n")
        with pytest.raises(EchoError):
            open_media(playlist, "mp4")
        listener.join()
    assert not visited.is_set()
