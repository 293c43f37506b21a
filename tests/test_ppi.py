"""Prediction-powered inference: against its authors' package, and what it is for."""

from __future__ import annotations

import numpy as np
import pytest

from engine.agreement.ppi import prediction_powered


def study(n: int, others: int, slope: float, noise: float) -> tuple[np.ndarray, ...]:
    """Labels, the judge's scores of the same answers, and of the rest; no chance in it."""
    i, j = np.arange(n), np.arange(others)
    f = 1 + (i * 7 % 10).astype(float)
    return 1 + slope * f + noise * np.sin(i * 1.7), f, 1 + ((j * 3 + j // 7) % 10).astype(float)


@pytest.mark.parametrize(
    ("case", "point", "low", "high"),
    [
        ((1000, 5000, 0.4, 0.8), 3.177127776772347, 3.131559542356114, 3.22269601118858),
        ((2000, 20000, 0.1, 1.0), 1.5433917021512973, 1.5121748190253963, 1.5746085852771983),
        ((30, 200, 0.4, 0.8), 3.1738084167566747, 2.926035335472897, 3.421581498040452),
    ],
)
def test_the_estimate_is_that_of_its_authors_package(
    case: tuple[int, int, float, float], point: float, low: float, high: float
) -> None:
    """ppi_py's ppi_mean_pointestimate and ppi_mean_ci, which divide by n where this divides by
    n - 1; so few labels differ in the third digit."""
    found = prediction_powered(*study(*case)).powered
    few = 1 / case[0]
    assert found.value == pytest.approx(point, rel=few)
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low == pytest.approx(high - low, rel=few)


def test_a_good_judge_narrows_the_interval_and_a_useless_one_does_not_widen_it() -> None:
    """The point of it all."""
    y, f, others = study(60, 600, 0.5, 0.3)
    good = prediction_powered(y, f, others)
    useless = prediction_powered(y, np.resize([3.0, 7.0], 60), np.resize([7.0, 3.0], 600))
    widths = {}
    for name, found in (
        ("good", good.powered),
        ("useless", useless.powered),
        ("alone", good.human),
    ):
        assert found.low is not None
        assert found.high is not None
        widths[name] = found.high - found.low
    assert widths["good"] < widths["alone"] * 0.6
    assert widths["useless"] < widths["alone"] * 1.02


def test_a_judge_on_another_scale_changes_nothing() -> None:
    """Since its weight is fitted."""
    y, f, others = study(50, 300, 0.4, 0.5)
    one, other = (
        prediction_powered(y, f, others),
        prediction_powered(y, 100 - 7 * (10 - f), 100 - 7 * (10 - others)),
    )
    assert one.powered.value == pytest.approx(other.powered.value)
    assert one.powered.low == pytest.approx(other.powered.low)


@pytest.mark.parametrize(
    ("n", "others", "why"),
    [(9, 100, "it takes 10 human scores, not 9"), (20, 0, "every answer has a human score")],
)
def test_too_little_for_it_is_said(n: int, others: int, why: str) -> None:
    """The humans' own mean is told all the same."""
    found = prediction_powered(*study(n, others, 0.4, 0.5))
    assert found.powered.why.startswith(why)
    assert found.human.value is not None
