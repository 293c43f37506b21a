"""The score exactly as AlignBench's own `judge.py` reads it, in linear time.

Upstream (github.com/THUDM/AlignBench, `post_process`) reads a judgment with three regular
expressions; two of them take quadratic time on a hostile text. What they match can be said plainly:

- the rating is the single-line text before the first `}` after the last `{`. It begins after the
  first `{` of that line, so earlier braces of the line belong to it;
- in it, every quote that is followed by a closing `': ` and decimal digits (of any script) is a
  pair: the key is all that stands between, the value is a whole number (so 7.5 is 7);
- the score is the rating's `综合得分`, else the first `'综合得分': ` with a number in the whole
  text (at most two decimals), else -1. Nothing checks the range: 0 and 100 count as they are.

Two departures, where upstream has no usable number. A whole number of more than 4300 digits makes
upstream raise and its run end: here the judgment is unreadable, `({}, -1.0)`. A score too large for
a float is an endless integer or `inf` upstream, which no mean survives: here it is -1.0.
"""

from __future__ import annotations

import math
import re

SCORE_KEY = "综合得分"
UNREADABLE = -1.0
"""What upstream records for a judgment without a score, and averages in."""
INT_DIGITS = 4300
"""Python's own limit for reading a decimal integer (`sys.int_info.default_max_str_digits`)."""

_CLOSER = "': "
# Linear: a fixed prefix, then digits that cannot be read in two ways.
_LOOSE_SCORE = re.compile(rf"'{SCORE_KEY}': (\d+(?:\.\d{{1,2}})?)")
_DIGITS = re.compile(r"\d+")


def read_compat(text: str) -> tuple[dict[str, int], float]:
    """(rating, score) as upstream records them; -1.0 where it finds no score. Never raises."""
    pairs = rating_pairs(text) or []
    if any(len(digits) > INT_DIGITS for _, digits in pairs):
        return {}, UNREADABLE
    rating = {key: int(digits) for key, digits in pairs}
    if SCORE_KEY in rating:
        return rating, _as_float(str(rating[SCORE_KEY]))
    loose = _LOOSE_SCORE.search(text)
    return rating, _as_float(loose[1]) if loose else UNREADABLE


def rating_pairs(text: str) -> list[tuple[str, str]] | None:
    """Keys and digits of the rating as upstream finds it; None where nothing stands in braces."""
    rating = _rating_text(text)
    return None if rating is None else _pairs(rating)


def _rating_text(text: str) -> str | None:
    """What `{(.*?)}(?![^{]*{)` captures at its first match; None if there is none."""
    last = text.rfind("{")
    end = text.find("}", last + 1)
    if last < 0 or end < 0 or "\n" in text[last:end]:
        return None
    line = text.rfind("\n", 0, last) + 1
    return text[text.find("{", line) + 1 : end]


def _pairs(rating: str) -> list[tuple[str, str]]:
    """What `'(.*?)': (\\d+)` finds in one line, from left to right."""
    pairs = []
    quote = rating.find("'")
    while quote >= 0 and (digits := _closing_digits(rating, quote + 1)):
        pairs.append((rating[quote + 1 : digits.start() - len(_CLOSER)], digits[0]))
        quote = rating.find("'", digits.end())
    return pairs


def _closing_digits(rating: str, begin: int) -> re.Match[str] | None:
    """The digits behind the first `': ` at or after `begin` that has any."""
    at = rating.find(_CLOSER, begin)
    while at >= 0:
        digits = _DIGITS.match(rating, at + len(_CLOSER))
        if digits:
            return digits
        at = rating.find(_CLOSER, at + 1)
    return None


def _as_float(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else UNREADABLE
