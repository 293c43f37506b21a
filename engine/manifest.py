"""What a finished session vouches for, in one small file: `report/manifest.json`.

Whoever gets a run's folder can work all of it out again (`engine/verification.py`), and whoever gets only
the manifest can hold a folder against it. Two roots stand for the records, both Merkle roots over the
last record of each trial in the plan's order:

- `records_root`    over the lines of the journal: this very run, with its times and request ids
- `results_root`    over what was said and read: the same for a second run that got the same replies
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path

from data.codec import Undecodable, canonical, decode_as, encode, plain, read_bytes, sha256
from data.errors import DataError
from data.merkle import Root
from data.prices import Price, price_of
from data.schema import Answer, Judgment, Result, Struct
from engine.asked import Asked
from engine.config import Loaded
from engine.identity import digest
from engine.purse import Spent, sums
from engine.reports.files import write_whole
from engine.rundir import ENGINE, Stored

INPUTS = ("sweep.toml", "benchmark.json", "rubrics.json")
PLACE = Path("report") / "manifest.json"


class Manifest(Struct, frozen=True, kw_only=True):
    """Hashes are SHA-256 in hex. `files` are named from the run's folder."""

    engine: str
    name: str
    run_id: str
    sweep_digest: str
    """Of all that decides results (`engine/identity.py`)."""
    created_s: float
    """When the run was started, in seconds since the epoch."""
    files: dict[str, str]
    records: int
    records_root: str
    results_root: str
    money: tuple[tuple[str, str, int], ...]
    """(column, currency, nano-units), as booked in the journal."""
    unpriced: int
    """Requests of unknown price, which no sum has."""
    prices: dict[str, Price | None]
    """What was reckoned with in the last session, by `generate MODEL` and `judge JUDGE`."""


def manifest_of(
    run: Stored, reports: Iterable[str], prices: Mapping[str, Price | None]
) -> Manifest:
    """Reads the journal and the named files. Raises JournalDamaged and DataError."""
    spent, lines, said = Spent(), Root(), Root()
    with Asked(run, spent.enter) as asked:
        for _, record, line in asked.records():
            lines.add(line)
            said.add(result_leaf(record))
    spent.close()
    money, unpriced = sums(spent)
    return Manifest(
        engine=ENGINE,
        name=run.sweep.name,
        run_id=run.header.run_id,
        sweep_digest=digest(run.sweep),
        created_s=run.header.created_s,
        files={name: sha256(read_bytes(run.folder / name)) for name in (*INPUTS, *reports)},
        records=lines.count,
        records_root=lines.hex(),
        results_root=said.hex(),
        money=money,
        unpriced=unpriced,
        prices=dict(prices),
    )


def prices_of(loaded: Loaded, on: date) -> dict[str, Price | None]:
    """What a session on that day reckons with; None: unknown."""
    specs = {spec.name: spec for spec in loaded.sweep.providers}
    parties = [("generate", m.name, m.provider, m.model) for m in loaded.sweep.models]
    parties += [("judge", j.name, j.provider, j.model) for j in loaded.sweep.judges]
    own = {f"{stage} {name}": price for (stage, name), price in loaded.terms.own.items()}
    return {
        (party := f"{stage} {name}"): price_of(specs[provider], model, own=own.get(party), on=on)
        for stage, name, provider, model in parties
        if provider in specs  # else its answers came from elsewhere
    }


def result_leaf(record: Result) -> bytes:
    """What decides scores: who was asked what, what was said, what was read from it."""
    trial = plain(record.trial)
    if isinstance(record, Answer):
        return canonical(["answer", trial, record.state, record.response.text])
    if isinstance(record, Judgment):
        verdict = plain(record.verdict) if record.verdict is not None else None
        return canonical(["judgment", trial, [reply.text for reply in record.asks], verdict])
    return canonical(["failure", trial])


def write_manifest(folder: Path, manifest: Manifest) -> str:
    """Raises StorageError. The name of the file."""
    write_whole(folder / PLACE, [encode(manifest) + b"\n"])
    return str(PLACE)


def read_manifest(folder: Path) -> Manifest:
    """Raises DataError where there is none, or none that can be read."""
    path = folder / PLACE
    try:
        found: Manifest = decode_as(read_bytes(path), Manifest)
    except Undecodable as error:
        raise DataError(f"not a manifest: {error}", path=str(path)) from None
    return found
