"""Scores of two models on the same questions, read as wins, ties and losses. Pure.

- Two scores within 0.1 of each other are a tie (MT-Bench: lm-sys/FastChat, llm_judge/common.py,
  `play_a_match_pair`, TIE_DELTA).
- win rate = W / (W + T + L); adjusted, a tie as half a win: (W + T/2) / (W + T + L) (FastChat,
  llm_judge/show_result.py). The second is AlpacaEval's win rate, with its standard error
  s / sqrt(n) over the questions (tatsu-lab/alpaca_eval, metrics/helpers.py).

Every question counts the same here, whatever its category. A missing score is no battle.
"""

from __future__ import annotations

import math

import numpy as np

from data.schema import Struct
from engine.stats.arrays import Floats
from engine.stats.student import quantile

TIE_WITHIN = 0.1
WIN, TIE, LOSS = 1.0, 0.5, 0.0
_ROUNDING = 1e-9


class WinRate(Struct, frozen=True, kw_only=True):
    """Shares of 1, from the first model's side. None: no battle, or no spread."""

    wins: int
    ties: int
    losses: int
    win_rate: float | None = None
    adjusted: float | None = None
    se: float | None = None
    low: float | None = None
    high: float | None = None
    """The 95 % interval of `adjusted`."""


def outcomes(differences: Floats) -> Floats:
    """1 where the first model won, 0.5 for a tie, 0 where it lost, NaN where there was no battle."""
    found = np.where(differences > 0, WIN, LOSS)
    found[np.abs(differences) <= TIE_WITHIN + _ROUNDING] = TIE
    return np.where(np.isnan(differences), np.nan, found)


def win_rate(results: Floats) -> WinRate:
    """Of outcomes in [0, 1] (a judge's probabilities will do, too), NaN left out."""
    known = results[~np.isnan(results)]
    n = known.size
    counts = {
        "wins": int((known > TIE).sum()),
        "ties": int((known == TIE).sum()),
        "losses": int((known < TIE).sum()),
    }
    if not n:
        return WinRate(**counts)
    plain, adjusted = counts["wins"] / n, float(known.mean())
    se = float(known.std(ddof=1)) / math.sqrt(n) if n > 1 else 0.0
    if not se:
        return WinRate(**counts, win_rate=plain, adjusted=adjusted)
    half = quantile(0.975, n - 1) * se
    return WinRate(
        **counts,
        win_rate=plain,
        adjusted=adjusted,
        se=se,
        low=max(adjusted - half, 0.0),
        high=min(adjusted + half, 1.0),
    )
