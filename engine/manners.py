"""How an account wants to be spoken to, as somebody wrote it: what must hold before anything is sent.

The keys of a provider's table that say how (`auth`, `path`, `query`, `proxy`, `rules`, `sampling`), in a
sweep file as in the user's own `providers.toml`. Every complaint is a ConfigError with its place.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from data import outcomes, sampling
from data.catalog import ProviderTable
from data.errors import ConfigError
from data.text import printable

HEADER_NAME = re.compile(r"[\w!#$%&'*+.^`|~-]+", re.ASCII)
"""A token of RFC 9110."""
_SECRET_NAMES = re.compile(r"auth|key|token|secret|cookie", re.IGNORECASE)
_SECRET_VALUES = re.compile(r"\s*(bearer |basic |sk-)", re.IGNORECASE)
_PATH = re.compile(r"/[\w./{}:~-]*", re.ASCII)
_PROXY = re.compile(r"https?://[\w.:\[\]-]+/?", re.ASCII)


def looks_secret(name: str, value: str) -> bool:
    """Would a key travel under this name, or as this value?"""
    return bool(_SECRET_NAMES.search(name) or _SECRET_VALUES.match(value))


def check_manners(table: ProviderTable, at: Callable[[str], str]) -> None:
    """`at` says where a key of the table stands. Raises ConfigError."""
    if table.auth is not None and not HEADER_NAME.fullmatch(table.auth):
        raise ConfigError("`auth` is neither `bearer` nor the name of a header", where=at("auth"))
    if table.path is not None and not _PATH.fullmatch(table.path):
        raise ConfigError(
            "`path` must begin with / and have no query",
            where=at("path"),
            how='a query is a key of its own: query = { api-version = "…" }',
        )
    for key, value in (table.query or {}).items():
        if looks_secret(key, value):
            raise ConfigError(
                f"`query` holds what looks like a secret: {printable(key, 80)}",
                where=at("query"),
                how="use api_key_env or api_key_file; `auth` names the header that carries it",
            )
    if isinstance(table.proxy, str) and not _PROXY.fullmatch(table.proxy):
        raise ConfigError(
            "`proxy` is no address such as http://host:port",
            where=at("proxy"),
            how="for one that needs a password: proxy = true, and HTTPS_PROXY in the environment",
        )
    if table.errors is not None and table.errors not in outcomes.dialects():
        raise ConfigError(
            f"`errors` names no dialect: {printable(table.errors, 40)!r}",
            where=at("errors"),
            how=f"known: {', '.join(sorted(outcomes.dialects()))}",
        )
    for error_rule in table.rules:
        outcomes.check_rule(error_rule, where=at("rules"))
    for rule in table.sampling:
        sampling.check_rule(rule, where=at("sampling"))
