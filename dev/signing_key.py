"""The signing key of a development platform, made once and kept with its data."""

from __future__ import annotations

import os
from pathlib import Path

from contracts.signing import new_key_pem


def kept_below(data_dir: Path) -> dict[str, str]:
    """What processes need in their environment."""
    file = data_dir / "signing_key.pem"
    if not file.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        made = file.with_suffix(".new")
        made.touch(mode=0o600)
        made.write_text(new_key_pem())
        os.replace(made, file)
    # On one line, for the lines of environment.sh.
    return {"ECHOSHOT_SIGNING_KEY": file.read_text().strip().replace("\n", "\\n")}
