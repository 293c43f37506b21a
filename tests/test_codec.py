"""Bytes in, bytes out: nothing a model sends is lost, and nothing hostile gets through."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.codec import (
    NESTING,
    Table,
    Undecodable,
    canonical,
    convert,
    decode,
    decode_as,
    decode_record,
    encode,
    plain,
    read_bytes,
    read_lines,
    sha256,
)
from data.errors import ConfigError, DataError
from data.schema import Message, Response, Settled

ANY_TEXT = st.text(st.characters(exclude_categories=[]))
"""Lone surrogates too: models send them as escapes."""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(-1e300, 1e300) | ANY_TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ANY_TEXT, inner, max_size=3),
    max_leaves=10,
)


@given(ANY_TEXT)
def test_every_text_survives_the_round_trip(text: str) -> None:
    """As a value, as a key, and inside a record."""
    assert decode(encode(text)) == text
    assert decode(encode({text: [text]})) == {text: [text]}
    assert decode_as(encode(Response(text=text)), Response) == Response(text=text)
    assert decode_record(encode(Settled(1, message=text))) == Settled(1, message=text)


@given(JSON)
def test_every_value_survives_the_round_trip(value: Any) -> None:
    """And is one line without a raw newline, as a journal needs it."""
    data = encode(value)
    assert b"\n" not in data
    assert decode(data) == value
    assert decode(canonical(value)) == value


@given(st.dictionaries(ANY_TEXT, JSON, max_size=5), st.randoms())
def test_canonical_bytes_do_not_know_the_order_of_keys(value: dict[str, Any], dice: Any) -> None:
    """And differ where values differ."""
    items = list(value.items())
    dice.shuffle(items)
    assert canonical(dict(items)) == canonical(value)
    assert canonical({**value, "more": 1}) != canonical({**value, "more": 2})


def test_a_body_keeps_the_order_in_which_it_was_written() -> None:
    """Canonical bytes do not."""
    assert encode({"b": 1, "a": 2}) == b'{"b":1,"a":2}'
    assert canonical({"b": 1, "a": 2}) == b'{"a":2,"b":1}'
    assert encode(Message("user", "问")) == '{"role":"user","content":"问"}'.encode()


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"\xef\xbb\xbf[1]", [1]),
        (b' {"a": 1}\r\n', {"a": 1}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b'"\\ud83d\\ude00"', "😀"),
        (b'"\\udc00"', "\udc00"),
        (b"9223372036854775808", 2**63),
        (b"1" + b"0" * 30, 1e30),
        (b"[" * NESTING + b"]" * NESTING, None),
        (b'"' + b"[" * 9999 + b'"', "[" * 9999),
        (b'"\\"' + b"{" * 9999 + b'"', '"' + "{" * 9999),
        (b"[" + b"[]," * 9999 + b"[]]", [[]] * 10_000),
    ],
)
def test_what_is_odd_but_sound_is_read(data: bytes, value: Any) -> None:
    """A BOM, surrogates, large integers, the last of two keys, brackets in texts."""
    found = decode(data)
    assert value is None or found == value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b" ",
        b"{",
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b"1e999",
        b'{"a": -1e400}',
        b"1" + b"0" * 5000,
        b"'a'",
        b"{a: 1}",
        b"[1,]",
        b"[1] trailing",
        b"\x00",
        b'"\x01"',
        b"[" * (NESTING + 1) + b"]" * (NESTING + 1),
        b"[" * 1_000_000,
        b'{"a":' * 100_000,
        b'"",' + b"[" * 1_000_000,
        b"\xef\xbb\xbf\xef\xbb\xbf1",
    ],
)
def test_what_is_no_json_is_refused(data: bytes) -> None:
    """In one way, whatever is wrong; also when it is to become a record."""
    with pytest.raises(Undecodable):
        decode(data)
    with pytest.raises(Undecodable):
        decode_as(data, dict)


@pytest.mark.parametrize("depth", [NESTING, 1000, 100_000])
def test_a_record_with_a_tower_in_it_is_undecodable(depth: int) -> None:
    """Never a RecursionError."""
    tower = b'{"text":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"
    with pytest.raises(Undecodable):
        decode_as(tower, Response)


@given(st.binary(max_size=60))
def test_no_bytes_make_the_decoder_fail_in_another_way(data: bytes) -> None:
    """Decoded, or Undecodable; numbers are finite."""
    for read in (decode, decode_record, lambda d: decode_as(d, Response)):
        try:
            value = read(data)
        except Undecodable:
            continue
        assert not isinstance(value, float) or math.isfinite(value)


def test_bytes_that_are_not_utf8_lose_only_themselves() -> None:
    """The rest of a reply is still worth having."""
    assert decode_as(b'{"text":"a\xffb"}', Response).text == "a\ufffdb"


def test_records_ignore_what_a_later_version_adds() -> None:
    """An unknown member is passed over, a wrong type is not."""
    assert decode_record(b'{"kind":"settled","id":3,"new":[1],"crc":"0"}') == Settled(3)
    with pytest.raises(Undecodable):
        decode_record(b'{"kind":"settled","id":"3"}')
    with pytest.raises(Undecodable):
        decode_record(b'{"kind":"never heard of"}')


def test_plain_is_what_json_would_say() -> None:
    """Dicts, lists and scalars."""
    assert plain(Message("user", "x")) == {"role": "user", "content": "x"}
    assert sha256(b"") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


# --- what users write --------------------------------------------------------------------------


class Inner(Table, frozen=True):
    """[[inner]]"""

    count: int
    ratio: float = 0.5


class Outer(Table, frozen=True):
    """A file."""

    name: str
    inner: list[Inner] = []
    by_name: dict[str, Inner] = {}
    maybe: Inner | None = None
    amount: Inner | int | None = None


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"name": 1}, "f: name: Expected `str`, got `int`"),
        ({}, "f: `name` is missing"),
        ({"nmae": "x"}, "f: unknown key `nmae`\n  did you mean `name`?"),
        (
            {"name": "x", "zzz": 1},
            "f: unknown key `zzz`\n  known here: amount, by_name, inner, maybe",
        ),
        (
            {"name": "x", "inner": [{"count": True}]},
            "f: inner[0].count: Expected `int`, got `bool`",
        ),
        ({"name": "x", "inner": [{}]}, "f: inner[0]: `count` is missing"),
        (
            {"name": "x", "inner": [{"count": 1}, {"cuont": 1}]},
            "f: unknown key `cuont` in [inner[1]]\n  did you mean `count`?",
        ),
        (
            {"name": "x", "by_name": {"k": {"count": 1, "ration": 2}}},
            "f: unknown key `ration` in [by_name[...]]\n  did you mean `ratio`?",
        ),
        (
            {"name": "x", "maybe": {"cuont": 1}},
            "f: unknown key `cuont` in [maybe]\n  did you mean `count`?",
        ),
        (
            {"name": "x", "amount": {"zzz": 1}},
            "f: unknown key `zzz` in [amount]\n  known here: count, ratio",
        ),
        ({"name": "x", "\x1b[2J": 1}, "f: unknown key `\\x1b[2J`"),
    ],
)
def test_a_wrong_table_is_explained_with_its_place(value: dict[str, Any], says: str) -> None:
    """What, where, how: never a traceback, never an escape code."""
    with pytest.raises(ConfigError) as caught:
        convert(value, Outer, where="f")
    assert str(caught.value).startswith(says)


def test_the_place_may_be_found_by_key() -> None:
    """A sweep file's line, for example."""
    with pytest.raises(ConfigError) as caught:
        convert({"name": 1}, Outer, where=lambda key: f"line of {key}")
    assert caught.value.where == "line of name: name"
    with pytest.raises(ConfigError) as caught:
        convert({"nmae": 1}, Outer, where=lambda key: f"line of {key}")
    assert caught.value.where == "line of nmae"


def test_whole_numbers_serve_as_fractions_but_not_the_other_way() -> None:
    """`temperature = 0` is meant well; `samples = 1.0` is not clear."""
    assert convert({"count": 1, "ratio": 1}, Inner, where="f") == Inner(1, 1.0)
    with pytest.raises(ConfigError):
        convert({"count": 1.0}, Inner, where="f")


# --- files -------------------------------------------------------------------------------------


def lines(folder: Path, data: bytes) -> list[tuple[int, bytes]]:
    """What `read_lines` makes of these bytes."""
    path = folder / "f.jsonl"
    path.write_bytes(data)
    return list(read_lines(path))


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", []),
        (b"\n \r\n\t\n", []),
        (b"a\nb", [(1, b"a"), (2, b"b")]),
        (b"\xef\xbb\xbfa\r\n\r\nb\r\n", [(1, b"a"), (3, b"b")]),
        ("a\u2028b\u0085c\x0bd\n\ne".encode(), [(1, "a\u2028b\u0085c\x0bd".encode()), (3, b"e")]),
        (b"a\rb\nc", [(1, b"a\rb"), (2, b"c")]),
        (b"\xef\xbb\xbf", []),
        (b"a\n\xef\xbb\xbfb", [(1, b"a"), (2, b"\xef\xbb\xbfb")]),
    ],
)
def test_lines_end_at_newlines_only(
    tmp_path: Path, data: bytes, found: list[tuple[int, bytes]]
) -> None:
    """U+2028 and its kin are text; blank lines count; a BOM is one only at the very beginning."""
    assert lines(tmp_path, data) == found


@pytest.mark.parametrize(
    ("data", "line", "says"),
    [
        (b"a\n\xff", 2, "not UTF-8 at byte 0"),
        (b"a\n\nok\xe4\n", 3, "not UTF-8 at byte 2"),
        ("é".encode("latin-1"), 1, "not UTF-8 at byte 0"),
        (b"\xed\xa0\x80", 1, "not UTF-8 at byte 0"),
        (b"a\nb\nc\x00d", 3, "a NUL byte"),
        ("a".encode("utf-16"), 1, "a NUL byte"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, data: bytes, line: int, says: str) -> None:
    """With its number, counted as an editor counts."""
    with pytest.raises(DataError) as caught:
        lines(tmp_path, data)
    assert caught.value.line == line
    assert says in str(caught.value)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"])), max_size=6))
def test_any_json_lines_come_back_with_their_numbers(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    """Written by anybody's JSON encoder that leaves text raw."""
    rows = [json.dumps([text], ensure_ascii=False).encode() for text in texts]
    found = lines(tmp_path_factory.getbasetemp(), b"\n".join(rows))
    assert [(n, decode(row)) for n, row in found] == [(n, [t]) for n, t in enumerate(texts, 1)]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("none", "no such file"),
        (".", "this is a folder, not a file"),
        ("a\x00b", "no file has a name like this"),
        ("x" * 300, "File name too long"),
    ],
)
def test_what_is_no_file_is_said_plainly(tmp_path: Path, name: str, says: str) -> None:
    """Before anybody has to read a traceback."""
    with pytest.raises(DataError, match=says):
        read_bytes(tmp_path / name)


@pytest.mark.parametrize(
    "bait",
    [b"[" * 201 + b'"' + b'\\"' * 200_000, b'{"a":"' + b'\\"' * 200_000 + b"[" * 201],
    ids=["never closed", "cut"],
)
def test_the_look_for_deep_nesting_sees_every_byte_once(bait: bytes) -> None:
    """Quotes that could each begin a string made it quadratic: 40 kB held the loop for ten seconds."""
    began = time.process_time()
    with pytest.raises(Undecodable):
        decode(bait)
    assert time.process_time() - began < 2


def test_brackets_within_strings_are_no_nesting() -> None:
    """Whatever stands before them, escaped quotes and backslashes included."""
    text = "\\" + '"' + "[{" * 500 + "\\"
    assert decode(json.dumps({"a": text, "b": [text]}).encode()) == {"a": text, "b": [text]}
