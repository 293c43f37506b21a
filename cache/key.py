"""What counts as the same call: the only place that decides it.

    key = sha256(identity, path, draw, exact wire body)

`identity` belongs to the provider: interchangeable keys and mirrors of one service share it, and a
simulator's begins with `simulated:`, so simulated and real never meet. The path is hashed because some
APIs name the model there. The body is the bytes that are sent, so no parameter can be forgotten and no
timeout can leak in; no header is hashed, so no secret is. `draw` tells independent answers to the same
words apart.
"""

from __future__ import annotations

import hashlib

from data.schema import Draw


def cache_key(identity: str, path: str, body: bytes, draw: Draw) -> bytes:
    """32 bytes. Each part is preceded by its length, so no two different calls run together."""
    digest = hashlib.sha256()
    place = f"{draw.sample}.{draw.repeat}.{draw.ask}"
    for part in (identity.encode(), path.encode(), place.encode(), body):
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.digest()
