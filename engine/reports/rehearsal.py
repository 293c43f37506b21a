"""A rehearsal, told: lines for a terminal of 80 columns, and one JSON document.

Whatever was assumed is said below the figures that stand on it. What is unknown is never 0.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from data import codec
from data.schema import Struct
from engine import figures
from engine.budget import Statistics
from engine.cells import fit, inert, width
from engine.money import Amount, formatted
from engine.rehearsal import AccountUse, Rehearsal
from engine.whatif import Saving

SCHEMA = "alignsweep.rehearsal/1"
COLUMNS, NAME_MAX = 80, 20
IDLE = 0.5
"""Below this share of the time no limit is said to bind: replies are what is waited for."""


class Told(Struct, frozen=True, kw_only=True):
    """A rehearsal with what it was of."""

    sweep: str
    benchmark: str
    models: int
    judges: int
    questions: int
    samples: int
    rehearsal: Rehearsal
    real_s: float
    """How long the rehearsal itself took."""
    what_if: tuple[Saving, ...] | None = None
    """None: not asked for, or no use."""
    notes: tuple[str, ...] = ()


def render(told: Told) -> bytes:
    """The whole document on one line. Times are virtual seconds, money is nano-units."""
    return codec.encode({"schema": SCHEMA, **codec.plain(told)}) + b"\n"


def base_lines(told: Told) -> Iterator[str]:
    """What was rehearsed, what it takes, and who is busy."""
    end = told.rehearsal
    yield (
        f"{inert(told.sweep)} rehearsed: {told.models} models x {told.questions:,} questions"
        f" x {told.samples} samples, {told.judges} judges"
    )
    yield "  nothing was sent: the engine ran on virtual time against simulated providers"
    yield ""
    yield f"  takes      {figures.span(end.duration_s)} (rehearsed in {told.real_s:.1f} s)"
    rejected = f", {end.rejected:,} of them refused (429)" if end.rejected else ", no 429"
    yield f"  requests   {end.requests:,}{rejected}"
    yield f"  trials     {_trials(end)}"
    tokens = figures.tokens(end.input_tokens), figures.tokens(end.output_tokens)
    yield f"  tokens     {tokens[0]} in, {tokens[1]} out"
    yield from _wrapped(money(end), "  money      ")
    if end.broke:
        yield f"  budget     reached after {figures.span(end.broke_s)}, with {end.pending:,} trials left"
        yield from _wrapped(inert(end.broke), " " * 13)
    yield ""
    yield from _table(end.accounts)
    yield ""
    yield from _wrapped(_binding(end), "  binding    ")


def saving_lines(savings: Sequence[Saving], base: Rehearsal) -> Iterator[str]:
    """What more would bring, best first."""
    now = base.accounts[0]
    if all(saving.saves_s < 1 for saving in savings):
        yield f"no higher limit at {inert(now.provider)} would shorten it"
        return
    yield f"what more at {inert(now.provider)} would bring"
    yield f"  {'takes':>7}  {'saves':>7}"
    for saving in savings:
        less = figures.span(saving.saves_s) if saving.saves_s >= 1 else figures.NONE
        share = max(saving.saves_s, 0.0) / base.duration_s if base.duration_s else 0.0
        values = ", ".join(f"{k} {v:,g}" for k, v in saving.limits.items())
        yield (
            f"  {figures.span(saving.duration_s):>7}  {less:>7} {figures.percent(share):>6}"
            f"  {saving.variation.name}: {values}"
        )
        then = saving.then
        if (then.provider, _kind(then.binding)) != (now.provider, _kind(now.binding)):
            yield f"{'':28}then {_what_binds(then)}"


def note_lines(told: Told) -> Iterator[str]:
    """What the figures stand on."""
    for note in told.notes:
        yield from _wrapped(inert(note), "note: ")


def money(end: Rehearsal) -> str:
    """Spent, estimated, and the calls whose price nobody knows."""
    total = end.spent.total
    books = [*([] if end.cost_nano is None else [end.spent]), *end.spent.others]
    if not books:
        return "unknown: no price is known for any of the models"
    parts = []
    for book in books:
        parts.append(f"{_amount(book.total.spent, book)} spent")
        if book.total.estimated:
            parts.append(f"{_amount(book.total.estimated, book)} estimated")
    if total.limit is not None:
        parts.append(f"ceiling {_amount(total.limit, end.spent)}")
    if total.unpriced:
        parts.append(f"{total.unpriced:,} calls of unknown price")
    return ", ".join(parts)


def _amount(nano: int, spent: Statistics) -> str:
    return formatted(Amount(nano, spent.currency))


def _trials(end: Rehearsal) -> str:
    parts = [(end.failed, "failed"), (end.pending, "not reached")]
    missing = ", ".join(f"{count:,} {what}" for count, what in parts if count)
    return f"{end.trials:,}, {missing or 'none failed'}"


def _table(accounts: Sequence[AccountUse]) -> Iterator[str]:
    name = min(max((width(inert(use.name)) for use in accounts), default=0), NAME_MAX)
    name = max(name, len("account"))
    yield f"  {'account':<{name}}  requests    429s  tokens   reply    busy  of its limit"
    for use in accounts:
        reply = figures.NONE if use.latency_s is None else f"{use.latency_s:.1f} s"
        yield (
            f"  {fit(inert(use.name), name)} {use.requests:9,} {figures.some(use.rejected):>7}"
            f" {figures.tokens(use.input_tokens + use.output_tokens):>7} {reply:>7}"
            f" {figures.percent(use.busy):>7}  {use.binding}"
        )


def _binding(end: Rehearsal) -> str:
    if not end.accounts:
        return "nothing to do"
    first = end.accounts[0]
    if first.busy < IDLE:
        return f"no limit: replies are what is waited for ({_what_binds(first)} comes nearest)"
    return f"{_what_binds(first)}, busy {figures.percent(first.busy)} of the time"


def _what_binds(use: AccountUse) -> str:
    return f"{inert(use.name)}: {use.binding}"


def _kind(binding: str) -> str:
    """The limit without its value."""
    return binding.rpartition(" ")[0]


def _wrapped(text: str, head: str) -> Iterator[str]:
    """Lines of at most 80 characters; those after the first stand below it."""
    yield from textwrap.wrap(
        text,
        COLUMNS,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_long_words=False,
        break_on_hyphens=False,
    )
