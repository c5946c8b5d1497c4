"""`echoshot`: reads the command line, runs one command, and turns its end into an exit code."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

from cli import credits, finance, jobs, payments
from cli.clips import clips, seconds
from cli.context import Context, signed_in
from cli.enhance import enhance
from cli.exits import Exit, Stop
from cli.login import login
from cli.messages import Messages
from cli.music import music
from cli.screen import Screen
from contracts.jobs import JobStatus
from contracts.journal.files import FORMATS
from contracts.kinds import KINDS
from contracts.kinds.clip import CLIPS_MAX, ClipFormat, ClipType
from contracts.kinds.enhance import EnhanceParams
from contracts.kinds.music import HighlightLength
from contracts.ledger import Bucket
from contracts.payments import Provider, RefundTo

Command = Callable[[Context, argparse.Namespace], Exit]


def main(arguments: Sequence[str] | None = None) -> int:
    messages = Messages.from_environment()
    parser = _parser(messages)
    options = parser.parse_args(arguments)
    if getattr(options, "refund_to", None) and not options.charge:
        parser.error(messages("refund_to_needs_charge"))
    screen = Screen(messages, as_json=options.json)
    try:
        return _run(options, screen)
    except Stop as stop:
        screen.document("error", {"exit": int(stop.exit), "code": stop.code, "message": stop.message})
        screen.note(stop.message)
        return stop.exit
    except KeyboardInterrupt:
        screen.note(messages("interrupted"))
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # `echoshot jobs | head`: nobody reads on. The interpreter must not try to flush again at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK


def _run(options: argparse.Namespace, screen: Screen) -> Exit:
    if options.run in (login, finance.verify):  # neither needs to be signed in
        return options.run(options, screen)
    command: Command = options.run
    with signed_in(options, screen) as context:
        return command(context, options)


def _parser(t: Messages) -> argparse.ArgumentParser:
    """Built in the user's language. argparse itself ends with 2 on wrong usage, as `Exit.USAGE` does."""
    parser = argparse.ArgumentParser(prog="echoshot", description=t("about"), epilog=t("exit_codes"))
    commands = parser.add_subparsers(required=True, metavar="command")

    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--api", metavar="URL", help=t("help_api"))
    common.add_argument("--token", help=t("help_token"))
    common.add_argument("--json", action="store_true", help=t("help_json"))

    def command(
        name: str, run: object, within: argparse._SubParsersAction = commands
    ) -> argparse.ArgumentParser:
        text = t(f"help_{name}")
        made = within.add_parser(name, help=text, description=text, epilog=t("exit_codes"), parents=[common])
        made.set_defaults(run=run)
        return made

    def order(name: str, run: Command) -> argparse.ArgumentParser:
        made = command(name, run)
        made.add_argument("source", metavar="FILE|VIDEO", help=t("help_source"))
        made.add_argument("--charge", metavar="PAYMENT_METHOD", help=t("help_charge"))
        made.add_argument("--refund-to", choices=[str(one) for one in RefundTo], help=t("help_refund_to"))
        made.add_argument("--no-wait", dest="wait", action="store_false", help=t("help_no_wait"))
        return made

    sub = command("login", login)
    sub.add_argument("--issuer", metavar="URL", help=t("help_issuer"))
    sub.add_argument("--user", metavar="NAME", help=t("help_user"))
    sub.add_argument("--roles", default="", help=t("help_roles"))

    _add_orders(order, t)

    sub = command("jobs", jobs.jobs)
    statuses = [status.lower() for status in JobStatus]
    sub.add_argument("--status", choices=statuses, action="append", default=[])
    sub.add_argument("--kind", choices=list(KINDS), action="append", default=[])
    _add_page(sub, t)

    for name, run in (
        ("job", jobs.job),
        ("watch", jobs.watch),
        ("cancel", jobs.cancel),
        ("resume", jobs.resume),
    ):
        command(name, run).add_argument("id", metavar="JOB")

    sub = command("download", jobs.download)
    sub.add_argument("id", metavar="JOB")
    _add_output(sub, t)

    command("balance", credits.balance)
    _add_page(command("history", credits.history), t)

    shop = commands.add_parser("credits", help=t("help_credits"), description=t("help_credits"))
    within = shop.add_subparsers(required=True, metavar="command")
    command("packages", payments.packages, within)
    sub = command("buy", payments.buy, within)
    sub.add_argument("package", metavar="PACKAGE")
    sub.add_argument("--payment-method", metavar="PAYMENT_METHOD", help=t("help_payment_method"))
    sub.add_argument("--provider", choices=[str(one) for one in Provider], help=t("help_provider"))

    paid = commands.add_parser("payments", help=t("help_payments"), description=t("help_payments"))
    within = paid.add_subparsers(required=True, metavar="command")
    _add_page(command("list", payments.payments, within), t)
    command("show", payments.show, within).add_argument("id", metavar="PURCHASE")

    books = commands.add_parser("finance", help=t("help_finance"), description=t("help_finance"))
    within = books.add_subparsers(required=True, metavar="command")
    sub = command("export", finance.export, within)
    sub.add_argument("--format", choices=list(FORMATS), default="jsonl", help=t("help_format"))
    _add_output(sub, t)
    sub = command("verify", finance.verify, within)
    sub.add_argument("file", type=Path, metavar="FILE")
    sub.add_argument(
        "--key", type=Path, action="append", default=[], metavar="FILE", help=t("help_public_key")
    )
    sub.add_argument("--expect-hash", metavar="HASH", help=t("help_expect_hash"))
    command("key", finance.key, within)

    admin = commands.add_parser("admin", help=t("help_admin"), description=t("help_admin"))
    sub = command("grant", credits.grant, admin.add_subparsers(required=True, metavar="command"))
    sub.add_argument("--user", required=True, metavar="SUBJECT|usr_ID")
    sub.add_argument("--credits", required=True, type=int)
    sub.add_argument("--bucket", choices=[str(one) for one in Bucket], default=Bucket.PROMO)
    sub.add_argument("--reason", required=True)
    return parser


def _add_orders(order: Callable[[str, Command], argparse.ArgumentParser], t: Messages) -> None:
    """The commands that make a job; wishes that are not stated are left to the platform, whose defaults may improve."""
    sub = order("enhance", enhance)
    sub.add_argument("--scale", type=int, choices=_choices("scale"))
    sub.add_argument("--fps", choices=_choices("fps"))
    sub.add_argument("--strength", type=float, metavar="0..1")
    sub.add_argument("--upscaler", choices=_choices("upscaler"))
    _add_output(sub, t)

    sub = order("music", music)
    sub.add_argument("--strip", type=Path, metavar="PNG", help=t("help_strip"))
    _add_output(sub, t)

    sub = order("clips", clips)
    sub.add_argument("--length", type=int, choices=get_args(HighlightLength), help=t("help_length"))
    sub.add_argument("--type", choices=[str(one) for one in ClipType], help=t("help_type"))
    several = sub.add_mutually_exclusive_group()
    several.add_argument(
        "--count", type=int, choices=range(1, CLIPS_MAX + 1), metavar=f"1..{CLIPS_MAX}", help=t("help_count")
    )
    several.add_argument("--all", dest="count", action="store_const", const=CLIPS_MAX, help=t("help_all"))
    sub.add_argument("--start", type=seconds, metavar="S|M:SS", help=t("help_start"))
    sub.add_argument("--end", type=seconds, metavar="S|M:SS", help=t("help_end"))
    formats = [str(one) for one in ClipFormat]
    sub.add_argument(
        "--format", choices=formats, default=ClipFormat.ORIGINAL.value, help=t("help_clip_format")
    )
    sub.add_argument(
        "-d", "--output-dir", type=Path, default=Path(), metavar="DIR", help=t("help_output_dir")
    )
    sub.add_argument("-f", "--force", action="store_true", help=t("help_force"))


def _choices(param: str) -> tuple[Any, ...]:
    return get_args(EnhanceParams.model_fields[param].annotation)


def _add_output(sub: argparse.ArgumentParser, t: Messages) -> None:
    sub.add_argument("-o", "--output", type=Path, metavar="OUT", help=t("help_output"))
    sub.add_argument("-f", "--force", action="store_true", help=t("help_force"))


def _add_page(sub: argparse.ArgumentParser, t: Messages) -> None:
    sub.add_argument("--limit", type=int, metavar="1..100")
    sub.add_argument("--after", metavar="ID", help=t("help_after"))


if __name__ == "__main__":
    sys.exit(main())
