"""Whole objects in and out of the store, hashed on the way. Presigned access is in `presign.py` and `multipart.py`.

Every call blocks; from async code use `await asyncio.to_thread(store.head, key)`. One store serves any number of
threads. Failures are `EchoError`s: STORAGE_UNAVAILABLE when the store is away, SOURCE_MISSING when an object is.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkstemp
from typing import TYPE_CHECKING, BinaryIO, Self, TypedDict, TypeVar

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel

from contracts.errors import Code, EchoError
from contracts.media import Artifact
from contracts.settings import Settings
from storage.client import error_code, s3_client, storage_errors
from storage.parts import part_bytes

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import CompletedPartTypeDef

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all; what it raises ends the transfer and leaves nothing behind."""
Model = TypeVar("Model", bound=BaseModel)

CHUNK_BYTES = 1024**2
BARREN_READS_MAX = 3
"""Connections in a row that may break without bringing a byte; any other break is taken up where it happened."""
SHA256 = "sha256"
"""Name of the object metadata that holds the hash in hex."""


@dataclass(frozen=True)
class Head:
    """What the store says of an object without sending it."""

    key: str
    bytes: int
    content_type: str
    etag: str
    sha256: str | None
    """As recorded by `put_file`; None for a client's upload, which is hashed when it is first read."""


class Condition(TypedDict, total=False):
    """S3's conditional write: with "*", a key that exists is left alone and the write is refused."""

    IfNoneMatch: str


class Store:
    def __init__(self, client: S3Client, bucket: str) -> None:
        self.client = client
        self.bucket = bucket

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        return cls(s3_client(settings, settings.s3_endpoint), settings.s3_bucket)

    def close(self) -> None:
        self.client.close()

    def ensure_bucket(self) -> None:
        """Create the bucket where it is missing; for readiness checks too, since it asks the store."""
        with storage_errors("ensure bucket"):
            try:
                self.client.head_bucket(Bucket=self.bucket)
            except ClientError as error:
                if error_code(error) != "404":
                    raise
                with suppress(self.client.exceptions.BucketAlreadyOwnedByYou):
                    self.client.create_bucket(Bucket=self.bucket)

    def head(self, key: str) -> Head | None:
        with storage_errors(f"head {key}"):
            try:
                found = self.client.head_object(Bucket=self.bucket, Key=key)
            except ClientError as error:
                if error_code(error) == "404":
                    return None
                raise
        return Head(
            key, found["ContentLength"], found["ContentType"], found["ETag"], found["Metadata"].get(SHA256)
        )

    def put_file(
        self,
        path: Path,
        key: str,
        content_type: str,
        *,
        sha256: str | None = None,
        if_absent: bool = False,
        progress: Progress | None = None,
    ) -> Artifact:
        """Store a file whole and return what the store then holds under `key`.

        With `if_absent` the first writer wins and every later one is given the first one's artifact: an attempt
        that was thought dead cannot replace what its successor has published. A `sha256` that the caller
        knows saves one reading of the file; it is compared with what is sent (HASH_MISMATCH).
        """
        if if_absent and (found := self._stored(key)):
            return found
        with storage_errors(f"put {key}"), path.open("rb") as file:
            sent = Artifact(
                key=key,
                bytes=path.stat().st_size,
                sha256=sha256 or hashlib.file_digest(file, "sha256").hexdigest(),
                content_type=content_type,
            )
            file.seek(0)
            send = self._put_whole if sent.bytes <= part_bytes(sent.bytes) else self._put_parts
            try:
                send(file, sent, {"IfNoneMatch": "*"} if if_absent else {}, progress or _silent)
            except ClientError as error:
                # Some stores know an upload no more once it is joined: the answer to our first request was lost.
                if error_code(error) not in ("PreconditionFailed", "NoSuchUpload"):
                    raise
        stored = self._stored(key)
        if stored is None or (stored != sent and not if_absent):
            raise EchoError(Code.STORAGE_UNAVAILABLE, f"put {key}: reads back as {stored}")
        return stored

    def get_file(
        self, key: str, path: Path, *, expect: Artifact | None = None, progress: Progress | None = None
    ) -> Artifact:
        """Fetch an object into `path`, which appears only when whole and right.

        Raises SOURCE_MISSING, SIZE_MISMATCH or HASH_MISMATCH (against `expect`, else against the hash that the
        object was stored with), OUT_OF_DISK.
        """
        head = self.head(key)
        if head is None:
            raise EchoError(Code.SOURCE_MISSING, key)
        if expect and head.bytes != expect.bytes:
            raise EchoError(Code.SIZE_MISMATCH, f"{key}: {head.bytes} bytes, expected {expect.bytes}")
        with storage_errors(f"get {key}"), _replacing(path) as file:
            found = self._receive(head, file, progress or _silent)
            expected = expect.sha256 if expect else head.sha256
            if expected and found != expected:
                raise EchoError(Code.HASH_MISMATCH, f"{key}: {found}, expected {expected}")
        return Artifact(key=key, bytes=head.bytes, sha256=found, content_type=head.content_type)

    def put_json(self, key: str, value: BaseModel) -> Artifact:
        body = value.model_dump_json().encode()
        sha256 = hashlib.sha256(body).hexdigest()
        with storage_errors(f"put {key}"):
            self.client.put_object(
                Bucket=self.bucket,
                Key=key,
                Body=body,
                ContentType="application/json",
                Metadata={SHA256: sha256},
            )
        return Artifact(key=key, bytes=len(body), sha256=sha256, content_type="application/json")

    def get_json(self, key: str, model: type[Model]) -> Model:
        with storage_errors(f"get {key}"):
            answer = self.client.get_object(Bucket=self.bucket, Key=key)
            with answer["Body"] as body:
                return model.model_validate_json(body.read())

    def delete(self, key: str) -> None:
        """Deleting what is not there is no error."""
        with storage_errors(f"delete {key}"):
            self.client.delete_object(Bucket=self.bucket, Key=key)

    def delete_prefix(self, prefix: str) -> int:
        """Delete every object under `prefix` and every unfinished upload to it; return the number of objects."""
        if not prefix.endswith("/") or prefix == "/":
            raise ValueError("a prefix ends with a slash, or work/1 would take work/10 with it")
        deleted = 0
        with storage_errors(f"delete {prefix}"):
            for page in self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=prefix
            ):
                keys = [item["Key"] for item in page.get("Contents", []) if "Key" in item]
                if not keys:
                    continue
                answer = self.client.delete_objects(
                    Bucket=self.bucket, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True}
                )
                if errors := answer.get("Errors"):
                    raise EchoError(Code.STORAGE_UNAVAILABLE, f"delete {prefix}: {errors[0]}")
                deleted += len(keys)
            uploads = self.client.get_paginator("list_multipart_uploads")
            for page in uploads.paginate(Bucket=self.bucket, Prefix=prefix):
                for item in page.get("Uploads", []):
                    if "Key" in item and "UploadId" in item:
                        self._abort(item["Key"], item["UploadId"])
        return deleted

    def folders(self, prefix: str) -> list[str]:
        """Names of the folders directly under `prefix`, which ends with a slash."""
        found: list[str] = []
        with storage_errors(f"list {prefix}"):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=prefix, Delimiter="/"
            )
            for page in pages:
                found += [
                    item["Prefix"].removeprefix(prefix).removesuffix("/")
                    for item in page.get("CommonPrefixes", [])
                    if "Prefix" in item
                ]
        return found

    def _stored(self, key: str) -> Artifact | None:
        head = self.head(key)
        return head and Artifact(
            key=key, bytes=head.bytes, sha256=head.sha256 or "", content_type=head.content_type
        )

    def _put_whole(self, file: BinaryIO, sent: Artifact, condition: Condition, progress: Progress) -> None:
        body = file.read()
        _check_sent(sent, len(body), hashlib.sha256(body).hexdigest())
        self.client.put_object(
            Bucket=self.bucket,
            Key=sent.key,
            Body=body,
            ContentType=sent.content_type,
            Metadata={SHA256: sent.sha256},
            **condition,
        )
        progress(sent.bytes, sent.bytes)

    def _put_parts(self, file: BinaryIO, sent: Artifact, condition: Condition, progress: Progress) -> None:
        bucket, key = self.bucket, sent.key
        upload_id = self.client.create_multipart_upload(
            Bucket=bucket, Key=key, ContentType=sent.content_type, Metadata={SHA256: sent.sha256}
        )["UploadId"]
        try:
            digest, done = hashlib.sha256(), 0
            parts: list[CompletedPartTypeDef] = []
            while body := file.read(part_bytes(sent.bytes)):
                number = len(parts) + 1
                part = self.client.upload_part(
                    Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=body
                )
                parts.append({"PartNumber": number, "ETag": part["ETag"]})
                digest.update(body)
                done += len(body)
                progress(done, sent.bytes)
            _check_sent(sent, done, digest.hexdigest())
            self.client.complete_multipart_upload(
                Bucket=bucket, Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts}, **condition
            )
        except BaseException:
            # Its parts would be billed for ever; after a kill -9, `delete_prefix` finds them.
            with suppress(ClientError, BotoCoreError):
                self._abort(key, upload_id)
            raise

    def _abort(self, key: str, upload_id: str) -> None:
        with suppress(self.client.exceptions.NoSuchUpload):
            self.client.abort_multipart_upload(Bucket=self.bucket, Key=key, UploadId=upload_id)

    def _receive(self, head: Head, file: BinaryIO, progress: Progress) -> str:
        """Append the object to `file` and return its SHA-256; a broken connection is taken up where it broke."""
        digest, done, barren = hashlib.sha256(), 0, 0
        while done < head.bytes:
            before = done
            with suppress(BotoCoreError):
                # If-Match: the rest of another object under the same key would make a chimera.
                answer = self.client.get_object(
                    Bucket=self.bucket, Key=head.key, Range=f"bytes={done}-", IfMatch=head.etag
                )
                with answer["Body"] as body:
                    while chunk := body.read(CHUNK_BYTES):
                        file.write(chunk)
                        digest.update(chunk)
                        done += len(chunk)
                        progress(done, head.bytes)
            barren = 0 if done > before else barren + 1
            if barren > BARREN_READS_MAX:
                raise EchoError(Code.STORAGE_UNAVAILABLE, f"get {head.key}: broke off at byte {done}")
        return digest.hexdigest()


def _check_sent(sent: Artifact, size: int, sha256: str) -> None:
    if (size, sha256) != (sent.bytes, sent.sha256):
        raise EchoError(
            Code.HASH_MISMATCH, f"{sent.key}: the file changed while it was stored, or its hash was wrong"
        )


@contextmanager
def _replacing(path: Path) -> Generator[BinaryIO]:
    """A file beside `path` that takes its name when the block ends well, and is gone when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".partial")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _silent(_done: int, _total: int) -> None:
    pass
