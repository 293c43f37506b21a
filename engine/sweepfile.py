"""The sweep file by itself: its tables, the lines they stand on, and what must hold in it.

Every complaint is a ConfigError that says what is wrong, where it stands (file and line), and how to
mend it. What the file names (a benchmark, providers, rubrics) is looked up in `engine/config.py`.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from data.catalog import AccountTable, ProviderTable
from data.codec import Table, convert
from data.errors import ConfigError
from data.prices import PriceTable
from data.schema import EscalateRule, ParsePolicy, VerdictForm
from data.text import printable
from engine.benchtable import BenchTable
from engine.budget import BudgetTable
from engine.keys import names_a_file, names_a_variable
from engine.manners import HEADER_NAME, check_manners, looks_secret

MAX_NAME = 100
MAX_TOKENS = 10_000_000
MAX_FOLDER = 200
"""UTF-8 bytes of a folder's name; file systems allow 255."""
RANGES: Mapping[str, tuple[float, float]] = {
    "rpm": (0.01, 1_000_000),
    "tpm": (1, 1e12),
    "input_tpm": (1, 1e12),
    "output_tpm": (1, 1e12),
    "rpd": (1, 1e9),
    "concurrency": (1, 10_000),
    "timeout_s": (0.1, 86_400),
}
RESERVED: Mapping[str, str] = {
    "model": "it is the table's own key `model`",
    "messages": "they come from the benchmark and from `system`",
    "temperature": "it is the table's own key `temperature`",
    "max_tokens": "it is the table's own key `max_tokens`",
    "seed": "see `seed` and `send_seed`",
    "n": "see `samples` and `repeats`",
    "stream": "it is the provider's: `stream = true` in [providers.NAME]",
}
"""Wire parameters that are not the user's to set, and why."""
_SECRET_KEYS = frozenset({"api_key", "apikey", "key", "token", "password", "secret"})


class ModelTable(Table, frozen=True, kw_only=True):
    """[[models]]"""

    name: str
    provider: str
    model: str
    max_tokens: int | None = None
    temperature: float | str | None = None
    system: str = ""
    parameters: dict[str, Any] = {}
    retry_max_tokens: int | None = None
    price: PriceTable | int | None = None
    thinking: str = ""


class JudgeTable(Table, frozen=True, kw_only=True):
    """[[judges]]"""

    name: str
    provider: str
    model: str
    rubric: str | None = None
    parse: ParsePolicy = "robust"
    baseline: str = ""
    positions: Literal["both", "one"] = "both"
    max_tokens: int | None = None
    temperature: float | str | None = 0.0
    system: str = ""
    parameters: dict[str, Any] = {}
    retry_max_tokens: int | None = None
    price: PriceTable | int | None = None
    thinking: str = ""
    escalate: EscalateRule | None = None
    verdict: VerdictForm = "text"


class SweepTable(Table, frozen=True, kw_only=True):
    """The whole file."""

    name: str
    benchmark: str
    samples: int = 1
    repeats: int = 1
    seed: int = 0
    send_seed: bool = False
    asks: int = 3
    attempts: int = 5
    deadline_s: float | None = None
    hedge: bool = False
    providers: dict[str, ProviderTable] = {}
    models: list[ModelTable] = []
    judges: list[JudgeTable] = []
    budget: BudgetTable | None = None
    exchange: dict[str, str | int | float] = {}
    bench: BenchTable = BenchTable()


# --- reading -----------------------------------------------------------------------------------


def parse(path: Path, text: bytes) -> tuple[SweepTable, Places]:
    """The file's tables, sound in themselves, and the lines they stand on. Raises ConfigError."""
    places = Places(path, text.decode("utf-8", errors="replace"))
    table = read_toml(path, text)
    if not table:
        raise ConfigError(
            "an empty sweep file", where=str(path), how="`alignsweep init` writes one to start from"
        )
    refuse_secrets(table.get("providers"), places, "the sweep file", "[providers.{name}]")
    face = _face(table, places)
    _check_numbers(face, places)
    _check_names(face, places)
    return face, places


def read_toml(path: Path, text: bytes) -> dict[str, Any]:
    """The file as TOML. Raises ConfigError with the line."""
    try:
        table = tomllib.loads(text.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = text[: error.start].count(b"\n") + 1
        raise ConfigError("not UTF-8", where=f"{path}:{line}", how="save it as UTF-8") from None
    except RecursionError:
        raise ConfigError("not usable TOML: nested too deep", where=str(path)) from None
    except ValueError as error:  # TOMLDecodeError, or an integer of thousands of digits
        raise ConfigError(
            f"not valid TOML: {printable(str(error), 200)}", where=_toml_place(path, text, error)
        ) from None
    return table


def _toml_place(path: Path, text: bytes, error: ValueError) -> str:
    if at := re.search(r"at line (\d+)", str(error)):
        return f"{path}:{at[1]}"
    if "at end of document" in str(error):
        return f"{path}:{text.rstrip().count(10) + 1}"
    return str(path)


class Places:
    """Finds the line of a table or key in the file, for error messages."""

    def __init__(self, path: Path, text: str) -> None:
        self._path, self._lines = path, text.split("\n")  # as editors count, unlike splitlines

    def at(self, header: str = "", nth: int = 0, key: str = "") -> str:
        """`file:line` of the nth `header` (such as `[[models]]`) and of a key below it."""
        start = 0
        if header:
            wanted = _bare(header)
            hits = [i for i, line in enumerate(self._lines) if _bare(line.split("#")[0]) == wanted]
            if nth >= len(hits):
                return str(self._path)
            start = hits[nth]
        if key:
            pattern = re.compile(rf'\s*["\']?{re.escape(key)}["\']?\s*=')
            after = self._lines[start + bool(header) :]
            for i, line in enumerate(after, start=start + bool(header)):
                if pattern.match(line):
                    return f"{self._path}:{i + 1}"
                if line.lstrip().startswith("["):
                    break
            for form in (f"[[{key}]]", f"[{key}]"):
                if not header and form in map(_bare, self._lines):
                    return self.at(form)
        return f"{self._path}:{start + 1}" if header else str(self._path)


def _bare(header: str) -> str:
    """A table's header without what may be written this way or that."""
    return re.sub(r"[\s\"']", "", header)


def _face(table: Mapping[str, Any], places: Places) -> SweepTable:
    """The file as its tables; each table is looked at alone first, for the sake of its line."""

    def place(header: str, nth: int = 0) -> Callable[[str], str]:
        return lambda key: places.at(header, nth, re.split(r"[.\[]", key)[0])

    providers = table.get("providers")
    for name, value in (providers if isinstance(providers, dict) else {}).items():
        for header, i, account in tuple(_tables_of(f"[providers.{name}]", value))[1:]:
            convert(account, AccountTable, where=place(header, i))
        convert(value, ProviderTable, where=place(f"[providers.{name}]"))
    kinds: tuple[tuple[str, type[ModelTable | JudgeTable]], ...] = (
        ("models", ModelTable),
        ("judges", JudgeTable),
    )
    for key, kind in kinds:
        values = table.get(key)
        for i, value in enumerate(values if isinstance(values, list) else []):
            convert(value, kind, where=place(f"[[{key}]]", i))
    return convert(table, SweepTable, where=place(""))


# --- checks ------------------------------------------------------------------------------------


def refuse_secrets(providers: Any, places: Places, file: str, header: str) -> None:
    """A key written into a file would end up in copies of it; say so before anything else.

    `header` is that of a provider's table, with {name} in it. Raises ConfigError.
    """
    for name, provider in (providers if isinstance(providers, dict) else {}).items():
        for place, i, one in _tables_of(header.format(name=name), provider):
            for key in one:
                if key.lower().replace("-", "_") in _SECRET_KEYS:
                    raise ConfigError(
                        f"`{printable(key)}` in {file}",
                        where=places.at(place, i, key),
                        how="name an environment variable with api_key_env, or a file with "
                        "api_key_file; the key itself never stands in a file that is copied",
                    )


def _tables_of(header: str, provider: Any) -> Iterator[tuple[str, int, dict[str, Any]]]:
    """A provider's table and those of its accounts, whatever else they may be."""
    if not isinstance(provider, dict):
        return
    yield header, 0, provider
    accounts = provider.get("accounts")
    for i, account in enumerate(accounts if isinstance(accounts, list) else ()):
        if isinstance(account, dict):
            yield f"[{header.removesuffix(']')}.accounts]]", i, account


def _check_numbers(face: SweepTable, places: Places) -> None:
    limits = {"samples": 1000, "repeats": 1000, "asks": 20, "attempts": 100}
    for key, most in limits.items():
        if not 1 <= getattr(face, key) <= most:
            raise ConfigError(f"`{key}` must be 1 to {most}", where=places.at(key=key))
    if face.deadline_s is not None and not 1 <= face.deadline_s <= 86_400:
        raise ConfigError("`deadline_s` must be 1 to 86,400", where=places.at(key="deadline_s"))
    if not 0 <= face.seed < 2**63:
        raise ConfigError("`seed` must be 0 to 2^63 - 1", where=places.at(key="seed"))
    for header, i, party in parties(face):
        _check_parameters(party.parameters, places.at(header, i, "parameters"))
        _check_caps(party, places, header, i)
        heat = party.temperature
        if heat not in (None, "default") and (isinstance(heat, str) or not 0 <= heat <= 2):
            raise ConfigError(
                '`temperature` must be 0 to 2, or "default" to send none',
                where=places.at(header, i, "temperature"),
            )
    for name, provider in face.providers.items():
        check_provider(name, provider, places, header=f"[providers.{name}]")


def _check_caps(party: ModelTable | JudgeTable, places: Places, header: str, i: int) -> None:
    for key in ("max_tokens", "retry_max_tokens"):
        value = getattr(party, key)
        if value is not None and not 1 <= value <= MAX_TOKENS:
            raise ConfigError(
                f"`{key}` must be 1 to {MAX_TOKENS:,}", where=places.at(header, i, key)
            )
    larger = party.retry_max_tokens
    if larger is not None and larger <= (party.max_tokens or MAX_TOKENS):
        raise ConfigError(
            "`retry_max_tokens` must be larger than `max_tokens`",
            where=places.at(header, i, "retry_max_tokens"),
            how="it is the cap of the one more try that an answer gets which was cut",
        )


def _check_parameters(parameters: Mapping[str, Any], where: str) -> None:
    """Wire parameters go out as they are, so they must be JSON and leave our own keys alone."""
    for key in parameters:
        if key in RESERVED:
            raise ConfigError(f"`{key}` in `parameters`", where=where, how=RESERVED[key])
    for value in _leaves(parameters):
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"`parameters` holds {value}, which JSON lacks", where=where)
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise ConfigError("`parameters` holds an integer beyond 64 bits", where=where)


def _leaves(value: Any) -> Iterator[Any]:
    """Every value in nested tables and arrays that is neither."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _leaves(inner)
    else:
        yield value


def check_provider(name: str, table: ProviderTable, places: Places, *, header: str) -> None:
    """What must hold in an account's table by itself. Raises ConfigError."""
    if fault := name_fault(name):
        raise ConfigError(f"a provider's name {fault}", where=places.at(header))
    _check_account(table, places, header, 0)
    check_manners(table, lambda key: places.at(header, key=key))
    _check_headers(table.headers or {}, places.at(header, key="headers"))
    for i, account in enumerate(table.accounts or ()):
        _check_account(account, places, f"[[providers.{name}.accounts]]", i)


def _check_account(
    table: ProviderTable | AccountTable, places: Places, header: str, i: int
) -> None:
    """Limits within reason, and places of keys that are not keys."""
    for key, (low, high) in RANGES.items():
        value = getattr(table, key, None)
        if value is not None and not low <= value <= high:
            raise ConfigError(
                f"`{key}` must be {low:g} to {high:,}", where=places.at(header, i, key)
            )
    if not names_a_variable(table.api_key_env or "UNSET"):
        raise ConfigError(
            "`api_key_env` is no name of an environment variable",
            where=places.at(header, i, "api_key_env"),
            how="it names the variable that holds the key; the key itself stays out of this file",
        )
    if not names_a_file(table.api_key_file or ""):
        raise ConfigError(
            "`api_key_file` looks like a key, not like a path",
            where=places.at(header, i, "api_key_file"),
            how="if it is a file beside you, write ./ before it",
        )


def _check_headers(headers: Mapping[str, str], where: str) -> None:
    for key, value in headers.items():
        if looks_secret(key, value):
            raise ConfigError(
                f"header `{printable(key, 80)}` looks like a secret",
                where=where,
                how="use api_key_env or api_key_file",
            )
        if not HEADER_NAME.fullmatch(key):
            raise ConfigError(f"`{printable(key, 80)}` is no name of a header", where=where)
        if not value.isascii() or not value.isprintable():
            raise ConfigError(f"header `{key}` must be one line of ASCII", where=where)


def name_fault(name: str) -> str:
    """What is wrong with the name of a model, judge or provider; empty: nothing."""
    fine = name.strip() and len(name) <= MAX_NAME and name.isprintable()
    return "" if fine else f"must be 1 to {MAX_NAME} printable characters"


def folder_fault(name: str) -> str:
    """What is wrong with a run's name, which is its folder's too; empty: nothing."""
    if name_fault(name) or len(name.encode("utf-8", "replace")) > MAX_FOLDER:
        return f"is too long for a folder, or empty, or not printable ({MAX_NAME} characters)"
    if "/" in name or "\\" in name or name[0] in ".-" or name != name.strip():
        return "is a folder's name: no slash, no dot or dash before it, no space around it"
    return ""


def _check_names(face: SweepTable, places: Places) -> None:
    if fault := folder_fault(face.name):
        raise ConfigError(f"`name` {fault}", where=places.at(key="name"))
    if not face.models and not face.judges:
        raise ConfigError(
            "no [[models]] and no [[judges]]: nothing to do", where=places.at(), how="see `init`"
        )
    seen: dict[tuple[str, str], int] = {}
    for header, i, party in parties(face):
        where = places.at(header, i, "name")
        if fault := name_fault(party.name):
            raise ConfigError(f"`name` {fault}", where=where)
        if fault := name_fault(party.model):
            raise ConfigError(f"`model` {fault}", where=places.at(header, i, "model"))
        if (header, party.name) in seen:
            first = places.at(header, seen[header, party.name], "name")
            raise ConfigError(f"the name `{party.name}` is taken (first at {first})", where=where)
        seen[header, party.name] = i


def parties(face: SweepTable) -> Iterator[tuple[str, int, ModelTable | JudgeTable]]:
    """Every model and judge with its table's header and its number under that header."""
    for i, model in enumerate(face.models):
        yield "[[models]]", i, model
    for i, judge in enumerate(face.judges):
        yield "[[judges]]", i, judge
