"""The REST API: which operations there are, and how a request becomes a call."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Annotated, Literal, TypeVar
from urllib.parse import parse_qs, unquote

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StrictInt, ValidationError

from dev.standins.exchange import Answer, Call
from dev.standins.portone.errors import ApiError
from dev.standins.portone.payments import MODE, Payments
from dev.standins.store import JsonObject, Store

_KEY = re.compile(r'"?[A-Za-z0-9_-]{16,256}"?')
_FILTER_SPAN = timedelta(days=90)
Won = Annotated[StrictInt, Field(ge=1)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    storeId: str | None = None


class Lookup(Body):
    pass


class PreRegister(Body):
    totalAmount: Won
    currency: Literal["KRW"]


class Amount(BaseModel):
    model_config = ConfigDict(extra="forbid")

    total: Won


class Customer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: str | None = None


class BillingKeyPayment(Body):
    billingKey: str
    orderName: str
    amount: Amount
    currency: Literal["KRW"]
    customer: Customer = Customer()


class Cancel(Body):
    reason: Annotated[str, Field(min_length=1)]
    amount: Won | None = None
    currentCancellableAmount: StrictInt | None = None
    requester: Literal["CUSTOMER", "ADMIN"] | None = None


class Page(BaseModel):
    model_config = ConfigDict(extra="forbid")

    number: Annotated[int, Field(ge=0)] = 0
    size: Annotated[int, Field(ge=1, le=1000)] = 10


class Filter(Body):
    timestampType: Literal["CREATED_AT", "STATUS_CHANGED_AT"] = "STATUS_CHANGED_AT"
    from_: Annotated[AwareDatetime | None, Field(alias="from")] = None
    until: AwareDatetime | None = None
    status: list[str] | None = None
    sortBy: Literal["REQUESTED_AT", "STATUS_CHANGED_AT"] = "REQUESTED_AT"
    sortOrder: Literal["ASC", "DESC"] = "DESC"


class ListPayments(BaseModel):
    model_config = ConfigDict(extra="forbid")

    page: Page = Page()
    filter: Filter = Filter()


AnyModel = TypeVar("AnyModel", bound=BaseModel)


class PortOneDialect:
    def __init__(self, store: Store, payments: Payments, api_secret: str, store_id: str) -> None:
        self._store = store
        self._payments = payments
        self._authorization = f"PortOne {api_secret}"
        self._store_id = store_id

    def read(
        self, method: str, path: str, headers: Mapping[str, str], query: str, body: bytes
    ) -> Call | Answer:
        try:
            return self._call(method, path, headers, query, body)
        except ApiError as error:
            return _refused(error)

    def _call(self, method: str, path: str, headers: Mapping[str, str], query: str, body: bytes) -> Call:
        if headers.get("authorization") != self._authorization:
            raise ApiError("UNAUTHORIZED", "the API secret is wrong")
        given = _given(method, headers, query, body)
        run = self._operation(method, [unquote(part) for part in path.split("/")[1:]], given)
        return Call(given, _key(method, headers), lambda: _answer(run))

    def _operation(self, method: str, path: list[str], given: JsonObject) -> Callable[[], JsonObject]:
        match method, path:
            case "GET", ["payments"]:
                return partial(self._list, _checked(ListPayments, given))
            case "GET", ["payments", payment_id]:
                return partial(self._get, payment_id, _checked(Lookup, given))
            case "GET", ["billing-keys", billing_key]:
                return partial(self._get_billing_key, billing_key, _checked(Lookup, given))
            case "POST", ["payments", payment_id, "pre-register"]:
                return partial(self._pre_register, payment_id, _checked(PreRegister, given))
            case "POST", ["payments", payment_id, "billing-key"]:
                return partial(self._pay, payment_id, _checked(BillingKeyPayment, given))
            case "POST", ["payments", payment_id, "cancel"]:
                return partial(self._cancel, payment_id, _checked(Cancel, given))
            case _:
                raise ApiError("INVALID_REQUEST", f"no such operation: {method} /{'/'.join(path)}")

    def _get(self, payment_id: str, asked: Lookup) -> JsonObject:
        self._check_store(asked)
        return self._payments.find(payment_id)

    def _get_billing_key(self, billing_key: str, asked: Lookup) -> JsonObject:
        self._check_store(asked)
        _, owner = self._payments.billing_key(billing_key)
        return {
            "status": "ISSUED",
            "billingKey": billing_key,
            "storeId": self._store_id,
            "customer": {"id": owner},
        }

    def _pre_register(self, payment_id: str, asked: PreRegister) -> JsonObject:
        self._check_store(asked)
        self._payments.register(payment_id, asked.totalAmount)
        return {}

    def _pay(self, payment_id: str, asked: BillingKeyPayment) -> JsonObject:
        self._check_store(asked)
        payment = self._payments.pay_with_billing_key(
            payment_id, asked.amount.total, asked.billingKey, asked.orderName, asked.customer.id
        )
        return {"payment": {"pgTxId": payment["pgTxId"], "paidAt": payment["paidAt"]}}

    def _cancel(self, payment_id: str, asked: Cancel) -> JsonObject:
        self._check_store(asked)
        mode = self._store.setting(MODE, "SUCCEEDED")
        cancellation = self._payments.cancel(
            payment_id, asked.amount, asked.reason, asked.currentCancellableAmount, mode
        )
        return {"cancellation": cancellation}

    def _list(self, asked: ListPayments) -> JsonObject:
        self._check_store(asked.filter)
        wanted = asked.filter
        until = wanted.until or datetime.now(UTC)
        from_ = wanted.from_ or until - _FILTER_SPAN
        moment = "statusChangedAt" if wanted.timestampType == "STATUS_CHANGED_AT" else "requestedAt"
        found = [
            payment
            for payment in self._payments.all()
            if from_ <= datetime.fromisoformat(payment[moment]) <= until
            and (wanted.status is None or payment["status"] in wanted.status)
        ]
        order = "statusChangedAt" if wanted.sortBy == "STATUS_CHANGED_AT" else "requestedAt"
        found.sort(key=lambda payment: payment[order], reverse=wanted.sortOrder == "DESC")
        first = asked.page.number * asked.page.size
        return {
            "items": found[first : first + asked.page.size],
            "page": {"number": asked.page.number, "size": asked.page.size, "totalCount": len(found)},
        }

    def _check_store(self, asked: Body) -> None:
        if asked.storeId not in (None, self._store_id):
            raise ApiError("FORBIDDEN", f"no access to store {asked.storeId}")

    def too_many_requests(self) -> Answer:
        return _refused(ApiError("TOO_MANY_REQUESTS", "slow down"))

    def server_error(self) -> Answer:
        return _refused(ApiError("INTERNAL_SERVER_ERROR", "something broke"))

    def key_in_use(self, key: str) -> Answer:
        return _refused(ApiError("IDEMPOTENCY_OUTSTANDING_REQUEST", f"{key} is being processed"))

    def key_reused(self, key: str) -> Answer:
        # PortOne only says that it must not be done; 422 is what the Internet draft that it follows asks for.
        return Answer(422, {"type": "INVALID_REQUEST", "message": f"{key} belongs to another request"})

    def headers(self, answer: Answer, key: str | None, *, replayed: bool) -> Mapping[str, str]:
        return {"Retry-After": "1"} if answer.status == 429 else {}


def _given(method: str, headers: Mapping[str, str], query: str, body: bytes) -> JsonObject:
    """The JSON of the request; a GET has it in `requestBody`, or plain names in the query."""
    fields = {name: values[-1] for name, values in parse_qs(query, keep_blank_values=True).items()}
    text = fields.pop("requestBody", "{}") if method == "GET" else body.decode()
    if method != "GET" and headers.get("content-type", "").partition(";")[0] != "application/json":
        raise ApiError("INVALID_REQUEST", "the content type of the body is application/json")
    try:
        parsed = json.loads(text)
    except ValueError as error:
        raise ApiError("INVALID_REQUEST", f"the body is not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise ApiError("INVALID_REQUEST", "the body is not a JSON object")
    return parsed | fields


def _checked(model: type[AnyModel], given: JsonObject) -> AnyModel:
    try:
        return model.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise ApiError("INVALID_REQUEST", f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _key(method: str, headers: Mapping[str, str]) -> str | None:
    key = headers.get("idempotency-key")
    if method == "GET" or key is None:
        return None
    if not _KEY.fullmatch(key):
        raise ApiError("INVALID_REQUEST", "Idempotency-Key has 16 to 256 letters, digits, - or _")
    return key.strip('"')


def _answer(run: Callable[[], JsonObject]) -> Answer:
    try:
        return Answer(200, run())
    except ApiError as error:
        return _refused(error)


def _refused(error: ApiError) -> Answer:
    return Answer(error.status, error.body)
