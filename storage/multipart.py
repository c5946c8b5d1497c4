"""Resumable uploads by clients: the store remembers the parts, so a lost client only asks which ones are there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from contracts.errors import Code, EchoError
from storage.client import storage_errors
from storage.parts import part_count, part_size
from storage.presign import Presigned, Presigner
from storage.store import Head, Store


@dataclass(frozen=True)
class UploadedPart:
    number: int
    bytes: int
    etag: str


class Multipart:
    """`total` is always the size in bytes of the whole object; it decides how the parts are cut (`parts.py`)."""

    def __init__(self, store: Store, presigner: Presigner) -> None:
        self.store = store
        self.presigner = presigner

    def create(self, key: str, content_type: str) -> str:
        """Open an upload and return its id. Record it: S3 keeps the parts until it is completed or aborted."""
        with storage_errors(f"open upload of {key}"):
            return self.store.client.create_multipart_upload(
                Bucket=self.store.bucket, Key=key, ContentType=content_type
            )["UploadId"]

    def sign_parts(
        self, key: str, upload_id: str, total: int, numbers: Iterable[int]
    ) -> dict[int, Presigned]:
        """One URL per part number (from 1), each bound to the length of its part."""
        try:
            sizes = {number: part_size(total, number) for number in numbers}
        except ValueError as error:
            raise EchoError(Code.VALIDATION_FAILED, str(error)) from error
        return {n: self.presigner.put_part(key, upload_id, n, size) for n, size in sizes.items()}

    def list_parts(self, key: str, upload_id: str) -> list[UploadedPart]:
        """The parts that arrived whole, by number. Raises UPLOAD_NOT_FOUND when completed, aborted or unknown."""
        with storage_errors(f"list parts of {key}"):
            pages = self.store.client.get_paginator("list_parts").paginate(
                Bucket=self.store.bucket, Key=key, UploadId=upload_id
            )
            return [
                UploadedPart(part.get("PartNumber", 0), part.get("Size", 0), part.get("ETag", ""))
                for page in pages
                for part in page.get("Parts", [])
            ]

    def complete(self, key: str, upload_id: str, total: int) -> Head:
        """Join the parts. Repeating it is harmless: an upload that was joined before is answered alike.

        Raises UPLOAD_INCOMPLETE (with `parts_missing`) and UPLOAD_NOT_FOUND.
        """
        try:
            parts = self.list_parts(key, upload_id)
            sizes = {part.number: part.bytes for part in parts}
            wanted = {number: part_size(total, number) for number in range(1, part_count(total) + 1)}
            if sizes != wanted:
                missing = sum(sizes.get(number) != size for number, size in wanted.items())
                raise EchoError(Code.UPLOAD_INCOMPLETE, key, {"parts_missing": missing})
            with storage_errors(f"complete upload of {key}"):
                self.store.client.complete_multipart_upload(
                    Bucket=self.store.bucket,
                    Key=key,
                    UploadId=upload_id,
                    MultipartUpload={"Parts": [{"PartNumber": p.number, "ETag": p.etag} for p in parts]},
                )
        except EchoError as error:
            # The answer to an earlier call may have been lost after the store had joined the parts.
            head = self.store.head(key) if error.code is Code.UPLOAD_NOT_FOUND else None
            if head is None or head.bytes != total:
                raise
            return head
        head = self.store.head(key)
        if head is None or head.bytes != total:
            raise EchoError(Code.STORAGE_UNAVAILABLE, f"{key}: reads back as {head}")
        return head

    def abort(self, key: str, upload_id: str) -> None:
        """Drop the parts; an upload that is already gone is no error."""
        client = self.store.client
        with storage_errors(f"abort upload of {key}"):
            try:
                client.abort_multipart_upload(Bucket=self.store.bucket, Key=key, UploadId=upload_id)
            except client.exceptions.NoSuchUpload:
                return
