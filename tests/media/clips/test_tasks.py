from __future__ import annotations

import pytest

from contracts.errors import Code, EchoError
from contracts.kinds.clip import ClipFile, ClipFormat, Cut
from media.clips.tasks import ClipTask, Strip, StripTask
from media.sandbox import Sandbox

MEMORY_BYTES_MAX = 1024**3


@pytest.mark.slow
async def test_clips_are_cut_and_strips_drawn_inside_the_sandbox_within_a_gigabyte(source, tmp_path):
    plain = source("plain")
    beats = []
    async with Sandbox(memory_bytes_max=MEMORY_BYTES_MAX) as sandbox:
        task = ClipTask(
            source=str(plain.path), info=plain.info, out_dir=str(tmp_path),
            cut=Cut(start_s=0.5, end_s=2.5, format=ClipFormat.VERTICAL),
        )  # fmt: skip
        clip = await sandbox.run("clip", task, on_progress=lambda *beat: beats.append(beat), stall_s=60)
        assert isinstance(clip, ClipFile)
        assert clip.verification.ok
        assert beats[-1] == ("clip", 120, 120)
        strip = StripTask(energy=(0.2, 0.9), sections=(), duration_s=1.0, out=str(tmp_path / "strip.png"))
        assert await sandbox.run("strip", strip, stall_s=60) == Strip(path=str(tmp_path / "strip.png"))
        outside = task.model_copy(update={"cut": Cut(start_s=50, end_s=52, format=ClipFormat.ORIGINAL)})
        with pytest.raises(EchoError) as refused:
            await sandbox.run("clip", outside, stall_s=60)
    assert refused.value.code == Code.RANGE_OUTSIDE
