"""`python -m bench.music.speed FILE`: time and memory of one analysis, decode included, in this process alone."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

from contracts.media import MediaLimits
from media.music.analysis import analyse
from media.probe import probe


def main() -> None:
    path = Path(sys.argv[1])
    info = probe(path, MediaLimits())
    begun = time.monotonic()
    music = analyse(path, info.container, duration_s=float(info.duration_s))
    wall_s = time.monotonic() - begun
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(
        f"{music.duration_s:.0f} s of sound, {len(music.sections)} sections: {wall_s:.1f} s, "
        f"{used.ru_utime + used.ru_stime:.1f} s CPU with start and probe, {used.ru_maxrss / 1024:.0f} MB"
    )


if __name__ == "__main__":
    main()
