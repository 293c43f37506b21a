"""Requests put in a provider's own way, by rules that are data. Pure.

Temperature 0 is not portable, nor is `max_tokens`, nor the way to say "do not think". A preset's rules
(`data/providers.toml`, `SamplingRule`) say what becomes of them for which models:

    drop     not sent                                    a model that takes no temperature
    rename   the same value under another name           max_tokens -> max_completion_tokens
    fix      this value, whatever was asked for
    minimum, maximum                                     temperature 0 -> 0.01
    at_zero  these parameters instead of temperature 0   do_sample = false
    add      always sent                                 reasoning_split = true
    thinking state -> parameters                         off -> {enable_thinking = false}
    keep     forget what earlier rules said of a parameter

Rules: they speak of temperature, max_tokens and seed; what a sweep file writes under `parameters` is sent
as it is and wins. The result is what is encoded, hence what the cache key is made of. Whatever is not sent
as it was asked for is told (`changes`), never done silently.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from data.codec import replace
from data.errors import ConfigError
from data.schema import Request, SamplingRule, Struct
from data.text import printable

NAMES = ("temperature", "max_tokens", "seed")
"""The fields of a Request that rules may speak of."""
Asked = Mapping[str, Any]


class Change(Struct, frozen=True):
    """Something is not sent as it was asked for. `asked` None: nothing was; `sent` None: it is left out."""

    name: str
    asked: Any
    sent: Any
    why: str = ""

    def __str__(self) -> str:
        why = f" ({self.why})" if self.why else ""
        if self.asked is None:
            return f"{self.name} = {shown(self.sent)} goes along{why}"
        if self.sent is None:
            return f"{self.name} {shown(self.asked)} is not sent{why}"
        return f"{self.name} {shown(self.asked)} is sent as {shown(self.sent)}{why}"


class Profile:
    """All rules that fit one model in one state of thinking, taken together."""

    def __init__(self, rules: Iterable[SamplingRule], state: str = "") -> None:
        self.state = state
        """The state of thinking that is asked for; empty: none is."""
        self.drop: set[str] = set()
        self.rename: dict[str, str] = {}
        self.fix: dict[str, Any] = {}
        self.minimum: dict[str, float] = {}
        self.maximum: dict[str, float] = {}
        self.at_zero: dict[str, Any] = {}
        self.add: dict[str, Any] = {}
        self.thinking: dict[str, dict[str, Any]] = {}
        self.why: dict[str, str] = {}
        """Parameter -> the reason of the rule that spoke of it last."""
        for rule in rules:
            self._take(rule)

    @property
    def empty(self) -> bool:
        """Is there nothing to do?"""
        tables = (
            self.drop,
            self.rename,
            self.fix,
            self.minimum,
            self.maximum,
            self.at_zero,
            self.add,
        )
        return not self.state and not any(tables)

    def _take(self, rule: SamplingRule) -> None:
        for name in rule.keep:
            self.drop.discard(name)
            for table in (self.rename, self.fix, self.minimum, self.maximum):
                table.pop(name, None)
            if name == "temperature":
                self.at_zero = {}
        self.drop |= set(rule.drop)
        self.rename |= rule.rename
        self.fix |= rule.fix
        self.minimum |= rule.minimum
        self.maximum |= rule.maximum
        self.at_zero |= rule.at_zero
        self.add = merge(self.add, rule.add)
        if rule.thinking is not None:
            self.thinking = rule.thinking
        self.why |= dict.fromkeys(_spoken_of(rule), rule.why)


def profile(rules: Iterable[SamplingRule], model: str, thinking: str = "") -> Profile:
    """What fits a model; its state of thinking is `thinking`, or the default that a rule names."""
    name = model.lower()
    fit = [r for r in rules if not r.models or any(fnmatchcase(name, g.lower()) for g in r.models)]
    for rule in fit:
        if not rule.thinks and rule.thinking_default and not thinking:
            thinking = rule.thinking_default
    return Profile((rule for rule in fit if rule.thinks in ("", thinking)), thinking)


def adapted(own: Profile, request: Request) -> tuple[Request, tuple[Change, ...]]:
    """The request as it is encoded, and what in it is not as it was asked for.

    `own` is the `profile` of the request's own model and thinking.
    """
    if own.empty:
        return request, ()
    fields: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    told: list[Change] = []
    for name in NAMES:
        asked = getattr(request, name)
        if asked is None:
            continue
        fields[name], instead = _put(own, name, asked)
        extra |= instead
        told += _told(own, name, asked, fields[name], instead)
    extra = merge(extra, own.add)
    told += [Change(k, None, v, own.why.get(k, "")) for k, v in own.add.items()]
    extra = merge(extra, own.thinking.get(own.state, {}))
    if own.state and not request.thinking:
        told.append(Change("thinking", None, own.state, own.why.get("thinking", "")))
    parameters = merge(extra, request.parameters)
    return replace(request, parameters=parameters, thinking="", **fields), tuple(told)


def check_thinking(rules: Iterable[SamplingRule], model: str, thinking: str, *, where: str) -> None:
    """Raises ConfigError where a provider is not known to have this state of thinking."""
    known = profile(rules, model, thinking).thinking
    if not thinking or thinking in known:
        return
    raise ConfigError(
        f"`thinking = {printable(thinking, 40)!r}` is not known of `{printable(model, 80)}`",
        where=where,
        how=f"known: {', '.join(known)}"
        if known
        else "write the provider's own parameter under `parameters`, or a rule under `sampling`",
    )


def check_rule(rule: SamplingRule, *, where: str) -> None:
    """Raises ConfigError for a rule that speaks of what it cannot change."""
    tables = (rule.drop, rule.keep, rule.rename, rule.fix, rule.minimum, rule.maximum)
    for name in (name for table in tables for name in table):
        if name not in NAMES:
            raise ConfigError(
                f"a sampling rule speaks of `{printable(name, 40)}`",
                where=where,
                how=f"it can change {', '.join(NAMES)}; anything else is `add`, or `parameters`",
            )


def merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Two tables as one, table by table; `over` has the last word."""
    both = dict(under)
    for key, value in over.items():
        below = both.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            both[key] = merge(below, value)
        else:
            both[key] = value
    return both


# --- one parameter -----------------------------------------------------------------------------


def _put(own: Profile, name: str, asked: Any) -> tuple[Any, dict[str, Any]]:
    """(what is sent under its name, or None; what is sent under other names)"""
    if name in own.drop:
        return None, {}
    if name == "temperature" and asked == 0 and own.at_zero and name not in own.fix:
        return None, own.at_zero
    sent = own.fix.get(name, asked)
    sent = max(sent, own.minimum.get(name, sent))
    sent = min(sent, own.maximum.get(name, sent))
    return (None, {own.rename[name]: sent}) if name in own.rename else (sent, {})


def _told(
    own: Profile, name: str, asked: Any, sent: Any, instead: Mapping[str, Any]
) -> Iterator[Change]:
    """The change of a value; a mere new name is none."""
    under = own.rename.get(name, "")
    value = instead.get(under, sent)
    if value == asked:
        return
    words = "; ".join(f"{k} = {shown(v)}" for k, v in instead.items() if k != under)
    yield Change(name, asked, words or value, own.why.get(name, ""))


def _spoken_of(rule: SamplingRule) -> set[str]:
    names = {*rule.drop, *rule.rename, *rule.fix, *rule.minimum, *rule.maximum, *rule.add}
    names |= {"temperature"} if rule.at_zero else set()
    return names | ({"thinking"} if rule.thinking is not None or rule.thinking_default else set())


def shown(value: Any) -> str:
    """A parameter's value as people read it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else printable(str(value), 80)
