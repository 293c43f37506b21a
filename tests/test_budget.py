"""The ceiling: never overshot, whatever calls cost, in whatever order, over crashes too."""

from __future__ import annotations

import random
from collections.abc import Iterable
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from data.codec import convert
from data.errors import ConfigError
from engine.budget import (
    STAGES,
    TOTAL,
    Budget,
    BudgetTable,
    Ceiling,
    Charge,
    Column,
    Line,
    Refusal,
    Scope,
    Stage,
    Ticket,
    ceiling,
)
from engine.money import NANO

ACCOUNTS, MODELS = ("openai", "zhipu"), ("gpt", "glm", "judge")
SCOPES: tuple[Scope, ...] = (
    TOTAL,
    *(("account", name) for name in ACCOUNTS),
    *(("model", name) for name in MODELS),
    *(("stage", name) for name in STAGES),
)
Booking = tuple[Charge, Column]


class World:
    """A run with its budget, what its journal says, and the providers' own ledger beside it."""

    def __init__(self, limits: Ceiling) -> None:
        self.limits = limits
        self.journal: list[Booking] = []
        self.billed: dict[Scope, int] = {}
        self.lied = 0
        """By how much providers charged more than any worst case."""
        self.budget = Budget(limits)
        self.flying: list[Ticket] = []

    def reserve(self, wanted: Charge) -> Ticket | Refusal:
        """One more call wants to go out."""
        outcome = self.budget.reserve(wanted)
        if isinstance(outcome, Ticket):
            self.flying.append(outcome)
        return outcome

    def settle(self, index: int, bill: int, *, told: bool) -> None:
        """A call comes back and cost `bill`, whether we are told or not."""
        ticket = self.flying.pop(index)
        self._bill(ticket.charge, bill)
        self.budget.settle(ticket, bill if told else None)
        worst = ticket.charge.amount or 0
        entry = Charge(
            ticket.charge.account,
            ticket.charge.model,
            ticket.charge.stage,
            bill if told else worst,
        )
        self.journal.append((entry, "spent" if told else "estimated"))

    def release(self, index: int) -> None:
        """A call was not sent after all."""
        self.budget.release(self.flying.pop(index))

    def kill(self) -> None:
        """kill -9 with calls in flight: the providers bill them in full, nobody hears it."""
        for ticket in self.flying:
            self._bill(ticket.charge, ticket.charge.amount or 0)
            self.journal.append((ticket.charge, "possibly_billed"))
        self.flying = []
        self.budget = restored(self.limits, self.journal)

    def check(self) -> None:
        """No ceiling is overshot, and what we booked and hold covers what was billed."""
        ours = lines(self.budget)
        for scope, line in ours.items():
            most = self.limits.limits.get(scope)
            if most is not None:
                assert line.booked + line.reserved <= most + self.lied
        for scope, bill in self.billed.items():
            assert bill <= ours[scope].booked
            assert bill <= self.limits.limits.get(scope, bill) + self.lied
        held = sum(ticket.charge.amount or 0 for ticket in self.flying)
        assert ours[TOTAL].reserved == held
        assert self.budget.statistics().in_flight == len(self.flying)

    def _bill(self, sent: Charge, amount: int) -> None:
        self.lied += max(0, amount - (sent.amount or 0))
        for scope in sent.scopes():
            self.billed[scope] = self.billed.get(scope, 0) + amount


def restored(limits: Ceiling, journal: Iterable[Booking]) -> Budget:
    """The budget of the next session."""
    budget = Budget(limits)
    for entry, column in journal:
        budget.restore(entry, column)
    return budget


def lines(budget: Budget) -> dict[Scope, Line]:
    """All lines by scope."""
    statistics = budget.statistics()
    return {
        TOTAL: statistics.total,
        **{("account", name): line for name, line in statistics.accounts.items()},
        **{("model", name): line for name, line in statistics.models.items()},
        **{("stage", name): line for name, line in statistics.stages.items()},
    }


def charge(
    amount: int | None, *, account: str = "openai", model: str = "gpt", stage: Stage = "generate"
) -> Charge:
    """One call."""
    return Charge(account, model, stage, amount)


def held(outcome: Ticket | Refusal) -> Ticket:
    """The ticket of a reservation that must have been granted."""
    assert isinstance(outcome, Ticket), outcome
    return outcome


def refused(outcome: Ticket | Refusal) -> Refusal:
    """The reason of one that must have been refused."""
    assert isinstance(outcome, Refusal), outcome
    return outcome


charges = st.builds(
    Charge,
    st.sampled_from(ACCOUNTS),
    st.sampled_from(MODELS),
    st.sampled_from(STAGES),
    st.integers(0, 400),
)
ceilings = st.dictionaries(st.sampled_from(SCOPES), st.integers(0, 2000)).map(
    lambda limits: Ceiling(limits=limits)
)

# --- whatever happens --------------------------------------------------------------------------


@settings(max_examples=1000, deadline=None)
@given(seed=st.integers(0, 2**63))
def test_over_a_thousand_random_ceilings_none_is_ever_overshot(seed: int) -> None:
    """Honest providers, calls that end in any order and way, two kills: at every instant."""
    rng = random.Random(seed)
    chosen = [scope for scope in SCOPES if rng.random() < 0.5] or [TOTAL]
    world = World(Ceiling(limits={scope: rng.randrange(2_000) for scope in chosen}))
    for step in range(90):
        if step in (30, 60):
            world.kill()
        elif not world.flying or rng.random() < 0.5:
            wanted = (rng.choice(ACCOUNTS), rng.choice(MODELS), rng.choice(STAGES))
            world.reserve(Charge(*wanted, rng.choice((0, 1, 50, 400))))
        else:
            index = rng.randrange(len(world.flying))
            worst = world.flying[index].charge.amount or 0
            if rng.random() < 0.2:
                world.release(index)
            else:
                world.settle(index, rng.choice((0, worst // 3, worst)), told=rng.random() < 0.7)
        world.check()
    assert world.lied == 0


class BudgetMachine(RuleBasedStateMachine):
    """Any order of anything, providers that lie included."""

    @initialize(limits=ceilings)
    def start(self, limits: Ceiling) -> None:
        """A run begins."""
        self.world = World(limits)

    @rule(wanted=charges)
    def reserve(self, wanted: Charge) -> None:
        """What is refused would have overshot; what is exhausted would with nothing in flight."""
        before = lines(self.world.budget)
        outcome = self.world.reserve(wanted)
        amount = wanted.amount or 0
        over = {
            scope: before[scope].booked + amount > limit
            for scope, limit in self.world.limits.limits.items()
            if scope in wanted.scopes()
            and before[scope].booked + before[scope].reserved + amount > limit
        }
        if amount and over:
            reason = refused(outcome)
            assert reason.kind == ("exhausted" if any(over.values()) else "blocked")
            assert reason.scope in over
            assert over[reason.scope] == (reason.kind == "exhausted")
            assert lines(self.world.budget) == before, "a refusal leaves no trace"
        else:
            held(outcome)

    @precondition(lambda self: self.world.flying)
    @rule(data=st.data(), told=st.booleans(), lie=st.booleans())
    def settle(self, data: st.DataObject, told: bool, lie: bool) -> None:
        """Below, at, or (a lie, which only told usage can be) above what was reserved."""
        index = data.draw(st.integers(0, len(self.world.flying) - 1))
        worst = self.world.flying[index].charge.amount or 0
        most = worst * 2 + 3 if told and lie else worst
        self.world.settle(index, data.draw(st.integers(0, most)), told=told)

    @precondition(lambda self: self.world.flying)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        """Not sent."""
        self.world.release(data.draw(st.integers(0, len(self.world.flying) - 1)))

    @rule()
    def kill(self) -> None:
        """And resume."""
        before, orphans = self.world.budget.statistics().total, len(self.world.flying)
        self.world.kill()
        after = self.world.budget.statistics().total
        assert after.booked == before.booked + before.reserved
        assert after.calls == before.calls + orphans

    @invariant()
    def sound(self) -> None:
        """After every step."""
        if hasattr(self, "world"):
            self.world.check()


TestBudgetMachine = BudgetMachine.TestCase
TestBudgetMachine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


@given(
    bookings=st.lists(
        st.tuples(charges, st.sampled_from(("spent", "estimated", "possibly_billed"))), max_size=12
    ),
    shuffle=st.randoms(use_true_random=False),
)
def test_totals_do_not_depend_on_the_order_of_bookings(
    bookings: list[Booking], shuffle: random.Random
) -> None:
    """Nor on whether a call was restored or settled in this session."""
    first = restored(Ceiling(), bookings)
    shuffled = list(bookings)
    shuffle.shuffle(shuffled)
    assert lines(restored(Ceiling(), shuffled)) == lines(first)
    live = Budget(Ceiling())
    for entry, column in shuffled:
        if column == "possibly_billed":
            live.restore(entry, column)
        else:
            live.settle(held(live.reserve(entry)), entry.amount if column == "spent" else None)
    assert lines(live) == lines(first)
    total = sum((Fraction(entry.amount or 0, NANO) for entry, _ in bookings), Fraction())
    assert Fraction(first.statistics().total.booked, NANO) == total


# --- one thing at a time -----------------------------------------------------------------------


def test_a_call_that_fits_exactly_is_sent_and_one_unit_more_is_not() -> None:
    """The ceiling itself may be reached."""
    budget = Budget(Ceiling(limits={TOTAL: 100}))
    assert refused(budget.reserve(charge(101))).kind == "exhausted"
    held(budget.reserve(charge(100)))
    assert refused(budget.reserve(charge(1))).kind == "blocked"


def test_what_was_reserved_and_not_spent_is_free_again() -> None:
    """Blocked only by calls in flight, the next call fits when they come out cheaper."""
    budget = Budget(Ceiling(limits={TOTAL: 100}))
    ticket = held(budget.reserve(charge(80)))
    reason = refused(budget.reserve(charge(50)))
    assert (reason.kind, reason.ceiling) == ("blocked", "the run")
    assert (reason.needed, reason.limit, reason.booked, reason.reserved) == (50, 100, 0, 80)
    budget.settle(ticket, 50)
    held(budget.reserve(charge(50)))
    assert refused(budget.reserve(charge(1))).kind == "blocked"


@pytest.mark.parametrize("scope", [*SCOPES[:2], ("model", "gpt"), ("stage", "generate")])
def test_each_ceiling_binds_its_own_calls_and_no_others(scope: Scope) -> None:
    """Per run, account, model and stage."""
    budget = Budget(Ceiling(limits={scope: 10}))
    assert refused(budget.reserve(charge(11))).scope == scope
    other = budget.reserve(charge(11, account="zhipu", model="judge", stage="judge"))
    assert isinstance(other, Refusal) == (scope == TOTAL)


def test_an_exhausted_ceiling_is_told_before_a_blocked_one() -> None:
    """Waiting would not help."""
    budget = Budget(Ceiling(limits={TOTAL: 100, ("stage", "judge"): 10}))
    held(budget.reserve(charge(95)))
    reason = refused(budget.reserve(charge(11, stage="judge")))
    assert (reason.kind, reason.ceiling) == ("exhausted", "stage judge")


def test_unknown_usage_keeps_its_worst_case_in_a_column_of_its_own() -> None:
    """It is not spent by anybody's word, and it is not free."""
    budget = Budget(Ceiling(limits={TOTAL: 100}))
    budget.settle(held(budget.reserve(charge(60))), None)
    budget.settle(held(budget.reserve(charge(30))), 7)
    total = budget.statistics().total
    assert (total.spent, total.estimated, total.reserved, total.calls) == (7, 60, 0, 2)
    assert refused(budget.reserve(charge(34))).kind == "exhausted"


def test_a_call_that_was_not_sent_leaves_nothing_behind() -> None:
    """Neither money nor a count."""
    budget = Budget(Ceiling(limits={TOTAL: 100}))
    budget.release(held(budget.reserve(charge(60))))
    assert budget.statistics().total == Line(limit=100)


def test_a_bill_above_the_worst_case_is_booked_in_full_and_shrinks_the_room() -> None:
    """Shown as overshoot; what comes next must fit into what is left."""
    budget = Budget(Ceiling(limits={TOTAL: 100}))
    budget.settle(held(budget.reserve(charge(10))), 70)
    total = budget.statistics().total
    assert (total.spent, total.overshoot, total.booked) == (70, 60, 70)
    assert refused(budget.reserve(charge(31))).kind == "exhausted"
    held(budget.reserve(charge(30)))


def test_orphans_of_a_killed_session_count_in_full_until_the_end() -> None:
    """Nobody knows whether they were billed."""
    budget = Budget(Ceiling(limits={TOTAL: 100}))
    budget.restore(charge(40))
    budget.restore(charge(30), "possibly_billed")
    budget.restore(charge(9), "estimated", calls=3)
    total = budget.statistics().total
    assert (total.spent, total.possibly_billed, total.estimated, total.calls) == (40, 30, 9, 5)
    assert refused(budget.reserve(charge(22))).kind == "exhausted"
    held(budget.reserve(charge(21)))


def test_a_ceiling_lowered_below_what_was_spent_lets_nothing_more_out() -> None:
    """What is gone is shown all the same."""
    budget = Budget(Ceiling(limits={TOTAL: 10}))
    budget.restore(charge(40))
    assert budget.statistics().total.spent == 40
    assert refused(budget.reserve(charge(1))).kind == "exhausted"


def test_a_free_call_is_sent_even_when_nothing_is_left() -> None:
    """`price = 0` needs no room."""
    budget = Budget(Ceiling(limits={TOTAL: 10}))
    budget.restore(charge(40))
    budget.settle(held(budget.reserve(charge(0))), 0)
    assert budget.statistics().total.calls == 2


def test_without_a_price_a_budget_refuses_unless_it_is_told_otherwise() -> None:
    """Then the call is counted and nothing is made up about it."""
    limits: dict[Scope, int] = {TOTAL: 100}
    reason = refused(Budget(Ceiling(limits=limits)).reserve(charge(None)))
    assert (reason.kind, reason.ceiling) == ("unpriced", "model gpt")
    for told in (Ceiling(limits=limits, allow_unpriced=True), Ceiling()):
        budget = Budget(told)
        budget.settle(held(budget.reserve(charge(None))), None)
        budget.restore(charge(None), calls=2)
        total = budget.statistics().total
        assert (total.unpriced, total.calls, total.booked, total.estimated) == (3, 3, 0, 0)


def test_a_reservation_ends_once() -> None:
    """Settling twice would give money back that is gone."""
    budget = Budget(Ceiling())
    ticket = held(budget.reserve(charge(5)))
    with pytest.raises(ValueError, match="never negative"):
        budget.settle(ticket, -1)
    budget.settle(ticket, 5)
    with pytest.raises(ValueError, match="before"):
        budget.settle(ticket, 5)
    with pytest.raises(ValueError, match="before"):
        budget.release(ticket)
    assert budget.statistics().total.spent == 5


def test_nothing_negative_is_ever_reserved_or_restored() -> None:
    """It would raise a ceiling."""
    budget = Budget(Ceiling())
    with pytest.raises(ValueError, match="never negative"):
        budget.reserve(charge(-1))
    with pytest.raises(ValueError, match="never negative"):
        budget.restore(charge(-1))
    assert budget.statistics().total.calls == 0


def test_whoever_waits_hears_of_every_reservation_that_ends() -> None:
    """Also of one that freed nothing: what was blocked may be exhausted now."""
    heard: list[str] = []
    budget = Budget(Ceiling(limits={TOTAL: 10}), on_change=lambda: heard.append("!"))
    tickets = [held(budget.reserve(charge(5))), held(budget.reserve(charge(5)))]
    assert refused(budget.reserve(charge(5))).kind == "blocked"
    assert heard == []
    budget.settle(tickets[0], 5)
    budget.release(tickets[1])
    assert heard == ["!", "!"]


def test_statistics_are_a_copy_by_account_model_and_stage() -> None:
    """They show limits that nothing was spent on yet, and do not change afterwards."""
    budget = Budget(Ceiling(currency="CNY", limits={("account", "zhipu"): 50}))
    budget.settle(held(budget.reserve(charge(9))), 4)
    held(budget.reserve(charge(6, model="judge", stage="judge")))
    seen = budget.statistics()
    budget.restore(charge(100))
    assert seen.currency == "CNY"
    assert (seen.total.limit, seen.total.spent, seen.total.reserved) == (None, 4, 6)
    assert seen.accounts == {
        "zhipu": Line(limit=50),
        "openai": Line(spent=4, reserved=6, calls=1),
    }
    assert seen.models == {"gpt": Line(spent=4, calls=1), "judge": Line(reserved=6)}
    assert seen.stages == {"generate": Line(spent=4, calls=1), "judge": Line(reserved=6)}
    assert seen.in_flight == 1


def test_a_refusal_reads_as_a_sentence_and_shows_names_as_data() -> None:
    """With amounts in the budget's currency and no control characters."""
    budget = Budget(Ceiling(currency="EUR", limits={("model", "a\x1b[31m"): 3 * NANO}))
    reason = refused(budget.reserve(charge(4 * NANO, model="a\x1b[31m")))
    assert "EUR 3.00" in str(reason)
    assert "EUR 4.00" in str(reason)
    assert "\x1b" not in str(reason) + repr(budget)
    unpriced = refused(budget.reserve(charge(None, model="a\x1b[31m")))
    assert str(unpriced) == "model a\\x1b[31m: the price is unknown, and there is a budget"


# --- the sweep file ----------------------------------------------------------------------------


def read(table: dict[str, object]) -> Ceiling:
    """[budget] of a sweep with two accounts and three models."""
    face = convert(table, BudgetTable, where="sweep.toml [budget]")
    return ceiling(face, accounts=ACCOUNTS, models=MODELS, where="sweep.toml [budget]")


def test_the_sweep_files_table_becomes_limits_in_nano_units() -> None:
    """Strings and numbers, exactly; what is not said has no limit."""
    table: dict[str, object] = {
        "currency": "CNY",
        "total": "400",
        "accounts": {"openai": 300},
        "models": {"glm": 0.1},
        "stages": {"judge": "150.000000001"},
        "allow_unpriced": True,
    }
    assert read(table) == Ceiling(
        currency="CNY",
        limits={
            TOTAL: 400 * NANO,
            ("account", "openai"): 300 * NANO,
            ("model", "glm"): NANO // 10,
            ("stage", "judge"): 150 * NANO + 1,
        },
        allow_unpriced=True,
    )
    assert read({}) == Ceiling()


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"total": "-1"}, "no amount"),
        ({"total": "a lot"}, "no amount"),
        ({"total": True}, "total"),
        ({"totals": "1"}, "did you mean `total`"),
        ({"currency": "dollar"}, "no currency"),
        ({"accounts": {"opnai": "1"}}, "did you mean `openai`"),
        ({"models": {"x": "1"}}, "no model `x`"),
        ({"stages": {"judging": "1"}}, "did you mean `judge`"),
        ({"accounts": {"openai": "1e9"}}, "accounts.openai"),
    ],
)
def test_a_budget_that_cannot_be_meant_is_refused(table: dict[str, object], said: str) -> None:
    """With what, where and how."""
    with pytest.raises(ConfigError) as error:
        read(table)
    assert said in str(error.value)
    assert str(error.value).startswith("sweep.toml [budget]")
