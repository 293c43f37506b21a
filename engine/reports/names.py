"""File names for models and judges, whose own names may be anything.

A name that is harmless keeps its face. Anything else (slashes, spaces, full-width brackets, 300
bytes, a device name of Windows), and names that a file system might take for one another, get a few
hex digits of their own hash. The same set of names always gives the same files. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

from data.codec import sha256

MAX_BYTES = 100
_UNSAFE = re.compile(r"[^\w.-]+")
_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")


def file_names(names: Iterable[str]) -> dict[str, str]:
    """Each name with its file name, without ending: distinct on any file system, even where case
    and accents' encoding do not count."""
    distinct = list(dict.fromkeys(names))
    slugs = {name: _slug(name) for name in distinct}
    alike = Counter(_folded(slug) for slug in slugs.values())
    return {
        name: slug if slug == name and alike[_folded(slug)] == 1 else f"{slug}-{_mark(name)}"
        for name, slug in slugs.items()
    }


def _slug(name: str) -> str:
    plain = _UNSAFE.sub("-", unicodedata.normalize("NFC", name)).strip(".-_")
    cut = plain.encode("utf-8", "replace")[:MAX_BYTES].decode("utf-8", "ignore").rstrip(".-_")
    return f"model-{cut}".rstrip("-") if not cut or _DEVICES.fullmatch(cut) else cut


def _folded(slug: str) -> str:
    """What a forgiving file system compares."""
    return unicodedata.normalize("NFKC", slug).casefold()


def _mark(name: str) -> str:
    return sha256(name.encode("utf-8", "surrogatepass"))[:8]
