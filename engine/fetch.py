"""Download AlignBench from its authors' repository, pinned to commits and the digest of every file.

All files of all wanted versions are downloaded and compared before anything is written; a byte that
differs, a redirect, a page where a file should be, a cut body: one error, nothing on disk. What is
right goes through the same door as a clone (`data/checkout.py`). The network is the Downloader's
business.

A mirror may stand in for the authors' host: files are asked for at BASE/COMMIT/PATH, and since
digests decide, a mirror need not be trusted.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from http import HTTPStatus
from pathlib import Path

from data import checkout, codec
from data.checkout import Imported, import_checkout
from data.errors import ConfigError, DataError, StorageError, TransportError
from data.schema import Struct
from data.text import printable
from providers.wire import Downloader

BASE_URL = "https://raw.githubusercontent.com/THUDM/AlignBench"
MAX_BYTES = 4 * 1024 * 1024
"""Of one file; the largest is just below 1 MB."""
TIMEOUT_S = 120.0
"""For one file, from connecting to the last byte."""

_COMMON = {
    checkout.JUDGE: checkout.JUDGE_SHA256,
    checkout.SETS: "1024f71c275855896c5980032df0e79a7709be3e10817a539c61f4eb57fd515b",
    checkout.DEFINITIONS: "0a41c759fc9e55437476b38a9e3803425698693c736d74e318b4448616d80988",
    checkout.SUBCATEGORIES: "429f97d7044a27f329bbdd02ee162b6b3010118389621f71c07bdaaa54f668d2",
    checkout.TEMPERATURES: "a45c353ca21bf925796d51ee8ec527b4fcf1d1e80c3a934133f8ccdf235c97b3",
}


class Pin(Struct, frozen=True):
    """One published state: a commit, and the sha256 of each file needed from it."""

    commit: str
    files: dict[str, str]


PINS: dict[str, Pin] = {
    "1.0": Pin(
        "acf7a46918102ccd58f591cb0cad9fe6f10b0000",
        {
            "data/data_release.jsonl": (
                "14a008e7851b536e64211f32dacffc90f45dcc176585a0e249ee0ebc94e9109c"
            ),
            **_COMMON,
        },
    ),
    "1.1": Pin(
        "5b79d4a84e566db26e755c719935c62a0e1b0527",
        {
            "data/data_v1.1_release.jsonl": (
                "6ad5cdb2d552d2557aca18d0dcabaf19ff59fd18bef98eef880296c0478bbd11"
            ),
            **_COMMON,
        },
    ),
}
"""Checked 2026-11 against the repository's history."""


class Snapshot(Struct, frozen=True):
    """The checked files of one version, by path."""

    version: str
    files: dict[str, bytes]


def pins_for(version: str) -> dict[str, Pin]:
    """`1.0`, `1.1` or `all`. Raises ConfigError."""
    if version == "all":
        return PINS
    if version not in PINS:
        raise ConfigError(
            f"there is no version {printable(version, 40)!r} of AlignBench",
            where="--version",
            how=f"give {', '.join(PINS)} or all",
        )
    return {version: PINS[version]}


async def download(
    downloader: Downloader,
    pins: dict[str, Pin],
    *,
    base_url: str = BASE_URL,
    tell: Callable[[str], None] = lambda _: None,
) -> list[Snapshot]:
    """Every file of `pins`, one after another, each checked; `tell` hears the name of each.

    Raises DataError (not the pinned bytes, or not to be had) or ConfigError (an unusable base URL).
    """
    base = _base(base_url)
    have: dict[str, bytes] = {}
    snapshots = []
    for version, pin in pins.items():
        files = {}
        for path, digest in pin.files.items():
            if digest not in have:
                tell(f"{version} {path}")
                have[digest] = await _download_one(
                    downloader, f"{base}/{pin.commit}/{path}", digest
                )
            files[path] = have[digest]
        snapshots.append(Snapshot(version, files))
    return snapshots


def install(snapshots: Sequence[Snapshot], *, home: Path) -> list[Imported]:
    """Hand downloaded files to the importer, through a folder that is gone afterwards."""
    done: list[Imported] = []
    try:
        for snapshot in snapshots:
            with tempfile.TemporaryDirectory(prefix="alignsweep-") as folder:
                _unpack(snapshot, Path(folder))
                done += import_checkout(folder, home=home)
    except OSError as error:
        place = printable(error.filename or tempfile.gettempdir())
        raise StorageError(f"{place}: cannot be written: {error.strerror or error}") from None
    return done


def _unpack(snapshot: Snapshot, folder: Path) -> None:
    for path, data in snapshot.files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def _base(url: str) -> str:
    if "?" in url or "#" in url or "@" in url:
        raise ConfigError(
            "a base URL has no query, fragment, name or password",
            where="--base-url",
            how="files are asked for at BASE/COMMIT/PATH",
        )
    return url.rstrip("/")


async def _download_one(downloader: Downloader, url: str, digest: str) -> bytes:
    how = "nothing was written; try again, or clone the repository: alignsweep data import PATH"
    where = printable(url, 300)
    try:
        reply = await downloader.get(url, max_bytes=MAX_BYTES, timeout_s=TIMEOUT_S)
    except TransportError as error:
        raise DataError(f"download failed: {error}", path=where, how=how) from None
    if reply.status != HTTPStatus.OK:
        location = reply.headers.get("location", "")
        raise DataError(_refusal(reply.status, location), path=where, how=how)
    got = codec.sha256(reply.body)
    if got != digest:
        raise DataError(
            f"not the published file: {len(reply.body)} bytes with sha256 {got[:12]}…, "
            f"expected {digest[:12]}…",
            path=where,
            how=how,
        )
    return reply.body


def _refusal(status: int, location: str) -> str:
    if 300 <= status < 400 and location:
        return f"HTTP {status}, a redirect to {printable(location, 120)}, which is not followed"
    return f"HTTP {status}"
