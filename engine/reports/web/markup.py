"""Elements built so that no text can become markup.

Everything that is not `Markup` is foreign: made inert (one visible line) and escaped. There is no way
to put a raw string in, but for `Markup` itself, which only this file makes.
"""

from __future__ import annotations

import html

from engine.cells import inert

_VOID = frozenset({"circle", "line", "rect", "path"})
"""Elements of SVG that hold nothing."""


class Markup(str):
    """HTML that is safe to put into a page."""

    __slots__ = ()


Child = Markup | str | None


def text(foreign: str) -> Markup:
    """Foreign text for one place in a page."""
    return Markup(html.escape(inert(foreign), quote=True))


def join(*children: Child) -> Markup:
    """Children one after the other; None is nothing."""
    return Markup(
        "".join(c if isinstance(c, Markup) else text(c) for c in children if c is not None)
    )


def tag(name: str, *children: Child, **attributes: str | int | float | None) -> Markup:
    """An element. `class_` is class, `data_x` is data-x; None leaves an attribute out."""
    shown = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{text(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in _VOID:
        return Markup(f"<{name}{shown}/>")
    return Markup(f"<{name}{shown}>{join(*children)}</{name}>")


def drawing(width: float, height: float, *marks: Markup, class_: str) -> Markup:
    """An SVG of this size that says nothing to a screen reader: the figures stand beside it."""
    box = f"0 0 {width:g} {height:g}"
    return tag(
        "svg", *marks, class_=class_, aria_hidden="true", width=width, height=height, viewBox=box
    )
