"""Free TCP ports on 127.0.0.1."""

from __future__ import annotations

import random
import socket

# Below Linux's and macOS's ephemeral ranges (from 32768 and 49152): an outgoing connection can then not take the
# port of a server between its kill and its restart.
_CANDIDATES = range(18_000, 32_000)
_given: set[int] = set()


def free_port() -> int:
    """A port nobody listens on now, and that this process has not handed out before."""
    while True:
        port = random.SystemRandom().choice(_CANDIDATES)
        if port not in _given and _is_free(port):
            _given.add(port)
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
