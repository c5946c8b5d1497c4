"""`/v1/finance/journal`: the sealed journal as a file that `echoshot finance verify` checks offline."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from api.finance.access import Finance
from api.problems import responses
from api.services import CurrentServices
from contracts.errors import Code, EchoError
from contracts.journal.files import FORMATS
from contracts.signing import public_pem, signing_key, trusted_keys
from db import journal

router = APIRouter(prefix="/finance/journal", tags=["finance"])

ROWS_HEADER = "Journal-Rows"
"""How many rows will come, for those who draw a bar."""
POSITION_MAX = 2**62


class JournalQuery(BaseModel):
    """Blocks are exported whole, so that each can be checked: a few rows before and after may come too."""

    format: Literal["jsonl", "csv"] | None = Field(None, description="Wins over `Accept`; else JSON Lines.")
    from_position: int = Field(1, ge=1, le=POSITION_MAX)
    to_position: int | None = Field(None, ge=1, le=POSITION_MAX)


class JournalKey(BaseModel):
    """With which journals and receipts are signed."""

    algorithm: Literal["Ed25519"] = "Ed25519"
    key_id: str = Field(description="The public key itself, 32 bytes in base64url.")
    public_key_pem: str
    retired_key_ids: tuple[str, ...] = Field(description="Earlier keys: what they have signed stays valid.")


@router.get(
    "",
    summary="The sealed journal",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Header, rows, blocks and end line, as docs/finance.md tells.",
            "headers": {ROWS_HEADER: {"schema": {"type": "integer"}}},
            "content": {each.media_type: {"schema": {"type": "string"}} for each in FORMATS.values()},
        },
        **responses(Code.UNAUTHENTICATED, Code.FORBIDDEN, Code.VALIDATION_FAILED),
    },
)
async def export(
    query: Annotated[JournalQuery, Query()],
    caller: Finance,
    services: CurrentServices,
    accept: Annotated[str, Header(include_in_schema=False)] = "",
) -> StreamingResponse:
    """Everything that is committed now is sealed first, so the export is complete."""
    key = signing_key(services.settings.signing_key.get_secret_value())
    async for _ in journal.seal_all(services.database, key):
        pass
    async with services.database.read() as session:
        part = await journal.extent(session, query.from_position, query.to_position)
    name = query.format or ("csv" if FORMATS["csv"].media_type in accept else "jsonl")
    return StreamingResponse(
        journal.export(services.database, FORMATS[name], key, part),
        media_type=FORMATS[name].media_type,
        headers={
            ROWS_HEADER: str(part.rows),
            "Content-Disposition": f'attachment; filename="journal.{name}"',
        },
    )


@router.get(
    "/key",
    summary="The public key of journals and receipts",
    responses=responses(
        Code.UNAUTHENTICATED, Code.FORBIDDEN, Code.VALIDATION_FAILED, Code.SIGNING_UNAVAILABLE
    ),
)
async def key(caller: Finance, services: CurrentServices) -> JournalKey:
    """Keep it somewhere else: a journal proves its origin only to those who know the key from another source."""
    present = signing_key(services.settings.signing_key.get_secret_value())
    if present is None:
        raise EchoError(Code.SIGNING_UNAVAILABLE, "signing_key is not set")
    return JournalKey(
        key_id=present.key_id,
        public_key_pem=public_pem(present.key_id),
        retired_key_ids=tuple(sorted(trusted_keys(services.settings) - {present.key_id})),
    )
