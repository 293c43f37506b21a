"""The one list of dialects: the `api` of a provider in a sweep file -> its codec."""

from __future__ import annotations

from collections.abc import Mapping

from providers.openai import OpenAIChat
from providers.wire import Provider

DIALECTS: Mapping[str, Provider] = {
    "openai-chat": OpenAIChat(),
}
