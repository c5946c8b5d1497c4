from __future__ import annotations

import hashlib
from fractions import Fraction

import pytest

from contracts.media import Manifest, MediaInfo, Verification, VideoInfo
from media import manifest

VIDEO = VideoInfo(
    codec="h264", pixel_format="yuv420p", bit_depth=8, width=160, height=120, average_fps=Fraction(30000, 1001),
    frame_count=30, start_s=Fraction(0), duration_s=Fraction(1001, 1000), variable_rate=False,
)  # fmt: skip
INFO = MediaInfo(container="mp4", bytes=1, sha256="0" * 64, duration_s=Fraction(1001, 1000), video=VIDEO)
RECORD = Manifest(
    job_id="job", kind="enhance", params={"scale": 2}, source=INFO, result=INFO, engines=(),
    verification=Verification(checks=()), segments=1, created_at="2026-01-01T00:00:00+00:00",
)  # fmt: skip


def test_a_written_manifest_reads_back_equal_with_exact_rates(tmp_path):
    path = tmp_path / "manifest.json"
    manifest.write(path, RECORD)
    assert Manifest.model_validate_json(path.read_text(encoding="utf-8")) == RECORD
    assert '"30000/1001"' in path.read_text(encoding="utf-8")
    assert list(tmp_path.iterdir()) == [path]


def test_a_manifest_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path = tmp_path / "manifest.json"
    manifest.write(path, RECORD)
    (tmp_path / ".manifest.json.part").mkdir()  # where the new content would go
    with pytest.raises(OSError, match="directory"):
        manifest.write(path, RECORD.model_copy(update={"job_id": "other"}))
    assert Manifest.model_validate_json(path.read_text(encoding="utf-8")) == RECORD


@pytest.mark.parametrize("size", [0, 1, manifest.BLOCK_BYTES, manifest.BLOCK_BYTES + 1])
def test_the_hash_covers_every_byte_and_tells_how_far_it_is(tmp_path, size):
    data, path, positions = bytes(size), tmp_path / "file", []
    path.write_bytes(data)
    assert manifest.sha256_file(path, positions.append) == (size, hashlib.sha256(data).hexdigest())
    assert positions[-1:] == ([size] if size else [])
