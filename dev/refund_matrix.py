"""`python -m dev.refund_matrix`: writes docs/refunds.md from contracts/refunds.py itself."""

from __future__ import annotations

from pathlib import Path

from contracts.refunds import REFUND_MATRIX, RefundRule, Words

PAGE = Path(__file__).parent.parent / "docs" / "refunds.md"

HEAD = """# Refunds · 환불

What comes back, by the state and the reason. The same table is `refund_matrix` in `GET /v1/pricing`.
상태와 사유에 따라 무엇을 돌려받는지 보여 줍니다. `GET /v1/pricing`의 `refund_matrix`와 같은 표입니다.
(Made by `python -m dev.refund_matrix`.)

A charge without a package costs 100 won a credit, so any part of it can be refunded to the won. A refund that the card
cannot take gives its credits back, and support is told.
상품 없이 카드로 결제한 작업은 크레딧당 100원이므로 일부만 환불해도 원 단위까지 정확합니다. 카드로 환불할 수 없으면
크레딧을 되돌려 드리고 고객지원이 확인합니다.
"""

PAID_BY = {"balance": Words(en="credits", ko="크레딧"), "card": Words(en="card", ko="카드")}


def page() -> str:
    rows = [_row(rule) for rule in REFUND_MATRIX]
    table = [
        "| what | paid by | state | reason | refund to | comes back | 돌려받는 것 |",
        "|---|---|---|---|---|---|---|",
        *rows,
    ]
    return HEAD + "\n" + "\n".join(table) + "\n"


def _row(rule: RefundRule) -> str:
    paid_by, words = PAID_BY[rule.paid_by], rule.words
    states = ", ".join(f"`{state}`" for state in rule.states)
    refund_to = f"`{rule.refund_to}`" if rule.refund_to else ""
    cells = (
        rule.subject.replace("_", " "),
        f"{paid_by.en} · {paid_by.ko}",
        states,
        f"`{rule.reason}`",
        refund_to,
        words.en,
        words.ko,
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
