"""Where keys come from: an environment variable or a file, named by the sweep file. Never printed.

A key leaves here only inside an Endpoint's headers, whose repr does not show them.
"""

from __future__ import annotations

import re
import ssl
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from data.errors import ConfigError
from data.schema import ProviderSpec
from data.text import printable
from providers.wire import Endpoint, Provider

_VARIABLE = re.compile(r"[A-Za-z_]\w{0,63}", re.ASCII)
_KEY = re.compile(r"sk-|(?:.*\d){6}")
"""What a key looks like that was put where its place should be named: it is not repeated."""


def names_a_variable(text: str) -> bool:
    """May this be the name of an environment variable, and not a key by mistake?"""
    return bool(_VARIABLE.fullmatch(text)) and not _KEY.match(text)


def names_a_file(text: str) -> bool:
    """May this be the path of a key file, and not a key by mistake?"""
    return "/" in text or not _KEY.match(text)


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


def endpoint_of(provider: ProviderSpec, codec: Provider, env: Mapping[str, str]) -> Endpoint:
    """Where its requests go, with its key. Raises ConfigError for what cannot be used."""
    key = key_of(provider, env)
    ca_file = str(Path(provider.ca_file).expanduser()) if provider.ca_file else ""
    if ca_file:
        _check_authorities(ca_file, provider)
    return Endpoint(
        provider.base_url,
        {**provider.headers, **codec.authorize(key)},
        provider.timeout_s,
        key,
        ca_file=ca_file,
        proxy=_proxy(provider),
    )


def _check_authorities(ca_file: str, provider: ProviderSpec) -> None:
    try:
        ssl.create_default_context(cafile=ca_file)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = (
            "it holds no PEM certificate" if isinstance(error, ssl.SSLError) else error.args[-1]
        )
        raise ConfigError(
            f"cannot use ca_file {printable(ca_file, 200)}: {reason}",
            where=f"provider `{provider.name}`",
        ) from None


def _proxy(provider: ProviderSpec) -> str:
    """The proxy that is asked for: named, or the environment's for this address."""
    if provider.proxy != "environment":
        return provider.proxy
    parts = urlsplit(provider.base_url)
    if urllib.request.proxy_bypass(parts.hostname or ""):
        return ""
    return urllib.request.getproxies().get(parts.scheme, "")


def _from_file(provider: ProviderSpec) -> str:
    try:
        return Path(provider.api_key_file).expanduser().read_text(encoding="utf-8")
    except UnicodeDecodeError:
        reason = "it is not UTF-8 text"
    except OSError as error:
        reason = error.strerror or str(error)
    except (ValueError, RuntimeError):  # a NUL in it; ~somebody whom nobody knows
        reason = "no file has a name like this"
    raise ConfigError(
        f"cannot read the key file {printable(provider.api_key_file, 200)}: {reason}",
        where=f"provider `{provider.name}`",
    )


def _checked(key: str, name: str, provider: ProviderSpec) -> str:
    """A key is one line of visible ASCII, or it would break the header it travels in."""
    key = key.strip()
    if not key or not key.isascii() or not key.isprintable():
        raise ConfigError(
            f"{name} holds no usable key (empty, several lines, or not ASCII)",
            where=f"provider `{provider.name}`",
        )
    return key
