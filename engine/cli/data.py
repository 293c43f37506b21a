"""`alignsweep data`: benchmarks come in, are listed, looked at and checked.

Everything shown of a file is foreign text: each line of it goes through `printable`. Errors are
raised and end in `engine/cli/main.py` with exit code 2. The engine is imported inside functions, so
that `--help` stays instant.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from data.errors import ConfigError
from data.text import printable

if TYPE_CHECKING:
    from data.checkout import Imported
    from data.schema import Benchmark, Question, Rubric
    from engine.fetch import Snapshot

app = typer.Typer(no_args_is_help=True)

ANSWER = "（这里是助手的回答）"
"""Stands in for an answer where a judge prompt is only shown."""


@app.command("import")
def import_(
    path: Annotated[
        str,
        typer.Argument(
            help="A clone of github.com/THUDM/AlignBench, or one of CritiqueLLM's files of human"
            " scores (data/evaluation/…/*.jsonl)."
        ),
    ],
    name: Annotated[
        str, typer.Option(help="What to call the questions of a file of human scores.")
    ] = "",
) -> None:
    """Take over AlignBench from a clone, or answers that humans have scored from a file."""
    from pathlib import Path

    from data.checkout import import_checkout
    from engine.paths import data_home

    if Path(path).is_file():
        _tell_taken(path, name)
        return
    if name:
        raise ConfigError("only a file of human scores takes a name", where="--name")
    _tell_imported(import_checkout(path, home=data_home()))


@app.command()
def fetch(
    what: Annotated[str, typer.Argument(help="What to download: alignbench.")],
    version: Annotated[str, typer.Option(help="1.1, 1.0 or all.")] = "1.1",
    base_url: Annotated[
        str,
        typer.Option(
            help="A mirror: files are asked for at BASE/COMMIT/PATH. Default: the authors' own.",
            show_default=False,
        ),
    ] = "",
) -> None:
    """Download AlignBench at pinned commits; every file is compared with its known sha256."""
    import anyio

    from engine.fetch import BASE_URL, download, install, pins_for
    from engine.paths import data_home
    from providers.transport import AiohttpTransport

    if what != "alignbench":
        raise ConfigError(
            f"nothing is known about {printable(what, 40)!r}",
            where="alignsweep data fetch",
            how="to be had: alignbench",
        )
    pins = pins_for(version)

    async def snapshots() -> list[Snapshot]:
        transport = AiohttpTransport(connections=1)
        try:
            return await download(
                transport,
                pins,
                base_url=base_url or BASE_URL,
                tell=lambda name: typer.echo(f"  {name}", err=True),
            )
        finally:
            await transport.aclose()

    _tell_imported(install(anyio.run(snapshots), home=data_home()))


@app.command("list")
def list_() -> None:
    """Every benchmark and rubric that a name leads to."""
    from data.benchmark import names
    from data.rubric_files import rubric_names
    from engine.paths import data_home

    home = data_home()
    listed = names(home)
    width = max(len(printable(item.name)) for item in listed)
    typer.echo("benchmarks")
    for item in listed:
        typer.echo(f"  {printable(item.name):<{width}}  {item.origin:<8}  {printable(item.title)}")
        for note in filter(None, (item.warning, item.problem)):
            typer.echo(f"  {'':<{width}}  note: {printable(note)}")
    typer.echo("rubrics")
    for name in rubric_names(home):
        typer.echo(f"  {printable(name)}")


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="A name from `data list`, or a .jsonl file.")],
    question: Annotated[str, typer.Option(help="The id of one question to show whole.")] = "",
    rubric: Annotated[
        bool, typer.Option("--rubric", help="Show how a judge is asked about it.")
    ] = False,
) -> None:
    """What a benchmark holds; one question; the judge prompt."""
    from data.benchmark import load
    from data.rubric_files import load_rubric
    from engine.paths import data_home

    home = data_home()
    benchmark = load(name, home=home)
    rules = load_rubric(benchmark.rubric, home=home) if rubric else None
    if question:
        item = _find(benchmark, question)
        _tell_prompt(rules, item) if rules else _tell_question(item)
    elif rules:
        _tell_rubric(rules)
    else:
        _tell_benchmark(benchmark)


@app.command()
def validate(
    name: Annotated[str, typer.Argument(metavar="PATH_OR_NAME", help="A .jsonl file or a name.")],
) -> None:
    """Check a question file: a summary, or everything that is wrong with it (exit code 2)."""
    from data.benchmark import load
    from data.rubric import dimensions
    from data.rubric_files import load_rubric
    from engine.paths import data_home

    home = data_home()
    benchmark = load(name, home=home)
    rules = load_rubric(benchmark.rubric, home=home)
    for item in benchmark.questions:
        dimensions(rules, item)
    _tell_benchmark(benchmark)
    typer.echo("ok")


# --- what is told ------------------------------------------------------------------------------


def _tell_imported(imported: list[Imported]) -> None:
    for item in imported:
        state = "imported" if item.changed else "was there already, unchanged"
        typer.echo(f"{item.name}: {item.questions} questions, {state}")
        typer.echo(f"  {printable(item.folder)}")
        typer.echo(f"  sha256 {item.sha256}")
        if item.warning:
            typer.echo(f"  note: {printable(item.warning)}")


def _tell_taken(path: str, name: str) -> None:
    """A file of human scores: what was made of it, and what to do next."""
    from data.critiquellm import NOTE, import_human
    from engine.paths import data_home

    taken = import_human(path, home=data_home(), name=name)
    state = "imported" if taken.changed else "was there already, unchanged"
    typer.echo(f"{printable(taken.name)}: {taken.questions} questions, {state}")
    typer.echo(f"  {taken.answers} answers of {taken.models} models, scored by humans")
    typer.echo(f"  sha256 {taken.sha256}")
    typer.echo(f"  note: {NOTE}")
    typer.echo(f'next: a sweep file with benchmark = "{printable(taken.name)}", judges, no models:')
    typer.echo(f"  alignsweep judge SWEEP.toml --answers {printable(taken.answers_path)}")
    typer.echo(f"  alignsweep agree RUN --human {printable(taken.human_path)}")


def _tell_benchmark(benchmark: Benchmark) -> None:
    questions = benchmark.questions
    title = "" if benchmark.title == benchmark.name else f": {printable(benchmark.title)}"
    typer.echo(f"{printable(benchmark.name)}{title}")
    typer.echo(f"  sha256     {benchmark.sha256}")
    typer.echo(f"  rubric     {printable(benchmark.rubric)}")
    if benchmark.source:
        typer.echo(f"  source     {printable(benchmark.source)}")
    for group, members in benchmark.groups.items():
        typer.echo(f"  {printable(group)}   {printable('、'.join(members))}")
    referenced = sum(bool(q.references) for q in questions)
    evidenced = sum(bool(q.evidences) for q in questions)
    dialogues = sum(len(q.turns) > 1 for q in questions)
    typer.echo(
        f"  {len(questions)} questions, {referenced} with a reference, "
        f"{evidenced} with evidence, {dialogues} of several turns"
    )
    for category, count in Counter(q.category for q in questions).items():
        kinds = len({q.subcategory for q in questions if q.category == category})
        temperature = benchmark.temperatures.get(category, benchmark.temperatures.get(""))
        drawn = "" if temperature is None else f", temperature {temperature:g}"
        noun = "subcategory" if kinds == 1 else "subcategories"
        typer.echo(f"  {count:5}  {printable(category)} ({kinds} {noun}{drawn})")


def _tell_question(question: Question) -> None:
    typer.echo(f"question {printable(str(question.id))}")
    typer.echo(f"{printable(question.category)} / {printable(question.subcategory)}")
    for number, turn in enumerate(question.turns):
        _tell_text(f"--- question, turn {number + 1} ---", turn)
        if number < len(question.references):
            _tell_text(f"--- reference, turn {number + 1} ---", question.references[number])
    for evidence in question.evidences or ():
        _tell_text(f"--- evidence {printable(evidence.url.strip())} ---", evidence.quote)


def _tell_rubric(rules: Rubric) -> None:
    typer.echo(f"{printable(rules.name)}: {printable(rules.title)}")
    typer.echo(f"  sha256  {rules.sha256}")
    typer.echo(f"  scores  {rules.low:g} to {rules.high:g}, key {printable(rules.score_key)}")
    for kind, names in rules.types.items():
        typer.echo(f"  {printable(kind)}: {printable('、'.join(names))}")
    _tell_text("--- template ---", rules.template)


def _tell_prompt(rules: Rubric, question: Question) -> None:
    from data.rubric import render

    for turn in range(len(question.turns)):
        rendered = render(rules, question, ANSWER, seed=0, turn=turn)
        for message in rendered.messages:
            _tell_text(f"--- {message.role}, turn {turn + 1} ---", message.content)


def _tell_text(title: str, text: str) -> None:
    typer.echo(title)
    for line in text.split("\n"):
        typer.echo(printable(line))


def _find(benchmark: Benchmark, wanted: str) -> Question:
    for question in benchmark.questions:
        if str(question.id) == wanted:
            return question
    some = ", ".join(printable(str(q.id), 20) for q in benchmark.questions[:5])
    raise ConfigError(
        f"{printable(benchmark.name)} has no question {printable(wanted, 40)!r}",
        where="--question",
        how=f"ids here begin: {some}",
    )
