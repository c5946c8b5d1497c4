"""`echoshot credits packages` and `buy`, `echoshot payments list` and `show`."""

from __future__ import annotations

import time
from argparse import Namespace
from typing import Any

from cli.context import Context
from cli.credits import show_balance
from cli.exits import Exit, Refused, Stop
from cli.pending import Pending, pending_purchase
from cli.screen import local_time
from contracts.payments import PurchaseStatus

WAIT_S = 60.0
"""For a saved card to be charged; most take a second or two."""
POLL_S = 1.0


def packages(context: Context, _options: Namespace) -> Exit:
    messages, screen = context.messages, context.screen
    pricing = context.api.get("/v1/pricing")
    screen.document("packages", {"data": pricing["packages"], "providers": pricing["providers"]})
    screen.table(
        [messages(column) for column in ("col_package", "col_credits", "col_price")],
        [
            [package["package"], f"{package['credits']:,}", messages("won", amount=package["krw"])]
            for package in pricing["packages"]
        ],
    )
    return Exit.OK


def buy(context: Context, options: Namespace) -> Exit:
    """One run is one purchase, and so is a repeat of a run that was cut off."""
    messages, screen, api = context.messages, context.screen, context.api
    wishes = {
        "package": options.package,
        "payment_method": options.payment_method,
        "provider": options.provider,
    }
    body = {name: value for name, value in wishes.items() if value}
    pending = pending_purchase(api.login.api_url, api.get("/v1/me")["user_id"], body)
    answer = _send(context, pending)
    purchase = answer["purchase"]
    if pending.resumed:
        screen.note(messages("resuming_purchase", purchase=purchase["id"]))
    answer = _wait(context, answer, saved_card=options.payment_method is not None)
    purchase, status = answer["purchase"], PurchaseStatus(answer["purchase"]["status"])
    screen.document("purchase", answer)
    if not status.settled:
        if answer["checkout"]:
            pending.forget()  # what follows is up to a person: nothing is charged by itself any more
            raise Stop(Exit.NOT_PAID, messages("pay_in_app", purchase=purchase["id"]))
        raise Stop(Exit.NOT_PAID, messages("pay_later", purchase=purchase["id"]))
    pending.forget()
    if status is not PurchaseStatus.PAID:
        failure = purchase["failure"] or {"code": "", "message": ""}
        raise Stop(Exit.NOT_PAID, failure["message"], failure["code"])
    screen.say(messages("bought", credits=purchase["credits"], amount=purchase["amount_krw"]))
    show_balance(context)
    return Exit.OK


def payments(context: Context, options: Namespace) -> Exit:
    messages, screen = context.messages, context.screen
    wishes = {"limit": options.limit, "starting_after": options.after}
    page = context.api.get("/v1/payments", **{name: value for name, value in wishes.items() if value})
    screen.document("payments", page)
    _table(context, page["data"])
    if page["has_more"]:
        screen.say(messages("more", command=f"echoshot payments list --after {page['data'][-1]['id']}"))
    return Exit.OK


def show(context: Context, options: Namespace) -> Exit:
    messages, screen = context.messages, context.screen
    found = context.api.get(f"/v1/payments/{options.id}")
    screen.document("purchase", found)
    _table(context, [found["purchase"]])
    for refund in found["purchase"]["refunds"]:
        screen.say(
            messages(
                "refund_line",
                at=local_time(refund["created_at"]),
                amount=refund["amount_krw"],
                credits=refund["credits"],
                status=messages.name(refund["status"], of="refund_"),
            )
        )
    if found["purchase"]["failure"]:
        screen.say(found["purchase"]["failure"]["message"])
    elif found["declined"]:
        screen.say(found["declined"]["message"])
    if found["checkout"]:
        screen.say(messages("pay_in_app", purchase=options.id))
    return Exit.OK


def _send(context: Context, pending: Pending) -> dict[str, Any]:
    try:
        return context.api.call("POST", "/v1/payments/tokens", body=pending.body, key=pending.key).json()
    except Refused as refusal:
        # When the server is in trouble the purchase may exist all the same: only a clear no ends the matter.
        if refusal.exit is not Exit.UNREACHABLE:
            pending.forget()
        raise


def _wait(context: Context, answer: dict[str, Any], *, saved_card: bool) -> dict[str, Any]:
    """Until it is settled or a person must act: in the app, or for the bank."""
    deadline, told = time.monotonic() + WAIT_S, False
    while time.monotonic() < deadline:
        settled = PurchaseStatus(answer["purchase"]["status"]).settled
        if settled or answer["action_required"] or (answer["checkout"] and not saved_card):
            break
        if not told:
            context.screen.note(context.messages("awaiting_payment", purchase=answer["purchase"]["id"]))
            told = True
        time.sleep(POLL_S)
        answer = context.api.get(f"/v1/payments/{answer['purchase']['id']}")
    return answer


def _table(context: Context, purchases: list[dict[str, Any]]) -> None:
    messages = context.messages
    columns = ("col_id", "col_status", "col_credits", "col_price", "col_refunded", "col_created", "col_job")
    context.screen.table(
        [messages(column) for column in columns],
        [
            [
                purchase["id"],
                _status(context, purchase["status"]),
                f"{purchase['credits']:,}",
                messages("won", amount=purchase["amount_krw"]),
                messages("won", amount=purchase["refunded_krw"]),
                local_time(purchase["created_at"]),
                purchase["job_id"] or "",
            ]
            for purchase in purchases
        ],
    )


def _status(context: Context, status: str) -> str:
    # A job's CREATED waits for its upload; a purchase that was just written down waits for its payment.
    waits = status == PurchaseStatus.CREATED
    return context.messages.name(PurchaseStatus.AWAITING_PAYMENT if waits else status)
