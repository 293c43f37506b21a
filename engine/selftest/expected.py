"""How a trial has to end, given what was played to it and how often. Pure."""

from __future__ import annotations

from data import errors
from data.errors import CallError, RateLimited, Retryable
from providers.hostile.scene import Scene
from providers.hostile.server import Mode

ATTEMPTS = 3
"""Exchanges that may fail; also how often a judge is asked."""
OUTCOMES = ("answered", "truncated", "refused", "judged", "unscorable")
"""What a scene may meet besides errors, which is at the same time how the trial ends."""
UNREADABLE = "unreadable"


def error_class(scene: Scene) -> type[CallError] | None:
    """The error as which the client has to read this; None: it is an outcome."""
    if scene.meets in OUTCOMES or scene.meets == UNREADABLE:
        return None
    found: type[CallError] = getattr(errors, scene.meets)
    return found


def stops(scene: Scene) -> bool:
    """Does it stop an account or a model, so that nothing more may be sent to it?"""
    kind = error_class(scene)
    return kind is not None and kind.scope != "trial"


def state_of(scene: Scene, mode: Mode) -> str:
    """The state in which each of its trials has to end; `pending` and `failed` are owed still."""
    if scene.meets in OUTCOMES:
        return scene.meets
    sound = "judged" if scene.model == "judge" else "answered"
    if scene.meets == UNREADABLE:
        return "unscorable" if mode == "always" else sound
    kind = error_class(scene)
    assert kind is not None
    if kind.scope != "trial":
        return "pending"
    if issubclass(kind, Retryable) and mode != "always":
        return sound
    return "failed"


def most_requests(scene: Scene, mode: Mode) -> int:
    """How often one body may be sent at most."""
    kind = error_class(scene)
    if kind is None:
        return ATTEMPTS if scene.meets == UNREADABLE else 1
    if issubclass(kind, RateLimited):  # being told to wait is no failed attempt
        return {"first": 2, "twice": 3, "always": 50}[mode]
    return ATTEMPTS if issubclass(kind, Retryable) else 1


def says(scene: Scene) -> str:
    """What must happen, in a few words."""
    return scene.says or f"read as {scene.meets}"
