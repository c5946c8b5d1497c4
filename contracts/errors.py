"""Every failure that a person can meet: its code, HTTP status, whether trying again helps, and two sentences.

`EchoError` is raised by every room; the API renders it as problem+json, activities turn it into an
`ApplicationError` whose type is the code. Media rejections carry the same codes, so the sentence that a user
reads is written once, here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from contracts.text import storable


class Code(StrEnum):
    # Requests
    BAD_REQUEST = "bad_request"
    VALIDATION_FAILED = "validation_failed"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    PAYLOAD_TOO_LARGE = "payload_too_large"
    RATE_LIMITED = "rate_limited"
    INTERNAL = "internal"
    UNAVAILABLE = "unavailable"
    IDEMPOTENCY_KEY_MISSING = "idempotency_key_missing"
    IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused"
    IDEMPOTENCY_IN_FLIGHT = "idempotency_in_flight"
    CURSOR_INVALID = "cursor_invalid"
    PRECONDITION_REQUIRED = "precondition_required"
    PRECONDITION_FAILED = "precondition_failed"
    # Money
    CREDITS_SHORT = "credits_short"
    TRANSFER_CONFLICT = "transfer_conflict"
    HOLD_RESOLVED = "hold_resolved"
    PACKAGE_UNKNOWN = "package_unknown"
    AMOUNT_TOO_SMALL = "amount_too_small"
    PROVIDER_NOT_OFFERED = "provider_not_offered"
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    PROVIDER_REFUSED = "provider_refused"
    PAYMENT_DECLINED = "payment_declined"
    PAYMENT_CANCELED = "payment_canceled"
    PAYMENT_EXPIRED = "payment_expired"
    PAYMENT_STATE_CONFLICT = "payment_state_conflict"
    REFUND_TOO_LARGE = "refund_too_large"
    REFUND_CREDITS_SPENT = "refund_credits_spent"
    WEBHOOK_SIGNATURE = "webhook_signature"
    CORRECTION_CONFLICT = "correction_conflict"
    CORRECTION_IMPOSSIBLE = "correction_impossible"
    SIGNING_UNAVAILABLE = "signing_unavailable"
    CODEC_KEY_UNKNOWN = "codec_key_unknown"
    CODEC_PAYLOAD_INVALID = "codec_payload_invalid"
    # Jobs and uploads
    JOB_STATE_CONFLICT = "job_state_conflict"
    JOB_SETTLED = "job_settled"
    RESULT_NOT_READY = "result_not_ready"
    RESULT_EXPIRED = "result_expired"
    UPLOAD_NOT_FOUND = "upload_not_found"
    UPLOAD_INCOMPLETE = "upload_incomplete"
    UPLOAD_TOO_LARGE = "upload_too_large"
    UPLOAD_EXPIRED = "upload_expired"
    VIDEO_NOT_READY = "video_not_ready"
    FUNDS_EXPIRED = "funds_expired"
    # What is wrong with a file (rejected at ingest, hold released)
    SOURCE_MISSING = "source_missing"
    SIZE_MISMATCH = "size_mismatch"
    HASH_MISMATCH = "hash_mismatch"
    TYPE_MISMATCH = "type_mismatch"
    NOT_A_VIDEO = "not_a_video"
    NO_VIDEO_STREAM = "no_video_stream"
    NO_VIDEO = "no_video"
    NO_FRAMES = "no_frames"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    TOO_LONG = "too_long"
    TOO_LARGE_PICTURE = "too_large_picture"
    TOO_SMALL_PICTURE = "too_small_picture"
    FRAME_RATE_UNSUPPORTED = "frame_rate_unsupported"
    CODEC_UNSUPPORTED = "codec_unsupported"
    EXTERNAL_REFERENCE = "external_reference"
    NO_AUDIO = "no_audio"
    SILENT = "silent"
    NO_MUSIC = "no_music"
    TOO_SHORT = "too_short"
    # Music
    NOT_ANALYSED = "not_analysed"
    SECTIONS_INVALID = "sections_invalid"
    # Clips
    RANGE_OUTSIDE = "range_outside"
    CLIP_LONGER_THAN_VIDEO = "clip_longer_than_video"
    NO_SUCH_HIGHLIGHT = "no_such_highlight"
    CLIP_TOO_LARGE = "clip_too_large"
    RANGE_NEEDED = "range_needed"
    # Ours
    ENGINE_CRASHED = "engine_crashed"
    ENGINE_STALLED = "engine_stalled"
    ENGINE_UNAVAILABLE = "engine_unavailable"
    OUT_OF_DISK = "out_of_disk"
    RESULT_UNVERIFIED = "result_unverified"
    STORAGE_UNAVAILABLE = "storage_unavailable"
    # How a job may end other than by a fault
    CANCELED_BY_USER = "canceled_by_user"
    GIVEN_UP_BY_SUPPORT = "given_up_by_support"
    ATTENTION_EXPIRED = "attention_expired"
    WORKFLOW_TERMINATED = "workflow_terminated"
    WORKFLOW_ID_MISMATCH = "workflow_id_mismatch"


@dataclass(frozen=True)
class ErrorInfo:
    status: int
    """HTTP status when an API call meets it."""
    retryable: bool
    """Whether the same request may succeed later without a change by the caller."""
    en: str
    ko: str


ERRORS: dict[Code, ErrorInfo] = {
    Code.BAD_REQUEST: ErrorInfo(400, False, "The request could not be read.", "요청을 읽을 수 없습니다."),
    Code.VALIDATION_FAILED: ErrorInfo(
        422, False, "Some fields are missing or have a wrong value.", "빠졌거나 값이 잘못된 항목이 있습니다."
    ),
    Code.UNAUTHENTICATED: ErrorInfo(
        401,
        False,
        "Sign in again: the token is missing, expired or not valid here.",
        "다시 로그인해 주세요. 토큰이 없거나 만료되었거나 유효하지 않습니다.",
    ),
    Code.FORBIDDEN: ErrorInfo(403, False, "Your role does not allow this.", "이 작업을 할 권한이 없습니다."),
    Code.NOT_FOUND: ErrorInfo(404, False, "There is no such thing here.", "찾을 수 없습니다."),
    Code.METHOD_NOT_ALLOWED: ErrorInfo(
        405, False, "This address does not take that method.", "이 주소에서 쓸 수 없는 메서드입니다."
    ),
    Code.PAYLOAD_TOO_LARGE: ErrorInfo(
        413, False, "The request body is too large.", "요청 본문이 너무 큽니다."
    ),
    Code.RATE_LIMITED: ErrorInfo(
        429, True, "Too many requests; wait a moment.", "요청이 너무 많습니다. 잠시 후 다시 시도해 주세요."
    ),
    Code.INTERNAL: ErrorInfo(
        500,
        True,
        "Something went wrong on our side. No credits were taken.",
        "서버에 문제가 생겼습니다. 크레딧은 차감되지 않았습니다.",
    ),
    Code.UNAVAILABLE: ErrorInfo(
        503,
        True,
        "The service is not reachable for the moment; try again shortly.",
        "잠시 서비스를 이용할 수 없습니다. 곧 다시 시도해 주세요.",
    ),
    Code.IDEMPOTENCY_KEY_MISSING: ErrorInfo(
        400,
        False,
        "Send an Idempotency-Key header with this request.",
        "Idempotency-Key 헤더를 함께 보내 주세요.",
    ),
    Code.IDEMPOTENCY_KEY_REUSED: ErrorInfo(
        422,
        False,
        "This Idempotency-Key was used before with another body.",
        "이 Idempotency-Key는 다른 내용의 요청에 이미 쓰였습니다.",
    ),
    Code.IDEMPOTENCY_IN_FLIGHT: ErrorInfo(
        409,
        True,
        "The first request with this Idempotency-Key is still being handled.",
        "같은 Idempotency-Key의 첫 요청이 아직 처리 중입니다.",
    ),
    Code.CURSOR_INVALID: ErrorInfo(
        400, False, "The page cursor is not one of this list.", "이 목록의 페이지 커서가 아닙니다."
    ),
    Code.PRECONDITION_REQUIRED: ErrorInfo(
        428,
        False,
        "Say in If-Match which version you have changed: the ETag with which you read it.",
        "바꾼 판의 ETag를 If-Match 헤더로 함께 보내 주세요.",
    ),
    Code.PRECONDITION_FAILED: ErrorInfo(
        412,
        False,
        "It was changed since you read it; nothing was written. Read it again and repeat your change.",
        "읽은 뒤에 내용이 바뀌어 저장하지 않았습니다. 다시 읽고 변경해 주세요.",
    ),
    Code.CREDITS_SHORT: ErrorInfo(402, False, "Not enough credits.", "크레딧이 부족합니다."),
    Code.TRANSFER_CONFLICT: ErrorInfo(
        409,
        False,
        "A transfer with this id exists with other content.",
        "같은 ID로 내용이 다른 거래가 이미 있습니다.",
    ),
    Code.HOLD_RESOLVED: ErrorInfo(
        409,
        False,
        "The held credits were already captured or released.",
        "보류된 크레딧이 이미 정산되었습니다.",
    ),
    Code.PACKAGE_UNKNOWN: ErrorInfo(
        422, False, "There is no such credit package on sale.", "판매 중인 크레딧 상품이 아닙니다."
    ),
    Code.AMOUNT_TOO_SMALL: ErrorInfo(
        422,
        False,
        "Cards are not charged so little; pay from your credits.",
        "카드로 결제하기에는 너무 적은 금액입니다. 크레딧으로 결제해 주세요.",
    ),
    Code.PROVIDER_NOT_OFFERED: ErrorInfo(
        422, False, "This way of paying is not offered here.", "여기서 쓸 수 없는 결제 수단입니다."
    ),
    Code.PROVIDER_UNAVAILABLE: ErrorInfo(
        503,
        True,
        "The payment service does not answer; nothing is charged twice, the purchase goes on by itself.",
        "결제사가 응답하지 않습니다. 두 번 결제되지 않으며, 구매는 저절로 이어집니다.",
    ),
    Code.PROVIDER_REFUSED: ErrorInfo(
        502,
        False,
        "The payment service refused the request. Nothing was charged. Try another card or ask support.",
        "결제사가 요청을 거절했습니다. 결제되지 않았습니다. 다른 카드를 쓰거나 고객지원에 문의해 주세요.",
    ),
    Code.PAYMENT_DECLINED: ErrorInfo(
        402,
        False,
        "The card was declined. Nothing was charged.",
        "카드가 거절되었습니다. 결제되지 않았습니다.",
    ),
    Code.PAYMENT_CANCELED: ErrorInfo(
        409,
        False,
        "The payment was cancelled. Nothing was charged.",
        "결제가 취소되었습니다. 결제되지 않았습니다.",
    ),
    Code.PAYMENT_EXPIRED: ErrorInfo(
        410,
        False,
        "The payment was not made in time. Nothing was charged.",
        "제한 시간 안에 결제되지 않았습니다. 결제된 금액은 없습니다.",
    ),
    Code.PAYMENT_STATE_CONFLICT: ErrorInfo(
        409,
        False,
        "The purchase is not in a state that allows this.",
        "구매의 현재 상태에서는 할 수 없습니다.",
    ),
    Code.REFUND_TOO_LARGE: ErrorInfo(
        422,
        False,
        "More than was paid and not yet refunded.",
        "결제하고 아직 환불되지 않은 금액보다 큽니다.",
    ),
    Code.REFUND_CREDITS_SPENT: ErrorInfo(
        409,
        False,
        "Credits of this purchase are spent, held, frozen or refunded already; only the rest can be refunded.",
        "이 구매의 크레딧이 사용·보류·동결되었거나 이미 환불되었습니다. 남은 만큼만 환불할 수 있습니다.",
    ),
    Code.WEBHOOK_SIGNATURE: ErrorInfo(
        400,
        False,
        "The webhook's signature is missing, wrong or too old.",
        "웹훅 서명이 없거나 틀렸거나 너무 오래되었습니다.",
    ),
    Code.CORRECTION_CONFLICT: ErrorInfo(
        409,
        False,
        "A correction needs a second person of finance, and is decided once.",
        "정정은 다른 재무 담당자가 승인해야 하며 한 번만 결정됩니다.",
    ),
    Code.CORRECTION_IMPOSSIBLE: ErrorInfo(
        422,
        False,
        "A correction moves won or credits between accounts that exist, each named once, of one user at most; "
        "held credits belong to their job.",
        "정정은 존재하는 계정 사이에서만 원화나 크레딧을 옮깁니다. 계정은 한 번씩만, 사용자는 한 명까지 지정하며, "
        "보류된 크레딧은 작업의 것이므로 옮길 수 없습니다.",
    ),
    Code.SIGNING_UNAVAILABLE: ErrorInfo(
        503,
        False,
        "This platform has no signing key, so it cannot sign receipts or journals.",
        "서명 키가 없어 영수증이나 장부에 서명할 수 없습니다.",
    ),
    Code.CODEC_KEY_UNKNOWN: ErrorInfo(
        422,
        False,
        "The payload was encrypted with a key that this platform no longer has.",
        "이 플랫폼에 없는 키로 암호화된 데이터입니다.",
    ),
    Code.CODEC_PAYLOAD_INVALID: ErrorInfo(
        422, False, "The encrypted payload was changed or cut.", "암호화된 데이터가 변경되었거나 잘렸습니다."
    ),
    Code.JOB_STATE_CONFLICT: ErrorInfo(
        409, False, "The job is not in a state that allows this.", "작업의 현재 상태에서는 할 수 없습니다."
    ),
    Code.JOB_SETTLED: ErrorInfo(409, False, "The job has already ended.", "이미 끝난 작업입니다."),
    Code.RESULT_NOT_READY: ErrorInfo(
        409, True, "The result is not ready yet.", "아직 결과가 준비되지 않았습니다."
    ),
    Code.RESULT_EXPIRED: ErrorInfo(
        410,
        False,
        "The result was deleted when its storage time ended.",
        "보관 기간이 지나 결과가 삭제되었습니다.",
    ),
    Code.UPLOAD_NOT_FOUND: ErrorInfo(
        404, False, "There is no such upload.", "해당 업로드를 찾을 수 없습니다."
    ),
    Code.UPLOAD_INCOMPLETE: ErrorInfo(
        409, True, "The upload is not complete yet.", "업로드가 아직 끝나지 않았습니다."
    ),
    Code.UPLOAD_TOO_LARGE: ErrorInfo(
        413, False, "The file is larger than allowed.", "파일이 허용 크기보다 큽니다."
    ),
    Code.UPLOAD_EXPIRED: ErrorInfo(
        410,
        False,
        "The file was not uploaded in time. The held credits were released.",
        "제한 시간 안에 업로드되지 않았습니다. 보류된 크레딧을 돌려드렸습니다.",
    ),
    Code.VIDEO_NOT_READY: ErrorInfo(
        409,
        True,
        "The video has not been uploaded and checked yet.",
        "영상이 아직 업로드·확인되지 않았습니다.",
    ),
    Code.FUNDS_EXPIRED: ErrorInfo(
        402,
        False,
        "The video costs more than the quote and the missing credits did not arrive in time.",
        "영상이 견적보다 비싼데 부족한 크레딧이 제때 채워지지 않았습니다.",
    ),
    Code.SOURCE_MISSING: ErrorInfo(
        404, False, "The uploaded file is no longer in storage.", "업로드한 파일이 저장소에 없습니다."
    ),
    Code.SIZE_MISMATCH: ErrorInfo(
        422,
        False,
        "The uploaded file does not have the announced size.",
        "업로드한 파일의 크기가 알려준 값과 다릅니다.",
    ),
    Code.HASH_MISMATCH: ErrorInfo(
        422,
        False,
        "The uploaded file does not have the announced SHA-256.",
        "업로드한 파일의 SHA-256이 알려준 값과 다릅니다.",
    ),
    Code.TYPE_MISMATCH: ErrorInfo(
        422, False, "The file is of another type than announced.", "파일 형식이 알려준 것과 다릅니다."
    ),
    Code.NOT_A_VIDEO: ErrorInfo(
        422,
        False,
        "This is not a video or sound file in a format we read (MP4, MOV, AVI, MKV, WebM, MP3, M4A, WAV, FLAC, Ogg).",
        "지원하는 형식(MP4, MOV, AVI, MKV, WebM, MP3, M4A, WAV, FLAC, Ogg)의 영상이나 소리 파일이 아닙니다.",
    ),
    Code.NO_VIDEO_STREAM: ErrorInfo(
        422,
        False,
        "The file has neither picture nor sound.",
        "영상도 소리도 없는 파일입니다.",
    ),
    Code.NO_VIDEO: ErrorInfo(
        422,
        False,
        "The file has sound but no picture, which this needs.",
        "소리만 있고 영상이 없는 파일이라 이 작업을 할 수 없습니다.",
    ),
    Code.NO_FRAMES: ErrorInfo(422, False, "The video has no frames.", "영상에 프레임이 없습니다."),
    Code.TRUNCATED: ErrorInfo(
        422,
        False,
        "The file ends too early: the upload or the recording was cut off.",
        "파일이 중간에 끊겼습니다. 업로드나 녹화가 중단된 것 같습니다.",
    ),
    Code.CORRUPT: ErrorInfo(
        422, False, "The file is damaged and cannot be decoded.", "파일이 손상되어 재생할 수 없습니다."
    ),
    Code.TOO_LONG: ErrorInfo(422, False, "The recording is longer than allowed.", "허용된 길이보다 깁니다."),
    Code.TOO_LARGE_PICTURE: ErrorInfo(
        422, False, "The picture is larger than allowed.", "영상의 해상도가 허용 범위를 넘습니다."
    ),
    Code.TOO_SMALL_PICTURE: ErrorInfo(
        422, False, "The picture is smaller than allowed.", "영상의 해상도가 너무 작습니다."
    ),
    Code.FRAME_RATE_UNSUPPORTED: ErrorInfo(
        422, False, "The frame rate of this video is not supported.", "지원하지 않는 프레임 레이트입니다."
    ),
    Code.CODEC_UNSUPPORTED: ErrorInfo(
        422, False, "The video is coded in a way that we cannot read.", "지원하지 않는 코덱의 영상입니다."
    ),
    Code.EXTERNAL_REFERENCE: ErrorInfo(
        422,
        False,
        "The file points to other files or addresses; send the video itself.",
        "다른 파일이나 주소를 가리키는 파일입니다. 영상 자체를 올려 주세요.",
    ),
    Code.NOT_ANALYSED: ErrorInfo(
        404,
        False,
        "The music of this video has not been analysed yet: start a job of kind `music`.",
        "아직 음악을 분석하지 않은 영상입니다. `music` 작업을 먼저 시작해 주세요.",
    ),
    Code.SECTIONS_INVALID: ErrorInfo(
        422,
        False,
        "Sections follow each other without overlap, inside the video, each at least half a second long.",
        "구간은 영상 안에서 순서대로, 겹치지 않게, 각각 0.5초 이상이어야 합니다.",
    ),
    Code.RANGE_OUTSIDE: ErrorInfo(
        422, False, "The range lies outside the video.", "선택한 구간이 영상의 범위를 벗어났습니다."
    ),
    Code.CLIP_LONGER_THAN_VIDEO: ErrorInfo(
        422, False, "The clip would be longer than the video.", "클립이 영상보다 깁니다."
    ),
    Code.NO_SUCH_HIGHLIGHT: ErrorInfo(
        422,
        False,
        "The video has no such section, or not so many of them.",
        "영상에 해당 구간이 없거나 요청한 개수만큼 없습니다.",
    ),
    Code.CLIP_TOO_LARGE: ErrorInfo(
        422,
        False,
        "The clip cannot be made small enough for this target; choose a shorter one.",
        "이 대상의 용량 제한에 맞출 수 없습니다. 더 짧은 구간을 선택해 주세요.",
    ),
    Code.RANGE_NEEDED: ErrorInfo(
        422,
        False,
        "This clip is a range of your own, so there is no next best: give a new start and end.",
        "직접 고른 구간의 클립에는 다음 순위가 없습니다. 새로운 start와 end를 지정해 주세요.",
    ),
    Code.NO_AUDIO: ErrorInfo(
        422, False, "The file has no sound that we can read.", "읽을 수 있는 소리가 없는 파일입니다."
    ),
    Code.SILENT: ErrorInfo(
        422, False, "There is nothing to hear in this file.", "파일에서 아무 소리도 들리지 않습니다."
    ),
    Code.NO_MUSIC: ErrorInfo(
        422,
        False,
        "There is sound but no music in this file.",
        "소리는 있지만 음악이 없는 파일입니다.",
    ),
    Code.TOO_SHORT: ErrorInfo(
        422,
        False,
        "The music is too short: at least ten seconds are needed.",
        "음악이 너무 짧습니다. 10초 이상이어야 합니다.",
    ),
    Code.ENGINE_CRASHED: ErrorInfo(
        500, True, "The video engine stopped unexpectedly.", "영상 엔진이 예기치 않게 멈췄습니다."
    ),
    Code.ENGINE_STALLED: ErrorInfo(
        500,
        True,
        "The video engine made no progress for too long.",
        "영상 엔진이 너무 오래 진행되지 않았습니다.",
    ),
    Code.ENGINE_UNAVAILABLE: ErrorInfo(
        500,
        True,
        "The requested engine is not installed on this worker.",
        "요청한 엔진이 이 작업기에 없습니다.",
    ),
    Code.OUT_OF_DISK: ErrorInfo(
        507, True, "The worker ran out of disk space.", "작업기의 디스크 공간이 부족합니다."
    ),
    Code.RESULT_UNVERIFIED: ErrorInfo(
        500,
        True,
        "The finished video did not pass its own checks and was not delivered.",
        "완성된 영상이 자체 검증을 통과하지 못해 전달하지 않았습니다.",
    ),
    Code.STORAGE_UNAVAILABLE: ErrorInfo(
        503, True, "The storage is not reachable for the moment.", "저장소에 잠시 연결할 수 없습니다."
    ),
    Code.CANCELED_BY_USER: ErrorInfo(
        409,
        False,
        "The job was canceled. The held credits were released.",
        "작업이 취소되었습니다. 보류된 크레딧을 돌려드렸습니다.",
    ),
    Code.GIVEN_UP_BY_SUPPORT: ErrorInfo(
        409,
        False,
        "Support ended this job. The held credits were released.",
        "고객지원이 작업을 종료했습니다. 보류된 크레딧을 돌려드렸습니다.",
    ),
    Code.ATTENTION_EXPIRED: ErrorInfo(
        500,
        False,
        "The fault could not be repaired in time. The held credits were released.",
        "제시간에 문제를 해결하지 못했습니다. 보류된 크레딧을 돌려드렸습니다.",
    ),
    Code.WORKFLOW_TERMINATED: ErrorInfo(
        500,
        False,
        "The job was stopped by an operator. The held credits were released.",
        "운영자가 작업을 중단했습니다. 보류된 크레딧을 돌려드렸습니다.",
    ),
    Code.WORKFLOW_ID_MISMATCH: ErrorInfo(
        409,
        False,
        "This workflow is not the one of its job and must not touch its credits.",
        "이 워크플로는 해당 작업의 것이 아니므로 크레딧을 다룰 수 없습니다.",
    ),
}

assert set(ERRORS) == set(Code), "every code needs its sentences"

DETAIL_LENGTH_MAX = 600
"""Characters. Details ride in workflow payloads and headers; an ffmpeg log must not."""


@dataclass
class EchoError(Exception):
    """A failure with a code of this catalogue. `detail` is for engineers and support, in English."""

    code: Code
    detail: str = ""
    fields: dict[str, str | int] = field(default_factory=dict[str, "str | int"])
    """Numbers that help the reader, such as `required` and `available` credits."""

    def __post_init__(self) -> None:
        # It may quote what somebody sent, and is kept in rows and histories.
        self.detail = storable(self.detail[:DETAIL_LENGTH_MAX])
        super().__init__(self.code, self.detail)

    def __str__(self) -> str:
        return f"{self.code}: {self.detail or self.info.en}"

    def __reduce__(self) -> tuple[type[EchoError], tuple[Code, str, dict[str, str | int]]]:
        return EchoError, (self.code, self.detail, self.fields)

    @property
    def info(self) -> ErrorInfo:
        return ERRORS[self.code]

    @property
    def retryable(self) -> bool:
        return self.info.retryable


def sentence(code: str, locale: str) -> str:
    """What the user reads for a code, in Korean or English; unknown codes read as an internal fault."""
    info = ERRORS[Code(code)] if code in Code.__members__.values() else ERRORS[Code.INTERNAL]
    return info.ko if locale.startswith("ko") else info.en
