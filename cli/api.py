"""The REST client: signs requests, repeats those that met a network fault, turns problems into `Refused`.

Every request may be repeated safely: reads and PATCHes are idempotent, and a POST either is or carries an
Idempotency-Key.
"""

from __future__ import annotations

import random
import time
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

import httpx

from cli.config import Login, save_login
from cli.exits import Exit, Refused, Stop
from cli.messages import Messages
from contracts.errors import Code

PATIENCE_S = 20.0
"""How long a request is repeated before the server counts as unreachable."""
WAIT_PATIENCE_S = 300.0
"""The same while waiting for a job: a restart of the server must not end the wait."""
TRY_AGAIN = frozenset({429, 500, 502, 503, 504})
TIMEOUT = httpx.Timeout(30.0, connect=10.0)
STREAM_TIMEOUT = httpx.Timeout(300.0, connect=10.0)
"""Until the first byte of an export: what was not sealed yet is sealed before."""


class Backoff:
    """Waits between attempts: 0.4 s, doubling to 5 s, with jitter so that clients do not return in step."""

    def __init__(self, patience_s: float) -> None:
        self._deadline = time.monotonic() + patience_s
        self._pause_s = 0.4

    def wait(self, at_least_s: float = 0.0) -> bool:
        """Sleep before the next attempt; False, at once, when patience would end meanwhile."""
        pause_s = max(at_least_s, self._pause_s * random.uniform(0.5, 1.0))  # noqa: S311  # no secret
        if time.monotonic() + pause_s > self._deadline:
            return False
        time.sleep(pause_s)
        self._pause_s = min(2 * self._pause_s, 5.0)
        return True


class Api:
    def __init__(self, login: Login, messages: Messages) -> None:
        self.login = login
        self.messages = messages
        self.patience_s = PATIENCE_S
        self.client = httpx.Client(
            base_url=checked_url(messages, login.api_url),
            timeout=TIMEOUT,
            headers={"Accept-Language": messages.locale},
        )

    def close(self) -> None:
        self.client.close()

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        return self.call("GET", path, params=params).json()

    def call(
        self,
        method: str,
        path: str,
        *,
        body: object = None,
        key: str = "",
        params: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        patience_s: float | None = None,
    ) -> httpx.Response:
        """One request to a path of this API, repeated while it helps. Raises `Refused`, or `Stop` (UNREACHABLE)."""
        backoff = Backoff(self.patience_s if patience_s is None else patience_s)
        headers = {**(headers or {}), **({"Idempotency-Key": key} if key else {})}
        renewed = False
        while True:
            pause_s = 0.0
            try:
                answer = self.client.request(
                    method, path, json=body, params=params, headers={**headers, **self.authorization()}
                )
            except httpx.TransportError as error:
                failure: Stop = unreachable(self.messages, self.login.api_url, error)
            else:
                if answer.status_code < 400:
                    return answer
                if answer.status_code == 401 and not renewed and self.renew():
                    renewed = True
                    continue
                failure = self._refusal(answer)
                in_flight = failure.code == Code.IDEMPOTENCY_IN_FLIGHT
                if answer.status_code not in TRY_AGAIN and not in_flight:
                    raise failure
                pause_s = _retry_after(answer)
            if not backoff.wait(pause_s):
                raise failure

    @contextmanager
    def stream(self, path: str, **params: Any) -> Generator[httpx.Response]:
        """A GET whose answer is read as it comes. Not repeated, but for a token that has expired. Raises as `call`."""
        try:
            with self._opened(path, params) as answer:
                if answer.status_code == 401 and self.renew():
                    with self._opened(path, params) as again:
                        yield self._accepted(again)
                else:
                    yield self._accepted(answer)
        except httpx.TransportError as error:
            raise unreachable(self.messages, self.login.api_url, error) from error

    def _opened(self, path: str, params: dict[str, Any]) -> AbstractContextManager[httpx.Response]:
        return self.client.stream(
            "GET", path, params=params, headers=self.authorization(), timeout=STREAM_TIMEOUT
        )

    def _accepted(self, answer: httpx.Response) -> httpx.Response:
        if answer.status_code >= 400:
            answer.read()
            raise self._refusal(answer)
        return answer

    def authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.login.token}"}

    def renew(self) -> bool:
        """Get a fresh token where that needs no person; False when the user has to sign in again."""
        if not self.login.issuer:
            return False
        token = token_from_issuer(self.messages, self.login.issuer, self.login.user, self.login.roles)
        self.login = replace(self.login, token=token)
        save_login(self.login)
        return True

    def _refusal(self, answer: httpx.Response) -> Stop:
        try:
            problem = answer.json()
            code, title = problem["code"], problem["title"]
        except (ValueError, KeyError, TypeError):
            host, status = self.login.api_url, answer.status_code
            return Stop(Exit.UNREACHABLE, self.messages("strange_answer", host=host, status=status))
        fields = "; ".join(f"{item['field']}: {item['message']}" for item in problem.get("errors", []))
        parts = (title, problem.get("detail"), f"({fields})" if fields else None)
        return Refused(answer.status_code, code, " ".join(filter(None, parts)))


def checked_url(messages: Messages, url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL()
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise Stop(Exit.USAGE, messages("bad_url", url=url))
    return parsed


def unreachable(messages: Messages, url: str, error: httpx.TransportError) -> Stop:
    host = httpx.URL(url).netloc.decode()
    return Stop(Exit.UNREACHABLE, messages("unreachable", host=host, reason=type(error).__name__))


def token_from_issuer(messages: Messages, issuer: str, user: str, roles: str) -> str:
    """An access token of a development issuer, which asks for no password."""
    checked_url(messages, issuer)
    try:
        with httpx.Client(timeout=TIMEOUT) as client:
            discovery = client.get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
            endpoint = discovery.raise_for_status().json()["token_endpoint"]
            form = {"grant_type": "password", "username": user, "roles": roles, "locale": messages.locale}
            return client.post(endpoint, data=form).raise_for_status().json()["access_token"]
    except httpx.TransportError as error:
        raise unreachable(messages, issuer, error) from error
    except (httpx.HTTPStatusError, ValueError, KeyError) as error:
        raise Stop(Exit.NOT_ALLOWED, messages("issuer_refused", reason=error)) from error


def _retry_after(answer: httpx.Response) -> float:
    value = answer.headers.get("Retry-After", "")
    return float(value) if value.isdigit() else 0.0
