"""The one list of dialects: the `api` of a provider in a sweep file -> its codec."""

from __future__ import annotations

from collections.abc import Mapping

from data.schema import ProviderSpec
from providers.anthropic import AnthropicMessages
from providers.gemini import Gemini
from providers.openai import OpenAIChat
from providers.responses import OpenAIResponses
from providers.wire import Provider

DIALECTS: Mapping[str, Provider] = {
    "openai-chat": OpenAIChat(),
    "openai-responses": OpenAIResponses(),
    "anthropic": AnthropicMessages(),
    "gemini": Gemini(),
}
STREAMED: Mapping[str, Provider] = {
    "openai-chat": OpenAIChat(stream=True),
    "openai-responses": OpenAIResponses(stream=True),
    "anthropic": AnthropicMessages(stream=True),
    "gemini": Gemini(stream=True),
}


def codec_of(spec: ProviderSpec) -> Provider:
    """How this account speaks. Raises KeyError for an `api` that nobody knows."""
    return (STREAMED if spec.stream else DIALECTS)[spec.api]
