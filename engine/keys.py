"""Where keys come from: an environment variable or a file, named by the sweep file. Never printed.

A key leaves here only inside an Endpoint's headers, whose repr does not show them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from data.errors import ConfigError
from data.schema import ProviderSpec


def key_of(provider: ProviderSpec, env: Mapping[str, str]) -> str:
    """The provider's key; empty if it needs none. Raises ConfigError, without any part of the key."""
    if provider.api_key_file:
        return _checked(_from_file(provider), f"the key in {provider.api_key_file}", provider)
    if not provider.api_key_env:
        return ""
    key = env.get(provider.api_key_env, "")
    if not key.strip():
        raise ConfigError(
            f"the environment variable {provider.api_key_env} is not set",
            where=f"provider `{provider.name}`",
            how=f"export {provider.api_key_env}=… or name another one with api_key_env",
        )
    return _checked(key, provider.api_key_env, provider)


def _from_file(provider: ProviderSpec) -> str:
    path = Path(provider.api_key_file).expanduser()
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(
            f"cannot read the key file {path}: {reason}", where=f"provider `{provider.name}`"
        ) from None


def _checked(key: str, name: str, provider: ProviderSpec) -> str:
    """A key is one line of visible ASCII, or it would break the header it travels in."""
    key = key.strip()
    if not key or not key.isascii() or not key.isprintable():
        raise ConfigError(
            f"{name} holds no usable key (empty, several lines, or not ASCII)",
            where=f"provider `{provider.name}`",
        )
    return key
