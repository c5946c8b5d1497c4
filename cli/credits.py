"""`echoshot balance`, `history` and `admin grant`."""

from __future__ import annotations

from argparse import Namespace
from uuid import uuid4

from cli.context import Context
from cli.exits import Exit
from cli.screen import local_time


def balance(context: Context, _options: Namespace) -> Exit:
    show_balance(context)
    return Exit.OK


def show_balance(context: Context) -> None:
    found = context.api.get("/v1/credits/balance")
    context.screen.document("balance", found)
    context.screen.say(context.messages("balance", available=found["available"], held=found["held"]))
    if found["debt"]:
        context.screen.say(context.messages("debt", debt=found["debt"]))


def history(context: Context, options: Namespace) -> Exit:
    messages, screen = context.messages, context.screen
    wishes = {"limit": options.limit, "starting_after": options.after}
    page = context.api.get("/v1/credits/history", **{name: value for name, value in wishes.items() if value})
    screen.document("history", page)
    columns = ("col_created", "col_step", "col_credits", "col_available", "col_held", "col_job", "col_reason")
    screen.table(
        [messages(column) for column in columns],
        [
            [
                local_time(line["at"]),
                messages.name(line["kind"]),
                f"{line['amount']:,}",
                f"{line['available_change']:+,}",
                f"{line['held_change']:+,}",
                line["job_id"] or "",
                line["reason"],
            ]
            for line in page["data"]
        ],
    )
    if page["has_more"]:
        screen.say(messages("more", command=f"echoshot history --after {page['data'][-1]['id']}"))
    return Exit.OK


def grant(context: Context, options: Namespace) -> Exit:
    """One run is one grant, however often its request is repeated on the way."""
    body = {
        "user": {"user_id" if options.user.startswith("usr_") else "subject": options.user},
        "credits": options.credits,
        "bucket": options.bucket,
        "reason": options.reason,
    }
    answer = context.api.call("POST", "/v1/admin/credits/grants", body=body, key=uuid4().hex).json()
    context.screen.document("grant", answer)
    context.screen.say(context.messages("granted", credits=options.credits, user=options.user))
    return Exit.OK
