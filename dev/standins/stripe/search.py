"""Search by metadata, the one question that the platform asks: whose intent is this purchase's?"""

from __future__ import annotations

import re
import time
from typing import Annotated

from pydantic import Field

from dev.standins.store import JsonObject
from dev.standins.stripe.account import Account
from dev.standins.stripe.errors import invalid
from dev.standins.stripe.forms import Int, Params, Text

LAG = "search_lag_ms"
"""Setting; 0 if it was never ordered."""
_QUERY = re.compile(r"metadata\['(\w+)'\]:'([^'\\]+)'")


class Search(Params):
    query: Text
    limit: Annotated[Int, Field(ge=1, le=100)] = 10


def search_intents(account: Account, params: Search) -> JsonObject:
    """Newest first, one page. Does not find what is younger than `LAG`: real Stripe may take a minute."""
    asked = _QUERY.fullmatch(params.query)
    if asked is None:
        raise invalid("This stand-in searches by one metadata field only.", param="query")
    key, value = asked.groups()
    linked = account.store.newest("payment_intent", {f"metadata.{key}": value})
    before = time.time() - account.store.setting(LAG, 0) / 1000
    found = [
        intent for intent in linked if intent["metadata"].get(key) == value and intent["_made_at"] <= before
    ]
    return {
        "object": "search_result",
        "data": found[: params.limit],
        "has_more": len(found) > params.limit,
        "next_page": None,
    }
