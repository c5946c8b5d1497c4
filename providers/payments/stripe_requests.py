"""How requests reach Stripe: its official library over one httpx client, behind the breaker, one page at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

import httpx
import stripe

from contracts.errors import Code, EchoError
from contracts.payments import Provider
from contracts.settings import StripeSettings
from contracts.timing import PROVIDER_CALL
from providers.payments.breaker import Breaker, Busy, Outage

T = TypeVar("T")
S = TypeVar("S", bound=stripe.StripeObject)

API_VERSION = "2026-10-28.endive"
"""Of the requests and answers that this adapter was written and tested against; not the account's default."""

stripe.enable_telemetry = False  # it would name this machine and write a file into its home


class StripeRequests:
    def __init__(self, settings: StripeSettings, breaker: Breaker) -> None:
        self._breaker = breaker
        self._http = StripeHttp()
        self.v1 = stripe.StripeClient(
            settings.secret_key.get_secret_value(),
            stripe_version=API_VERSION,
            base_addresses={"api": settings.api_base},
            max_network_retries=0,
            http_client=self._http,
        ).v1

    async def aclose(self) -> None:
        await self._http.close_async()

    async def ask(self, send: Callable[[], Awaitable[T]]) -> T:
        """`send` is one call of `v1`. Raises PROVIDER_UNAVAILABLE, or PROVIDER_REFUSED with Stripe's `reason`."""
        return await self._breaker.call(lambda: _translated(send))

    async def pages(self, send: Callable[[], Awaitable[stripe.ListObject[S]]]) -> AsyncIterator[S]:
        """The library's own iterator would turn pages outside of breaker and time limit."""
        page = await self.ask(send)
        while True:
            for found in page.data:
                yield found
            if not page.has_more:
                return
            page = await self.ask(page.next_page_async)


class StripeHttp(stripe.HTTPClient):
    """In place of the library's own httpx client, which sends bodies in a way that httpx warns of."""

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
        except httpx.RequestError as error:
            raise stripe.APIConnectionError(type(error).__name__) from error
        return answer.content, answer.status_code, answer.headers

    async def close_async(self) -> None:
        await self._http.aclose()


async def _translated(send: Callable[[], Awaitable[T]]) -> T:
    """Stripe's errors in the words of the breaker and the port."""
    try:
        return await send()
    except stripe.APIConnectionError as error:
        raise Outage(f"connection failed ({error.user_message})") from error
    except stripe.RateLimitError as error:
        raise Busy("too many requests", _retry_after_s(error)) from error
    except stripe.IdempotencyError as error:
        # Sent before with another body, and not found yet: something may have happened under this key.
        raise Busy(f"the key is taken: {error.user_message}") from error
    except (stripe.AuthenticationError, stripe.PermissionError) as error:
        # Ours to repair; purchases wait for it.
        raise EchoError(
            Code.PROVIDER_UNAVAILABLE, f"stripe does not accept our secret key ({error.http_status})"
        ) from error
    except (stripe.InvalidRequestError, stripe.CardError) as error:
        reason = error.code or "invalid_request"
        raise EchoError(
            Code.PROVIDER_REFUSED,
            f"stripe: {reason}: {error.user_message}",
            {"provider": Provider.STRIPE, "reason": reason},
        ) from error
    except stripe.StripeError as error:
        if error.http_status == 409:
            raise Busy("the same request is still in flight") from error
        raise Outage(f"answered {error.http_status or 'what is no JSON'}") from error


def _retry_after_s(error: stripe.StripeError) -> int | None:
    value = (error.headers or {}).get("retry-after", "")
    return int(value) if value.isdecimal() else None
