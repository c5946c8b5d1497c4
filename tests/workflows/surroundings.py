"""The environment of a process that belongs to a test's own platform."""

from __future__ import annotations

from contracts.settings import Settings


def environment_of(settings: Settings) -> dict[str, str]:
    return {
        "ECHOSHOT_DATABASE_URL": settings.database_url.get_secret_value(),
        "TEMPORAL_ADDRESS": settings.temporal_address,
        "TEMPORAL_NAMESPACE": settings.temporal_namespace,
        "ECHOSHOT_QUEUE_PREFIX": settings.queue_prefix,
        "ECHOSHOT_S3_ENDPOINT": settings.s3_endpoint,
        "ECHOSHOT_S3_REGION": settings.s3_region,
        "ECHOSHOT_S3_BUCKET": settings.s3_bucket,
        "ECHOSHOT_S3_ACCESS_KEY": settings.s3_access_key.get_secret_value(),
        "ECHOSHOT_S3_SECRET_KEY": settings.s3_secret_key.get_secret_value(),
        "ECHOSHOT_WORK_DIR": str(settings.work_dir),
    }
