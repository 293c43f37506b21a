"""`alignsweep rubrics`: how judges are asked, how their verdicts are read; one's own, and others'."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from data.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from data.schema import Question, Rubric

app = typer.Typer(no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="A name of `rubrics list`, or the path of a .toml file.")]


@app.command("list")
def list_() -> None:
    """All rubrics that a sweep file can name."""
    from data.rubric_files import load_rubric, rubric_names
    from engine.paths import data_home

    home = data_home()
    names = rubric_names(home)
    size = max(map(len, names))
    for name in names:
        rubric = load_rubric(name, home=home)
        kind = "two answers" if rubric.pairwise else "one answer"
        extra = " [with the sources of the reference]" if "{evidence}" in rubric.template else ""
        typer.echo(f"{printable(name):<{size}}  {kind:<11}  {printable(rubric.title)}{extra}")


@app.command()
def show(
    name: Name,
    benchmark: Annotated[
        str, typer.Option("--benchmark", help="Whose first question is the example.")
    ] = "mini",
    question: Annotated[
        str, typer.Option("--question", help="The id of another question of it.")
    ] = "",
) -> None:
    """What a judge is sent for a question, and what its verdict looks like."""
    from data import benchmark as benchmarks
    from data.errors import ConfigError
    from data.rubric_files import load_rubric
    from engine.paths import data_home

    home = data_home()
    rubric = load_rubric(name, home=home)
    questions = benchmarks.load(benchmark, home=home).questions
    chosen = [q for q in questions if not question or str(q.id) == question]
    if not chosen:
        raise ConfigError(
            f"no question {printable(question, 80)} in {printable(benchmark, 80)}",
            where="--question",
            how=f"such as {questions[0].id}",
        )
    typer.echo(f"{printable(rubric.name)}: {printable(rubric.title)}")
    for line in _facts(rubric):
        typer.echo(f"  {line}")
    typer.echo(f"\n--- what the judge is sent for question {printable(str(chosen[0].id))} ---\n")
    answers = ("(the answer of a model)", "(the answer of another model)")
    typer.echo(_example(rubric, chosen[0], answers))


@app.command()
def check(
    name: Name,
    benchmark: Annotated[
        str, typer.Option("--benchmark", help="Whose questions it must be able to judge.")
    ] = "mini",
    reply: Annotated[
        Path | None,
        typer.Option("--reply", help="A file with a judge's reply: how would it be read?"),
    ] = None,
) -> None:
    """Check a rubric before a sweep: its keys, every question of a benchmark, one rendered example."""
    from collections import Counter

    from data import benchmark as benchmarks
    from data.rubric import type_of
    from data.rubric_files import load_rubric
    from engine.paths import data_home

    home = data_home()
    rubric = load_rubric(name, home=home)
    questions = benchmarks.load(benchmark, home=home).questions
    sizes = [len(_example(rubric, question, ("", ""))) for question in questions]
    kinds = Counter(type_of(rubric, question) or "(no types)" for question in questions)
    typer.echo(f"{printable(rubric.name)}: sound; {printable(rubric.title) or 'it has no title'}")
    for line in _facts(rubric):
        typer.echo(f"  {line}")
    told = ", ".join(f"{printable(kind)} {count:,}" for kind, count in kinds.most_common())
    typer.echo(f"  questions   {len(questions):,} of {printable(benchmark)}: {told}")
    typer.echo(f"  prompt      {min(sizes):,} to {max(sizes):,} characters without the answer")
    if reply is not None:
        for line in _readings(rubric, questions[0], reply):
            typer.echo(f"  {line}")
        return
    typer.echo(f"\n--- what the judge is sent for question {printable(str(questions[0].id))} ---\n")
    answers = ("(the answer of a model)", "(the answer of another model)")
    typer.echo(_example(rubric, questions[0], answers))


@app.command("import")
def import_(
    path: Annotated[
        Path, typer.Argument(help="A clone of AlignBench, or FastChat's judge_prompts.jsonl.")
    ],
    as_: Annotated[
        str,
        typer.Option("--as", help="The rubric's name; of several, what their names begin with."),
    ] = "",
    out: Annotated[Path, typer.Option("--out", help="The folder it is written to.")] = Path(),
) -> None:
    """Turn judge prompts of another project into rubric files of our own form: NAME.toml."""
    from data.prompts_import import find_prompts
    from data.rubric_files import file_name, load_rubric
    from data.rubric_toml import rubric_toml

    found = find_prompts(path)
    several = len(found.rubrics) > 1
    for rubric in found.rubrics:
        name = f"{as_}-{rubric.name}" if as_ and several else as_ or rubric.name
        file = out / file_name(name)
        heading = f"{rubric.source}\nImported as it is; its authors' terms apply to its words."
        _write_new(file, rubric_toml(rubric, heading=heading).encode())
        if load_rubric(str(out / file.name), home=out).sha256 != rubric.sha256:
            raise AssertionError(f"{file} does not read as it was written")
        kind = "two answers" if rubric.pairwise else "one answer"
        typer.echo(f'{printable(str(file))}  {kind}: rubric = "{printable(file.name)}"')
    for line in found.left_out:
        typer.echo(f"left out: {line}", err=True)


def _write_new(file: Path, text: bytes) -> None:
    """A file of the user's own is never overwritten with something else."""
    from data.errors import ConfigError
    from data.wholefile import put_whole

    if file.exists() and file.read_bytes() != text:
        raise ConfigError(
            f"{printable(str(file))} is there already and differs",
            how="give it a name with --as NAME",
        )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        put_whole(file, text)
    except OSError as error:
        raise ConfigError(f"cannot write {printable(str(file))}: {error.strerror}") from None


def _readings(rubric: Rubric, question: Question, file: Path) -> Iterator[str]:
    """How a reply would be read, by each policy that can read it."""
    from data.codec import read_bytes
    from data.pairing import read_choice
    from data.rubric import read
    from data.schema import ParsePolicy

    text = read_bytes(file).decode("utf-8", "replace")
    marks = (rubric.opening, rubric.closing)
    if rubric.pairwise:
        choice = read_choice(text, rubric.labels, marks)
        yield f"{'robust':<11} {choice.verdict.choice if choice.verdict else choice.reason}"
        return
    policies: tuple[ParsePolicy, ...] = ("robust", "compat", "opencompass")
    for policy in policies:
        reading = read(rubric, question, text, policy=policy, quotation=marks)
        verdict = reading.verdict
        told = f"no score: {reading.reason}"
        if verdict is not None:
            more = ", ".join(f"{name} {value:g}" for name, value in verdict.dimensions.items())
            told = f"{verdict.score:g}" + (f" ({more})" if more else "")
            told += "".join(f" [{flag}]" for flag in verdict.flags)
        yield f"{policy:<11} {printable(told)}"


def _facts(rubric: Rubric) -> list[str]:
    verdict = f"an object with `{rubric.score_key}`, {rubric.low:g} to {rubric.high:g}"
    if rubric.bracketed:
        verdict = f"[[n]], {rubric.low:g} to {rubric.high:g}"
    if rubric.pairwise:
        verdict = ", ".join(f"{label} = {choice}" for label, choice in rubric.labels.items())
    facts = [
        f"verdict     {printable(verdict)}",
        f"delimiters  {'derived for each answer' if rubric.fenced else 'fixed, as its authors have them'}",
        f"sha256      {rubric.sha256}",
    ]
    if rubric.source:
        facts.append(f"source      {printable(rubric.source)}")
    facts += [
        f"dimensions  {printable(kind)}: {printable(', '.join(names))}"
        for kind, names in rubric.types.items()
    ]
    return facts


def _example(rubric: Rubric, question: Question, answers: tuple[str, str]) -> str:
    from data.pairing import render_pair
    from data.rubric import render

    if rubric.pairwise:
        rendered = render_pair(rubric, question, answers[:1], answers[1:], seed=0)
    else:
        rendered = render(rubric, question, answers[0], seed=0)
    lines = (line for message in rendered.messages for line in message.content.split("\n"))
    return "\n".join(map(printable, lines))
