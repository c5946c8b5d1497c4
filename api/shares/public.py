"""`/s/{token}`: the page of a shared clip, for everybody who has the link. No part of the API, so not in its document.

Nothing of the clip's owner is on it but the name of the video. The pages answer HEAD too, as previewers ask; only GET
of the page itself is counted.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from api.clips.files import to_file
from api.clips.reading import clip_name
from api.links import CurrentLinks
from api.problems import locale_of
from api.services import CurrentServices, Services
from api.shares import page
from contracts.kinds.clip import ClipMade
from db import shares
from db.shares import Shared
from storage.presign import Method

router = APIRouter(prefix="/s", include_in_schema=False)

HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept-Language",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}


@router.api_route("/{token}", methods=["GET", "HEAD"])
async def shared_page(
    token: str, request: Request, services: CurrentServices, links: CurrentLinks
) -> Response:
    locale = locale_of(request)
    async with services.database.transaction() as session:
        shared = await shares.find(session, token)
        if shared is not None and shared.valid and request.method == "GET":
            await shares.count_view(session, shared.id)
    if shared is None or not shared.valid:
        return _no_clip(shared, locale)
    made = _made(shared)
    player = page.Player(
        filename=shared.filename,
        made=made,
        page_url=links.share(token),
        video_url=links.share(token, "video"),
        poster_url=links.share(token, "poster"),
    )
    store = urlsplit(services.presigner.get(made.video.key, "clip.mp4", made.video.content_type).url)
    return _html(page.player(player, locale), 200, locale, files_from=f"{store.scheme}://{store.netloc}")


@router.api_route("/{token}/video", methods=["GET", "HEAD"])
async def shared_video(token: str, request: Request, services: CurrentServices) -> Response:
    shared = await _find(services, token)
    if shared is None or not shared.valid:
        return _no_clip(shared, locale_of(request))
    made = _made(shared)
    return to_file(services, made.video, clip_name(shared.filename, made), _method(request))


@router.api_route("/{token}/poster", methods=["GET", "HEAD"])
async def shared_poster(token: str, request: Request, services: CurrentServices) -> Response:
    shared = await _find(services, token)
    if shared is None or not shared.valid:
        return _no_clip(shared, locale_of(request))
    return to_file(services, _made(shared).poster, "poster.jpg", _method(request))


def _method(request: Request) -> Method:
    """Whoever follows the redirection asks the store the same way."""
    return "HEAD" if request.method == "HEAD" else "GET"


async def _find(services: Services, token: str) -> Shared | None:
    async with services.database.read() as session:
        return await shares.find(session, token)


def _made(shared: Shared) -> ClipMade:
    assert shared.clip.made is not None, "a valid link leads to a clip that is ready"
    return shared.clip.made


def _no_clip(shared: Shared | None, locale: str) -> Response:
    if shared is None:
        return _html(page.notice(page.UNKNOWN, locale), 404, locale)
    return _html(page.notice(page.OVER, locale), 410, locale)


def _html(text: str, status: int, locale: str, files_from: str = "") -> Response:
    """`files_from`: origin of the store, to which the addresses of the files lead on."""
    files = f"'self' {files_from}".strip()
    # Without frame-ancestors: players in other sites show the page in a frame, and there is nothing to click but play.
    policy = (
        f"default-src 'none'; media-src {files}; img-src {files}; style-src '{page.STYLE_HASH}'; "
        "base-uri 'none'; form-action 'none'"
    )
    headers = {**HEADERS, "Content-Language": locale, "Content-Security-Policy": policy}
    return HTMLResponse(text, status, headers)
