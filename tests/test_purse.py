"""What calls cost, from the first reservation to `status`: the journal, the purse and people agree."""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from data.errors import BadRequest, ConfigError, RateLimited, TransportError
from data.prices import Price
from data.schema import Answer, Intent, ProviderSpec, Response, Settled, Trial
from engine.budget import TOTAL, Ceiling
from engine.money import Exchange
from engine.purse import OWN, Party, Past, Purse, Spent, Terms, purse_for, sums
from engine.rundir import records

if TYPE_CHECKING:
    from tests.conftest import Program

SWEEP = """
name = "s"
benchmark = "mini"
[providers.sim]
api = "openai-chat"
base_url = "simulated:"
simulated = true
[providers.sim.simulator]
error_rate = {faults}
{kinds}
[[models]]
name = "m"
provider = "sim"
model = "m"
max_tokens = 2000
price = {{ currency = "CNY", input = "2", output = "8" }}
[[judges]]
name = "j"
provider = "sim"
model = "gpt-4-0613"
max_tokens = 2000
{judge_price}
[exchange]
CNY = "0.14"
{budget}
"""
IN_DOLLARS = 'price = { currency = "USD", input = "30", output = "60" }'


def write(
    program: Program,
    faults: float = 0.0,
    judge: str = IN_DOLLARS,
    budget: str = "",
    kinds: str = "",
) -> None:
    """The sweep file."""
    text = SWEEP.format(faults=faults, judge_price=judge, budget=budget, kinds=kinds)
    (program.folder / "s.toml").write_text(text, encoding="utf-8")


def settled(program: Program) -> list[Settled]:
    return [r for r in records(program.folder / "runs" / "s") if isinstance(r, Settled)]


def test_the_cost_of_every_call_is_its_usage_times_its_price(program: Program) -> None:
    """Exactly, in nano-units, in the price's own currency."""
    write(program)
    assert program.run("run", "s.toml", "--limit", "10").code == 0
    ends = settled(program)
    by_currency = {"CNY": (2_000, 8_000), "USD": (30_000, 60_000)}  # nano-units a token
    for end in ends:
        asked, said = by_currency[end.currency]
        assert end.usage is not None
        assert end.cost == asked * end.usage.input_tokens + said * end.usage.output_tokens
    assert len(ends) == 20


def test_status_adds_up_what_the_journal_holds(program: Program) -> None:
    """By currency, and what has no price is counted apart."""
    write(program, judge="")
    program.run("run", "s.toml", "--limit", "10")
    nano = sum(end.cost or 0 for end in settled(program) if end.currency == "CNY")
    shown = program.run("status", "s").out
    assert f"CNY {nano / 1e9:.2f} spent, 10 requests of unknown price" in shown


def test_prices_in_one_foreign_currency_need_no_exchange_rate(program: Program) -> None:
    """Without a budget there is nothing to convert them for: the run is told in their own."""
    in_yuan = 'price = { currency = "CNY", input = "10", output = "30" }'
    write(program, judge=in_yuan)
    file = program.folder / "s.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace('[exchange]\nCNY = "0.14"\n', ""), encoding="utf-8")
    for limit in ("5", "10"):
        ended = program.run("run", "s.toml", "--limit", limit)
        assert ended.code == 0
        assert "unknown price" not in ended.out
    nano = sum(end.cost or 0 for end in settled(program) if end.currency == "CNY")
    assert f"CNY {nano / 1e9:.2f} spent" in ended.out


def test_what_may_have_been_billed_is_booked_apart(program: Program) -> None:
    """A lost reply at its worst case, marked as an estimate; a refused call is free."""
    write(program, faults=0.3)
    program.run("run", "s.toml", "--limit", "20")
    ends = settled(program)
    lost = [end for end in ends if end.error in ("TransportError", "Overloaded")]
    assert lost
    assert all(end.estimated and end.cost for end in lost)
    assert not any(end.estimated for end in ends if not end.error)
    assert " estimated" in program.run("status", "s").out


def test_a_reply_of_no_use_costs_what_it_says_it_took(program: Program) -> None:
    """It is billed: its usage and its cost are in the books, exactly, beside its error."""
    write(program, faults=0.3, kinds="faults = { empty = 1.0 }")
    program.run("run", "s.toml", "--limit", "10")
    empty = [end for end in settled(program) if end.error == "BadReply"]
    assert empty
    by_currency = {"CNY": (2_000, 8_000), "USD": (30_000, 60_000)}
    for end in empty:
        asked, said = by_currency[end.currency]
        assert end.usage is not None
        assert end.cost == asked * end.usage.input_tokens + said * end.usage.output_tokens > 0
        assert not end.estimated


def test_a_ceiling_holds_over_sessions_and_ends_in_exit_4(program: Program) -> None:
    """The second session knows what the first one spent."""
    write(program, budget='[budget]\ncurrency = "USD"\ntotal = "2"')
    codes = [program.run("run", "s.toml").code for _ in range(3)]
    assert codes == [4, 4, 4]
    rates = {"USD": 1.0, "CNY": 0.14}
    spent = sum((end.cost or 0) * rates[end.currency] for end in settled(program))
    assert 1e9 < spent <= 2e9


@pytest.mark.parametrize(
    "budget", ['total = "5"', 'models = { j = "5" }', 'stages = { judge = "5" }']
)
def test_with_a_budget_an_unknown_price_is_refused(program: Program, budget: str) -> None:
    """Before anything is sent, with the way to mend it."""
    write(program, judge="", budget=f'[budget]\ncurrency = "USD"\n{budget}')
    said = program.run("run", "s.toml")
    assert said.code == 2
    assert "price" in said.err
    assert not (program.folder / "runs").exists()


def test_an_intent_without_an_end_is_possibly_billed() -> None:
    """Also when the next session counts its intents from 1 again."""
    spent = Spent()
    trial = Trial(kind="answer", question_id=1, candidates=(("m", 0),))
    spent.enter(Intent(1, trial, "sim", 0.0, reserve=500))
    spent.enter(Intent(1, trial, "sim", 9.0, reserve=700))
    spent.enter(Settled(1, cost=300, currency="USD"))
    spent.close()
    assert spent.sums == {
        Past("sim", "generate", "m", "possibly_billed", OWN): (500, 1),
        Past("sim", "generate", "m", "spent", "USD"): (300, 1),
    }
    assert sums(spent) == ((("possibly_billed", "USD", 500), ("spent", "USD", 300)), 0)


@pytest.mark.parametrize(
    ("error", "free"),
    [(RateLimited("429"), True), (BadRequest("400"), True), (TransportError("cut"), False)],
)
def test_what_was_refused_is_free_whatever_the_price(error: Exception, free: bool) -> None:
    """Known or not; what ended without a reply is unknown."""
    from engine.purse import _paid

    assert _paid(None, error).nano == (0 if free else None)  # type: ignore[arg-type]


def test_an_end_whose_beginning_was_lost_books_nothing_and_other_lines_are_no_money() -> None:
    """Such as after a repair: whom it was paid to is not known, and nothing is guessed."""
    spent = Spent()
    trial = Trial(kind="answer", question_id=1, candidates=(("m", 0),))
    spent.enter(Settled(7, cost=300, currency="USD"))
    spent.enter(Answer(trial=trial, response=Response(text="so")))
    spent.close()
    assert spent.sums == {}


@pytest.mark.parametrize(
    ("max_tokens", "own", "said"),
    [(100, {}, "is unknown"), (None, {("generate", "m"): Price("USD", 1, 1)}, "no max_tokens")],
)
def test_what_cannot_be_bounded_is_refused_where_there_is_a_ceiling(
    max_tokens: int | None, own: dict[Party, Price], said: str
) -> None:
    """A price or a bound is missing; free output needs none."""
    provider = ProviderSpec(name="p", api="openai-chat", base_url="http://127.0.0.1/v1")
    parties: dict[Party, tuple[ProviderSpec, str, int | None]] = {
        ("generate", "m"): (provider, "nobody-knows-this-model", max_tokens)
    }
    terms = Terms(own, Exchange(), Ceiling(limits={TOTAL: 5}))
    with pytest.raises(ConfigError, match=said):
        purse_for(terms, parties, date(2026, 1, 1))
    open_end = Terms(own, Exchange(), Ceiling())
    assert purse_for(open_end, parties, date(2026, 1, 1)).statistics().total.limit is None
    free = Terms({("generate", "m"): Price("USD", 1, 0)}, Exchange(), Ceiling(limits={TOTAL: 5}))
    assert purse_for(free, parties, date(2026, 1, 1)).statistics().total.limit == 5


# --- currencies without a rate -----------------------------------------------------------------


def write_without_rate(program: Program, judge: str, **parts: Any) -> None:
    """Nobody says what a yuan is worth."""
    write(program, judge=judge, **parts)
    text = (program.folder / "s.toml").read_text(encoding="utf-8")
    (program.folder / "s.toml").write_text(text.replace('[exchange]\nCNY = "0.14"\n', ""))


def test_without_a_budget_each_currency_is_booked_by_itself(program: Program) -> None:
    """As exactly as the budget's own, in the summary, `status`, the report and the journal."""
    write_without_rate(program, IN_DOLLARS)
    said = program.run("run", "s.toml", "--limit", "10")
    ends = settled(program)
    for code, asked, told in (("CNY", 2_000, 8_000), ("USD", 30_000, 60_000)):
        own = [end for end in ends if end.currency == code]
        assert len(own) == 10
        nano = sum(end.cost or 0 for end in own)
        usages = [end.usage for end in own if end.usage is not None]
        assert nano == sum(asked * u.input_tokens + told * u.output_tokens for u in usages) > 0
        shown = f"{code} {nano / 1e9:.2f}"
        assert f"{shown} spent" in said.out + said.err
        assert f"{shown} spent" in program.run("status", "s").out
        assert shown in program.run("report", "s", "--format", "md").out
    assert "unknown price" not in said.out + said.err


def test_a_currency_without_a_rate_is_carried_over_sessions(program: Program) -> None:
    """Also the worst case of a lost reply, and of an attempt whose end a crash has hidden."""
    write_without_rate(
        program, 'price = { currency = "CNY", input = "1", output = "1" }', faults=0.3
    )
    program.run("run", "s.toml", "--limit", "10")
    lost = [end for end in settled(program) if end.estimated]
    assert lost
    assert {end.currency for end in lost} == {"CNY"}
    before = sum(end.cost or 0 for end in settled(program) if not end.estimated)
    said = program.run("run", "s.toml", "--limit", "10")
    assert f"CNY {before / 1e9:.2f} spent" in said.out + said.err
    spent = Spent()
    trial = Trial(kind="answer", question_id=1, candidates=(("m", 0),))
    spent.enter(Intent(1, trial, "sim", 0.0, reserve=500, currency="CNY"))
    spent.close()
    assert spent.sums == {Past("sim", "generate", "m", "possibly_billed", "CNY"): (500, 1)}


def test_with_a_budget_a_currency_without_a_rate_is_refused(program: Program) -> None:
    """A ceiling needs one sum."""
    write_without_rate(program, IN_DOLLARS, budget='[budget]\ncurrency = "USD"\ntotal = "2"')
    said = program.run("run", "s.toml")
    assert said.code == 2
    assert "no exchange rate from CNY to USD" in said.err


def test_the_live_view_has_every_currency(program: Program) -> None:
    """The budget's own first; where nothing was paid in it, the others stand for it."""
    price = Price(currency="CNY", input_pico=1_000_000, output_pico=1_000_000)
    purse = Purse(Terms({}, Exchange(), Ceiling()), {("generate", "m"): price})
    for currency, nano in (("CNY", 5), ("EUR", 7)):
        sums = Spent()
        sums.sums[Past("a", "generate", "m", "spent", currency)] = (nano, 2)
        purse.restore(sums)
    seen = purse.view()
    assert (seen.currency, seen.booked, seen.others, seen.calls) == ("CNY", 5, {"EUR": 7}, 4)
    sums = Spent()
    sums.sums[Past("a", "generate", "m", "spent", "USD")] = (3, 1)
    purse.restore(sums)
    seen = purse.view()
    assert (seen.currency, seen.booked) == ("USD", 3)
    assert seen.others == {"CNY": 5, "EUR": 7}
