"""`alignsweep providers`: what it lists, shows and finds out, against real sockets."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from data.benchmark import load
from data.catalog import presets
from data.errors import AlignsweepError
from engine.cli.providers import app
from providers.persona import Cast
from providers.simserver import serve_in_thread
from providers.simulator import SimOptions

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Program

KEY = "sk-canary-7f3a9b2c4d"
Answer = tuple[int, dict[str, Any], dict[str, str]]
Play = Callable[[dict[str, Any], str], Answer]
"""(request body, authorization) -> status, body, headers"""


class Scripted:
    """A server that plays, and keeps what it was asked."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.bodies: list[dict[str, Any]] = []
        self.paths: list[str] = []


@contextmanager
def scripted(play: Play) -> Iterator[Scripted]:
    seen = Scripted("")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.bodies.append(body)
            seen.paths.append(self.path)
            given = self.headers.get("Authorization") or self.headers.get("api-key") or ""
            status, answer, headers = play(body, given)
            raw = json.dumps(answer).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(raw))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: Any) -> None:
            """Not to the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    seen.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def says(text: str = "2", **headers: str) -> Answer:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
    }
    usage = {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}
    body = {"id": "c", "model": "m-2026", "choices": [choice], "usage": usage}
    return 200, body, {k.replace("_", "-"): v for k, v in headers.items()}


def complains(status: int, message: str, code: str = "") -> Answer:
    return status, {"error": {"message": message, "type": "x", "code": code or None}}, {}


def write(program: Program, text: str) -> Path:
    path = program.folder / "s.toml"
    path.write_text(f'name = "s"\nbenchmark = "mini"\n{text}', encoding="utf-8")
    return path


def account(name: str, url: str, more: str = "") -> str:
    return (
        f'[providers.{name}]\napi = "openai-chat"\nbase_url = "{url}"\napi_key_env = "KEY_{name.upper()}"\n'
        f'[[models]]\nname = "m-{name}"\nprovider = "{name}"\nmodel = "m"\n{more}\n'
    )


class Said:
    """How a command ended in this very process (a program of its own takes a second to start)."""

    def __init__(self, result: Any) -> None:
        error = result.exception
        mended_by_user = isinstance(error, AlignsweepError)
        assert error is None or mended_by_user or isinstance(error, SystemExit), result
        self.code = 2 if mended_by_user else result.exit_code
        self.out, self.err = result.stdout, f"error: {error}" if mended_by_user else ""

    def __repr__(self) -> str:
        return f"<exit {self.code}: {self.out}{self.err}>"


def check(program: Program, *words: str) -> Said:
    with contextlib.chdir(program.folder):
        said = Said(CliRunner(env=program.env).invoke(app, ["check", *words]))
    assert KEY not in said.out + said.err
    return said


@pytest.fixture
def keyed(program: Program) -> Program:
    """With a key for accounts a and b."""
    program.env |= {"KEY_A": KEY, "KEY_B": KEY + "b", "COLUMNS": "100"}
    return program


# --- check -------------------------------------------------------------------------------------


def test_an_account_that_answers_is_told_with_all_that_it_tells(keyed: Program) -> None:
    """Model, tokens, time, limits, price; one request is all it takes."""
    limits = {"x_ratelimit_limit_requests": "500", "x_ratelimit_remaining_requests": "499"}
    with scripted(lambda body, key: says(**limits)) as server:
        write(keyed, account("a", server.url, 'price = { input = "2.50", output = "10" }'))
        ended = check(keyed, "--sweep", "s.toml")
    assert ended.code == 0, ended
    assert "a: answers as m-2026, 5 + 1 tokens (" in ended.out
    assert "rpm 500, 499 left" in ended.out
    assert "USD 2.5 in, 10 out per million  (the sweep file)" in ended.out
    (body,) = server.bodies
    assert body["max_tokens"] <= 16
    assert body["messages"] == [{"role": "user", "content": "1+1=?"}]


def test_a_wrong_key_is_told_and_never_shown(keyed: Program) -> None:
    """Not even when the server repeats it."""
    with scripted(lambda body, key: complains(401, f"bad key {key}", "invalid_api_key")) as server:
        write(keyed, account("a", server.url))
        ended = check(keyed, "--sweep", "s.toml")
    assert ended.code == 3
    assert "a: Unauthorized: bad key Bearer [key]" in ended.out


def test_a_dummy_key_spoils_no_reply(keyed: Program) -> None:
    """Servers of one's own are often given the key `1`, or `EMPTY`."""
    keyed.env["KEY_A"] = "1"
    with scripted(lambda body, key: says()) as server:
        write(keyed, account("a", server.url))
        ended = check(keyed, "--sweep", "s.toml")
    assert ended.code == 0, ended
    assert "5 + 1 tokens" in ended.out


def test_refused_parameters_are_left_out_and_told_with_what_to_write(keyed: Program) -> None:
    """So that one check finds all of them."""

    def play(body: dict[str, Any], key: str) -> Answer:
        if "temperature" in body:
            return complains(400, "Unsupported value: 'temperature' does not support 0.7")
        if "max_tokens" in body:
            return complains(400, "'max_tokens' is not supported; use 'max_completion_tokens'")
        return says()

    with scripted(play) as server:
        write(keyed, account("a", server.url))
        ended = check(keyed, "--sweep", "s.toml")
    assert ended.code == 0, ended
    out = " ".join(ended.out.split())
    assert 'temperature; to mend it: [[providers.a.sampling]] drop = ["temperature"]' in out
    assert '[[providers.a.sampling]] rename = { max_tokens = "max_completion_tokens" }' in out
    assert [sorted(b) for b in server.bodies][-1] == ["max_completion_tokens", "messages", "model"]
    assert len(server.bodies) == 3


def test_what_it_says_to_write_mends_it(keyed: Program) -> None:
    """Pasted into the sweep file, nothing is refused any more."""
    rule = '[[providers.a.sampling]]\ndrop = ["temperature"]\n'

    def play(body: dict[str, Any], key: str) -> Answer:
        return complains(400, "no temperature here") if "temperature" in body else says()

    with scripted(play) as server:
        head, _, tail = account("a", server.url).partition("[[models]]")
        write(keyed, f"{head}{rule}[[models]]{tail}")
        ended = check(keyed, "--sweep", "s.toml")
    assert ended.code == 0
    assert len(server.bodies) == 1
    assert "temperature 0.7 is not sent" in ended.out


def test_a_request_that_is_refused_for_something_else_is_not_sent_again(keyed: Program) -> None:
    """There is nothing to leave out."""
    with scripted(lambda body, key: complains(400, "no such thing")) as server:
        write(keyed, account("a", server.url))
        ended = check(keyed, "--sweep", "s.toml")
    assert (ended.code, len(server.bodies)) == (3, 1)
    assert "a: BadRequest: no such thing (HTTP 400)" in ended.out


def test_a_parameter_that_is_refused_for_ever_ends_the_asking(keyed: Program) -> None:
    """A server that repeats itself."""
    with scripted(lambda body, key: complains(400, "temperature max_tokens seed")) as server:
        write(keyed, account("a", server.url))
        ended = check(keyed, "--sweep", "s.toml")
    assert ended.code == 3
    assert len(server.bodies) <= 5


def test_without_any_key_nothing_is_sent(program: Program) -> None:
    """The user can mend it: exit 2."""
    with scripted(lambda body, key: says()) as server:
        write(program, account("a", server.url))
        ended = program.run("providers", "check", "--sweep", "s.toml")
    assert ended.code == 2
    assert "KEY_A is not set" in ended.err
    assert server.bodies == []


def test_one_account_without_a_key_does_not_hide_the_others(keyed: Program) -> None:
    """In the order of the file; exit 3."""
    with scripted(lambda body, key: says()) as server:
        write(keyed, account("c", server.url) + account("a", server.url))
        ended = check(keyed, "--sweep", "s.toml")
        only = check(keyed, "--sweep", "s.toml", "a")
    assert ended.code == 3
    assert ended.out.index("c: not sent: the environment variable KEY_C") < ended.out.index(
        "a: answers"
    )
    assert only.code == 0


def test_each_account_of_a_provider_is_asked_with_its_own_key(keyed: Program) -> None:
    """One of several keys may be the wrong one; advice names the table that there is."""
    keys: list[str] = []

    def play(body: dict[str, Any], key: str) -> Answer:
        keys.append(key)
        if "temperature" in body:
            return complains(400, "Unsupported value: 'temperature' does not support 0.7")
        return complains(401, "no", "invalid_api_key") if key.endswith("b") else says()

    with scripted(play) as server:
        own = "".join(f'[[providers.a.accounts]]\napi_key_env = "KEY_{k}"\n' for k in "AB")
        text = account("a", server.url).replace("[[models]]", f"{own}[[models]]")
        write(keyed, text.replace('api_key_env = "KEY_A"\n', "", 1))
        ended = check(keyed, "--sweep", "s.toml")
    assert ended.code == 3, ended
    assert {key.removeprefix("Bearer ") for key in keys} == {KEY, KEY + "b"}
    assert "a#1: answers" in ended.out
    assert "a#2: Unauthorized" in ended.out
    assert "[[providers.a.sampling]]" in ended.out


def test_without_a_model_a_preset_is_only_asked_whether_it_is_there(keyed: Program) -> None:
    """An unknown model at a known key is good news; a key of the user's own file is found."""
    config = keyed.folder / "home" / "config" / "alignsweep"
    config.mkdir(parents=True)
    with scripted(
        lambda body, key: complains(404, "model x does not exist", "model_not_found")
    ) as server:
        text = f'[mine]\npreset = "zhipu"\nbase_url = "{server.url}"\napi_key_env = "KEY_A"\n'
        (config / "providers.toml").write_text(text)
        ended = check(keyed, "mine")
        named = check(keyed, "mine", "--model", "glm-x")
    assert ended.code == 0, ended
    assert "mine: there, and takes the key" in ended.out
    assert named.code == 3
    assert "mine: UnknownModel" in named.out


def test_faults_are_tried_out_on_request(keyed: Program) -> None:
    """A wrong key and an unknown model, and what each is taken for."""

    def play(body: dict[str, Any], key: str) -> Answer:
        if key != f"Bearer {KEY}":
            return complains(401, "who are you", "invalid_api_key")
        return says() if body["model"] == "m" else complains(400, "bad request")

    with scripted(play) as server:
        write(keyed, account("a", server.url))
        ended = check(keyed, "--sweep", "s.toml", "--faults")
    assert ended.code == 0
    assert "a wrong key: recognised: who are you" in ended.out
    assert "an unknown model: taken for BadRequest: bad request" in ended.out
    assert len(server.bodies) == 3


def test_azures_ways_arrive_at_the_server(keyed: Program) -> None:
    """Deployment in the path, version in the query, key in its own header."""
    with scripted(lambda body, key: says() if key == KEY else complains(401, "no")) as server:
        base = server.url.removesuffix("/v1")
        write(
            keyed,
            f'[providers.a]\npreset = "azure"\nbase_url = "{base}"\napi_key_env = "KEY_A"\n'
            '[[models]]\nname = "m"\nprovider = "a"\nmodel = "gpt-5-mini"\n',
        )
        ended = check(keyed, "--sweep", "s.toml")
    assert ended.code == 0, ended
    assert server.paths == [
        "/openai/deployments/gpt-5-mini/chat/completions?api-version=2024-10-21"
    ]
    assert "temperature" not in server.bodies[0]
    assert server.bodies[0]["max_completion_tokens"] <= 16


def test_a_refusal_is_an_answer_to_the_check(keyed: Program) -> None:
    """The account works."""
    with scripted(lambda body, key: complains(400, "敏感", "1301")) as server:
        write(keyed, account("a", server.url))
        ended = check(keyed, "--sweep", "s.toml")
    assert ended.code == 0
    assert "a: refuses" in ended.out


def test_nobody_there_is_told(keyed: Program) -> None:
    """And how to read it is the transport's word."""
    write(keyed, account("a", "http://127.0.0.1:1/v1"))
    ended = keyed.run("providers", "check", "--sweep", "s.toml")
    assert ended.code == 3
    assert "a: TransportError: " in ended.out


def test_the_simulator_is_checked_like_any_other(keyed: Program) -> None:
    """With its key, at its port."""
    mini = load("mini", home=keyed.folder)
    options = SimOptions(latency_s=0.01, rpm=60)
    with serve_in_thread(options, Cast(0, [mini], [])) as url:
        write(keyed, account("a", url))
        ended = check(keyed, "--sweep", "s.toml")
    assert ended.code == 0, ended
    assert "a: answers (cut at max_tokens) as m, " in ended.out
    assert "rpm 60, " in ended.out


def test_an_embedded_simulator_needs_no_check(program: Program) -> None:
    """It is in this very program."""
    write(program, '[[models]]\nname = "m"\nprovider = "simulated"\nmodel = "m"\n')
    ended = check(program, "--sweep", "s.toml")
    assert (ended.code, ended.out) == (
        0,
        "simulated: simulated inside this program; nothing to check\n",
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "which providers?"),
        (("opnai",), "did you mean `openai`?"),
        (("azure",), "needs a base_url of your own"),
        (("--sweep", "nowhere.toml"), "nowhere.toml"),
    ],
)
def test_what_cannot_be_checked_is_a_user_error(
    program: Program, words: tuple[str, ...], message: str
) -> None:
    """Exit 2, nothing sent."""
    ended = check(program, *words)
    assert ended.code == 2
    assert message in ended.err


def test_an_account_that_the_sweep_does_not_have_is_refused(keyed: Program) -> None:
    """With those that it has."""
    write(keyed, account("a", "http://127.0.0.1:1/v1"))
    ended = check(keyed, "--sweep", "s.toml", "b")
    assert ended.code == 2
    assert "no account `b` in this sweep\n  there are: a" in ended.err


# --- list and show -----------------------------------------------------------------------------


def test_all_presets_are_listed_with_their_keys_variable_and_never_its_value(
    program: Program,
) -> None:
    """Set or not is all that is said of a key."""
    program.env["ZHIPUAI_API_KEY"] = KEY
    ended = program.run("providers", "list")
    assert ended.code == 0
    assert KEY not in ended.out
    rows = {line.split()[0]: line.split() for line in ended.out.splitlines() if line.strip()}
    assert set(presets()) <= set(rows)
    assert rows["zhipu"][:4] == ["zhipu", "openai-chat", "ZHIPUAI_API_KEY", "yes"]
    assert rows["deepseek"][2:4] == ["DEEPSEEK_API_KEY", "no"]
    assert rows["vllm"][2:4] == ["none", "-"]
    assert int(rows["zhipu"][4]) > 3
    assert rows["vllm"][4] == "-"
    assert "(not there)" in ended.out


def test_in_a_narrow_terminal_the_addresses_stand_below(program: Program) -> None:
    """Nothing is wider than 80 columns."""
    program.env["COLUMNS"] = "80"
    ended = program.run("providers", "list")
    rows = [line for line in ended.out.splitlines() if not line.startswith("your own")]
    assert max(map(len, rows)) <= 80
    assert "                 https://open.bigmodel.cn/api/paas/v4" in rows


@pytest.mark.parametrize("name", sorted(presets()))
def test_every_preset_can_be_shown(name: str) -> None:
    """With where it was read, and when."""
    ended = CliRunner(env={"COLUMNS": "200"}).invoke(app, ["show", name])
    assert ended.exit_code == 0
    table = presets()[name]
    for words in (table.source, table.checked, table.base_url, f"errors of `{table.errors}`"):
        assert (words or "") in ended.output


def test_a_preset_with_something_of_the_users_own_says_so(program: Program) -> None:
    """Else nobody would know why it differs."""
    config = program.folder / "home" / "config" / "alignsweep"
    config.mkdir(parents=True)
    (config / "providers.toml").write_text("[zhipu]\nrpm = 7\n")
    ended = program.run("providers", "show", "zhipu")
    assert ended.out.startswith("zhipu  (with your own)\n")
    assert "rpm            7" in ended.out
    assert program.run("providers", "show", "deepseek").out.startswith("deepseek\n")


def test_an_unknown_name_is_refused_with_the_nearest(program: Program) -> None:
    """Exit 2."""
    ended = program.run("providers", "show", "zhpu")
    assert ended.code == 2
    assert "did you mean `zhipu`?" in ended.err


# --- a run -------------------------------------------------------------------------------------


def test_a_filters_http_error_is_recorded_once_never_retried_never_scored(keyed: Program) -> None:
    """And `status` names who refused, by its own code."""

    def play(body: dict[str, Any], key: str) -> Answer:
        words = body["messages"][-1]["content"]
        if body["model"] == "glm-5":
            return says("{'事实正确性': 7, '综合得分': 7}")
        return complains(400, "敏感内容", "1301") if len(words) % 2 else says("好")

    with scripted(play) as server:
        write(
            keyed,
            f'[providers.a]\npreset = "zhipu"\nbase_url = "{server.url}"\napi_key_env = "KEY_A"\n'
            '[[models]]\nname = "m"\nprovider = "a"\nmodel = "glm-4.6"\nthinking = "off"\n'
            '[[judges]]\nname = "j"\nprovider = "a"\nmodel = "glm-5"\ntemperature = "default"\n'
            'thinking = "on"\n',
        )
        ended = keyed.run("run", "s.toml", "--limit", "12", "--progress", "none")
    asked = [b for b in server.bodies if b["model"] == "glm-4.6"]
    refused = sum(len(b["messages"][-1]["content"]) % 2 for b in asked)
    assert ended.code == 0, ended
    assert (len(asked), 0 < refused < 12) == (12, True)
    judged = [b for b in server.bodies if b["model"] == "glm-5"]
    assert {b["thinking"]["type"] for b in asked} == {"disabled"}
    assert {b["thinking"]["type"] for b in judged} == {"enabled"}
    assert not [b for b in judged if "temperature" in b]
    status = json.loads(keyed.run("status", "s", "--json").out)["counts"]
    assert (status["refused"], status["answered"], status["failed"]) == (refused, 12 - refused, 0)
    assert status["refusals"] == [
        {"account": "a", "what": "answers", "by": "the filter", "code": "1301", "count": refused}
    ]
    assert status["judged"] + status["unscorable"] == 12 - refused
    told = keyed.run("status", "s").out
    assert f"refused    {refused} x answers by the filter of a (1301)" in told


def test_what_is_not_sent_as_asked_is_told_by_the_plan_and_by_the_run(keyed: Program) -> None:
    """Once."""
    note = (
        "note: m at a: temperature 0.1, 0.7 is not sent (a reasoning model takes only the default)"
    )
    with scripted(lambda body, key: says("好")) as server:
        write(
            keyed,
            f'[providers.a]\npreset = "openai"\nbase_url = "{server.url}"\napi_key_env = "KEY_A"\n'
            '[[models]]\nname = "m"\nprovider = "a"\nmodel = "gpt-5"\n',
        )
        planned = keyed.run("plan", "s.toml")
        ended = keyed.run("run", "s.toml", "--limit", "3", "--progress", "none")
    assert planned.out.count(note) == 1
    assert (ended.out + ended.err).count(note) == 1
    assert len(server.bodies) == 3
    assert not [b for b in server.bodies if "temperature" in b]
