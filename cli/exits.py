"""How `echoshot` ends: its exit codes, and the exception that carries one to `main`."""

from __future__ import annotations

from enum import IntEnum

from contracts.errors import Code


class Exit(IntEnum):
    """Documented in `echoshot --help` and docs/cli.md; scripts rely on them."""

    OK = 0
    JOB_FAILED = 1
    FAULTY = 1
    """A journal or receipt is not as it was signed: scripts see one kind of "looked at, and not good"."""
    USAGE = 2
    NOT_ALLOWED = 3
    CREDITS_SHORT = 4
    BAD_FILE = 5
    UNREACHABLE = 6
    NOT_PAID = 7
    INTERRUPTED = 130
    """128 + SIGINT, as shells do."""


BAD_FILE_CODES = frozenset(
    {
        Code.UPLOAD_TOO_LARGE,
        Code.SIZE_MISMATCH,
        Code.HASH_MISMATCH,
        Code.TYPE_MISMATCH,
        Code.NOT_A_VIDEO,
        Code.NO_VIDEO_STREAM,
        Code.NO_VIDEO,
        Code.NO_AUDIO,
        Code.NO_FRAMES,
        Code.SILENT,
        Code.NO_MUSIC,
        Code.TOO_SHORT,
        Code.TRUNCATED,
        Code.CORRUPT,
        Code.TOO_LONG,
        Code.TOO_LARGE_PICTURE,
        Code.TOO_SMALL_PICTURE,
        Code.FRAME_RATE_UNSUPPORTED,
        Code.CODEC_UNSUPPORTED,
        Code.EXTERNAL_REFERENCE,
    }
)
CREDIT_CODES = frozenset({Code.CREDITS_SHORT, Code.FUNDS_EXPIRED})

PAYMENT_CODES = frozenset(
    {Code.PAYMENT_DECLINED, Code.PAYMENT_CANCELED, Code.PAYMENT_EXPIRED, Code.PROVIDER_REFUSED}
)


class Stop(Exception):
    """Ends the command with `exit` and one sentence for the user."""

    def __init__(self, exit: Exit, message: str, code: str = "") -> None:
        super().__init__(message)
        self.exit = exit
        self.message = message
        self.code = code


class Refused(Stop):
    """The API answered with a problem; `status` and `code` say which."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(exit_of_answer(status, code), message, code)
        self.status = status


def exit_of_answer(status: int, code: str) -> Exit:
    if code in CREDIT_CODES:
        return Exit.CREDITS_SHORT
    if code in BAD_FILE_CODES:
        return Exit.BAD_FILE
    if status in (401, 403):
        return Exit.NOT_ALLOWED
    if status >= 500 or status == 429 or code == Code.IDEMPOTENCY_IN_FLIGHT:
        return Exit.UNREACHABLE
    return Exit.USAGE


def exit_of_job(failure_code: str | None) -> Exit:
    """For a job that ended without a result."""
    if failure_code in BAD_FILE_CODES:
        return Exit.BAD_FILE
    if failure_code in PAYMENT_CODES:
        return Exit.NOT_PAID
    return Exit.CREDITS_SHORT if failure_code in CREDIT_CODES else Exit.JOB_FAILED
