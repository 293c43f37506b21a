"""What error replies mean, per provider: recorded bodies, and the rules that read them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.catalog import PLACEHOLDER, ProviderTable, presets, resolve
from data.errors import BadRequest, CallError, ConfigError, DailyQuota, OutOfQuota, Overloaded
from data.outcomes import CLASSES, COMMON, check_rule, dialects
from data.schema import ErrorRule
from providers.outcomes import Refused, Rulebook, hidden_in, outcome_of, refused, rulebook
from providers.wire import HttpReply

SAMPLES = Path(__file__).parent / "samples" / "errors.toml"
WRITTEN: dict[str, Any] = tomllib.loads(SAMPLES.read_text(encoding="utf-8"))
CASES = [(name, *case) for name, table in WRITTEN.items() for case in table["cases"]]
HOSTED = {"RateLimited", "Overloaded", "OutOfQuota", "Unauthorized", "UnknownModel"} | {
    "ContextTooLong",
    "BadRequest",
}
OWN_MACHINE = {"ContextTooLong", "UnknownModel", "Overloaded", "BadRequest"}
NO_FILTER_IN_ERRORS = {"gemini"}
"""Its filter answers with HTTP 200 and no candidates: the codec's affair."""


def reply(status: int, body: str | bytes, headers: dict[str, str] | None = None) -> HttpReply:
    raw = body if isinstance(body, bytes) else body.encode()
    return HttpReply(status, headers or {}, raw, 0.5)


def meant(found: CallError | Refused | None) -> str:
    if isinstance(found, Refused):
        return "refused"
    return type(found).__name__


@pytest.mark.parametrize("case", CASES, ids=[f"{c[0]}-{c[1]}-{i}" for i, c in enumerate(CASES)])
def test_a_recorded_error_means_what_it_means_to_that_provider(case: tuple[Any, ...]) -> None:
    """The body decides before the status; a 200 that holds an error is found out, too."""
    name, means, status, body, *rest = case
    got = reply(status, body, *rest)
    rules = rulebook("" if name == COMMON else name)
    found = hidden_in(got, rules) if status == 200 else outcome_of(got, rules)
    assert meant(found) == means
    if isinstance(found, CallError):
        assert found.status == status
        assert str(found).isprintable()
        assert found.message


def test_every_dialect_has_cases_for_every_outcome_that_it_can_have() -> None:
    """A preset without recorded errors is a guess."""
    local = {
        table.errors
        for table in presets().values()
        if urlsplit(table.base_url or "").hostname == "127.0.0.1"
    }
    missing = []
    for name in {*dialects()} - {COMMON}:
        wanted = OWN_MACHINE if name in local else HOSTED
        if name not in local and name not in NO_FILTER_IN_ERRORS:
            wanted = wanted | {"refused"}
        has = {case[0] for case in WRITTEN.get(name, {"cases": []})["cases"]}
        missing += [f"{name}: {outcome}" for outcome in sorted(wanted - has)]
    assert missing == []


@pytest.mark.parametrize("name", sorted(presets()))
def test_every_preset_says_whose_errors_it_answers_with(name: str) -> None:
    """By its own name, by `errors`, or by the preset that it starts from; never by chance."""
    table = presets()[name]
    assert table.errors in dialects(), "write its cases into tests/samples/errors.toml"
    address = (table.base_url or "").replace(PLACEHOLDER, "mine")
    assert resolve(name, ProviderTable(base_url=address), where="w").errors == table.errors


@pytest.mark.parametrize("name", sorted(dialects()))
def test_every_rule_decides_at_least_one_recorded_case(name: str) -> None:
    """A rule that nothing reaches is wrong, or shadowed by one above it."""
    unused = []
    cases = WRITTEN[name]["cases"]
    for number, rule in enumerate(dialects()[name].rules):
        before = tuple(dialects()[name].rules[:number])
        if not any(fits((rule,), case) and not fits(before, case) for case in cases):
            unused.append(f"{rule.means} {rule.code} {rule.says} {rule.status}")
    assert unused == []


def fits(rules: tuple[ErrorRule, ...], case: list[Any]) -> bool:
    """Does any of these rules fit the case? (No status alone ever means a daily quota.)"""
    marked = tuple(
        ErrorRule(means="DailyQuota", code=r.code, says=r.says, status=r.status) for r in rules
    )
    _, status, body, *rest = case
    return meant(outcome_of(reply(status, body, *rest), Rulebook(marked))) == "DailyQuota"


@pytest.mark.parametrize("name", sorted(dialects()))
def test_every_dialect_says_where_it_was_read(name: str) -> None:
    """And its rules could be applied."""
    dialect = dialects()[name]
    assert re.fullmatch(r"20\d\d-\d\d", dialect.checked)
    assert name == COMMON or dialect.source.startswith("https://")
    for rule in dialect.rules:
        check_rule(rule, where=name)


def test_the_same_words_mean_different_things_at_different_providers() -> None:
    """`insufficient_quota` is an empty purse at OpenAI's, and a limit a minute at DashScope's."""
    body = '{"error":{"message":"quota","type":"insufficient_quota","code":"insufficient_quota"}}'
    assert meant(outcome_of(reply(429, body), rulebook("openai"))) == "OutOfQuota"
    assert meant(outcome_of(reply(429, body), rulebook("dashscope"))) == "RateLimited"


def test_a_users_own_rule_comes_first() -> None:
    """For a gateway that nobody else knows."""
    own = (ErrorRule(means="refused", code=("e42",)),)
    got = reply(500, '{"error":{"code":"E42","message":"no"}}')
    found = outcome_of(got, rulebook("openai", own))
    assert isinstance(found, Refused)
    assert found.code == "E42"
    assert meant(outcome_of(got, rulebook("openai"))) == "Overloaded"


def test_a_refusal_is_a_record_that_names_who_refused_and_how() -> None:
    """Final, without a text, and without invented usage."""
    got = reply(400, '{"error":{"code":"1301","message":"敏感"}}', {"x-request-id": "r-1"})
    found = outcome_of(got, rulebook("zhipu"))
    assert isinstance(found, Refused)
    record = refused(found, got)
    assert (record.state, record.refused_by, record.refusal_code) == ("refused", "provider", "1301")
    assert (record.text, record.usage, record.request_id) == ("", None, "r-1")
    named = reply(400, '{"error":{"code":"1301","message":"敏感"},"request_id":"r-2"}')
    assert refused(found, named).request_id == "r-2"
    assert record.latency_s == 0.5


def test_a_daily_quota_is_told_from_an_empty_purse_and_both_stop_the_account() -> None:
    """The one comes back by itself."""
    assert DailyQuota.scope == OutOfQuota.scope == "account"
    assert CLASSES["ModelQuota"].scope == "model"


def test_the_told_wait_is_kept() -> None:
    """From a header, or from the body."""
    found = outcome_of(reply(429, "{}", {"retry-after-ms": "5800"}))
    assert isinstance(found, CallError)
    assert found.retry_after_s == 5.8
    body = '{"error":{"message":"slow down, try again in 20s"}}'
    found = outcome_of(reply(429, body))
    assert isinstance(found, CallError)
    assert found.retry_after_s == 20.0


def test_the_code_to_look_up_stands_in_the_message() -> None:
    """Once, and escaped."""
    found = outcome_of(
        reply(400, '{"error":{"code":"1210","message":"参数有误"}}'), rulebook("zhipu")
    )
    assert str(found) == "参数有误 [1210] (HTTP 400)"
    found = outcome_of(reply(500, b'{"error":{"code":"x","message":"\\u001b[31mred"}}'))
    assert "\x1b" not in str(found)
    assert "\\x1b[31mred" in str(found)


def test_what_a_model_says_in_a_stream_is_never_read_as_an_error() -> None:
    """Only the last events are looked at, and in them only what providers call their words."""
    chunk = '{"choices":[{"delta":{"content":"insufficient balance, inappropriate content"}}]}'
    got = reply(200, f"data: {chunk}\n\ndata: [DONE]\n\n", {"content-type": "text/event-stream"})
    assert hidden_in(got, rulebook("dashscope")) is None
    error = (
        '{"code":"DataInspectionFailed","message":"Output data may contain inappropriate content."}'
    )
    got = reply(200, f"data: {chunk}\n\n" * 9 + f"data: {error}\n\n")
    assert meant(hidden_in(got, rulebook("dashscope"))) == "refused"


def test_an_answer_holds_no_error() -> None:
    """Not even one that speaks of errors."""
    body = (
        '{"id":"1","choices":[{"finish_reason":"stop","message":{"role":"assistant",'
        '"content":"{\\"error\\":{\\"code\\":\\"1301\\"}} model not found"}}],"code":0,'
        '"base_resp":{"status_code":0,"status_msg":"success"},"input_sensitive":false}'
    )
    for name in dialects():
        assert hidden_in(reply(200, body), rulebook(name)) is None


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (ErrorRule(means="Refused", code=("x",)), "`means` names no outcome"),
        (ErrorRule(means="OverBudget", code=("x",)), "`means` names no outcome"),
        (ErrorRule(means="refused"), "without `code`, `says` or `status`"),
        (ErrorRule(means="refused", says="("), "no regular expression"),
    ],
)
def test_a_rule_that_cannot_be_applied_is_refused(rule: ErrorRule, says: str) -> None:
    """With its place."""
    with pytest.raises(ConfigError, match=re.escape(says)) as caught:
        check_rule(rule, where="here")
    assert caught.value.where == "here"


@given(st.integers(100, 599), st.binary(max_size=400) | st.text(max_size=200))
def test_any_reply_means_something(status: int, body: bytes | str) -> None:
    """Never an exception of another kind; a server's trouble is retried, a client's is not."""
    found = outcome_of(
        reply(status, body if isinstance(body, bytes) else body.encode()), rulebook("zhipu")
    )
    assert isinstance(found, CallError | Refused)
    if isinstance(found, CallError):
        assert not (type(found) is Overloaded and status == 400 and not body)
        assert not (type(found) is BadRequest and status >= 500)
