"""The whole page, streamed: tables first, then the index, the scripts, and one block of text a question.

Memory holds one question's texts at a time. What may run is decided by hash: every style and script
element of ours stands in the Content-Security-Policy, nothing else runs, nothing is loaded, and the
script cannot turn a string into markup (Trusted Types).
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator

from data import codec
from engine import figures
from engine.cells import inert
from engine.dossier import Dossier
from engine.judge_pairs import judge_pairs
from engine.reports.overview import moment
from engine.reports.table import duel_sheets, sheets
from engine.reports.uncertainty import Intervals, intervals
from engine.reports.web.assets import SCRIPTS, asset
from engine.reports.web.blocks import Which, blocks
from engine.reports.web.board import Board, leaderboard
from engine.reports.web.facts import run_facts
from engine.reports.web.index import index, script_safe
from engine.reports.web.markup import Markup, join, tag
from engine.reports.web.notes import heed, note, told_apart
from engine.reports.web.sections import dimensions, duel, judge_pair
from engine.reports.web.words import label, words

_PLACE = re.compile(r"\{\{(\w+)\}\}")


def render(
    dossier: Dossier,
    *,
    partial: bool = False,
    which: Which = "all",
    sure: Intervals | None = None,
) -> Iterator[bytes]:
    """The file, piece by piece. `sure` overrides the intervals that the statistics give."""
    board = Board(
        dossier=dossier,
        sheets=sheets(dossier.scores, partial=partial),
        intervals=intervals(dossier.scores, dossier.run.benchmark) if sure is None else sure,
    )
    parts: dict[str, Iterator[bytes]] = {
        "policy": _one(policy()),
        "style": _one(asset("report.css")),
        "title": _one(tag("title", _title(dossier))),
        "header": _one(_header(dossier, which)),
        "lead": _one(_lead(board)),
        "dimensions": _one(_dimensions(board)),
        "judges": _one(_judges(board)),
        "duels": _one(_duels(board)),
        "run": _one(run_facts(board)),
        "words": _one(script_safe(codec.encode(words())).decode()),
        "index": iter((index(board, which),)),
        "scripts": _one("\n".join(f"<script>{asset(name)}</script>" for name in SCRIPTS)),
        "blocks": _blocks(dossier, which),
    }
    pieces = _PLACE.split(asset("report.html"))
    for i, piece in enumerate(pieces):
        if i % 2:
            yield from parts[piece]
        else:
            yield piece.encode()


def policy() -> str:
    """The Content-Security-Policy of the page: our own elements by hash, and nothing else."""
    scripts = " ".join(_hash(asset(name)) for name in SCRIPTS)
    return (
        f"default-src 'none'; script-src {scripts}; style-src {_hash(asset('report.css'))}; "
        "img-src data:; base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; "
        "trusted-types 'none'"
    )


def _hash(element: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(element.encode()).digest()).decode()}'"


def _one(text: str) -> Iterator[bytes]:
    yield text.encode()


def _blocks(dossier: Dossier, which: Which) -> Iterator[bytes]:
    if which == "none":
        return
    with dossier.texts() as texts:
        for place, block in enumerate(blocks(dossier, texts, which)):
            yield b'<script type="text/plain" id="b%d">%s</script>\n' % (place, block)


# --- the head of the page ----------------------------------------------------------------------


def _title(dossier: Dossier) -> str:
    simulated = " (simulated)" if dossier.scores.simulated else ""
    return f"{inert(dossier.run.sweep.name)}{simulated}"


def _header(dossier: Dossier, which: Which) -> Markup:
    sweep, plan = dossier.run.sweep, dossier.plan
    counts = [
        (len(sweep.models), "models"),
        (len(dossier.run.benchmark.questions), "questions_n"),
        (len(sweep.judges), "judges_n"),
        (plan.judgments, "judgments_n"),
    ]
    facts = [join(tag("b", figures.count(n)), " ", label(key)) for n, key in counts]
    facts.append(tag("span", moment(dossier.sessions[0].t_s)[:10]))
    missing = sum(
        r.coverage.pending + r.coverage.failed for t in dossier.scores.tables for r in t.rows
    )
    badges = [label("simulated", class_="badge warn")] if dossier.scores.simulated else []
    badges += [label("partial", class_="badge")] if missing else []
    said = label(f"texts_{which}", "p", class_="dim") if which != "all" else None
    return join(
        tag("h1", sweep.name, *(join(" ", badge) for badge in badges)),
        tag("p", *(join(tag("span", fact), " ") for fact in facts), class_="figures"),
        said,
    )


# --- views -------------------------------------------------------------------------------------


def _lead(board: Board) -> Markup:
    parts = []
    for number, sheet in enumerate(board.sheets):
        sure = any((sheet.judge, e.model) in board.intervals for e in sheet.entries)
        legend = tag(
            "p",
            label("legend_whisker" if sure else "legend_dot"),
            " ",
            label("legend_heat"),
            None if sure else join(" ", label("legend_rank")),
            class_="legend",
        )
        notes = tag("ul", *(note(n) for n in sheet.notes), class_="notes") if sheet.notes else None
        known = [i for i in (board.interval(sheet, e) for e in sheet.entries) if i.rank_low]
        above = (heed(sheet), told_apart(known))
        parts.append(
            _of_judge(number, sheet.judge, *above, leaderboard(board, number), legend, notes)
        )
    return join(*parts)


def _dimensions(board: Board) -> Markup:
    return join(
        *(
            _of_judge(number, sheet.judge, dimensions(board, number))
            for number, sheet in enumerate(board.sheets)
            if sheet.dimensions
        )
    )


def _judges(board: Board) -> Markup:
    places = {j.name: i for i, j in enumerate(board.dossier.run.sweep.judges)}
    pairs = judge_pairs(board.dossier)
    if not pairs:
        return label("no_pair", "p", class_="dim")
    return join(*(judge_pair(p, (places[p.first], places[p.second])) for p in pairs))


def _duels(board: Board) -> Markup:
    scores = board.dossier.scores
    shown = duel_sheets(scores, board.intervals)
    return join(*(duel(s, t) for s, t in zip(shown, scores.duels, strict=True)))


def _of_judge(number: int, name: str, *children: Markup | None) -> Markup:
    """What is shown of one judge at a time; without scripts all stand one below the other."""
    head = tag("h2", tag("span", label("by_judge"), " ", class_="dim"), name, class_="judge")
    return tag("div", head, *children, class_="of-judge", data_sheet=number)
