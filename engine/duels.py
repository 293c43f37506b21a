"""Comparisons in, win rates out: one table per pairwise judge. Pure.

The rules:

- A game is one question (turn, sample, repeat) between two models. Where both positions were judged, a
  winner must win in both; if the two verdicts name different winners the game is *inconsistent*: counted
  apart from true ties, since it says something about the judge and not about the models.
  (MT-Bench, arXiv 2306.05685, takes such a game as a tie.)
- adjusted win rate = (wins + (ties + inconsistent) / 2) / games; win rate = wins / (wins + losses).
  Undefined is None.
- Against a baseline, the baseline's own adjusted win rate is one half by definition: only so do all rates
  of a table speak of the same opponent (AlpacaEval and Arena-Hard have it so). Its counts are its games
  with everybody.
- A game with an unreadable or missing verdict is missing; it is in no rate. So are games that were asked
  for and are not there.
- `first_wins` is the share of verdicts, ties left out, that went to whatever was shown first: 0.5 for a
  judge without position bias.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal

from data.schema import Choice, JudgeSpec, Judgment, QuestionId, Result, Struct, Trial

Game = tuple[QuestionId, int, int, int, str, str]
"""(question, turn, sample, repeat, first model, second model)."""
Outcome = Literal["wins", "ties", "losses", "inconsistent", "missing"]
"""From the first model's side."""
OUTCOMES: tuple[Outcome, ...] = ("wins", "ties", "losses", "inconsistent", "missing")
_POINTS: dict[Outcome, float] = {"wins": 1.0, "ties": 0.5, "inconsistent": 0.5, "losses": 0.0}
_TURNED: dict[Outcome, Outcome] = {"wins": "losses", "losses": "wins"}
_WINNER: dict[Choice, int] = {"first+": 0, "first": 0, "tie": -1, "second": 1, "second+": 1}


class Duelist(Struct, frozen=True, kw_only=True):
    """One model's games against all its opponents."""

    model: str
    wins: int
    ties: int
    losses: int
    inconsistent: int
    missing: int
    is_baseline: bool = False

    @property
    def games(self) -> int:
        """Those with a result."""
        return self.wins + self.ties + self.losses + self.inconsistent

    @property
    def adjusted(self) -> float | None:
        """Adjusted win rate, of 1; a baseline's is one half by definition."""
        points = self.wins + (self.ties + self.inconsistent) / 2
        if not self.games:
            return None
        return 0.5 if self.is_baseline else points / self.games

    @property
    def win_rate(self) -> float | None:
        """Of decided games, of 1."""
        decided = self.wins + self.losses
        return self.wins / decided if decided else None

    @property
    def coverage(self) -> float:
        """Games with a result, of all, of 1."""
        return self.games / (self.games + self.missing) if self.games else 0.0


class Pairing(Struct, frozen=True, kw_only=True):
    """The games between two models, from the first one's side."""

    first: str
    second: str
    wins: int = 0
    ties: int = 0
    losses: int = 0
    inconsistent: int = 0
    missing: int = 0
    questions: dict[QuestionId, tuple[int, int, int]] = {}
    """Question -> (wins, ties and inconsistent ones, losses): its turns, samples and repeats."""


class DuelTable(Struct, frozen=True, kw_only=True):
    """One pairwise judge's table, best first; models without a game last."""

    judge: str
    rubric: str
    baseline: str
    rows: tuple[Duelist, ...]
    consistency: float | None
    """Of games judged in both positions, how many named the same winner (or a tie twice)."""
    first_wins: float | None
    verdicts: int
    pairings: tuple[Pairing, ...] = ()
    """Every two models that have met, or should have."""


class _Games:
    """Verdicts of one judge, by game and position."""

    def __init__(self) -> None:
        self.verdicts: dict[Game, dict[int, Choice | None]] = {}

    def add(self, trial: Trial, choice: Choice | None) -> None:
        (one, sample), (two, _) = trial.candidates
        game = (trial.question_id, trial.turn, sample, trial.repeat, one, two)
        self.verdicts.setdefault(game, {})[trial.position] = choice


def duels(
    judges: Sequence[JudgeSpec],
    records: Iterable[Result],
    models: Sequence[str],
    planned: int = 0,
) -> tuple[DuelTable, ...]:
    """A table for every pairwise judge; the last record of a trial counts.

    `planned`: how many games were asked for between two models; what is not there is missing.
    """
    games = {judge.name: _Games() for judge in judges if judge.pairwise}
    for record in records:
        trial = record.trial
        if trial.judge in games and len(trial.candidates) == 2:
            verdict = record.verdict if isinstance(record, Judgment) else None
            games[trial.judge].add(trial, verdict.choice if verdict else None)
    return tuple(
        _table(judge, games[judge.name], models, planned) for judge in judges if judge.name in games
    )


def _table(judge: JudgeSpec, games: _Games, models: Sequence[str], planned: int) -> DuelTable:
    pairings = _pairings(games, 2 if judge.positions == "both" else 1, models, planned)
    rows = [_duelist(model, pairings, judge.baseline) for model in models]
    rows.sort(key=lambda row: (row.adjusted is None, -(row.adjusted or 0.0)))
    decided = [
        (position, _WINNER[choice])
        for verdicts in games.verdicts.values()
        for position, choice in verdicts.items()
        if choice is not None and choice != "tie"
    ]
    twice = [v for v in games.verdicts.values() if len(v) == 2 and None not in v.values()]
    agreed = sum(len({_WINNER[c] for c in v.values() if c is not None}) == 1 for v in twice)
    return DuelTable(
        judge=judge.name,
        rubric=judge.rubric,
        baseline=judge.baseline,
        rows=tuple(rows),
        consistency=agreed / len(twice) if twice else None,
        first_wins=(sum(p == w for p, w in decided) / len(decided)) if decided else None,
        verdicts=sum(c is not None for v in games.verdicts.values() for c in v.values()),
        pairings=pairings,
    )


def _pairings(
    games: _Games, positions: int, models: Sequence[str], planned: int
) -> tuple[Pairing, ...]:
    """In the order of their names."""
    counts: defaultdict[tuple[str, str], Counter[Outcome]] = defaultdict(Counter)
    questions: defaultdict[tuple[str, str], dict[QuestionId, list[int]]] = defaultdict(dict)
    for game, verdicts in games.verdicts.items():
        pair = game[4:]
        outcome = _result(verdicts, positions)
        counts[pair][outcome] += 1
        if outcome != "missing":
            place = int(2 * (1 - _POINTS[outcome]))
            questions[pair].setdefault(game[0], [0, 0, 0])[place] += 1
    known = frozenset(models)
    return tuple(
        _pairing(pair, own, questions[pair], planned)
        for pair, own in sorted(counts.items())
        if known.issuperset(pair)
    )


def _pairing(
    pair: tuple[str, str],
    counts: Counter[Outcome],
    questions: dict[QuestionId, list[int]],
    planned: int,
) -> Pairing:
    gone = max(planned - counts.total(), 0)
    return Pairing(
        first=pair[0],
        second=pair[1],
        wins=counts["wins"],
        ties=counts["ties"],
        losses=counts["losses"],
        inconsistent=counts["inconsistent"],
        missing=counts["missing"] + gone,
        questions={question: (n[0], n[1], n[2]) for question, n in questions.items()},
    )


def _duelist(model: str, pairings: Sequence[Pairing], baseline: str) -> Duelist:
    counts: dict[Outcome, int] = dict.fromkeys(OUTCOMES, 0)
    for one in pairings:
        if model in (one.first, one.second):
            for outcome in OUTCOMES:
                mine = outcome if model == one.first else _TURNED.get(outcome, outcome)
                counts[mine] += getattr(one, outcome)
    return Duelist(model=model, is_baseline=model == baseline, **counts)


def _result(verdicts: dict[int, Choice | None], positions: int) -> Outcome:
    """How a game ended for the model that is named first."""
    choices = [choice for choice in verdicts.values() if choice is not None]
    if len(choices) < positions:
        return "missing"
    winners = {_WINNER[choice] for choice in choices}
    if len(winners) > 1:
        return "inconsistent"
    winner = winners.pop()
    return "ties" if winner < 0 else "wins" if winner == 0 else "losses"
