"""An expensive judge is asked where cheap ones leave a doubt: what is asked, what counts, what is saved."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from cache.journal import scan
from data.errors import ConfigError
from data.schema import EscalateRule, Intent, Judgment, Settled, Trial, Verdict
from engine.bootstrap import Outcome, Outside, conduct
from engine.config import Loaded, load, select
from engine.escalated import Bill, Escalated, stand_in
from engine.escalation import Escalations, apart, doubt
from engine.plan import Ledger, Plan, State
from engine.preview import look_ahead
from engine.results import counts_of, scores_of
from engine.rundir import read_run
from engine.runtime import run as run_loop
from engine.session import Session
from engine.streams import Options
from tests.conftest import Program

MODELS = ("qwen-14b-chat", "internlm-20b", "qwen-7b-chat")
CHEAP = ("CritiqueLLM", "glm-4-flash")
DEAR = "gpt-4-0613"


def text_of(rule: str, *, simulator: str = "malformed_verdict_rate = 0.1", top: str = "") -> str:
    parties = [
        *(f'[[models]]\nname = "{m}"\nprovider = "sim"\nmodel = "{m}"' for m in MODELS),
        *(f'[[judges]]\nname = "{j}"\nprovider = "sim"\nmodel = "{j}"' for j in (*CHEAP, DEAR)),
    ]
    head = (
        f'name = "s"\nbenchmark = "mini"\nasks = 1\n{top}\n[providers.sim]\napi = "openai-chat"\n'
    )
    where = 'base_url = "simulated:"\nsimulated = true\n[providers.sim.simulator]\n'
    return f"{head}{where}{simulator}\n" + "\n".join(parties) + f"\nescalate = {rule}\n"


BY_DISAGREEMENT = f'{{ from = ["{CHEAP[0]}", "{CHEAP[1]}"], disagree = 2 }}'
BY_RANK = f'{{ from = ["{CHEAP[0]}", "{CHEAP[1]}"], disagree = 2, rank = true }}'


class Bench:
    """A sweep file and the sessions on it, on virtual time, without a response cache."""

    def __init__(self, folder: Path, text: str) -> None:
        self.folder = folder
        (folder / "s.toml").write_text(text, encoding="utf-8")
        self.loaded: Loaded = load(folder / "s.toml", home=folder / "home")

    def options(self, run: str, limit: int | None = None) -> Options:
        return Options(folder=self.folder / run, selection=select(self.loaded, limit=limit))

    def work(self, run: str = "run", *, limit: int | None = None, stop_s: float = 0) -> Outcome:
        """One session; `stop_s`: given up after so many virtual seconds, as if killed."""

        def stops(session: Session) -> None:
            if stop_s:
                asyncio.get_running_loop().call_later(stop_s, session.abandon)

        outside = Outside({}, None, 1.8e9, None, stops)

        async def main() -> Outcome:
            return await asyncio.wait_for(
                conduct(self.loaded, self.options(run, limit), outside), 20_000
            )

        return run_loop(main, virtual=True)

    def verdicts(self, run: str = "run") -> dict[Trial, float | None]:
        """Every judgment in the journal; no trial has two."""
        found: dict[Trial, float | None] = {}
        for _, record in scan(self.folder / run / "journal.jsonl"):
            if isinstance(record, Judgment):
                assert record.trial not in found
                found[record.trial] = record.verdict.score if record.verdict else None
        return found

    def asked(self, run: str = "run") -> set[tuple[object, str]]:
        """What the expensive judge was asked about."""
        return {(t.question_id, t.model) for t in self.verdicts(run) if t.judge == DEAR}

    def told(self, run: str = "run") -> Escalated:
        told = scores_of(read_run(self.folder / run)).tables[2].escalated
        assert told is not None
        return told


# --- the rule ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "disagree", "why"),
    [
        ((7.0, 7.0), 2, ""),
        ((7.0, 8.0), 2, ""),
        ((7.0, 9.0), 2, "disagree"),
        ((9.0, 7.0, 8.0), 2, "disagree"),
        ((7.3, 5.3), 2, "disagree"),
        ((1.0, 10.0), None, ""),
        ((7.0, None), None, "unreadable"),
        ((None, None), 2, "unreadable"),
        ((7.0, -1.0), 2, "unreadable"),
    ],
)
def test_a_doubt_is_a_distance_or_a_verdict_that_cannot_be_read(
    scores: Sequence[float | None], disagree: float | None, why: str
) -> None:
    """At the threshold counts as apart; upstream's -1 is no score."""
    assert doubt(scores, EscalateRule(judges=("a", "b"), disagree=disagree)) == why


def test_distances_survive_single_precision() -> None:
    """Scores are kept as 32-bit floats: 7.3 - 5.3 must not be 1.9999."""
    from array import array

    assert apart(array("f", [7.3, 5.3])) == 2.0


# --- a sweep -----------------------------------------------------------------------------------


def test_only_answers_in_doubt_reach_the_expensive_judge(tmp_path: Path) -> None:
    """Exactly those whose cheap verdicts are unreadable or far apart; the session is complete."""
    bench = Bench(tmp_path, text_of(BY_DISAGREEMENT))
    outcome = bench.work()
    verdicts = bench.verdicts()
    by_answer: dict[tuple[object, str], list[float | None]] = {}
    for trial, score in verdicts.items():
        if trial.judge != DEAR:
            by_answer.setdefault((trial.question_id, trial.model), []).append(score)
    rule = EscalateRule(judges=CHEAP, disagree=2)
    wanted = {answer for answer, scores in by_answer.items() if doubt(scores, rule)}
    assert bench.asked() == wanted
    assert 0 < len(wanted) < len(by_answer)
    assert outcome.state == "complete"
    counts = counts_of(read_run(tmp_path / "run"))
    assert (counts.pending, counts.failed) == (0, 0)
    assert counts.spared == len(by_answer) - len(wanted)
    done = sum(m.judgments_done for m in outcome.progress.models)
    assert done == sum(m.judgments for m in outcome.progress.models) == len(verdicts)


def test_the_table_covers_every_answer(tmp_path: Path) -> None:
    """The expensive judge's verdict where there is one, elsewhere the mean of the cheap ones."""
    bench = Bench(tmp_path, text_of(BY_DISAGREEMENT))
    bench.work()
    stored = read_run(tmp_path / "run")
    cheap_a, cheap_b, dear = scores_of(stored).tables
    asked = bench.asked()
    own = {(t.question_id, t.model): s for t, s in bench.verdicts().items() if t.judge == DEAR}
    for one, other, both in zip(cheap_a.rows, cheap_b.rows, dear.rows, strict=True):
        for question, a, b, mark in zip(
            stored.benchmark.questions, one.marks, other.marks, both.marks, strict=True
        ):
            if (question.id, both.model) in asked:
                assert mark == own[question.id, both.model]
            else:
                assert a is not None
                assert b is not None
                assert mark == (a + b) / 2
        assert both.coverage.pending == 0
    told = bench.told()
    assert told.asked == len(asked) == told.unreadable + told.apart
    assert told.asked + told.spared == len(MODELS) * len(stored.benchmark.questions)


@pytest.mark.parametrize("rule", [BY_DISAGREEMENT, BY_RANK])
@pytest.mark.parametrize("stop_s", [1.0, 4.0])
def test_a_killed_run_goes_on_as_if_nothing_had_happened(
    tmp_path: Path, rule: str, stop_s: float
) -> None:
    """The same judgments are asked for, none twice, whenever it was cut off."""
    bench = Bench(tmp_path, text_of(rule, top="", simulator="malformed_verdict_rate = 0.1"))
    assert bench.work("whole").state == "complete"
    bench.work("cut", stop_s=stop_s)
    bench.work("cut", stop_s=stop_s / 2)
    assert bench.work("cut").state == "complete"
    assert bench.verdicts("cut") == bench.verdicts("whole")
    assert bench.told("cut") == bench.told("whole")
    assert bench.work("cut").state == "complete"
    assert bench.verdicts("cut") == bench.verdicts("whole")


def test_rank_asks_about_what_divides_neighbours_and_only_when_all_is_there(tmp_path: Path) -> None:
    """A part of the sweep decides nothing; the whole asks for more than disagreement does."""
    bench = Bench(tmp_path, text_of(BY_RANK))
    assert bench.work("part", limit=5).state == "complete"
    assert bench.told("part").rank == 0
    bench.work("part")
    bench.work("whole")
    assert bench.told("whole").rank > 0
    assert bench.verdicts("part") == bench.verdicts("whole")
    (tmp_path / "other").mkdir()
    plain = Bench(tmp_path / "other", text_of(BY_DISAGREEMENT))
    plain.work()
    assert plain.asked() < bench.asked("whole")


def test_the_plan_tells_the_least_the_likely_and_the_most(tmp_path: Path) -> None:
    """Before anything is judged a guess, afterwards exactly what is left."""
    bench = Bench(tmp_path, text_of(BY_RANK))
    questions = len(bench.loaded.benchmark.questions)
    before = look_ahead(bench.loaded, bench.options("run"), None).workload.shares[-1]
    assert before.to_send == before.unsure == questions * len(MODELS)
    assert before.calls("low") == 0 < before.calls("likely") < before.to_send
    assert not before.doubt_seen
    assert before.input.low == 0
    bench.work(stop_s=3.0)
    seen = Plan(bench.loaded.sweep, bench.loaded.benchmark)
    assert len(seen)
    bench.work()
    after = look_ahead(bench.loaded, bench.options("run"), None).workload.shares[-1]
    assert (after.to_send, after.unsure, after.done) == (0, 0, len(bench.asked()))


def test_a_cheap_verdict_that_failed_decides_nothing(tmp_path: Path) -> None:
    """It is owed; the expensive judge waits for it."""
    bench = Bench(tmp_path, text_of(BY_DISAGREEMENT))
    plan = Plan(bench.loaded.sweep, bench.loaded.benchmark)
    ledger = Ledger(plan)
    first, second, dear = plan.judgments_of(0)
    judged = Judgment(trial=plan.trial(first), asks=(), verdict=Verdict(7.0))
    ledger.judged(first, judged)
    ledger.mark(second, State.FAILED)
    escalations = Escalations(plan, ledger)
    escalations.settle()
    assert (escalations.reason(dear), ledger.state(dear)) == ("undecided", State.PENDING)
    ledger.judged(second, judged)
    assert escalations.judged(second).spared == (dear,)
    assert ledger.state(dear) is State.SPARED


# --- what counts -------------------------------------------------------------------------------


def test_an_expensive_verdict_that_cannot_be_read_leaves_no_score() -> None:
    """The cheap ones disagreed: their mean would be a guess."""
    rule = EscalateRule(judges=("a", "b"), disagree=2)
    below = [{1: (Verdict(3.0), 3.0), 2: (Verdict(5.0, {"x": 4.0}), 5.0)}]
    below.append({1: (Verdict(9.0), 9.0), 2: (Verdict(6.0, {"x": 5.0, "y": 1.0}), -1.0)})
    found, told = stand_in({1: (None, -1.0)}, below, rule)
    assert found[1] == (None, -1.0)
    assert found[2][0] is not None
    assert (found[2][0].score, found[2][0].dimensions, found[2][1]) == (5.5, {"x": 4.5}, 2.0)
    assert (told.asked, told.apart, told.spared, told.both) == (1, 1, 1, 0)
    _, told = stand_in({1: (Verdict(4.0), 4.0)}, below, rule)
    assert told.shift == -2.0


def test_what_is_in_doubt_without_a_verdict_waits() -> None:
    """And what the cheap judges have not finished with is not counted at all."""
    rule = EscalateRule(judges=("a", "b"), disagree=2)
    below = [{1: (Verdict(3.0), 3.0), 2: (Verdict(3.0), 3.0)}, {1: (Verdict(9.0), 9.0)}]
    found, told = stand_in({}, below, rule)
    assert not found
    assert (told.waiting, told.spared, told.asked) == (1, 0, 0)


def test_saved_money_goes_by_the_mean_price_and_unknown_stays_unknown() -> None:
    """Two calls of 30 in all, three spared: 45."""
    trial = Trial(kind="judgment", question_id=1, candidates=(("m", 0),), judge="dear")
    bill = Bill()
    for number, cost in enumerate((10, 20), start=1):
        bill.watch(Intent(number, trial, "acc", 0.0))
        bill.watch(Settled(number, cost=cost, currency="USD"))
    told = Escalated(below=("cheap",), disagree=2, asked=2, spared=3)
    (saved,) = bill.priced(told, "dear").saved
    assert (saved.nano, saved.currency) == (45, "USD")
    bill.watch(Intent(3, trial, "acc", 0.0))
    bill.watch(Settled(3))
    assert bill.priced(told, "dear").saved == ()


# --- the sweep file ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ('{ from = ["nobody", "CritiqueLLM"] }', "is no judge of this sweep"),
        (f'{{ from = ["{DEAR}", "CritiqueLLM"] }}', "is not asked about everything itself"),
        ("{ from = [] }", "each once"),
        ('{ from = ["CritiqueLLM", "CritiqueLLM"] }', "each once"),
        ('{ from = ["CritiqueLLM"], disagree = 2 }', "cannot disagree with itself"),
        (BY_DISAGREEMENT.replace("2", "0"), "on a scale of 1 to 10"),
        (BY_DISAGREEMENT.replace("disagree = 2", "disagree = 10"), "on a scale of 1 to 10"),
        (BY_DISAGREEMENT.replace("disagree", "disagre"), "disagre"),
        ("3", "escalate"),
    ],
)
def test_a_rule_that_cannot_work_is_refused_with_its_line(
    tmp_path: Path, rule: str, words: str
) -> None:
    """Before anything is sent."""
    with pytest.raises(ConfigError) as caught:
        Bench(tmp_path, text_of(rule))
    assert words in str(caught.value)
    assert "s.toml:" in str(caught.value)


def test_judges_that_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    """Other readings than robust are no scores to compare."""
    text = text_of(BY_DISAGREEMENT).replace(
        f'model = "{CHEAP[0]}"\n[[judges]]', f'model = "{CHEAP[0]}"\nparse = "compat"\n[[judges]]'
    )
    assert 'parse = "compat"' in text
    with pytest.raises(ConfigError, match="has parse = compat"):
        Bench(tmp_path, text)


# --- the program -------------------------------------------------------------------------------


def test_the_program_tells_what_was_asked_and_saved(program: Program) -> None:
    """In the summary, in `report`, in `rank`, in `status`; a panel of all is refused with the way on."""
    (program.folder / "s.toml").write_text(text_of(BY_RANK), encoding="utf-8")
    planned = program.run("plan", "s.toml")
    assert "a guess: nothing is judged yet" in planned.out
    ended = program.run("run", "s.toml", "--progress", "none")
    assert ended.code == 0, ended
    for said in (ended.out, program.run("report", "s").out, program.run("rank", "s").out):
        told = " ".join(said.split())
        assert f"{DEAR} was asked about" in told
        assert "calls saved" in told
        assert "on which a rank hung" in told
    assert "spared" in program.run("status", "s").out
    refused = program.run("rank", "s", "--judge", "panel")
    assert refused.code == 2
    assert "is a panel already" in refused.err
