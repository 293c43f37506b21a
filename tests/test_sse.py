"""Server-sent events: the framing rules of the HTML Standard, and when what arrived."""

from __future__ import annotations

from itertools import accumulate, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import BadReply
from providers import sse
from providers.sse import Channel, Event, arrival_s, events, is_stream
from providers.wire import HttpReply

STREAM = (
    ": hello\n\n"
    'data: {"a": "你好"}\n\n'
    "event: ping\ndata: {}\n\n"
    'data: {"b":\ndata:  1}\n\n'
    "data: [DONE]\n\n"
).encode()


def told(body: bytes) -> list[tuple[str, bytes]]:
    return [(event.name, event.data) for event in events(body)]


def test_events_comments_names_and_lines_that_belong_together() -> None:
    """The usual stream: a comment, data, a named event, data of two lines, the end."""
    assert told(STREAM) == [
        ("", '{"a": "你好"}'.encode()),
        ("ping", b"{}"),
        ("", b'{"b":\n 1}'),
        ("", b"[DONE]"),
    ]


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
def test_lines_may_end_in_any_of_three_ways(ending: bytes) -> None:
    """Servers behind proxies send CRLF."""
    assert told(STREAM.replace(b"\n", ending)) == told(STREAM)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", []),
        (b"\n\n\r\n: keep-alive\n\n\n", []),
        (b"\xef\xbb\xbfdata: a\n\n", [("", b"a")]),
        (b"\n\n\n\ndata: a\n\n", [("", b"a")]),
        (b"data:a\n\n", [("", b"a")]),
        (b"data:  a \n\n", [("", b" a ")]),
        (b"data\n\n", [("", b"")]),
        (b"data: a\n\n\n\n\ndata: b\n\n", [("", b"a"), ("", b"b")]),
        (b"id: 7\nretry: 10\nfoo: bar\ndata: a\n\n", [("", b"a")]),
        (b"data: a\n: in between\ndata: b\n\n", [("", b"a\nb")]),
        (b"event: x\n\ndata: a\n\n", [("", b"a")]),
        (b"data: a\nevent: x\n\n", [("x", b"a")]),
        (b"data: a\n\ndata: b", [("", b"a"), ("", b"b")]),
        (b"data: a\r\n\r\ndata: b\r\r", [("", b"a"), ("", b"b")]),
        (b"data: \xff\xfe\n\nevent: \xff\ndata: a\n\n", [("", b"\xff\xfe"), ("\ufffd", b"a")]),
    ],
)
def test_the_corners_of_the_format(body: bytes, expected: list[tuple[str, bytes]]) -> None:
    """Also an event that the end of the body leaves open: its JSON shows whether it is whole."""
    assert told(body) == expected


def test_an_event_has_arrived_with_its_last_data_line() -> None:
    """Not with the blank line after it, nor with the first of its lines."""
    for event in events(STREAM):
        assert STREAM[: event.end].endswith(event.data.rpartition(b"\n")[2])


LINES = st.lists(
    st.sampled_from(
        ["data: a", "data:b", "data", "data: 你", "event: e", ": c", "id: 1", "x", "", "", ""]
    ),
    max_size=30,
)


@pytest.fixture(scope="module")
def oracle() -> Any:
    """OpenAI's own decoder."""
    return pytest.importorskip("openai._streaming", reason="the openai SDK is not installed")


@given(lines=LINES, data=st.data())
def test_the_official_client_reads_the_same_events(
    oracle: Any, lines: list[str], data: st.DataObject
) -> None:
    """It is fed in pieces of any size."""
    endings = data.draw(st.lists(st.sampled_from(["\n", "\r\n"]), min_size=30, max_size=30))
    text = "".join(line + end for line, end in zip(lines, endings, strict=False)) + "\n\n"
    body = text.encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=8)))
    pieces = [body[a:b] for a, b in pairwise([0, *cuts, len(body)])]
    theirs = [
        (found.event or "", found.data.encode())
        for found in oracle.SSEDecoder().iter_bytes(iter(pieces))
        if found.data  # it also gives events that hold no data at all
    ]
    assert [(name, held) for name, held in told(body) if held] == theirs


@given(st.binary(max_size=200))
def test_any_bytes_are_some_events(body: bytes) -> None:
    """Nothing a server sends is an error of ours; offsets rise and stay within the body."""
    ends = [event.end for event in events(body)]
    assert ends == sorted(ends)
    assert all(0 < end <= len(body) for end in ends)


def test_a_flood_of_lines_ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blank lines cost next to nothing; lines that say nothing are counted."""
    assert told(b"\n" * 5_000_000 + b"data: a\n\n") == [("", b"a")]
    monkeypatch.setattr(sse, "MOST_LINES", 1000)
    with pytest.raises(BadReply, match="more than 1,000 lines"):
        told(b":\n" * 1001)


# --- what is a stream --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "kind", "expected"),
    [
        (b"data: {}\n\n", "text/event-stream", True),
        (b"data: {}\n\n", "Text/Event-Stream; charset=utf-8", True),
        (b"data: {}\n\n", "application/json", True),
        (b"\n\n: keep-alive\n\n", "", True),
        (b"event: error\ndata: {}\n\n", "", True),
        (b"", "text/event-stream", True),
        (b'{"error": {}}', "text/event-stream", False),
        (b'\n\n  [{"error": {}}]', "text/event-stream", False),
        (b'\xef\xbb\xbf{"a": 1}', "text/event-stream", False),
        (b"\n\n\n{}", "application/json", False),
        (b"<html>", "text/html", False),
        (b"", "application/json", False),
    ],
)
def test_what_came_decides_whether_it_is_a_stream(body: bytes, kind: str, expected: bool) -> None:
    """Some servers answer a request for a stream with JSON, above all errors."""
    assert is_stream(HttpReply(200, {"content-type": kind} if kind else {}, body)) is expected


# --- channels and times ------------------------------------------------------------------------


def test_a_channel_knows_where_each_of_its_characters_arrived() -> None:
    """What is empty or no text is no token."""
    channel = Channel()
    nothings: tuple[Any, ...] = ("", None, 7, [])
    for nothing in nothings:
        channel.add(nothing, 5)
    assert (channel.text, channel.first, channel.last, channel.end_of(0)) == ("", None, None, None)
    channel.add("ab", 10)
    channel.add("c", 20)
    assert (channel.text, channel.first, channel.last) == ("abc", 10, 20)
    assert [channel.end_of(n) for n in range(4)] == [10, 10, 20, None]


@given(st.lists(st.integers(1, 50), min_size=1, max_size=20), st.integers(1, 1200))
def test_a_time_is_that_of_the_chunk_in_which_the_offset_was_reached(
    sizes: list[int], end: int
) -> None:
    """Whatever the chunks are; beyond the last one nobody knows."""
    marks = tuple((size, float(n)) for n, size in enumerate(accumulate(sizes), start=1))
    found = arrival_s(HttpReply(200, {}, b"", marks=marks), end)
    expected = next((at for size, at in marks if size >= end), None)
    assert found == expected
    assert arrival_s(HttpReply(200, {}, b""), end) is None
    assert arrival_s(HttpReply(200, {}, b"", marks=marks), None) is None


def test_events_are_plain_records() -> None:
    """Equal when their parts are."""
    assert list(events(b"data: a\n\n")) == [Event(b"a", "", 7)]
