"""A codec with one provider's ways around it: parameters, path, key header, errors."""

from __future__ import annotations

from typing import Any

import pytest

from data import codec
from data.catalog import ProviderTable, resolve
from data.errors import BadReply, CallError, OutOfQuota, RateLimited, Unauthorized
from data.schema import ErrorRule, Message, Request, Response
from providers.spoken import spoken
from providers.wire import HttpReply, Provider


def speaker(name: str, **table: Any) -> Provider:
    return spoken(resolve(name, ProviderTable(**table), where="w"))


def request(**fields: Any) -> Request:
    return Request(**{"model": "m", "messages": (Message("user", "q"),), **fields})


def reply(status: int, body: Any, **headers: str) -> HttpReply:
    return HttpReply(status, headers, codec.encode(body), 0.25)


def chat(text: str, finish: str = "stop", **more: Any) -> dict[str, Any]:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": finish,
    }
    return {"id": "c", "choices": [choice], **more}


def test_the_wire_body_is_made_of_what_the_provider_takes() -> None:
    """So it is what the cache key is made of."""
    http = speaker("openai").encode(request(model="gpt-5-mini", temperature=0.0, max_tokens=9))
    body = codec.decode(http.body)
    assert "temperature" not in body
    assert "max_tokens" not in body
    assert body["max_completion_tokens"] == 9
    assert http.path == "/chat/completions"


def test_equal_requests_give_equal_bytes() -> None:
    """The second time from the profile that was kept."""
    own = speaker("zhipu")
    first = own.encode(request(model="glm-4.6", temperature=0.0, thinking="off"))
    assert own.encode(request(model="glm-4.6", temperature=0.0, thinking="off")) == first
    assert own.encode(request(model="glm-4.6", temperature=0.0, thinking="on")) != first


def test_azure_has_its_deployment_in_the_path_its_version_in_the_query_and_its_own_key_header() -> (
    None
):
    """Nothing of it is code."""
    own = speaker("azure", base_url="https://mine.openai.azure.com")
    http = own.encode(request(model="gpt 4/o"))
    assert http.path == "/openai/deployments/gpt%204%2Fo/chat/completions?api-version=2024-10-21"
    assert own.authorize("k") == {"api-key": "k"}
    assert own.authorize("") == {}


def test_a_query_joins_one_that_is_there() -> None:
    """Gemini's streaming address has one already."""
    own = speaker("openai", path="/x?alt=sse", query={"v": "1"})
    assert own.encode(request()).path == "/x?alt=sse&v=1"


def test_a_bearer_token_may_be_asked_for() -> None:
    """By name, as any other header."""
    assert speaker("openai", auth="bearer").authorize("k") == {"Authorization": "Bearer k"}
    assert speaker("openai").authorize("k") == {"Authorization": "Bearer k"}


def test_an_answer_is_an_answer() -> None:
    """As the codec reads it."""
    got = speaker("zhipu").decode(reply(200, chat("好")))
    assert (got.text, got.state, got.refused_by, got.refusal_code) == ("好", "answered", "", "")


def test_a_filter_that_answers_with_an_http_error_is_an_outcome() -> None:
    """Recorded as a refusal, with the provider's own code."""
    body = {"error": {"code": "1301", "message": "系统检测到…敏感内容"}}
    got = speaker("zhipu").decode(reply(400, body))
    assert (got.state, got.refused_by, got.refusal_code) == ("refused", "provider", "1301")


def test_a_filter_that_stops_an_answer_is_the_providers() -> None:
    """Whatever it had written by then."""
    got = speaker("zhipu").decode(reply(200, chat("半", "sensitive")))
    assert (got.state, got.refused_by, got.refusal_code) == ("refused", "provider", "sensitive")


def test_an_answer_beside_a_flag_was_filtered() -> None:
    """MiniMax says so next to a choice."""
    flagged = chat("x", output_sensitive=True, base_resp={"status_code": 0, "status_msg": ""})
    got = speaker("minimax").decode(reply(200, flagged))
    assert (got.state, got.text) == ("refused", "")
    clean = chat("x", output_sensitive=False, base_resp={"status_code": 0, "status_msg": ""})
    assert speaker("minimax").decode(reply(200, clean)).state == "answered"


@pytest.mark.parametrize(
    ("name", "status", "body", "kind"),
    [
        (
            "minimax",
            200,
            {"base_resp": {"status_code": 1008, "status_msg": "no money"}},
            OutOfQuota,
        ),
        ("minimax", 200, {"base_resp": {"status_code": 1002, "status_msg": "rate"}}, RateLimited),
        ("qianfan", 200, {"error_code": 110, "error_msg": "Access token invalid"}, Unauthorized),
        ("openrouter", 200, {"error": {"code": 401, "message": "No auth"}}, Unauthorized),
        (
            "dashscope",
            429,
            {"error": {"code": "insufficient_quota", "message": "TPM"}},
            RateLimited,
        ),
        ("openai", 429, {"error": {"code": "insufficient_quota", "message": "pay"}}, OutOfQuota),
        ("zhipu", 200, {"nothing": "here"}, BadReply),
    ],
)
def test_errors_are_read_in_the_providers_own_words(
    name: str, status: int, body: Any, kind: type[CallError]
) -> None:
    """Also inside HTTP 200; what nobody knows stays what the codec made of it."""
    with pytest.raises(CallError) as caught:
        speaker(name).decode(reply(status, body))
    assert type(caught.value) is kind


def test_a_users_rule_speaks_before_the_dialect() -> None:
    """[[providers.NAME.rules]] of a sweep file."""
    spec = resolve("openai", ProviderTable(), where="w")
    own = spoken(codec.replace(spec, rules=(ErrorRule(means="refused", status=(418,)),)))
    got = own.decode(reply(418, {"error": {"message": "teapot"}}))
    assert (got.state, got.refusal_code) == ("refused", "HTTP 418")


def test_what_its_api_cannot_do_without_is_handed_through() -> None:
    """Nothing, for this one."""
    own = spoken(resolve("openai", ProviderTable(), where="w"))
    assert own.needs == frozenset()


def test_a_response_is_immutable_and_says_who_refused_on_disk_too() -> None:
    """The journal's line has it."""
    got = speaker("zhipu").decode(reply(400, {"error": {"code": "1301", "message": "x"}}))
    line = codec.encode(got)
    assert b'"refused_by":"provider","refusal_code":"1301"' in line
    assert codec.decode_as(line, Response) == got
