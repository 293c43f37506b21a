"""Who is asked no more in this session, and why: a wrong key, an unknown model, a ceiling reached.

What is stopped stays pending and is owed to the next session; everybody else goes on. An account that is
stopped leaves its jobs to the other accounts of its provider, if it has any left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from data.errors import CallError, OverBudget
from data.schema import Sweep
from engine.accounts import Account, Job, Pool
from engine.budget import Refusal
from engine.events import Event, Stopped


class Stops:
    """What has stopped. `leave_pending` is called for every job that will not be sent any more."""

    def __init__(
        self,
        sweep: Sweep,
        pools: Mapping[str, Pool],
        tell: Callable[[Event], None],
        leave_pending: Callable[[Job], None],
    ) -> None:
        self._sweep, self._pools, self._tell = sweep, pools, tell
        self._leave_pending = leave_pending
        self._parties: set[tuple[str, str]] = set()
        self._events: list[Stopped] = []
        self.broke = ""
        """The ceiling that was reached, in words."""

    @property
    def events(self) -> tuple[Stopped, ...]:
        """Accounts and models that were stopped, in order."""
        return tuple(self._events)

    def cover(self, job: Job) -> bool:
        """May this job not be sent by anybody any more?"""
        return job.pool.stopped is not None or _party(job) in self._parties

    def by_error(self, job: Job, account: Account, error: CallError) -> None:
        """The reply to a job says that its account or its model is of no use."""
        if error.scope == "model":
            self._stop_party(_party(job), account.pool, error)
        elif error.scope == "account":
            self._stop_account(account, error)
        if self.cover(job):
            self._leave_pending(job)
        else:  # another account of this provider may do it
            job.pool.backlog.put(job)

    def for_money(self, job: Job, account: Account, refusal: Refusal) -> None:
        """A ceiling is reached: whatever it covers stops."""
        self.broke = str(refusal)
        error = OverBudget(self.broke)
        kind, name = refusal.scope
        if kind == "model":
            self._stop_party(_party(job), account.pool, error, name)
        elif kind == "stage":
            self._stop_stage(job.trial.kind, error, name)
        else:
            pools = [account.pool] if kind == "account" else list(self._pools.values())
            for each in (a for pool in pools for a in pool.accounts):
                self._stop_account(each, error)
        self._leave_pending(job)

    def _stop_party(
        self, party: tuple[str, str], pool: Pool, error: CallError, name: str = ""
    ) -> None:
        if party not in self._parties:
            self._parties.add(party)
            pool.backlog.drop_streams(*party)
            self._say(Stopped("model", name or party[1], error.kind, str(error)))

    def _stop_stage(self, stage: str, error: CallError, name: str) -> None:
        parties = self._sweep.models if stage == "answer" else self._sweep.judges
        for party in (each.name for each in parties):
            self._parties.add((stage, party))
            for pool in self._pools.values():
                pool.backlog.drop_streams(stage, party)
        self._say(Stopped("model", name, error.kind, str(error)))

    def _stop_account(self, account: Account, error: CallError) -> None:
        if account.stopped is None:
            account.stopped = error
            account.pool.backlog.release(account.name)
            self._say(Stopped("account", account.name, error.kind, str(error)))
        if account.pool.stopped is not None:
            account.pool.backlog.drop_streams()
            for waiting in account.pool.backlog.take_all():
                self._leave_pending(waiting)

    def _say(self, event: Stopped) -> None:
        self._events.append(event)
        self._tell(event)


def _party(job: Job) -> tuple[str, str]:
    """Who answers this job: a model or a judge."""
    trial = job.trial
    return (trial.kind, trial.judge if trial.kind == "judgment" else trial.model)
