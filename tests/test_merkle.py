"""The Merkle root, against the definition of RFC 9162 written down as it stands there."""

from __future__ import annotations

from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from data.merkle import Root


def defined(entries: list[bytes]) -> bytes:
    """MTH of section 2.1.1, by recursion."""
    if not entries:
        return sha256().digest()
    if len(entries) == 1:
        return sha256(b"\x00" + entries[0]).digest()
    k = 1 << ((len(entries) - 1).bit_length() - 1)
    return sha256(b"\x01" + defined(entries[:k]) + defined(entries[k:])).digest()


def root_of(entries: list[bytes]) -> str:
    """One after the other."""
    root = Root()
    for entry in entries:
        root.add(entry)
    assert root.count == len(entries)
    return root.hex()


@given(st.lists(st.binary(max_size=8), max_size=70))
def test_it_is_the_root_that_the_rfc_defines(entries: list[bytes]) -> None:
    """For every number of entries, whole powers of two or not."""
    assert root_of(entries) == defined(entries).hex()


def test_a_node_is_no_entry() -> None:
    """Two entries and the one made of their hashes have different roots."""
    a, b = (sha256(b"\x00" + x).digest() for x in (b"a", b"b"))
    assert root_of([b"a", b"b"]) != root_of([b"\x01" + a + b])


def test_order_and_every_byte_count() -> None:
    """Change any, and the root changes."""
    roots = {root_of(x) for x in ([b"a", b"b", b"c"], [b"b", b"a", b"c"], [b"a", b"b"], [b"abc"])}
    assert len(roots) == 4
