"""What stopped an account or a model, in a few words, and what its user can do about it. Pure."""

from __future__ import annotations

from data.schema import ProviderSpec
from data.text import printable

_SHORT = {
    "Unauthorized": "auth",
    "WrongAddress": "wrong address",
    "OutOfQuota": "quota used up",
    "DailyQuota": "daily quota used up",
    "ModelQuota": "its own quota used up",
    "UnknownModel": "unknown model",
    "OverBudget": "budget reached",
}


def remedy(kind: str, spec: ProviderSpec) -> str:
    """What to look at when an account stops with an error of this kind; empty: nothing to be done."""
    if kind == "Unauthorized":
        key = spec.api_key_env or spec.api_key_file
        return f"check the key in {key}" if key else "it wants a key: set api_key_env"
    if kind == "WrongAddress":
        return f"check base_url: {printable(spec.base_url)}"
    if kind in ("OutOfQuota", "DailyQuota"):
        return "pay or wait, then run the same command again"
    return ""


def in_short(kind: str, status: int = 0, spec: ProviderSpec | None = None) -> str:
    """`auth 401: check the key in OPENAI_API_KEY`: for a place with room for one phrase."""
    words = _SHORT.get(kind, kind)
    said = f"{words} {status}" if status else words
    how = remedy(kind, spec) if spec is not None else ""
    return f"{said}: {how.replace('the key in ', '')}" if how else said
