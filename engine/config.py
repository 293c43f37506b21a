"""A sweep file with everything filled in: the benchmark, providers and rubrics that it names.

Every complaint is a ConfigError that says what is wrong, where it stands (file and line), and how to
mend it. Nothing is sent and no folder is made before the whole file is sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from data import benchmark as benchmarks
from data import rubric as rubrics
from data import rubric_files
from data.catalog import EMBEDDED, ProviderTable, accounts_of, is_embedded, resolve
from data.codec import convert, read_bytes
from data.compat import SCORE_KEY
from data.errors import ConfigError, DataError
from data.prices import Price, own_price
from data.sampling import check_thinking
from data.schema import (
    Benchmark,
    JudgeSpec,
    ModelSpec,
    ProviderSpec,
    Rubric,
    Struct,
    Sweep,
)
from data.text import printable
from engine.benchtable import BenchTable
from engine.budget import BudgetTable, Stage, ceiling
from engine.escalating import check_escalation
from engine.money import Exchange
from engine.ownpresets import known_presets
from engine.purse import Party, Terms
from engine.sweepfile import JudgeTable, ModelTable, Places, SweepTable, parse, parties
from providers.registry import DIALECTS
from providers.simulator import sim_options


class Loaded(Struct, frozen=True):
    """A sweep file, resolved, with what it names."""

    sweep: Sweep
    benchmark: Benchmark
    rubrics: dict[str, Rubric]
    path: Path
    text: bytes
    terms: Terms
    """What it says about money."""
    bench: BenchTable = BenchTable()
    """What it says about benchmarks."""


def load(path: Path, *, home: Path) -> Loaded:
    """Read a sweep file. `home` holds the user's imported benchmarks and rubrics."""
    text = read_bytes(path).removeprefix(b"\xef\xbb\xbf")
    face, places = parse(path, text)
    benchmark = _benchmark(face, path, home, places)
    providers = _providers(face, places)
    _check_needs(face, providers, places)
    _check_thinking(face, providers, places)
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
        deadline_s=face.deadline_s,
        hedge=face.hedge,
    )
    return Loaded(sweep, benchmark, found, path, text, _terms(face, places), face.bench)


def _terms(face: SweepTable, places: Places) -> Terms:
    """Prices, exchange rates and ceilings of the file."""
    own: dict[Party, Price] = {}
    for header, i, party in parties(face):
        stage: Stage = "generate" if header == "[[models]]" else "judge"
        if party.price is not None:
            own[stage, party.name] = own_price(party.price, where=places.at(header, i, "price"))
    table = face.budget or BudgetTable()
    where = places.at("[budget]")
    return Terms(
        own,
        Exchange(face.exchange, currency=table.currency, where=places.at("[exchange]")),
        ceiling(
            table,
            accounts={party.provider for _, _, party in parties(face)},
            models={party.name for _, _, party in parties(face)},
            where=where,
        ),
    )


# --- what the file names -----------------------------------------------------------------------


def _benchmark(face: SweepTable, path: Path, home: Path, places: Places) -> Benchmark:
    name = face.benchmark
    known = {info.name for info in benchmarks.names(home)}
    try:
        if name not in known and (path.parent / name).exists():
            name = str(path.parent / name)
        return benchmarks.load(name, home=home)
    except ConfigError as error:
        raise ConfigError(error.what, where=places.at(key="benchmark"), how=error.how) from None
    except DataError as error:
        if Path(name).is_file():  # what is wrong stands there, not here
            raise
        raise _at(places.at(key="benchmark"), error) from None
    except OSError as error:  # a name too long for any file
        raise ConfigError(
            f"benchmark {printable(name, 80)!r}: {error.strerror}", where=places.at(key="benchmark")
        ) from None


def _providers(face: SweepTable, places: Places) -> tuple[ProviderSpec, ...]:
    """Those that are used, resolved."""
    known = known_presets()
    users: dict[str, str] = {}
    for header, i, party in parties(face):
        users.setdefault(party.provider, places.at(header, i, "provider"))
    found = []
    for name, user in users.items():
        where = places.at(f"[providers.{name}]") if name in face.providers else user
        table = face.providers.get(name, ProviderTable())
        spec = resolve(name, table, where=where, known=known)
        for account in accounts_of(spec):
            check_address(account, where)
        found.append(spec)
    if len({spec.simulated for spec in found}) > 1:
        raise ConfigError(
            "simulated and real providers in one sweep",
            where=str(places.at()),
            how="a table never mixes them: use one kind",
        )
    return tuple(found)


def _check_needs(face: SweepTable, providers: Sequence[ProviderSpec], places: Places) -> None:
    """What an API cannot do without is asked for before anything is sent."""
    apis = {spec.name: spec.api for spec in providers}
    for header, i, party in parties(face):
        api = apis[party.provider]
        for field in sorted(DIALECTS[api].needs):
            if getattr(party, field) is None:
                raise ConfigError(
                    f"`{printable(party.name, 80)}` has no `{field}`, which api `{api}` requires",
                    where=places.at(header, i),
                    how=f"give it one: {field} = 2048",
                )


def _check_thinking(face: SweepTable, providers: Sequence[ProviderSpec], places: Places) -> None:
    specs = {spec.name: spec for spec in providers}
    for header, i, party in parties(face):
        where = places.at(header, i, "thinking")
        check_thinking(specs[party.provider].sampling, party.model, party.thinking, where=where)


def check_address(spec: ProviderSpec, where: str) -> None:
    """What must hold in a resolved account. Raises ConfigError."""
    if spec.api not in DIALECTS:
        raise ConfigError(
            f"unknown api `{printable(spec.api, 80)}`",
            where=where,
            how=f"known: {', '.join(DIALECTS)}",
        )
    if spec.cache_identity.startswith(EMBEDDED) != spec.simulated:
        raise ConfigError(
            f"cache_identity of `{spec.name}` mixes simulated answers with real ones",
            where=where,
            how=f"that of a simulated provider begins with `{EMBEDDED}`, and no other's does",
        )
    if spec.options and not is_embedded(spec):
        raise ConfigError(
            f"`simulator` options for `{spec.name}`, which is no embedded simulator", where=where
        )
    if is_embedded(spec):
        sim_options(spec.options, where=f"{where}: simulator")
        return
    if set(spec.base_url) & set("@?#"):
        raise ConfigError(
            f"base_url of `{spec.name}` carries a user name, password, query or fragment",
            where=where,
            how="keys come from api_key_env or api_key_file",
        )
    if not _is_address(spec.base_url):
        raise ConfigError(
            f"base_url of `{spec.name}` is no http(s) address", where=where, how="https://host/v1"
        )


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for what is no port
    except ValueError:
        return False
    clean = url.isprintable() and " " not in url
    return clean and parts.scheme in ("http", "https") and bool(parts.hostname)


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
            rubric = rubric_files.load_rubric(
                str(beside) if name.endswith(".toml") and beside.exists() else name, home=home
            )
            for question in benchmark.questions:
                rubrics.dimensions(rubric, question)
        except (ConfigError, DataError) as error:
            raise _at(where, error) from None
        except OSError as error:  # a name too long for any file
            raise ConfigError(
                f"rubric {printable(name, 80)!r}: {error.strerror}", where=where
            ) from None
        if found.setdefault(rubric.name, rubric).sha256 != rubric.sha256:
            raise ConfigError(
                f"two different rubrics are named `{printable(rubric.name, 80)}`",
                where=where,
                how="rename one of the files",
            )
        _check_pairs(face, table, rubric, where)
        _check_parse(table, rubric, places.at("[[judges]]", i, "parse"))
        resolved = {"rubric": rubric.name, "pairwise": rubric.pairwise}
        judges.append(convert(_fields(table) | resolved, JudgeSpec, where=str(path)))
    check_escalation(judges, found, lambda i: places.at("[[judges]]", i, "escalate"))
    return tuple(judges), found


def _check_pairs(face: SweepTable, judge: JudgeTable, rubric: Rubric, where: str) -> None:
    """A baseline is one of the models, and only a rubric that compares two answers has one."""
    if not rubric.pairwise:
        if judge.baseline or judge.positions != "both":
            raise ConfigError(
                f"`baseline` and `positions` are for comparisons; rubric `{rubric.name}` scores one answer",
                where=where,
                how='such as rubric = "alignsweep-pairs"',
            )
        return
    names = [model.name for model in face.models]
    if judge.baseline and names and judge.baseline not in names:
        raise ConfigError(
            f"the baseline `{printable(judge.baseline, 80)}` is none of the models",
            where=where,
            how=f"there are: {', '.join(map(printable, names))}",
        )
    if len(names) == 1:
        raise ConfigError("a comparison needs two models", where=where)


def _check_parse(judge: JudgeTable, rubric: Rubric, where: str) -> None:
    """OpenCompass reads AlignBench's own form of verdict and no other."""
    odd = rubric.pairwise or rubric.bracketed or rubric.score_key != SCORE_KEY
    if judge.parse == "opencompass" and odd:
        raise ConfigError(
            f"`parse = opencompass` reads `{SCORE_KEY}`, which rubric `{rubric.name}` does not ask for",
            where=where,
            how='parse = "robust"',
        )


def _at(where: str, error: ConfigError | DataError) -> ConfigError:
    """A complaint about a file that the sweep file names, with both places."""
    if isinstance(error, ConfigError):
        place, what = error.where, error.what
    else:
        place = f"{error.path}:{error.line}" if error.line else error.path
        what = error.reason
    return ConfigError(f"{place}: {what}" if place else what, where=where, how=error.how)


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
                f"no {kind} `{printable(name, 80)}` in this sweep",
                how=f"there are: {', '.join(map(printable, known))}",
            )
