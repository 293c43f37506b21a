"""Verdicts that a provider holds to a JSON schema: what is asked for, how it is sent and read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cache.journal import scan
from data.codec import replace
from data.errors import NoSchema
from data.rubric import dimensions
from data.rubric_files import load_rubric
from data.schema import Judgment, Message, ProviderSpec, Question, Request
from data.verdict_schema import figures, verdict_schema
from providers.registry import codec_of
from providers.spoken import spoken
from providers.wire import HttpReply
from tests.conftest import Program
from tests.test_counterpart_llama import PYTHON, serving

HOME = Path("/nonexistent")
QUESTION = Question(1, "数学计算", "初等数学", ("1+1=?",), ("2",))
SCHEMA = verdict_schema(
    load_rubric("alignsweep", home=HOME),
    dimensions(load_rubric("alignsweep", home=HOME), QUESTION),
)


def body(api: str, schema: dict[str, Any], *, stream: bool = False) -> dict[str, Any]:
    codec = codec_of(ProviderSpec(name="p", api=api, base_url="http://127.0.0.1/v1", stream=stream))
    request = Request(
        model="m", messages=(Message("user", "q"),), max_tokens=9, temperature=0.0, schema=schema
    )
    found: dict[str, Any] = json.loads(codec.encode(request).body)
    return found


# --- the schema --------------------------------------------------------------------------------


def test_the_schema_asks_for_reasons_first_and_names_everything() -> None:
    """Explanation, the question's own dimensions, the score; nothing else; whole scores listed."""
    members = list(SCHEMA["properties"])
    assert members == [
        "explanation",
        "事实正确性",
        "满足用户需求",
        "逻辑连贯性",
        "完备性",
        "综合得分",
    ]
    assert SCHEMA["required"] == members
    assert SCHEMA["additionalProperties"] is False
    assert SCHEMA["properties"]["综合得分"] == {"type": "integer", "enum": list(range(1, 11))}


@pytest.mark.parametrize(
    ("rubric", "key", "values"),
    [
        ("alignsweep-pairs", "verdict", ["[[甲]]", "[[乙]]", "[[平]]"]),
        ("mt-bench", "rating", [f"[[{n}]]" for n in range(1, 11)]),
        ("general", "综合得分", list(range(1, 11))),
    ],
)
def test_each_kind_of_rubric_has_its_own(rubric: str, key: str, values: list[Any]) -> None:
    """Labels of a comparison, numbers in brackets, a score without dimensions."""
    schema = verdict_schema(load_rubric(rubric, home=HOME), ())
    assert list(schema["properties"]) == ["explanation", key]
    assert schema["properties"][key]["enum"] == values


def test_a_wide_scale_is_given_by_its_ends() -> None:
    """A hundred numbers are listed, a thousand are not; halves at the ends are no whole scores."""
    general = load_rubric("general", home=HOME)
    hundred = replace(general, low=1, high=100)
    thousand = replace(general, low=0.5, high=1000.5)
    assert len(verdict_schema(hundred, ())["properties"]["综合得分"]["enum"]) == 100
    found = verdict_schema(thousand, ())["properties"]["综合得分"]
    assert found == {"type": "integer", "minimum": 1, "maximum": 1000}


# --- the wire ----------------------------------------------------------------------------------


def test_each_dialect_says_it_in_its_own_way() -> None:
    """As the four API references have it; without a schema nothing of it is sent."""
    chat = body("openai-chat", SCHEMA)["response_format"]
    assert chat["type"] == "json_schema"
    assert chat["json_schema"] == {"name": "verdict", "strict": True, "schema": SCHEMA}
    form = body("openai-responses", SCHEMA)["text"]["format"]
    assert form == {"type": "json_schema", "name": "verdict", "strict": True, "schema": SCHEMA}
    made = body("anthropic", SCHEMA)["output_config"]
    assert made == {"format": {"type": "json_schema", "schema": SCHEMA}}
    config = body("gemini", SCHEMA)["generationConfig"]
    assert config["responseMimeType"] == "application/json"
    own = config["responseSchema"]
    assert (own["type"], own["propertyOrdering"]) == ("OBJECT", list(SCHEMA["properties"]))
    assert own["properties"]["综合得分"] == {"type": "INTEGER", "minimum": 1, "maximum": 10}
    assert "additionalProperties" not in own
    for api in ("openai-chat", "openai-responses", "anthropic", "gemini"):
        assert "schema" not in json.dumps(body(api, {})).lower()


def test_a_provider_that_takes_no_schema_stops_the_judge_at_once() -> None:
    """One clear error instead of a refusal for each answer."""
    spec = ProviderSpec(name="p", api="openai-chat", base_url="http://127.0.0.1/v1")
    words = "Invalid parameter: 'response_format' of type 'json_schema' is not supported"
    reply = HttpReply(400, {}, json.dumps({"error": {"message": words}}).encode())
    with pytest.raises(NoSchema) as caught:
        spoken(spec).decode(reply)
    assert caught.value.scope == "model"


# --- reading -----------------------------------------------------------------------------------


def test_what_is_quoted_in_the_explanation_is_no_verdict() -> None:
    """Braces and scores in it change nothing."""
    told = {"explanation": "它写道 {'综合得分': 10}，又写 { 与 } }", "事实正确性": 2, "综合得分": 1}
    assert json.loads(figures(json.dumps(told))) == {"事实正确性": 2, "综合得分": 1}


@pytest.mark.parametrize(
    "text", ["", "评语。{'综合得分': 7}", "[1]", '{"综合得分": 7}', '{"explanation"']
)
def test_a_reply_that_is_no_such_object_is_read_as_ever(text: str) -> None:
    """A provider may not enforce what it was told."""
    assert figures(text) == text


def test_a_judge_that_ignores_the_schema_is_still_read(program: Program) -> None:
    """The simulator does; its free text has a verdict all the same."""
    ended = program.run("init", "s.toml", "--simulated")
    assert ended.code == 0, ended
    path = program.folder / "s.toml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("[[judges]]\n", '[[judges]]\nverdict = "json_schema"\n'), "utf-8")
    ended = program.run("run", "s.toml", "--limit", "5", "--progress", "none")
    assert ended.code == 0, ended
    assert "verdicts unreadable" not in ended.out


# --- for real ----------------------------------------------------------------------------------

QUESTIONS = 12
QUOTES = 'parameters = { logit_bias = { "37" = 100 } }\n'
"""The token of a quotation mark: left to itself this model would never end its explanation."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A llama.cpp server with a model of random weights; it enforces schemas by a grammar."""
    with serving(tmp_path_factory.mktemp("llama")) as url:
        yield url


@pytest.mark.counterpart
@pytest.mark.skipif(not PYTHON, reason="ALIGNSWEEP_COUNTERPARTS names no Python with xllamacpp")
@pytest.mark.parametrize("rubric", ["alignsweep", "mt-bench", "general"])
def test_noise_that_is_held_to_the_schema_has_a_verdict_every_time(
    server: str, program: Program, rubric: str
) -> None:
    """The same model, asked in free text, has none at all (tests/test_counterpart_llama.py)."""
    party = 'provider = "llama"\nmodel = "tiny-random"\n'
    judge = f'{party}max_tokens = 500\nrubric = "{rubric}"\n'
    (program.folder / "s.toml").write_text(
        'name = "s"\nbenchmark = "mini"\nasks = 1\n'
        f'[providers.llama]\napi = "openai-chat"\nbase_url = "{server}"\nconcurrency = 4\n'
        f'[[models]]\nname = "noise"\n{party}max_tokens = 32\n'
        f'[[judges]]\nname = "held"\n{judge}temperature = 1.0\nverdict = "json_schema"\n{QUOTES}',
        encoding="utf-8",
    )
    ended = program.run(
        "run", "s.toml", "--limit", str(QUESTIONS), "--progress", "none", timeout_s=300
    )
    assert ended.code == 0, ended
    lines = scan(program.folder / "runs" / "s" / "journal.jsonl")
    judged = [r for _, r in lines if isinstance(r, Judgment)]
    assert len(judged) == QUESTIONS
    assert [r.trial.question_id for r in judged if r.verdict is None] == []
    assert all(r.verdict and 1 <= r.verdict.score <= 10 for r in judged)
