"""Providers known by name, and how a sweep file's own entry extends one.

A preset is data (`providers.toml`); so is the user's table. Three layers lie above each other: ours, the
user's own `providers.toml`, the sweep file. Whatever lies above wins, key by key; rules add up.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

from data.codec import Table, convert, plain, replace
from data.errors import ConfigError
from data.outcomes import RuleTable, dialects
from data.schema import AccountSpec, ProviderSpec, SamplingRule
from data.text import printable


class SamplingTable(SamplingRule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """[[providers.NAME.sampling]] as it is written."""


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
    """[providers.NAME] as it is written. Unset keys come from the preset: the one that `preset` names,
    or the one of the same name."""

    preset: str | None = None
    api: str | None = None
    base_url: str | None = None
    path: str | None = None
    query: dict[str, str] | None = None
    auth: str | None = None
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
    ca_file: str | None = None
    proxy: bool | str | None = None
    errors: str | None = None
    rules: list[RuleTable] = []
    sampling: list[SamplingTable] = []
    simulator: dict[str, Any] | None = None
    usage: str | None = None
    source: str | None = None
    checked: str | None = None
    accounts: list[AccountTable] | None = None
    stream: bool | None = None
    certain: bool | None = None
    """False: read in public code or reports, not on a page of the provider's own."""
    note: str | None = None


Presets = Mapping[str, ProviderTable]
EMBEDDED = "simulated:"
"""The base URL of the simulator inside our own process."""
APIS = ("openai-chat", "openai-responses", "anthropic", "gemini")
"""The wire formats that presets speak; `providers/registry.py` has their codecs."""
REMARKS = ("usage", "source", "checked", "certain", "note")
"""Keys for people: they stand for one entry and are not handed on."""
NEAR = 0.75
"""How alike a name must be to be suggested: `opnai` is, `nope` is not."""
PLACEHOLDER = "RESOURCE"
"""Stands in a preset's address for a name that only the user knows."""
_BY_API = {"anthropic": "anthropic", "gemini": "gemini"}


@cache
def presets() -> Presets:
    """Our own, by name, each complete."""
    text = resources.files("data").joinpath("providers.toml").read_text(encoding="utf-8")
    written = {
        name: convert(table, ProviderTable, where=f"providers.toml [{name}]")
        for name, table in tomllib.loads(text).items()
    }
    found: dict[str, ProviderTable] = {}
    for name, table in written.items():  # an entry stands below the one it starts from
        base = found[table.preset] if table.preset else ProviderTable()
        errors = table.errors or (name if name in dialects() else base.errors)
        found[name] = _with(_over(base, table), errors=errors)
    return found


def over(known: Presets, own: Presets, *, where: str = "") -> Presets:
    """The presets with a user's own entries above them. Raises ConfigError for an unknown `preset`."""
    found = dict(known)
    for name, table in own.items():
        found[name] = _over(_base(name, table, found, where=f"{where} [{name}]"), table)
    return found


def resolve(
    name: str, table: ProviderTable, *, where: str, known: Presets | None = None
) -> ProviderSpec:
    """The user's table over the preset that it names, or of the same name. Raises ConfigError."""
    known = presets() if known is None else known
    if name not in known and table == ProviderTable():
        raise _unknown(name, known, where)
    merged = _over(_base(name, table, known, where=where), table)
    fields: dict[str, Any] = plain(merged)
    for key in (*REMARKS, "preset"):
        fields.pop(key, None)
    fields["options"] = fields.pop("simulator", {})
    if merged.base_url == EMBEDDED and merged.simulated is None:  # nobody else lives there
        fields["simulated"] = True
    _check_whole(name, merged, known, where)
    if table.api_key_file is not None and table.api_key_env is None:
        fields.pop("api_key_env", None)
    fields["errors"] = fields.get("errors") or _BY_API.get(fields["api"], "openai")
    proxy = fields.pop("proxy", False)
    fields["proxy"] = proxy if isinstance(proxy, str) else "environment" if proxy else ""
    fields["cache_identity"] = fields.get("cache_identity") or identity(fields)
    return convert({"name": name, **fields}, ProviderSpec, where=where)


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


def identity(merged: Mapping[str, Any]) -> str:
    """Whose answers these are, as far as the cache is concerned: the normalised base URL.

    A simulator's begins with `simulated:`; the embedded one's goes on with its seed, which a
    simulator at an address of its own keeps to itself.
    """
    if merged.get("simulated") and merged["base_url"] == EMBEDDED:
        return f"simulated:{merged['options'].get('seed', 0)}"
    url = str(merged["base_url"]).rstrip("/")
    url = re.sub(r"^[^/]*//[^/]*", lambda host: host[0].lower(), url)
    return f"simulated:{url}" if merged.get("simulated") else url


# --- layers ------------------------------------------------------------------------------------


def _base(name: str, table: ProviderTable, known: Presets, *, where: str) -> ProviderTable:
    if table.preset is not None and table.preset not in known:
        raise _unknown(table.preset, known, where)
    return known.get(table.preset or name, ProviderTable())


def _over(below: ProviderTable, above: ProviderTable) -> ProviderTable:
    """Key by key; sampling rules come after those below (the later counts), error rules before them."""
    fields = {name: getattr(below, name) for name in below.__struct_fields__}
    if above.preset is not None:
        fields |= dict.fromkeys(REMARKS)
    for name in above.__struct_fields__:
        value = getattr(above, name)
        if value is not None:
            fields[name] = value
    fields["sampling"] = [*below.sampling, *above.sampling]
    fields["rules"] = [*above.rules, *below.rules]
    return ProviderTable(**fields)


def _with(table: ProviderTable, **changes: Any) -> ProviderTable:
    fields = {name: getattr(table, name) for name in table.__struct_fields__}
    return ProviderTable(**{**fields, **changes})


def _unknown(name: str, known: Presets, where: str) -> ConfigError:
    near = difflib.get_close_matches(name, known, n=1, cutoff=NEAR)
    return ConfigError(
        f"unknown provider `{printable(name, 80)}`",
        where=where,
        how=(f"did you mean `{near[0]}`? " if near else "")
        + f"known: {', '.join(sorted(known))}; or define it: [providers.NAME]",
    )


def _check_whole(name: str, merged: ProviderTable, known: Presets, where: str) -> None:
    for key in ("api", "base_url"):
        if getattr(merged, key) is None:
            raise ConfigError(
                f"provider `{printable(name, 80)}` has no `{key}`",
                where=where,
                how=f"give it one, or use a known provider's name: {', '.join(sorted(known))}",
            )
    if PLACEHOLDER in str(merged.base_url):
        raise ConfigError(
            f"provider `{printable(name, 80)}` needs a base_url of your own",
            where=where,
            how=f"such as {printable(str(merged.base_url), 120)}, with your resource's name",
        )
