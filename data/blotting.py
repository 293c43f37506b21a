"""A key that came back: blotted out of whatever a server sends, before anybody reads or keeps it.

Some servers repeat the request's headers in an error, a proxy may do so in any reply. What is found is
the key itself, URL-encoded, and in base64 at whatever place of a longer text it was encoded. In answers
only what is surely a key is looked for: many local servers are given dummy keys that are plain words.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from urllib.parse import quote

BLOT = "[key]"
SHORTEST, SHORTEST_SURE = 8, 16
"""Characters of a key that is looked for in errors, and in answers."""


class Blotter:
    """Knows one key. Its repr tells nothing."""

    __slots__ = ("_forms", "_key", "sure")

    def __init__(self, key: str) -> None:
        self._key = key if len(key) >= SHORTEST else ""
        self._forms = tuple(dict.fromkeys(_forms(self._key.encode()))) if self._key else ()
        self.sure = len(key) >= SHORTEST_SURE and any(c.isdigit() for c in key)
        """May it be taken for a key wherever it stands?"""

    def __repr__(self) -> str:
        return "<Blotter>"

    def in_bytes(self, data: bytes) -> bytes:
        """These bytes without the key in any form."""
        for form in self._forms:
            if form in data:
                data = data.replace(form, BLOT.encode())
        return data

    def in_text(self, text: str) -> str:
        """This text without the key in any form."""
        if not self._key:
            return text
        for form in self._forms:
            if (written := form.decode()) in text:
                text = text.replace(written, BLOT)
        return text


def _forms(key: bytes) -> Iterator[bytes]:
    """The key as it may be written. A key is visible ASCII (`engine/keys.py` sees to it)."""
    yield key
    yield quote(key.decode(), safe="").encode()
    for before in range(3):  # base64 takes three bytes at a time, wherever the key begins
        encoded = base64.b64encode(bytes(before) + key)
        yield encoded[-(-before * 8 // 6) : (before + len(key)) * 8 // 6]
