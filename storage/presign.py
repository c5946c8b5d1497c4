"""URLs that let a client put or get exactly one object for a while, without credentials.

Length and type are part of the signature: a longer or shorter body, another type, another key, an expired or a
changed URL are refused by the store with 403 before a byte is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import quote

from contracts.settings import Settings
from storage.client import s3_client

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


Method = Literal["GET", "HEAD"]
"""How a file is asked for: an address is signed for one of them."""


@dataclass(frozen=True)
class Presigned:
    """A request that the holder may send until `expires_at`; `headers` must be sent as they are."""

    method: str
    url: str
    headers: dict[str, str]
    expires_at: datetime


class Presigner:
    """Signs for the endpoint that clients reach, which may differ from the one that workers use."""

    def __init__(self, client: S3Client, bucket: str, ttl_s: int) -> None:
        self.client = client
        self.bucket = bucket
        self.ttl_s = ttl_s

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        endpoint = settings.s3_public_endpoint or settings.s3_endpoint
        return cls(s3_client(settings, endpoint), settings.s3_bucket, settings.presign_ttl_s)

    def put(self, key: str, size: int, content_type: str) -> Presigned:
        """Upload of `size` bytes in one request."""
        headers = {"Content-Type": content_type, "Content-Length": str(size)}
        params = {"Key": key, "ContentLength": size, "ContentType": content_type}
        return self._sign("put_object", "PUT", params, headers)

    def put_part(self, key: str, upload_id: str, number: int, size: int) -> Presigned:
        """Upload of one part, numbered from 1, of `size` bytes."""
        params = {"Key": key, "UploadId": upload_id, "PartNumber": number, "ContentLength": size}
        return self._sign("upload_part", "PUT", params, {"Content-Length": str(size)})

    def get(self, key: str, filename: str, content_type: str, method: Method = "GET") -> Presigned:
        """Download under a name of its own; honours Range, so that a broken download can go on. The method is part of
        the signature too: the store refuses a HEAD that was signed as a GET."""
        params = {
            "Key": key,
            "ResponseContentDisposition": content_disposition(filename),
            "ResponseContentType": content_type,
        }
        return self._sign("get_object", method, params, {})

    def _sign(
        self, operation: str, method: str, params: dict[str, Any], headers: dict[str, str]
    ) -> Presigned:
        expires_at = datetime.now(UTC) + timedelta(seconds=self.ttl_s)
        url = self.client.generate_presigned_url(
            operation, Params={"Bucket": self.bucket, **params}, ExpiresIn=self.ttl_s, HttpMethod=method
        )
        return Presigned(method, url, headers, expires_at)


def content_disposition(filename: str) -> str:
    """RFC 6266, with an ASCII name for old clients. Quotes and control characters cannot break out of the header."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\' else "_" for c in filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"
