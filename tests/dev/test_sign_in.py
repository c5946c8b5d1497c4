"""People sign in to the Temporal Web UI at the development issuer, and read there what is encrypted."""

from __future__ import annotations

import base64
import html
import json
import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, unquote, urljoin, urlsplit

import httpx
import pytest
import pytest_asyncio
from google.protobuf.json_format import MessageToDict
from joserfc import jwt
from joserfc.jwk import KeySet
from pydantic import SecretStr
from temporalio.api.common.v1 import Payload, Payloads

from contracts.settings import Settings
from dev import codec_keys
from dev.issuer import AUDIENCE, Signer, WebUi
from dev.servers.issuer import Issuer
from dev.servers.ports import free_port
from dev.servers.temporal import NAMESPACE, Temporal
from dev.servers.temporal_ui import WebUi as WebUiServer
from dev.sign_in import CLIENT_ID, SignIn, SignInRefused
from dev.toolchain import find
from tests.api.serving import served
from workflows.codec import codec

UI = "http://127.0.0.1:8080"
CALLBACK = f"{UI}/auth/sso/callback"
REQUEST = {"client_id": CLIENT_ID, "redirect_uri": CALLBACK, "response_type": "code"}
STATE = {"state": '"><script>', "nonce": "n1"}


# ---- the code flow, without a server -------------------------------------------------------------------------


def test_the_page_keeps_what_the_web_ui_sent_and_escapes_it() -> None:
    page = SignIn(UI).page({**REQUEST, **STATE})
    assert 'value="n1"' in page
    assert "&quot;&gt;&lt;script&gt;" in page
    assert "<script" not in page
    for role in ("support", "finance", "admin"):
        assert f'value="{role}"' in page


@pytest.mark.parametrize(
    "change",
    [
        {"redirect_uri": "http://evil.example/auth/sso/callback"},
        {"client_id": "x"},
        {"response_type": "token"},
    ],
)
def test_nobody_is_sent_to_an_address_that_is_not_the_web_uis(change: dict[str, str]) -> None:
    for use in (SignIn(UI).page, SignIn(UI).accept):
        with pytest.raises(SignInRefused):
            use({**REQUEST, "username": "kim", "role": "support", **change})


@pytest.mark.parametrize(
    "form", [{"username": " ", "role": "support"}, {"username": "kim", "role": "worker"}]
)
def test_a_sign_in_wants_a_name_and_a_role_of_staff(form: dict[str, str]) -> None:
    with pytest.raises(SignInRefused):
        SignIn(UI).accept({**REQUEST, **form})


def test_a_code_works_once_and_only_for_the_address_it_was_given_for() -> None:
    sign_in = SignIn(UI)

    def code() -> str:
        sent_to = sign_in.accept({**REQUEST, **STATE, "username": "kim", "role": "finance"})
        query = parse_qs(urlsplit(sent_to).query)
        assert query["state"] == [STATE["state"]]
        return query["code"][0]

    first = code()
    grant = sign_in.redeem(first, CALLBACK)
    assert grant is not None
    assert (grant.username, grant.role, grant.nonce) == ("kim", "finance", "n1")
    assert sign_in.redeem(first, CALLBACK) is None
    assert sign_in.redeem(code(), "http://evil.example") is None
    assert sign_in.redeem("guessed", CALLBACK) is None


def test_keys_of_a_development_platform_are_made_once_and_a_new_one_takes_over(tmp_path: Path) -> None:
    first = codec_keys.kept_below(tmp_path)
    assert codec_keys.kept_below(tmp_path) == first
    file = tmp_path / "codec_keys.json"
    assert file.stat().st_mode & 0o077 == 0
    keys = json.loads(file.read_text()) | {"dev-2": base64.b64encode(os.urandom(32)).decode()}
    file.write_text(json.dumps(keys))
    rotated = codec_keys.kept_below(tmp_path)
    assert rotated["ECHOSHOT_CODEC_KEY_ID"] == "dev-2"
    assert json.loads(rotated["ECHOSHOT_CODEC_KEYS"]) == keys


# ---- the real Web UI, issuer and API -------------------------------------------------------------------------


@dataclass
class SignedInPlatform:
    browser: httpx.AsyncClient
    """Keeps cookies, as browsers do, for all ports of 127.0.0.1."""
    issuer: Issuer
    ui_url: str
    settings: Settings

    async def sign_in(self, name: str, role: str) -> httpx.Response:
        """From the Web UI's button to its callback; the callback's answer."""
        asked = await self.browser.get(f"{self.ui_url}/auth/sso")
        page = await self.browser.get(asked.headers["location"])
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))
        fields = {name: html.unescape(value) for name, value in hidden.items()}
        sent = await self.browser.post(
            urljoin(str(page.url), "authorize"), data={**fields, "username": name, "role": role}
        )
        return await self.browser.get(sent.headers["location"])

    async def decode(self, payload: Payload) -> httpx.Response:
        body = MessageToDict(Payloads(payloads=[payload]))
        return await self.browser.post(
            f"{self.issuer.url}/codec/decode?preserveStorageRefs=true",
            json=body,
            headers={"Origin": self.ui_url},
        )


@pytest_asyncio.fixture
async def platform(
    temporal: Temporal, platform_settings: Settings, tmp_path: Path
) -> AsyncIterator[SignedInPlatform]:
    """A Web UI, an issuer and an API that know one another; payloads are encrypted."""
    issuer = Issuer(tmp_path, tmp_path / "logs")
    ui = WebUiServer(
        tmp_path / "ui",
        tmp_path / "logs",
        await find.temporal_ui(),
        port=free_port(),
        temporal_address=temporal.address,
        namespace=NAMESPACE,
        issuer_url=issuer.url,
    )
    keys = {"a": SecretStr(base64.b64encode(os.urandom(32)).decode())}
    changes = {"oidc_issuer": issuer.url, "codec_keys": keys, "codec_key_id": "a", "temporal_ui_url": ui.url}
    settings = platform_settings.model_copy(update=changes)
    async with served(settings) as api, httpx.AsyncClient(trust_env=False) as browser:
        issuer.web_ui = WebUi(ui.url, f"{api.url}/codec")
        try:
            await issuer.start()
            await ui.start()
            yield SignedInPlatform(browser, issuer, ui.url, settings)
        finally:
            await ui.stop()
            await issuer.stop()


async def test_the_web_ui_wants_people_to_sign_in_and_knows_who_decodes(platform: SignedInPlatform) -> None:
    settings = (await platform.browser.get(f"{platform.ui_url}/api/v1/settings")).json()
    assert settings["Auth"]["Enabled"] is True
    assert settings["Codec"]["Endpoint"] == f"{platform.issuer.url}/codec"
    namespaces = f"{platform.ui_url}/api/v1/namespaces"
    assert (await platform.browser.get(namespaces)).status_code == 401


async def test_whoever_signs_in_gets_tokens_that_the_web_ui_and_the_api_take(
    platform: SignedInPlatform,
) -> None:
    back = await platform.sign_in("김지원", "support")
    assert back.status_code == 303, back.text
    parts = sorted(item for item in back.cookies.items() if item[0].startswith("user"))
    user = json.loads(base64.b64decode("".join(unquote(value) for _, value in parts)))
    assert user["Name"] == "김지원"

    keys = KeySet.import_key_set((await platform.browser.get(f"{platform.issuer.url}/jwks")).json())
    access, identity = (
        jwt.decode(user[name], keys, algorithms=["ES256"]).claims for name in ("AccessToken", "IDToken")
    )
    assert (access["aud"], access["roles"]) == (AUDIENCE, ["support"])
    assert (identity["aud"], identity["sub"]) == (CLIENT_ID, "김지원")

    tokens = {
        "Authorization": f"Bearer {user['AccessToken']}",
        "Authorization-Extras": user["IDToken"],
    }
    listed = await platform.browser.get(f"{platform.ui_url}/api/v1/namespaces", headers=tokens)
    assert listed.status_code == 200
    known = await platform.browser.get(f"{platform.issuer.url}/userinfo", headers=tokens)
    assert (known.json()["name"], known.json()["roles"]) == ("김지원", ["support"])


async def test_payloads_are_decoded_for_those_who_are_signed_in(platform: SignedInPlatform) -> None:
    plain = Payload(metadata={"encoding": b"json/plain"}, data=b'"concert.mp4"')
    [sealed] = await codec(platform.settings).encode([plain])
    assert (await platform.decode(sealed)).status_code == 401

    await platform.sign_in("kim", "finance")
    answer = await platform.decode(sealed)
    assert answer.json() == MessageToDict(Payloads(payloads=[plain]))
    assert answer.headers["access-control-allow-origin"] == platform.ui_url
    assert answer.headers["access-control-allow-credentials"] == "true"


async def test_the_issuer_refuses_a_used_code_and_a_foreign_token(platform: SignedInPlatform) -> None:
    token = {
        "grant_type": "authorization_code",
        "code": "used",
        "redirect_uri": f"{platform.ui_url}/auth/sso/callback",
    }
    answer = await platform.browser.post(f"{platform.issuer.url}/token", data=token)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")
    for forged in ("x", Signer.with_new_key(platform.issuer.url).mint("kim")):
        headers = {"Authorization": f"Bearer {forged}"}
        assert (
            await platform.browser.get(f"{platform.issuer.url}/userinfo", headers=headers)
        ).status_code == 401
    asked = await platform.browser.get(f"{platform.issuer.url}/authorize", params={"client_id": "other"})
    assert asked.status_code == 400
