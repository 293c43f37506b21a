"""Comparisons in, win rates out: one table per pairwise judge. Pure.

The rules:

- A game is one question (turn, sample, repeat) between two models. Where both positions were judged, a
  winner must win in both; if the two verdicts name different winners the game is *inconsistent*: counted
  apart from true ties, since it says something about the judge and not about the models.
  (MT-Bench, arXiv 2306.05685, takes such a game as a tie.)
- adjusted win rate = (wins + (ties + inconsistent) / 2) / games; win rate = wins / (wins + losses).
  Undefined is None.
- A game with an unreadable or missing verdict is missing; it is in no rate.
- `first_wins` is the share of verdicts, ties left out, that went to whatever was shown first: 0.5 for a
  judge without position bias.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from data.schema import Choice, JudgeSpec, Judgment, QuestionId, Result, Struct, Trial

Game = tuple[QuestionId, int, int, int, str, str]
"""(question, turn, sample, repeat, first model, second model)."""
_WINNER: dict[Choice, int] = {"first+": 0, "first": 0, "tie": -1, "second": 1, "second+": 1}


class Duelist(Struct, frozen=True, kw_only=True):
    """One model's games against all its opponents."""

    model: str
    wins: int
    ties: int
    losses: int
    inconsistent: int
    missing: int

    @property
    def games(self) -> int:
        """Those with a result."""
        return self.wins + self.ties + self.losses + self.inconsistent

    @property
    def adjusted(self) -> float | None:
        """Adjusted win rate, of 1."""
        points = self.wins + (self.ties + self.inconsistent) / 2
        return points / self.games if self.games else None

    @property
    def win_rate(self) -> float | None:
        """Of decided games, of 1."""
        decided = self.wins + self.losses
        return self.wins / decided if decided else None


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


class _Games:
    """Verdicts of one judge, by game and position."""

    def __init__(self) -> None:
        self.verdicts: dict[Game, dict[int, Choice | None]] = {}

    def add(self, trial: Trial, choice: Choice | None) -> None:
        (one, sample), (two, _) = trial.candidates
        game = (trial.question_id, trial.turn, sample, trial.repeat, one, two)
        self.verdicts.setdefault(game, {})[trial.position] = choice


def duels(
    judges: Sequence[JudgeSpec], records: Iterable[Result], models: Sequence[str]
) -> tuple[DuelTable, ...]:
    """A table for every pairwise judge; the last record of a trial counts."""
    games = {judge.name: _Games() for judge in judges if judge.pairwise}
    for record in records:
        trial = record.trial
        if trial.judge in games and len(trial.candidates) == 2:
            verdict = record.verdict if isinstance(record, Judgment) else None
            games[trial.judge].add(trial, verdict.choice if verdict else None)
    return tuple(
        _table(judge, games[judge.name], models) for judge in judges if judge.name in games
    )


def _table(judge: JudgeSpec, games: _Games, models: Sequence[str]) -> DuelTable:
    positions = 2 if judge.positions == "both" else 1
    rows = [_duelist(model, games, positions) for model in models]
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
    )


def _duelist(model: str, games: _Games, positions: int) -> Duelist:
    counts = dict.fromkeys(("wins", "ties", "losses", "inconsistent", "missing"), 0)
    for game, verdicts in games.verdicts.items():
        if model in game[4:]:
            counts[_result(game.index(model, 4) - 4, verdicts, positions)] += 1
    return Duelist(model=model, **counts)


def _result(side: int, verdicts: dict[int, Choice | None], positions: int) -> str:
    """How a game ended for the model on this side (0: named first)."""
    choices = [choice for choice in verdicts.values() if choice is not None]
    if len(choices) < positions:
        return "missing"
    winners = {_WINNER[choice] for choice in choices}
    if len(winners) > 1:
        return "inconsistent"
    winner = winners.pop()
    return "ties" if winner < 0 else "wins" if winner == side else "losses"
