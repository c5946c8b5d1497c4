"""`python -m bench.clips.engine SOURCE INFO CUT OUT_DIR`: one clip, in a process of its own to be measured."""

from __future__ import annotations

import sys
from pathlib import Path

from contracts.kinds.clip import Cut
from contracts.media import MediaInfo
from media.clips.cut import cut_clip


def main() -> None:
    source, info, cut, out_dir = sys.argv[1:]
    known = MediaInfo.model_validate_json(Path(info).read_text())
    clip = cut_clip(Path(source), known, Cut.model_validate_json(cut), Path(out_dir))
    assert clip.verification.ok
    print(f"copied: {clip.copied}", file=sys.stderr)


if __name__ == "__main__":
    main()
