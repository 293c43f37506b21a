"""Which event loop a program runs on: real time (uvloop where it is installed), or virtual time.

Virtual time is for sweeps whose providers are all simulated in this process: hours pass in seconds.
While it runs, the collector of cycles looks less often: records hold none, and looking costs time.
"""

from __future__ import annotations

import gc
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio

from providers.virtual import new_loop

T = TypeVar("T")
YOUNG = 10_000
"""New objects after which young ones are looked through for cycles (Python's own figure is 700)."""


def run(main: Callable[[], Awaitable[T]], *, virtual: bool = False, exact: bool = False) -> T:
    """Run `main` to its end on a loop of its own.

    `exact`: on asyncio's, whose clock is read anew each time; uvloop's stands still within a turn of the
    loop and counts whole milliseconds, which is nothing to a sweep and something to a benchmark.
    """
    fast = not exact and _uvloop()
    options: dict[str, Any] = {"loop_factory": new_loop} if virtual else {"use_uvloop": fast}
    before = gc.get_threshold()
    gc.set_threshold(YOUNG, *before[1:])
    try:
        return anyio.run(main, backend="asyncio", backend_options=options)
    finally:
        gc.set_threshold(*before)


def _uvloop() -> bool:
    try:
        import uvloop
    except ImportError:
        return False
    return bool(uvloop)
