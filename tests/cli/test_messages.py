from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest

import cli
from cli.messages import TEXTS, Messages
from contracts.jobs import JobStatus
from contracts.journal.verdict import FaultKind
from contracts.kinds import KINDS
from contracts.kinds.music import PartType, Reason, SectionType
from contracts.ledger import TransferKind
from contracts.payments import PurchaseStatus, RefundStatus

SOURCES = [path.read_text() for path in Path(cli.__path__[0]).glob("*.py") if path.name != "messages.py"]


def placeholders(text: str) -> set[str | None]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("key", TEXTS)
def test_both_languages_say_the_same_things(key: str):
    en, ko = TEXTS[key]
    assert placeholders(en) == placeholders(ko)
    assert re.search("[가-힣]", ko) or key == "col_id"
    assert not re.search("[가-힣]", en)


def test_every_sentence_is_said_somewhere_and_every_sentence_said_exists():
    said = set(re.findall(r'(?:messages|\bt)\(\s*"(\w+)"', "\n".join(SOURCES)))
    said |= {f"col_{name}" for source in SOURCES for name in re.findall(r'"col_(\w+)"', source)}
    said |= {f"help_{name}" for source in SOURCES for name in re.findall(r'\bcommand\("(\w+)"', source)}
    said |= {f"help_{name}" for source in SOURCES for name in re.findall(r'\border\("(\w+)"', source)}
    said |= {f"help_{name}" for name in ("job", "watch", "cancel", "resume")}
    words = {str(word) for word in (*JobStatus, *TransferKind, *PurchaseStatus, *FaultKind)}
    words |= {f"refund_{status}" for status in RefundStatus}
    words |= {stage for kind in KINDS.values() for stage in kind.stages}
    words |= {str(word) for word in (*SectionType, *PartType, *Reason)}
    assert said | words == set(TEXTS)


def test_the_language_is_the_one_that_posix_would_choose(monkeypatch: pytest.MonkeyPatch):
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.delenv(name, raising=False)
    assert Messages.from_environment().locale == "en"
    monkeypatch.setenv("LANG", "ko_KR.UTF-8")
    assert Messages.from_environment().locale == "ko"
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    assert Messages.from_environment().locale == "en"


def test_a_word_that_a_newer_platform_uses_is_shown_as_it_is():
    assert Messages("ko").name("mux") == "합치기"
    assert Messages("ko").name("faces") == "faces"
    assert Messages("ko").name("HELD_UP", of="refund_") == "HELD_UP"


def test_amounts_and_a_refunds_state_are_written_for_people():
    values = {"at": "today", "amount": 12_000, "credits": 1_200}
    english, korean = Messages("en"), Messages("ko")
    paid_out = english.name("SUCCEEDED", of="refund_")
    assert english("refund_line", status=paid_out, **values).endswith(
        "12,000 won for 1,200 credits, paid out"
    )
    pending = korean.name("PENDING", of="refund_")
    assert korean("refund_line", status=pending, **values).endswith("12,000원 (크레딧 1,200개), 처리 중")
