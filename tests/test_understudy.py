"""Stand-ins for real models: the right length, readable verdicts, the same every time."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import benchmark, pairing, rubric
from data.rubric_files import load_rubric, rubric_names
from data.schema import Question
from providers.persona import Chat, ChatMessage
from providers.understudy import Length, Script, Understudy

NOWHERE = Path("/nowhere")
MINI = benchmark.load("mini", home=NOWHERE)
RUBRICS = {name: load_rubric(name, home=NOWHERE) for name in rubric_names(NOWHERE)}
QUESTION = MINI.questions[0]
USUAL = {q.text: Length(100.0 + i, 120.0 + i, 60.0) for i, q in enumerate(MINI.questions)}
"""As long as their tokens say, by half a token a narrow character and 0.6 a wide one, about."""
SCRIPT = Script(
    {"m": USUAL, "n": USUAL, "thinker": {QUESTION.text: Length(2000.0, 500.0, 0.0)}},
    {"j": 400.0},
    dict.fromkeys(("m", "n", "thinker", "j"), (0.6, 0.5)),
    8,
)
PLAYER = Understudy(0, SCRIPT, [RUBRICS["alignsweep"]])


def asked(question: Question, model: str = "m", **more: Any) -> Chat:
    return Chat(model=model, messages=(ChatMessage("user", question.text),), **more)


def judged(rendered: rubric.Rendered, **more: Any) -> Chat:
    messages = tuple(ChatMessage(m.role, m.content) for m in rendered.messages)
    return Chat(model="j", messages=messages, **more)


def wide(text: str) -> float:
    return (len(text.encode()) - len(text)) / 2


def test_an_answer_is_as_long_as_expected_on_average() -> None:
    """Tokens and both kinds of characters, spread by the same factor."""
    chats = [asked(q) for q in MINI.questions for _ in range(40)]
    said = [PLAYER.reply(chat) for chat in chats]
    expected = USUAL.values()
    assert fmean(s.completion_tokens for s in said) == pytest.approx(
        fmean(length.tokens for length in expected), rel=0.05
    )
    assert fmean(wide(s.text) for s in said) == pytest.approx(
        fmean(length.wide for length in expected), rel=0.05
    )
    assert fmean(len(s.text) - wide(s.text) for s in said) == pytest.approx(60, rel=0.1)
    assert max(s.completion_tokens for s in said) > 4 * min(s.completion_tokens for s in said)


def test_thinking_is_spent_and_not_shown() -> None:
    """The text follows what is expected to be shown, whatever is billed."""
    said = [PLAYER.reply(asked(QUESTION, "thinker", seed=seed)) for seed in range(200)]
    assert fmean(s.completion_tokens for s in said) == pytest.approx(2000, rel=0.15)
    shown = fmean(wide(s.text) for s in said) / fmean(s.completion_tokens for s in said)
    assert shown == pytest.approx(500 / 2000, rel=0.02)


def test_a_prompt_is_counted_by_the_vocabulary_of_its_model() -> None:
    """Every message, with what stands around it."""
    messages = (ChatMessage("system", "四个汉字"), ChatMessage("user", QUESTION.text))
    said = PLAYER.reply(Chat(model="m", messages=messages))
    narrow = len(QUESTION.text) - wide(QUESTION.text)
    assert said.prompt_tokens == int(0.6 * (4 + wide(QUESTION.text)) + 0.5 * narrow + 2 * 8)


@pytest.mark.parametrize("name", [n for n, r in RUBRICS.items() if not r.pairwise])
@given(answer=st.text(max_size=40), number=st.integers(0, len(MINI.questions) - 1))
def test_every_verdict_on_one_answer_can_be_read(name: str, answer: str, number: int) -> None:
    """Whatever the rubric, and with all others on the same stage; or judges would be asked again."""
    own, question = RUBRICS[name], MINI.questions[number]
    rendered = rubric.render(own, question, answer, seed=0)
    for rubrics in ([own], list(RUBRICS.values())):
        said = Understudy(0, SCRIPT, rubrics).reply(judged(rendered))
        quotation = rendered.quotation
        verdict = rubric.read(
            own, question, said.text, policy="robust", quotation=quotation
        ).verdict
        assert verdict is not None
        assert own.low <= verdict.score <= own.high


@pytest.mark.parametrize("name", [n for n, r in RUBRICS.items() if r.pairwise])
def test_every_verdict_on_two_answers_can_be_read(name: str) -> None:
    """A tie where there is one."""
    own = RUBRICS[name]
    rendered = pairing.render_pair(own, QUESTION, ("一",), ("二",), seed=0)
    for rubrics in ([own], list(RUBRICS.values())):
        said = Understudy(0, SCRIPT, rubrics).reply(judged(rendered))
        verdict = pairing.read_choice(said.text, own.labels, rendered.quotation).verdict
        assert verdict is not None
        assert (verdict.choice == "tie") == ("tie" in own.labels.values())


def test_a_limit_cuts_an_answer_but_no_verdict() -> None:
    """What is cut is shorter in both; a judge's `max_tokens` is there to be enough."""
    one, other = Understudy(0, SCRIPT, []), Understudy(0, SCRIPT, [])
    free = [one.reply(asked(q)) for q in MINI.questions]
    said = [other.reply(asked(q, max_tokens=100)) for q in MINI.questions]
    assert [s.completion_tokens for s in said] == [min(s.completion_tokens, 100) for s in free]
    assert {s.finish_reason for s in said if s.completion_tokens < 100} == {"stop"}
    cut = [(s, f) for s, f in zip(said, free, strict=True) if f.completion_tokens > 150]
    assert cut
    assert all(s.finish_reason == "length" for s, _ in cut)
    assert all(len(s.text) < len(f.text) for s, f in cut)
    rendered = rubric.render(RUBRICS["alignsweep"], QUESTION, "答案", seed=0)
    verdict = PLAYER.reply(judged(rendered, max_tokens=20))
    assert (verdict.completion_tokens, verdict.finish_reason) == (20, "stop")
    assert "综合得分" in verdict.text


@given(seed=st.integers(0, 99), sample=st.integers(0, 5))
def test_the_same_seed_says_the_same(seed: int, sample: int) -> None:
    """In any instance; another seed, sample, model or time says something else somewhere."""

    def lengths(player: Understudy, model: str = "m", draw: int = sample) -> list[int]:
        chats = [asked(q, model, seed=draw) for q in MINI.questions[:20]]
        return [player.reply(chat).completion_tokens for chat in chats]

    def one() -> Understudy:
        return Understudy(seed, SCRIPT, [])

    once = one()
    said = lengths(once)
    assert said == lengths(one())
    assert said != lengths(once)
    assert said != lengths(one(), "n")
    assert said != lengths(one(), draw=sample + 1)
    assert said != lengths(Understudy(seed + 1, SCRIPT, []))
