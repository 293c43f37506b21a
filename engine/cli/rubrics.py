"""`alignsweep rubrics list | show`: how judges are asked, and how their verdicts are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from data.text import printable

if TYPE_CHECKING:
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
        typer.echo(f"{printable(name):<{size}}  {kind:<11}  {printable(rubric.title)}")


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
