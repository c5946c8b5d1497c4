"""Notices to users. One port; a push gateway behind a webhook is the real adapter, the log the default."""

from __future__ import annotations

import logging
from typing import Protocol

import httpx

from contracts.errors import Code, EchoError
from contracts.purchases import PurchaseNotice
from contracts.settings import Settings
from contracts.video_job import Notice

log = logging.getLogger(__name__)

TIMEOUT_S = 10.0


AnyNotice = Notice | PurchaseNotice


class Notifier(Protocol):
    async def send(self, notice: AnyNotice) -> None:
        """Delivers at least once; the receiver knows a repeat by the notice's key."""
        ...


class LogNotifier:
    async def send(self, notice: AnyNotice) -> None:
        log.info("notice %s", notice.key)


class WebhookNotifier:
    """Posts each notice as JSON. Any answer but 2xx is a failure that the step tries again."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def send(self, notice: AnyNotice) -> None:
        headers = {"Idempotency-Key": notice.key}
        try:
            async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
                answer = await client.post(self._url, json=notice.model_dump(mode="json"), headers=headers)
                answer.raise_for_status()
        except httpx.HTTPStatusError as error:
            # Its own text holds the address, and with it the gateway's secret.
            raise EchoError(
                Code.UNAVAILABLE, f"notification gateway: {error.response.status_code}"
            ) from error
        except httpx.HTTPError as error:
            raise EchoError(Code.UNAVAILABLE, f"notification gateway: {type(error).__name__}") from error


def notifier(settings: Settings) -> Notifier:
    return WebhookNotifier(settings.notify_webhook_url) if settings.notify_webhook_url else LogNotifier()
