"""The stack stands in for the payment providers that the environment does not name."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.payments import Provider
from contracts.settings import Settings
from dev.servers.ports import port_for
from dev.stack import Stack

pytestmark = pytest.mark.servers


async def test_stand_ins_tell_the_platform_where_they_are_and_send_webhooks_to_its_api(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("ECHOSHOT_S3_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("ECHOSHOT_DATABASE_URL", "postgresql://127.0.0.1:1/none")
    api_url = f"http://127.0.0.1:{port_for('api', tmp_path)}"
    stack = await Stack.below(tmp_path)
    for standin in (stack.stripe, stack.portone):
        assert standin is not None
        await standin.start()
        try:
            told = await standin.control.get("webhooks")
            assert told["url"] == f"{api_url}/v1/webhooks/{standin.name}"
            for name, value in standin.settings().items():
                monkeypatch.setenv(name, value)
        finally:
            await standin.stop()
    settings = Settings()
    assert (settings.stripe.api_base, settings.portone.api_base) == tuple(
        standin.url for standin in (stack.stripe, stack.portone) if standin is not None
    )
    assert set(settings.providers_offered) == set(Provider)


async def test_a_provider_with_a_real_secret_is_not_stood_in_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECHOSHOT_STRIPE__SECRET_KEY", "sk_test_of_an_account")
    stack = await Stack.below(tmp_path)
    assert stack.stripe is None
    assert stack.portone is not None
