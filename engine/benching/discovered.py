"""Limits of an account that nobody wrote down: told in headers or in a 429, or learned from 429s."""

from __future__ import annotations

from collections.abc import Iterator

from engine.limits import Limits


def known_limits(limits: Limits, now: float) -> Iterator[tuple[str, float, str]]:
    """(name, value, source) of each. Names: rpm, tpm, input_tpm, output_tpm, rpd, pace, concurrency.

    `pace` is the rate a minute that went through after 429s which named none. What the sweep file says
    is not among them.
    """
    for view in limits.statistics(now).limits:
        if view.name != "concurrency" and view.source != "sweep file" and view.value is not None:
            yield view.name, view.value, view.source
    places = limits.controller.statistics()
    if places.ceiling is not None:
        yield "concurrency", float(places.ceiling), "429 body" if places.told else "learned"
