"""600 battles of five models with their styles, from a formula: FastChat was run on them once."""

from __future__ import annotations

import math

import numpy as np

from engine.stats.arrays import Floats, Ints

MODELS = 5
N = 600
FIRST: Ints = np.array([i % 5 for i in range(N)])
SECOND: Ints = np.array([(i % 5 + 1 + i // 5 % 4) % 5 for i in range(N)])


def _chance(i: int, factor: float) -> float:
    x = math.sin(i * factor) * 43758.5453
    return x - math.floor(x)


def _result(i: int) -> float:
    u = _chance(i, 12.9898)
    p = 1 / (1 + math.exp(-0.5 * float(SECOND[i] - FIRST[i])))
    return 0.5 if u < 0.15 else float((u - 0.15) / 0.85 < p)


RESULTS: Floats = np.array([_result(i) for i in range(N)])
STYLE_A: Floats = np.array(
    [[200 + i * 37 % 301, i % 3, i * 7 % 5, i * 3 % 7] for i in range(N)], dtype=np.float64
)
STYLE_B: Floats = np.array(
    [[150 + i * 53 % 401, i // 3 % 4, i * 11 % 6, i * 5 % 4] for i in range(N)], dtype=np.float64
)


def tables() -> tuple[Floats, Floats]:
    """Wins of row over column, and ties in both halves."""
    wins, ties = np.zeros((MODELS, MODELS)), np.zeros((MODELS, MODELS))
    for a, b, result in zip(FIRST, SECOND, RESULTS, strict=True):
        if result == 0.5:
            ties[a, b] += 1
            ties[b, a] += 1
        else:
            wins[(a, b) if result == 1 else (b, a)] += 1
    return wins, ties


def lengths(n: int, theta: float, phi: float) -> tuple[Floats, Floats]:
    """Preferences for the second of two answers in (0, 1), and both lengths: for AlpacaEval's numbers."""
    both = np.array(
        [[500 + i * 37 % 400 for i in range(n)], [600 + i * 53 % 700 for i in range(n)]],
        dtype=np.float64,
    )
    luck = np.array([_chance(i, 78.233) for i in range(n)])
    logits = theta + phi * np.tanh((both[0] - both[1]) / 250) + 2.0 * (luck - 0.5)
    return 1 / (1 + np.exp(-logits)), both
