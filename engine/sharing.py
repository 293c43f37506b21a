"""Jobs that want the same words share one call.

The first of them leads: it is looked up, sent and tried again. The others follow it and are given the
same response. A leader that gives up, or is left pending, hands its place to its first follower, which
then asks for itself: a failure is one trial's and is never copied to another.
"""

from __future__ import annotations

from engine.accounts import Job


class Sharing:
    """Who leads for which key. `on` False: every job goes alone, as where the user wants no cache."""

    def __init__(self, on: bool) -> None:
        self._on = on
        self._leaders: dict[bytes, Job] = {}

    def leads(self, job: Job) -> bool:
        """True: this job is to be looked up and sent. False: it follows one that is under way."""
        if not self._on:
            return True
        leader = self._leaders.setdefault(job.key, job)
        if leader is job:
            return True
        leader.followers.append(job)
        return False

    def answered(self, job: Job) -> list[Job]:
        """The job's response has come: those that it serves as well."""
        self._leave(job)
        followers, job.followers = job.followers, []
        return followers

    def heir(self, job: Job) -> Job | None:
        """No response will come for this job: the first that followed it leads from now on."""
        self._leave(job)
        if not job.followers:
            return None
        heir, *rest = job.followers
        heir.followers, job.followers = rest, []
        self._leaders[heir.key] = heir
        return heir

    def _leave(self, job: Job) -> None:
        if self._leaders.get(job.key) is job:
            del self._leaders[job.key]
