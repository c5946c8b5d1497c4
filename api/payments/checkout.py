"""What the app needs to pay, asked of the purchase's workflow each time: secrets are never stored here.

The question starts the workflow when nobody has yet, so whoever repeats a request whose answer was lost puts the
purchase on its way at once; the sweeper does the same for those who do not come back.
"""

from __future__ import annotations

import logging

from api.services import Services
from contracts.errors import EchoError
from contracts.purchases import CheckoutAnswer
from db import purchases
from db import tables_money as tables
from workflows import client as workflow

WAIT_S = 2.0
"""Then the answer goes without it; the provider is slow or away, and the purchase goes on by itself."""

log = logging.getLogger("echoshot.api")


async def checkout_of(services: Services, purchase: tables.Purchase) -> CheckoutAnswer:
    """Without a `checkout` when the purchase is settled, and when nobody has answered in time."""
    settled = CheckoutAnswer(status=purchase.status, failure_code=purchase.failure_code)
    if purchase.status.settled:
        return settled
    given = purchases.purchase_input(purchase, services.settings.purchase_deadlines)
    try:
        return await services.temporal.call(
            lambda client: workflow.checkout(client, services.settings, given, WAIT_S)
        )
    except EchoError as error:
        services.metrics.unanswered.inc()
        log.warning("no checkout of %s yet: %s", purchase.id, error)
        return settled
