"""The durations of one attempt, each with its definition. Pure; seconds.

    wait      sent - intended            queue and limits; never hidden (coordinated omission: wrk2, Tene)
    TTFB      first body byte - sent     a check of the line only
    TTFT      first token - sent         of any channel, thinking included; streams only
    TTFA      first answer token - sent  equals TTFT where nothing was thought
    latency   last token - sent          streams: what follows is usage and the end; else last byte - sent
    TPOT      (last token - first token) / (output tokens - 1)      MLPerf Inference, vLLM bench serve
    arrival   between two reads of a body with tokens in it: several tokens may come at once, so this is
              no inter-token latency and is not called one

A role chunk, an empty chunk, a comment and a usage chunk are no tokens (the codecs see to that, see
`providers/sse.py`). What a provider does not say is None, never 0.
"""

from __future__ import annotations

from data.schema import Timing

ARRIVAL_UNIT_S = 1e-4
"""`Timing.arrivals` counts in these."""


def is_ok(timing: Timing) -> bool:
    """A reply came and was read; what it says is another matter."""
    return not timing.error


def latency_s(timing: Timing) -> float | None:
    """Of a reply that was read, or of one that took too long (then it is only a lower bound)."""
    if timing.timed_out:
        return timing.done_s - timing.sent_s
    if not is_ok(timing):
        return None
    if timing.last_token_s is not None:
        return timing.last_token_s
    return timing.done_s - timing.sent_s


def wait_s(timing: Timing) -> float:
    """From the intended start to the sending; of a first attempt."""
    return max(0.0, timing.sent_s - timing.intended_s)


def dispatch_lag_s(timing: Timing) -> float:
    """The part of it that no limit asked for: this process was busy."""
    return max(0.0, timing.asked_s - timing.intended_s + timing.sent_s - timing.admitted_s)


def tpot_s(timing: Timing) -> float | None:
    """Time per output token after the first."""
    if timing.ttft_s is None or timing.last_token_s is None or timing.usage is None:
        return None
    after_first = timing.usage.output_tokens - 1
    return (timing.last_token_s - timing.ttft_s) / after_first if after_first > 0 else None


def arrivals_s(timing: Timing) -> list[float]:
    """Seconds between arrivals from the first token to the last."""
    return [gap * ARRIVAL_UNIT_S for gap in timing.arrivals]
