import pytest

from cli.exits import Exit, exit_of_answer, exit_of_job
from contracts.errors import ERRORS, Code


@pytest.mark.parametrize(
    ("code", "exit"),
    [
        (Code.UNAUTHENTICATED, Exit.NOT_ALLOWED),
        (Code.FORBIDDEN, Exit.NOT_ALLOWED),
        (Code.CREDITS_SHORT, Exit.CREDITS_SHORT),
        (Code.UPLOAD_TOO_LARGE, Exit.BAD_FILE),
        (Code.TOO_LONG, Exit.BAD_FILE),
        (Code.TOO_SMALL_PICTURE, Exit.BAD_FILE),
        (Code.NOT_FOUND, Exit.USAGE),
        (Code.VALIDATION_FAILED, Exit.USAGE),
        (Code.JOB_SETTLED, Exit.USAGE),
        (Code.STORAGE_UNAVAILABLE, Exit.UNREACHABLE),
        (Code.RATE_LIMITED, Exit.UNREACHABLE),
        (Code.IDEMPOTENCY_IN_FLIGHT, Exit.UNREACHABLE),
    ],
)
def test_a_refused_request_ends_with_the_documented_code(code: Code, exit: Exit):
    assert exit_of_answer(ERRORS[code].status, code) is exit


@pytest.mark.parametrize(
    ("code", "exit"),
    [
        (Code.CORRUPT, Exit.BAD_FILE),
        (Code.HASH_MISMATCH, Exit.BAD_FILE),
        (Code.FUNDS_EXPIRED, Exit.CREDITS_SHORT),
        (Code.ENGINE_CRASHED, Exit.JOB_FAILED),
        (Code.CANCELED_BY_USER, Exit.JOB_FAILED),
        ("", Exit.JOB_FAILED),
        ("a_code_of_a_newer_platform", Exit.JOB_FAILED),
    ],
)
def test_a_job_without_a_result_ends_with_the_documented_code(code: str, exit: Exit):
    assert exit_of_job(code) is exit
