"""What the page says of itself, in English and Chinese: one dictionary for Python and for the script.

A label stands in the page in English with its key in `data-t`; the script puts the chosen language in.
Category and dimension names come from the benchmark and stay as they are; those of AlignBench carry an
English gloss, which the style sheet hides in the Chinese page.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from data.codec import decode
from engine.reports.web.assets import asset
from engine.reports.web.markup import Child, Markup, tag


@cache
def words() -> dict[str, Any]:
    """The dictionary: key -> [English, Chinese], and `glosses`."""
    found: dict[str, Any] = decode(asset("words.json").encode())
    return found


def label(key: str, element: str = "span", **attributes: str | int | None) -> Markup:
    """A label of the page's own."""
    return tag(element, words()[key][0], data_t=key, **attributes)


def glossed(name: str, shown: str = "") -> Markup:
    """A name of the benchmark's, with its English gloss where there is one."""
    gloss = words()["glosses"].get(name)
    small: Child = tag("span", gloss, class_="gloss") if gloss else None
    return tag("span", tag("span", shown or name), small, class_="named", title=name)
