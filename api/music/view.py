"""From rows to what an owner sees of a video's music."""

from __future__ import annotations

from api.links import Links, download_name
from api.music import schemas
from contracts.kinds.sections import with_sections
from db.music import Known
from db.tables import Video
from storage.presign import Presigner


def music_view(video: Video, found: Known, presigner: Presigner, links: Links) -> schemas.MusicView:
    """`found` with the sections that count."""
    analysis = found.row.analysis
    music = presigner.get(
        analysis.music.key, download_name(video.filename, "music.json"), analysis.music.content_type
    )
    strip = presigner.get(
        analysis.strip.key, download_name(video.filename, "strip.png"), analysis.strip.content_type
    )
    return schemas.MusicView(
        video_id=video.id,
        job_id=found.row.job_id,
        analysed_at=found.row.created_at,
        summary=with_sections(analysis.summary, found.sections.sections),
        sections_version=found.sections.version,
        sections_url=links.video(video.id, "sections"),
        music_url=music.url,
        strip_url=strip.url,
        strip_version=found.drawn,
        expires_at=min(music.expires_at, strip.expires_at),
    )


def sections_view(found: Known) -> schemas.SectionsView:
    row = found.sections
    return schemas.SectionsView(
        video_id=row.video_id,
        version=row.version,
        versions=found.versions,
        author=row.author,
        original=found.original,
        sections=row.sections,
        created_at=row.created_at,
    )
