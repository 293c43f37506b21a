"""What an error object means: by its body first, by its status second."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import (
    BadRequest,
    CallError,
    ContextTooLong,
    OutOfQuota,
    Overloaded,
    RateLimited,
    Unauthorized,
)
from providers.classify import CODES, classify
from providers.reading import error_in

IN_FLIGHT = {"limit_source": "openrouter_in_flight_budget"}


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        # OpenRouter: the status stands in the body, and 402 is not always money
        (200, {"code": 402, "message": "Insufficient credits"}, OutOfQuota),
        (402, {"code": 402, "message": "in flight", "metadata": IN_FLIGHT}, RateLimited),
        (402, {"code": 402, "metadata": {"limit_source": "openrouter_credits"}}, OutOfQuota),
        (200, {"code": 502, "metadata": {"provider_name": "x", "raw": "y"}}, Overloaded),
        # vLLM says it in words only
        (
            400,
            {"code": 400, "message": "This model's maximum context length is 4096"},
            ContextTooLong,
        ),
        (400, {"type": "BadRequestError", "code": 400, "message": "no"}, BadRequest),
        # without a key OpenAI gives no code
        (401, {"type": "invalid_request_error", "code": None}, Unauthorized),
        (200, {"message": "words"}, Overloaded),
        (200, {"type": "invalid_request_error"}, BadRequest),
        # a prompt that speaks of credits is no bill
        (500, {"message": "credit balance is too low"}, Overloaded),
    ],
)
def test_the_body_decides_first(status: int, error: dict[str, Any], kind: type[CallError]) -> None:
    """Several providers say with 200, 400 or 429 what another says with 402 or 503."""
    assert classify(status, error) is kind


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (403, {"code": 403, "metadata": {"reasons": ["violence"], "flagged_input": "…"}}),
        (200, {"code": 403, "metadata": {"reasons": ["violence"]}}),
        (400, {"code": "content_filter"}),
        (400, {"code": "invalid_prompt", "message": "violates our Usage Policy"}),
        (451, {}),
    ],
)
def test_a_content_filter_is_no_error(status: int, error: dict[str, Any]) -> None:
    """None: an outcome, recorded and counted."""
    assert classify(status, error) is None


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"choices": []}, None),
        ({"error": None}, None),
        ({"error": {}}, None),
        ({"error": ""}, None),
        ({"error": {"code": "x"}}, {"code": "x"}),
        ({"error": "words"}, {"message": "words"}),
        ({"error": ["odd"]}, {"message": ["odd"]}),
        ({"base_resp": {"status_code": 0, "status_msg": ""}}, None),
        (
            {"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}},
            {"code": 1008, "message": "insufficient balance"},
        ),
        (
            {"error_code": 336501, "error_msg": "rpm limit"},
            {"code": 336501, "message": "rpm limit"},
        ),
    ],
)
def test_errors_within_200_stand_in_several_places(body: Any, error: Any) -> None:
    """MiniMax and Baidu have members of their own for them."""
    assert error_in(body) == error


ODD = (
    st.none()
    | st.text(max_size=9)
    | st.integers()
    | st.dictionaries(st.text(max_size=5), st.none())
)


@given(
    st.sampled_from([200, 400, 403, 404, 429, 500]),
    st.dictionaries(
        st.sampled_from(["code", "type", "status", "message", "metadata", "details"]),
        ODD | st.sampled_from(sorted(CODES)) | st.lists(ODD, max_size=2),
    ),
)
def test_any_object_is_some_error_of_ours(status: int, error: dict[str, Any]) -> None:
    """Nothing a server sends is an error of the classifier."""
    kind = classify(status, error)
    assert kind is None or issubclass(kind, CallError)
