"""What is wrong with a field, for its reader: pydantic says it in English, this module in Korean."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

KOREAN: dict[str, str] = {
    "missing": "필수 항목입니다",
    "extra_forbidden": "쓸 수 없는 항목입니다",
    "greater_than": "{gt}보다 커야 합니다",
    "greater_than_equal": "{ge} 이상이어야 합니다",
    "less_than": "{lt}보다 작아야 합니다",
    "less_than_equal": "{le} 이하여야 합니다",
    "string_too_short": "{min_length}자 이상이어야 합니다",
    "string_too_long": "{max_length}자 이하여야 합니다",
    "string_pattern_mismatch": "형식이 맞지 않습니다",
    "too_short": "{min_length}개 이상이어야 합니다",
    "too_long": "{max_length}개 이하여야 합니다",
    "literal_error": "다음 중 하나여야 합니다: {expected}",
    "enum": "다음 중 하나여야 합니다: {expected}",
    "union_tag_invalid": "다음 중 하나여야 합니다: {expected_tags}",
    "card_number": "카드 번호로 보입니다. 카드 번호는 보내지 마세요",
    "not_rfc3339": "시간대가 있는 RFC 3339 날짜와 시각이어야 합니다",
    "one_choice": "length(와 type) 또는 start와 end 중 하나만 지정하세요",
    "goes_with_length": "type과 rank는 length와 함께만 쓸 수 있습니다",
    "range_incomplete": "start와 end는 함께 지정해야 합니다",
    "start_not_before_end": "start는 end보다 앞서야 합니다",
    "clip_duration": "클립은 {min_s}초에서 {max_s}초까지입니다",
    "clips_too_many": "한 번에 만들 수 있는 클립은 {max_clips}개까지입니다",
    "one_measure": "amount_krw와 credits는 함께 쓸 수 없습니다",
}
"""By the type of pydantic's error, or of our own validators'; the names are those of its context."""

FAMILIES: tuple[tuple[str, str], ...] = (
    ("int", "정수여야 합니다"),
    ("float", "숫자여야 합니다"),
    ("decimal", "숫자여야 합니다"),
    ("bool", "true 또는 false여야 합니다"),
    ("string", "문자열이어야 합니다"),
    ("datetime", "시간대가 있는 RFC 3339 날짜와 시각이어야 합니다"),
    ("timezone", "시간대가 있는 RFC 3339 날짜와 시각이어야 합니다"),
    ("uuid", "UUID여야 합니다"),
    ("json", "올바른 JSON이 아닙니다"),
)
"""By the beginning of the type: `int_parsing`, `int_from_float` and their like."""

OTHERWISE = "값이 올바르지 않습니다"

ENUM_MEMBER = re.compile(r"<\w+\.\w+: ([^<>]+)>")
"""How pydantic writes a member among the values that a `Literal` takes; callers know only its value."""


def field_message(error: Mapping[str, Any], locale: str) -> str:
    """Of one of pydantic's errors, in Korean or English."""
    if locale != "ko":
        return ENUM_MEMBER.sub(r"\1", error["msg"])
    kind: str = error["type"]
    text = KOREAN.get(kind) or next((text for name, text in FAMILIES if kind.startswith(name)), OTHERWISE)
    context: dict[str, Any] = {
        name: ENUM_MEMBER.sub(r"\1", value).replace(" or ", ", ") if isinstance(value, str) else value
        for name, value in error.get("ctx", {}).items()
    }
    return text.format_map(defaultdict(str, context))
