"""Who is signed in where, kept in the user's own folders (XDG) and readable by nobody else."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import mkstemp
from typing import Any


@dataclass(frozen=True)
class Login:
    """A token for one API. With `issuer` and `user` (a development issuer) it can be renewed."""

    api_url: str
    token: str
    issuer: str = ""
    user: str = ""
    roles: str = ""


def config_dir() -> Path:
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "echoshot"


def state_dir() -> Path:
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state") / "echoshot"


def save_login(login: Login) -> None:
    """Remember `login` beside those for other APIs, and make its API the one that is used by default."""
    stored = _read()
    logins = {**stored.get("logins", {}), login.api_url: asdict(login)}
    write_private(_file(), {"api_url": login.api_url, "logins": logins})


def default_api_url() -> str:
    return _read().get("api_url", "")


def login_for(api_url: str) -> Login | None:
    """Only the token that was given for this very API: no other server is shown it."""
    found = _read().get("logins", {}).get(api_url)
    return Login(**found) if found else None


def write_private(path: Path, content: dict[str, Any]) -> None:
    """Replace a JSON file at once, with mode 0600 from its first byte on."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, name = mkstemp(dir=path.parent)  # creates with 0600
    try:
        with os.fdopen(handle, "w") as file:
            json.dump(content, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _file() -> Path:
    return config_dir() / "login.json"


def _read() -> dict[str, Any]:
    try:
        return json.loads(_file().read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return {}
