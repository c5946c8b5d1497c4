"""A stranger reads the OpenAPI document and sends what it allows and what it forbids."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.api.acts import Login, grant
from tests.api.serving import Api

EXAMPLES_MAX = 4
"""Per operation, beside the systematic ones; keeps the run under a minute."""

# Refusals that a schema cannot foresee: a cursor of another list, too few credits, a file above the operator's
# limits; and with 422 a key that was used before, a part that this file does not have, a package that is not on sale,
# a range that does not begin before its end.
EXPECTED = """
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", 400, 402, 403, 404, 409, 410, 413]
""" + "".join(
    f"""
[[operations]]
include-name = "{operation}"
[operations.checks.positive_data_acceptance]
expected-statuses = ["2xx", 400, 402, 403, 404, 409, 410, 413, 422]
"""
    for operation in (
        "POST /v1/jobs",
        "POST /v1/jobs/quote",
        "POST /v1/clips",
        "POST /v1/clips/{clip_id}/regenerate",
        "POST /v1/clips/{clip_id}/share",
        "POST /v1/payments/tokens",
        "POST /v1/support/purchases/{purchase_id}/refunds",
        "POST /v1/finance/reconciliations",
        "POST /v1/finance/corrections",
        "POST /v1/admin/credits/grants",
        "POST /v1/videos/{video_id}/uploads/{upload_id}/parts",
    )
)


@pytest.mark.slow
async def test_every_answer_is_as_the_document_says(api: Api, login: Login, tmp_path: Path) -> None:
    """All roles at once, so that no operation is hidden behind a 403."""
    person = login("stranger", "admin", "worker")
    await grant(person, person, 1_000_000)
    (tmp_path / "schemathesis.toml").write_text(EXPECTED)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{api.url}/openapi.json"),
        *("--header", f"Authorization: {person.headers['Authorization']}"),
        *("--checks", "all", "--phases", "examples,coverage,fuzzing", "--max-examples", str(EXAMPLES_MAX)),
        # One thread: Python 3.11 before 3.11.8 loses count of its recursion when two build syntax trees at once
        # (python/cpython#106905), which Hypothesis does.
        *("--seed", "1", "--request-timeout", "10", "--no-color", "--workers", "1"),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
