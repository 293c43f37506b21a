"""What a run would have cost at other prices."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import codec
from data.errors import ConfigError
from data.prices import Price, Tier, cost
from data.schema import Intent, Record, Settled, Sweep, Trial, Usage
from engine.purse import Party
from engine.reports import repriced
from engine.repricing import Repriced, own_prices, reprice
from tests.run_maker import Maker, questions

if TYPE_CHECKING:
    from tests.conftest import Program

TODAY = date(2026, 11, 24)
SWEEP: Sweep = Maker(questions(1), models=("a", "b"), judges=("j",)).sweep
ANSWER = Trial(kind="answer", question_id=1, candidates=(("a", 0),))
VERDICT = Trial(kind="judgment", question_id=1, candidates=(("a", 0),), judge="j", rubric="r")
OLD = Price("CNY", 2_000_000, 8_000_000, 500_000)
USAGES = st.builds(
    lambda cached, fresh, thought, said: Usage(cached + fresh, thought + said, cached, thought),
    *[st.integers(0, 100_000)] * 4,
)
PRICES = st.builds(
    lambda cheap, dear, above: Price("CNY", cheap, dear, tiers=(Tier(above, 2 * cheap, 3 * dear),)),
    st.integers(0, 10**8),
    st.integers(0, 10**8),
    st.integers(1, 200_000),
)


def journal(*ends: Settled | None, trial: Trial = ANSWER, reserve: int = 7) -> list[Record]:
    """An intent for each end; None: it never came."""
    records: list[Record] = []
    for number, end in enumerate(ends, start=1):
        records.append(Intent(number, trial, "east", 0.0, 1, 0, reserve))
        if end is not None:
            records.append(codec.replace(end, id=number))
    return records


def paid(usage: Usage, price: Price = OLD) -> Settled:
    return Settled(0, 1.0, usage, cost=cost(price, usage), currency=price.currency)


def of(records: list[Record], name: str, own: dict[Party, Price] | None = None) -> Repriced:
    return next(row for row in reprice(SWEEP, records, own or {}, TODAY) if row.name == name)


@given(st.lists(USAGES, max_size=6), PRICES)
def test_at_the_same_price_it_costs_what_was_booked(usages: list[Usage], price: Price) -> None:
    """To the last nano-unit, call by call: tiers and rounding included."""
    row = of(journal(*(paid(u, price) for u in usages)), "a", {("generate", "a"): price})
    assert row.calls == len(usages)
    assert row.now == sum(row.booked.values())
    assert row.usage == sum(usages, Usage())


def test_each_party_is_charged_by_its_own_price() -> None:
    """A judge's calls are the judge's, and what has no price stays unknown."""
    usage = Usage(1000, 100, 400, 10)
    records = journal(paid(usage)) + journal(paid(usage), trial=VERDICT)
    new = Price("USD", 1_000_000, 1_000_000, 0)
    judge = of(records, "j", {("judge", "j"): new})
    assert (judge.calls, judge.now, judge.currency) == (1, 600_000 + 100_000, "USD")
    assert judge.booked == {"CNY": cost(OLD, usage)}
    model = of(records, "a")
    assert (model.calls, model.now, model.price) == (1, None, None)
    assert of(records, "b").calls == 0


def test_what_was_booked_without_a_usage_is_told_apart() -> None:
    """Worst cases and attempts without an end are no tokens; a free refusal is nothing at all."""
    records = journal(
        paid(Usage(10, 10)),
        Settled(0, error="TransportError", cost=50, currency="CNY", estimated=True),
        Settled(0, error="RateLimited", cost=0, currency="CNY"),
        Settled(0, 1.0, Usage(1, 1)),
        None,
    )
    row = of(records, "a", {("generate", "a"): OLD})
    assert (row.calls, row.unbooked) == (2, 1)
    assert (row.apart, row.apart_calls) == ({"CNY": 57}, 2)


def test_a_price_file_goes_by_name_or_by_id_and_stands_above_the_sweep_file(
    tmp_path: Path,
) -> None:
    """What it does not name keeps the price it had."""
    (tmp_path / "sweep.toml").write_text(
        '[[models]]\nname = "a"\nprice = { currency = "CNY", input = "1", output = "2" }\n'
        '[[models]]\nname = "b"\nprice = 0\n[[judges]]\nname = "j"\n',
        encoding="utf-8",
    )
    file = tmp_path / "own.toml"
    file.write_text('["id of a"]\ncurrency = "USD"\ninput = 3\noutput = "4.5"\n', encoding="utf-8")
    found = own_prices(SWEEP, tmp_path, file)
    assert found.keys() == {("generate", "a"), ("generate", "b")}
    assert found["generate", "a"].output_pico == 4_500_000
    assert found["generate", "a"].source.endswith("own.toml")
    assert found["generate", "b"].input_pico == 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[nobody]\ninput = 1\noutput = 1\n", "called `nobody`"),
        ("a = 3\n", "0 or a table"),
        ("a = true\n", "a"),
        ("[a]\ninput = -1\noutput = 1\n", "no amount"),
        ("[a]\ninput = 1\noutpt = 1\n", "outpt"),
        ("[a\n", "TOML"),
    ],
)
def test_a_fault_in_a_price_file_is_told(tmp_path: Path, text: str, reason: str) -> None:
    """With the file's name, and nothing charged."""
    file = tmp_path / "own.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=reason) as caught:
        own_prices(SWEEP, tmp_path, file)
    assert "own.toml" in str(caught.value)


def test_the_table_fits_a_terminal_and_compares_only_what_can_be_compared() -> None:
    """Sums in one currency have a change; in two, or with a price missing, they have none."""
    usage = Usage(1_234_567, 98_765, 400_000, 5_000)
    records = journal(*[paid(usage)] * 3)
    twice = Price("CNY", 4_000_000, 16_000_000, 1_000_000)
    other: list[Record] = []
    rows = [row for row in reprice(SWEEP, records, {("generate", "a"): twice}, TODAY) if row.calls]
    text = list(repriced.lines(rows, TODAY, 80))
    assert max(map(len, text)) <= 80
    assert "that is +100.0 % of what was booked" in text
    assert any("834.6k" in line or "2.50M" in line for line in text)
    dollars = reprice(SWEEP, records + other, {("generate", "a"): Price("USD", 1, 1)}, TODAY)
    assert not any("that is" in line for line in repriced.lines(dollars, TODAY, 80))


def test_a_run_is_charged_anew_and_its_journal_stays_as_it_is(program: Program) -> None:
    """From the command line, in all three forms."""
    (program.folder / "s.toml").write_text(
        'name = "s"\nbenchmark = "mini"\n[[models]]\nname = "m"\nprovider = "simulated"\n'
        'model = "qwen-7b-chat"\nmax_tokens = 900\n'
        'price = { input = "2", output = "8" }\n',
        encoding="utf-8",
    )
    assert program.run("generate", "s.toml", "--limit", "4", "--progress", "none").code == 0
    journal_file = program.folder / "runs" / "s" / "journal.jsonl"
    before = journal_file.read_bytes()
    ended = program.run("report", "runs/s", "--reprice")
    assert ended.code == 0, ended
    assert "simulated" in ended.out
    assert "that is the same" in ended.out
    (program.folder / "p.toml").write_text("m = 0\n", encoding="utf-8")
    told = program.run("report", "runs/s", "--prices", "p.toml", "--format", "json")
    (party,) = codec.decode(told.out.encode())["parties"]
    assert (party["now"], party["calls"]) == (0, 4)
    assert party["booked"]["USD"] > 0
    table = program.run("report", "runs/s", "--reprice", "--format", "csv", "--out", "c.csv")
    assert table.code == 0
    assert len((program.folder / "c.csv").read_text(encoding="utf-8-sig").splitlines()) == 2
    assert program.run("report", "runs/s", "--reprice", "--format", "png").code == 2
    assert journal_file.read_bytes() == before
