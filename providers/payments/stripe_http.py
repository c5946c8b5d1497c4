"""The HTTP client under Stripe's library: httpx, without the library's own, which httpx warns of and so fails tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import stripe

from contracts.timing import PROVIDER_CALL


class StripeHttp(stripe.HTTPClient):
    name = "httpx"

    def __init__(self) -> None:
        super().__init__()
        self._http = httpx.AsyncClient(timeout=PROVIDER_CALL.total_seconds())

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        # The library invents a random key for a POST that brings none; under it a repeated charge is a second one.
        assert method != "post" or "/" in headers["Idempotency-Key"], "a POST without a key of ours"
        try:
            answer = await self._http.request(method, url, headers=dict(headers), content=post_data)
        except httpx.TransportError as error:
            raise stripe.APIConnectionError(type(error).__name__) from error
        return answer.content, answer.status_code, answer.headers

    async def close_async(self) -> None:
        await self._http.aclose()
