"""The HTML of a shared clip: a player, and what messengers and search engines read of it. No script, one style."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from html import escape

from contracts.base import Words
from contracts.kinds.clip import ClipMade
from contracts.kinds.music import SectionType

STYLE = (
    "body{margin:0;min-height:100vh;display:flex;flex-direction:column;align-items:center;justify-content:center;"
    "gap:1rem;background:#111;color:#eee;font:16px/1.5 system-ui,sans-serif}"
    "video{max-width:100%;max-height:80vh;width:auto;height:auto}"
    "h1{font-size:1.1rem;margin:0 1rem;overflow-wrap:anywhere}p{margin:0 1rem}"
)
STYLE_HASH = "sha256-" + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
"""By which the content security policy allows this style and no other."""

UNKNOWN = Words(en="There is no clip at this address.", ko="이 주소에는 클립이 없습니다.")
OVER = Words(
    en="This clip is no longer shared.",
    ko="공유가 끝난 클립입니다.",
)
CLIP_OF = Words(en="A clip of {seconds} seconds", ko="{seconds}초 클립")
SECTIONS = {
    SectionType.INTRO: Words(en="intro", ko="인트로"),
    SectionType.VERSE: Words(en="verse", ko="벌스"),
    SectionType.CHORUS: Words(en="chorus", ko="후렴"),
    SectionType.BRIDGE: Words(en="bridge", ko="브리지"),
    SectionType.INTERLUDE: Words(en="interlude", ko="간주"),
    SectionType.CLIMAX: Words(en="climax", ko="클라이맥스"),
    SectionType.OUTRO: Words(en="outro", ko="아웃트로"),
}
OG_LOCALES = {"en": "en_US", "ko": "ko_KR"}


@dataclass(frozen=True)
class Player:
    """What the page tells. Addresses are absolute."""

    filename: str
    made: ClipMade
    page_url: str
    video_url: str
    poster_url: str


def player(shown: Player, locale: str) -> str:
    title, description = shown.filename.rpartition(".")[0] or shown.filename, _description(shown.made, locale)
    size = {"width": str(shown.made.width), "height": str(shown.made.height)}
    properties = {
        "og:type": "video.other",
        "og:site_name": "EchoShotX",
        "og:locale": OG_LOCALES[locale],
        "og:title": title,
        "og:description": description,
        "og:url": shown.page_url,
        "og:image": shown.poster_url,
        "og:image:type": shown.made.poster.content_type,
        "og:video": shown.video_url,
        "og:video:type": shown.made.video.content_type,
        **{f"og:video:{name}": value for name, value in size.items()},
    }
    names = {
        "description": description,
        "twitter:card": "player",
        "twitter:title": title,
        "twitter:description": description,
        "twitter:image": shown.poster_url,
        "twitter:player": shown.page_url,
        **{f"twitter:player:{name}": value for name, value in size.items()},
        "twitter:player:stream": shown.video_url,
        "twitter:player:stream:content_type": shown.made.video.content_type,
    }
    metas = [_meta("property", name, value) for name, value in properties.items()]
    metas += [_meta("name", name, value) for name, value in names.items()]
    video = (
        f'<video controls playsinline preload="metadata" poster="{escape(shown.poster_url)}"'
        f' width="{size["width"]}" height="{size["height"]}">'
        f'<source src="{escape(shown.video_url)}" type="{escape(shown.made.video.content_type)}"></video>'
    )
    return _document(title, locale, f"{video}<h1>{escape(title)}</h1><p>{escape(description)}</p>", metas)


def notice(words: Words, locale: str) -> str:
    """A page that says one sentence."""
    return _document("EchoShotX", locale, f"<p>{escape(words.to(locale))}</p>", [])


def _description(made: ClipMade, locale: str) -> str:
    text = CLIP_OF.to(locale).format(seconds=round(made.end_s - made.start_s))
    return f"{text} · {SECTIONS[made.type].to(locale)}" if made.type else text


def _meta(kind: str, name: str, value: str) -> str:
    return f'<meta {kind}="{name}" content="{escape(value)}">'


def _document(title: str, locale: str, body: str, metas: list[str]) -> str:
    head = [
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="robots" content="noindex">',
        f"<title>{escape(title)}</title>",
        *metas,
        f"<style>{STYLE}</style>",
    ]
    return f'<!doctype html><html lang="{locale}"><head>{"".join(head)}</head><body>{body}</body></html>'
