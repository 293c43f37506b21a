"""A run that is killed and resumed keeps the limits that its providers count over both sessions."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from data import codec
from data.schema import AccountSpec, Intent, ProviderSpec, Settled, Sweep, Trial, Usage
from engine.bootstrap import Outcome, Outside, conduct
from engine.config import Loaded, load, select
from engine.limits import Limits, Need, Permit
from engine.recent import DAY_S, MINUTE_S, Recent
from engine.session import Session
from engine.streams import Options
from providers.virtual import new_loop
from providers.wire import Endpoint, HttpReply, HttpRequest, Transport

HAIR_S = 1e-5
EPOCH_S = 1.8e9
TRIAL = Trial(kind="answer", question_id=1, candidates=(("m", 0),))


# --- sums --------------------------------------------------------------------------------------


def remembered(now_s: float, *records: Intent | Settled) -> Recent:
    """What a session that begins now would know."""
    recent = Recent(now_s)
    for record in records:
        if isinstance(record, Intent):
            recent.sent(record)
        else:
            recent.settled(record)
    recent.close()
    return recent


def intent(number: int, t_s: float, asked: int = 0, said: int = 0, account: str = "a") -> Intent:
    return Intent(number, TRIAL, account, t_s, input_tokens=asked, output_tokens=said)


def test_a_call_counts_with_what_it_took_or_else_with_what_was_held_for_it() -> None:
    """Answered: its usage. Refused: nothing. Broken, given up or never ended: what was held."""
    recent = remembered(
        1000.0,
        *(intent(n, 990.0, 100, 50) for n in range(1, 7)),
        Settled(1, 0.5, Usage(90, 10)),
        Settled(2, 0.5, error="RateLimited"),
        Settled(3, 0.5, error="BadRequest"),
        Settled(4, 0.5, error="TransportError"),
        Settled(5, 0.5, error="DeadlinePassed"),
    )
    (slot,) = recent.of("a").minute
    assert slot.requests == 6
    assert (slot.input_tokens, slot.output_tokens) == (90 + 3 * 100, 10 + 3 * 50)
    assert recent.of("b").minute == []


def test_an_end_belongs_to_its_own_session_s_request() -> None:
    """Requests are numbered anew in each session, and a killed one's may never have got an end."""
    recent = remembered(
        1000.0, intent(1, 990.0, 7), intent(1, 995.0, 5), Settled(1, 1.0, Usage(3, 0))
    )
    assert [slot.input_tokens for slot in recent.of("a").minute] == [7, 3]


def test_memory_does_not_grow_with_the_journal() -> None:
    """However many requests there were: at most as many slots as a window has."""
    recent = Recent(DAY_S)
    for n in range(200_000):
        recent.sent(intent(n, n * DAY_S / 200_000))
        recent.settled(Settled(n, 0.1, Usage(1, 1)))
    recent.close()
    lately = recent.of("a")
    assert len(lately.minute) <= 601
    assert 590 <= len(lately.day) <= 601
    assert sum(slot.requests for slot in lately.day) == 200_000


def test_a_time_in_the_future_stands_for_the_next_right_one_or_for_now() -> None:
    """A clock that was years ahead does not hold up every later session."""
    wrong = [intent(n, 9e9, 10) for n in range(5)]
    (slot,) = remembered(1000.0, *wrong).of("a").minute
    assert (slot.at_s, slot.requests, slot.input_tokens) == (1000.0, 5, 50)
    later = remembered(1000.0, *wrong, intent(1, 950.0, account="b"))
    assert [slot.at_s for slot in later.of("a").minute] == [950.0]
    assert remembered(1e6, *wrong, intent(1, 950.0, account="b")).of("a").day == []


def test_a_told_wait_from_the_future_begins_now_and_no_later() -> None:
    """So nobody waits longer than he was told."""
    told = Settled(1, 2.0, error="RateLimited", told_s=30.0)
    assert remembered(1000.0, intent(1, 990.0), told).of("a").told.until_s == 1022.0
    assert remembered(1000.0, intent(1, 9e9), told).of("a").told.until_s == 1030.0
    dated = remembered(1000.0, intent(1, 9e9), told, intent(2, 980.0))
    assert dated.of("a").told.until_s == 1010.0


def test_an_account_with_another_key_is_another_account() -> None:
    """What the old one was sent holds nobody up."""

    def sweep(*names: str) -> Sweep:
        accounts = tuple(AccountSpec(api_key_env=name) for name in names)
        provider = ProviderSpec(name="p", api="openai-chat", base_url="u", accounts=accounts)
        return Sweep(
            name="s",
            benchmark="b",
            benchmark_sha256="",
            rubric_sha256={},
            temperatures={},
            models=(),
            judges=(),
            providers=(provider,),
        )

    recent = Recent(1000.0)
    recent.accounts(sweep("A", "B"))
    recent.sent(intent(1, 990.0, account="p#1"))
    recent.sent(intent(2, 990.0, account="p#2"))
    recent.accounts(sweep("A", "C"))
    recent.close()
    assert len(recent.of("p#1").minute) == 1
    assert recent.of("p#2").minute == []


# --- windows over sessions ---------------------------------------------------------------------


@dataclass
class Life:
    """Sessions of one account, one after the other, and what they sent at true times."""

    limits: dict[str, float]
    now_s: float = 0.0
    records: list[Intent | Settled] = field(default_factory=list)
    sent: list[tuple[float, int, int, float]] = field(default_factory=list)
    """(when, tokens held, tokens taken, known since when)"""

    def session(
        self, calls: Sequence[tuple[int, float, float]], lasts_s: float, lead_s: float
    ) -> None:
        """`calls`: tokens held, really ÷ held, latency. The kill comes after `lasts_s`."""

        async def main() -> None:
            loop = asyncio.get_running_loop()
            began_s, epoch_s = loop.time(), EPOCH_S + lead_s
            limits = Limits(rpm=self.limits["rpm"], concurrency=8, tpm=self.limits["tpm"], rpd=50)
            recent = remembered(epoch_s + began_s, *self.records)
            limits.recall(recent.of("a"), epoch_s, began_s)
            ends: list[asyncio.Task[None]] = []
            try:
                async with asyncio.timeout(lasts_s):
                    for number, (held, share, latency_s) in enumerate(calls, start=1):
                        permit = await limits.admit(Need(held, 0))
                        at_s = loop.time()
                        self.records.append(intent(number, epoch_s + at_s, held))
                        took = int(held * share)
                        self.sent.append((at_s, held, took, at_s + latency_s))

                        async def end(
                            number: int = number,
                            permit: Permit = permit,
                            took: int = took,
                            s: float = latency_s,
                        ) -> None:
                            await asyncio.sleep(s)
                            self.records.append(Settled(number, s, Usage(took, 0)))
                            limits.succeeded(permit, Usage(took, 0), loop.time())

                        ends.append(loop.create_task(end()))
            except TimeoutError:
                pass
            for task in ends:
                task.cancel()
            self.now_s = loop.time()

        anyio.run(main, backend_options={"loop_factory": lambda: new_loop(self.now_s)})


def check(life: Life) -> None:
    """Every sliding window over all sessions."""
    times = [at_s for at_s, *_ in life.sent]
    for span_s, most in ((MINUTE_S, int(life.limits["rpm"])), (DAY_S, 50)):
        for first, last in zip(times, times[most:], strict=False):
            assert last - first >= span_s - HAIR_S, (span_s, first, last)
    for n, (now, *_) in enumerate(life.sent):
        window = [one for one in life.sent[: n + 1] if one[0] > now - MINUTE_S + HAIR_S]
        known = sum(t if s < now else min(held, t) for _, held, t, s in window)
        assert known <= life.limits["tpm"], (now, known)


CALLS = st.lists(
    st.tuples(st.integers(1, 400), st.floats(0.1, 1.0), st.floats(0.1, 30.0)), max_size=40
)
SESSION = st.tuples(CALLS, st.floats(0.5, 90.0), st.floats(0.0, 40.0), st.floats(0.0, 3.0))


@settings(max_examples=60, deadline=None)
@given(st.lists(SESSION, min_size=2, max_size=4), st.integers(3, 240), st.integers(400, 4000))
def test_no_window_is_exceeded_over_kills_and_resumes(
    plan: list[tuple[list[tuple[int, float, float]], float, float, float]], rpm: int, tpm: int
) -> None:
    """Whatever the calls, the moments of the kills, the gaps, and a wall clock that is set back."""
    life = Life({"rpm": rpm, "tpm": tpm})
    lead_s = 0.0
    for calls, lasts_s, gap_s, back_s in plan:
        life.session(calls, lasts_s, lead_s)
        life.now_s += gap_s
        lead_s -= back_s
    check(life)


# --- the whole engine --------------------------------------------------------------------------

SWEEP = """
name = "s"
benchmark = "mini"
[providers.sim]
api = "openai-chat"
base_url = "simulated:"
simulated = true
concurrency = 4
{limits}
[[models]]
name = "m"
provider = "sim"
model = "m"
max_tokens = 100
[[models]]
name = "n"
provider = "sim"
model = "n"
max_tokens = 100
"""


class Provider:
    """Answers after a second; or says 429 and when to come back."""

    def __init__(self) -> None:
        self.sent: list[float] = []
        self.told_s = 0

    async def send(self, request: HttpRequest, endpoint: Endpoint) -> HttpReply:
        self.sent.append(asyncio.get_running_loop().time())
        await asyncio.sleep(1.0)
        if self.told_s:
            return HttpReply(429, {"retry-after": str(self.told_s)}, b"{}", latency_s=1.0)
        usage = {"prompt_tokens": 40, "completion_tokens": 60}
        choice = {"message": {"content": "yes"}, "finish_reason": "stop"}
        return HttpReply(
            200, {}, codec.encode({"choices": [choice], "usage": usage}), latency_s=1.0
        )

    async def aclose(self) -> None:
        """Nothing to close."""


class Sittings:
    """Sessions of one run on one true clock."""

    def __init__(self, folder: Path, limits: str) -> None:
        self.folder, self.now_s, self.provider = folder, 0.0, Provider()
        (folder / "s.toml").write_text(SWEEP.format(limits=limits), encoding="utf-8")
        self.loaded = load(folder / "s.toml", home=folder / "home")

    def sit(self, *, abandoned_s: float = 1e9, gap_s: float = 0.0) -> Outcome | None:
        """One session that begins `gap_s` after the last, and is given up after a while."""
        self.now_s += gap_s
        outcome: list[Outcome] = []

        def stops(session: Session) -> None:
            asyncio.get_running_loop().call_later(abandoned_s, session.abandon)

        def transports(specs: Sequence[ProviderSpec], loaded: Loaded) -> dict[str, Transport]:
            return {"sim": self.provider}

        outside = Outside({}, None, EPOCH_S + self.now_s, None, stops, transports)
        selection = select(self.loaded, limit=None)
        options = Options(folder=self.folder / "run", selection=selection, judge=False)

        async def main() -> None:
            outcome.append(await conduct(self.loaded, options, outside))
            self.now_s = asyncio.get_running_loop().time()

        anyio.run(main, backend_options={"loop_factory": lambda: new_loop(self.now_s)})
        return outcome[0]

    def most_in_any(self, span_s: float) -> int:
        """Requests in the fullest window of that length."""
        sent = self.provider.sent
        return max(sum(a <= b < a + span_s - HAIR_S for b in sent) for a in sent)


def test_a_sweep_killed_and_resumed_within_the_minute_keeps_its_requests_per_minute(
    tmp_path: Path,
) -> None:
    """Six sessions of seven seconds each send no more than one of forty-two would."""
    sittings = Sittings(tmp_path, "rpm = 12")
    for _ in range(6):
        sittings.sit(abandoned_s=7.0)
    sittings.sit()
    assert sittings.most_in_any(MINUTE_S) <= 12
    assert sittings.most_in_any(1.0) == 1


def test_a_sweep_killed_and_resumed_within_the_minute_keeps_its_tokens_per_minute(
    tmp_path: Path,
) -> None:
    """A hundred tokens a call: nine of them in any minute, killed or not."""
    sittings = Sittings(tmp_path, "tpm = 900")
    for _ in range(6):
        sittings.sit(abandoned_s=12.0)
    sittings.sit()
    assert sittings.most_in_any(MINUTE_S) <= 9


def test_three_sessions_of_a_day_share_its_requests(tmp_path: Path) -> None:
    """The third waits until the first one's are a day old, and no longer than that."""
    sittings = Sittings(tmp_path, "rpd = 10")
    sittings.sit(abandoned_s=1.5)
    first = len(sittings.provider.sent)
    assert 4 <= first < 10
    sittings.sit(abandoned_s=3600.0, gap_s=3600.0)
    assert len(sittings.provider.sent) == 10
    sittings.sit(abandoned_s=3600.0, gap_s=3600.0)
    assert len(sittings.provider.sent) == 10, "the day is not over"
    done = sittings.sit(gap_s=70_000.0)
    assert done is not None
    assert done.state == "complete"
    assert sittings.most_in_any(DAY_S) == 10
    assert sittings.provider.sent[10] < DAY_S + 200


def test_a_told_wait_goes_on_in_the_next_session(tmp_path: Path) -> None:
    """Nothing is sent before its end, and then one call, to see."""
    sittings = Sittings(tmp_path, "")
    sittings.provider.told_s = 300
    sittings.sit(abandoned_s=20.0)
    before = len(sittings.provider.sent)
    sittings.provider.told_s = 0
    sittings.sit(gap_s=10.0)
    began = sittings.provider.sent[before:]
    assert 301.0 - HAIR_S <= began[0] < 302.0
    assert began[1] >= began[0] + 1.0


def test_a_wait_that_nobody_sits_out_is_asked_about_by_one_call(tmp_path: Path) -> None:
    """It stopped the account in the session before; whoever comes back may know better."""
    sittings = Sittings(tmp_path, "")
    sittings.provider.told_s = 7200
    sittings.sit()
    before = len(sittings.provider.sent)
    assert before == 4
    sittings.sit(gap_s=60.0)
    assert len(sittings.provider.sent) == before + 1
    sittings.provider.told_s = 0
    done = sittings.sit(gap_s=60.0)
    assert done is not None
    assert done.state == "complete"


def test_a_clock_that_was_years_ahead_costs_no_more_than_a_window(tmp_path: Path) -> None:
    """The session after it waits a minute at most, the one after that not at all."""
    sittings = Sittings(tmp_path, "rpm = 6")
    sittings.sit(abandoned_s=41.0)
    journal = tmp_path / "run" / "journal.jsonl"
    assert len(sittings.provider.sent) >= 4
    assert journal.exists()
    sittings.now_s -= 1e8  # as if the first one's clock had been ahead
    before = len(sittings.provider.sent)
    sittings.sit(abandoned_s=65.0)
    first_s = sittings.provider.sent[before] - (sittings.now_s - 65.0)
    assert first_s <= 60.5
