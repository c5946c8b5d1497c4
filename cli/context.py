"""What every command is given: the API, signed in; the screen; the user's language."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

from cli.api import Api
from cli.config import Login, default_api_url, login_for
from cli.exits import Exit, Stop
from cli.messages import Messages
from cli.screen import Screen


@dataclass(frozen=True)
class Context:
    api: Api
    screen: Screen
    messages: Messages


@contextmanager
def signed_in(options: Namespace, screen: Screen) -> Generator[Context]:
    """Raises `Stop` when it is not known where to go or who is asking."""
    messages = screen.messages
    api_url = api_url_of(options, messages)
    token = given_token(options)
    login = Login(api_url, token) if token else login_for(api_url)
    if login is None:
        raise Stop(Exit.NOT_ALLOWED, messages("not_signed_in", place=f" ({api_url})"))
    api = Api(login, messages)
    try:
        yield Context(api, screen, messages)
    finally:
        api.close()


def api_url_of(options: Namespace, messages: Messages) -> str:
    url = options.api or os.environ.get("ECHOSHOT_API_URL") or default_api_url()
    if not url:
        raise Stop(Exit.USAGE, messages("no_api"))
    return url.rstrip("/")


def given_token(options: Namespace) -> str:
    """From --token or the environment. `-` reads it from stdin: arguments can be seen by every process."""
    if options.token == "-":  # noqa: S105  # not a password
        return sys.stdin.readline().strip()
    return options.token or os.environ.get("ECHOSHOT_TOKEN", "")
