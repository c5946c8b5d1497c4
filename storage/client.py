"""The S3 client, and the one translation of its failures into the platform's error codes."""

from __future__ import annotations

import errno
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from contracts.errors import Code, EchoError
from contracts.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CODES = {
    "NoSuchKey": Code.SOURCE_MISSING,
    "NoSuchUpload": Code.UPLOAD_NOT_FOUND,
    "InvalidPart": Code.UPLOAD_INCOMPLETE,
    "InvalidPartOrder": Code.UPLOAD_INCOMPLETE,
    "EntityTooSmall": Code.UPLOAD_INCOMPLETE,
    "EntityTooLarge": Code.UPLOAD_TOO_LARGE,
}
"""S3's words for what a caller did; every other refusal is the store's or the operator's."""


def s3_client(settings: Settings, endpoint: str) -> S3Client:
    """A thread-safe client; without keys in the settings, the machine's own credentials are used."""
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path" if endpoint else "auto"},
        retries={"mode": "standard", "max_attempts": 3},
        connect_timeout=5,
        # Less than a transfer step may be silent: a stalled store is then an error, not a zombie attempt.
        read_timeout=30,
        max_pool_connections=32,
    )
    with _one_at_a_time:
        return _session().client(  # pyright: ignore[reportUnknownMemberType]  # the stubs list every AWS service
            "s3",
            endpoint_url=endpoint or None,
            region_name=settings.s3_region,
            aws_access_key_id=settings.s3_access_key.get_secret_value() or None,
            aws_secret_access_key=settings.s3_secret_key.get_secret_value() or None,
            config=config,
        )


_one_at_a_time = Lock()
"""Clients may be shared by threads, the session that makes them may not."""


@cache
def _session() -> Session:
    """Keeps the description of S3, which takes 75 ms and 12 MB to read."""
    return Session()


def error_code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")


@contextmanager
def storage_errors(what: str) -> Generator[None]:
    """Turn whatever S3, the network or the local disk answers inside the block into an `EchoError`."""
    try:
        yield
    except ClientError as error:
        code = error_code(error)
        raise EchoError(CODES.get(code, Code.STORAGE_UNAVAILABLE), f"{what}: {code}") from error
    except BotoCoreError as error:
        # The text of a connection error carries the signed URL; its type says enough.
        raise EchoError(Code.STORAGE_UNAVAILABLE, f"{what}: {type(error).__name__}") from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise EchoError(Code.OUT_OF_DISK, what) from error
        raise
