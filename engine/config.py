"""The sweep file: read, checked, and filled in. The only room that reads it.

Every complaint is a ConfigError that says what is wrong, where it stands (file and line), and how to
mend it. Nothing is sent and no folder is made before the whole file is sound.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from data import benchmark as benchmarks
from data import rubric as rubrics
from data.catalog import ProviderTable, is_embedded, resolve
from data.codec import Table, convert, read_bytes
from data.errors import ConfigError, DataError
from data.schema import (
    Benchmark,
    JudgeSpec,
    ModelSpec,
    ParsePolicy,
    ProviderSpec,
    Rubric,
    Struct,
    Sweep,
)
from providers.registry import DIALECTS
from providers.simulator import sim_options

MAX_NAME = 100
_SECRET_HEADERS = re.compile(r"auth|key|token|secret|cookie", re.IGNORECASE)


# --- the file's face ---------------------------------------------------------------------------


class ModelTable(Table, frozen=True, kw_only=True):
    """[[models]]"""

    name: str
    provider: str
    model: str
    max_tokens: int | None = None
    temperature: float | None = None
    system: str = ""
    parameters: dict[str, Any] = {}


class JudgeTable(Table, frozen=True, kw_only=True):
    """[[judges]]"""

    name: str
    provider: str
    model: str
    rubric: str | None = None
    parse: ParsePolicy = "robust"
    max_tokens: int | None = None
    temperature: float | None = 0.0
    system: str = ""
    parameters: dict[str, Any] = {}


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
    providers: dict[str, ProviderTable] = {}
    models: list[ModelTable] = []
    judges: list[JudgeTable] = []


class Loaded(Struct, frozen=True):
    """A sweep file, resolved, with what it names."""

    sweep: Sweep
    benchmark: Benchmark
    rubrics: dict[str, Rubric]
    path: Path
    text: bytes


# --- reading -----------------------------------------------------------------------------------


def load(path: Path, *, home: Path) -> Loaded:
    """Read a sweep file. `home` holds the user's imported benchmarks and rubrics."""
    text = read_bytes(path).removeprefix(b"\xef\xbb\xbf")
    places = Places(path, text.decode("utf-8", errors="replace"))
    table = _parse(path, text)
    _refuse_secrets(table, places)
    face = convert(table, SweepTable, where=str(path))
    _check_numbers(face, places)
    _check_names(face, places)
    benchmark = _benchmark(face, path, home, places)
    providers = _providers(face, places)
    judges, found = _judges(face, benchmark, path, home, places)
    sweep = Sweep(
        name=face.name,
        benchmark=benchmark.name,
        benchmark_sha256=benchmark.sha256,
        rubric_sha256={name: rubric.sha256 for name, rubric in found.items()},
        temperatures=benchmark.temperatures,
        models=tuple(convert(_fields(m), ModelSpec, where=str(path)) for m in face.models),
        judges=judges,
        providers=providers,
        samples=face.samples,
        repeats=face.repeats,
        seed=face.seed,
        send_seed=face.send_seed,
        asks=face.asks,
        attempts=face.attempts,
    )
    return Loaded(sweep, benchmark, found, path, text)


def _parse(path: Path, text: bytes) -> dict[str, Any]:
    try:
        table = tomllib.loads(text.decode("utf-8"))
    except UnicodeDecodeError as error:
        line = text[: error.start].count(b"\n") + 1
        raise ConfigError("not UTF-8", where=f"{path}:{line}", how="save it as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        at = re.search(r"at line (\d+)", str(error))
        line_of = f"{path}:{at[1]}" if at else str(path)
        raise ConfigError(f"not valid TOML: {error}", where=line_of) from None
    if not table:
        raise ConfigError(
            "an empty sweep file", where=str(path), how="`alignsweep init` writes one to start from"
        )
    return table


class Places:
    """Finds the line of a table or key in the file, for error messages."""

    def __init__(self, path: Path, text: str) -> None:
        self._path, self._lines = path, text.splitlines()

    def at(self, header: str = "", nth: int = 0, key: str = "") -> str:
        """`file:line` of the nth `header` (such as `[[models]]`) and of a key below it."""
        start = 0
        if header:
            hits = [i for i, line in enumerate(self._lines) if line.split("#")[0].strip() == header]
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
        return f"{self._path}:{start + 1}" if header else str(self._path)


# --- checks ------------------------------------------------------------------------------------


def _refuse_secrets(table: Mapping[str, Any], places: Places) -> None:
    """A key written into the file would end up in copies of it; say so before anything else."""
    providers = table.get("providers")
    for name, provider in (providers if isinstance(providers, dict) else {}).items():
        for key in provider if isinstance(provider, dict) else ():
            if key in {"api_key", "key", "token", "password", "secret"}:
                raise ConfigError(
                    f"`{key}` in the sweep file",
                    where=places.at(f"[providers.{name}]", key=key),
                    how="name an environment variable with api_key_env, or a file with "
                    "api_key_file; the key itself never stands in a file that is copied",
                )


def _check_numbers(face: SweepTable, places: Places) -> None:
    limits = {"samples": 1000, "repeats": 1000, "asks": 20, "attempts": 100}
    for key, most in limits.items():
        if not 1 <= getattr(face, key) <= most:
            raise ConfigError(f"`{key}` must be 1 to {most}", where=places.at(key=key))
    if face.seed < 0:
        raise ConfigError("`seed` must not be negative", where=places.at(key="seed"))
    for header, i, party in _parties(face):
        if party.max_tokens is not None and party.max_tokens < 1:
            raise ConfigError(
                "`max_tokens` must be at least 1", where=places.at(header, i, "max_tokens")
            )
        if party.temperature is not None and not 0 <= party.temperature <= 2:
            raise ConfigError(
                "`temperature` must be 0 to 2", where=places.at(header, i, "temperature")
            )
    for name, provider in face.providers.items():
        _check_provider(name, provider, places)


def _check_provider(name: str, table: ProviderTable, places: Places) -> None:
    header = f"[providers.{name}]"
    for key in ("rpm", "concurrency", "timeout_s"):
        value = getattr(table, key)
        if value is not None and not 0 < value < float("inf"):
            raise ConfigError(f"`{key}` must be more than 0", where=places.at(header, key=key))
    for key in table.headers or {}:
        if _SECRET_HEADERS.search(key):
            raise ConfigError(
                f"header `{key}` looks like a secret",
                where=places.at(header),
                how="use api_key_env or api_key_file",
            )


def _check_names(face: SweepTable, places: Places) -> None:
    if not re.fullmatch(r"[^/\\\x00-\x1f.][^/\\\x00-\x1f]{0,99}", face.name):
        raise ConfigError(
            "`name` is a folder's name: 1 to 100 characters, no slash, no leading dot",
            where=places.at(key="name"),
        )
    if not face.models and not face.judges:
        raise ConfigError(
            "no [[models]] and no [[judges]]: nothing to do", where=places.at(), how="see `init`"
        )
    seen: dict[tuple[str, str], int] = {}
    for header, i, party in _parties(face):
        where = places.at(header, i, "name")
        if not party.name.strip() or len(party.name) > MAX_NAME or not party.name.isprintable():
            raise ConfigError(f"`name` must be 1 to {MAX_NAME} printable characters", where=where)
        if (header, party.name) in seen:
            first = places.at(header, seen[header, party.name], "name")
            raise ConfigError(f"the name `{party.name}` is taken (first at {first})", where=where)
        seen[header, party.name] = i


def _parties(face: SweepTable) -> Iterator[tuple[str, int, ModelTable | JudgeTable]]:
    """Every model and judge with its table's header and its number under that header."""
    for i, model in enumerate(face.models):
        yield "[[models]]", i, model
    for i, judge in enumerate(face.judges):
        yield "[[judges]]", i, judge


# --- what the file names -----------------------------------------------------------------------


def _benchmark(face: SweepTable, path: Path, home: Path, places: Places) -> Benchmark:
    name = face.benchmark
    beside = path.parent / name
    known = {info.name for info in benchmarks.names(home)}
    if name not in known and not Path(name).is_absolute() and beside.exists():
        name = str(beside)
    try:
        return benchmarks.load(name, home=home)
    except ConfigError as error:
        raise ConfigError(error.what, where=places.at(key="benchmark"), how=error.how) from None


def _providers(face: SweepTable, places: Places) -> tuple[ProviderSpec, ...]:
    """Those that are used, resolved."""
    users: dict[str, str] = {}
    for header, i, party in _parties(face):
        users.setdefault(party.provider, places.at(header, i, "provider"))
    found = []
    for name, user in users.items():
        where = places.at(f"[providers.{name}]") if name in face.providers else user
        spec = resolve(name, face.providers.get(name, ProviderTable()), where=where)
        _check_address(spec, where)
        found.append(spec)
    if len({spec.simulated for spec in found}) > 1:
        raise ConfigError(
            "simulated and real providers in one sweep",
            where=str(places.at()),
            how="a table never mixes them: use one kind",
        )
    return tuple(found)


def _check_address(spec: ProviderSpec, where: str) -> None:
    if spec.api not in DIALECTS:
        raise ConfigError(
            f"unknown api `{spec.api}`", where=where, how=f"known: {', '.join(DIALECTS)}"
        )
    if spec.options and not is_embedded(spec):
        raise ConfigError(
            f"`simulator` options for `{spec.name}`, which is no embedded simulator", where=where
        )
    if is_embedded(spec):
        sim_options(spec.options, where=f"{where}: simulator")
        return
    parts = urlsplit(spec.base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(
            f"base_url of `{spec.name}` is no http(s) address", where=where, how="https://host/v1"
        )
    if parts.username or parts.password or parts.query:
        raise ConfigError(
            f"base_url of `{spec.name}` carries a user name, password or query",
            where=where,
            how="keys come from api_key_env or api_key_file",
        )


def _judges(
    face: SweepTable, benchmark: Benchmark, path: Path, home: Path, places: Places
) -> tuple[tuple[JudgeSpec, ...], dict[str, Rubric]]:
    found: dict[str, Rubric] = {}
    judges = []
    for i, table in enumerate(face.judges):
        name = table.rubric or benchmark.rubric or "alignsweep"
        where = places.at("[[judges]]", i, "rubric")
        beside = path.parent / name
        try:
            rubric = rubrics.load_rubric(
                str(beside) if name.endswith(".toml") and beside.exists() else name, home=home
            )
            for question in benchmark.questions:
                rubrics.dimensions(rubric, question)
        except (ConfigError, DataError) as error:
            reason = error.what if isinstance(error, ConfigError) else str(error)
            raise ConfigError(reason, where=where, how=error.how) from None
        found[rubric.name] = rubric
        judges.append(
            convert({**_fields(table), "rubric": rubric.name}, JudgeSpec, where=str(path))
        )
    return tuple(judges), found


def _fields(table: ModelTable | JudgeTable) -> dict[str, Any]:
    return {name: getattr(table, name) for name in table.__struct_fields__}


# --- choosing a part ---------------------------------------------------------------------------


class Selection(Struct, frozen=True):
    """What of a sweep this session does; it never changes what the sweep is."""

    models: tuple[int, ...]
    items: tuple[int, ...]


def select(
    loaded: Loaded,
    *,
    models: Sequence[str] = (),
    categories: Sequence[str] = (),
    limit: int | None = None,
) -> Selection:
    """Indices of models and of items (turns of questions). `limit` counts questions."""
    questions = loaded.benchmark.questions
    _refuse_unknown("model", models, [m.name for m in loaded.sweep.models])
    _refuse_unknown("category", categories, list(loaded.benchmark.categories))
    if limit is not None and limit < 1:
        raise ConfigError("--limit must be at least 1")
    items: list[int] = []
    number = taken = 0
    for question in questions:
        wanted = not categories or question.category in categories
        if wanted and (limit is None or taken < limit):
            items.extend(range(number, number + len(question.turns)))
            taken += 1
        number += len(question.turns)
    chosen = [i for i, m in enumerate(loaded.sweep.models) if not models or m.name in models]
    return Selection(tuple(chosen), tuple(items))


def _refuse_unknown(kind: str, given: Sequence[str], known: Sequence[str]) -> None:
    for name in given:
        if name not in known:
            raise ConfigError(
                f"no {kind} `{name}` in this sweep", how=f"there are: {', '.join(known)}"
            )
