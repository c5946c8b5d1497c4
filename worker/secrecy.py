"""Keeping a worker's secrets from the engines that it starts."""

from __future__ import annotations

import ctypes

PR_SET_DUMPABLE = 4


def hide_from_children() -> None:
    """Closes this process's environment and memory to other processes of the same user.

    Engines read hostile files and are given no secrets, but they run as the worker's own user: without this a
    captured engine could read them in /proc/<parent>/environ. Raises OSError where the kernel refuses.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_DUMPABLE)")
