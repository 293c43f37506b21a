"""Attempts put together to calls, and what a steady window sees of them. Pure.

An attempt is one HTTP exchange; a call is all attempts and asks for one answer or one verdict, with the
waits between them. A window W counts what was *begun* in it for durations, awaited to the end however
long that took (so the slow ones are not lost), and what *ended* in it for completions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from data.schema import CallEnd, QuestionId, Struct, Timing

Window = tuple[float, float]


class Call(Struct, frozen=True):
    """One call, whole. Seconds since its block began."""

    question_id: QuestionId
    intended_s: float
    done_s: float
    end: CallEnd
    attempts: int

    @property
    def wall_s(self) -> float:
        """What a sweep really waits: queues, limits, retries and all."""
        return self.done_s - self.intended_s


def calls_of(timings: Iterable[Timing]) -> list[Call]:
    """The calls of one block that came to an end, in the order in which they did."""
    first: dict[int, tuple[float, int]] = {}
    found = []
    for timing in timings:
        intended_s, attempts = first.get(timing.call, (timing.intended_s, 0))
        first[timing.call] = intended_s, attempts + 1
        if timing.end:
            found.append(
                Call(timing.question_id, intended_s, timing.done_s, timing.end, attempts + 1)
            )
    return sorted(found, key=lambda call: call.done_s)


def begun(calls: Sequence[Call], window: Window) -> list[Call]:
    """Calls that were meant to begin inside the window."""
    return [call for call in calls if window[0] <= call.intended_s < window[1]]


def ended(calls: Sequence[Call], window: Window) -> list[Call]:
    """Calls that came to their end inside the window."""
    return [call for call in calls if window[0] <= call.done_s < window[1]]


def sent(timings: Iterable[Timing], window: Window) -> list[Timing]:
    """Attempts that were sent inside the window."""
    return [timing for timing in timings if window[0] <= timing.sent_s < window[1]]


def overlap_s(spans: Iterable[Window], window: Window) -> float:
    """Seconds that all spans together spend inside the window."""
    return sum(max(0.0, min(b, window[1]) - max(a, window[0])) for a, b in spans)


def length_s(window: Window) -> float:
    """Never below zero."""
    return max(0.0, window[1] - window[0])
