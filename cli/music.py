"""`echoshot music`: the sections of a song, its tempo, key and loudness, and its best parts."""

from __future__ import annotations

import shlex
from argparse import Namespace
from typing import Any

from cli.context import Context
from cli.download import result_of
from cli.exits import Exit
from cli.follow import Progress
from cli.order import carry_out, order_job
from cli.source import Source, source_of
from cli.waiting import check_output, fetch, save
from contracts.kinds import MUSIC
from contracts.kinds.music import Highlight, MusicSummary, PartType

BEST_OF_EACH = 2
"""Highlights shown of each length."""


def music(context: Context, options: Namespace) -> Exit:
    source = source_of(context, options.source, MUSIC)
    if options.wait:
        for path in filter(None, (options.output, options.strip)):
            check_output(context, path, force=options.force)

    def deliver(progress: Progress) -> Exit:
        result = result_of(context.api, progress.job_id)
        video_id = context.api.get(f"/v1/jobs/{progress.job_id}")["source_video_id"]
        known = context.api.get(f"/v1/videos/{video_id}/music")
        context.screen.document("music", known)
        show_music(context, MusicSummary.model_validate(known["summary"]))
        if options.output:
            fetch(context, progress.job_id, options.output)
        if options.strip:

            def strip() -> dict[str, Any]:
                url = context.api.get(f"/v1/videos/{video_id}/music")["strip_url"]
                return {**result["product"]["strip"], "url": url}

            save(context, strip, options.strip, strip_again(options, source))
        context.screen.say(context.messages("succeeded", credits=progress.credits))
        return Exit.OK

    return carry_out(context, order_job(context, options, MUSIC, source, {}), deliver, wait=options.wait)


def strip_again(options: Namespace, source: Source) -> str:
    """The same order, so that it finds the job that is done and pays for no second one."""
    words = ["echoshot", "music", source.given, "--strip", str(options.strip)]
    if options.charge:
        words += ["--charge", options.charge]
    if options.refund_to:
        words += ["--refund-to", options.refund_to]
    return shlex.join(words)


def show_music(context: Context, found: MusicSummary) -> None:
    messages, screen = context.messages, context.screen
    stretches = [
        (section.start_s, section.end_s, section.type, section.label, section.confidence)
        for section in found.sections
    ] + [
        (part.start_s, part.end_s, part.type, "", part.confidence)
        for part in found.parts
        if part.type is not PartType.MUSIC
    ]
    screen.table(
        [
            messages(column)
            for column in ("col_start", "col_end", "col_section", "col_label", "col_confidence")
        ],
        [
            [clock(start), clock(end), messages.name(type), label, f"{confidence:.0%}"]
            for start, end, type, label, confidence in sorted(stretches)
        ],
    )
    for song in found.songs:
        values = {"start": clock(song.start_s), "end": clock(song.end_s), "bpm": song.tempo_bpm}
        tonality = song.key or messages("no_key_found")
        screen.say(messages("song_line", **values, beats=song.beats_per_bar, tonality=tonality))
    loudness = found.loudness
    screen.say(
        messages(
            "loudness_line",
            lufs=loudness.integrated_lufs,
            range=loudness.range_lu,
            peak=loudness.true_peak_dbtp,
        )
    )
    if best := _best(found):
        screen.say(messages("best_parts"))
        screen.table(
            [messages(column) for column in ("col_start", "col_end", "col_section", "col_score", "col_why")],
            [
                [
                    clock(part.start_s),
                    clock(part.end_s),
                    messages.name(part.type),
                    f"{part.score:.0%}",
                    ", ".join(messages.name(reason) for reason in part.reasons),
                ]
                for part in best
            ],
        )


def _best(found: MusicSummary) -> list[Highlight]:
    lengths = sorted({highlight.length_s for highlight in found.highlights})
    of_length = ([h for h in found.highlights if h.length_s == length] for length in lengths)
    return [highlight for all_ in of_length for highlight in all_[:BEST_OF_EACH]]


def clock(seconds: float) -> str:
    """A place in a recording: `3:07.5`."""
    minutes, tenths = divmod(round(10 * seconds), 600)
    return f"{minutes}:{tenths // 10:02}.{tenths % 10}"
