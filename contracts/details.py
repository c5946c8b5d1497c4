"""What a person needs to know beyond a problem's title: the numbers, the limit, what to do, in their language.

An error's `fields` carry the values; a sentence here names those that it needs. The `detail` of an `EchoError` itself
is for engineers, in English, and is never shown as the message.
"""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter

from contracts.base import Words
from contracts.errors import Code

DETAILS: dict[Code, tuple[Words, ...]] = {
    Code.FORBIDDEN: (
        Words(en="One of these roles is needed: {roles}.", ko="필요한 역할: {roles}."),
        Words(
            en="Whoever keeps the books ({role}) does not buy or start jobs; use another account for that.",
            ko="장부를 맡은 역할({role})로는 구매하거나 작업을 시작할 수 없습니다. 다른 계정을 쓰세요.",
        ),
    ),
    Code.PRECONDITION_FAILED: (Words(en="It is at version {version} now.", ko="현재 판은 {version}입니다."),),
    Code.CREDITS_SHORT: (
        Words(
            en="{required} credits are needed, {available} are available. Add credits, then try again.",
            ko="크레딧 {required}개가 필요한데 {available}개가 있습니다. 크레딧을 채운 뒤 다시 시도해 주세요.",
        ),
    ),
    Code.PACKAGE_UNKNOWN: (
        Words(en="Choose one of the packages on sale.", ko="판매 중인 상품에서 골라 주세요."),
    ),
    Code.PROVIDER_NOT_OFFERED: (
        Words(en="{provider} is not offered here.", ko="여기서 쓸 수 없는 결제사: {provider}."),
    ),
    Code.AMOUNT_TOO_SMALL: (
        Words(
            en="It costs {amount_krw} won; cards are charged from {amount_krw_min} won on.",
            ko="금액은 {amount_krw}원인데 카드는 {amount_krw_min}원부터 결제할 수 있습니다.",
        ),
    ),
    Code.PAYMENT_STATE_CONFLICT: (Words(en="State of the purchase: {state}.", ko="구매의 상태: {state}."),),
    Code.REFUND_TOO_LARGE: (
        Words(
            en="{paid_krw} won were paid; {refunded_krw} won of them are already refunded or disputed.",
            ko="결제한 {paid_krw}원 가운데 {refunded_krw}원은 이미 환불되었거나 분쟁 중입니다.",
        ),
    ),
    Code.REFUND_CREDITS_SPENT: (
        Words(
            en="At most {refundable_credits} credits can be refunded, which is {refundable_krw} won.",
            ko="환불할 수 있는 것은 크레딧 {refundable_credits}개, {refundable_krw}원까지입니다.",
        ),
    ),
    Code.CORRECTION_CONFLICT: (
        Words(en="State of the correction: {state}.", ko="정정의 상태: {state}."),
        Words(
            en="{proposed_by} has proposed it; somebody else of finance must approve it.",
            ko="{proposed_by}이(가) 제안했으므로 다른 재무 담당자가 승인해야 합니다.",
        ),
    ),
    Code.CORRECTION_IMPOSSIBLE: (
        Words(en="It is leg number {leg} that cannot be.", ko="{leg}번째 분개를 반영할 수 없습니다."),
    ),
    Code.JOB_STATE_CONFLICT: (
        Words(en="State of the job: {state}.", ko="작업의 상태: {state}."),
        Words(
            en="The video no longer waits for a file; its state is: {video_state}.",
            ko="이 영상은 더 이상 파일을 기다리지 않습니다. 상태: {video_state}.",
        ),
        Words(
            en="A job still needs the video {video_id}: cancel the job first.",
            ko="아직 작업이 영상 {video_id}을(를) 쓰고 있습니다. 작업을 먼저 취소해 주세요.",
        ),
        Words(
            en="The clip is still being made by the job {job_id}: wait for it, or cancel it.",
            ko="작업 {job_id}이(가) 아직 클립을 만들고 있습니다. 기다리거나 작업을 취소해 주세요.",
        ),
        Words(en="The clip could not be made ({failure}).", ko="만들지 못한 클립입니다({failure})."),
    ),
    Code.JOB_SETTLED: (Words(en="State of the job: {state}.", ko="작업의 상태: {state}."),),
    Code.RESULT_NOT_READY: (Words(en="State of the job: {state}.", ko="작업의 상태: {state}."),),
    Code.VIDEO_NOT_READY: (Words(en="State of the video: {video_state}.", ko="영상의 상태: {video_state}."),),
    Code.UPLOAD_INCOMPLETE: (
        Words(en="Parts that are missing: {parts_missing}.", ko="아직 오지 않은 조각: {parts_missing}개."),
    ),
    Code.UPLOAD_TOO_LARGE: (
        Words(en="Files may have up to {bytes_max}.", ko="파일은 {bytes_max}까지 올릴 수 있습니다."),
    ),
    Code.SIZE_MISMATCH: (
        Words(
            en="{announced} were announced, {stored} have arrived.",
            ko="알려준 크기는 {announced}인데 {stored}가 도착했습니다.",
        ),
    ),
    Code.SECTIONS_INVALID: (
        Words(
            en="Section {section} (the first is 0) is shorter than {shortest_ms} milliseconds.",
            ko="{section}번 구간(첫 구간이 0번)이 {shortest_ms}밀리초보다 짧습니다.",
        ),
        Words(
            en="Section {section} (the first is 0) ends after the video, which lasts {duration_s} seconds.",
            ko="{section}번 구간(첫 구간이 0번)이 영상의 길이 {duration_s}초를 넘습니다.",
        ),
        Words(
            en="Section {section} (the first is 0) begins before the end of the one before it, {begins_before} s.",
            ko="{section}번 구간(첫 구간이 0번)이 앞 구간이 끝나는 {begins_before}초보다 먼저 시작합니다.",
        ),
    ),
    Code.TOO_LONG: (
        Words(
            en="It may last up to {duration_s_max} seconds.",
            ko="{duration_s_max}초까지 쓸 수 있습니다.",
        ),
    ),
    Code.NO_SUCH_HIGHLIGHT: (
        Words(en="Found of this type and length: {found}.", ko="이 유형과 길이로 찾은 구간: {found}개."),
    ),
    Code.RANGE_OUTSIDE: (Words(en="It lasts {duration_s} seconds.", ko="영상의 길이: {duration_s}초."),),
    Code.CLIP_LONGER_THAN_VIDEO: (
        Words(
            en="The video lasts {duration_s} seconds, the clip would last {length_s}.",
            ko="영상은 {duration_s}초인데 클립은 {length_s}초입니다.",
        ),
    ),
}
"""For each code the sentences to choose from: the first whose values are all there."""

STATES = {
    "CREATED": Words(en="just begun", ko="시작됨"),
    "INGESTED": Words(en="checking the file", ko="파일 확인 중"),
    "QUEUED": Words(en="queued", ko="대기 중"),
    "RUNNING": Words(en="running", ko="진행 중"),
    "SUCCEEDED": Words(en="done", ko="완료"),
    "FAILED": Words(en="failed", ko="실패"),
    "CANCELED": Words(en="cancelled", ko="취소됨"),
    "EXPIRED": Words(en="expired", ko="기한 만료"),
    "AWAITING_PAYMENT": Words(en="waiting for payment", ko="결제 대기"),
    "PAID": Words(en="paid", ko="결제 완료"),
    "PROPOSED": Words(en="proposed", ko="제안됨"),
    "APPROVED": Words(en="approved", ko="승인됨"),
    "REJECTED": Words(en="rejected", ko="거절됨"),
    "PENDING": Words(en="waiting for the file", ko="파일 대기"),
    "UPLOADED": Words(en="being checked", ko="확인 중"),
    "READY": Words(en="ready", ko="사용 가능"),
    "DELETED": Words(en="deleted", ko="삭제됨"),
}
"""Of purchases, jobs, videos and corrections."""

BYTES = frozenset({"bytes_max", "announced", "stored"})
BYTE = Words(en="bytes", ko="바이트")


def names_in(words: Words) -> set[str]:
    """Of the values that a sentence needs."""
    return {name for _, name, _, _ in Formatter().parse(words.en) if name}


def detail_of(code: Code, fields: Mapping[str, str | int], locale: str) -> str | None:
    """The sentence for these values, in Korean or English; None when the title says all there is to say."""
    for words in DETAILS.get(code, ()):
        if names_in(words) <= fields.keys():
            return words.to(locale).format_map(
                {name: _shown(name, fields[name], locale) for name in names_in(words)}
            )
    return None


def _shown(name: str, value: str | int, locale: str) -> str:
    if isinstance(value, str):
        words = STATES.get(value.upper()) if name in ("state", "video_state") else None
        return words.to(locale) if words else value
    if name not in BYTES:
        return f"{value:,}"
    # Limits are round; two files that differ by a byte must not read alike.
    return f"{value:,} {BYTE.to(locale)}" if value % 1024**2 else f"{value // 1024**2:,} MiB"
