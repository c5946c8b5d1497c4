"""Free TCP ports on 127.0.0.1, remembered per data folder so that addresses survive a restart."""

from __future__ import annotations

import json
import random
import socket
from pathlib import Path

# Below Linux's and macOS's ephemeral ranges (from 32768 and 49152): an outgoing connection can then not take
# the port of a server between its kill and its restart.
_CANDIDATES = range(18_000, 32_000)
_given: set[int] = set()


def port_for(name: str, data_dir: Path) -> int:
    """The port that `name` had last time with this data folder, or a new one when that is taken."""
    book_file = data_dir / "ports.json"
    book: dict[str, int] = json.loads(book_file.read_text()) if book_file.exists() else {}
    if name not in book or not _is_free(book[name]):
        book[name] = free_port()
        data_dir.mkdir(parents=True, exist_ok=True)
        book_file.write_text(json.dumps(book, indent=1))
    return book[name]


def free_port() -> int:
    """A port nobody listens on now, and that no living process of ours was handed, this one included: its server
    may not listen yet, or may be about to be started again."""
    while True:
        port = random.SystemRandom().choice(_CANDIDATES)
        if port not in _given and _is_free(port) and _claim(port):
            return port


def _claim(port: int) -> bool:
    # A name in Linux's abstract space, which like the ports is one per network: it goes with the process, however
    # that ends, and leaves no file.
    claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        claim.bind(f"\0echoshotx-port-{port}")
    except OSError:
        claim.close()
        return False
    claim.detach()  # stays bound, without an object that would complain of it at the interpreter's end
    _given.add(port)
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
