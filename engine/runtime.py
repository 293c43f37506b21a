"""Which event loop a program runs on: real time (uvloop where it is installed), or virtual time.

Virtual time is for sweeps whose providers are all simulated in this process: hours pass in seconds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio

from providers.virtual import new_loop

T = TypeVar("T")


def run(main: Callable[[], Awaitable[T]], *, virtual: bool = False) -> T:
    """Run `main` to its end on a loop of its own."""
    options: dict[str, Any] = {"loop_factory": new_loop} if virtual else {"use_uvloop": _uvloop()}
    return anyio.run(main, backend="asyncio", backend_options=options)


def _uvloop() -> bool:
    try:
        import uvloop
    except ImportError:
        return False
    return bool(uvloop)
