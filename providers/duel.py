"""What a simulated judge says of two answers, in the labels that its prompt asks for. Pure.

The labels are found in the prompt, since a judge knows nothing else: every style below is recognised by
all of its labels standing there. How much better the first answer is comes from the simulated scores of
both, with a little favour for whatever is shown first, as real judges have it.
"""

from __future__ import annotations

from data.schema import Struct

FAVOUR = 0.3
"""Points that the answer shown first is given for being first."""
BETTER, MUCH = 0.75, 3.0
"""From how many points of difference on one answer is better, and much better."""


class Style(Struct, frozen=True):
    """How a verdict is written, from "the first is much better" to "the second is much better"."""

    first: str
    second: str
    tie: str = ""
    much_first: str = ""
    much_second: str = ""

    @property
    def labels(self) -> tuple[str, ...]:
        """Those that there are."""
        every = (self.first, self.second, self.tie, self.much_first, self.much_second)
        return tuple(filter(None, every))


STYLES = (
    Style("[[A>B]]", "[[B>A]]", "[[A=B]]", "[[A>>B]]", "[[B>>A]]"),
    Style("[[甲]]", "[[乙]]", "[[平]]"),
    Style("[[A]]", "[[B]]", "[[C]]"),
    Style("[[A]]", "[[B]]"),
    Style("{'综合比较结果': '助手1'}", "{'综合比较结果': '助手2'}", "{'综合比较结果': '质量相当'}"),
)
_BARE = "[助手1的答案开始]"
"""Of CritiqueLLM's own input format, which says nothing about the verdict."""


def style_of(prompt: str) -> Style | None:
    """The style that a prompt asks for; None: it does not ask for a comparison."""
    for style in STYLES:
        if all(label in prompt for label in style.labels):
            return style
    return STYLES[-1] if _BARE in prompt else None


def label(style: Style, gap: float) -> str:
    """The verdict for a first answer that is `gap` points better than the second."""
    gap += FAVOUR
    if abs(gap) < BETTER and style.tie:
        return style.tie
    much = abs(gap) >= MUCH
    if gap >= 0:
        return style.much_first if much and style.much_first else style.first
    return style.much_second if much and style.much_second else style.second
