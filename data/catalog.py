"""Providers known by name, and how a sweep file's own entry extends one.

A preset is data (`providers.toml`); so is the user's table. Whatever the user says wins, key by key.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from importlib import resources
from typing import Any

from data.codec import Table, convert, plain, replace
from data.errors import ConfigError
from data.schema import AccountSpec, ProviderSpec
from data.text import printable


class AccountTable(Table, frozen=True, kw_only=True, omit_defaults=True):
    """[[providers.NAME.accounts]]: what this account has of its own."""

    base_url: str | None = None
    api_key_env: str | None = None
    api_key_file: str | None = None
    rpm: float | None = None
    tpm: float | None = None
    input_tpm: float | None = None
    output_tpm: float | None = None
    rpd: float | None = None
    concurrency: int | None = None


class ProviderTable(Table, frozen=True, kw_only=True, omit_defaults=True):
    """[providers.NAME] as it is written. Unset keys come from the preset of that name."""

    api: str | None = None
    base_url: str | None = None
    api_key_env: str | None = None
    api_key_file: str | None = None
    rpm: float | None = None
    tpm: float | None = None
    input_tpm: float | None = None
    output_tpm: float | None = None
    rpd: float | None = None
    concurrency: int | None = None
    timeout_s: float | None = None
    cache_identity: str | None = None
    simulated: bool | None = None
    headers: dict[str, str] | None = None
    simulator: dict[str, Any] | None = None
    checked: str | None = None
    accounts: list[AccountTable] | None = None
    stream: bool | None = None


EMBEDDED = "simulated:"
"""The base URL of the simulator inside our own process."""


def presets() -> dict[str, ProviderTable]:
    """All presets by name."""
    text = resources.files("data").joinpath("providers.toml").read_text(encoding="utf-8")
    tables = tomllib.loads(text)
    return {
        name: convert(table, ProviderTable, where=f"providers.toml [{name}]")
        for name, table in tables.items()
    }


def resolve(name: str, table: ProviderTable, *, where: str) -> ProviderSpec:
    """The user's table over the preset of the same name. Raises ConfigError."""
    known = presets()
    if name not in known and table == ProviderTable():
        near = difflib.get_close_matches(name, known, n=1)
        raise ConfigError(
            f"unknown provider `{printable(name, 80)}`",
            where=where,
            how=(f"did you mean `{near[0]}`? " if near else "")
            + f"known: {', '.join(sorted(known))}; or define it: [providers.NAME]",
        )
    preset = known.get(name, ProviderTable())
    merged: dict[str, Any] = {**plain(preset), **plain(table)}
    merged.pop("checked", None)
    merged["options"] = merged.pop("simulator", {})
    for key in ("api", "base_url"):
        if key not in merged:
            raise ConfigError(
                f"provider `{printable(name, 80)}` has no `{key}`",
                where=where,
                how=f"give it one, or use a known provider's name: {', '.join(sorted(known))}",
            )
    if "api_key_file" in plain(table) and "api_key_env" not in plain(table):
        merged.pop("api_key_env", None)
    merged["cache_identity"] = merged.get("cache_identity") or identity(merged)
    return convert({"name": name, **merged}, ProviderSpec, where=where)


def accounts_of(provider: ProviderSpec) -> tuple[ProviderSpec, ...]:
    """A provider as one spec per account: itself, or NAME#1, NAME#2 … with what each has of its own."""
    if not provider.accounts:
        return (provider,)
    return tuple(_account(provider, i, own) for i, own in enumerate(provider.accounts, start=1))


def _account(provider: ProviderSpec, number: int, own: AccountSpec) -> ProviderSpec:
    changed: dict[str, Any] = {key: value for key, value in plain(own).items() if value}
    if own.api_key_env or own.api_key_file:  # the provider's own key is another account's
        changed = {"api_key_env": "", "api_key_file": "", **changed}
    return replace(provider, name=f"{provider.name}#{number}", accounts=(), **changed)


def is_embedded(spec: ProviderSpec) -> bool:
    """Is this provider a simulator inside our own process?"""
    return spec.simulated and spec.base_url == EMBEDDED


def identity(merged: dict[str, Any]) -> str:
    """Whose answers these are, as far as the cache is concerned: the normalised base URL.

    A simulator's begins with `simulated:`; the embedded one's goes on with its seed, which a
    simulator at an address of its own keeps to itself.
    """
    if merged.get("simulated") and merged["base_url"] == EMBEDDED:
        return f"simulated:{merged['options'].get('seed', 0)}"
    url = str(merged["base_url"]).rstrip("/")
    url = re.sub(r"^[^/]*//[^/]*", lambda host: host[0].lower(), url)
    return f"simulated:{url}" if merged.get("simulated") else url
