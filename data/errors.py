"""Every error this project raises on purpose, in one tree.

    AlignsweepError
    ├─ ConfigError              the user can mend it: what, where, how. Exit 2, no traceback
    ├─ DataError                a file is not what we expect: path, line, reason
    │  ├─ JournalDamaged        a bad line before the last durable offset: never skipped silently
    │  └─ JournalMismatch       this run directory belongs to another sweep: shows the difference
    ├─ RunBusy                  another process holds this run directory
    ├─ StorageError             a write or an fsync failed: the run stops, nothing more is acknowledged
    └─ CallError                one call failed; says which provider and model
       ├─ Retryable             the same call may work later; retry_after_s if the provider said when
       │  ├─ RateLimited        too many requests, tokens or connections
       │  ├─ Overloaded         the provider is in trouble (5xx, 529)
       │  ├─ TransportError     no reply: connection refused, reset, cut, timed out
       │  ├─ Outrun             given up, because a second copy of it was answered first
       │  └─ BadReply           a 2xx that cannot be read; its first bytes are kept
       └─ Fatal                 the same call will fail again
          ├─ BadRequest         this request is refused
          ├─ ContextTooLong     this prompt does not fit the model
          ├─ TooLarge           this call is larger than the account's own window; it was not sent
          ├─ DeadlinePassed     the trial has had the time that the sweep file gives it
          ├─ UnknownModel       stops the model
          ├─ NoSchema           stops the model
          ├─ WrongAddress       stops the account: this API is not spoken there
          ├─ Unauthorized       stops the account
          ├─ OutOfQuota         stops the account: no money
          ├─ DailyQuota         stops the account: the allowance of the day (week, month) is used up
          ├─ ModelQuota         stops the model: its own allowance is used up
          └─ OverBudget         our own ceiling stands in the way; it was not sent

Rules: the type decides the policy (`engine/retry.py` never looks at a status code). A content filter's
refusal, a truncated answer and an unreadable verdict are outcomes, not errors: they are recorded.
Messages never contain a key; what a server said is cut and escaped before it gets in here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

if TYPE_CHECKING:
    from data.schema import Usage

Scope = Literal["trial", "model", "account"]


class AlignsweepError(Exception):
    """Root of the tree."""


class ConfigError(AlignsweepError):
    """Something the user wrote or forgot.

    `what` is wrong, `where` it stands (a file and a place in it, a flag, a variable), `how` to mend it.
    """

    def __init__(self, what: str, *, where: str = "", how: str = "") -> None:
        super().__init__(what)
        self.what, self.where, self.how = what, where, how

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f"\n  {self.how}" if self.how else ""
        return f"{place}{self.what}{advice}"


class DataError(AlignsweepError):
    """A file is not what we expect; `line` counts from 1 (0: the file as a whole)."""

    def __init__(self, reason: str, *, path: str, line: int = 0, how: str = "") -> None:
        super().__init__(reason)
        self.reason, self.path, self.line, self.how = reason, path, line, how

    def __str__(self) -> str:
        place = f"{self.path}:{self.line}" if self.line else self.path
        advice = f"\n  {self.how}" if self.how else ""
        return f"{place}: {self.reason}{advice}"


class JournalDamaged(DataError):
    """A line that was durable can no longer be read. Raised with file, line and byte offset."""


class JournalMismatch(DataError):
    """The run directory was started by a sweep that differs in what decides its results."""


class RunBusy(AlignsweepError):
    """Another process holds this run directory."""


class StorageError(AlignsweepError):
    """A write, truncate or fsync failed. A failed fsync is never tried again: the pages are gone."""


class CallError(AlignsweepError):
    """One call failed. `status` is the HTTP status (0: none came), `request_id` the provider's own."""

    scope: ClassVar[Scope] = "trial"
    """What stops: this trial, its model everywhere, or the account for everybody."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        retry_after_s: float | None = None,
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.message, self.status = message, status
        self.retry_after_s, self.request_id = retry_after_s, request_id
        self.usage: Usage | None = None
        """What the reply says it took, where it says so all the same: it will be billed."""

    @property
    def kind(self) -> str:
        """The name that records and reports use: `RateLimited`, `Unauthorized`, …"""
        return type(self).__name__

    def __str__(self) -> str:
        return f"{self.message} (HTTP {self.status})" if self.status else self.message


class Retryable(CallError):
    """The same call may work later; `retry_after_s` (seconds from now) if the provider said when."""


class RateLimited(Retryable):
    """Too many requests, tokens or connections for this account."""


class Overloaded(Retryable):
    """The provider is in trouble; not this account's doing."""


class TransportError(Retryable):
    """No reply came back, or not the whole of it."""

    unsent = False
    """No connection came about, so not a byte of the request left: nobody can bill it."""


class Outrun(Retryable):
    """This copy of a call was given up: the other copy was answered first."""


class BadReply(Retryable):
    """A 2xx whose body cannot be read as an answer."""


class Fatal(CallError):
    """The same call will fail again."""


class BadRequest(Fatal):
    """The provider refuses this request as it is written."""


class ContextTooLong(Fatal):
    """The prompt does not fit the model's context."""


class TooLarge(Fatal):
    """One call needs more than the account's whole limit; waiting would not help. Nothing was sent."""


class DeadlinePassed(Fatal):
    """The trial's own deadline (`deadline_s`) is over; the next session tries it again."""


class UnknownModel(Fatal):
    """The provider does not know this model (or no longer)."""

    scope: ClassVar[Scope] = "model"


class NoSchema(Fatal):
    """The provider does not take the JSON schema that a reply was to be held to."""

    scope: ClassVar[Scope] = "model"


class WrongAddress(Fatal):
    """Nobody speaks this API at the account's address (404 or 405 for the path, a redirect)."""

    scope: ClassVar[Scope] = "account"


class Unauthorized(Fatal):
    """The key is missing, wrong, revoked, or not allowed here."""

    scope: ClassVar[Scope] = "account"


class OutOfQuota(Fatal):
    """No money or no quota is left on this account."""

    scope: ClassVar[Scope] = "account"


class DailyQuota(Fatal):
    """The allowance of the day, week or month is used up; it comes back by itself, but not soon."""

    scope: ClassVar[Scope] = "account"


class ModelQuota(Fatal):
    """This model's own allowance is used up, such as a free tier; others of the account go on."""

    scope: ClassVar[Scope] = "model"


class OverBudget(Fatal):
    """The sweep file's own ceiling would be exceeded. Nothing was sent; the trial stays pending."""
