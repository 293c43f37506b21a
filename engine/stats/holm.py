"""Holm's step-down correction for many tests at once. Pure.

Sorted p values p_(1) <= ... <= p_(m) become max over j <= i of min(1, (m - j + 1) p_(j)); calling those
below 5 % real is wrong anywhere in the family in at most 5 % of cases, whatever the tests have in
common (Holm 1979, Scandinavian Journal of Statistics 6:65).
"""

from __future__ import annotations

from collections.abc import Sequence


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjusted p values in the order given. What has no p is no test and counts for none."""
    order = sorted((p, i) for i, p in enumerate(p_values) if p is not None)
    found: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, i) in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p))
        found[i] = highest
    return found
