"""From the file on disk to the finished video on disk, through every process of the platform."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.exits import Exit
from dev.clips.bad import clip_cut_off
from dev.clips.good import clip_plain
from dev.footage import look_at
from dev.platform import running_platform
from tests.cli.conftest import Echoshot


@pytest.mark.slow
async def test_a_clip_goes_in_and_the_finished_video_comes_out(
    echoshot: Echoshot, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    good, bad = clip_plain(home), clip_cut_off(home)
    async with running_platform(tmp_path / "platform", durable=False) as platform:
        issuer = platform.stack.issuer
        assert issuer
        monkeypatch.setenv("ECHOSHOT_API_URL", platform.api.url)
        admin = issuer.signer.mint("root", ["admin"])
        gift = ("--user", "fan", "--credits", 30, "--reason", "gift")
        assert (await echoshot("admin", "grant", "--token", admin, *gift)).exit == Exit.OK
        assert (await echoshot("login", "--issuer", issuer.url, "--user", "fan")).exit == Exit.OK

        done = await echoshot("enhance", good, "-o", "out.mp4", "--upscaler", "lanczos")
        assert done.exit == Exit.OK, done
        assert "10 credits used" in done.out
        assert "20 credits available, 0 held" in done.out
        again = await echoshot("enhance", good, "-o", "again.mp4", "--upscaler", "lanczos", "--json")
        assert again.exit == Exit.OK, again
        assert again.document("job")["duplicate"]
        refused = await echoshot("enhance", bad, "--json")
        assert refused.exit == Exit.BAD_FILE, refused
        assert refused.document("error")["code"] == "truncated"
        assert (await echoshot("balance", "--json")).document("balance")["available"] == 10

    source, result = look_at(good), look_at(Path("out.mp4"))
    assert (result.width, result.height) == (2 * source.width, 2 * source.height)
    assert result.sha256 == look_at(Path("again.mp4")).sha256
