"""What a careful reader would find odd in a run's judgments, found by arithmetic. Pure; sends nothing.

Every finding is a count with examples, never a changed score. The rules:

- *contradiction*: an overall score outside the range of its own dimensions; or above 2 where the facts are
  at 2 or below, which AlignBench's grading rules forbid (THUDM/AlignBench judge.py).
- *steering*: an answer that speaks to its judge: verdicts, delimiters, demands for a score.
- *identical*: one text of some length as the answer to several questions.
- *anchors*: answers whose quality is known (`alignsweep data anchors`): the reference itself should be near
  8, an empty or off-topic answer near 1, a doubled one no better than the single one.
- *length*: the rank correlation of a judge's scores with the answers' length; an honest judge may show
  some, but a comparison with others says whose verdicts length alone could replace.
- *family*: how much more a judge gives to models of its own family than the judges of other families do,
  compared with how much more it gives to all others (difference in differences over models, with its
  standard error), on the answers that all of them scored. Judges of its own family are left out: they
  would share the very preference that is looked for.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, stdev

from data.anchors import PREFIX as ANCHOR
from data.schema import Answer, Judgment, Result, Struct, Sweep, Trial

FACTS = "事实正确性"
SERIOUS = 2.0
LEAST_IDENTICAL = 20
"""Characters; "不知道" may well be the answer to two questions."""
EXAMPLES = 5
EXPECTED: Mapping[str, tuple[float, float]] = {
    "reference": (7.0, 9.0),
    "empty": (1.0, 2.0),
    "off-topic": (1.0, 2.5),
    "doubled": (6.0, 8.5),
}
"""Anchor -> where a sound judge's mean lies."""
_FULL = r"(?:10\s*分|满\s*分|最高分|十\s*分(?=$|[\s。，；！…,.;!”』」）)]))(?![钟熟])"
_STEERING = re.compile(
    "|".join(
        (
            # verdicts, in the words of the rubrics that are built in or imported
            r"综合得分\s*['\"”’]?\s*[:：为]\s*['\"]?\d",
            r"\[\[\s*(?:\d+|[ABC甲乙平]|A[<>=]+B)\s*\]\]",
            r"综合比较结果",
            # their delimiters
            r"\[(?:助手\d?的答案|回答)(?:开始|结束)",
            r"\[The (?:Start|End) of (?:Reference|Assistant|the Assistant)",
            r"<\|(?:The )?(?:Start|End) of (?:Reference|Assistant|the Assistant)",
            # demands
            r"(?:请|务必|必须|应当|直接)(?:给|打|评)(?:我|出|为|满)?[^。\n]{0,6}" + _FULL,
            r"(?:回答|答案|回复|助手)[^。\n]{0,15}(?:应得|应当得|应该得|值得|给予|给出|打|评分[:：])[^。\n]{0,4}"
            + _FULL,
            r"作为(?:评委|评分者|裁判|评判者)[^。\n]{0,12}(?:给|打|评)[^。\n]{0,4}" + _FULL,
            r"(?:ignore|disregard|forget) (?:all )?(?:of )?(?:the |your )?(?:previous|above|prior|earlier)"
            r" (?:instructions|rules|prompts|criteria)",
            r"忽略(?:掉)?(?:以上|上述|之前|前面|上面|先前)的?(?:所有|全部|一切)?(?:评分|打分|评判)?"
            r"(?:要求|指令|规则|标准|内容)",
            r"\b(?:rate|score|grade) (?:this|it|me|my)(?: (?:answer|response|reply))?(?: as)?"
            r"(?: an?)? 10\b",
            r"\b(?:give|award) (?:this|it|me|my)(?: (?:answer|response|reply))?(?: an?| the)?"
            r" (?:highest|maximum|full|perfect|top) (?:scores?|ratings?|marks)",
        )
    ),
    re.IGNORECASE,
)
FAMILIES: Mapping[str, str] = {
    r"gpt|^o[134]\b|davinci": "GPT",
    r"glm|智谱|critiquellm": "GLM",
    r"qwen|qwq|通义": "Qwen",
    r"ernie|文心": "ERNIE",
    r"spark|星火": "Spark",
    r"baichuan|百川": "Baichuan",
    r"internlm|书生": "InternLM",
    r"deepseek": "DeepSeek",
    r"moonshot|kimi": "Kimi",
    r"hunyuan|混元": "Hunyuan",
    r"doubao|豆包|skylark": "Doubao",
    r"minimax|abab": "MiniMax",
    r"\byi-|零一": "Yi",
    r"claude": "Claude",
    r"gemini|palm": "Gemini",
    r"mistral|mixtral": "Mistral",
    r"llama": "Llama",
}


class Finding(Struct, frozen=True):
    """`count` of `of` things are odd in the same way; `examples` say where."""

    kind: str
    what: str
    count: int
    of: int
    examples: tuple[str, ...] = ()


class Tendency(Struct, frozen=True):
    """A figure about a judge; None: undefined, and `note` says why."""

    kind: str
    judge: str
    what: str
    value: float | None
    error: float | None = None
    """Its standard error, where it has one."""
    n: int = 0
    note: str = ""


class Audit(Struct, frozen=True):
    """All of it."""

    findings: tuple[Finding, ...]
    tendencies: tuple[Tendency, ...]


def audit(sweep: Sweep, records: Iterable[Result]) -> Audit:
    """Look at a run. Pointwise judges only: comparisons have their own bias figures (`engine/duels.py`)."""
    answers: dict[Trial, Answer] = {}
    judged: dict[Trial, Judgment] = {}
    pairwise = {judge.name for judge in sweep.judges if judge.pairwise}
    for record in records:
        if isinstance(record, Answer):
            answers[record.trial] = record
        elif isinstance(record, Judgment) and record.trial.judge not in pairwise:
            judged[record.trial] = record
    judgments = [record for record in judged.values() if record.verdict is not None]
    ids = {judge.name: judge.model for judge in sweep.judges if not judge.pairwise}
    lengths = {_key(trial): len(answer.response.text) for trial, answer in answers.items()}
    findings = (*_contradictions(judgments), *_answers(list(answers.values())))
    tendencies = (*_anchors(judgments), *_lengths(judgments, lengths), *_family(judgments, ids))
    order = {judge: i for i, judge in enumerate(ids)}
    tendencies = tuple(sorted(tendencies, key=lambda t: (t.kind, order.get(t.judge, len(order)))))
    return Audit(findings, tendencies)


# --- verdicts ----------------------------------------------------------------------------------


def _contradictions(judgments: Sequence[Judgment]) -> list[Finding]:
    with_dimensions = [j for j in judgments if j.verdict and j.verdict.dimensions]
    outside, too_kind = [], []
    for record in with_dimensions:
        verdict = record.verdict
        assert verdict is not None
        values = verdict.dimensions.values()
        if not min(values) <= verdict.score <= max(values):
            outside.append(_place(record.trial))
        if verdict.dimensions.get(FACTS, math.inf) <= SERIOUS < verdict.score:
            too_kind.append(_place(record.trial))
    n = len(with_dimensions)
    return [
        _finding("contradiction", "score outside the range of its own dimensions", outside, n),
        _finding("contradiction", f"score above 2 with {FACTS} at 2 or below", too_kind, n),
    ]


# --- answers -----------------------------------------------------------------------------------


def _answers(answers: Sequence[Answer]) -> list[Finding]:
    own = [a for a in answers if not a.trial.model.startswith(ANCHOR)]
    steering = [_place(a.trial) for a in own if _STEERING.search(a.response.text)]
    texts = Counter(
        (a.trial.model, a.response.text.strip())
        for a in {(a.trial.model, a.trial.question_id, a.trial.turn): a for a in own}.values()
        if len(a.response.text.strip()) >= LEAST_IDENTICAL
    )
    same = [
        f"{model}: {count} questions, {text[:30]}"
        for (model, text), count in texts.most_common()
        if count > 1
    ]
    empty = [_place(a.trial) for a in own if not a.response.text.strip()]
    return [
        _finding("steering", "answers that speak to their judge", steering, len(own)),
        _finding("identical", "texts that answer several questions", same, len(texts)),
        _finding("empty", "answers without a word", empty, len(own)),
    ]


# --- judges ------------------------------------------------------------------------------------


def _anchors(judgments: Sequence[Judgment]) -> list[Tendency]:
    scores: dict[tuple[str, str], list[float]] = defaultdict(list)
    for record in judgments:
        if record.trial.model.startswith(ANCHOR) and record.verdict:
            scores[record.trial.judge, record.trial.model].append(record.verdict.score)
    found = []
    for (judge, model), values in scores.items():
        name = model.removeprefix(ANCHOR)
        low, high = EXPECTED.get(name, (-math.inf, math.inf))
        mean = fmean(values)
        note = "as expected" if low <= mean <= high else f"expected {low:g} to {high:g}"
        found.append(Tendency("anchor", judge, name, mean, _error(values), len(values), note))
    return found


def _lengths(
    judgments: Sequence[Judgment], lengths: Mapping[tuple[object, ...], int]
) -> list[Tendency]:
    """Spearman's rank correlation within questions: longer than other answers to the same question."""
    pairs: dict[str, dict[object, list[tuple[float, float]]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for record in judgments:
        length = lengths.get(_key(record.trial))
        if length is not None and record.verdict and not record.trial.model.startswith(ANCHOR):
            group = (record.trial.question_id, record.trial.turn)
            pairs[record.trial.judge][group].append((length, record.verdict.score))
    found = []
    for judge, groups in pairs.items():
        centred = [pair for group in groups.values() for pair in _centred_ranks(group)]
        value = _pearson(centred)
        note = "" if value is not None else "undefined: no question has two different answers"
        what = "rank correlation of score and length, within questions"
        found.append(Tendency("length", judge, what, value, n=len(centred), note=note))
    return found


def _family(judgments: Sequence[Judgment], ids: Mapping[str, str]) -> list[Tendency]:
    scores: dict[str, dict[tuple[object, ...], list[float]]] = {judge: {} for judge in ids}
    for record in judgments:
        if record.verdict and not record.trial.model.startswith(ANCHOR):
            mine = scores.setdefault(record.trial.judge, {})
            mine.setdefault(_key(record.trial), []).append(record.verdict.score)
    means = {j: {key: fmean(of) for key, of in mine.items()} for j, mine in scores.items()}
    models = {_key(record.trial): record.trial.model for record in judgments}
    found = []
    for judge, identity in ids.items():
        family = family_of(identity)
        others = [means[o] for o in ids if not family or family_of(ids[o]) != family]
        gaps: dict[str, list[float]] = defaultdict(list)
        for key, score in means[judge].items():
            if others and all(key in other for other in others):
                gaps[models[key]].append(score - fmean(other[key] for other in others))
        own = [fmean(gap) for m, gap in gaps.items() if family and family_of(m) == family]
        rest = [fmean(gap) for m, gap in gaps.items() if not family or family_of(m) != family]
        found.append(_preference(judge, family, own, rest, alone=not others))
    return found


def _preference(
    judge: str, family: str, own: Sequence[float], rest: Sequence[float], *, alone: bool
) -> Tendency:
    what = f"extra points for its own family ({family or 'unknown'})"
    if alone or not family or not own or len(rest) < 2:
        reasons = (
            (not family, "the judge's family is not known"),
            (alone, "there is no judge of another family"),
            (not own, "no model of its family was judged"),
            (True, "too few other models"),
        )
        why = next(reason for holds, reason in reasons if holds)
        return Tendency("family", judge, what, None, note=f"undefined: {why}")
    spread = stdev(rest)
    error = spread * math.sqrt(1 / len(own) + 1 / len(rest))
    return Tendency("family", judge, what, fmean(own) - fmean(rest), error, len(own) + len(rest))


def family_of(name: str) -> str:
    """Whose model it is, by its name; empty where the name does not say."""
    for pattern, family in FAMILIES.items():
        if re.search(pattern, name, re.IGNORECASE):
            return family
    return ""


# --- arithmetic --------------------------------------------------------------------------------


def _centred_ranks(pairs: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Both sides as mean ranks, less their mean: a group without spread says nothing."""
    if len(pairs) < 2:
        return []
    lengths, scores = zip(*pairs, strict=True)
    middle = (len(pairs) + 1) / 2
    ranked = zip(_ranks(lengths), _ranks(scores), strict=True)
    return [(a - middle, b - middle) for a, b in ranked]


def _ranks(values: Sequence[float]) -> list[float]:
    """Ranks from 1; equals share the mean of theirs."""
    ordered = sorted(values)
    return [ordered.index(v) + (ordered.count(v) + 1) / 2 for v in values]


def _pearson(pairs: Sequence[tuple[float, float]]) -> float | None:
    top = math.fsum(a * b for a, b in pairs)
    bottom = math.sqrt(math.fsum(a * a for a, _ in pairs) * math.fsum(b * b for _, b in pairs))
    return top / bottom if bottom else None


def _error(values: Sequence[float]) -> float | None:
    return stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None


def _finding(kind: str, what: str, places: Sequence[str], of: int) -> Finding:
    return Finding(kind, what, len(places), of, tuple(places[:EXAMPLES]))


def _key(trial: Trial) -> tuple[object, ...]:
    """The answer that a trial is about."""
    return (trial.question_id, trial.turn, trial.candidates)


def _place(trial: Trial) -> str:
    who = f"{trial.judge} on {trial.model}" if trial.judge else trial.model
    return f"{who}, question {trial.question_id}"
