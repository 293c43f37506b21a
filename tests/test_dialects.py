"""One sweep, four dialects: from the sweep file to the journal, as a user runs it."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import pytest

from cache.journal import scan
from data.errors import BadReply
from data.schema import Answer, Judgment, Message, Request, Settled
from providers.persona import Cast
from providers.registry import DIALECTS, STREAMED
from providers.simulator import SimOptions, Simulator
from providers.wire import HttpReply

if TYPE_CHECKING:
    from tests.conftest import Program

QUESTIONS = 6
RUN = ("--limit", str(QUESTIONS), "--progress", "none")


def sweep_file(*, error_rate: float = 0.0) -> str:
    """An account for each dialect, streamed and not; the same simulated model answers at each of them."""
    text = 'name = "s"\nbenchmark = "mini"\n'
    for api, stream in product(DIALECTS, (False, True)):
        name = f"{api}-{stream}"
        text += (
            f'[providers."{name}"]\napi = "{api}"\nbase_url = "simulated:"\nsimulated = true\n'
            f"stream = {str(stream).lower()}\n"
            f"simulator = {{ latency_s = 0.5, error_rate = {error_rate} }}\n"
            f'[[models]]\nname = "{name}"\nprovider = "{name}"\nmodel = "qwen-7b-chat"\n'
            "max_tokens = 2000\n"
        )
    judge = 'name = "j"\nprovider = "anthropic-True"\nmodel = "CritiqueLLM"\nmax_tokens = 1000\n'
    return f"{text}[[judges]]\n{judge}"


@pytest.fixture
def ready(program: Program) -> Program:
    (program.folder / "s.toml").write_text(sweep_file(), encoding="utf-8")
    return program


def test_every_dialect_has_a_streamed_twin() -> None:
    """One list is enough to look at."""
    assert DIALECTS.keys() == STREAMED.keys()


def test_a_sweep_over_all_dialects_gives_the_same_answers_and_scores(ready: Program) -> None:
    """The simulated model is one, so what differs would be the codecs' doing."""
    ended = ready.run("run", "s.toml", *RUN)
    assert ended.code == 0, ended
    records = [r for _, r in scan(ready.folder / "runs" / "s" / "journal.jsonl")]
    answers: dict[object, set[str]] = {}
    for record in records:
        if isinstance(record, Answer):
            answers.setdefault(record.trial.question_id, set()).add(record.response.text)
            streamed = record.trial.model.endswith("True")
            assert (record.response.ttft_s is not None) is streamed
            assert record.response.raw_usage
            assert record.response.simulated
    assert [len(texts) for texts in answers.values()] == [1] * QUESTIONS
    scores: dict[object, set[float]] = {}
    for record in records:
        if isinstance(record, Judgment):
            assert record.verdict is not None
            scores.setdefault(record.trial.question_id, set()).add(record.verdict.score)
    assert [len(values) for values in scores.values()] == [1] * QUESTIONS


def test_plan_and_cache_know_a_streamed_call_by_its_own_body(ready: Program) -> None:
    """What was answered is not sent again, and asking for streams asks anew."""
    everything = len(DIALECTS) * 2 * QUESTIONS
    assert ready.run("run", "s.toml", *RUN).code == 0
    path = ready.folder / "s.toml"
    path.write_text(sweep_file().replace('name = "s"', 'name = "again"', 1), encoding="utf-8")
    ended = ready.run("run", "s.toml", *RUN)
    assert ended.code == 0, ended
    assert not sent(ready, "again")
    other = sweep_file().replace('name = "s"', 'name = "other"', 1)
    path.write_text(other.replace("stream = false", "stream = true"), encoding="utf-8")
    assert ready.run("run", "s.toml", *RUN).code == 0
    # each dialect's two accounts now ask in the same words, which the streamed one asked before
    assert not sent(ready, "other")
    path.write_text(
        other.replace('"other"', '"whole"').replace("stream = true", "stream = false"),
        encoding="utf-8",
    )
    assert ready.run("run", "s.toml", *RUN, "--no-cache").code == 0
    assert len(sent(ready, "whole")) == 2 * everything


def sent(program: Program, run: str) -> list[Settled]:
    lines = scan(program.folder / "runs" / run / "journal.jsonl")
    return [record for _, record in lines if isinstance(record, Settled)]


def test_a_sweep_over_all_dialects_gets_through_trouble(program: Program) -> None:
    """Errors of every dialect's shape, in streams and before them, resets and silence."""
    (program.folder / "s.toml").write_text(sweep_file(error_rate=0.3), encoding="utf-8")
    ended = program.run("run", "s.toml", *RUN)
    assert ended.code == 0, ended
    errors = {end.error for end in sent(program, "s") if end.error}
    assert errors == {"Overloaded", "TransportError"}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("api", DIALECTS)
def test_a_reply_without_an_answer_tells_what_it_took(api: str, stream: bool) -> None:
    """In every dialect, whole or streamed: the error carries the usage that will be billed."""
    codec = (STREAMED if stream else DIALECTS)[api]
    asked = codec.encode(
        Request(model="m", messages=(Message("user", "q"),), max_tokens=99, temperature=0.0)
    )
    simulator = Simulator(SimOptions(error_rate=1.0, faults={"empty": 1.0}), Cast(0, [], []))
    said = simulator.reply_to(asked.path, asked.body, 0.0)
    with pytest.raises(BadReply) as caught:
        codec.decode(HttpReply(said.status, said.headers, said.body))
    assert caught.value.usage is not None
    assert caught.value.usage.output_tokens > 0


def test_whether_replies_are_streamed_may_change_from_one_session_to_the_next(
    ready: Program,
) -> None:
    """It decides no result; the change is told and kept."""
    assert ready.run("run", "s.toml", "--limit", "1", "--progress", "none").code == 0
    path = ready.folder / "s.toml"
    path.write_text(sweep_file().replace("stream = true", "stream = false"), encoding="utf-8")
    ended = ready.run("run", "s.toml", *RUN)
    assert ended.code == 0, ended
    journal = (ready.folder / "runs" / "s" / "journal.jsonl").read_text(encoding="utf-8")
    assert "stream: true -> " in journal


def test_an_api_that_needs_a_limit_is_told_so_before_anything_is_sent(ready: Program) -> None:
    """With the line of the model that lacks it."""
    path = ready.folder / "s.toml"
    path.write_text(sweep_file().replace("max_tokens = 1000\n", ""), encoding="utf-8")
    ended = ready.run("run", "s.toml", *RUN)
    assert ended.code == 2
    assert "`j` has no `max_tokens`, which api `anthropic` requires" in ended.err
    assert not (ready.folder / "runs").exists()
