"""Card numbers have no business here: where people may type text, they are refused or struck out before it is kept."""

from __future__ import annotations

import re

_NUMBER = re.compile(r"(?<!\d)\d(?:[ .-]?\d){12,18}(?!\d)")
"""13 to 19 digits, in one or in groups (ISO/IEC 7812)."""

STRUCK_OUT = "[card number]"


def has_card_number(text: str) -> bool:
    return any(_is_card(found) for found in _NUMBER.findall(text))


def without_card_numbers(text: str) -> str:
    return _NUMBER.sub(lambda found: STRUCK_OUT if _is_card(found[0]) else found[0], text)


def _is_card(number: str) -> bool:
    """Luhn's check digit: an order number of the same length passes it one time in ten."""
    digits = [int(digit) for digit in number if digit.isdigit()]
    doubled = [digit * 2 - 9 * (digit > 4) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0
