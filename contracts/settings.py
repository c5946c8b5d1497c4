"""Configuration: environment variables with the prefix ECHOSHOT_ (Temporal's own keep their usual names)."""

from __future__ import annotations

import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts.media import MediaLimits
from contracts.payments import Provider
from contracts.timing import JobDeadlines, PurchaseDeadlines


class StripeSettings(BaseModel):
    """Empty secret key: Stripe is not offered."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    secret_key: SecretStr = SecretStr("")
    """Of the account; a restricted key with write access to payments, refunds and customers is enough."""
    publishable_key: str = ""
    """Handed to the app for the PaymentSheet."""
    webhook_secret: SecretStr = SecretStr("")
    """Of the endpoint `/v1/webhooks/stripe`. While it is changed: the new and the old one, with a comma."""
    api_base: str = "https://api.stripe.com"
    """Another address for stand-ins."""


class PortOneSettings(BaseModel):
    """Empty API secret: PortOne is not offered."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    api_secret: SecretStr = SecretStr("")
    """PortOne V2 API secret."""
    store_id: str = ""
    """Handed to the app's SDK."""
    channel_key: str = ""
    """Handed to the app's SDK: which payment gateway."""
    webhook_secret: SecretStr = SecretStr("")
    """Of `/v1/webhooks/portone` (Standard Webhooks). While it is changed: the new and the old one, with a comma."""
    api_base: str = "https://api.portone.io"
    """Another address for stand-ins."""


class Settings(BaseSettings):
    """One instance per process; every field is a row of the README's configuration table."""

    model_config = SettingsConfigDict(
        env_prefix="ECHOSHOT_", env_nested_delimiter="__", extra="ignore", use_attribute_docstrings=True
    )

    database_url: SecretStr = SecretStr("postgresql+psycopg://echoshot@127.0.0.1/echoshot")
    """SQLAlchemy URL of PostgreSQL 16 or newer."""
    database_pool_size: int = 10
    """Connections that one process may open."""

    temporal_address: str = Field(
        default="127.0.0.1:7233",
        validation_alias=AliasChoices("TEMPORAL_ADDRESS", "ECHOSHOT_TEMPORAL_ADDRESS"),
    )
    """Host and port of the Temporal frontend."""
    temporal_namespace: str = Field(
        default="default", validation_alias=AliasChoices("TEMPORAL_NAMESPACE", "ECHOSHOT_TEMPORAL_NAMESPACE")
    )
    """Created by the operator, with the search attributes (docs/deploy.md)."""
    temporal_ui_url: str = ""
    """Base URL of the Web UI for links in answers to staff; empty: no links."""
    queue_prefix: str = ""
    """Put before every task queue name, so that several platforms share one Temporal namespace."""

    s3_endpoint: str = ""
    """Empty: AWS. Else the URL that workers and the API use."""
    s3_public_endpoint: str = ""
    """The URL that clients reach; presigned URLs carry it. Empty: same as `s3_endpoint`."""
    s3_region: str = "us-east-1"
    s3_bucket: str = "echoshot"
    """Created when it is missing and the keys allow it."""
    s3_access_key: SecretStr = SecretStr("")
    s3_secret_key: SecretStr = SecretStr("")
    """Both keys empty: the machine's own credentials."""
    presign_ttl_s: int = 900
    """How long a presigned URL works."""

    oidc_issuer: str = ""
    """`iss` that tokens must carry; its discovery document names the keys."""
    oidc_audience: str = "echoshot"
    """`aud` that tokens must carry."""
    oidc_jwks_url: str = ""
    """Empty: taken from the issuer's discovery document."""

    api_host: str = "127.0.0.1"
    """Where the API listens."""
    api_port: int = 8000
    public_url: str = ""
    """Base URL that clients use, for the links in answers. Empty: the request's own."""
    request_body_bytes_max: int = 256 * 1024
    """Larger JSON bodies are refused; videos never pass through the API."""
    cors_origins: tuple[str, ...] = ()
    """Web origins that may call the API from a browser, as a JSON list. Empty: none."""

    work_dir: Path = Path(tempfile.gettempdir()) / "echoshot-work"
    """Scratch space of workers: cached sources and segments in the making."""
    work_dir_bytes_max: int = 20 * 1024**3
    """Cached sources are dropped, oldest first, above this."""
    device: Literal["auto", "cuda", "cpu"] = "auto"
    """Where networks compute. `auto`: CUDA where it is present; `cuda`: fail without it, rather than be slow."""
    gpu_slots: int = 0
    """Segments at once on a GPU worker. 0: one per CPU core, with CUDA at most four per GPU."""
    engine_memory_bytes_max: int = 3 * 1024**3
    """Limit of one engine process; a decoder bomb ends there."""

    metrics_port: int = 0
    """Prometheus port of a worker on 127.0.0.1 (`metrics_host`); 0: none."""
    metrics_host: str = "127.0.0.1"
    worker_build_id: str = ""
    """Set in deployments: workers are versioned and jobs stay on the version that started them."""

    notify_webhook_url: str = ""
    """Where notices to users are posted (push gateway). Empty: written to the log."""

    stripe: StripeSettings = StripeSettings()
    portone: PortOneSettings = PortOneSettings()
    payment_provider: Provider = Provider.STRIPE
    """Where a purchase goes that names no provider."""
    webhook_age_s_max: int = 300
    """Older signatures are refused as replays."""
    codec_keys: dict[str, SecretStr] = {}
    """Key id to 32 bytes in base64: what workflows write to Temporal is encrypted. Empty: written in clear."""
    codec_key_id: str = ""
    """The key that encrypts; the others only read what was written before a rotation."""
    signing_key: SecretStr = SecretStr("")
    """Ed25519 private key in PEM: signs receipts and journal blocks. Empty: no receipts, and blocks are not signed."""
    signing_keys_retired: tuple[str, ...] = ()
    """Ids of earlier signing keys, as a JSON list: what they have signed stays valid."""
    promo_days: int = 365
    """Promotional credits granted without a date of their own expire after so many days."""
    seal_interval_s: int = 300
    """How often new transfers are sealed into the journal."""
    reconcile_interval_s: int = 24 * 3600
    """How often the books are compared with the providers'."""
    expiry_interval_s: int = 3600
    """How often promotional credits whose time has come are expired."""

    limits: MediaLimits = MediaLimits()
    upload_bytes_max: int = 5 * 1024**3
    """The mobile app's own default is 500 MB."""
    single_put_bytes_max: int = 64 * 1024**2
    """Larger files are uploaded in parts."""
    deadlines: JobDeadlines = JobDeadlines()
    purchase_deadlines: PurchaseDeadlines = PurchaseDeadlines()

    sweep_interval_s: int = 60
    """How often jobs without a running workflow are looked for."""
    sweep_grace_s: int = 30
    """A job younger than this is left alone: its workflow may just be starting."""
    result_days: int = 30
    """Results are deleted after so many days."""
    work_file_hours: int = 24
    """Segments and plans of a settled job are deleted after so many hours."""
    upload_days: int = 7
    """Sources without an active job are deleted after so many days."""
    retention_interval_s: int = 3600
    """How often files whose time has come are deleted."""

    @property
    def providers_offered(self) -> tuple[Provider, ...]:
        """Those with a secret."""
        secrets = {Provider.STRIPE: self.stripe.secret_key, Provider.PORTONE: self.portone.api_secret}
        return tuple(provider for provider, secret in secrets.items() if secret.get_secret_value())


@cache
def settings() -> Settings:
    return Settings()


def cpu_cores() -> int:
    """Cores that this process may use, which is fewer than the machine's in a container."""
    return len(os.sched_getaffinity(0))
