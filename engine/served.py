"""Who really answered: versions that changed while a run was under way. A fold over its replies. Pure.

A provider may serve another version of a model from one hour to the next, and a gateway another provider
behind it. Such a run mixes what its leaderboard takes for one, so each change is told: from what, to what,
when, and for how many replies. What a reply does not say is no change; which name the sweep file asked
for is none either (an alias is always served as something else). Answers from the cache count, since they
are part of the result; nobody asked for them in this run, so they have no time.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from data.codec import replace
from data.schema import Answer, Intent, Judgment, Record, Response, Result, Struct, Trial
from engine import figures
from engine.cells import inert

WORDS = ("served model", "fingerprint", "upstream provider")
"""What may change, as people are told."""
MOST = 50
"""Different versions that are told apart; the others count as one."""
OTHERS = "others"
SHOWN = 4


class Version(Struct, frozen=True, kw_only=True):
    """One of them. `since_s`: when it was first asked for; None: unknown."""

    value: str
    count: int
    since_s: float | None = None
    first: Trial | None = None
    """The trial that first had it."""


class Changed(Struct, frozen=True, kw_only=True):
    """A model or a judge that was served in several versions, in the order in which they came."""

    stage: str
    """generate or judge."""
    name: str
    what: str
    """One of `WORDS`."""
    versions: tuple[Version, ...]


class Served:
    """Takes replies in; memory is bounded by the versions, not by the replies."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str, str], dict[str, Version]] = {}

    def enter(self, record: Result) -> None:
        """A result of a run, in the order written."""
        trial = record.trial
        if isinstance(record, Answer):
            self.add("generate", trial.model, said_by(record.response), first=trial)
        elif isinstance(record, Judgment):
            for ask in record.asks:
                self.add("judge", trial.judge, said_by(ask), first=trial)

    def add(
        self,
        stage: str,
        name: str,
        said: Iterable[str],
        *,
        at_s: float | None = None,
        first: Trial | None = None,
    ) -> list[str]:
        """One reply's versions, in the order of `WORDS`; returns a sentence for each that is new."""
        news: list[str] = []
        for what, told in zip(WORDS, said, strict=True):
            if not told:
                continue
            known = self._seen.setdefault((stage, name, what), {})
            value = told if told in known or len(known) < MOST else OTHERS
            old = known.get(value)
            if old is not None:
                known[value] = replace(old, count=old.count + 1)
                continue
            if known:
                before = inert(next(reversed(known)))
                news.append(f"{inert(name)}: the {what} changed from {before} to {inert(value)}")
            known[value] = Version(value=value, count=1, since_s=at_s, first=first)
        return news

    def changes(self) -> tuple[Changed, ...]:
        """Everybody who was served in more than one version."""
        return tuple(
            Changed(stage=stage, name=name, what=what, versions=tuple(known.values()))
            for (stage, name, what), known in self._seen.items()
            if len(known) > 1
        )


def said_by(response: Response) -> tuple[str, str, str]:
    """What a reply says of who made it, in the order of `WORDS`."""
    return response.served_model, response.fingerprint, response.upstream


def dated(changes: Iterable[Changed], records: Iterable[Record]) -> tuple[Changed, ...]:
    """The same with the times at which the versions were first asked for, as the intents have them."""
    found = tuple(changes)
    wanted = {version.first for change in found for version in change.versions}
    times: dict[Trial, float] = {}
    for record in records if found else ():
        if isinstance(record, Intent) and record.trial in wanted:
            times[record.trial] = record.t_s
    return tuple(replace(change, versions=tuple(_dated(change, times))) for change in found)


def sentence(change: Changed, *, elapsed: bool = False) -> str:
    """`gpt-4o: the served model changed: a (400 replies), then b (283, since 2026-11-24 12:03 UTC).`

    `elapsed`: times are seconds since the session began.
    """
    first, *rest = change.versions
    shown = [f"{inert(first.value)} ({figures.count(first.count)} replies)"]
    for version in rest[: SHOWN - 1]:
        since = _moment(version.since_s, elapsed)
        shown.append(f"then {inert(version.value)} ({figures.count(version.count)}{since})")
    if len(rest) >= SHOWN:
        shown.append(f"and {len(rest) - SHOWN + 1} more")
    return f"{inert(change.name)}: the {change.what} changed: {', '.join(shown)}."


def _dated(change: Changed, times: dict[Trial, float]) -> Iterator[Version]:
    for version in change.versions:
        known = times.get(version.first) if version.first is not None else None
        yield replace(version, since_s=known)


def _moment(at_s: float | None, elapsed: bool) -> str:
    if at_s is None:
        return ""
    if elapsed:
        return f", {figures.span(at_s)} after the start"
    return f", since {time.strftime('%Y-%m-%d %H:%M UTC', time.gmtime(at_s))}"
