"""What a second terminal may ask of a running sweep (see `engine/control.py` for the wire).

Everything changes from the loop's thread, takes effect at the next call that wants to go out, and is
written into the journal, so that a run's record says who slowed it down.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from data.codec import plain
from data.errors import ConfigError
from data.schema import Limit
from data.text import printable
from engine.accounts import Account
from engine.events import Noted, Progress
from engine.limits import WORDS
from engine.waiting import Waiting

LIMITS = ("concurrency", *WORDS)
OPERATIONS = ("status", "pause", "resume", "limit")


class Steering:
    """Carries out requests. `record` journals a changed limit, `tell` lets the console know."""

    def __init__(
        self,
        accounts: Sequence[Account],
        picture: Callable[[], Progress],
        waiting: Callable[[], Sequence[Waiting]],
        record: Callable[[Limit], Any],
        tell: Callable[[Noted], Any],
        wall: Callable[[], float],
    ) -> None:
        self._accounts, self._picture = {a.name: a for a in accounts}, picture
        self._waiting = waiting
        self._record, self._tell, self._wall = record, tell, wall

    def __call__(self, request: Mapping[str, Any]) -> Any:
        """The result as plain data. Raises ConfigError for what cannot be done."""
        match request.get("op"):
            case "status":
                return self._status()
            case "pause":
                return self._hold(request, True)
            case "resume":
                return self._hold(request, False)
            case "limit":
                return self._limit(request)
        raise ConfigError("no such operation", how=f"there are: {', '.join(OPERATIONS)}")

    def _status(self) -> Any:
        now = asyncio.get_running_loop().time()
        limits = {name: a.limits.statistics(now) for name, a in self._accounts.items()}
        return {
            "progress": plain(self._picture()),
            "limits": plain(limits),
            "waiting": plain(self._waiting()),
        }

    def _hold(self, request: Mapping[str, Any], held: bool) -> Any:
        chosen = self._chosen(request)
        for account in chosen:
            account.limits.hold(held)
            self._tell(Noted(f"{account.name} {'paused' if held else 'goes on'}, by hand"))
        return {"accounts": [account.name for account in chosen]}

    def _limit(self, request: Mapping[str, Any]) -> Any:
        name, value = request.get("name"), request.get("value")
        if name not in LIMITS:
            raise ConfigError("no such limit", how=f"there are: {', '.join(LIMITS)}")
        if not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
            raise ConfigError("a limit is a number above 0")
        now = asyncio.get_running_loop().time()
        chosen = self._chosen(request)
        for account in chosen:
            if name == "concurrency" and value > account.places:
                raise ConfigError(
                    f"{account.name}: concurrency cannot grow beyond {account.places},"
                    " the sweep file's number",
                    how="change it there for the next session",
                )
        for account in chosen:
            account.limits.set(name, value, "control", now)
            self._record(Limit(account.name, name, float(value), "control", self._wall()))
            self._tell(Noted(f"{account.name}: {name} is now {value:g}, by hand"))
        return {"accounts": [account.name for account in chosen]}

    def _chosen(self, request: Mapping[str, Any]) -> list[Account]:
        name = request.get("account") or ""
        if name == "":
            return list(self._accounts.values())
        if name not in self._accounts:
            raise ConfigError(
                f"no account `{printable(str(name), 80)}`",
                how=f"there are: {', '.join(self._accounts)}",
            )
        return [self._accounts[name]]
