"""A judge's own words, made plain: the only text in which a verdict is looked for.

Characters are normalised one by one (full-width digits and braces, curly quotes, zero-width marks), so
the work is linear, and only those that may change, which in Chinese prose is every tenth; what the
judge repeats of the candidate, between its marks, is masked.
"""

from __future__ import annotations

import re
import unicodedata

WRAP = " \t*_`'\"()[]<>\\"
LOOSE = r"[\s'\"`*_]*"
"""What may stand between the characters of a label without changing it."""
_LOOSE_CHARS = re.compile(LOOSE)
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")
_ODD = re.compile(r"([^\n\x20-\x7e\u3001\u3002\u3400-\u4dbf\u4e00-\u9fff])")
"""All but line ends, ASCII, 、 and 。, and the ideographs, which are plain already."""


class _PlainChars(dict[str, str]):
    """Each character's plain form, worked out when first met.

    NFKC is taken character by character: over a whole text it sorts runs of combining marks, which
    takes quadratic time on a hostile one.
    """

    def __missing__(self, char: str) -> str:
        invisible = unicodedata.category(char) in {"Cc", "Cf"} or "\ufe00" <= char <= "\ufe0f"
        form = "" if invisible else unicodedata.normalize("NFKC", char)
        if len(self) < 1 << 16:
            self[char] = form
        return form


_PLAIN = _PlainChars(
    {
        **dict.fromkeys("‘’‚‛′", "'"),
        **dict.fromkeys("“”„‟″「」『』", '"'),
        **dict.fromkeys("\r\u0085\u2028\u2029", "\n"),
        **dict.fromkeys("\u2212\u2010\u2011", "-"),
        "\t": " ",
        "\u2236": ":",
        "⋯": "...",
        "\u20e3": "",  # the keycap around a digit
    }
)

_FREQUENT = {char: _PLAIN[char] for char in "，：；（）“”"}
"""What Chinese prose is full of. Replaced all at once; the rest is looked up one by one."""


def plain(text: str) -> str:
    """One way to write each thing: NFKC forms, straight quotes, no invisible characters."""
    if "\\u" in text:  # JSON's own escapes
        text = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), text)
    for char, form in _FREQUENT.items():
        text = text.replace(char, form)
    parts = _ODD.split(text)
    parts[1::2] = map(_PLAIN.__getitem__, parts[1::2])
    return "".join(parts)


def plain_key(name: str) -> str:
    """A plain key as it is compared: no quotes, emphasis, brackets, spaces or case."""
    return "".join(name.strip(WRAP).split()).casefold()


def own_words(text: str, quotation: tuple[str, str] | None) -> str:
    """The plain text without quotations and blank lines."""
    text = plain(text)
    if quotation:
        opening, closing = (plain(marker).strip() for marker in quotation)
        text = _masked(text, opening, closing) if opening and closing else text
    return "\n".join(filter(None, map(str.strip, text.split("\n"))))


def _masked(text: str, opening: str, closing: str) -> str:
    """The text without the spans opening..closing; one that is not closed reaches to the end."""
    kept, begin = [], 0
    while begin >= 0 and (start := text.find(opening, begin)) >= 0:
        kept.append(text[begin:start])
        end = text.find(closing, start + len(opening))
        begin = end + len(closing) if end >= 0 else -1
    if begin >= 0:
        kept.append(text[begin:])
    return "\n".join(kept)


def bare_label(label: str) -> str:
    """A label as it is compared: plain, without quotes, emphasis, spaces or case."""
    return _LOOSE_CHARS.sub("", plain(label)).casefold()
