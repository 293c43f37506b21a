"""How a trial has to end, given what was played to it and how often. Pure.

What an error means is written here a second time, by name, and not taken from `data/errors.py`: that
table is part of what is on trial.
"""

from __future__ import annotations

from providers.hostile.scene import Scene
from providers.hostile.server import Mode

ATTEMPTS = 3
"""Exchanges that may fail; also how often a judge is asked."""
OUTCOMES = frozenset({"answered", "truncated", "refused", "judged", "unscorable"})
"""What a scene may meet besides errors, which is at the same time how the trial ends."""
UNREADABLE = "unreadable"
LIMITED = "RateLimited"
AGAIN = frozenset({LIMITED, "Overloaded", "TransportError", "BadReply"})
"""Errors after which the same request is tried again."""
STOPPING = frozenset({"Unauthorized", "OutOfQuota", "DailyQuota", "WrongAddress", "UnknownModel"})
"""Those after which an account (or a model) is asked no more."""
FATAL = frozenset({"BadRequest", "ContextTooLong"})
MOST_LIMITED: dict[Mode, int] = {"first": 2, "twice": 3, "always": 50}


def stops(scene: Scene) -> bool:
    """Does it stop an account or a model, so that nothing more may be sent to it?"""
    return scene.meets in STOPPING


def readings(scene: Scene) -> frozenset[str]:
    """As which errors its replies may stand in the journal; empty text: none."""
    errors = (
        {"", scene.meets, "DeadlinePassed"} if scene.meets in AGAIN | STOPPING | FATAL else {""}
    )
    if scene.meets == "DailyQuota":  # a told wait that is too long to be waited for
        errors.add(LIMITED)
    return frozenset(errors)


def state_of(scene: Scene, mode: Mode) -> str:
    """The state in which each of its trials has to end; `pending` and `failed` are owed still."""
    sound = "judged" if scene.model == "judge" else "answered"
    if scene.meets in OUTCOMES:
        return scene.meets
    if scene.meets == UNREADABLE:
        return "unscorable" if mode == "always" else sound
    if scene.meets in STOPPING:
        return "pending"
    return sound if scene.meets in AGAIN and mode != "always" else "failed"


def most_requests(scene: Scene, mode: Mode) -> int:
    """How often one body may be sent at most."""
    if scene.meets == LIMITED:  # being told to wait is no failed attempt
        return MOST_LIMITED[mode]
    return ATTEMPTS if scene.meets in AGAIN or scene.meets == UNREADABLE else 1


def says(scene: Scene) -> str:
    """What must happen, in a few words."""
    return scene.says or f"read as {scene.meets}"
