"""Foreign text, made safe for one line of a terminal or a log.

What models, servers and files say is data. Shown as it is, it could move the cursor, recolour the
screen, reorder a line (bidi controls) or fail to be written at all (lone surrogates). Everything
invisible is therefore spelt as an escape; what can be seen, Chinese and emoji included, stays.
"""

from __future__ import annotations

import unicodedata

_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Unicode: control, format (bidi, zero width, tags), surrogate, line and paragraph separator."""
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def printable(text: str, limit: int | None = None) -> str:
    """One visible line: unsafe characters as escapes, at most `limit` long (… marks a cut)."""
    cut = limit is not None and len(text) > limit
    kept = text[:limit] if cut else text
    shown = kept if _plain(kept) else "".join(_shown(char) for char in kept)
    if limit is None or (not cut and len(shown) <= limit):
        return shown
    return shown[: max(limit - 1, 0)] + "…"


def _plain(text: str) -> bool:
    """Quick yes for the usual case; U+0020 and letters are printable in Python's sense too."""
    return text.isprintable()


def _shown(char: str) -> str:
    if unicodedata.category(char) not in _UNSAFE:
        return char
    if char in _SHORT:
        return _SHORT[char]
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
