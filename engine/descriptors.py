"""Enough open files for every call that a sweep may have in flight: each is a socket.

Systems allow a process few of them at first (macOS 256, many Linux 1024) and more if it asks. Without
this, a call beyond the limit looks like a network that is down, and is retried in vain.
"""

from __future__ import annotations

import resource

from data.catalog import accounts_of, is_embedded
from data.errors import ConfigError
from data.schema import Sweep

OWN = 48
"""Beside the sockets: journal, lock, cache, event loop, console, what is imported on the way."""


def make_room(sweep: Sweep) -> None:
    """Ask the system for as many as are needed. Raises ConfigError where it does not allow so many."""
    used = {m.provider for m in sweep.models} | {j.provider for j in sweep.judges}
    calls = sum(
        account.concurrency
        for spec in sweep.providers
        if spec.name in used and not is_embedded(spec)
        for account in accounts_of(spec)
    )
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = calls + OWN
    if not calls or allowed == resource.RLIM_INFINITY or allowed >= needed:
        return
    if most != resource.RLIM_INFINITY and most < needed:
        raise ConfigError(
            f"this sweep may have {calls:,} calls in flight and needs {needed:,} open files for that;"
            f" the system allows this process {most:,}",
            how="raise the limit (ulimit -Hn), or lower `concurrency` in the sweep file",
        )
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, most))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"the system refuses this process {needed:,} open files: {error}",
            how=f"run `ulimit -n {needed}` first, or lower `concurrency` in the sweep file",
        ) from None
