"""A Merkle tree's root over entries that go by one at a time: RFC 9162, section 2.1. Pure.

    leaf = SHA-256(0x00 || entry)      node = SHA-256(0x01 || left || right)

The prefixes keep a node from being passed off as an entry. A tree of n entries is split at the largest
power of two below n, which is what carrying equal subtrees upwards comes to; so memory is log n.
"""

from __future__ import annotations

from hashlib import sha256


class Root:
    """Add the entries in their order, then read the root."""

    def __init__(self) -> None:
        self.count = 0
        self._trees: list[tuple[int, bytes]] = []
        """Complete subtrees, larger ones first: their sizes and roots."""

    def add(self, entry: bytes) -> None:
        """One more entry."""
        self.count += 1
        size, top = 1, sha256(b"\x00" + entry).digest()
        while self._trees and self._trees[-1][0] == size:
            _, left = self._trees.pop()
            size, top = 2 * size, sha256(b"\x01" + left + top).digest()
        self._trees.append((size, top))

    def hex(self) -> str:
        """64 hex digits; of no entries, the hash of nothing."""
        if not self._trees:
            return sha256().hexdigest()
        *rest, (_, root) = self._trees
        for _, left in reversed(rest):
            root = sha256(b"\x01" + left + root).digest()
        return root.hex()
