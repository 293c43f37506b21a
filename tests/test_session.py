"""Whole sessions of a sweep: on virtual time, against the simulator and against scripted providers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from cache.journal import scan
from data import codec
from data.answers import read_answers
from data.errors import ConfigError
from data.schema import (
    Answer,
    Failure,
    Intent,
    Judgment,
    ProviderSpec,
    Record,
    Settled,
    Synced,
    Trial,
)
from engine.bootstrap import Outcome, Outside, conduct
from engine.config import Loaded, load, select
from engine.events import Progress
from engine.given import with_answers
from engine.plan import Plan
from engine.results import counts_of
from engine.rundir import read_run
from engine.runtime import run as run_loop
from engine.session import Session
from engine.streams import Options
from providers.openai import OpenAIChat
from providers.simulator import SimulatorTransport, simulator_for
from providers.wire import Endpoint, HttpReply, HttpRequest, Transport

MODELS = ("gpt-4-1106-preview", "chatglm3-6b", "qwen-7b-chat")
JUDGES = ("gpt-4-0613", "CritiqueLLM")
KEY = "sk-canary-51f0c2"
Reply = Callable[[dict[str, Any]], HttpReply]


# --- a sweep and its world ---------------------------------------------------------------------


def tables(
    models: Sequence[str] = MODELS[:1],
    judges: Sequence[str] = JUDGES[:1],
    *,
    top: str = "",
    provider: str = "",
    simulator: str = "latency_s = 0.5",
    benchmark: str = "mini",
) -> str:
    """A sweep file with one embedded provider, `sim`."""
    lines = [
        f'name = "s"\nbenchmark = "{benchmark}"\n{top}',
        '[providers.sim]\napi = "openai-chat"\nbase_url = "simulated:"\nsimulated = true',
        f"{provider}\n[providers.sim.simulator]\n{simulator}",
        *(f'[[models]]\nname = "{m}"\nprovider = "sim"\nmodel = "{m}"' for m in models),
        *(f'[[judges]]\nname = "{j}"\nprovider = "sim"\nmodel = "{j}"' for j in judges),
    ]
    return "\n".join(lines)


class World:
    """A folder with a sweep file, a run and a cache, and the providers that one session met."""

    def __init__(self, folder: Path, text: str) -> None:
        self.folder, self.cache = folder, folder / "cache.sqlite"
        self.run = folder / "run"
        self.write(text)
        self.providers: dict[str, Any] = {}
        self.pictures: list[Progress] = []

    def write(self, text: str) -> None:
        (self.folder / "s.toml").write_text(text, encoding="utf-8")
        self.loaded = load(self.folder / "s.toml", home=self.folder / "home")

    def work(
        self,
        *,
        reply: Mapping[str, Reply] | Reply | None = None,
        latency_s: float = 0.5,
        cached: bool = True,
        run: Path | None = None,
        stops: Callable[[Session], None] = lambda session: None,
        env: Mapping[str, str] | None = None,
        limit: int | None = None,
        **options: Any,
    ) -> Outcome:
        """One session. `reply` scripts what providers say; without it they are simulated."""

        def transports(specs: Sequence[ProviderSpec], loaded: Loaded) -> dict[str, Transport]:
            self.providers = {s.name: self._provider(s, reply, latency_s) for s in specs}
            return self.providers

        outside = Outside(
            env or {}, self.cache if cached else None, 1.8e9, self._view, stops, transports
        )
        self.pictures = []
        chosen = Options(
            folder=run or self.run, selection=select(self.loaded, limit=limit), **options
        )

        async def main() -> Outcome:
            return await asyncio.wait_for(conduct(self.loaded, chosen, outside), 20_000)

        return run_loop(main, virtual=True)

    def _provider(self, spec: ProviderSpec, reply: Any, latency_s: float) -> Transport:
        if reply is None:
            return simulator_for(spec.options, [self.loaded.benchmark])
        return Scripted(reply[spec.name] if isinstance(reply, Mapping) else reply, latency_s)

    async def _view(self, latest: Callable[[], Progress]) -> None:
        while True:
            await asyncio.sleep(0.25)
            self.pictures.append(latest())

    @property
    def simulator(self) -> SimulatorTransport:
        provider = self.providers["sim"]
        assert isinstance(provider, SimulatorTransport)
        return provider

    @property
    def scripted(self) -> Scripted:
        provider = self.providers["sim"]
        assert isinstance(provider, Scripted)
        return provider

    def records(self, run: Path | None = None) -> list[Record]:
        """Every line of the journal; each is intact."""
        lines = [record for _, record in scan((run or self.run) / "journal.jsonl")]
        assert None not in lines
        return [record for record in lines if record is not None]

    def final(self, run: Path | None = None) -> dict[Trial, Answer | Judgment]:
        """The final record of each trial; no trial has two."""
        found: dict[Trial, Answer | Judgment] = {}
        for record in self.records(run):
            if isinstance(record, Answer | Judgment):
                assert record.trial not in found
                found[record.trial] = record
        return found

    def plan(self) -> set[Trial]:
        plan = Plan(self.loaded.sweep, self.loaded.benchmark)
        return {plan.trial(n) for n in range(len(plan))}


class Scripted:
    """A provider that says what a function says, and remembers what it was asked, and when."""

    def __init__(self, reply: Reply, latency_s: float) -> None:
        self._reply, self._latency_s = reply, latency_s
        self.bodies: list[bytes] = []
        self.times: list[float] = []

    async def send(self, request: HttpRequest, endpoint: Endpoint) -> HttpReply:
        self.bodies.append(request.body)
        self.times.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self._latency_s)
        return self._reply(codec.decode(request.body))

    async def aclose(self) -> None:
        """Nothing to close."""

    def asked(self, model: str) -> int:
        """Requests for this model."""
        return sum(codec.decode(body)["model"] == model for body in self.bodies)


def ok(text: str, finish_reason: str = "stop") -> HttpReply:
    """An answer, marked as simulated."""
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    usage = {"prompt_tokens": 10, "completion_tokens": 5}
    body = {"choices": [choice], "usage": usage, "simulated": True}
    return HttpReply(200, {}, codec.encode(body), 0.5)


def trouble(status: int, code: str = "", **headers: str) -> HttpReply:
    body = {"error": {"message": "no", "type": None, "param": None, "code": code or None}}
    lower = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpReply(status, lower, codec.encode(body))


def plain(body: dict[str, Any]) -> HttpReply:
    """Judges give 7; models say their name and the last words they were told."""
    if body["model"] in JUDGES:
        return ok('{"综合得分": 7}')
    return ok(f"{body['model']} 答：{body['messages'][-1]['content'][:20]}")


def world(folder: Path, *args: Any, **options: Any) -> World:
    return World(folder, tables(*args, **options))


def count_states(world: World) -> Counter[str]:
    """Answers by state and judgments by whether they have a verdict."""
    return Counter(
        r.state if isinstance(r, Answer) else ("judged" if r.verdict else "unscorable")
        for r in world.final().values()
    )


# --- the whole thing ---------------------------------------------------------------------------

FAULTS = """latency_s = 0.5
error_rate = 0.08
malformed_verdict_rate = 0.2
refusal_rate = 0.03
truncation_rate = 0.05"""


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Outcome]:
    """3 models, 2 judges, the whole built-in benchmark, and a provider with all its faults."""
    folder = tmp_path_factory.mktemp("faulty")
    made = world(folder, MODELS, JUDGES, simulator=FAULTS, provider="rpm = 3000\ntimeout_s = 60")
    return made, made.work()


def test_with_all_faults_every_trial_ends_in_exactly_one_final_record(
    faulty: tuple[World, Outcome],
) -> None:
    """Refused answers are final without judgments; everything else is judged by both judges."""
    made, outcome = faulty
    assert (outcome.state, outcome.pending, outcome.failed) == ("complete", 0, 0)
    final = made.final()
    refused = {r.trial for r in final.values() if isinstance(r, Answer) and r.state == "refused"}
    words = {(t.model, t.question_id) for t in refused}
    never = {t for t in made.plan() if t.kind == "judgment" and (t.model, t.question_id) in words}
    assert set(final) == made.plan() - never
    states = count_states(made)
    assert states["answered"] + states["truncated"] + states["refused"] == 3 * 72
    assert all(states[name] for name in ("truncated", "refused", "unscorable"))
    assert states["judged"] > 350
    assert outcome.simulated


def test_every_request_has_its_intent_and_every_intent_its_end(
    faulty: tuple[World, Outcome],
) -> None:
    """The journal's count of requests is the provider's own."""
    made, _ = faulty
    records = made.records()
    intents = [r.id for r in records if isinstance(r, Intent)]
    settled = [r.id for r in records if isinstance(r, Settled)]
    assert sorted(intents) == sorted(settled) == list(range(1, len(intents) + 1))
    statistics = made.simulator.statistics()
    assert statistics.requests == len(intents)
    assert statistics.in_flight == 0
    errors = Counter(r.error for r in records if isinstance(r, Settled))
    assert errors["Overloaded"] > 10
    assert errors["TransportError"] > 3


def test_judging_begins_with_the_first_answer(tmp_path: Path) -> None:
    """There is no barrier between the stages: the judge's account is busy while models answer."""
    text = two_accounts().replace(
        f'provider = "sim"\nmodel = "{MODELS[0]}"', f'provider = "other"\nmodel = "{MODELS[0]}"'
    )
    made = World(tmp_path, text)
    assert made.work(reply=plain).state == "complete"
    judged, answered = made.scripted.times, made.providers["other"].times
    assert min(judged) < 5.0
    assert max(answered) > 25.0
    assert sum(t < max(answered) for t in judged) > 200


def test_an_unreadable_verdict_keeps_the_text_of_every_ask(faulty: tuple[World, Outcome]) -> None:
    """As often as `asks` says, and no more."""
    made, _ = faulty
    judgments = [r for r in made.final().values() if isinstance(r, Judgment)]
    assert {len(r.asks) for r in judgments} == {1, 2, 3}
    unread = [r for r in judgments if r.verdict is None and r.asks[-1].state != "refused"]
    assert unread
    assert all(len(r.asks) == 3 for r in unread)
    assert all(ask.simulated for r in judgments for ask in r.asks)


def test_status_counts_what_the_journal_holds(faulty: tuple[World, Outcome]) -> None:
    """A finished run with refusals has nothing pending."""
    made, _ = faulty
    counts = counts_of(read_run(made.run))
    assert (counts.pending, counts.failed, counts.possibly_billed) == (0, 0, 0)
    assert counts.attempts == made.simulator.statistics().requests
    assert counts.judged + counts.unscorable == 2 * (counts.answered + counts.truncated)


def test_nothing_is_told_before_it_is_durable(tmp_path: Path) -> None:
    """At each moment the picture holds no more results than the journal's synced part."""
    made = world(tmp_path, MODELS, JUDGES)
    journal = made.run / "journal.jsonl"
    behind: list[int] = []

    async def view(latest: Callable[[], Progress]) -> None:
        while True:
            await asyncio.sleep(0.1)
            told = sum(m.answers_done + m.judgments_done for m in latest().models)
            lines = list(scan(journal))
            synced = max((r.offset for _, r in lines if isinstance(r, Synced)), default=0)
            results = [p for p, r in lines if isinstance(r, Answer | Judgment)]
            durable = sum(place.offset < synced for place in results)
            assert told <= durable
            behind.append(len(results) - durable)

    made._view = view  # type: ignore[method-assign]
    assert made.work(limit=24).state == "complete"
    assert len(behind) > 10
    assert max(behind) > 0


def test_a_limit_of_requests_per_minute_is_kept_on_virtual_time(tmp_path: Path) -> None:
    """The simulator enforces the same limit and never has to say no."""
    made = world(tmp_path, provider="rpm = 97", simulator="latency_s = 0.5\nrpm = 97")
    assert made.work().state == "complete"
    assert made.simulator.statistics().by_status == {"200": 144}
    assert made.pictures[-1].elapsed_s > 60


# --- never paid for twice ----------------------------------------------------------------------


def test_identical_requests_share_one_call(tmp_path: Path) -> None:
    """Two names for one model: every answer and every judgment is bought once."""
    made = world(tmp_path, ("a", "b"))
    made.write(tables(("a", "b")).replace('model = "b"', 'model = "a"'))
    assert made.work().state == "complete"
    statistics = made.simulator.statistics()
    assert (statistics.requests, statistics.answered_again) == (144, 0)
    assert len(made.final()) == 288


def test_without_a_cache_nobody_shares_a_call(tmp_path: Path) -> None:
    """So a model can be compared with itself."""
    made = world(tmp_path, ("a", "b"))
    made.write(tables(("a", "b")).replace('model = "b"', 'model = "a"'))
    assert made.work(cached=False).state == "complete"
    assert made.simulator.statistics().requests == 288


def test_a_second_run_asks_nothing_at_all(tmp_path: Path) -> None:
    """Unreadable verdicts and their re-asks included: each ask has its own entry."""
    made = world(
        tmp_path, MODELS, JUDGES, simulator="latency_s = 0.5\nmalformed_verdict_rate = 0.3"
    )
    made.work()
    first = {
        trial: codec.encode(r.verdict)
        for trial, r in made.final().items()
        if isinstance(r, Judgment)
    }
    again = tmp_path / "again"
    assert made.work(run=again).state == "complete"
    assert made.simulator.statistics().requests == 0
    final = made.final(again)
    assert {
        t: codec.encode(r.verdict) for t, r in final.items() if isinstance(r, Judgment)
    } == first
    assert all(r.response.cached for r in final.values() if isinstance(r, Answer))
    assert not [r for r in made.records(again) if isinstance(r, Intent | Settled)]


def test_without_the_cache_everything_is_asked_again(tmp_path: Path) -> None:
    """And nothing is written into it."""
    made = world(tmp_path)
    made.work(cached=False)
    assert not made.cache.exists()
    made.work(cached=False, run=tmp_path / "again")
    assert made.simulator.statistics().requests == 144


def test_the_same_command_again_does_nothing(tmp_path: Path) -> None:
    """A finished run is finished, with or without the cache."""
    made = world(tmp_path)
    made.work(cached=False)
    before = made.records()
    assert made.work(cached=False).state == "complete"
    assert made.simulator.statistics().requests == 0
    assert [r for r in made.records() if not isinstance(r, Synced)] == [
        r for r in before if not isinstance(r, Synced)
    ]


def test_incomplete_answers_are_never_cached(tmp_path: Path) -> None:
    """Refused and truncated ones are asked again by another run."""
    made = world(tmp_path, judges=())
    for finish in ("length", "content_filter"):
        made.work(reply=lambda body, finish=finish: ok("半", finish), run=tmp_path / finish)  # type: ignore[misc]
        assert len(made.scripted.bodies) == 72
    made.work(reply=plain, run=tmp_path / "whole")
    assert len(made.scripted.bodies) == 72


def test_samples_and_repeats_are_independent_draws(tmp_path: Path) -> None:
    """The same words are asked once per draw, and each draw has its own record."""
    made = world(tmp_path, top="samples = 2\nrepeats = 3")
    assert made.work(reply=plain, limit=5).state == "complete"
    final = made.final()
    answers = Counter((t.question_id, t.sample) for t in final if t.kind == "answer")
    judgments = Counter((t.question_id, t.sample, t.repeat) for t in final if t.kind == "judgment")
    assert (len(answers), len(judgments)) == (10, 30)
    assert set(answers.values()) == set(judgments.values()) == {1}
    # Both samples say the same here, so the judge reads the same words in both.
    assert Counter(Counter(made.scripted.bodies).values()) == {2: 5, 6: 5}


def test_a_seed_per_draw_goes_over_the_wire_only_if_asked_for(tmp_path: Path) -> None:
    """`send_seed = true` makes the bodies of two samples differ."""
    made = world(tmp_path, judges=(), top="samples = 2\nsend_seed = true")
    made.work(reply=plain, limit=3)
    assert len(set(made.scripted.bodies)) == 6
    assert len({codec.decode(body)["seed"] for body in made.scripted.bodies}) == 2


# --- trouble -----------------------------------------------------------------------------------


def two_accounts(**more: str) -> str:
    """The first model and the judge with `sim`, the other models with `other`."""
    text = tables(MODELS, JUDGES[:1])
    for model in MODELS[1:]:
        text = text.replace(
            f'provider = "sim"\nmodel = "{model}"', f'provider = "other"\nmodel = "{model}"'
        )
    extra = "".join(f"{key} = {value}\n" for key, value in more.items())
    return text + (
        '\n[providers.other]\napi = "openai-chat"\nbase_url = "simulated:"\nsimulated = true\n'
        f'cache_identity = "simulated:other"\nconcurrency = 4\n{extra}'
    )


def test_an_unknown_model_stops_that_model_only(tmp_path: Path) -> None:
    """Its trials stay pending; its neighbours in the same account go on."""
    made = World(tmp_path, two_accounts())

    def reply(body: dict[str, Any]) -> HttpReply:
        return trouble(404, "model_not_found") if body["model"] == MODELS[1] else plain(body)

    outcome = made.work(reply=reply)
    assert (outcome.state, outcome.failed) == ("partial", 0)
    assert [(s.scope, s.name, s.error) for s in outcome.stopped] == [
        ("model", MODELS[1], "UnknownModel")
    ]
    assert Counter(t.model for t in made.final()) == {MODELS[0]: 144, MODELS[2]: 144}
    assert outcome.pending == 144
    assert made.providers["other"].asked(MODELS[1]) <= 4  # those in flight when it was told
    assert made.work(reply=plain).state == "complete"
    assert set(made.final()) == made.plan()


@pytest.mark.parametrize(
    "answer",
    [trouble(401), trouble(429, "insufficient_quota"), trouble(403), HttpReply(404, {}, b"")],
)
def test_a_dead_account_stops_that_account_only(tmp_path: Path, answer: HttpReply) -> None:
    """No money or no entry: at most what was in flight is sent after that, and nothing fails."""
    made = World(tmp_path, two_accounts())
    outcome = made.work(reply={"sim": plain, "other": lambda body: answer})
    assert (outcome.state, outcome.failed, outcome.pending) == ("partial", 0, 288)
    assert [(s.scope, s.name) for s in outcome.stopped] == [("account", "other")]
    assert len(made.providers["other"].bodies) <= 4
    assert Counter(t.model for t in made.final()) == {MODELS[0]: 144}
    assert counts_of(read_run(made.run)).failed == 0


def test_a_judge_without_an_account_leaves_the_answers_whole(tmp_path: Path) -> None:
    """Answers are kept; their judgments wait for the next session."""
    made = World(
        tmp_path,
        two_accounts().replace(
            f'name = "{JUDGES[0]}"\nprovider = "sim"', f'name = "{JUDGES[0]}"\nprovider = "other"'
        ),
    )

    def other(body: dict[str, Any]) -> HttpReply:
        return trouble(402) if body["model"] in JUDGES else plain(body)

    outcome = made.work(reply={"sim": plain, "other": other})
    assert outcome.state == "partial"
    assert made.work(reply=plain).state == "complete"
    assert set(made.final()) == made.plan()


def test_a_key_that_a_server_repeats_is_written_nowhere(tmp_path: Path) -> None:
    """Not into the journal, not into what is shown."""
    made = World(tmp_path, tables(provider='api_key_env = "K"'))
    page = codec.encode({"error": {"message": f"Incorrect API key provided: {KEY}", "code": ""}})
    outcome = made.work(reply=lambda body: HttpReply(401, {}, page), env={"K": KEY})
    assert "Incorrect API key provided: [key]" in outcome.stopped[0].message
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 4
    assert not [path for path in written if KEY.encode() in path.read_bytes()]


def test_a_missing_key_is_said_before_anything_is_made(tmp_path: Path) -> None:
    """Exit 2 territory: no folder, no request."""
    made = World(tmp_path, tables(provider='api_key_env = "K"'))
    with pytest.raises(ConfigError, match="K is not set"):
        made.work(reply=plain)
    assert not made.run.exists()


def test_a_bad_request_fails_once_and_the_next_session_tries_it_again(tmp_path: Path) -> None:
    """A failure is a record; a later answer of the same trial supersedes it."""
    made = world(tmp_path)

    def picky(body: dict[str, Any]) -> HttpReply:
        return trouble(400) if "毕昇" in body["messages"][-1]["content"] else plain(body)

    outcome = made.work(reply=picky)
    assert (outcome.state, outcome.failed, outcome.pending) == ("partial", 1, 1)
    (failure,) = [r for r in made.records() if isinstance(r, Failure)]
    assert (failure.error, failure.attempts, failure.trial.question_id) == ("BadRequest", 1, 1)
    kept = made.work(reply=plain, retry_failed=False)
    assert (kept.state, len(made.scripted.bodies)) == ("partial", 0)
    assert made.work(reply=plain).state == "complete"
    assert len(made.scripted.bodies) == 2
    assert set(made.final()) == made.plan()


def test_a_broken_provider_is_given_up_after_so_many_attempts(tmp_path: Path) -> None:
    """The waits between them grow, and the run ends all the same."""
    made = world(tmp_path, judges=(), top="attempts = 3")
    outcome = made.work(reply=lambda body: trouble(500), limit=4)
    assert (outcome.state, outcome.failed) == ("partial", 4)
    assert set(Counter(made.scripted.bodies).values()) == {3}
    attempts = sorted(r.attempt for r in made.records() if isinstance(r, Intent))
    assert attempts == [1] * 4 + [2] * 4 + [3] * 4
    assert {r.attempts for r in made.records() if isinstance(r, Failure)} == {3}


def test_whoever_waited_for_a_failed_call_asks_for_himself(tmp_path: Path) -> None:
    """A shared call that fails fails one trial, not all who joined it."""
    made = world(tmp_path, ("a", "b"), ())
    made.write(tables(("a", "b"), ()).replace('model = "b"', 'model = "a"'))
    seen: list[bytes] = []

    def first_fails(body: dict[str, Any]) -> HttpReply:
        seen.append(codec.encode(body))
        return trouble(400) if seen.count(seen[-1]) == 1 else plain(body)

    outcome = made.work(reply=first_fails, limit=6)
    assert (outcome.state, outcome.failed) == ("partial", 6)
    assert len(made.final()) == 6
    assert len(seen) == 12


def test_a_told_wait_holds_the_whole_account(tmp_path: Path) -> None:
    """Nobody comes back before the time, and the 429 costs no attempt."""
    made = world(tmp_path, judges=(), top="attempts = 1", provider="concurrency = 4")
    told: list[float] = []

    def busy_once(body: dict[str, Any]) -> HttpReply:
        now = asyncio.get_running_loop().time()
        if not told:
            told.append(now)
            return trouble(429, retry_after="30")
        return plain(body)

    assert made.work(reply=busy_once).state == "complete"
    times = made.scripted.times
    assert not [t for t in times if told[0] < t < told[0] + 30]
    assert len([t for t in times if t <= told[0]]) == 4
    assert len(times) == 73


def test_a_provider_that_asks_for_a_day_is_not_waited_for(tmp_path: Path) -> None:
    """The session says so and ends; the trials stay pending."""
    made = world(tmp_path, judges=(), provider="concurrency = 4")
    outcome = made.work(reply=lambda body: trouble(429, retry_after="86400"))
    assert (outcome.state, outcome.pending, outcome.failed) == ("partial", 72, 0)
    assert "86400 s" in outcome.stopped[0].message
    assert len(made.scripted.bodies) <= 4
    assert outcome.progress.elapsed_s < 60


# --- verdicts ----------------------------------------------------------------------------------


def test_an_unreadable_verdict_is_asked_for_again_and_then_unscorable(tmp_path: Path) -> None:
    """Never a zero, never an error: an outcome of its own."""
    made = world(tmp_path, top="asks = 4")
    outcome = made.work(
        reply=lambda body: ok("说不好") if body["model"] in JUDGES else plain(body), limit=5
    )
    assert outcome.state == "complete"
    assert made.scripted.asked(JUDGES[0]) == 20
    assert count_states(made) == {"answered": 5, "unscorable": 5}
    asks = sorted(
        r.ask for r in made.records() if isinstance(r, Intent) and r.trial.kind == "judgment"
    )
    assert asks == [0] * 5 + [1] * 5 + [2] * 5 + [3] * 5


def test_the_first_readable_verdict_ends_the_asking(tmp_path: Path) -> None:
    """The asks before it are kept."""
    made = world(tmp_path)
    spoken: Counter[bytes] = Counter()

    def second_time(body: dict[str, Any]) -> HttpReply:
        if body["model"] not in JUDGES:
            return plain(body)
        words = codec.encode(body)
        spoken[words] += 1
        return plain(body) if spoken[words] == 2 else ok("让我想想")

    assert made.work(reply=second_time, limit=5).state == "complete"
    judgments = [r for r in made.final().values() if isinstance(r, Judgment)]
    assert [[ask.text for ask in r.asks] for r in judgments] == [
        ["让我想想", '{"综合得分": 7}']
    ] * 5
    assert {r.verdict.score for r in judgments if r.verdict} == {7.0}


def test_attempts_are_counted_for_each_ask_anew(tmp_path: Path) -> None:
    """A line that broke once during the first ask leaves the second ask its full patience."""
    made = world(tmp_path, top="asks = 2\nattempts = 2")
    judged: Counter[str] = Counter()

    def shaky(body: dict[str, Any]) -> HttpReply:
        if body["model"] not in JUDGES:
            return plain(body)
        judged["asked"] += 1
        script = [trouble(500), ok("?"), trouble(500), plain(body)]
        return script[judged["asked"] - 1]

    assert made.work(reply=shaky, limit=1).state == "complete"
    intents = [r for r in made.records() if isinstance(r, Intent) and r.trial.kind == "judgment"]
    assert [(r.ask, r.attempt) for r in intents] == [(0, 1), (0, 2), (1, 1), (1, 2)]


def test_a_judge_whose_words_are_filtered_is_unscorable_not_refused(tmp_path: Path) -> None:
    """The candidate's answer was fine; only the verdict is missing, and nobody is asked again."""
    made = world(tmp_path)
    made.work(
        reply=lambda body: ok("", "content_filter") if body["model"] in JUDGES else plain(body),
        limit=3,
    )
    assert count_states(made) == {"answered": 3, "unscorable": 3}
    asked = [len(r.asks) for r in made.records() if isinstance(r, Judgment)]
    assert asked == [1, 1, 1]


# --- conversations -----------------------------------------------------------------------------


def conversation(folder: Path, turns: int = 3, questions: int = 40) -> World:
    rows = [
        {
            "question_id": q,
            "category": "专业能力",
            "subcategory": "历史",
            "turns": [f"第{q}题第{t}问" for t in range(turns)],
        }
        for q in range(questions)
    ]
    path = folder / "turns.jsonl"
    path.write_bytes(b"\n".join(codec.encode(row) for row in rows))
    return world(folder, benchmark="turns.jsonl")


def test_a_later_turn_carries_the_models_own_earlier_answers(tmp_path: Path) -> None:
    """Turn by turn, in order, for the model and for its judge."""
    made = conversation(tmp_path)
    assert made.work(reply=plain).state == "complete"
    assert set(made.final()) == made.plan()
    asked = [codec.decode(body) for body in made.scripted.bodies]
    third = [b["messages"] for b in asked if b["model"] not in JUDGES and len(b["messages"]) == 5]
    assert len(third) == 40
    for messages in third:
        assert [m["role"] for m in messages] == ["user", "assistant", "user", "assistant", "user"]
        for question, answer in zip(messages[::2], messages[1::2], strict=False):
            assert answer["content"] == f"{MODELS[0]} 答：{question['content']}"


def test_a_refused_turn_ends_its_conversation(tmp_path: Path) -> None:
    """What was never said cannot be gone on from: the later turns will never come, and all is final."""
    made = conversation(tmp_path, questions=3)

    def reply(body: dict[str, Any]) -> HttpReply:
        last = body["messages"][-1]["content"]
        return ok("", "content_filter") if last == "第1题第0问" else plain(body)

    outcome = made.work(reply=reply)
    answered = {(t.question_id, t.turn) for t in made.final() if t.kind == "answer"}
    assert answered == {(q, t) for q in range(3) for t in range(3)} - {(1, 1), (1, 2)}
    assert outcome.state == "complete"


def test_an_interrupted_conversation_goes_on_where_it_was(tmp_path: Path) -> None:
    """The second session reads the first turn's answer from the journal."""
    made = conversation(tmp_path)
    made.work(reply=plain, stops=after(0.7, Session.abandon), cached=False)
    first = list(made.scripted.bodies)
    done = made.final()
    assert {t.turn for t in done if t.kind == "answer"} == {0}
    assert made.work(reply=plain, cached=False).state == "complete"
    assert set(made.final()) == made.plan()
    assert len(first) + len(made.scripted.bodies) <= len(made.plan()) + 16


# --- stopping and going on ---------------------------------------------------------------------


def after(seconds: float, act: Callable[[Session], Any]) -> Callable[[Session], None]:
    """Do something to the session at that virtual time."""

    def install(session: Session) -> None:
        asyncio.get_running_loop().call_later(seconds, act, session)

    return install


def drain(session: Session) -> None:
    """What the first Ctrl-C does."""
    made.add(asyncio.get_running_loop().create_task(session.stop(10.0)))


made: set[asyncio.Task[None]] = set()


def test_a_stop_sends_nothing_more_and_keeps_what_was_in_flight(tmp_path: Path) -> None:
    """Drained: no intent stays without its end."""
    run = world(tmp_path)
    outcome = run.work(reply=plain, stops=after(0.7, drain))
    assert outcome.state == "interrupted"
    assert max(run.scripted.times) <= 0.7
    counts = counts_of(read_run(run.run))
    assert counts.possibly_billed == 0
    assert counts.attempts == len(run.scripted.bodies) == counts.answered + counts.judged
    sent = len(run.scripted.bodies)
    assert run.work(reply=plain, cached=False).state == "complete"
    assert sent + len(run.scripted.bodies) == 144


def test_a_stop_does_not_wait_longer_than_its_grace(tmp_path: Path) -> None:
    """A hanging provider cannot hold the user."""
    run = world(tmp_path)
    outcome = run.work(reply=plain, latency_s=500.0, stops=after(1.0, drain))
    assert outcome.state == "interrupted"
    assert outcome.progress.elapsed_s < 12
    assert counts_of(read_run(run.run)).possibly_billed == len(run.scripted.bodies)


@pytest.mark.parametrize("gap_s", [0.6, 0.9, 1.6])
def test_abandoned_again_and_again_the_run_ends_whole_and_buys_nothing_twice(
    tmp_path: Path, gap_s: float
) -> None:
    """No body whose answer is in the journal is asked for again; only what was in flight is."""
    run = world(tmp_path, MODELS[:2], JUDGES, provider="concurrency = 24")
    sent = lost = sessions = 0
    state = ""
    while state != "complete":
        state = run.work(reply=plain, stops=after(gap_s, Session.abandon), cached=False).state
        sent += len(run.scripted.bodies)
        sessions += 1
        lost = counts_of(read_run(run.run)).possibly_billed
    assert sessions > 3
    assert set(run.final()) == run.plan()
    assert sent == len(run.plan()) + lost
    assert lost <= 24 * sessions


def test_a_run_grows_by_a_model_and_a_judge(tmp_path: Path) -> None:
    """Only what is new is asked."""
    run = world(tmp_path)
    run.work(reply=plain, limit=10, cached=False)
    run.write(tables(MODELS[:2], JUDGES))
    assert run.work(reply=plain, limit=10, cached=False).state == "complete"
    assert len(run.scripted.bodies) == 10 + 10 + 20
    assert Counter(t.kind for t in run.final()) == {"answer": 20, "judgment": 40}


def test_generate_and_judge_keep_to_their_stage(tmp_path: Path) -> None:
    """Though one provider serves both."""
    run = world(tmp_path)
    run.work(reply=plain, limit=6, judge=False)
    assert Counter(t.kind for t in run.final()) == {"answer": 6}
    assert run.work(reply=plain, limit=6, generate=False).state == "complete"
    assert run.scripted.asked(MODELS[0]) == 0
    assert Counter(t.kind for t in run.final()) == {"answer": 6, "judgment": 6}


# --- answers from elsewhere --------------------------------------------------------------------


def answer_file(folder: Path, answers: Mapping[int, str | None], model: str = "别处") -> Path:
    path = folder / f"{model}.jsonl"
    rows = [
        {"question_id": q, "model_id": model, "answer_id": "x", "answer": text, "category": "?"}
        for q, text in answers.items()
    ]
    path.write_bytes(b"\n".join(codec.encode(row) for row in rows))
    return path


def judge_given(run: World, path: Path, *, null_as_none: bool = False, **more: Any) -> Outcome:
    loaded = run.loaded
    run.loaded, given = with_answers(loaded, [path], run.run, null_as_none=null_as_none)
    try:
        return run.work(reply=plain, generate=False, answers=given, **more)
    finally:
        run.loaded = loaded


def test_answers_of_any_origin_are_judged(tmp_path: Path) -> None:
    """An upstream answer file becomes records that say where they came from."""
    run = world(tmp_path, ())
    path = answer_file(tmp_path, {1: "不是。", 2: "1453年", 3: ""})
    assert judge_given(run, path, limit=3).state == "complete"
    answers = [r for r in run.final().values() if isinstance(r, Answer)]
    assert [(r.response.text, r.origin) for r in answers] == [
        ("不是。", str(path)),
        ("1453年", str(path)),
        ("", str(path)),
    ]
    assert run.scripted.asked(JUDGES[0]) == len(run.scripted.bodies) == 3
    assert judge_given(run, path, limit=3).state == "complete"
    assert run.scripted.bodies == []


def test_a_null_answer_is_a_failure_and_not_an_empty_text(tmp_path: Path) -> None:
    """Nobody judges what never came; the rest is judged all the same."""
    run = world(tmp_path, ())
    path = answer_file(tmp_path, {1: "不是。", 2: None})
    judge_given(run, path, limit=2)
    assert len(run.scripted.bodies) == 1
    assert counts_of(read_run(run.run)).failed == 1
    assert [r.error for r in run.records() if isinstance(r, Failure)] == ["NoAnswer"]
    judge_given(run, path, limit=2)
    assert [r.error for r in run.records() if isinstance(r, Failure)] == ["NoAnswer"]
    mended = answer_file(tmp_path, {1: "不是。", 2: "1453年"})
    assert judge_given(run, mended, limit=2).state == "complete"


def test_null_as_none_judges_the_word_as_upstream_does(tmp_path: Path) -> None:
    """For numbers that must compare with the published ones."""
    run = world(tmp_path, ())
    path = answer_file(tmp_path, {1: None})
    assert judge_given(run, path, null_as_none=True, limit=1).state == "complete"
    assert "None" in codec.decode(run.scripted.bodies[0])["messages"][-1]["content"]


def test_another_answer_to_a_judged_question_is_refused(tmp_path: Path) -> None:
    """Its verdict would belong to other words."""
    run = world(tmp_path, ())
    judge_given(run, answer_file(tmp_path, {1: "不是。"}), limit=1)
    before = run.records()
    with pytest.raises(ConfigError, match="differs from the one this run already holds"):
        judge_given(run, answer_file(tmp_path, {1: "是。"}), limit=1)
    same = [r for r in run.records() if not isinstance(r, Synced)]
    assert same == [r for r in before if not isinstance(r, Synced)]


def test_an_answer_to_a_question_nobody_asked_is_refused_before_anything_is_sent(
    tmp_path: Path,
) -> None:
    """All lines are checked before the first is taken in."""
    run = world(tmp_path, ())
    path = answer_file(tmp_path, {1: "不是。", 9999: "?"})
    with pytest.raises(ConfigError, match="9999"):
        judge_given(run, path)
    assert len(list(read_answers([path]))) == 2
    assert not [r for r in run.records() if isinstance(r, Answer | Intent)]


# --- bounds ------------------------------------------------------------------------------------


def test_the_jobs_that_exist_at_once_do_not_grow_with_the_sweep(tmp_path: Path) -> None:
    """Whatever is admitted holds one of 256 credits until it is final."""
    rows = [{"question_id": q, "subcategory": "历史", "question": f"第{q}题"} for q in range(1500)]
    (tmp_path / "many.jsonl").write_bytes(b"\n".join(codec.encode(row) for row in rows))
    run = world(tmp_path, benchmark="many.jsonl", provider="concurrency = 8")
    assert run.work(reply=plain, latency_s=0.1).state == "complete"
    waiting = [sum(a.queued + a.in_flight for a in p.accounts) for p in run.pictures]
    assert 200 < max(waiting) <= 256
    assert len(run.final()) == 3000


def test_no_more_calls_are_in_flight_than_the_account_allows(tmp_path: Path) -> None:
    """The simulator counts."""
    run = world(tmp_path, MODELS, provider="concurrency = 7")
    run.work()
    assert run.simulator.statistics().max_in_flight == 7


def test_the_codec_and_the_simulator_speak_the_same_dialect() -> None:
    """What the session reads is what a real reply looks like."""
    assert OpenAIChat().decode(ok("好")).simulated
