"""The authorization-code flow of the development issuer: how a browser signs in to the Temporal Web UI.

There is one client, the Web UI, and one page that asks for a name and a role. Codes work once and for a minute.
"""

from __future__ import annotations

import html
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

CLIENT_ID = "temporal-ui"
SCOPES = ("openid", "profile", "email")
ROLES = {
    "support": "고객지원 · Support",
    "finance": "재무 · Finance",
    "admin": "관리자 · Administrator",
}
CODE_TTL_S = 60


def callback_of(ui_url: str) -> str:
    """Where the Web UI takes its code."""
    return f"{ui_url}/auth/sso/callback"


class SignInRefused(Exception):
    """Told to the person in the browser; nothing is sent to the address that was asked for."""


@dataclass(frozen=True)
class Grant:
    """What a code stands for."""

    username: str
    role: str
    nonce: str
    redirect_uri: str
    expires_at: float


class SignIn:
    def __init__(self, ui_url: str) -> None:
        self._callback = callback_of(ui_url)
        self._grants: dict[str, Grant] = {}

    def page(self, asked: Mapping[str, str]) -> str:
        """The form for an authorization request. Raises `SignInRefused`."""
        self._check(asked)
        kept = {name: asked.get(name, "") for name in ("client_id", "redirect_uri", "state", "nonce")}
        return _PAGE.format(
            hidden="".join(
                f'<input type="hidden" name="{name}" value="{html.escape(value)}">'
                for name, value in {**kept, "response_type": "code"}.items()
            ),
            roles="".join(f'<option value="{role}">{label}</option>' for role, label in ROLES.items()),
        )

    def accept(self, form: Mapping[str, str]) -> str:
        """The address to send the browser to, once the form is filled in. Raises `SignInRefused`."""
        self._check(form)
        username, role = form.get("username", "").strip(), form.get("role", "")
        if not username or role not in ROLES:
            raise SignInRefused("이름과 역할을 고르세요. Give a name and choose a role.")
        now = time.monotonic()
        self._grants = {code: grant for code, grant in self._grants.items() if grant.expires_at > now}
        code = secrets.token_urlsafe(32)
        self._grants[code] = Grant(
            username, role, form.get("nonce", ""), form["redirect_uri"], now + CODE_TTL_S
        )
        return f"{form['redirect_uri']}?{urlencode({'code': code, 'state': form.get('state', '')})}"

    def redeem(self, code: str, redirect_uri: str) -> Grant | None:
        """None for a code that is unknown, used, expired or was given for another address."""
        grant = self._grants.pop(code, None)
        if grant is None or grant.expires_at <= time.monotonic() or grant.redirect_uri != redirect_uri:
            return None
        return grant

    def _check(self, asked: Mapping[str, str]) -> None:
        wanted = {"client_id": CLIENT_ID, "redirect_uri": self._callback, "response_type": "code"}
        for name, value in wanted.items():
            if asked.get(name) != value:
                raise SignInRefused(f"{name} is not that of the Temporal Web UI")


_PAGE = """<!doctype html>
<html lang="ko">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>EchoShotX 로그인 · Sign in</title>
<style>
  body {{ font: 16px/1.5 system-ui, sans-serif; margin: 0; min-height: 100vh; display: grid; place-items: center;
         background: #0f172a; color: #0f172a }}
  form {{ background: #fff; border-radius: 12px; padding: 2rem; width: 22rem; display: grid; gap: 1rem }}
  h1 {{ font-size: 1.25rem; margin: 0 }}
  p {{ margin: 0; color: #475569; font-size: .875rem }}
  label {{ display: grid; gap: .25rem }}
  input, select, button {{ font: inherit; padding: .5rem; border: 1px solid #94a3b8; border-radius: 6px }}
  button {{ background: #4338ca; border-color: #4338ca; color: #fff; cursor: pointer }}
</style>
<form method="post" action="authorize">
  <h1>EchoShotX 로그인 · Sign in</h1>
  <p>개발용: 누구나 누구로든 로그인할 수 있습니다.<br>For development: anybody may sign in as anybody.</p>
  <label>이름 · Name <input name="username" required autofocus maxlength="100" autocomplete="username"></label>
  <label>역할 · Role <select name="role">{roles}</select></label>
  {hidden}
  <button>로그인 · Sign in</button>
</form>
</html>
"""
