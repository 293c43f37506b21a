"""The one list of dialects: the `api` of a provider in a sweep file -> its codec."""

from __future__ import annotations

from collections.abc import Mapping

from data.schema import ProviderSpec
from providers.openai import OpenAIChat
from providers.wire import Provider

DIALECTS: Mapping[str, Provider] = {
    "openai-chat": OpenAIChat(),
}


def codec_of(spec: ProviderSpec) -> Provider:
    """How this account speaks. Raises KeyError for an `api` that nobody knows."""
    return DIALECTS[spec.api]
