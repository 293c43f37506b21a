"""A sweep on virtual time: as long as the real session, no key, no socket, nothing left behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bench.makespan import SITUATIONS, Situation, sweep_text
from data.catalog import presets
from engine.bootstrap import Outcome, Outside, conduct
from engine.config import Loaded, load, select
from engine.preview import look_ahead
from engine.rehearsal import Rehearsal, rehearse
from engine.runtime import run as run_loop
from engine.standins import Assumed, Troupe, staged
from engine.streams import Options
from providers.simulator import SimulatorTransport

if TYPE_CHECKING:
    from tests.conftest import Program

NOW_S = 1.8e9
MODELS = 2
NETWORK = ("socket.connect", "socket.getaddrinfo", "socket.bind", "socket.sendto")
TELL_FOLDERS = (
    "import sys; sys.addaudithook(lambda event, args: print('made', args[0], file=sys.stderr,"
    " flush=True) if event == 'tempfile.mkdtemp' else None)"
)
PRESETS = """
name = "real"
benchmark = "mini"
[providers.openai]
rpm = 300
tpm = 200_000
[providers.zhipu]
api_key_file = "/nowhere/key"
concurrency = 4
[[models]]
name = "gpt"
provider = "openai"
model = "gpt-4o"
{price}
[[models]]
name = "glm"
provider = "zhipu"
model = "glm-4-plus"
{price}
[[judges]]
name = "judge"
provider = "openai"
model = "gpt-4o"
{price}
"""
FREE, PRICED = "", 'max_tokens = 1000\nprice = { input = "2.50", output = "10" }'


def forbidding(*events: str) -> str:
    """A statement after which the first of these audit events ends the program, workers included."""
    return (
        "import os, sys; sys.addaudithook(lambda event, _: print('forbidden:', event,"
        f" file=sys.stderr, flush=True) or os._exit(99) if event in {events} else None)"
    )


def loaded_from(folder: Path, text: str) -> Loaded:
    folder.mkdir(exist_ok=True)
    (folder / "sweep.toml").write_text(text, encoding="utf-8")
    return load(folder / "sweep.toml", home=folder / "home")


def rehearsed(loaded: Loaded, assumed: Assumed = Assumed()) -> Rehearsal:  # noqa: B008  (frozen)
    return rehearse(loaded, select(loaded), assumed, now_s=NOW_S)


def performed(folder: Path, loaded: Loaded) -> tuple[Outcome, float]:
    """A session as `run` conducts it, with the transports it makes itself."""
    outside = Outside({}, None, NOW_S, None, lambda session: None)
    options = Options(folder=folder / "run", selection=select(loaded))

    async def session() -> tuple[Outcome, float]:
        outcome = await conduct(loaded, options, outside)
        return outcome, asyncio.get_running_loop().time()

    return run_loop(session, virtual=True)


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda s: s.name)
def test_a_rehearsal_takes_as_long_as_the_session_itself(
    situation: Situation, tmp_path: Path
) -> None:
    """Same seed, same simulators: the same seconds, tokens and 429s, whatever binds."""
    loaded = loaded_from(tmp_path, sweep_text(situation, MODELS, seed=3))
    outcome, duration_s = performed(tmp_path, loaded)
    end = rehearsed(loaded)
    assert end.duration_s == pytest.approx(duration_s, rel=1e-9)
    assert (end.state, end.trials) == (outcome.state, MODELS * 72 * 2) == ("complete", end.trials)
    seen = outcome.progress
    assert (end.input_tokens, end.output_tokens) == (seen.tokens_in, seen.tokens_out)
    assert end.requests - end.rejected == MODELS * 72 * 2


def test_another_seed_is_another_rehearsal_and_the_same_seed_the_same(tmp_path: Path) -> None:
    """So a user sees how much of a figure is luck."""
    loaded = loaded_from(tmp_path, PRESETS.format(price=FREE))
    first, again = rehearsed(loaded), rehearsed(loaded)
    assert first == again
    other = rehearsed(loaded, Assumed(seed=1))
    assert other.output_tokens != first.output_tokens
    assert other.output_tokens == pytest.approx(first.output_tokens, rel=0.2)


def test_the_binding_limit_is_busy_nearly_all_of_the_time(tmp_path: Path) -> None:
    """144 judgments at one every two seconds, with everything else in plenty."""
    text = PRESETS.format(price=FREE).replace("rpm = 300", "rpm = 30")
    end = rehearsed(loaded_from(tmp_path, text))
    busiest, other = end.accounts
    assert (busiest.name, busiest.binding) == ("openai", "requests/min 30")
    assert 0.95 < busiest.busy <= 1
    assert other.busy < 0.5
    assert 216 * 2 <= end.duration_s < 216 * 2 * 1.05
    assert (busiest.unlimited, other.unlimited) == (False, True)


def test_whoever_is_busiest_stands_first(tmp_path: Path) -> None:
    """One call in flight at the account that comes second in the file."""
    text = PRESETS.format(price=FREE).replace("concurrency = 4", "concurrency = 1")
    end = rehearsed(loaded_from(tmp_path, text))
    assert [use.name for use in end.accounts] == ["zhipu", "openai"]
    assert end.accounts[0].binding == "calls in flight 1"
    assert end.accounts[0].busy > 0.9 > end.accounts[1].busy


@pytest.mark.parametrize("provider", ["", "simulated = true\n"], ids=["real", "simulator"])
def test_its_tokens_are_those_that_plan_calls_likely(tmp_path: Path, provider: str) -> None:
    """One home for what replies are expected to be: the two commands agree, whoever counts them."""
    text = PRESETS.format(price=FREE).replace("name = ", "samples = 4\nname = ", 1)
    for name in ("openai", "zhipu"):
        text = text.replace(f"[providers.{name}]\n", f"[providers.{name}]\n{provider}")
    loaded = loaded_from(tmp_path, text)
    ahead = look_ahead(loaded, Options(folder=tmp_path / "run", selection=select(loaded)), None)
    end = rehearsed(loaded)
    assert end.trials == ahead.workload.to_send
    assert end.input_tokens == pytest.approx(ahead.workload.input.likely, rel=0.05)
    assert end.output_tokens == pytest.approx(ahead.workload.output.likely, rel=0.05)


def test_every_preset_can_be_rehearsed(tmp_path: Path) -> None:
    """Whatever its dialect, stream, path, proxy and certificates: none of them is used."""
    names = [name for name, preset in presets().items() if not preset.simulated]
    own = (
        'base_url = "https://example.org/v1"\nstream = true\npath = "/elsewhere"\n'
        'proxy = "http://127.0.0.1:1"\nca_file = "/nowhere"\n'
    )
    lines = ['name = "all"\nbenchmark = "mini"']
    lines += [f"[providers.{name}]\n{own}" for name in names]
    lines += [
        f'[[models]]\nname = "m-{name}"\nprovider = "{name}"\nmodel = "m"\nmax_tokens = 500'
        for name in names
    ]
    loaded = loaded_from(tmp_path, "\n".join(lines))
    end = rehearse(loaded, select(loaded, limit=2), Assumed(), now_s=NOW_S)
    assert (end.state, end.failed, end.rejected) == ("complete", 0, 0)
    assert {use.name: use.requests for use in end.accounts} == dict.fromkeys(names, 2)


def test_longer_replies_make_a_sweep_that_waits_for_them_longer(tmp_path: Path) -> None:
    """4 calls in flight, 10 s instead of 5: twice as long."""
    text = PRESETS.format(price=FREE).replace("rpm = 300\ntpm = 200_000", "")
    loaded = loaded_from(tmp_path, text)
    slow, slower = (rehearsed(loaded, Assumed(latency_s=s)) for s in (5.0, 10.0))
    assert slow.accounts[0].binding.startswith("calls in flight")
    assert slower.duration_s == pytest.approx(2 * slow.duration_s, rel=0.02)


def test_failures_are_retried_as_in_earnest_and_counted(tmp_path: Path) -> None:
    """A third of all requests fail: more are sent, some trials never succeed, and it says why."""
    loaded = loaded_from(tmp_path, PRESETS.format(price=PRICED))
    end = rehearsed(loaded, Assumed(error_rate=0.34))
    assert end.requests > 1.2 * end.trials
    assert end.failed > 0
    assert sum(count for _, count in end.errors) == end.failed
    assert end.state == "partial"
    assert end.spent.total.estimated > 0


def test_several_accounts_are_rehearsed_each_with_its_own_limits(tmp_path: Path) -> None:
    """The keys of accounts are as little asked for as any other."""
    accounts = '[[providers.openai.accounts]]\napi_key_env = "A_KEY"\nrpm = 30\n'
    accounts += '[[providers.openai.accounts]]\napi_key_env = "B_KEY"\nrpm = 90\n'
    text = PRESETS.format(price=FREE).replace("[providers.zhipu]", accounts + "[providers.zhipu]")
    end = rehearsed(loaded_from(tmp_path, text))
    uses = {use.name: use for use in end.accounts}
    assert uses.keys() == {"openai#1", "openai#2", "zhipu"}
    assert uses["openai#1"].binding == "requests/min 30"
    assert uses["openai#2"].requests == pytest.approx(3 * uses["openai#1"].requests, rel=0.1)


def test_a_stand_in_has_the_limits_of_the_sweep_file_and_no_others(tmp_path: Path) -> None:
    """Broken numbers are rounded up: the simulator counts whole requests."""
    limits = (
        "rpm = 0.5\ntpm = 1000.5\ninput_tpm = 900\noutput_tpm = 800\nrpd = 7\nconcurrency = 3\n"
    )
    text = PRESETS.format(price=FREE).replace("rpm = 300\ntpm = 200_000\n", limits)
    loaded = loaded_from(tmp_path, text)
    stage, troupe = staged(loaded, Assumed(error_rate=0.1)), Troupe(Assumed())
    made = troupe.transports(stage.sweep.providers, stage)
    options = {}
    for name, transport in made.items():
        assert isinstance(transport, SimulatorTransport)
        options[name] = transport.simulator.options
    openai, zhipu = options["openai"], options["zhipu"]
    assert (openai.rpm, openai.tpm, openai.input_tpm, openai.output_tpm) == (1, 1001, 900, 800)
    assert (openai.rpd, openai.concurrency, openai.error_rate) == (7, 3, 0.1)
    assert (zhipu.rpm, zhipu.tpm, zhipu.input_tpm, zhipu.output_tpm, zhipu.rpd) == (None,) * 5
    assert zhipu.concurrency == 4
    assert [p.base_url for p in stage.sweep.providers] == [
        p.base_url for p in loaded.sweep.providers
    ]


# --- the command -------------------------------------------------------------------------------


def write(program: Program, text: str) -> None:
    (program.folder / "s.toml").write_text(text, encoding="utf-8")


def test_a_sweep_of_real_providers_needs_no_key_and_opens_no_socket(program: Program) -> None:
    """One key is unusable, one not there; reading either, or connecting, would end it with an error."""
    write(program, PRESETS.format(price=FREE))
    program.env["OPENAI_API_KEY"] = "two\nlines"
    child = program.start("rehearse", "s.toml", "--limit", "4", before=forbidding(*NETWORK))
    out, err = child.communicate(timeout=60)
    assert child.returncode == 0, err
    assert b"nothing was sent" in out
    assert program.files() == {"s.toml"}


def test_it_works_without_threads(program: Program) -> None:
    """On virtual time nothing may depend on how fast a real thread is."""
    write(program, PRESETS.format(price=FREE))
    command = ("rehearse", "s.toml", "--limit", "4", "--no-what-if")
    child = program.start(*command, before="import threading; del threading.Thread.start")
    _, err = child.communicate(timeout=60)
    assert child.returncode == 0, err


def test_what_was_assumed_and_what_nobody_knows_is_said(program: Program) -> None:
    """No limit, no price, no measured time: three sentences, and no zero."""
    write(program, PRESETS.format(price=FREE).replace("gpt-4o", "nobody-knows-it"))
    ended = program.run("rehearse", "s.toml", "--limit", "4", "--no-what-if")
    assert ended.code == 0
    said = " ".join(ended.out.split())
    assert "no rate limit given for zhipu: the rehearsal cannot know it" in said
    assert "assumed to take 2.5 s" in said
    assert "no price is known for gpt" in said
    assert "money CNY <0.01 spent, 12 calls of unknown price" in said
    assert "0.00" not in said
    assert max(map(len, ended.out.splitlines())) <= 80
    assert "would bring" not in said


def test_a_budget_that_is_too_small_ends_in_4_and_says_when_and_what_is_left(
    program: Program,
) -> None:
    """And no variation is tried: the money would run out just the same."""
    write(program, PRESETS.format(price=PRICED) + '[budget]\ntotal = "0.10"\n')
    ended = program.run("rehearse", "s.toml")
    assert ended.code == 4
    said = " ".join(ended.out.split())
    assert "budget reached after" in said
    assert "trials left" in said
    assert "budget of the run USD 0.10: USD 0." in said
    assert "would bring" not in said
    assert "higher limit" not in said
    end = json.loads(program.run("rehearse", "s.toml", "--json").out)["rehearsal"]
    assert 0 < end["broke_s"] <= end["duration_s"]
    assert 0 < end["spent"]["total"]["spent"] <= 100_000_000
    assert 0 < end["pending"] < end["trials"]


def test_a_budget_that_suffices_ends_in_0(program: Program) -> None:
    """The same sweep with more money."""
    write(program, PRESETS.format(price=PRICED) + '[budget]\ntotal = "10"\n')
    ended = program.run("rehearse", "s.toml", "--no-what-if", "--limit", "9")
    assert ended.code == 0
    assert "ceiling USD 10.00" in ended.out


@pytest.mark.parametrize(
    ("text", "flags", "complaint"),
    [
        ("name = 1", (), "s.toml"),
        (PRESETS.format(price=FREE), ("--category", "none"), "no category `none`"),
        (PRESETS.format(price=FREE), ("--models", "none"), "no model `none`"),
        (
            PRESETS.format(price=FREE).replace("gpt-4o", "new") + '[budget]\ntotal = "1"\n',
            (),
            "the price of",
        ),
        (PRESETS.format(price=FREE).partition("[[models]]")[0], (), "no [[models]]"),
    ],
    ids=["not a sweep", "category", "model", "no price", "no models"],
)
def test_what_cannot_be_rehearsed_ends_in_2_with_one_sentence(
    program: Program, text: str, flags: tuple[str, ...], complaint: str
) -> None:
    """As `plan` and `run` complain."""
    write(program, text)
    ended = program.run("rehearse", "s.toml", *flags)
    assert ended.code == 2
    assert complaint in ended.err
    assert ended.out == ""


def test_the_json_document_holds_everything(program: Program) -> None:
    """One line with a schema; the variations are in it."""
    write(program, PRESETS.format(price=PRICED))
    ended = program.run("rehearse", "s.toml", "--json", "--limit", "6", "--models", "gpt")
    told = json.loads(ended.out)
    assert told["schema"] == "alignsweep.rehearsal/1"
    assert (told["models"], told["questions"], told["judges"]) == (1, 6, 1)
    assert told["rehearsal"]["trials"] == 12
    assert told["rehearsal"]["spent"]["total"]["spent"] > 0
    assert {"variation", "limits", "duration_s", "saves_s", "then"} <= told["what_if"][0].keys()
    assert told["notes"]


def test_its_folder_is_gone_while_it_works(program: Program) -> None:
    """So not even a kill leaves anything behind."""
    write(program, PRESETS.format(price=FREE).replace('"mini"\n', '"mini"\nsamples = 40\n'))
    child = program.start("rehearse", "s.toml", "--no-what-if", before=TELL_FOLDERS)
    assert child.stderr is not None
    folder = Path(child.stderr.readline().decode().split()[1])
    give_up = time.monotonic() + 30
    while folder.exists() and time.monotonic() < give_up:
        os.sched_yield()
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(0.7)
    assert not folder.exists()
    child.kill()
    child.communicate()
    assert not folder.exists()
    assert program.files() == {"s.toml"}


def test_a_full_disk_is_an_error_and_no_figure(program: Program) -> None:
    """Half a sweep's duration would pass for the whole one's."""
    write(program, PRESETS.format(price=FREE))
    small = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (99_000, 99_000))"
    child = program.start("rehearse", "s.toml", before=small)
    out, err = child.communicate(timeout=60)
    assert (child.returncode, out) == (2, b"")
    assert b"cannot write" in err


def test_ctrl_c_ends_it_with_130(program: Program) -> None:
    """One sentence, no traceback."""
    write(program, PRESETS.format(price=FREE).replace('"mini"\n', '"mini"\nsamples = 40\n'))
    child = program.start("rehearse", "s.toml", before=TELL_FOLDERS)
    assert child.stderr is not None
    child.stderr.readline()
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=30)
    assert child.returncode == 130
    assert out == b""
    assert b"Traceback" not in err
    assert b"nothing is left behind" in err
