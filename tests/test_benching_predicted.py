"""What a benchmark foretells of its sweep, beside what the sweep then takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from data.codec import replace
from data.errors import ConfigError
from engine.benching.ahead import Left, Leg
from engine.benching.foretold import looked_back
from engine.benching.knee import Knee
from engine.benching.pace import pace
from engine.benching.predicted import Scenario, Wish, scenario
from engine.benching.spans import Measured
from engine.cells import width
from engine.cli.foretelling import seconds_of
from engine.reports.foretold import afterwards, lines
from tests.predicted_world import as_written, loaded_from, performed, predicted, sweep_text
from tests.test_benching_rungs import back_to_back, block

SWEEPS = {
    "requests a minute": sweep_text(
        models=2, provider="rpm = 120\nconcurrency = 16", simulator="rpm = 120"
    ),
    "tokens a minute": sweep_text(
        models=2, provider="tpm = 100000\nconcurrency = 16", simulator="tpm = 100000"
    ),
    "calls in flight": sweep_text(models=2, provider="concurrency = 8"),
    "money": sweep_text(models=2, provider="concurrency = 8", budget="1.5"),
    "all of it": sweep_text(
        models=2,
        provider="concurrency = 16\nrpm = 200",
        judging="concurrency = 4",
        simulator="error_rate = 0.02\nfaults = { '503' = 1.0 }\nmalformed_verdict_rate = 0.03",
    ),
}


@pytest.mark.parametrize("name", SWEEPS)
def test_a_sweep_takes_and_costs_what_was_foretold(name: str, tmp_path: Path) -> None:
    """Whatever binds it: both points within 10 %, both inside their intervals."""
    loaded = loaded_from(tmp_path, SWEEPS[name])
    before = performed(tmp_path, loaded, limit=18)
    then = as_written(predicted(tmp_path, loaded))
    came = performed(tmp_path, loaded)
    assert then.duration_s is not None
    assert then.cost is not None
    nano = came.nano - before.nano
    assert then.duration_s.est == pytest.approx(came.seconds, rel=0.10)
    assert then.duration_s.low <= came.seconds <= then.duration_s.high
    assert then.cost.est == pytest.approx(nano, rel=0.10)
    assert then.cost.low - 1 <= nano <= then.cost.high
    assert then.stops == (came.outcome.state == "budget") == (name == "money")
    binds = {"requests a minute": "requests/min", "tokens a minute": "tokens/min"}
    assert binds.get(name, "") in then.bottleneck


# --- the arithmetic ----------------------------------------------------------------------------


def leg(**changed: object) -> Leg:
    """A thousand calls of one request, a milli-unit each."""
    plain = Leg(
        target="model:m", provider="p", calls=1000, attempts=1.0, replies=1.0,
        input_tokens=100_000, output_tokens=50_000, spread=0.05, cost=10**9, cost_spread=0.05,
        worst_call=2 * 10**6,
    )  # fmt: skip
    return replace(plain, **changed)


def found(took: dict[int, float], *, target: str = "model:m") -> Measured:
    """Rungs whose calls all take so many seconds."""
    from engine.benching.rungs import rung

    rungs = [
        rung([(block(target=target, level=n, window=(5.0, 55.0)), back_to_back(n, s, 60.0))])
        for n, s in took.items()
    ]
    return Measured({target: rungs}, {}, ())


def foretold(places: int, wish: Wish = Wish(), **provider: object) -> Scenario:  # noqa: B008
    from data.schema import ProviderSpec

    spec = ProviderSpec(name="p", api="openai-chat", base_url="http://x/v1")
    specs = {"p": replace(spec, **provider)}
    return scenario(
        Left((leg(),), 0, ()), found({2: 1.0, 8: 1.0, 16: 2.0}), specs, {"p": places}, wish
    )


def test_a_thousand_calls_of_a_second_eight_at_a_time() -> None:
    """125 s; at sixteen they take two seconds and it is no faster."""
    for places in (8, 16):
        then = foretold(places)
        assert then.duration_s is not None
        assert then.duration_s.est == pytest.approx(125, rel=0.02)
        assert then.bottleneck == f"p: calls in flight {places}"
    assert then.cost is not None
    assert then.cost.est == 10**9


def test_a_limit_decides_where_it_is_slower() -> None:
    """A hundred a minute: ten minutes; a budget for half of it: half the time and all of the money."""
    whole = foretold(8, rpm=100.0).duration_s
    assert whole is not None
    assert whole.est == pytest.approx(600, rel=0.02)
    half = foretold(8, Wish(budget=5 * 10**8), rpm=100.0)
    assert half.stops
    assert half.duration_s is not None
    assert half.duration_s.est == pytest.approx(300, rel=0.03)
    assert half.done == pytest.approx(0.5)


def test_a_deadline_is_met_by_the_upper_end() -> None:
    """Not by the middle, which half of all sweeps miss."""
    duration = foretold(8).duration_s
    assert duration is not None
    assert foretold(8, Wish(deadline_s=duration.high + 1)).in_time
    assert not foretold(8, Wish(deadline_s=duration.est)).in_time


def test_far_beyond_the_ladder_nothing_is_known() -> None:
    """Twice as far there is a guess, along the fitted line; further there is none."""
    rungs = found({2: 1.0, 8: 1.0, 16: 2.0}).rungs["model:m"]
    bend = Knee(status="passed", r0_s=1.0, x_max_s=8.0, in_flight=8.0)
    beyond = pace(leg(), rungs, 32, bend)
    assert beyond is not None
    assert beyond.latency_s == pytest.approx(4.0)
    assert not beyond.sound
    assert pace(leg(), rungs, 33, bend) is None
    assert foretold(33).duration_s is None
    assert foretold(33).unknown == ("model:m",)


def test_longer_replies_take_longer() -> None:
    """Ten tokens more than the sample's, a hundredth of a second each."""
    rungs = found({2: 1.0}).rungs["model:m"]
    longer = leg(output_tokens=60_000, s_per_token=0.01)
    short, long = (pace(one, rungs, 2, None) for one in (leg(), longer))
    assert short is not None
    assert long is not None
    assert long.latency_s - short.latency_s == pytest.approx(0.1)


# --- shown -------------------------------------------------------------------------------------


def test_it_is_told_in_eighty_columns_and_afterwards_in_one_line(tmp_path: Path) -> None:
    """Names from outside are inert; a sweep that nobody measured has no line."""
    loaded = loaded_from(tmp_path, SWEEPS["calls in flight"])
    ahead = predicted(tmp_path, loaded, levels=(8,), min_seconds=5, max_requests=40)
    told = list(lines(ahead, 80))
    assert max(map(width, told)) <= 80
    text = "\n".join(told)
    for words in ("as written: p 8 in flight", "recommended", "fastest", "reference answers"):
        assert words in text
    line = afterwards(as_written(ahead), 100.0, 10**9, "USD")
    assert line.startswith("predicted ")
    assert line.endswith("took 1m40s, USD 1.00")
    assert looked_back(loaded, tmp_path / "none", 100) is None


def test_a_deadline_is_a_span_of_time() -> None:
    """Anything else is one clear error."""
    assert [seconds_of(text) for text in ("45m", "2h", "90", "90s")] == [2700, 7200, 90, 90]
    for text in ("soon", "-1h", "0", "m", "nan"):
        with pytest.raises(ConfigError, match="span of time"):
            seconds_of(text)
