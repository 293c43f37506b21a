"""Mutated and random input, by tests/fuzzing.py: ten thousand of each here, a million by `make torture`."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from data.errors import ConfigError, DataError
from tests import fuzzing
from tests.fuzzing import TARGETS, Mutator, finding, forbid_connections, told_well

WORKERS = 2
MANY, EACH = 1_000_000, 10_000


def nothing_found(rounds: list[tuple[str, int, int]]) -> None:
    """(reader, seed, inputs) in processes that can open no connection."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(WORKERS, mp_context=spawn, initializer=forbid_connections) as pool:
        found = [said for said in pool.map(finding, *zip(*rounds, strict=True)) if said]
    assert not found, "\n".join(["", *found])


@pytest.mark.slow
def test_no_reader_stumbles_over_ten_thousand_inputs() -> None:
    """Each is read or refused with its place, and nothing is sent."""
    nothing_found([(name, seed, EACH // 4) for name in TARGETS for seed in range(4)])


@pytest.mark.torture
@pytest.mark.parametrize("name", TARGETS)
def test_no_reader_stumbles_over_a_million_inputs(name: str) -> None:
    """The same, other seeds."""
    nothing_found([(name, seed, EACH) for seed in range(100, 100 + MANY // EACH)])


@pytest.mark.parametrize("name", TARGETS)
def test_the_good_inputs_are_good_and_most_others_are_not_all_refused(
    name: str, tmp_path: Path
) -> None:
    """A reader that refuses everything would pass every other test here."""
    target, path = TARGETS[name], tmp_path / "input"
    path.with_name("own.jsonl").write_text(fuzzing.QUESTIONS[0], encoding="utf-8")
    for data in target.good:
        target.check(data, path)
    mutator, accepted = Mutator(target, "0"), 0
    for _ in range(400):
        try:
            target.check(mutator.input(), path)
        except (ConfigError, DataError):
            continue
        accepted += 1
    assert accepted >= 20
    assert accepted <= 380 or name == "verdict"


def test_the_same_seed_gives_the_same_inputs() -> None:
    """So a finding can be seen again."""
    one, other, third = (Mutator(TARGETS["sweep"], seed) for seed in ("1", "1", "2"))
    inputs = [one.input() for _ in range(50)]
    assert inputs == [other.input() for _ in range(50)]
    assert inputs != [third.input() for _ in range(50)]


@pytest.mark.parametrize(
    "error",
    [
        ConfigError("no place"),
        DataError("raw \x1b[2J", path="input"),
        DataError("endless " * 1000, path="input"),
        DataError("elsewhere", path="other"),
    ],
    ids=str,
)
def test_an_error_that_is_told_badly_is_a_finding(
    error: ConfigError | DataError, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its place, raw, or without end."""
    with pytest.raises(AssertionError):
        told_well(error, Path("input"))
    told_well(DataError("this is well", path="input", line=3), Path("input"))

    def refuse(data: bytes, path: Path) -> None:
        raise error

    target = fuzzing.Target((b"x",), (b"y",), refuse)
    monkeypatch.setitem(fuzzing.TARGETS, "bad", target)
    assert finding("bad", 3, 5).startswith("bad, seed 3, input 0: AssertionError")


def test_whatever_a_reader_lets_through_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the bytes that did it."""

    def stumble(data: bytes, path: Path) -> None:
        raise KeyError("oops")

    monkeypatch.setitem(fuzzing.TARGETS, "bad", fuzzing.Target((b"x",), (b"y",), stumble))
    assert "KeyError: 'oops'\n  b" in finding("bad", 0, 5)
