"""Telling a purchase's workflow that a refund is written down."""

from __future__ import annotations

import logging

from api.services import Services
from contracts.errors import EchoError
from contracts.ids import PurchaseId
from db import purchases
from workflows import client as workflow

log = logging.getLogger("echoshot.api")


async def announce(services: Services, purchase_id: PurchaseId) -> None:
    """The refund is committed, so the answer stands whatever happens here: the sweeper tells what was missed."""
    try:
        async with services.database.read() as session:
            purchase = await purchases.get(session, purchase_id)
        assert purchase is not None, "rows of purchases are never deleted"
        given = purchases.purchase_input(purchase, services.settings.purchase_deadlines)
        await services.temporal.call(
            lambda client: workflow.announce_refund(client, services.settings, given)
        )
    except EchoError as error:
        log.warning("the refund of %s is left to the sweeper: %s", purchase_id, error)
