"""Events as the API lists them."""

from __future__ import annotations

from dev.standins.store import JsonObject
from dev.standins.stripe.account import Account
from dev.standins.stripe.errors import invalid
from dev.standins.stripe.forms import Params, Text
from dev.standins.stripe.lists import CreatedListParams, page


class ListEvents(CreatedListParams):
    type: Text | None = None
    types: list[Text] | None = None


def retrieve(account: Account, event_id: str, _: Params) -> JsonObject:
    return account.get("event", event_id)


def list_events(account: Account, params: ListEvents) -> JsonObject:
    if params.type is not None and params.types is not None:
        raise invalid("You may only specify one of these parameters: type, types.", param="types")
    if params.types is None:
        return page(account, "event", params, {"type": params.type})
    return page(account, "event", params, {}, keep=lambda event: event["type"] in (params.types or ()))
