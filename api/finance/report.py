"""A reconciliation as one self-contained HTML page: what moved, what differs, how old it is, what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from html import escape

from contracts.finance import WHAT_TO_DO, Difference, Reconciled, UnderWay
from db.money_by_day import Day

Say = Callable[[str], str]

WIDTH, HEIGHT, BAR = 720, 180, 22
AGES = ((3600, "< 1 h"), (86_400, "< 1 d"), (7 * 86_400, "< 7 d"), (1 << 62, "≥ 7 d"))

WORDS = {
    "title": ("Reconciliation", "대사 보고서"),
    "clean": (
        "No differences: providers, books and sagas agree.",
        "차이 없음: 결제사, 장부, 사가가 일치합니다.",
    ),
    "found": ("Differences: {}, {} won in all", "차이 {}건, 합계 {}원"),
    "by_day": ("Money by day (won)", "일별 금액 (원)"),
    "by_kind": ("Differences by kind", "종류별 차이"),
    "by_age": ("Differences by age", "기간별 차이"),
    "received": ("received", "입금"),
    "refunded": ("refunded", "환불"),
    "disputed": ("disputed", "분쟁"),
    "fees": ("fees", "수수료"),
    "paid_out": ("paid out", "정산"),
    "cash": ("cash in the books", "장부상 현금"),
    "provider": ("provider", "결제사"),
    "kind": ("kind", "종류"),
    "age": ("age", "경과"),
    "amount": ("won", "원"),
    "credits": ("credits", "크레딧"),
    "what": ("what differs", "내용"),
    "todo": ("what to do", "조치"),
    "under_way": ("Payments under way", "진행 중인 결제"),
    "coming": (
        "Payments: {}, {} won. They neither agree nor differ, yet.",
        "결제 {}건, {}원이 아직 진행 중입니다. 일치하지도 다르지도 않은 상태입니다.",
    ),
    "coming_of": ("{}, {} won", "{}건, {}원"),
    "none": ("None.", "없음"),
    "oldest": ("oldest first", "오래된 순"),
    "stage": ("where it is", "어디까지"),
    "not_paid": ("not paid yet by the customer or the bank", "고객이나 은행이 아직 지불하지 않음"),
    "not_booked": ("at the provider, about to be booked", "결제사에 있고 곧 장부에 기록됨"),
    "not_in_statement": ("paid after the statement was fetched", "내역을 받은 뒤에 결제됨"),
    "jobs": ("jobs compared with Temporal", "Temporal과 비교한 작업"),
}

STYLE = """
:root { color-scheme: light dark; --ink: light-dark(#1b1f24, #e6e9ee); --faint: light-dark(#667, #99a);
  --line: light-dark(#d8dde3, #3a4048); --in: #2f7fd1; --out: #d18a2f; --bad: #c64545; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.1rem; margin-top: 2rem; }
p.faint, .faint { color: var(--faint); } .good { color: #2a8a4a; } .bad { color: var(--bad); }
table { border-collapse: collapse; width: 100%; } td, th { padding: .35rem .6rem; border-bottom: 1px solid var(--line);
  text-align: left; vertical-align: top; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
svg { width: 100%; height: auto; } svg text { fill: var(--ink); font: 11px system-ui, sans-serif; }
.in { fill: var(--in); } .out { fill: var(--out); } .lost { fill: var(--bad); } .axis { stroke: var(--line); }
"""


def age_s(since: datetime, as_of: datetime | None = None) -> int:
    """Whole seconds from `since` to `as_of` (default: now); 0 when another machine's clock is ahead."""
    return max(((as_of or datetime.now(UTC)) - since) // timedelta(seconds=1), 0)


def page(found: Reconciled, days: Sequence[Day], locale: str) -> str:
    """`locale`: ko or en."""

    def say(word: str) -> str:
        return WORDS[word][locale == "ko"]

    total = sum(abs(difference.amount_krw) for difference in found.differences)
    verdict = (
        f'<p class="bad">{say("found").format(len(found.differences), f"{total:,}")}</p>'
        if found.differences
        else f'<p class="good">{say("clean")}</p>'
    )
    parts = [
        f"<h1>{say('title')}</h1>",
        f'<p class="faint">{found.period_from:%Y-%m-%d %H:%M} – {found.period_to:%Y-%m-%d %H:%M} UTC · '
        f"{escape(found.reconciliation_id)} · {say('jobs')}: {found.jobs_compared}</p>",
        verdict,
        _providers(found, say),
        "" if found.under_way is None else _under_way(found.under_way, found.period_to, say),
        f"<h2>{say('by_day')}</h2>",
        _legend([("in", say("received")), ("out", say("refunded")), ("lost", say("disputed"))]),
        days_chart(days, say("by_day")),
    ]
    if found.differences:
        kinds = Counter[str]()
        for difference in found.differences:
            kinds[difference.kind] += 1
        ages = Counter(_age_class(difference) for difference in found.differences)
        parts += [
            f"<h2>{say('by_kind')}</h2>",
            bars_chart(kinds.most_common(), say("by_kind")),
            f"<h2>{say('by_age')}</h2>",
            bars_chart([(name, ages[name]) for _, name in AGES], say("by_age")),
            _differences(found.differences, locale, say),
        ]
    return (
        f'<!doctype html><html lang="{locale}"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{say("title")}</title>'
        f"<style>{STYLE}</style></head><body>{''.join(parts)}</body></html>"
    )


def days_chart(days: Sequence[Day], title: str) -> str:
    """Two bars a day: what came in, and on it what went out again by refund and by dispute."""
    top = max((max(day.received_krw, day.refunded_krw + day.disputed_krw) for day in days), default=0) or 1
    step = WIDTH // max(len(days), 1)
    wide = max(step * 2 // 5, 1)
    shapes: list[str] = []
    for index, day in enumerate(days):
        x = index * step
        received, refunded, disputed = (
            krw * (HEIGHT - 24) // top for krw in (day.received_krw, day.refunded_krw, day.disputed_krw)
        )
        base = HEIGHT - 18
        hint = f"{day.day}: +{day.received_krw:,} −{day.refunded_krw:,} −{day.disputed_krw:,}"
        shapes.append(
            f"<g><title>{hint}</title>"
            f'<rect class="in" x="{x}" y="{base - received}" width="{wide}" height="{received}"/>'
            f'<rect class="out" x="{x + wide}" y="{base - refunded}" width="{wide}" height="{refunded}"/>'
            f'<rect class="lost" x="{x + wide}" y="{base - refunded - disputed}" width="{wide}" height="{disputed}"/>'
            "</g>"
        )
        if index % max(len(days) // 8, 1) == 0:
            shapes.append(f'<text x="{x}" y="{HEIGHT - 4}">{day.day:%m-%d}</text>')
    shapes.append(f'<line class="axis" x1="0" y1="{HEIGHT - 18}" x2="{WIDTH}" y2="{HEIGHT - 18}"/>')
    shapes.append(f'<text x="0" y="10" class="faint">{top:,}</text>')
    return _svg(HEIGHT, title, shapes)


def bars_chart(rows: Sequence[tuple[str, int]], title: str) -> str:
    """One horizontal bar a row, with its number."""
    top = max((number for _, number in rows), default=0) or 1
    shapes = [
        f'<text x="0" y="{index * BAR + 15}">{escape(name)}</text>'
        f'<rect class="in" x="200" y="{index * BAR + 4}" width="{number * (WIDTH - 260) // top}" height="{BAR - 8}"/>'
        f'<text x="{206 + number * (WIDTH - 260) // top}" y="{index * BAR + 15}">{number}</text>'
        for index, (name, number) in enumerate(rows)
    ]
    return _svg(max(len(rows), 1) * BAR, title, shapes)


def _svg(height: int, title: str, shapes: Iterable[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" xmlns="http://www.w3.org/2000/svg">'
        f"<title>{escape(title)}</title>{''.join(shapes)}</svg>"
    )


def _legend(entries: Sequence[tuple[str, str]]) -> str:
    marks = (
        f'<svg viewBox="0 0 10 10" style="width:.7em"><rect class="{name}" width="10" height="10"/></svg> '
        f"{escape(text)}"
        for name, text in entries
    )
    return f'<p class="faint">{" &nbsp; ".join(marks)}</p>'


def _providers(found: Reconciled, say: Say) -> str:
    heads = ("received", "refunded", "disputed", "fees", "paid_out", "cash")
    head = f"<tr><th>{say('provider')}</th>{''.join(f'<th class=n>{say(name)}</th>' for name in heads)}</tr>"
    rows = (
        f"<tr><td>{escape(of.provider)}</td>"
        + "".join(f'<td class="n">{getattr(of, f"{name}_krw"):,}</td>' for name in heads)
        + "</tr>"
        for of in found.providers
    )
    return f"<table>{head}{''.join(rows)}</table>"


def _under_way(coming: UnderWay, as_of: datetime, say: Say) -> str:
    """Aged as of the report, unlike differences, which stay until somebody sees to them."""
    if not coming.payments:
        return f"<h2>{say('under_way')}</h2><p>{say('none')}</p>"
    stages = "".join(
        f"<li>{say(of.stage)}: {say('coming_of').format(of.payments, f'{of.amount_krw:,}')}</li>"
        for of in coming.stages
    )
    told = f"<p>{say('coming').format(coming.payments, f'{coming.amount_krw:,}')}</p><ul>{stages}</ul>"
    if not coming.oldest:
        return f"<h2>{say('under_way')}</h2>{told}"
    head = "".join(
        f"<th{' class=n' if name == 'amount' else ''}>{say(name)}</th>"
        for name in ("oldest", "provider", "age", "amount", "stage")
    )
    rows = (
        f"<tr><td>{escape(payment.subject)}</td><td>{escape(payment.provider)}</td>"
        f'<td>{_spell(age_s(payment.since, as_of))}</td><td class="n">{payment.amount_krw:,}</td>'
        f"<td>{say(payment.stage)}</td></tr>"
        for payment in coming.oldest
    )
    return f"<h2>{say('under_way')}</h2>{told}<table><tr>{head}</tr>{''.join(rows)}</table>"


def _differences(differences: Sequence[Difference], locale: str, say: Say) -> str:
    head = "".join(
        f"<th{' class=n' if name in ('amount', 'credits') else ''}>{say(name)}</th>"
        for name in ("kind", "age", "amount", "credits", "what", "todo")
    )
    rows = (
        f"<tr><td>{escape(difference.kind)}</td><td>{_spell(age_s(difference.since))}</td>"
        f'<td class="n">{difference.amount_krw:,}</td><td class="n">{difference.credits:,}</td>'
        f"<td>{escape(difference.subject)}<br><span class=faint>{escape(difference.detail)}</span></td>"
        f"<td>{escape(_todo(difference, locale))}</td></tr>"
        for difference in differences
    )
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def _todo(difference: Difference, locale: str) -> str:
    return WHAT_TO_DO[difference.kind].to(locale)


def _spell(seconds: int) -> str:
    return (
        f"{seconds // 86_400} d" if seconds >= 86_400 else f"{seconds // 3600} h {seconds % 3600 // 60} min"
    )


def _age_class(difference: Difference) -> str:
    return next(name for limit, name in AGES if age_s(difference.since) < limit)
