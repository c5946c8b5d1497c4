"""The API: which operations there are, who may call them, and how a request becomes a call."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from dev.standins.exchange import Answer, Call
from dev.standins.store import JsonObject, new_id
from dev.standins.stripe import (
    balance,
    charges,
    customers,
    disputes,
    events,
    payment_intents,
    payment_methods,
    refunds,
    search,
)
from dev.standins.stripe.account import API_VERSION, Account
from dev.standins.stripe.confirmation import Confirm
from dev.standins.stripe.errors import ApiError, invalid
from dev.standins.stripe.forms import Params, read_form, validated
from dev.standins.stripe.lists import rendered

KEY_LENGTH_MAX = 255
Handler = Callable[..., JsonObject]
"""Called with the account, the id in the path if there is one, and the parameters."""


@dataclass(frozen=True)
class Operation:
    method: str
    path: str
    params: type[Params]
    handler: Handler
    client_handler: Handler | None = None
    """For the publishable key; None: secret key only."""


OPERATIONS = (
    Operation("POST", "/v1/customers", customers.CustomerParams, customers.create),
    Operation("GET", "/v1/customers", customers.ListCustomers, customers.list_customers),
    Operation("GET", "/v1/customers/*", Params, customers.retrieve),
    Operation("POST", "/v1/customers/*", customers.CustomerParams, customers.update),
    Operation(
        "GET",
        "/v1/customers/*/payment_methods",
        payment_methods.ListMethodsOfCustomer,
        payment_methods.list_of_customer,
    ),
    Operation("POST", "/v1/customer_sessions", customers.CreateSession, customers.create_session),
    Operation(
        "POST",
        "/v1/payment_methods",
        payment_methods.CreateMethod,
        partial(payment_methods.create, from_client=False),
        partial(payment_methods.create, from_client=True),
    ),
    Operation("GET", "/v1/payment_methods", payment_methods.ListMethods, payment_methods.list_methods),
    Operation("GET", "/v1/payment_methods/*", Params, payment_methods.retrieve),
    Operation("POST", "/v1/payment_methods/*/attach", payment_methods.Attach, payment_methods.attach),
    Operation("POST", "/v1/payment_methods/*/detach", Params, payment_methods.detach),
    Operation("POST", "/v1/payment_intents", payment_intents.Create, payment_intents.create),
    Operation("GET", "/v1/payment_intents", payment_intents.ListIntents, payment_intents.list_intents),
    Operation("GET", "/v1/payment_intents/search", search.Search, search.search_intents),
    Operation(
        "GET",
        "/v1/payment_intents/*",
        payment_intents.Retrieve,
        payment_intents.retrieve,
        payment_intents.retrieve_as_client,
    ),
    Operation("POST", "/v1/payment_intents/*", payment_intents.Update, payment_intents.update),
    Operation(
        "POST",
        "/v1/payment_intents/*/confirm",
        Confirm,
        payment_intents.confirm,
        payment_intents.confirm_as_client,
    ),
    Operation("POST", "/v1/payment_intents/*/cancel", payment_intents.Cancel, payment_intents.cancel),
    Operation("GET", "/v1/charges", charges.ListCharges, charges.list_charges),
    Operation("GET", "/v1/charges/*", Params, charges.retrieve),
    Operation("POST", "/v1/refunds", refunds.Create, refunds.create),
    Operation("GET", "/v1/refunds", refunds.ListRefunds, refunds.list_refunds),
    Operation("GET", "/v1/refunds/*", Params, refunds.retrieve),
    Operation("POST", "/v1/refunds/*", refunds.Update, refunds.update),
    Operation("GET", "/v1/disputes", disputes.ListDisputes, disputes.list_disputes),
    Operation("GET", "/v1/disputes/*", Params, disputes.retrieve),
    Operation("POST", "/v1/disputes/*/close", Params, disputes.close),
    Operation("GET", "/v1/balance", Params, balance.balance),
    Operation("GET", "/v1/balance_transactions", balance.ListTransactions, balance.list_transactions),
    Operation("GET", "/v1/balance_transactions/*", Params, balance.retrieve_transaction),
    Operation("GET", "/v1/payouts", balance.ListPayouts, balance.list_payouts),
    Operation("GET", "/v1/payouts/*", Params, balance.retrieve_payout),
    Operation("GET", "/v1/events", events.ListEvents, events.list_events),
    Operation("GET", "/v1/events/*", Params, events.retrieve),
)
_PATTERNS = [(operation, re.compile(operation.path.replace("*", r"([^/]+)"))) for operation in OPERATIONS]


class StripeDialect:
    def __init__(self, account: Account, secret_key: str, publishable_key: str) -> None:
        self._account = account
        self._secret_key = secret_key
        self._publishable_key = publishable_key

    def read(
        self, method: str, path: str, headers: Mapping[str, str], query: str, body: bytes
    ) -> Call | Answer:
        try:
            return self._call(method, path, headers, query, body)
        except ApiError as error:
            return Answer(error.status, error.body)

    def _call(self, method: str, path: str, headers: Mapping[str, str], query: str, body: bytes) -> Call:
        from_client = self._is_client(headers)
        version = headers.get("stripe-version")
        if version not in (None, API_VERSION):
            raise invalid(f"Invalid Stripe API version: {version}. This stand-in speaks {API_VERSION} only.")
        operation, ids = _operation(method, path)
        handler = operation.client_handler if from_client else operation.handler
        if handler is None:
            raise ApiError(
                401,
                "This API call cannot be made with a publishable API key. Please use a secret API key.",
                code="secret_key_required",
            )
        form = read_form(_form_text(method, headers, query, body))
        params = validated(operation.params, form)
        key = headers.get("idempotency-key") if method == "POST" else None
        if key is not None and not 0 < len(key) <= KEY_LENGTH_MAX:
            raise invalid(f"Idempotency keys have 1 to {KEY_LENGTH_MAX} characters.")
        run = partial(self._execute, partial(handler, self._account, *ids, params), params.expand, path, key)
        return Call(form, key, run)

    def _execute(
        self, run: Callable[[], JsonObject], expand: list[str], path: str, key: str | None
    ) -> Answer:
        self._account.request = {"id": new_id("req"), "idempotency_key": key}
        try:
            body = rendered(self._account, run(), expand)
        except ApiError as error:
            return Answer(error.status, error.body)
        finally:
            self._account.request = {"id": None, "idempotency_key": None}
        return Answer(200, body | {"url": path} if body["object"] in ("list", "search_result") else body)

    def _is_client(self, headers: Mapping[str, str]) -> bool:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not token:
            raise ApiError(
                401,
                "You did not provide an API key. You need to provide your API key in the Authorization header, "
                "using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY').",
            )
        if token not in (self._secret_key, self._publishable_key):
            raise ApiError(401, f"Invalid API Key provided: {token[:8]}****", code="api_key_invalid")
        return token == self._publishable_key

    def too_many_requests(self) -> Answer:
        error = ApiError(429, "Request rate limit exceeded.", code="rate_limit")
        return Answer(error.status, error.body)

    def server_error(self) -> Answer:
        message = "An unknown error occurred."
        return Answer(500, ApiError(500, message, kind="api_error").body)

    def key_in_use(self, key: str) -> Answer:
        message = (
            f"There is currently another in-progress request using this Idempotent Key: {key} (that probably means "
            "you submitted twice, and the other request is still going through)."
        )
        return Answer(409, ApiError(409, message, code="idempotency_key_in_use").body)

    def key_reused(self, key: str) -> Answer:
        message = (
            "Keys for idempotent requests can only be used with the same parameters they were first used with. Try "
            f"using a key other than '{key}' if you meant to execute a different request."
        )
        return Answer(400, ApiError(400, message, kind="idempotency_error").body)

    def headers(self, answer: Answer, key: str | None, *, replayed: bool) -> Mapping[str, str]:
        given: dict[str, Any] = {"Request-Id": new_id("req"), "Stripe-Version": API_VERSION}
        if key is not None:
            given |= {"Idempotency-Key": key, "Original-Request": given["Request-Id"]}
        if replayed:
            given["Idempotent-Replayed"] = "true"
        if answer.retry is not None:
            given["Stripe-Should-Retry"] = "true" if answer.retry else "false"
        return given


def _operation(method: str, path: str) -> tuple[Operation, tuple[str, ...]]:
    for operation, pattern in _PATTERNS:
        if operation.method == method and (match := pattern.fullmatch(path)):
            return operation, match.groups()
    raise ApiError(404, f"Unrecognized request URL ({method}: {path}).")


def _form_text(method: str, headers: Mapping[str, str], query: str, body: bytes) -> str:
    if method == "GET":
        return query
    content_type = headers.get("content-type", "").partition(";")[0].strip()
    if body and content_type != "application/x-www-form-urlencoded":
        raise invalid(
            f"Invalid request: the content type of POST is application/x-www-form-urlencoded, not {content_type}."
        )
    return body.decode()
