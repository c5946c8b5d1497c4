"""`echoshot login`."""

from __future__ import annotations

from argparse import Namespace

from cli.api import Api, token_from_issuer
from cli.config import Login, save_login
from cli.context import api_url_of, given_token
from cli.exits import Exit, Stop
from cli.screen import Screen


def login(options: Namespace, screen: Screen) -> Exit:
    """Stores a token only after the API has accepted it."""
    messages = screen.messages
    api_url = api_url_of(options, messages)
    if options.issuer and options.user:
        token = token_from_issuer(messages, options.issuer, options.user, options.roles)
        login = Login(api_url, token, options.issuer, options.user, options.roles)
    elif token := given_token(options):
        login = Login(api_url, token)
    else:
        raise Stop(Exit.USAGE, messages("login_how"))
    api = Api(login, messages)
    try:
        me = api.get("/v1/me")
    finally:
        api.close()
    save_login(login)
    screen.document("me", me)
    screen.say(messages("signed_in", api=api_url, subject=me["subject"]))
    return Exit.OK
