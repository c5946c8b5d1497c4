"""An S3 server (versitygw) over a plain folder."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

from dev.servers.ports import port_for
from dev.servers.process import Server

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

REGION = "us-east-1"
ACCESS_KEY = "echoshot"


class ObjectStore(Server):
    """`endpoint` with `ACCESS_KEY` and `secret_key`, which stays the same for one data folder."""

    name = "s3"

    def __init__(self, data_dir: Path, log_dir: Path, program: Path) -> None:
        super().__init__(log_dir)
        self._data = data_dir / "s3"
        self._sidecar = data_dir / "s3-metadata"
        self._secret_file = data_dir / "s3.secret"
        self._program = program
        self.port = port_for(self.name, data_dir)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def secret_key(self) -> str:
        return self._secret_file.read_text()

    async def prepare(self) -> None:
        self._data.mkdir(parents=True, exist_ok=True)
        if not self._secret_file.exists():
            self._secret_file.touch(mode=0o600)
            self._secret_file.write_text(secrets.token_urlsafe(24))

    def command(self) -> list[str]:
        command = [
            str(self._program),
            "--port",
            f"127.0.0.1:{self.port}",
            "--region",
            REGION,
            "--quiet",
            "posix",
        ]
        if not _keeps_attributes(self._data):
            self._sidecar.mkdir(exist_ok=True)
            command += ["--sidecar", str(self._sidecar)]
        return [*command, str(self._data)]

    def environment(self) -> Mapping[str, str]:
        return {"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": self.secret_key}

    async def probe(self) -> None:
        await asyncio.to_thread(self.client().list_buckets)

    async def create_bucket(self, bucket: str) -> None:
        """Does nothing when it exists."""
        client = self.client()
        names = [entry.get("Name") for entry in (await asyncio.to_thread(client.list_buckets))["Buckets"]]
        if bucket not in names:
            await asyncio.to_thread(client.create_bucket, Bucket=bucket)

    def client(self) -> S3Client:
        """A plain boto3 client with the root key."""
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=self.secret_key,
            config=Config(retries={"max_attempts": 1}, connect_timeout=2, s3={"addressing_style": "path"}),
        )


def _keeps_attributes(folder: Path) -> bool:
    """Whether object metadata can be kept in extended attributes there (not on every tmpfs, nor on macOS)."""
    try:
        os.setxattr(folder, "user.echoshot", b"1")
    except (AttributeError, OSError):
        return False
    return True
