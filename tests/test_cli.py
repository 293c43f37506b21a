"""The command line as a user types it: what it says, what it leaves behind, how it ends."""

from __future__ import annotations

import csv
import io
import json
import stat
import urllib.request
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from data.schema import Benchmark, Question
from providers.persona import Cast
from providers.scorebook import published
from providers.simserver import serve_in_thread
from providers.simulator import SimOptions

if TYPE_CHECKING:
    from tests.conftest import Ended, Program

MODELS = ("gpt-4-1106-preview", "chatglm3-6b")
JUDGE = "gpt-4-0613"


def sweep(
    name: str = "s",
    *,
    models: tuple[str, ...] = MODELS,
    judges: tuple[str, ...] = (JUDGE,),
    top: str = "",
    provider: str = "",
    simulator: str = "",
    url: str = "simulated:",
) -> str:
    """A sweep on the simulator, embedded or at an address."""
    own = f"[providers.sim.simulator]\n{simulator}" if url == "simulated:" else ""
    parts = [
        f'name = "{name}"\nbenchmark = "mini"\n{top}',
        f'[providers.sim]\napi = "openai-chat"\nbase_url = "{url}"\nsimulated = true\n{provider}\n{own}',
        *(f'[[models]]\nname = "{m}"\nprovider = "sim"\nmodel = "{m}"' for m in models),
        *(f'[[judges]]\nname = "{j}"\nprovider = "sim"\nmodel = "{j}"' for j in judges),
    ]
    return "\n".join(parts)


def write(program: Program, text: str, name: str = "s.toml") -> None:
    (program.folder / name).write_text(text, encoding="utf-8")


def refused(ended: Ended, *words: str) -> None:
    """A user error: exit 2, one message on stderr with these words, nothing on stdout."""
    assert ended.code == 2, ended
    assert ended.out == ""
    missing = [word for word in words if word not in ended.err]
    assert not missing, ended


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, program_in: type[Program]
) -> tuple[Program, Ended]:
    """A finished run of two models and a judge, and what its session said."""
    program = program_in(tmp_path_factory.mktemp("finished"))
    faults = "refusal_rate = 0.02\nmalformed_verdict_rate = 0.1\nerror_rate = 0.03"
    write(program, sweep(simulator=faults))
    return program, program.run("run", "s.toml", "--progress", "none")


# --- the front door ----------------------------------------------------------------------------


def test_help_lists_every_command(program: Program) -> None:
    """And each command has a help of its own."""
    shown = program.run("--help")
    assert shown.code == 0
    for command in (
        "run",
        "generate",
        "judge",
        "plan",
        "init",
        "status",
        "report",
        "diff",
        "export",
        "demo",
    ):
        assert command in shown.out
    assert "--dry-run" in program.run("run", "-h").out


def test_the_version_is_the_packages(program: Program) -> None:
    """One line."""
    assert program.run("--version").out == f"alignsweep {metadata.version('alignsweep')}\n"


def test_an_unknown_command_or_flag_is_a_user_error(program: Program) -> None:
    """Exit 2, as for every mistake that the user can mend."""
    assert program.run("runn").code == 2
    assert program.run("run", "--no-such-flag").code == 2


# --- init and plan -----------------------------------------------------------------------------


def test_init_writes_a_file_that_plan_understands(program: Program) -> None:
    """The template names real providers: the first key that is missing is named, and that is all."""
    assert program.run("init").code == 0
    planned = program.run("plan", "sweep.toml")
    assert planned.code == 2
    assert "to send: 288" in planned.out
    assert "DASHSCOPE_API_KEY is not set" in planned.err
    assert program.files() == {"sweep.toml"}


def test_init_overwrites_nothing_unless_told(program: Program) -> None:
    """A sweep file is somebody's work."""
    write(program, "mine", "sweep.toml")
    refused(program.run("init"), "sweep.toml exists", "--force")
    assert (program.folder / "sweep.toml").read_text() == "mine"
    assert program.run("init", "--force", "--simulated").code == 0
    assert "simulated" in (program.folder / "sweep.toml").read_text()
    refused(program.run("init", "no/such/folder/s.toml"), "cannot write")


def test_plan_and_dry_run_count_and_leave_nothing_behind(program: Program) -> None:
    """No folder, no cache, no lock."""
    write(program, sweep())
    for words in (("plan", "s.toml"), ("run", "s.toml", "--dry-run")):
        planned = program.run(*words)
        assert planned.code == 0
        assert "sim (simulated): 288 requests" in planned.out
        assert "144 judgments by gpt-4-0613  (0 done, 0 cached)" in planned.out
        assert "to send: 288   cached: 0   done: 0" in planned.out
    only = program.run("plan", "s.toml", "--models", "chatglm3-6b", "--limit", "5")
    assert "to send: 10 " in only.out
    assert "to send: 144 " in program.run("generate", "s.toml", "--dry-run").out
    assert program.files() == {"s.toml"}
    assert not list(program.folder.glob("home/**/*.sqlite*"))


def test_a_dry_run_sends_nothing(program: Program) -> None:
    """The provider is there and is not asked."""
    with server() as (url, _):
        write(program, sweep(url=url))
        assert program.run("run", "s.toml", "--dry-run").code == 0
        assert statistics(url)["requests"] == 0


def test_plan_knows_what_is_done_and_what_is_cached(program: Program) -> None:
    """What a session would really send."""
    write(program, sweep())
    program.run("run", "s.toml", "--limit", "10", "--progress", "none")
    assert "done: 40\n" in program.run("plan", "s.toml", "--limit", "10").out
    fork = program.run("run", "s.toml", "--fork", "t", "--limit", "12", "--dry-run").out
    assert "to send: 8   cached: 40   done: 0" in fork
    assert "run folder: runs/t" in fork


# --- run ---------------------------------------------------------------------------------------


def test_the_way_on_can_be_pasted_where_a_name_has_a_space(program: Program) -> None:
    """As a shell reads it."""
    program.run("init", "s.toml", "--simulated")
    file = program.folder / "s.toml"
    text = file.read_text("utf-8").replace('name = "my-simulation"', 'name = "two words"', 1)
    file.write_text(text, "utf-8")
    ended = program.run("run", "s.toml", "--limit", "1", "--progress", "none")
    assert "next      alignsweep report 'runs/two words'" in ended.out


def test_a_run_ends_with_its_table_and_the_way_on(finished: tuple[Program, Ended]) -> None:
    """Exit 0, and everything is where it says."""
    program, ended = finished
    assert ended.code == 0, ended
    assert ended.out.startswith("finished (simulated) after ")
    assert "144 of 144 answers" in ended.out
    assert "gpt-4-1106-preview" in ended.out
    assert "next      alignsweep report runs/s" in ended.out
    expected = {"benchmark.json", "journal.jsonl", "lock", "rubrics.json", "sweep.toml"}
    reports = ("leaderboard.csv", "leaderboard.md", "report.html", "manifest.json")
    expected |= {f"report/{name}" for name in reports}
    assert program.files() == {"s.toml", *(f"runs/s/{name}" for name in expected)}


def test_the_answers_are_their_owners_alone(finished: tuple[Program, Ended]) -> None:
    """They may be confidential."""
    program, _ = finished
    run = program.folder / "runs" / "s"
    assert stat.S_IMODE(run.stat().st_mode) == 0o700
    assert stat.S_IMODE((run / "journal.jsonl").stat().st_mode) == 0o600
    (cache,) = program.folder.glob("home/**/responses.sqlite")
    assert stat.S_IMODE(cache.stat().st_mode) == 0o600


def test_the_same_command_again_asks_nothing(program: Program) -> None:
    """And says what it reused."""
    write(program, sweep())
    for _ in range(2):
        ended = program.run("run", "s.toml", "--limit", "5", "--progress", "none", "--no-cache")
        assert ended.code == 0
    assert "reused    20 results, not asked again" in ended.out
    assert "20 sent" in program.run("status", "s").out


def test_generate_then_judge_is_a_run_in_two_steps(program: Program) -> None:
    """Each step does its own part and says what comes next."""
    write(program, sweep())
    generated = program.run("generate", "s.toml", "--limit", "6", "--progress", "none")
    assert generated.code == 0
    assert "12 of 12 answers" in generated.out
    assert "next      alignsweep judge s.toml" in generated.out
    status = json.loads(program.run("status", "s", "--json").out)["counts"]
    assert (status["answered"], status["judged"], status["attempts"]) == (12, 0, 12)
    judged = program.run("judge", "s.toml", "--limit", "6", "--progress", "none")
    assert judged.code == 0
    status = json.loads(program.run("status", "s", "--json").out)["counts"]
    assert (status["answered"], status["judged"], status["attempts"]) == (12, 12, 24)


def test_a_provider_in_ruins_leaves_a_partial_run(program: Program) -> None:
    """Exit 3; what failed is listed, and the same command goes on."""
    write(
        program, sweep(top="attempts = 2", simulator="error_rate = 1.0", provider="timeout_s = 2")
    )
    ended = program.run("run", "s.toml", "--limit", "2", "--run-dir", "here", "--progress", "none")
    assert ended.code == 3
    assert ended.out.startswith("ended early (simulated)")
    assert "4 failed" in ended.out
    assert "next      alignsweep run s.toml --limit 2 --run-dir here --progress none" in ended.out
    assert "failed     4 " in program.run("status", "here").out
    write(program, sweep(top="attempts = 2"))
    again = program.run("run", "s.toml", "--limit", "2", "--run-dir", "here", "--progress", "none")
    assert again.code == 0


def test_a_wrong_key_is_partial_and_says_who_was_stopped(program: Program) -> None:
    """Over real sockets; the key itself is shown nowhere."""
    with server() as (url, _):
        write(program, sweep(url=url.replace("/v1", "/v2")))
        ended = program.run("run", "s.toml", "--limit", "3", "--progress", "none")
    assert ended.code == 3
    assert "sim: WrongAddress" in ended.err
    assert "error:" not in ended.err


def test_progress_lines_go_to_stderr_and_results_to_stdout(program: Program) -> None:
    """So that a script can read either."""
    write(program, sweep())
    ended = program.run("run", "s.toml", "--limit", "3", "--progress", "json")
    assert ended.code == 0
    lines = [json.loads(line) for line in ended.err.splitlines() if line.startswith("{")]
    assert lines
    assert "{" not in ended.out.splitlines()[0]


# --- mistakes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "nowhere.toml"), ("nowhere.toml", "no such file")),
        (("run", "."), ("this is a folder",)),
        (("run", "s.toml", "--models", "gpt-5"), ("no model `gpt-5`", "chatglm3-6b")),
        (("run", "s.toml", "--category", "诗歌"), ("no category `诗歌`", "文本写作")),
        (("run", "s.toml", "--limit", "0"), ("--limit",)),
        (("run", "s.toml", "--progress", "loud"), ("--progress", "plain")),
        (("run", "s.toml", "--fork", "../elsewhere"), ("--fork", "is a folder's name")),
        (("run", "s.toml", "--run-dir", "s.toml"), ("s.toml",)),
        (("judge", "s.toml", "--answers", "none.jsonl"), ("none.jsonl", "no such file")),
        (("status", "nothing"), ("no run `nothing`",)),
        (("report", "nothing"), ("no run `nothing`",)),
        (("export", "nothing", "--alignbench"), ("no run `nothing`",)),
        (("report", "s.toml", "--format", "pdf"), ("pdf",)),
        (("cache", "prune"), ("no condition given", "--older-than")),
    ],
)
def test_mistakes_end_with_exit_2_and_how_to_mend_them(
    program: Program, words: tuple[str, ...], said: tuple[str, ...]
) -> None:
    """Nothing is sent and no folder is made."""
    write(program, sweep())
    refused(program.run(*words), *said)
    assert program.files() == {"s.toml"}


def test_a_stage_without_its_parties_is_refused(program: Program) -> None:
    """No models to answer, no judges to judge."""
    write(program, sweep(models=()))
    refused(program.run("run", "s.toml"), "no [[models]]", "judge")
    refused(program.run("generate", "s.toml"), "no [[models]]")
    refused(program.run("judge", "s.toml"), "no models in the sweep file and no --answers")
    write(program, sweep(judges=()))
    refused(program.run("judge", "s.toml"), "no [[judges]]")


def test_a_changed_sweep_is_refused_with_the_difference(program: Program) -> None:
    """A run is one sweep; another one starts a run of its own and reuses the cache."""
    write(program, sweep(judges=()))
    program.run("run", "s.toml", "--limit", "3", "--progress", "none")
    write(program, sweep(judges=(), top="seed = 5"))
    before = (program.folder / "runs/s/journal.jsonl").read_bytes()
    refused(program.run("run", "s.toml", "--limit", "3"), "seed: 0 -> 5", "--fork")
    assert (program.folder / "runs/s/journal.jsonl").read_bytes() == before
    forked = program.run("run", "s.toml", "--limit", "3", "--fork", "t", "--progress", "none")
    assert forked.code == 0
    assert "0 sent" in program.run("status", "t").out


def test_a_run_without_judges_has_no_scores_to_report(program: Program) -> None:
    """And says so, instead of an empty table."""
    write(program, sweep(judges=()))
    ended = program.run("run", "s.toml", "--limit", "2", "--progress", "none")
    assert (ended.code, "report s" in ended.out) == (0, False)
    refused(program.run("report", "s"), "no judges")


# --- what a run has come to --------------------------------------------------------------------


def test_status_says_it_for_people_and_for_machines(finished: tuple[Program, Ended]) -> None:
    """The same numbers."""
    program, _ = finished
    shown, read = (
        program.run("status", "runs/s"),
        json.loads(program.run("status", "s", "--json").out),
    )
    counts = read["counts"]
    assert (read["name"], counts["pending"], counts["failed"]) == ("s", 0, 0)
    assert f"{counts['refused']:,} refused" in shown.out
    assert f"{counts['unscorable']:,} unscorable" in shown.out
    assert f"{counts['attempts']:,} sent, 0 without a known end" in shown.out
    assert counts["refused"] > 0


def report(program: Program, format_: str) -> str:
    ended = program.run("report", "s", "--format", format_)
    assert (ended.code, ended.err) == (0, "")
    return ended.out


def test_the_report_comes_in_every_format(finished: tuple[Program, Ended]) -> None:
    """Each names both models, and each says that it is simulated."""
    program, _ = finished
    for format_ in ("terminal", "md", "csv", "json", "jsonl"):
        text = report(program, format_)
        assert all(model in text for model in MODELS), format_
        assert "simulated" in text, format_
        assert "\x1b" not in text


def test_the_exact_formats_can_be_read_and_agree(finished: tuple[Program, Ended]) -> None:
    """JSON, JSON lines and CSV tell the same story."""
    program, _ = finished
    scores: dict[str, Any] = json.loads(report(program, "json"))
    assert scores["schema"] == "alignsweep.scores/1"
    verdicts = [json.loads(line) for line in report(program, "jsonl").splitlines()]
    counts = json.loads(program.run("status", "s", "--json").out)["counts"]
    assert len(verdicts) == counts["judged"] + counts["unscorable"]
    assert sum(v["score"] is None for v in verdicts) == counts["unscorable"]
    rows = list(csv.reader(io.StringIO(report(program, "csv").removeprefix("\ufeff"))))
    named = {cell for row in rows for cell in row}
    assert set(MODELS) <= named
    assert json.dumps(scores).count(JUDGE) > 0


def test_out_writes_a_file_and_keeps_stdout_clean(finished: tuple[Program, Ended]) -> None:
    """The same bytes as on stdout."""
    program, _ = finished
    for format_ in ("md", "csv", "terminal"):
        out = program.folder / f"table.{format_}"
        ended = program.run("report", "s", "--format", format_, "--out", out)
        assert (ended.code, ended.out) == (0, "")
        assert str(out) in ended.err
        if format_ != "terminal":
            assert (
                out.read_bytes().decode()
                == program.run("report", "s", "--format", format_).raw.decode()
            )
        assert MODELS[0] in out.read_text(encoding="utf-8")
        out.unlink()


def test_too_little_coverage_is_not_ranked(finished: tuple[Program, Ended]) -> None:
    """Unless partial totals are asked for."""
    program, _ = finished
    strict = program.run("report", "s", "--min-coverage", "1").out
    partial = program.run("report", "s", "--min-coverage", "1", "--partial").out
    assert strict != partial
    assert program.run("report", "s", "--min-coverage", "2").code == 2


def test_export_writes_alignbenchs_own_format(finished: tuple[Program, Ended]) -> None:
    """Answers and judgments, one file a model; without a format it is refused."""
    program, _ = finished
    refused(program.run("export", "s"), "--alignbench")
    ended = program.run("export", "s", "--alignbench", "--out", "out")
    assert ended.code == 0
    paths = [program.folder / line for line in ended.out.splitlines()]
    assert len(paths) >= 4
    for path in paths:
        assert path.is_file()
        if path.suffix == ".jsonl":
            rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            assert all("question_id" in row for row in rows)


def test_exported_answers_can_be_judged_again(
    finished: tuple[Program, Ended], program: Program
) -> None:
    """What one run writes another one reads."""
    source, _ = finished
    source.run("export", "s", "--alignbench", "--out", program.folder / "out")
    answers = [
        p for p in (program.folder / "out").rglob("*.jsonl") if p.parent.name == "model_answer"
    ]
    write(program, sweep("again", models=()))
    words: list[str] = []
    for path in answers:
        words += ["--answers", str(path)]
    ended = program.run("judge", "s.toml", *words, "--limit", "8", "--progress", "none")
    assert ended.code in (0, 3), ended
    assert json.loads(program.run("status", "again", "--json").out)["counts"]["judged"] >= 12


# --- the cache ---------------------------------------------------------------------------------


def test_the_cache_can_be_looked_at_and_emptied(program: Program) -> None:
    """By model, by age, and as a whole."""
    assert "empty" in program.run("cache", "info").out
    write(program, sweep())
    program.run("run", "s.toml", "--limit", "4", "--progress", "none")
    info = program.run("cache", "info").out
    assert "simulated:0" in info
    assert "16 " in info.splitlines()[-1]
    assert program.run("cache", "prune", "--older-than", "1").out == "forgot 0 answers\n"
    assert program.run("cache", "prune", "--model", "chatglm3-6b").out == "forgot 4 answers\n"
    assert program.run("cache", "clear", stdin=b"n\n").code != 0
    assert "12 " in program.run("cache", "info").out.splitlines()[-1]
    assert program.run("cache", "prune", "--simulated").out == "forgot 12 answers\n"
    assert program.run("cache", "clear", "--yes").code == 0


def test_no_cache_neither_reads_nor_writes_it(program: Program) -> None:
    """The folder does not even appear."""
    write(program, sweep(judges=()))
    program.run("run", "s.toml", "--limit", "2", "--no-cache", "--progress", "none")
    assert not list(program.folder.glob("home/**/*.sqlite*"))


# --- over real sockets -------------------------------------------------------------------------


class server:
    """The loopback simulator with the built-in questions."""

    def __init__(self, **options: Any) -> None:
        cast = Cast(
            0, [Benchmark("mini", "mini", (Question(1, "", "", ("?",)),), "")], [published()]
        )
        self._served = serve_in_thread(SimOptions(latency_s=0.01, **options), cast)

    def __enter__(self) -> tuple[str, SimOptions]:
        return self._served.__enter__(), SimOptions()

    def __exit__(self, *error: Any) -> None:
        self._served.__exit__(*error)


def statistics(url: str) -> dict[str, Any]:
    """What the provider says it has seen."""
    with urllib.request.urlopen(url.removesuffix("/v1") + "/stats", timeout=10) as reply:
        found: dict[str, Any] = json.load(reply)
    return found


def test_a_run_over_sockets_asks_each_thing_once(program: Program) -> None:
    """The provider's count is ours."""
    with server() as (url, _):
        write(program, sweep(url=url, models=MODELS[:1]))
        ended = program.run("run", "s.toml", "--limit", "20", "--progress", "plain")
        seen = statistics(url)
    assert ended.code == 0, ended
    counts = json.loads(program.run("status", "s", "--json").out)["counts"]
    assert seen["requests"] == counts["attempts"]
    assert seen["answered_again"] == 0
    assert counts["answered"] == 20


@pytest.mark.slow
def test_the_demo_runs_and_sets_itself_beside_the_published_table(program: Program) -> None:
    """17 models and two judges over real sockets; only an earlier demo is ever replaced."""
    ended = program.run("demo", "--latency", "0", "--progress", "none", timeout_s=120)
    assert ended.code == 0, ended
    assert "1224 of 1224 answers" in ended.out.replace(",", "")
    assert "Everything above is simulated" in ended.out
    assert not Path(program.folder / "home" / "cache").exists()
    (program.folder / "runs/demo/journal.jsonl").unlink()
    refused(program.run("demo"), "is not an earlier demo")
