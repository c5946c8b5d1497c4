"""Where each object lives in the bucket. One prefix per owner, so that retention deletes by prefix alone.

raw/<user>/<video>/source                        what a user uploaded
work/<job>/segments/<fingerprint>/…              gone some hours after the job has settled
result/<job>/<sha256>/video.mp4, manifest.json … what a user may download, with its thumbnails
result/<job>/clips/<nn>/<sha256>/clip.mp4, …       each clip with its preview and poster
music/<video>/<sha256>/music.json, strip.png     what is known of a video's music, for as long as the video
"""

from __future__ import annotations

from contracts.ids import JobId, UserId, VideoId


def source_prefix(user_id: UserId, video_id: VideoId) -> str:
    return f"raw/{_part(user_id)}/{_part(video_id)}/"


def source_key(user_id: UserId, video_id: VideoId) -> str:
    return source_prefix(user_id, video_id) + "source"


WORK = "work/"


def work_prefix(job_id: JobId) -> str:
    return f"{WORK}{_part(job_id)}/"


def segment_key(job_id: JobId, fingerprint: str, index: int) -> str:
    """`fingerprint` covers everything that decides a pixel: whoever writes here writes the same pictures."""
    return f"{work_prefix(job_id)}segments/{_part(fingerprint)}/{index:05d}"


def record_key(segment: str) -> str:
    """Beside a segment; written after it, so that its presence means that the segment is finished."""
    return segment + ".json"


RESULT = "result/"


def result_prefix(job_id: JobId) -> str:
    return f"{RESULT}{_part(job_id)}/"


def result_file_key(job_id: JobId, digest: str, name: str) -> str:
    """`digest` is the result's own SHA-256: attempts that overlap cannot replace each other's files. `name` is that of
    a file, such as `clips.json`."""
    return f"{result_prefix(job_id)}{_part(digest)}/{_part(name)}"


def result_key(job_id: JobId, digest: str) -> str:
    return result_file_key(job_id, digest, "video.mp4")


def manifest_key(job_id: JobId, digest: str) -> str:
    return result_file_key(job_id, digest, "manifest.json")


def clip_record_key(job_id: JobId, fingerprint: str) -> str:
    """`fingerprint` covers everything that decides a clip; written when the clip is whole."""
    return f"{work_prefix(job_id)}clips/{_part(fingerprint)}.json"


def clip_prefix(job_id: JobId, position: int) -> str:
    """All that belongs to one clip, which may be deleted before the others of its job."""
    return f"{result_prefix(job_id)}clips/{position:02d}/"


def clip_key(job_id: JobId, position: int, digest: str, name: str) -> str:
    """`digest` is the clip's own SHA-256; `name` that of a file, such as `preview.webp`."""
    return f"{clip_prefix(job_id, position)}{_part(digest)}/{_part(name)}"


MUSIC = "music/"


def music_prefix(video_id: VideoId) -> str:
    return f"{MUSIC}{_part(video_id)}/"


def music_key(video_id: VideoId, digest: str, name: str) -> str:
    """`digest` is that of `music.json`, beside which `name` lies."""
    return f"{music_prefix(video_id)}{_part(digest)}/{_part(name)}"


def thumbnail_key(job_id: JobId, digest: str, percent: int) -> str:
    return result_file_key(job_id, digest, f"thumbnail-{percent}.jpg")


def _part(name: str) -> str:
    # A slash or an empty name would put the object, or a deletion, under somebody else's prefix.
    if not name or "/" in name or name in (".", ".."):
        raise ValueError(f"not a single path part: {name!r}")
    return name
