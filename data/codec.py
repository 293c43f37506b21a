"""Bytes in, bytes out: the only room that knows how JSON and TOML are written.

Three facts decide what stands here. (1) orjson refuses what models really send (lone surrogates, a
BOM, huge integers), so decoding falls back to the tolerant standard library, and encoding to its
ASCII escapes: every `str` survives the round trip byte for byte. (2) `str.splitlines` also cuts at
U+2028 and U+0085, which JSON leaves raw, so lines are split at `\\n` only, on bytes. (3) A digest
needs canonical bytes (sorted keys), a request body needs the order in which it was written.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import orjson

from data.errors import ConfigError, DataError
from data.schema import Record
from data.text import printable

T = TypeVar("T")

_encoder = msgspec.json.Encoder()
_records: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)
_BOM = b"\xef\xbb\xbf"
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
"""A string, be it closed or not. Possessive: nothing is ever looked at twice, whatever stands there."""
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
NESTING = 200
"""Deepest nesting that is decoded at all: real replies have less than ten levels."""


class Undecodable(ValueError):
    """These bytes are no JSON at all, or JSON nobody should build objects from."""


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of everything a user writes in TOML: an unknown key is an error, never ignored."""


def encode(record: Any) -> bytes:
    """Compact JSON of a record or plain object, keys in the order written. Never fails on a str."""
    try:
        return _encoder.encode(record)
    except UnicodeEncodeError:  # a lone surrogate: escape it as JSON allows
        return json.dumps(
            msgspec.to_builtins(record), ensure_ascii=True, separators=(",", ":")
        ).encode()


def canonical(value: Any) -> bytes:
    """One byte string per value: compact, keys sorted. For digests."""
    plain = msgspec.to_builtins(value)
    try:
        return orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return json.dumps(plain, ensure_ascii=True, sort_keys=True, separators=(",", ":")).encode()


def sha256(data: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(data).hexdigest()


def decode(data: bytes) -> Any:
    """Tolerant JSON: a BOM, lone surrogate escapes and big integers are read, NaN and inf are not.

    An integer beyond 64 bits comes out as a float. Raises Undecodable.
    """
    try:
        _refuse_deep(data)
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    except ValueError as error:
        raise Undecodable(str(error)) from None
    try:
        text = data.removeprefix(_BOM).decode("utf-8", errors="replace")
        return json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise Undecodable(str(error)) from None


def decode_record(line: bytes) -> Record:
    """A journal line as its record; unknown members (the crc, a later version's fields) are ignored.

    Raises Undecodable.
    """
    try:
        return _records.decode(line)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        record: Record = decode_as(line, Record)
        return record


def decode_as(data: bytes, kind: Any, decoder: Any = None) -> Any:
    """Decode straight into a record type, tolerantly. Raises Undecodable."""
    try:
        return decoder.decode(data) if decoder else msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return msgspec.convert(decode(data), kind)
    except msgspec.ValidationError as error:
        raise Undecodable(str(error)) from None


def decoder(kind: Any) -> Any:
    """A reusable decoder for `decode_as`: worth it where one type is read a million times."""
    return msgspec.json.Decoder(kind)


def replace(record: T, **changes: Any) -> T:
    """A copy of a frozen record with some fields changed."""
    return msgspec.structs.replace(record, **changes)  # type: ignore[type-var]


def plain(record: Any) -> Any:
    """The record as dicts, lists and scalars."""
    return msgspec.to_builtins(record)


def indented(record: Any) -> str:
    """JSON for people to read, two spaces a level."""
    return json.dumps(msgspec.to_builtins(record), indent=2, ensure_ascii=False)


def json_schema(kind: Any) -> dict[str, Any]:
    """The JSON Schema (2020-12) of what `encode` makes of a record type."""
    return msgspec.json.schema(kind)


def convert(value: Any, kind: type[T], *, where: str | Callable[[str], str]) -> T:
    """A parsed TOML or JSON value as `kind`, strictly. `where` is the place of the value, or says the
    place of one of its keys (`""`: of the whole).

    Raises ConfigError that names the place and, for a misspelt key, the nearest one that exists.
    """
    try:
        return msgspec.convert(value, kind, strict=True)
    except msgspec.ValidationError as error:
        raise _explained(str(error), kind, where) from None


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Non-blank lines of a JSONL file with their number (from 1). A BOM and CRLF are accepted.

    Raises DataError for what is no readable file, and for bytes that are not UTF-8.
    """
    for number, line in enumerate(_open_lines(path), start=1):
        text = line.removeprefix(_BOM) if number == 1 else line
        text = text.strip(b" \t\r\n")
        if not text:
            continue
        if b"\x00" in text:
            raise DataError("a NUL byte; this is no text file", path=str(path), line=number)
        try:
            text.decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                f"not UTF-8 at byte {error.start} of the line",
                path=str(path),
                line=number,
                how="convert it first, for example: iconv -f GB18030 -t UTF-8",
            ) from None
        yield number, text


def read_bytes(path: Path) -> bytes:
    """The whole file. Raises DataError with a plain reason."""
    try:
        return path.read_bytes()
    except ValueError:
        raise DataError("no file has a name like this", path=printable(str(path))) from None
    except OSError as error:
        raise DataError(_reason(error), path=str(path)) from None


def _open_lines(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            yield from file
    except OSError as error:
        raise DataError(_reason(error), path=str(path)) from None


def _reason(error: OSError) -> str:
    reasons: dict[type[OSError], str] = {
        FileNotFoundError: "no such file",
        IsADirectoryError: "this is a folder, not a file",
        PermissionError: "no permission to read it",
    }
    return reasons.get(type(error), error.strerror or str(error))


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{digits[:20]} is too large for a number")
    return number


def _refuse_deep(data: bytes) -> None:
    """Stop before anybody builds a tower of a million lists. Few brackets need no second look."""
    if data.count(b"[") + data.count(b"{") <= NESTING:
        return
    depth = 0
    for char in _STRING.sub(b"", data).translate(None, _NO_BRACKETS):
        if char in b"[{":
            depth += 1
            if depth > NESTING:
                raise ValueError(f"nested deeper than {NESTING} levels")
        else:
            depth -= 1


def _explained(message: str, kind: Any, where: str | Callable[[str], str]) -> ConfigError:
    """msgspec's sentence, turned into: what, where, how."""
    what, _, path = message.partition(" - at `$")
    place = path.rstrip("`").lstrip(".")
    unknown = re.search(r"unknown field `(.+)`", what, re.DOTALL)
    if callable(where):
        where = where(place or (unknown[1] if unknown else ""))
    if not unknown:
        what = re.sub(r"Object missing required field (`.+`)", r"\1 is missing", what)
        return ConfigError(printable(what), where=f"{where}: {place}" if place else where)
    names = _known_keys(kind, place)
    near = difflib.get_close_matches(unknown[1], names, n=1)
    how = f"did you mean `{near[0]}`?" if near else f"known here: {', '.join(sorted(names))}"
    inside = f" in [{place}]" if place else ""
    return ConfigError(f"unknown key `{printable(unknown[1], 80)}`{inside}", where=where, how=how)


def _known_keys(kind: Any, place: str) -> list[str]:
    """The keys of the table at `place` (such as `models[3]` or `providers[...]`)."""
    info: Any = msgspec.inspect.type_info(kind)
    for part in re.findall(r"[^.\[\]]+|\[[^\]]*\]", place):
        info = _step(info, part)
    return [f.encode_name for f in getattr(_table_of(info), "fields", ())]


def _step(info: Any, part: str) -> Any:
    info = _table_of(info)
    if part.startswith("["):
        return getattr(info, "item_type", None) or getattr(info, "value_type", info)
    return next((f.type for f in getattr(info, "fields", ()) if f.encode_name == part), info)


def _table_of(info: Any) -> Any:
    """Of the types that a key may have, the one that has keys (or items) itself."""
    if not isinstance(info, msgspec.inspect.UnionType):
        return info
    plain = (msgspec.inspect.NoneType, msgspec.inspect.IntType, msgspec.inspect.StrType)
    return next((t for t in info.types if not isinstance(t, plain)), info)
