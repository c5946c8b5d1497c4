"""Encryption keys of a development platform, made once and kept with its data.

A key added by hand to the file is read too; the last one encrypts.
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

from workflows.codec import KEY_BYTES


def kept_below(data_dir: Path) -> dict[str, str]:
    """What processes need in their environment, from the keys in `data_dir`."""
    file = data_dir / "codec_keys.json"
    if not file.exists():
        data_dir.mkdir(parents=True, exist_ok=True)
        made = file.with_suffix(".new")
        made.touch(mode=0o600)
        made.write_text(json.dumps({"dev-1": base64.b64encode(os.urandom(KEY_BYTES)).decode()}))
        os.replace(made, file)
    keys: dict[str, str] = json.loads(file.read_text())
    return {"ECHOSHOT_CODEC_KEYS": json.dumps(keys), "ECHOSHOT_CODEC_KEY_ID": list(keys)[-1]}
