from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from contracts.errors import Code, EchoError
from contracts.media import MediaInfo, MediaLimits
from dev.clips import packaged
from dev.clips.pattern import numbered, read_number
from media.probe import probe
from media.thumbnails import thumbnails


def made(path: Path, folder: Path) -> tuple[MediaInfo, list[np.ndarray]]:
    info = probe(path, MediaLimits())
    stills = thumbnails(path, info, folder / "thumbnails")
    files = [Path(still.path) for still in stills]
    assert [file.name for file in files] == ["thumbnail-10.jpg", "thumbnail-50.jpg", "thumbnail-90.jpg"]
    assert sorted(files) == sorted((folder / "thumbnails").iterdir()), "nothing else is left there"
    pictures = [_read(file) for file in files]
    assert [(still.width, still.height) for still in stills] == [each.shape[1::-1] for each in pictures]
    return info, pictures


def _read(file: Path) -> np.ndarray:
    picture = cv2.imread(str(file))
    assert picture is not None
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("plain", [3, 15, 27]),
        ("late_start", [3, 15, 27]),
        ("trimmed", [15 + 4, 15 + 22, 15 + 40]),
        ("webm", [3, 15, 27]),
    ],
)
def test_each_is_the_frame_on_screen_at_its_share_of_the_duration(clip, tmp_path, name, numbers):
    _, pictures = made(clip(name), tmp_path)
    assert [read_number(picture) for picture in pictures] == numbers


@pytest.mark.parametrize(
    ("name", "quarter_turns"), [("rotated_90", 1), ("rotated_180", 2), ("rotated_270", 3)]
)
def test_they_are_turned_as_a_player_turns_them(clip, tmp_path, name, quarter_turns):
    _, pictures = made(clip(name), tmp_path)
    shown = np.rot90(numbered(6), -quarter_turns).astype(float)
    assert pictures[1].shape == shown.shape
    assert np.abs(pictures[1] - shown).mean() < 12


def test_they_are_mirrored_as_a_player_mirrors_them(clip, tmp_path):
    _, pictures = made(clip("mirrored"), tmp_path)
    assert read_number(pictures[1][:, ::-1]) == 6


def test_pixels_become_square(clip, tmp_path):
    _, pictures = made(clip("anamorphic"), tmp_path)
    assert pictures[0].shape[:2] == (120, 213)


@pytest.mark.parametrize("name", ["bt601", "bt709", "full_range", "plain"])
def test_colours_are_those_of_the_picture(clip, tmp_path, name):
    _, pictures = made(clip(name), tmp_path)
    difference = pictures[1].astype(float) - numbered(read_number(pictures[1]))
    assert np.abs(difference.mean(axis=(0, 1))).max() < 3


@pytest.mark.parametrize("name", ["hlg", "pq"])
def test_hdr_becomes_a_picture_with_light_and_dark(clip, tmp_path, name):
    _, pictures = made(clip(name), tmp_path)
    assert read_number(pictures[1]) == 6
    assert pictures[1].max() > 180
    assert pictures[1].min() < 40


def test_large_pictures_are_scaled_to_640_pixels(tmp_path):
    _, pictures = made(packaged("bigbuckbunny"), tmp_path)
    assert pictures[0].shape[:2] == (360, 640)


def test_a_single_frame_gives_three_thumbnails(clip, tmp_path):
    _, pictures = made(clip("single_frame"), tmp_path)
    assert [read_number(picture) for picture in pictures] == [0, 0, 0]


def test_a_video_that_cannot_be_decoded_is_refused(clip, tmp_path):
    info = probe(clip("plain"), MediaLimits())
    with pytest.raises(EchoError) as caught:
        thumbnails(clip("corrupt"), info, tmp_path)
    assert caught.value.code == Code.CORRUPT
