"""The user's own `providers.toml`: presets above ours, below the sweep file.

It lies in the user's configuration folder and has the form of ours: a table [NAME] per provider, with
the keys of a sweep file's [providers.NAME]. It is checked as strictly as a sweep file.
"""

from __future__ import annotations

from pathlib import Path

from data.catalog import Presets, ProviderTable, over, presets
from data.codec import convert, read_bytes
from engine.paths import config_home
from engine.sweepfile import Places, check_provider, read_toml, refuse_secrets


def own_file() -> Path:
    """Where it lies, whether it exists or not."""
    return config_home() / "providers.toml"


def known_presets(path: Path | None = None) -> Presets:
    """All presets by name: ours, with the user's own (of `path`) above them. Raises ConfigError."""
    file = own_file() if path is None else path
    return over(presets(), _own(file), where=str(file)) if file.is_file() else presets()


def _own(path: Path) -> dict[str, ProviderTable]:
    text = read_bytes(path).removeprefix(b"\xef\xbb\xbf")
    tables = read_toml(path, text)
    places = Places(path, text.decode("utf-8", errors="replace"))
    refuse_secrets(tables, places, "providers.toml", "[{name}]")
    found = {}
    for name, value in tables.items():
        header = f"[{name}]"
        table = convert(value, ProviderTable, where=places.at(header))
        check_provider(name, table, places, header=header)
        found[name] = table
    return found
