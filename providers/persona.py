"""Who answers and who judges in a simulation, and what they say. Pure, and the same every time.

Rules. Every word is decided by the seed and by what is asked. A simulated answer begins with
`〔simulated MODEL QUESTION SAMPLE〕`, because over the wire a judge cannot know who answered; a simulated
judge reads that mark from its prompt, and its scores come from `providers/scorebook.py`. Whoever shows
these texts to people says that they are simulated; the judges themselves say so too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from data.schema import Benchmark, Question, QuestionId, Struct
from providers import duel
from providers.scorebook import Dice, Leaderboard, Place, Scorebook, clip, nudge

NOBODY_MEAN, NOBODY_SPREAD = 6.0, 1.5
"""What a judge gives an answer of unknown origin."""
MARK = re.compile(r"〔simulated ([^〔〕\n]+) ([^\s〔〕]+) (-?[0-9]{1,20})〕")
DEFAULT_SCORE_KEY = "综合得分"
_BRACKETED = "[[number]]"
"""What a prompt says that wants its score in double brackets."""

Finish: TypeAlias = Literal["stop", "length", "content_filter"]
Manner: TypeAlias = Literal["plain", "refused", "cut", "json", "prose", "nothing"]
"""How something is said. The last three concern judges only: JSON with double quotes, a score in a
sentence, no readable score at all."""

_NAME = r"""[^\s:：，,。;；、'"{}]{1,16}"""
_DIMENSIONS = re.compile(rf"(?m)^1[.．、]\s*{_NAME}\s*[:：].*(?:\n\d+[.．、]\s*{_NAME}\s*[:：].*)*")
_DIMENSION = re.compile(rf"(?m)^\d+[.．、]\s*({_NAME})\s*[:：]")
_EXAMPLE = re.compile(r"""\{[^{}]*?['"]([^'"{}]{1,20})['"]\s*[:：][^'"{}]*\}""")
_WORDS = re.compile(r"[\u4e00-\u9fff]{2,10}|[A-Za-z]{3,12}")
_OPENINGS = (
    "先把题意理清楚，再给出结论。",
    "下面分几点来说明，最后做一个小结。",
    "这里先给出思路，再补充必要的细节。",
    "可以从背景、过程和结果三个方面来看。",
)
_SENTENCES = (
    "说到“{}”，首先要弄清它的前提，否则后面的推断就站不住脚。",
    "关于“{}”，常见的说法不止一种，这里采用最通行的那一种。",
    "如果换一个角度看“{}”，也能得到相近的结果，只是步骤会多一些。",
    "围绕“{}”，需要注意条件之间的先后关系，不能只看其中一项。",
    "把“{}”放回原来的语境里，意思就清楚多了，也更容易记住。",
    "至于“{}”，举一个简单的例子就能说明问题，不必引入更多概念。",
    "对“{}”的理解会影响最后的答案，所以这一步值得多花一点时间。",
    "最后再核对一遍“{}”，确认没有遗漏题目里给出的信息。",
)
FINISH: Mapping[Manner, Finish] = {"refused": "content_filter", "cut": "length"}
_PRAISE = ("有明显的缺陷，多处与参考答案不符", "大体可用，但仍有欠缺", "表现良好，与要求基本一致")


class ChatMessage(Struct, frozen=True):
    """A message of a request body; `content` may be a list of parts."""

    role: str
    content: str | list[dict[str, Any]] | None = None

    @property
    def text(self) -> str:
        """The text of all text parts."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(str(part.get("text", "")) for part in self.content or ())


class Chat(Struct, frozen=True, kw_only=True):
    """What a simulator reads of a chat-completions body; further members are ignored."""

    model: str
    messages: tuple[ChatMessage, ...]
    seed: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stream: bool | None = None
    n: int | None = None


class Spoken(Struct, frozen=True):
    """What a persona says, and how long question and answer were."""

    text: str
    finish_reason: Finish
    prompt_tokens: int
    completion_tokens: int


class Cast:
    """Everybody who can be asked: any model name answers, and judges if it is shown an answer.

    `seed` decides every word and score. Questions are known by their exact text, and score tables are
    centred per benchmark and category. Scores are kept once drawn, nothing else is.
    """

    def __init__(
        self, seed: int, benchmarks: Sequence[Benchmark], leaderboards: Sequence[Leaderboard]
    ) -> None:
        self.seed, self._dice = seed, Dice(seed)
        self._scores = Scorebook(self._dice, benchmarks, leaderboards)
        self._judges = frozenset(self._scores.judges).difference(self._scores.models)
        self._by_text: dict[str, Place] = {}
        self._by_id: dict[str, list[Place]] = {}
        self._fragments: dict[str, tuple[str, ...]] = {}
        for number, benchmark in enumerate(benchmarks):
            for question in benchmark.questions:
                self._index(Place(number, question))

    def __repr__(self) -> str:
        return f"<Cast seed={self.seed} questions={len(self._by_text)}>"

    @property
    def names(self) -> tuple[str, ...]:
        """Published models and judges, each once. Any other name is played too."""
        return tuple(dict.fromkeys(self._scores.models + self._scores.judges))

    def reply(self, chat: Chat, manner: Manner = "plain") -> Spoken:
        """The answer to a request body: a verdict if it asks for one, else an answer."""
        prompt = "\n".join(message.text for message in chat.messages)
        asked = next((m.text for m in reversed(chat.messages) if m.role == "user"), prompt)
        mark = None if asked in self._by_text else MARK.search(asked)
        head, body = "", ""
        if mark or (asked not in self._by_text and self._wants_verdict(chat.model, prompt)):
            body = self._verdict(chat, prompt, mark, manner)
        else:
            head, body = self._answer(chat, asked, manner)
        if manner == "cut":
            share = 0.2 + 0.5 * self._dice.draw("cut", chat.model, asked)
            body = body[: int(len(body) * share)]
        return _spoken(chat, prompt, head, body, manner)

    def score(
        self, judge: str, model: str, question: Question, *, sample: int = 0, repeat: int = 0
    ) -> int:
        """What `judge` gives `model` for a question: 1 to 10.

        Sample 0 at repeat 0 is the centred score; other draws differ from it by at most 1.
        """
        places = self._by_id.get(_token(question.id), ())
        place = next((p for p in places if p.question == question), None)
        if place is None:
            return self._scores.stray_score(judge, model, _hash(question.text), (sample, repeat))
        return self._scores.score(judge, model, place, (sample, repeat))

    # --- who is asked what ---------------------------------------------------------------------

    def _index(self, place: Place) -> None:
        for turn in place.question.turns:
            self._by_text.setdefault(turn, place)
        self._by_id.setdefault(_token(place.question.id), []).append(place)

    def _wants_verdict(self, model: str, prompt: str) -> bool:
        """Whether this is a judge's work although nothing simulated is shown.

        A name that stands in the tables both as model and as judge judges only if the prompt says how.
        """
        if DEFAULT_SCORE_KEY in prompt or _BRACKETED in prompt or model in self._judges:
            return True
        if duel.style_of(prompt):
            return True
        return bool(_DIMENSIONS.search(prompt) and _EXAMPLE.search(prompt))

    def _judged(self, token: str, prompt: str) -> Place | None:
        """The question of a mark; where benchmarks share ids, the one whose text is in the prompt."""
        places = self._by_id.get(token, [])
        if len(places) < 2:
            return places[0] if places else None
        shown = (p for p in places if any(turn in prompt for turn in p.question.turns))
        return next(shown, places[0])

    # --- what a model says ---------------------------------------------------------------------

    def _answer(self, chat: Chat, asked: str, manner: Manner) -> tuple[str, str]:
        """(mark, filler): filler of 80 to 600 characters made of the question's own words."""
        place = self._by_text.get(asked)
        token = _token(place.question.id) if place else _hash(asked)
        sample = chat.seed or 0
        head = f"〔simulated {_safe(chat.model)} {token} {sample}〕"
        if manner == "refused":
            return head, "这个请求没有通过内容审核，因此不作回答。"
        dice = self._dice.roll("answer", chat.model, asked, sample)
        length = 80 + int(520 * (dice[0] / 256) ** 2)
        return head, _filler(self._words(asked), dice, length)

    def _words(self, asked: str) -> tuple[str, ...]:
        """A few fragments of the question; kept only for questions of a benchmark."""
        kept = self._fragments.get(asked)
        if kept is None:
            kept = tuple(dict.fromkeys(_WORDS.findall(asked[:2000])))[:16] or ("这个问题",)
            if asked in self._by_text:
                self._fragments[asked] = kept
        return kept

    # --- what a judge says ---------------------------------------------------------------------

    def _verdict(self, chat: Chat, prompt: str, mark: re.Match[str] | None, manner: Manner) -> str:
        """An analysis per dimension, then the verdict as a dictionary on a line of its own."""
        if manner == "refused":
            return "这份材料没有通过内容审核，因此不作评价。"
        opening = f"（以下评语由模拟评委 {_safe(chat.model)} 生成，不是真实的评价。）"
        if style := duel.style_of(prompt):
            return "\n".join([opening, self._comparison(chat, prompt, style, manner)])
        if mark:
            score = self._marked_score(chat, prompt, mark)
        else:
            opening += "（答案没有模拟标记：分数是随机数，与答案的质量无关。）"
            luck = self._dice.normal("nobody", chat.model, prompt, chat.seed)
            score = clip(NOBODY_MEAN + NOBODY_SPREAD * luck)
        names, score_key = _dimensions(prompt), _score_key(prompt)
        dice = self._dice.roll("dimensions", chat.model, prompt, chat.seed or 0)
        scores = _dimension_scores(names, score, dice)
        lines = [opening, *(f"{n}：{_PRAISE[_band(s)]}，得分{s}。" for n, s in scores.items())]
        if _BRACKETED in prompt and manner in ("plain", "json", "cut"):
            return "\n".join([*lines, f"Rating: [[{score}]]"])
        return "\n".join([*lines, _ending({**scores, score_key: score}, score, manner)])

    def _comparison(self, chat: Chat, prompt: str, style: duel.Style, manner: Manner) -> str:
        """Which of two answers is better, by the scores that this judge gives each of them."""
        marks = {mark[0]: mark for mark in MARK.finditer(prompt)}
        if manner == "nothing" or len(marks) < 2:
            return "两份回答各有长短，很难说哪一份更好。"
        first, *_, second = marks.values()
        gap = self._marked_score(chat, prompt, first) - self._marked_score(chat, prompt, second)
        return f"两份回答对照参考答案来看，相差 {abs(gap)} 分。\n{duel.label(style, gap)}"

    def _marked_score(self, chat: Chat, prompt: str, mark: re.Match[str]) -> int:
        model, token, draw = mark[1], mark[2], (int(mark[3]), chat.seed or 0)
        place = self._judged(token, prompt)
        if place is None:
            return self._scores.stray_score(chat.model, model, token, draw)
        return self._scores.score(chat.model, model, place, draw)


def tokens(characters: int, utf8_bytes: int) -> int:
    """Estimated tokens of a text: 0.27 a narrow character, 0.7 a wide one (three bytes in UTF-8)."""
    wide = (utf8_bytes - characters) / 2
    return int(0.7 * wide + 0.27 * (characters - wide)) + 1


def _spoken(chat: Chat, prompt: str, head: str, body: str, manner: Manner) -> Spoken:
    """The text with its token counts, cut at the request's own limit but never within the mark."""
    finish = FINISH.get(manner, "stop")
    text = head + body
    spent = tokens(len(text), _bytes(text))
    limit = chat.max_completion_tokens or chat.max_tokens
    if limit is not None and spent > limit:
        keep = max(len(text) * limit // spent, len(head))
        text, spent, finish = text[:keep], limit, "length"
    asked = tokens(len(prompt), _bytes(prompt)) + 4 * len(chat.messages)
    return Spoken(text, finish, asked, spent)


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _filler(words: Sequence[str], dice: bytes, length: int) -> str:
    """An opening and stock sentences around `words`, `length` characters long, full stop included."""
    parts = [_OPENINGS[dice[1] % len(_OPENINGS)]]
    size, i = len(parts[0]), 2
    while size < length:
        sentence = _SENTENCES[dice[i] % len(_SENTENCES)].format(words[dice[i + 1] % len(words)])
        parts.append(sentence)
        size += len(sentence)
        i = i + 2 if i < 60 else 2
    return "".join(parts)[: length - 1] + "。"


def _dimensions(prompt: str) -> list[str]:
    """The names in the first numbered list `1. 名称: …`, at most twelve; none if there is no list."""
    block = _DIMENSIONS.search(prompt)
    return list(dict.fromkeys(_DIMENSION.findall(block[0])))[:12] if block else []


def _score_key(prompt: str) -> str:
    """The key of the overall score: the usual one, else the last key of the prompt's example."""
    if DEFAULT_SCORE_KEY in prompt:
        return DEFAULT_SCORE_KEY
    example = _EXAMPLE.search(prompt)
    return example[1] if example else DEFAULT_SCORE_KEY


def _dimension_scores(names: Sequence[str], score: int, dice: bytes) -> dict[str, int]:
    """Scores around the overall one that break none of the official rules of grading.

    The first dimension (事实正确性) leads: it equals the overall score, which so lies within the
    dimensions' range and is never above 2 where the facts are at 2.
    """
    around = {name: clip(score + nudge(dice[i])) for i, name in enumerate(names)}
    return around | {names[0]: score} if names else around


def _ending(scores: dict[str, int], score: int, manner: Manner) -> str:
    """The last line of a verdict, in the official style unless the manner says otherwise."""
    if manner == "prose":
        return f"综合来看，{DEFAULT_SCORE_KEY}为{score}。"
    if manner == "nothing":
        return "总的来说有好有坏，很难用一个数来概括。"
    quote = '"' if manner == "json" else "'"
    return "{" + ", ".join(f"{quote}{k}{quote}: {s}" for k, s in scores.items()) + "}"


def _band(score: int) -> int:
    return 0 if score <= 4 else 1 if score <= 7 else 2


def _token(question: QuestionId) -> str:
    """A question's id as one word of a mark."""
    return re.sub(r"[\s〔〕]+", "_", str(question)) or "_"


def _safe(name: str) -> str:
    """A model's name without what would end or break a mark."""
    return re.sub(r"[〔〕\s]+", " ", name).strip() or "?"


def _hash(text: str) -> str:
    """What stands for a question that no benchmark holds: 12 hex digits."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
