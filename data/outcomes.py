"""What providers' error replies mean, as data: `outcomes.toml`, read into rules.

A dialect is a list of rules; it goes on with the rules of the one it `extends`, and every one ends with
those of `common`. The first rule that fits decides, so what is particular stands before what is general.
`providers/outcomes.py` applies them.
"""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib import resources

from data import errors
from data.codec import Table, convert
from data.errors import CallError, ConfigError
from data.schema import ErrorRule

COMMON = "common"
REFUSED = "refused"


class RuleTable(ErrorRule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule as it is written."""


class DialectTable(Table, frozen=True, kw_only=True):
    """[NAME] of outcomes.toml."""

    extends: str = COMMON
    rules: list[RuleTable] = []
    source: str = ""
    checked: str = ""
    certain: bool = True
    """False: some of it was read in public code or reports, not on the provider's own page."""


def _classes() -> dict[str, type[CallError]]:
    """Every error that a reply can mean, by its name."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    own = {"TooLarge", "OverBudget", "TransportError", "CallError", "Retryable", "Fatal"}
    return {k.__name__: k for k in kinds if issubclass(k, CallError) and k.__name__ not in own}


CLASSES = _classes()


@cache
def dialects() -> dict[str, DialectTable]:
    """All of them by name, `common` included."""
    text = resources.files("data").joinpath("outcomes.toml").read_text(encoding="utf-8")
    return {
        name: convert(table, DialectTable, where=f"outcomes.toml [{name}]")
        for name, table in tomllib.loads(text).items()
    }


@cache
def rules_of(name: str) -> tuple[ErrorRule, ...]:
    """A dialect's rules in the order in which they are tried. "" is `common` alone."""
    table = dialects()[name or COMMON]
    if name in ("", COMMON):
        return tuple(table.rules)
    return (*table.rules, *rules_of(table.extends))


def check_rule(rule: ErrorRule, *, where: str) -> None:
    """Raises ConfigError for a rule that could not be applied, or would fit everything."""
    if rule.means not in CLASSES and rule.means != REFUSED:
        raise ConfigError(
            f"`means` names no outcome: {rule.means[:40]!r}",
            where=where,
            how=f"known: {REFUSED}, {', '.join(sorted(CLASSES))}",
        )
    if not (rule.code or rule.says or rule.status):
        raise ConfigError("a rule without `code`, `says` or `status`", where=where)
    try:
        re.compile(rule.says)
    except re.error as error:
        raise ConfigError(f"`says` is no regular expression: {error}", where=where) from None
