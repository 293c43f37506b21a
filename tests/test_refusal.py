"""The words and objects of an error body, whatever its shape."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.refusal import LONGEST_TEXT, Body, read_refusal


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"error":{"message":"slow down","type":"t"}}', "slow down"),
        (b'{"code":20012,"message":"RPM limit","data":null}', "RPM limit"),
        (b'{"base_resp":{"status_code":1002,"status_msg":"rate limit"}}', "rate limit"),
        (b'[{"error":{"message":"one"}},{"error":{"message":"two"}}]', "one\ntwo"),
        (b'"a bare string"', "a bare string"),
        (b"<html>429 Too Many Requests</html>", "<html>429 Too Many Requests</html>"),
        ("\u8bf7\u7a0d\u540e", "请稍后"),
        (b"", ""),
        (None, ""),
        ({"error": {"message": "decoded already"}}, "decoded already"),
        (b'{"error":{"message":"no","prompt":"limit 5"},"input":"limit 6"}', "no"),
    ],
)
def test_a_providers_own_words_are_found_and_nothing_else(body: Body, text: str) -> None:
    """Under the names that providers use; an echoed prompt is not among them."""
    assert read_refusal(body).text == text


def test_json_inside_a_message_is_opened() -> None:
    """As a gateway hands on what its upstream said."""
    inner = {"error": {"message": "inner words", "details": [{"retryDelay": "26s"}]}}
    refusal = read_refusal(json.dumps({"error": {"message": json.dumps(inner)}}).encode())
    assert refusal.text == "inner words"
    assert {"retryDelay": "26s"} in refusal.objects


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=30),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=10), inner),
        max_leaves=50,
    )
    | st.binary(max_size=300)
    | st.text(max_size=300)
)
def test_any_body_is_read_and_the_text_is_bounded(body: Any) -> None:
    """Never an exception."""
    assert len(read_refusal(body).text) <= LONGEST_TEXT


def test_a_body_as_large_as_it_may_be_stays_bounded() -> None:
    """A tower, a crowd, and a long page."""
    tower = b'{"error":' * 150 + b"1" + b"}" * 150
    crowd = json.dumps([{"message": "x" * 50}] * 5000).encode()
    for body in (tower, crowd, b"x" * 10_000_000):
        refusal = read_refusal(body)
        assert len(refusal.text) <= LONGEST_TEXT
        assert len(refusal.objects) <= 500
