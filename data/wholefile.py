"""Files below the user's data folder appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def put_whole(path: Path, data: bytes) -> bool:
    """Replace a file whole (0600); False if it held these bytes already. Raises OSError."""
    if path.is_file() and path.read_bytes() == data:
        return False
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return True
