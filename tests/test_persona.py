"""Who answers and who judges in a simulation."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from statistics import correlation, fmean, stdev
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data import codec
from data.compat import read_compat
from data.rubric import read, render
from data.rubric_files import load_rubric
from data.schema import Benchmark, Question
from providers.persona import MARK, Cast, Chat, ChatMessage, Manner, Spoken
from providers.scorebook import HIGH, LOW, centred, published

SHARED = Path(__file__).parents[2] / "shared" / "alignbench"
QUESTIONS = SHARED / "data_v1.1_release.jsonl"
SHORT = {
    "数学计算": "数学",
    "逻辑推理": "逻辑",
    "基本任务": "基本",
    "中文理解": "中文",
    "综合问答": "综合",
    "文本写作": "写作",
    "角色扮演": "角色",
    "专业能力": "专业",
}
BOARD = published()
ANY = partial(st.text, st.characters())
"""Any text, lone surrogates included."""
NAMES = ("事实正确性", "满足用户需求", "清晰度", "完备性")


def question(number: int | str, category: str = "专业能力", text: str = "") -> Question:
    return Question(number, category, "历史", (text or f"第{number}题：活字印刷术是谁发明的？",))


def benchmark(name: str, *questions: Question) -> Benchmark:
    return Benchmark(name=name, title=name, questions=questions, sha256="")


SMALL = benchmark("small", *(question(n) for n in range(1, 41)))
CAST = Cast(0, [SMALL], [BOARD])


def ask(text: str, model: str = "qwen-14b-chat", **more: Any) -> Chat:
    return Chat(model=model, messages=(ChatMessage("user", text),), **more)


def judging(answer: str, of: Question, names: tuple[str, ...] = NAMES) -> str:
    """A judge prompt in the official shape: numbered dimensions, an example, then the material."""
    listed = "".join(f"{i}. {name}: 看{name}。\n" for i, name in enumerate(names, start=1))
    return (
        f"请从下面的维度评估：\n{listed}流程如下：\n1. 先比较，再解释：找出不足。\n"
        "末尾返回 {'维度一': 打分, ..., '综合得分': 打分}。\n"
        f"用户的提问： {of.text}\n[助手的答案开始]\n{answer}\n[助手的答案结束]\n"
    )


def ratings(said: Spoken) -> dict[str, int]:
    """The verdict in the official style: a dictionary with single quotes on the last line."""
    return {k: int(v) for k, v in re.findall(r"'(.*?)': (\d+)", said.text.splitlines()[-1])}


@pytest.fixture(scope="module")
def official() -> Benchmark:
    if not QUESTIONS.exists():
        pytest.skip("the official questions are not here")
    rows = [codec.decode(line) for _, line in codec.read_lines(QUESTIONS)]
    return benchmark(
        "alignbench",
        *(
            Question(r["question_id"], r["category"], r["subcategory"], (r["question"],))
            for r in rows
        ),
    )


# --- models ------------------------------------------------------------------------------------


def test_an_answer_begins_with_the_mark_of_who_answered_what() -> None:
    """Model, question id, and the body's seed as sample."""
    assert CAST.reply(ask(question(7).text)).text.startswith("〔simulated qwen-14b-chat 7 0〕")
    assert CAST.reply(ask(question(7).text, seed=3)).text.startswith(
        "〔simulated qwen-14b-chat 7 3〕"
    )


def test_an_unknown_question_is_named_by_a_hash_of_its_text() -> None:
    """Twelve hex digits, the same for the same words."""
    mark = MARK.match(CAST.reply(ask("今天天气怎么样？")).text)
    assert mark
    assert re.fullmatch(r"[0-9a-f]{12}", mark[2])
    assert mark[0] in CAST.reply(ask("今天天气怎么样？")).text


def test_the_last_user_message_is_the_question() -> None:
    """A system prompt and earlier turns change nothing about who asks what."""
    messages = (
        ChatMessage("system", "你是助手。"),
        ChatMessage("user", question(1).text),
        ChatMessage("assistant", "〔simulated m 1 0〕答。"),
        ChatMessage("user", question(2).text),
    )
    assert "〔simulated m 2 0〕" in CAST.reply(Chat(model="m", messages=messages)).text


def test_answers_are_80_to_600_characters_of_filler_and_of_different_length() -> None:
    """Beyond the mark."""
    texts = [CAST.reply(ask(q.text, model=m)).text for q in SMALL.questions for m in ("a", "b")]
    lengths = [len(MARK.sub("", text)) for text in texts]
    assert min(lengths) >= 80
    assert max(lengths) <= 600
    assert stdev(lengths) > 50
    assert len(set(texts)) == len(texts)


def test_the_same_seed_says_the_same_and_another_seed_something_else() -> None:
    """In a fresh cast, whatever was asked before."""
    chat = ask(question(5).text)
    assert Cast(0, [SMALL], [BOARD]).reply(chat) == CAST.reply(chat)
    assert Cast(1, [SMALL], [BOARD]).reply(chat).text != CAST.reply(chat).text


def test_a_limit_on_tokens_cuts_the_text_but_never_the_mark() -> None:
    """As a real provider does, it says `length`."""
    whole, cut = CAST.reply(ask(question(5).text)), CAST.reply(ask(question(5).text, max_tokens=30))
    assert (whole.finish_reason, cut.finish_reason) == ("stop", "length")
    assert whole.text.startswith(cut.text)
    assert cut.completion_tokens == 30 < whole.completion_tokens
    tiny = CAST.reply(ask(question(5).text, max_tokens=1))
    assert tiny.text == "〔simulated qwen-14b-chat 5 0〕"


def test_a_refusal_and_a_cut_say_so() -> None:
    """Outcomes, not errors."""
    refused = CAST.reply(ask(question(5).text), "refused")
    cut = CAST.reply(ask(question(5).text), "cut")
    assert (refused.finish_reason, cut.finish_reason) == ("content_filter", "length")
    assert MARK.match(refused.text)
    assert CAST.reply(ask(question(5).text)).text.startswith(cut.text)


@given(ANY(max_size=200), ANY(min_size=1, max_size=30), ANY(max_size=20))
def test_any_text_is_answered_with_a_mark_that_can_be_read(
    text: str, model: str, ident: str
) -> None:
    """Names and ids may hold anything, brackets, spaces and lone surrogates included."""
    cast = Cast(0, [benchmark("b", question(ident, text="这题？"))], [BOARD])
    assert MARK.match(cast.reply(ask("这题？", model=model)).text)
    said = cast.reply(ask(text, model=model))
    assert said.text
    assert said.completion_tokens > 0


# --- judges ------------------------------------------------------------------------------------


def test_a_judge_reads_the_mark_and_scores_every_dimension_of_its_prompt() -> None:
    """The overall score is the one the cast gives this judge, model and question."""
    answer = CAST.reply(ask(question(9).text)).text
    said = CAST.reply(ask(judging(answer, question(9)), model="CritiqueLLM"))
    expected = CAST.score("CritiqueLLM", "qwen-14b-chat", question(9))
    verdict = ratings(said)
    assert list(verdict) == [*NAMES, "综合得分"]
    assert verdict["综合得分"] == expected
    assert read_compat(said.text) == (verdict, expected)
    assert all(f"{name}：" in said.text for name in NAMES)
    assert "模拟评委 CritiqueLLM" in said.text


def test_a_verdict_breaks_none_of_the_official_rules() -> None:
    """The overall score lies among the dimensions, and is low where the facts are wrong."""
    for q in SMALL.questions:
        answer = CAST.reply(ask(q.text, model="internlm-chat-7b")).text
        verdict = ratings(CAST.reply(ask(judging(answer, q), model="gpt-4-0613")))
        overall = verdict.pop("综合得分")
        assert min(verdict.values()) <= overall <= max(verdict.values())
        assert verdict["事实正确性"] > 2 or overall <= 2


def test_our_own_rubric_is_answered_so_that_the_robust_reader_reads_it(tmp_path: Path) -> None:
    """All dimensions, from every manner that holds a score."""
    rubric = load_rubric("alignsweep", home=tmp_path)
    q = question(3)
    answer = CAST.reply(ask(q.text)).text
    asked = render(rubric, q, answer, seed=0)
    score = CAST.score("judge", "qwen-14b-chat", q)
    sources: dict[Manner, str] = {"plain": "complete", "json": "complete", "prose": "prose"}
    for manner, source in sources.items():
        text = CAST.reply(ask(asked.messages[0].content, model="judge"), manner).text
        found = read(rubric, q, text, policy="robust", quotation=asked.quotation).verdict
        assert found is not None
        assert (found.score, found.source) == (score, source)
        assert tuple(found.dimensions) == (asked.dimensions if source == "complete" else ())
    silent: tuple[Manner, ...] = ("nothing", "cut", "refused")
    for manner in silent:
        text = CAST.reply(ask(asked.messages[0].content, model="judge"), manner).text
        assert read(rubric, q, text, policy="robust", quotation=asked.quotation).verdict is None


def test_a_real_answer_gets_a_random_score_around_six_and_the_judge_says_so() -> None:
    """A simulated judge has no opinion of real text."""
    prompts = [judging(f"这是第{n}个真实的回答。", question(1)) for n in range(200)]
    said = [CAST.reply(ask(p, model="gpt-4-0613")) for p in prompts]
    assert 5.5 < fmean(ratings(s)["综合得分"] for s in said) < 6.5
    assert all("没有模拟标记" in s.text for s in said)


def test_a_published_judge_is_also_a_model_when_it_is_asked_a_question() -> None:
    """gpt-4-0613 stands in the table twice."""
    assert MARK.match(CAST.reply(ask(question(1).text, model="gpt-4-0613")).text)


def test_where_benchmarks_share_ids_the_prompt_tells_which_question_is_judged() -> None:
    """Question 1 of one is not question 1 of the other."""
    other = benchmark(
        "other", *(question(n, "数学计算", f"{n} 加 {n} 等于几？") for n in range(1, 41))
    )
    cast = Cast(0, [SMALL, other], [BOARD])
    for bench in (SMALL, other):
        for q in bench.questions:
            answer = cast.reply(ask(q.text)).text
            verdict = ratings(cast.reply(ask(judging(answer, q), model="CritiqueLLM")))
            assert verdict["综合得分"] == cast.score("CritiqueLLM", "qwen-14b-chat", q)


# --- scores ------------------------------------------------------------------------------------


def test_the_packaged_tables_are_the_published_ones() -> None:
    """17 models by two judges, cell by cell."""
    path = SHARED / "leaderboards.json"
    if not path.exists():
        pytest.skip("the published tables are not here")
    tables = codec.decode(codec.read_bytes(path))
    for judge, key in (("gpt-4-0613", "gpt-4-0613"), ("CritiqueLLM", "critiquellm")):
        assert list(BOARD.judges[judge]) == [row["model"] for row in tables[key]]
        for row in tables[key]:
            ours = BOARD.judges[judge][row["model"]]
            assert ours.summary == {k: row[k] for k in ("总分", "推理", "语言")}
            assert ours.categories == {full: row[short] for full, short in SHORT.items()}


def test_category_means_equal_the_published_ones_within_rounding(official: Benchmark) -> None:
    """17 models, 2 judges, 8 categories of the official 683 questions."""
    cast = Cast(7, [official], [BOARD])
    assert len(official.questions) == 683
    cells = 0
    for judge, rows in BOARD.judges.items():
        for model, row in rows.items():
            for category, target in row.categories.items():
                found = [
                    cast.score(judge, model, q)
                    for q in official.questions
                    if q.category == category
                ]
                assert abs(fmean(found) - target) <= 0.5 / len(found) + 1e-9
                assert all(LOW <= score <= HIGH for score in found)
                cells += 1
    assert cells == 2 * 17 * 8


def test_the_mean_is_also_read_back_from_the_judges_words(official: Benchmark) -> None:
    """The whole way: question, answer, judge prompt, verdict, a simple regular expression."""
    cast = Cast(0, [official], [BOARD])
    found = []
    for q in official.questions:
        if q.category == "逻辑推理":
            answer = cast.reply(ask(q.text, model="chatglm-turbo（智谱清言）")).text
            said = cast.reply(ask(judging(answer, q), model="CritiqueLLM"))
            found.append(ratings(said)["综合得分"])
    assert len(found) == 92
    assert abs(fmean(found) - 5.09) <= 0.5 / 92 + 1e-9


def test_scores_spread_and_two_judges_agree_as_real_ones_do(official: Benchmark) -> None:
    """Neither constant nor independent."""
    cast = Cast(0, [official], [BOARD])
    one, two = (
        [cast.score(judge, "qwen-14b-chat", q) for q in official.questions]
        for judge in BOARD.judges
    )
    assert 1.5 < stdev(one) < 3
    assert 0.6 < correlation(one, two) < 0.95


def test_the_short_form_of_a_name_is_the_same_model() -> None:
    """The part before the full-width parenthesis; targets are equal, luck is its own."""
    for name in ("chatglm-turbo", "chatglm-turbo（智谱清言）"):
        scores = [CAST.score("gpt-4-0613", name, q) for q in SMALL.questions]
        assert abs(fmean(scores) - 7.24) <= 0.5 / 40 + 1e-9


def test_other_samples_and_repeats_differ_by_at_most_one() -> None:
    """And some do differ."""
    q, base = question(4), CAST.score("CritiqueLLM", "chatglm2-6b", question(4))
    draws = [
        CAST.score("CritiqueLLM", "chatglm2-6b", q, sample=s, repeat=r)
        for s in range(5)
        for r in range(5)
    ]
    assert draws[0] == base
    assert {abs(d - base) for d in draws} == {0, 1}


def test_unknown_models_have_an_ability_and_unknown_judges_a_strictness_of_their_own() -> None:
    """Stable, and not all alike."""
    models = [
        fmean(CAST.score("gpt-4-0613", f"m{n}", q) for q in SMALL.questions) for n in range(30)
    ]
    judges = [
        fmean(CAST.score(f"j{n}", "qwen-14b-chat", q) for q in SMALL.questions) for n in range(30)
    ]
    assert max(models) - min(models) > 2
    assert 0.3 < max(judges) - min(judges) < 0.9
    assert abs(fmean(judges) - 6.56) < 0.2


@given(st.lists(st.tuples(st.integers(LOW, HIGH), st.floats(0, 1)), min_size=1), st.data())
def test_centring_reaches_any_possible_sum_within_the_scale(
    drawn: list[tuple[int, float]], data: st.DataObject
) -> None:
    """By steps of one, and never further than needed."""
    raw = [score for score, _ in drawn]
    order = sorted(range(len(raw)), key=lambda i: drawn[i][1])
    total = data.draw(st.integers(LOW * len(raw), HIGH * len(raw)))
    scores = centred(raw, total, order)
    assert sum(scores) == total
    assert all(LOW <= score <= HIGH for score in scores)
    moved = sum(abs(a - b) for a, b in zip(raw, scores, strict=True))
    assert moved == abs(total - sum(raw))
