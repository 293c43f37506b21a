"""Token counts as providers write them, brought to the one meaning of `data.schema.Usage`. Pure.

What is counted where, so that input includes cached and output includes reasoning:

    chat        prompt_tokens includes cached ones; completion_tokens includes reasoning, except where
                total_tokens says otherwise (xAI, and Gemini's OpenAI address, count it beside them)
    responses   input_tokens includes cached, output_tokens includes reasoning
    anthropic   input_tokens leaves out cache reads and cache writes: both are added; output_tokens
                includes thinking
    gemini      promptTokenCount includes cached ones and leaves out what tools put in: added;
                candidatesTokenCount leaves out thoughts: added, unless the total says that they are in

Numbers that cannot be (cached above input, reasoning above output) are cut down to what can, and the
reply is flagged; a total that is larger than its parts is believed, and the rest counts as output, since
that is the dearer reading. The provider's own numbers are kept beside it (`Response.raw_usage`), so
costs can be worked out anew. What was not said is None, never zero.

Sources: the `usage` objects of the four API references and of the official SDKs' types.
"""

from __future__ import annotations

from typing import Any, Final

from data.schema import Struct, Usage

MOST_TOKENS: Final = 10_000_000
"""A larger count is no count."""
DEEPEST, MOST_NUMBERS, LONGEST_NAME = 3, 64, 80


class Counted(Struct, frozen=True):
    """`usage`: None if the provider did not say. `raw`: its own numbers. `flags`: what cannot be."""

    usage: Usage | None = None
    raw: dict[str, Any] = {}
    flags: tuple[str, ...] = ()


def chat_usage(raw: object) -> Counted:
    """`usage` of a chat completion, in all the shapes that OpenAI-compatible servers give it.

    Cached tokens stand nested (OpenAI), as prompt_cache_hit_tokens (DeepSeek) or at the top (Moonshot,
    StepFun).
    """
    prompt, completion = _count(raw, "prompt_tokens"), _count(raw, "completion_tokens")
    if prompt is None or completion is None:
        return Counted(raw=numbers(raw))
    cached = (
        _count(raw, "prompt_tokens_details", "cached_tokens")
        or _count(raw, "prompt_cache_hit_tokens")
        or _count(raw, "cached_tokens")
        or 0
    )
    reasoning = _count(raw, "completion_tokens_details", "reasoning_tokens") or 0
    total = _count(raw, "total_tokens")
    if total == prompt + completion + reasoning:
        completion += reasoning
    return _checked(raw, Usage(prompt, completion, cached, reasoning), total)


def responses_usage(raw: object) -> Counted:
    """`usage` of a response object."""
    asked, said = _count(raw, "input_tokens"), _count(raw, "output_tokens")
    if asked is None or said is None:
        return Counted(raw=numbers(raw))
    cached = _count(raw, "input_tokens_details", "cached_tokens") or 0
    reasoning = _count(raw, "output_tokens_details", "reasoning_tokens") or 0
    return _checked(raw, Usage(asked, said, cached, reasoning), _count(raw, "total_tokens"))


def anthropic_usage(raw: object) -> Counted:
    """`usage` of a message."""
    asked, said = _count(raw, "input_tokens"), _count(raw, "output_tokens")
    if asked is None or said is None:
        return Counted(raw=numbers(raw))
    read = _count(raw, "cache_read_input_tokens") or 0
    written = _count(raw, "cache_creation_input_tokens") or 0
    thinking = _count(raw, "output_tokens_details", "thinking_tokens") or 0
    return _checked(raw, Usage(asked + read + written, said, read, thinking), None)


def gemini_usage(raw: object) -> Counted:
    """`usageMetadata` of a reply. A count of nothing is left out there, so absent means 0."""
    prompt = _count(raw, "promptTokenCount")
    if prompt is None:
        return Counted(raw=numbers(raw))
    asked = prompt + (_count(raw, "toolUsePromptTokenCount") or 0)
    said = _count(raw, "candidatesTokenCount") or 0
    thoughts = _count(raw, "thoughtsTokenCount") or 0
    total = _count(raw, "totalTokenCount")
    if total != asked + said or thoughts > said:
        said += thoughts
    cached = _count(raw, "cachedContentTokenCount") or 0
    return _checked(raw, Usage(asked, said, cached, thoughts), total)


def numbers(raw: object, depth: int = DEEPEST) -> dict[str, Any]:
    """All finite numbers of an object under their own names, nested as they were; the rest is left out."""
    kept: dict[str, Any] = {}
    for name, value in raw.items() if isinstance(raw, dict) else ():
        if len(kept) == MOST_NUMBERS:
            break
        inner = numbers(value, depth - 1) if isinstance(value, dict) and depth else None
        if len(name) <= LONGEST_NAME and (inner or _is_number(value)):
            kept[name] = inner or value
    return kept


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 2**63  # which NaN is not, either


def _checked(raw: object, usage: Usage, total: int | None) -> Counted:
    """The counts with each part within its whole; every mending is a flag."""
    asked, said = usage.input_tokens, usage.output_tokens
    flags: list[str] = []
    if total is not None and total > asked + said:
        flags.append(f"usage: a total of {total} is more than {asked} + {said}; counted as output")
        said = total - asked
    if usage.cached_tokens > asked:
        flags.append(f"usage: {usage.cached_tokens} cached of {asked} input tokens")
    if usage.reasoning_tokens > said:
        flags.append(f"usage: {usage.reasoning_tokens} reasoning of {said} output tokens")
    sound = Usage(asked, said, min(usage.cached_tokens, asked), min(usage.reasoning_tokens, said))
    return Counted(sound, numbers(raw), tuple(flags))


def _count(raw: object, *path: str) -> int | None:
    """A believable token count at this place."""
    for name in path:
        raw = raw.get(name) if isinstance(raw, dict) else None
    return raw if type(raw) is int and 0 <= raw <= MOST_TOKENS else None  # a bool is no count
