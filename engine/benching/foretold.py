"""The rest of a sweep foretold from a benchmark's folder, and afterwards what became of it.

`foretold` looks at the run and the response cache as a session will. `looked_back` finds the newest
benchmark of a sweep that left a prediction, and works it out again for the calls in flight and the limits
that the sweep file has now, so that a `bench apply` in between is no surprise.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from data import codec
from data.codec import read_bytes, replace
from data.errors import AlignsweepError
from data.schema import Struct
from engine.benching.ahead import Left, left
from engine.benching.document import Document, document
from engine.benching.folder import Benched, all_of
from engine.benching.predicted import Prediction, Scenario, Wish, prediction, scenario
from engine.benching.spans import Measured
from engine.bound import together
from engine.budget import TOTAL
from engine.config import Loaded
from engine.identity import digest

REPORT = Path("report") / "bench.json"
ALIKE = 0.03
"""A session did what was foretold if its requests are as many within this share, and re-asks on top."""


def foretold(
    loaded: Loaded,
    run: Path,
    benched: Benched,
    cache_path: Path | None,
    *,
    now_s: float,
    deadline_s: float | None = None,
    budget: int | None = None,
) -> Prediction:
    """What is left of this sweep. `budget` (nano-units in all; None: the sweep file's own)."""
    today = datetime.fromtimestamp(now_s, tz=UTC).date()
    rest = left(loaded, run, benched, cache_path, on=today)
    own = loaded.terms.ceiling.limits.get(TOTAL)
    return prediction(
        rest,
        measured_in(document(benched)),
        loaded.sweep.providers,
        currency=loaded.terms.exchange.currency,
        wish=Wish(own if budget is None else budget, deadline_s),
        made_s=now_s,
    )


def measured_in(doc: Document) -> Measured:
    """What the prediction needs of a document."""
    return Measured(
        {report.target: report.rungs for report in doc.targets},
        {report.target: report.advice for report in doc.targets},
        doc.limits,
    )


class Then(Struct, frozen=True):
    """What was foretold, and the money that the run had booked by then."""

    scenario: Scenario
    booked: int


def looked_back(loaded: Loaded, runs: Path, requests: int) -> Then | None:
    """What was foretold for a session that has sent so many requests; None: nothing that compares."""
    for folder in reversed(all_of(runs, loaded.sweep.name)):
        with suppress(AlignsweepError, OSError, ValueError):
            doc = codec.decode_as(read_bytes(folder / REPORT), Document)
            if doc.prediction is None or doc.digest != digest(loaded.sweep):
                continue
            then = scenario_now(doc, doc.prediction, loaded)
            wanted = sum(leg.calls * leg.attempts for leg in doc.prediction.legs)
            alike = abs(requests - wanted) <= ALIKE * wanted + 1 or then.stops
            known = alike and then.duration_s is not None
            return Then(then, doc.prediction.booked) if known else None
    return None


def scenario_now(doc: Document, then: Prediction, loaded: Loaded) -> Scenario:
    """The prediction with the sweep file's calls in flight and limits as they are now."""
    specs = {spec.name: spec for spec in loaded.sweep.providers}
    places = {leg.provider: together(specs[leg.provider]).concurrency for leg in then.legs}
    rest = Left(then.legs, then.booked, then.missing)
    own = loaded.terms.ceiling.limits.get(TOTAL)
    return scenario(rest, measured_in(doc), specs, places, Wish(own))


def with_prediction(doc: Document, found: Prediction | None) -> Document:
    """The document, with what it foretells."""
    return replace(doc, prediction=found)
