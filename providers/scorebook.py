"""How good a simulated model is, and how strict a simulated judge. Pure, and the same every time.

Rules. All chance is a hash of the seed and of what is asked: no generator, no clock, so scores are the
same in any order and in any process.

Judges are centred on purpose: over all questions of a category the scores of a published (judge, model)
pair add up to round(published mean x n). That reproduces the table (within 0.5 / n) and shows that the
machinery adds up; it is no finding about any model. Other judges follow the first published one with an
offset of their own, other models have an invented ability between 3 and 8.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist

from data import codec
from data.schema import Benchmark, Question, QuestionId, Struct

LOW, HIGH = 1, 10
SPREAD = 2.0
"""Standard deviation of single scores around their mean, before clipping."""
WEIGHTS = (0.5, 0.742, 0.447)
"""Shares of the question's difficulty, the answer's luck and the judge's taste in a score's deviation.
Their squares add up to 1; two judges of one answer so correlate at about 0.8."""

_NORMAL = NormalDist()
_EIGHT = struct.Struct("<8Q").unpack


class PublishedRow(Struct, frozen=True):
    """One model's published means by one judge: 总分, 推理 and 语言, and by category."""

    summary: dict[str, float]
    categories: dict[str, float]


class Leaderboard(Struct, frozen=True, kw_only=True):
    """Published tables of one benchmark: judge -> model -> means. `date` is when they were read."""

    benchmark: str
    source: str
    date: str
    formula: str
    judges: dict[str, dict[str, PublishedRow]]


def published(name: str = "alignbench") -> Leaderboard:
    """The tables that come with the package. Raises DataError if the file is not there."""
    path = Path(codec.__file__).parent / "leaderboards" / f"{name}.json"
    board: Leaderboard = codec.decode_as(codec.read_bytes(path), Leaderboard)
    return board


class Place(Struct, frozen=True):
    """A question, and the number of its benchmark among those of a simulation."""

    benchmark: int
    question: Question

    @property
    def key(self) -> str:
        """Unlike the id alone, one text per question."""
        return f"{self.benchmark}/{self.question.id}"


class Dice:
    """Chance as a function: the seed and what it is for decide the outcome."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def roll(self, *parts: object) -> bytes:
        """64 bytes."""
        text = "\x1f".join(map(str, (self.seed, *parts)))
        return hashlib.blake2b(text.encode("utf-8", "surrogatepass")).digest()

    def draw(self, *parts: object) -> float:
        """Uniform in the open interval (0, 1)."""
        return uniform(self.roll(*parts))[0]

    def normal(self, *parts: object) -> float:
        """Standard normal."""
        return normal(self.draw(*parts))


def uniform(roll: bytes) -> tuple[float, ...]:
    """64 random bytes as eight numbers in the open interval (0, 1), 52 bits each."""
    return tuple([((word >> 12) + 0.5) * 2.0**-52 for word in _EIGHT(roll)])


def normal(share: float) -> float:
    """The standard normal value below which `share` of all values lie."""
    return _NORMAL.inv_cdf(share)


class Scorebook:
    """Scores by (judge, model, question). A category is drawn as a whole, once, and kept."""

    def __init__(
        self, dice: Dice, benchmarks: Sequence[Benchmark], leaderboards: Sequence[Leaderboard]
    ) -> None:
        self._dice, self._benchmarks = dice, tuple(benchmarks)
        self._judges: dict[str, dict[str, PublishedRow]] = {}
        for board in leaderboards:
            for judge, rows in board.judges.items():
                self._judges.setdefault(judge, {}).update(_with_short_names(rows))
        self._tables: dict[tuple[str, str, int, str], dict[QuestionId, int]] = {}

    @property
    def judges(self) -> tuple[str, ...]:
        """Names that stand in a table as judge."""
        return tuple(self._judges)

    @property
    def models(self) -> tuple[str, ...]:
        """Names that stand in a table as model, short forms included."""
        return tuple(dict.fromkeys(name for rows in self._judges.values() for name in rows))

    def score(self, judge: str, model: str, place: Place, draw: tuple[int, int] = (0, 0)) -> int:
        """1 to 10. Draw (sample 0, repeat 0) is the centred score; others differ from it by <= 1."""
        score = self._table(judge, model, place)[place.question.id]
        return self._jittered(score, judge, model, place.key, draw)

    def stray_score(self, judge: str, model: str, key: str, draw: tuple[int, int] = (0, 0)) -> int:
        """1 to 10 for an answer to a question that no benchmark holds; `key` stands for it."""
        score = self._raw(judge, model, key, self._target(judge, model, ""))
        return self._jittered(score, judge, model, key, draw)

    def _jittered(self, score: int, judge: str, model: str, key: str, draw: tuple[int, int]) -> int:
        if draw == (0, 0):
            return score
        return clip(score + nudge(self._dice.roll("draw", judge, model, key, *draw)[0]))

    def _table(self, judge: str, model: str, place: Place) -> dict[QuestionId, int]:
        """All scores of one judge for one model in one category of one benchmark."""
        category = place.question.category
        where = (judge, model, place.benchmark, category)
        table = self._tables.get(where)
        if table is None:
            questions = self._benchmarks[place.benchmark].questions
            places = [Place(place.benchmark, q) for q in questions if q.category == category]
            target = self._target(judge, model, category)
            raw = [self._raw(judge, model, p.key, target) for p in places]
            luck = [self._dice.draw("order", judge, model, p.key) for p in places]
            order = sorted(range(len(raw)), key=luck.__getitem__)
            scores = centred(raw, round(target * len(raw)), order)
            ids = (p.question.id for p in places)
            table = self._tables[where] = dict(zip(ids, scores, strict=True))
        return table

    def _target(self, judge: str, model: str, category: str) -> float:
        """The mean that `judge` gives `model` in a category: published, or an invented ability."""
        rows = self._judges.get(judge)
        reference = next(iter(self._judges.values()), {})
        row = (reference if rows is None else rows).get(model)
        if row and category in row.categories:
            mean = row.categories[category]
        else:
            mean = row.summary["总分"] if row else 3 + 5 * self._dice.draw("ability", model)
            mean += 1.4 * (self._dice.draw("strength", model, category) - 0.5) if category else 0
        if rows is None or row is None:
            mean += 0.8 * (self._dice.draw("strictness", judge) - 0.5)
        return min(max(mean, LOW), HIGH)

    def _raw(self, judge: str, model: str, key: str, target: float) -> int:
        """A score around `target`, not yet centred."""
        difficulty, luck, taste = WEIGHTS
        deviation = (
            difficulty * self._dice.normal("difficulty", key)
            + luck * self._dice.normal("luck", model, key)
            + taste * self._dice.normal("taste", judge, model, key)
        )
        return clip(target + SPREAD * deviation)


def centred(raw: Sequence[int], total: int, order: Sequence[int]) -> list[int]:
    """`raw` moved by steps of 1, in `order` and round again, until its sum is `total`.

    Every score stays within 1..10, so `total` must lie within n..10 n.
    """
    scores = list(raw)
    gap = total - sum(scores)
    step = 1 if gap > 0 else -1
    while gap:
        for i in order:
            if gap and LOW <= scores[i] + step <= HIGH:
                scores[i] += step
                gap -= step
    return scores


def clip(score: float) -> int:
    """The nearest score there is."""
    return min(max(round(score), LOW), HIGH)


def nudge(byte: int) -> int:
    """-1, 0, 0 or +1, as a random byte says."""
    return (-1, 0, 0, 1)[byte % 4]


def _with_short_names(rows: dict[str, PublishedRow]) -> dict[str, PublishedRow]:
    """`chatglm-turbo（智谱清言）` also answers to `chatglm-turbo`."""
    return rows | {name.partition("（")[0]: row for name, row in rows.items()}
