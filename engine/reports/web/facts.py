"""The run itself: what was asked of whom, what it cost, what failed, and how it was set up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from data import codec
from data.schema import Sweep
from engine import figures
from engine.dossier import Dossier
from engine.parties import Party
from engine.reports.overview import money_of, overview
from engine.reports.web.board import Board
from engine.reports.web.markup import Markup, join, tag
from engine.reports.web.sections import head, table
from engine.reports.web.words import glossed, label

_EXAMPLE = 300
"""Characters shown of a failure's message."""


def run_facts(board: Board) -> Markup:
    """The whole view."""
    dossier = board.dossier
    return join(
        label("facts", "h3"),
        _overview(dossier),
        label("models_table", "h3"),
        _parties(dossier, "generate"),
        label("judge_table", "h3") if dossier.run.sweep.judges else None,
        _parties(dossier, "judge") if dossier.run.sweep.judges else None,
        label("providers", "h3"),
        _providers(dossier),
        label("failures", "h3"),
        _failures(dossier),
        *_coverage(board),
        label("configuration", "h3"),
        _configuration(dossier.run.sweep),
    )


def _overview(dossier: Dossier) -> Markup:
    return tag(
        "dl",
        *(tag("div", label(key, "dt"), tag("dd", value)) for key, value in overview(dossier)),
        class_="facts",
    )


# --- who was asked -----------------------------------------------------------------------------


def _parties(dossier: Dossier, stage: str) -> Markup:
    mine = [p for p in dossier.parties if p.stage == stage]
    states = _columns(mine, stage)
    cells = [head("name", "name"), head("provider", "name"), head("model_id", "name")]
    if any(p.served and p.served != (p.model,) for p in mine):
        cells.append(head("served", "name"))
    cells += [head(key) for key in states]
    cells += [head(k) for k in ("requests", "tokens_in", "tokens_out", "reused", "p50", "p95")]
    rows = [_party(p, states, served=len(cells) > 3 + len(states) + 6) for p in mine]
    return table([*cells, head("cost")], rows, "parties")


def _columns(mine: list[Party], stage: str) -> list[str]:
    """States worth a column: the good one always, others where they occur."""
    good = ["answered"] if stage == "generate" else ["judged"]
    rest = ["truncated", "refused", "unscorable", "failed", "pending"]
    return good + [key for key in rest if any(p.states.get(key) for p in mine)]


def _party(party: Party, states: list[str], *, served: bool) -> Markup:
    cells = [tag("th", party.name, scope="row", class_="name")]
    asked = (party.provider, party.model) if party.provider else (figures.NONE,) * 2
    cells += [tag("td", name, class_="name") for name in asked]
    if served:
        cells.append(tag("td", ", ".join(party.served), class_="name"))
    cells += [tag("td", figures.some(party.states.get(key, 0)), class_="num") for key in states]
    shown = (
        figures.count(party.requests),
        figures.tokens(party.input_tokens),
        figures.tokens(party.output_tokens),
        figures.some(party.reused),
        _seconds(party.latency_p50_s),
        _seconds(party.latency_p95_s),
        money_of(party.booked, party.unpriced),
    )
    return tag("tr", *cells, *(tag("td", value, class_="num") for value in shown))


def _seconds(value: float | None) -> str:
    return figures.NONE if value is None else f"{value:.1f} s"


# --- what went wrong ---------------------------------------------------------------------------


def _providers(dossier: Dossier) -> Markup:
    names = dict.fromkeys(p.provider for p in dossier.parties if p.provider)
    rows = []
    for name in names:
        mine = [p for p in dossier.parties if p.provider == name]
        errors: Counter[str] = Counter()
        for party in mine:
            errors.update(party.errors)
        refused = sum(p.states.get("refused", 0) for p in mine if p.stage == "generate")
        kinds = ", ".join(f"{kind} {n:,}" for kind, n in errors.most_common())
        rows.append(
            tag(
                "tr",
                tag("th", name, scope="row", class_="name"),
                tag("td", figures.count(sum(p.requests for p in mine)), class_="num"),
                tag("td", figures.some(refused), class_="num"),
                tag("td", figures.some(errors.total()), class_="num"),
                tag("td", kinds, class_="name"),
            )
        )
    cells = [head("provider", "name"), head("requests"), head("refused"), head("error_replies")]
    return table([*cells, tag("td")], rows, "providers")


def _failures(dossier: Dossier) -> Markup:
    if not dossier.mishaps:
        return label("no_failures", "p", class_="dim")
    rows = [
        tag(
            "tr",
            tag("td", label("generate" if m.stage == "generate" else "judge_stage"), class_="name"),
            tag("th", m.name, scope="row", class_="name"),
            tag("td", m.error, class_="name"),
            tag("td", figures.count(m.count), class_="num"),
            tag("td", m.example[:_EXAMPLE], class_="said"),
        )
        for m in dossier.mishaps
    ]
    cells = [head("stage", "name"), head("name", "name"), head("error", "name")]
    return table([*cells, head("count"), head("example", "name")], rows, "failures")


def _coverage(board: Board) -> Iterator[Markup]:
    """Only where something is missing: share of verdicts by model and category."""
    for sheet in board.sheets:
        if all(e.coverage.scored == e.coverage.planned for e in sheet.entries):
            continue
        names = board.dossier.scores.categories
        cells = [head("model", "name"), *(tag("th", glossed(c), scope="col") for c in names)]
        rows = []
        for entry in sheet.entries:
            line = [tag("th", entry.model, scope="row", class_="name")]
            for name in names:
                share = entry.row.by_category[name].share
                low = share < board.dossier.scores.min_coverage
                kind = "num bad" if low else "num" if share < 1 else "num dim"
                line.append(tag("td", figures.percent(share, 1 if share < 1 else 0), class_=kind))
            rows.append(tag("tr", *line))
        yield tag("h3", label("coverage"), tag("span", " ", sheet.judge, class_="dim"))
        yield table(cells, rows, "coverage")


# --- how it was set up -------------------------------------------------------------------------


def _configuration(sweep: Sweep) -> Markup:
    """The resolved sweep, indented. It holds names of keys, never keys."""
    shown = codec.indented(sweep)
    lines = [join(line, Markup("\n")) for line in shown.split("\n")]
    summary = tag("summary", label("configuration"))
    return tag("details", summary, tag("pre", *lines, class_="config"), class_="config")
