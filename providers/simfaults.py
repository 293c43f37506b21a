"""What goes wrong at a simulated provider, and the words for it. Pure.

    500, 503   the server's own trouble, as a status
    inside     the same trouble, but in the body of an HTTP 200
    reset      the connection is reset before a byte of the reply
    cut        it is reset in the middle of the reply
    hang       the reply never comes
    empty      a whole reply, with its usage, in which nothing is said
    unpaid     no money is left; from `credit` requests on, every one

Where two dialects say a thing differently, `providers/simgateway.py` knows how.
"""

from __future__ import annotations

from collections.abc import Mapping

from data import codec

FAULTS: Mapping[str, float] = {"500": 0.4, "503": 0.3, "reset": 0.2, "hang": 0.1}
"""What an error is, by share, unless the options say otherwise."""
KINDS = ("500", "503", "inside", "reset", "cut", "hang", "empty")
UNPAID = "insufficient_quota"
"""The code of no money."""
_TROUBLE: Mapping[str, tuple[str, str]] = {
    "500": ("the server had an error (simulated)", "server_error"),
    "503": ("the server is overloaded (simulated)", "server_is_overloaded"),
    "inside": ("the server is overloaded (simulated)", "server_is_overloaded"),
}


def trouble(kind: str) -> tuple[int, bytes]:
    """(status, body) of a server's own trouble: 500, 503 or inside."""
    message, code = _TROUBLE[kind]
    return 200 if kind == "inside" else int(kind), envelope(message, "server_error", code)


def envelope(message: str, kind: str, code: str) -> bytes:
    """An error body as OpenAI writes it."""
    return codec.encode({"error": {"message": message, "type": kind, "param": None, "code": code}})


def pick(shares: Mapping[str, float], luck: float) -> str:
    """The kind in whose share of all of them `luck` falls, which is in (0, 1)."""
    luck *= sum(shares.values())
    for kind, share in shares.items():
        luck -= share
        if luck < 0:
            return kind
    return kind


def check_faults(faults: Mapping[str, float]) -> None:
    """Raises ValueError for an unknown kind, or shares that cannot be."""
    for kind, share in faults.items():
        if kind not in KINDS:
            raise ValueError(f"faults: no fault `{kind}`: {', '.join(KINDS)}")
        if not 0 < share <= 1:
            raise ValueError(f"faults: a share is above 0 and at most 1, not {share:g}")
