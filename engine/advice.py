"""What to do about an error that stopped something, in one line. Pure.

Said by a run at its end and by `providers check`, beside the provider's own words; the live view has room
for its first words only.
"""

from __future__ import annotations

from collections.abc import Mapping

from data.schema import ProviderSpec
from data.text import printable

GOES_ON = "then run the same command again to go on"
_EVERYWHERE: Mapping[str, str] = {
    "OutOfQuota": f"top up the account, {GOES_ON}",
    "DailyQuota": f"the allowance comes back by itself; {GOES_ON}",
    "ModelQuota": "this model's allowance comes back by itself, or has to be bought",
    "NoSchema": 'it is held to no schema there: leave `verdict = "json_schema"` out (--fork NAME)',
    "UnknownModel": "check the id in `model`, and whether the key may use it",
    "TransportError": "nobody answers there: is the server running, and is base_url right?",
    "Overloaded": "the provider is in trouble; try again later",
}
_TAILS = ("/chat/completions", "/responses", "/messages")
"""What people copy along with an address."""
_SHORT: Mapping[str, str] = {
    "Unauthorized": "auth",
    "WrongAddress": "wrong address",
    "OutOfQuota": "quota used up",
    "DailyQuota": "daily quota used up",
    "ModelQuota": "its own quota used up",
    "NoSchema": "no schema",
    "UnknownModel": "unknown model",
    "OverBudget": "budget reached",
}


def advice(error: str, spec: ProviderSpec) -> str:
    """How to mend an error of this kind (a class of `data/errors.py`) at this account; "" if unknown."""
    if error == "Unauthorized":
        key = printable(spec.api_key_env or spec.api_key_file, 80)
        return f"check the key in {key}" if key else "it wants a key: set api_key_env"
    if error == "WrongAddress":
        url = spec.base_url.rstrip("/")
        if tail := next((t for t in _TAILS if url.endswith(t)), ""):
            return f"leave {tail} out of base_url: it is added"
        return f"check base_url: {printable(spec.base_url, 200)}"
    return _EVERYWHERE.get(error, "")


def in_short(error: str, status: int = 0, spec: ProviderSpec | None = None) -> str:
    """`auth 401: check OPENAI_API_KEY`: for a place with room for one phrase."""
    words = _SHORT.get(error, error)
    said = f"{words} {status}" if status else words
    how = advice(error, spec).partition(", then")[0].partition(";")[0] if spec else ""
    return f"{said}: {how.replace('the key in ', '')}" if how else said
