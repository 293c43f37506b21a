"""What a reply tells about the account's limits: rate headers of every dialect, numbers in a 429's body.

    OpenAI, Azure, Groq   x-ratelimit-{limit,remaining,reset}-{requests,tokens}
    Qianfan               X-Ratelimit-{Limit,Remaining}-{Requests,Tokens}, no reset
    Mistral, Cerebras     x-ratelimit-{limit,remaining}-{req,requests,tokens}-{minute,day}
    Anthropic             anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,...}
    Moonshot and others   x-ratelimit-{limit,remaining,reset}; the IETF draft leaves `x-` out
    OpenRouter            the same, quoted inside the body: error.metadata.headers
    Gemini                body: google.rpc.QuotaFailure, {"quotaId": "...PerMinute...", "quotaValue": "5"}
    prose                 "current concurrency is 40, which exceeds your concurrency limit of 39",
                          "Limit 10000, Used 9800, Requested 500", "每分钟最多 60 次", ...

Rules. Pure; header names are lower case. Nothing is guessed: a number without a known span is left out.
`requests` headers do not say their span: a reset further away than a minute belongs to a day or to
something we do not pace by. Zero and negative limits (Azure sends -1) say nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias

from data.schema import Struct
from providers.refusal import Body, Refusal, read_refusal
from providers.retry_after import seconds_until

LimitName: TypeAlias = Literal["rpm", "tpm", "input_tpm", "output_tpm", "rpd", "concurrency"]

PREFIXES: Final = ("x-ratelimit-", "anthropic-ratelimit-", "ratelimit-", "x-rate-limit-")
FIELDS: Final = frozenset({"limit", "remaining", "reset"})
REQUESTS, UNSAID = "requests", ""
UNITS: Final[Mapping[str, str]] = {
    UNSAID: UNSAID,
    "requests": REQUESTS,
    "requests-minute": "rpm",
    "req-minute": "rpm",
    "requests-day": "rpd",
    "tokens": "tpm",
    "tokens-minute": "tpm",
    "input-tokens": "input_tpm",
    "output-tokens": "output_tpm",
}
"""What a header counts -> the limit's name, or one whose span is still to be found out."""
MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86_400.0


class LimitSeen(Struct, frozen=True):
    """One limit as a reply tells it. `reset_s`: seconds until it is full again."""

    name: LimitName
    limit: float | None
    """Requests or tokens per minute (`rpd`: per day), or calls in flight."""
    remaining: float | None
    reset_s: float | None
    source: Literal["headers", "body"]


def limits_in(status: int, headers: Mapping[str, str], body: Body = None) -> tuple[LimitSeen, ...]:
    """Every limit that this reply tells, headers first. The body is read only of a 429."""
    told = {name: text for name, text in headers.items() if name.startswith(PREFIXES)}
    if not told and status != 429:
        return ()
    seen = list(_in_headers(told, headers.get("date"), "headers"))
    if status == 429 and body:
        seen += _in_body(read_refusal(body), headers.get("date"))
    return tuple(seen)


def exhausted_s(seen: tuple[LimitSeen, ...]) -> float | None:
    """Seconds until all limits with nothing left are full again: a wait where no other was told."""
    return max((s.reset_s for s in seen if s.remaining == 0 and s.reset_s), default=None)


# --- headers -----------------------------------------------------------------------------------


def _in_headers(
    told: Mapping[str, str], date: str | None, source: Literal["headers", "body"]
) -> Iterator[LimitSeen]:
    for unit, fields in _by_unit(told).items():
        limit = _amount(fields.get("limit"), least=1.0)
        remaining = _amount(fields.get("remaining"), least=0.0)
        reset_s = seconds_until(fields.get("reset"), date)
        name = _name(unit, fields.get("limit", ""), limit, remaining, reset_s)
        if name and not limit is remaining is None:
            yield LimitSeen(name, limit, remaining, reset_s, source)


def _by_unit(told: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """`tpm` -> {`limit`: "150000", `remaining`: "149984", `reset`: "6m0s"}"""
    units: dict[str, dict[str, str]] = {}
    for name, text in told.items():
        tail = name.partition("limit-")[2]
        if name.startswith("anthropic-"):
            unit, _, field = tail.rpartition("-")
        else:
            field, _, unit = tail.partition("-")
        if field in FIELDS and unit in UNITS:
            units.setdefault(UNITS[unit], {})[field] = text
    return units


def _name(
    unit: str, text: str, limit: float | None, remaining: float | None, reset_s: float | None
) -> LimitName | None:
    if unit not in (REQUESTS, UNSAID):
        return unit  # type: ignore[return-value]
    window = re.search(r";\s*w=(\d{1,9})", text)
    span = float(window[1]) if window else _span_s(limit, remaining, reset_s)
    return {MINUTE_S: "rpm", DAY_S: "rpd"}.get(span)  # type: ignore[return-value]


def _span_s(limit: float | None, remaining: float | None, reset_s: float | None) -> float:
    """A minute unless the reset lies further away; 0: some other span.

    A limit that refills steadily is full again after (used / limit) of its span.
    """
    if reset_s is None or reset_s <= MINUTE_S + 1:
        return MINUTE_S
    if reset_s > HOUR_S:
        return DAY_S
    used = (limit or 0) - (remaining or 0)
    span = reset_s * limit / used if limit and remaining is not None and used > 0 else 0.0
    return DAY_S if DAY_S / 2 < span < DAY_S * 2 else 0.0


def _amount(text: str | None, *, least: float) -> float | None:
    """The number a value begins with (`100, 100;w=60` is 100)."""
    found = re.match(r"\s*([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*(?:[,;]|$)", text or "")
    number = float(found[1]) if found else math.nan
    return number if number >= least else None


# --- a 429's body ------------------------------------------------------------------------------

_N = r"(?P<limit>[0-9][0-9,]{0,14}(?:\.[0-9]{1,3})?)(?P<scale>\s{0,2}[万千km](?![a-z]))?"
_SCALES: Final[Mapping[str, float]] = {"": 1.0, "k": 1e3, "千": 1e3, "万": 1e4, "m": 1e6}
_IS = r"(?:\s{0,2}(?:of|is|to|up to|[:=：为是])){0,2}\s{0,2}"
_MORE = r"(?:\W{0,2}used:?\s{0,2}(?P<used>[0-9,]{1,15}))?"
_AT_MOST = rf"(?:\bof|\bto|limit{_IS}|max(?:imum)?{_IS})\s{{0,2}}"
_PER_MINUTE = r"(?:\s{0,2}(?:per|/|a)\s{0,2}min(?:ute)?\b)"
_PER_DAY = r"(?:\s{0,2}(?:per|/|a)\s{0,2}day\b)"
_ZH_GAP = r"[^0-9\n，。,；;、]"
_ZH_MOST = r"(?:上限|限制|限额|最大值?|最多|不超过|不得超过|超过|超出)"
_ZH_N = rf"{_ZH_GAP}{{0,8}}{_N}"


def _english(words: str, short: str, per: str) -> list[str]:
    """The ways to say how many `words` `per` minute or day."""
    return [
        rf"{words}{per}[^\n]{{0,24}}?limit{_IS}{_N}{_MORE}",
        rf"(?<![a-z]){short}(?![a-z])(?:(?!limit|[rt]p[md]|\n).){{0,40}}limit{_IS}{_N}{_MORE}",
        rf"\b(?:max(?:imum)?|limit)\s{{0,2}}\(?{short}\)?{_IS}{_N}",
        rf"{_AT_MOST}{_N}\s{{1,2}}{words}{per}",
    ]


def _patterns() -> dict[LimitName, tuple[re.Pattern[str], ...]]:
    requests, tokens = r"(?:requests?|req|calls?)", r"(?<!input )(?<!output )(?:tokens?)"
    ways: dict[LimitName, list[str]] = {
        "concurrency": [
            rf"concurren(?:(?![rt]p[md]|token|minute|\bday\b|\n).){{0,80}}?limit{_IS}{_N}",
            rf"limit{_IS}{_N}\s{{1,2}}concurren",
            r"max(?:imum)?(?: [a-z]{1,20}){0,3} concurren[a-z]{1,6}(?: [a-z]{1,12}){0,2}"
            rf"{_IS}{_N}",
            rf"最[大多高]并发{_ZH_N}",
            rf"并发{_ZH_GAP}{{0,10}}(?:[0-9]{{1,7}}{_ZH_GAP}{{0,10}})?{_ZH_MOST}{_ZH_N}",
            rf"最多{_ZH_GAP}{{0,6}}{_N}\s{{0,2}}个{_ZH_GAP}{{0,4}}并发",
        ],
        "rpm": [
            *_english(requests, "rpm", _PER_MINUTE),
            rf"每分钟{_ZH_GAP}{{0,12}}{_N}\s{{0,2}}(?:次|个?请求)",
            rf"每分钟(?:请求|调用|访问)(?:次数|频率|数)?{_ZH_MOST}{_ZH_N}",
            rf"{_N}\s{{0,2}}次\s{{0,2}}[/每]\s{{0,2}}分",
            rf"(?<![a-z])rpm\s{{0,2}}的?{_ZH_MOST}{_ZH_N}",
        ],
        "input_tpm": _english("input tokens?", "itpm", _PER_MINUTE),
        "output_tpm": _english("output tokens?", "otpm", _PER_MINUTE),
        "tpm": [
            *_english(tokens, "tpm", _PER_MINUTE),
            rf"每分钟{_ZH_GAP}{{0,12}}{_N}\s{{0,2}}个?\s{{0,2}}tokens?",
            rf"(?<![a-z])tpm\s{{0,2}}的?{_ZH_MOST}{_ZH_N}",
        ],
        "rpd": [
            *_english(requests, "rpd", _PER_DAY),
            rf"每[天日]{_ZH_GAP}{{0,12}}{_N}\s{{0,2}}(?:次|个?请求)",
        ],
    }
    return {
        name: tuple(re.compile(way, re.IGNORECASE) for way in each) for name, each in ways.items()
    }


_PROSE: Final = _patterns()


def _in_body(refusal: Refusal, date: str | None) -> Iterator[LimitSeen]:
    named: dict[LimitName, LimitSeen] = {}
    for seen in (*_quoted(refusal, date), *_quotas(refusal), *_in_prose(refusal.text)):
        first = named.setdefault(seen.name, seen)
        if (seen.limit or math.inf) < (first.limit or math.inf):
            named[seen.name] = seen
    yield from named.values()


def _quoted(refusal: Refusal, date: str | None) -> Iterator[LimitSeen]:
    """Rate headers that a gateway quotes in its body."""
    for fields in refusal.objects:
        quoted = fields.get("headers")
        if isinstance(quoted, Mapping):
            headers = {str(name).lower(): str(text) for name, text in quoted.items()}
            told = {name: text for name, text in headers.items() if name.startswith(PREFIXES)}
            yield from _in_headers(told, date, "body")


def _quotas(refusal: Refusal) -> Iterator[LimitSeen]:
    """google.rpc.QuotaFailure: the quota's id says what it counts."""
    for fields in refusal.objects:
        name = _quota_name(fields.get("quotaId"))
        limit = _amount(str(fields.get("quotaValue")), least=1.0)
        if name and limit:
            yield LimitSeen(name, limit, None, None, "body")


def _quota_name(quota: Any) -> LimitName | None:
    text = quota if isinstance(quota, str) else ""
    if "Token" in text and "PerMinute" in text:
        return "input_tpm" if "Input" in text else "output_tpm" if "Output" in text else "tpm"
    if "Request" in text:
        return "rpm" if "PerMinute" in text else "rpd" if "PerDay" in text else None
    return None


def _in_prose(text: str) -> Iterator[LimitSeen]:
    for name, patterns in _PROSE.items():
        found = next((f for pattern in patterns if (f := pattern.search(text))), None)
        limit = _count(found["limit"], found["scale"]) if found else 0.0
        if found and limit >= 1:
            used = found.groupdict().get("used")
            remaining = max(limit - _count(used, None), 0.0) if used else None
            yield LimitSeen(name, limit, remaining, None, "body")


def _count(digits: str, scale: str | None) -> float:
    return float(digits.replace(",", "") or 0) * _SCALES[(scale or "").strip().lower()]
