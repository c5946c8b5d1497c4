from __future__ import annotations

import pytest

from media.loudness import SILENCE_LUFS, Level, read_level

SILENCE = Level(SILENCE_LUFS, 0.0, SILENCE_LUFS)


@pytest.mark.parametrize(
    ("metadata", "level"),
    [
        ({}, SILENCE),
        ({"lavfi.r128.I": "nan", "lavfi.r128.LRA": "nan", "lavfi.r128.true_peaks_ch0": "-inf"}, SILENCE),
        ({"lavfi.r128.I": "-70.000", "lavfi.r128.true_peaks_ch0": "0.000"}, SILENCE),
        (
            {
                "lavfi.r128.I": "-14.2",
                "lavfi.r128.LRA": "6.5",
                "lavfi.r128.true_peaks_ch0": "0.1",
                "lavfi.r128.true_peaks_ch1": "1.0",
            },
            Level(-14.2, 6.5, 0.0),
        ),
    ],
)
def test_the_loudest_channel_counts_and_what_is_not_a_number_is_silence(metadata, level):
    assert read_level(metadata) == level
