"""Answers of any origin enter a sweep: their models become the sweep's models.

A sweep file for this has judges and no models; if it has models, the answers must be theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from data.answers import GivenAnswer, read_answers
from data.codec import replace
from data.errors import ConfigError
from data.schema import ModelSpec
from data.text import printable
from engine.config import Loaded
from engine.rundir import read_run
from engine.sweepfile import name_fault

UPSTREAM_NULL = "None"
"""How AlignBench's own script renders an answer that never came."""


def with_answers(
    loaded: Loaded, paths: Sequence[Path], folder: Path, *, null_as_none: bool = False
) -> tuple[Loaded, tuple[GivenAnswer, ...]]:
    """The sweep with the models of the files, and the answers. Raises DataError and ConfigError.

    Without files, the models are those of the run in `folder`, if it was started with some.
    """
    if not paths:
        loaded = with_models_of_run(loaded, folder)
        if not loaded.sweep.models:
            raise ConfigError(
                "no models in the sweep file and no --answers", how="--answers model_answer/*.jsonl"
            )
        return loaded, ()
    given = tuple(read_answers(paths))
    if null_as_none:
        given = tuple(replace(g, text=UPSTREAM_NULL) if g.text is None else g for g in given)
    if not given:
        raise ConfigError("no answers in these files", where=", ".join(map(str, paths)))
    names = tuple(dict.fromkeys(g.model for g in given))
    return _with_models(loaded, names, given), given


def with_models_of_run(loaded: Loaded, folder: Path) -> Loaded:
    """A sweep file without models goes on with those that its run has already."""
    if loaded.sweep.models or not (folder / "journal.jsonl").is_file():
        return loaded
    models = read_run(folder).sweep.models
    return replace(loaded, sweep=replace(loaded.sweep, models=models))


def _with_models(loaded: Loaded, names: Sequence[str], given: Sequence[GivenAnswer]) -> Loaded:
    if loaded.sweep.models:
        known = {m.name for m in loaded.sweep.models}
        stranger = next((g for g in given if g.model not in known), None)
        if stranger is not None:
            raise ConfigError(
                f"an answer of `{printable(stranger.model, 80)}`, which is no model of {loaded.path}",
                where=f"{stranger.path}:{stranger.line}",
                how="add it, or use a sweep file without [[models]]",
            )
        return loaded
    unnamed = next((g for g in given if name_fault(g.model)), None)
    if unnamed is not None:
        raise ConfigError(
            f"`model_id` {name_fault(unnamed.model)}", where=f"{unnamed.path}:{unnamed.line}"
        )
    if loaded.sweep.samples > 1:
        raise ConfigError(
            f"`samples` is {loaded.sweep.samples}; answer files hold one answer a question",
            where=str(loaded.path),
            how="set samples = 1",
        )
    models = tuple(ModelSpec(name=name, provider="", model=name) for name in names)
    return replace(loaded, sweep=replace(loaded.sweep, models=models))
