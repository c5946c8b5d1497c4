"""Bodies of `/v1/admin`."""

from __future__ import annotations

from pydantic import Field

from api.shapes import Body, Line, UserIdText, View
from contracts.ledger import Balance, Bucket
from contracts.text import WholeNumber

GRANT_CREDITS_MAX = 1_000_000
"""A slip of the finger must not exceed what support can explain."""


class BySubject(Body):
    subject: Line
    """As the identity provider names the user, who need not have signed in yet."""


class ById(Body):
    user_id: UserIdText


class GrantRequest(Body):
    user: BySubject | ById
    credits: WholeNumber = Field(ge=1, le=GRANT_CREDITS_MAX, examples=[100])
    bucket: Bucket = Bucket.PROMO
    reason: Line = Field(examples=["welcome gift"])
    """Written into the books."""


class Granted(View):
    user_id: str
    credits: int
    bucket: Bucket
    balance: Balance
