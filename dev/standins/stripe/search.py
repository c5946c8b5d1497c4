"""Search by metadata, the one question that the platform asks: whose intent is this purchase's?"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from dev.standins.store import JsonObject
from dev.standins.stripe.account import Account
from dev.standins.stripe.errors import invalid
from dev.standins.stripe.forms import Int, Params, Text

_QUERY = re.compile(r"metadata\['(\w+)'\]:'([^'\\]+)'")


class Search(Params):
    query: Text
    limit: Annotated[Int, Field(ge=1, le=100)] = 10


def search_intents(account: Account, params: Search) -> JsonObject:
    """Newest first, one page. Knows of an intent at once, where real Stripe may take a minute."""
    asked = _QUERY.fullmatch(params.query)
    if asked is None:
        raise invalid("This stand-in searches by one metadata field only.", param="query")
    key, value = asked.groups()
    linked = account.store.newest("payment_intent", {f"metadata.{key}": value})
    found = [intent for intent in linked if intent["metadata"].get(key) == value]
    return {
        "object": "search_result",
        "data": found[: params.limit],
        "has_more": len(found) > params.limit,
        "next_page": None,
    }
