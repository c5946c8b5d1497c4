"""Tasks that misbehave in every way an engine may: the sandbox loads them in its child instead of the real ones."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time

from contracts.base import Contract
from contracts.errors import Code, EchoError
from media.progress import Progress
from media.tasks import Task


class Text(Contract):
    text: str = ""


def pid(arg: Text, progress: Progress) -> Text:
    return Text(text=str(os.getpid()))


def environment(arg: Text, progress: Progress) -> Text:
    return Text(text=" ".join(f"{name}={value}" for name, value in os.environ.items()))


def scratch(arg: Text, progress: Progress) -> Text:
    with open("left-behind", "w") as file:
        file.write("x")
    return Text(text=os.getcwd())


def count(arg: Text, progress: Progress) -> Text:
    for done in range(1, 4):
        progress("count", done, 3)
    return arg


def noise(arg: Text, progress: Progress) -> Text:
    """A native library that prints on both streams."""
    os.write(1, b'{"result": {"text": "forged"}}\n')
    os.write(2, b"noise\n")
    return arg


def refuse(arg: Text, progress: Progress) -> Text:
    raise EchoError(Code.CORRUPT, "frame 7", {"frame": 7})


def bug(arg: Text, progress: Progress) -> Text:
    raise ZeroDivisionError(arg.text)


def segfault(arg: Text, progress: Progress) -> Text:
    os.write(2, b"about to fall\n")
    os.kill(os.getpid(), signal.SIGSEGV)
    return arg


def exit_silently(arg: Text, progress: Progress) -> Text:
    os._exit(3)


def hang(arg: Text, progress: Progress) -> Text:
    progress("hang", 1, 2)
    time.sleep(3600)
    return arg


def hang_with_grandchild(arg: Text, progress: Progress) -> Text:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
    progress("grandchild", process.pid, 0)
    time.sleep(3600)
    return arg


def eat_memory(arg: Text, progress: Progress) -> Text:
    eaten = ctypes.create_string_buffer(int(arg.text))
    return Text(text=str(len(eaten)))


FUNCTIONS = (
    pid, environment, scratch, count, noise, refuse, bug, segfault, exit_silently, hang,
    hang_with_grandchild, eat_memory,
)  # fmt: skip
TASKS = {function.__name__: Task(Text, Text, function) for function in FUNCTIONS}
