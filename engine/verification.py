"""Is a run what its reports say? Everything worked out again from the journal, and compared.

The journal's own lines carry checksums. Beyond these: the manifest's hashes and roots, every verdict
read again from the judge's own words with the prompt rendered anew, and every report that `run` writes
made anew and compared byte by byte. Sends nothing, changes nothing, needs no key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from data.codec import read_bytes, sha256
from data.schema import Judgment, Struct
from engine import judging
from engine.asked import Asked
from engine.dossier import Dossier, read_dossier
from engine.manifest import INPUTS, Manifest, manifest_of, read_manifest
from engine.reports import csvfile, markdown
from engine.reports.large import texts_for
from engine.reports.overview import facts
from engine.reports.uncertainty import Intervals, intervals
from engine.reports.web.page import render
from engine.rundir import Stored

NAMED = 3
"""Trials that a finding names."""


class Finding(Struct, frozen=True):
    """One thing that was checked."""

    what: str
    state: Literal["same", "differs", "missing"]
    detail: str


def verify(run: Stored) -> Iterator[Finding]:
    """Finding after finding, quick ones first. Raises DataError for a folder that cannot be read."""
    manifest = read_manifest(run.folder)
    yield from _inputs(run, manifest)
    yield from _records(manifest, manifest_of(run, (), {}))
    yield _verdicts(run)
    yield from _reports(run, manifest)


def _inputs(run: Stored, manifest: Manifest) -> Iterator[Finding]:
    for name in INPUTS:
        yield _file(run.folder, name, manifest.files.get(name, ""))


def _file(folder: Path, name: str, expected: str) -> Finding:
    path = folder / name
    if not path.exists():
        return Finding(name, "missing", "the manifest names it, and it is not there")
    found = sha256(read_bytes(path))
    if found != expected:
        return Finding(name, "differs", f"sha256 {found[:16]}…, in the manifest {expected[:16]}…")
    return Finding(name, "same", f"sha256 {found[:16]}…")


def _records(told: Manifest, found: Manifest) -> Iterator[Finding]:
    """What the manifest says of the journal, beside what the journal says."""
    yield _equal("run", told.run_id, found.run_id)
    yield _equal("sweep", told.sweep_digest[:16], found.sweep_digest[:16])
    count = f"{found.records:,} records, Merkle root "
    yield _equal("records", told.records_root[:16], found.records_root[:16], count)
    yield _equal("results", told.results_root[:16], found.results_root[:16], "Merkle root ")
    booked = (told.money, told.unpriced), (found.money, found.unpriced)
    yield _equal("money", *(_sums(*sums) for sums in booked))


def _equal(what: str, told: str, found: str, before: str = "") -> Finding:
    if told == found:
        return Finding(what, "same", f"{before}{found}")
    return Finding(what, "differs", f"{before}{found}; in the manifest {told}")


def _sums(money: tuple[tuple[str, str, int], ...], unpriced: int) -> str:
    parts = [f"{code} {nano / 1e9:,.9f} {column.replace('_', ' ')}" for column, code, nano in money]
    return ", ".join([*parts, f"{unpriced:,} unpriced"] if unpriced or not parts else parts)


def _verdicts(run: Stored) -> Finding:
    """Read again, ask after ask, by the rules of the run."""
    read, wrong = 0, list[str]()
    with Asked(run) as asked:
        for number, record, _ in asked.records():
            if isinstance(record, Judgment):
                read += 1
                if not _reads_the_same(asked.case(number), record):
                    trial = record.trial
                    wrong.append(f"question {trial.question_id}, {trial.model}, {trial.judge}")
    if wrong:
        named = "; ".join(wrong[:NAMED]) + ("; …" if len(wrong) > NAMED else "")
        return Finding("verdicts", "differs", f"{len(wrong):,} of {read:,} read otherwise: {named}")
    return Finding("verdicts", "same", f"{read:,} read again from what the judges wrote")


def _reads_the_same(case: judging.Case, record: Judgment) -> bool:
    """No ask but the last could be read, and the last one reads as the record says."""
    verdicts = [
        judging.read_verdict(case, reply, judging.judge_request(case, ask)[1])
        for ask, reply in enumerate(record.asks)
    ]
    if not verdicts or any(verdict is not None for verdict in verdicts[:-1]):
        return False
    return judging.judgment(record.trial, record.asks, verdicts[-1]) == record


def _reports(run: Stored, manifest: Manifest) -> Iterator[Finding]:
    """Those that can be made anew are; of others only the hash is compared."""
    names = [name for name in manifest.files if name not in INPUTS]
    dossier = read_dossier(run.folder) if names else None
    sure = intervals(dossier.scores, run.benchmark) if dossier else {}
    for name in names:
        finding = _file(run.folder, name, manifest.files[name])
        if finding.state == "same" and dossier is not None and name in _RENDERED:
            anew = sha256(_RENDERED[name](dossier, sure))
            same = anew == manifest.files[name]
            detail = "made anew from the journal, byte for byte"
            how = "what the journal gives today differs (was it another version of alignsweep?)"
            finding = Finding(name, "same" if same else "differs", detail if same else how)
        yield finding


def _page(dossier: Dossier, sure: Intervals) -> bytes:
    return b"".join(render(dossier, which=texts_for(dossier.run.folder), sure=sure))


def _markdown(dossier: Dossier, sure: Intervals) -> bytes:
    return markdown.render(dossier.scores, sure=sure, facts=facts(dossier)).encode()


_RENDERED: dict[str, Callable[[Dossier, Intervals], bytes]] = {
    "report/leaderboard.md": _markdown,
    "report/leaderboard.csv": lambda dossier, sure: csvfile.render(dossier.scores, sure=sure),
    "report/comparisons.csv": lambda dossier, sure: csvfile.render_duels(dossier.scores, sure),
    "report/report.html": _page,
}
"""The reports of `engine/cli/ending.py`, as it writes them."""
