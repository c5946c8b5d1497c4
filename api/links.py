"""The addresses in answers: absolute, on the base URL that clients use."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import Depends
from starlette.requests import HTTPConnection

from api.services import services_of
from contracts.settings import Settings


class Links:
    def __init__(self, base_url: str) -> None:
        self.root = base_url.rstrip("/")
        self.base = f"{self.root}/v1"

    def job(self, job_id: str, leaf: str = "") -> str:
        return f"{self.base}/jobs/{job_id}" + (f"/{leaf}" if leaf else "")

    def video(self, video_id: str, leaf: str = "") -> str:
        return f"{self.base}/videos/{video_id}" + (f"/{leaf}" if leaf else "")

    def clip(self, clip_id: str, leaf: str = "") -> str:
        return f"{self.base}/clips/{clip_id}" + (f"/{leaf}" if leaf else "")

    def share(self, token: str, leaf: str = "") -> str:
        """For everybody who has it, so it is short and no part of the API."""
        return f"{self.root}/s/{token}" + (f"/{leaf}" if leaf else "")

    def payment(self, purchase_id: str, leaf: str = "") -> str:
        return f"{self.base}/payments/{purchase_id}" + (f"/{leaf}" if leaf else "")


def download_name(filename: str, ending: str) -> str:
    """Of a file that was made from another: `stage.mp4` and `music.json` give `stage-music.json`."""
    return f"{filename.rpartition('.')[0] or filename}-{ending}"


def links_of(connection: HTTPConnection) -> Links:
    """`public_url` when set: behind a proxy the request's own host is not the one that clients see."""
    return Links(services_of(connection).settings.public_url or str(connection.base_url))


CurrentLinks = Annotated[Links, Depends(links_of)]


def workflow_ui_url(settings: Settings, workflow_id: str) -> str | None:
    """In the Temporal Web UI, for staff; None on a platform that has none."""
    ui = settings.temporal_ui_url.rstrip("/")
    path = f"namespaces/{settings.temporal_namespace}/workflows/{quote(workflow_id, safe='')}"
    return f"{ui}/{path}" if ui else None
