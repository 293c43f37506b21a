"""Scenes in which the server says no: too fast, no money, wrong key, out of order, not like this.

429 in every way of telling when to come back, and in the ways that tell nothing or nonsense; 4xx that
will never work; 5xx that may.
"""

from __future__ import annotations

from email.utils import formatdate

from data import codec
from providers.hostile.scene import Scene, page, told
from providers.hostile.stage import Pairs, Stage, error

WAIT_S = 0.4
"""What is told where any number will do."""
CLOCK_S = 946_684_800.0
"""The server's clock stands in the year 2000: a date is worth something only beside its own."""
SLOW = error("Rate limit reached", "rate_limit_exceeded")
HTML = ("Content-Type", "text/html")
PAGE = b"<html><head><title>Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>"


def _date(wait_s: float) -> Pairs:
    return (
        ("Date", formatdate(CLOCK_S, usegmt=True)),
        ("Retry-After", formatdate(CLOCK_S + wait_s, usegmt=True)),
    )


def _seconds(value: str) -> Pairs:
    return (("Retry-After", value),)


def _info() -> bytes:
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{WAIT_S}s"}]
    said = {"code": 429, "message": "quota", "status": "RESOURCE_EXHAUSTED", "details": details}
    return codec.encode({"error": said})


_WAITS = "the told time is waited, by the whole account"
_BACKS_OFF = "no time is told: the account backs off"
LIMITS = (
    Scene("429_ra_s", told(429, SLOW, 1.0, _seconds("1")), "RateLimited", _WAITS),
    Scene("429_ra_float", told(429, SLOW, WAIT_S, _seconds(f"{WAIT_S}")), "RateLimited", _WAITS),
    Scene("429_ra_date", told(429, SLOW, 1.0, _date), "RateLimited", _WAITS),
    Scene(
        "429_ra_ms", told(429, SLOW, WAIT_S, (("Retry-After-Ms", "400"),)), "RateLimited", _WAITS
    ),
    Scene("429_ra_go", told(429, SLOW, WAIT_S, _seconds("400ms")), "RateLimited", _WAITS),
    Scene("429_body_info", told(429, _info(), WAIT_S), "RateLimited", _WAITS),
    Scene(
        "429_body_hint",
        told(429, error(f"Rate limit reached. Please try again in {WAIT_S}s."), WAIT_S),
        "RateLimited",
        _WAITS,
    ),
    Scene("429_no_ra", page(429, SLOW), "RateLimited", _BACKS_OFF),
    Scene("429_html", page(429, PAGE, HTML), "RateLimited", _BACKS_OFF),
    Scene("429_ra_zero", page(429, SLOW, *_seconds("0")), "RateLimited", _BACKS_OFF),
    Scene("429_ra_past", page(429, SLOW, *_date(-60.0)), "RateLimited", _BACKS_OFF),
    Scene("429_ra_negative", page(429, SLOW, *_seconds("-5")), "RateLimited", _BACKS_OFF),
    Scene(
        "429_ra_garbage", page(429, SLOW, *_seconds("soon \\u2028 NaN")), "RateLimited", _BACKS_OFF
    ),
    Scene("429_ra_nan", page(429, SLOW, *_seconds("nan")), "RateLimited", _BACKS_OFF),
    Scene(
        "429_ra_huge",
        page(429, SLOW, *_seconds("86400")),
        "DailyQuota",
        "nobody waits a day: the account is stopped, its trials stay pending",
    ),
    Scene(
        "429_ra_endless",
        page(429, SLOW, *_seconds("9" * 60)),
        "RateLimited",
        "an absurd number says nothing: the account backs off",
    ),
)

_STOPS = "the account is stopped, its trials stay pending, others go on"
_ONCE = "this trial fails, without a second attempt"
LASTING = (
    Scene(
        "429_insufficient_quota",
        page(429, error("You exceeded your current quota", "insufficient_quota")),
        "OutOfQuota",
        _STOPS,
    ),
    Scene("401", page(401, error("Incorrect API key", "invalid_api_key")), "Unauthorized", _STOPS),
    Scene("402", page(402, error("Insufficient Balance")), "OutOfQuota", _STOPS),
    Scene("403", page(403, error("forbidden")), "Unauthorized", _STOPS),
    Scene("403_html", page(403, PAGE, HTML), "Unauthorized", _STOPS),
    Scene("404_path", page(404, PAGE, HTML), "WrongAddress", _STOPS),
    Scene("405", page(405, b""), "WrongAddress", _STOPS),
    Scene(
        "404_model",
        page(404, error("The model `target` does not exist", "model_not_found")),
        "UnknownModel",
        "the model is stopped, others go on",
    ),
    Scene("400_schema", page(400, error("max_tokens: invalid value")), "BadRequest", _ONCE),
    Scene("400_empty", page(400, b""), "BadRequest", _ONCE),
    Scene(
        "400_context",
        page(400, error("too many tokens", "context_length_exceeded")),
        "ContextTooLong",
        _ONCE,
    ),
    Scene("413", page(413, PAGE, HTML), "ContextTooLong", _ONCE),
    Scene("422", page(422, codec.encode({"detail": [{"msg": "field"}]})), "BadRequest", _ONCE),
    Scene(
        "400_content_filter",
        page(400, error("filtered", "content_filter")),
        "refused",
        "a refusal is an outcome: final, not asked again",
    ),
    Scene("451", page(451, error("not in this country")), "refused", "likewise"),
)

_AGAIN = "tried again until it works, at most `attempts` times"
PASSING = (
    Scene("500", page(500, error("oops")), "Overloaded", _AGAIN),
    Scene("502_html", page(502, PAGE, HTML), "Overloaded", _AGAIN),
    Scene(
        "503_ra",
        told(503, error("busy"), 1.0, _seconds("1")),
        "Overloaded",
        "tried again, not before the told time",
    ),
    Scene("504", page(504, b""), "Overloaded", _AGAIN),
    Scene("520", page(520, PAGE, HTML), "Overloaded", _AGAIN),
    Scene("529", page(529, error("Overloaded", kind="overloaded_error")), "Overloaded", _AGAIN),
    Scene("408", page(408, b""), "Overloaded", _AGAIN),
    Scene("409", page(409, error("conflict")), "Overloaded", _AGAIN),
    Scene("status_999", page(999, error("what")), "Overloaded", _AGAIN),
    Scene(
        "200_error_object",
        page(200, error("The server had an error", "server_error")),
        "Overloaded",
        "an error inside a 200 is an error",
    ),
)


async def _elsewhere(stage: Stage) -> bool:
    return await stage.send(b"", 307, [("Location", f"{stage.elsewhere}/chat/completions")])


async def _elsewhere_permanently(stage: Stage) -> bool:
    return await stage.send(b"", 301, [("Location", f"{stage.elsewhere}/chat/completions")])


_STAYS = "never followed: no other host sees key or prompt"
LURING = (
    Scene("redir_307", _elsewhere, "WrongAddress", _STAYS),
    Scene("redir_301", _elsewhere_permanently, "WrongAddress", _STAYS),
)
SCENES = (*LIMITS, *LASTING, *PASSING, *LURING)
