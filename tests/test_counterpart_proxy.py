"""Sweeps through HAProxy and nginx to a real llama.cpp server: limiters and trouble nobody here wrote.

In each case the sweep completes, nothing is lost and nothing bought twice, and the proxy has seen at
most a tenth more requests than were needed, the finding out included. It is small (240 requests), so
what is learned once weighs much.

Needs ALIGNSWEEP_COUNTERPARTS (see tests/tiny_model.py), haproxy and nginx on the PATH.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cache.journal import scan
from data.schema import Answer, Intent, Judgment, Record, Settled
from tests.proxies import HAPROXY, NGINX, Proxy, free_port, haproxy, nginx
from tests.test_counterpart_llama import SCRIPT, first_line, wait_until_ready, written_by

if TYPE_CHECKING:
    from tests.conftest import Program

PYTHON = os.environ.get("ALIGNSWEEP_COUNTERPARTS", "")
OFFICIAL = Path(__file__).parents[2] / "shared" / "alignbench" / "data_v1.1_release.jsonl"
"""The official questions where they are at hand, else our own."""
QUESTIONS, MAX_TOKENS = 60, 8
NEEDED = 2 * 2 * QUESTIONS
"""Two models' answers, and a judgment of each."""
MOST = 1.1 * NEEDED
OUTAGE_S = 3.0

pytestmark = [
    pytest.mark.counterpart,
    pytest.mark.skipif(not PYTHON, reason="ALIGNSWEEP_COUNTERPARTS names no Python with xllamacpp"),
]
with_haproxy = pytest.mark.skipif(not HAPROXY, reason="haproxy is not installed")
with_nginx = pytest.mark.skipif(not NGINX, reason="nginx is not installed")

# --- the sweep ---------------------------------------------------------------------------------

RUBRIC = """
title = "a short one, so that a tiny model can judge quickly"
template = "{question}\\n{opening}\\n{answer}\\n{closing}\\n{dimensions}"
definitions = { "对错" = "对不对" }
types = { "一般" = ["对错"] }
default_type = "一般"
"""
PARTY = f'provider = "front"\nmodel = "tiny-random"\nmax_tokens = {MAX_TOKENS}'


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a llama.cpp server with the tiny model."""
    folder = tmp_path_factory.mktemp("llama")
    with (folder / "log").open("wb") as log:
        command = [PYTHON, str(SCRIPT), str(folder)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
        try:
            url = first_line(process)
            assert url.startswith("http://127.0.0.1:"), (folder / "log").read_text()
            wait_until_ready(url)
            yield url
        finally:
            process.kill()
            process.communicate()


def write_sweep(program: Program, url: str, provider: str) -> None:
    benchmark = OFFICIAL if OFFICIAL.exists() else "mini"
    lines = [
        f'name = "s"\nbenchmark = "{benchmark}"\nasks = 1',
        f'[providers.front]\napi = "openai-chat"\nbase_url = "{url}"\n{provider}',
        *(f'[[models]]\nname = "{name}"\n{PARTY}' for name in ("a", "b")),
        f'[[judges]]\nname = "j"\nrubric = "r.toml"\n{PARTY}',
    ]
    (program.folder / "s.toml").write_text("\n".join(lines), encoding="utf-8")
    (program.folder / "r.toml").write_text(RUBRIC, encoding="utf-8")


RUN = ("run", "s.toml", "--progress", "none", "--no-cache", "--limit", str(QUESTIONS))


def records(program: Program) -> list[Record]:
    lines = scan(program.folder / "runs" / "s" / "journal.jsonl")
    return [record for _, record in lines if record is not None]


def check(
    program: Program,
    code: int,
    front: Proxy,
    server: str,
    written_before: int,
    needed: int = NEEDED,
) -> None:
    """Complete, each trial once, every attempt seen by the proxy, every token paid once."""
    found = records(program)
    done = Counter(r.trial for r in found if isinstance(r, Answer | Judgment))
    assert (code, len(done), set(done.values())) == (0, needed, {1}), Counter(
        (r.error, r.message[:80]) for r in found if isinstance(r, Settled)
    )
    ends = [r for r in found if isinstance(r, Settled)]
    assert sum(isinstance(r, Intent) for r in found) == len(ends) == front.statuses().total()
    paid = sum(end.usage.output_tokens for end in ends if end.usage is not None)
    assert paid == written_by(server) - written_before


# --- limits and losses -------------------------------------------------------------------------

Front = Callable[[Path, str], AbstractContextManager[Proxy]]


def through_haproxy(rules: str) -> Front:
    return lambda folder, upstream: haproxy(folder, upstream, rules)


def through_nginx(around: str, inside: str) -> Front:
    return lambda folder, upstream: nginx(folder, upstream, around=around, inside=inside)


def no(code: str, message: str, headers: str = "") -> str:
    """HAProxy's words for a 429 in OpenAI's envelope."""
    body = json.dumps({"error": {"message": message, "code": code}}, ensure_ascii=False)
    return f"http-request return status 429 content-type application/json {headers} string '{body}'"


def window(headers: str) -> str:
    """100 requests in any 2 s, as HAProxy counts them."""
    refusal = no("rate_limit_exceeded", "Rate limit reached", headers)
    return f"""
    stick-table type string len 8 size 1k expire 60s store http_req_rate(2s)
    http-request track-sc0 str(all)
    {refusal} if {{ sc_http_req_rate(0) gt 100 }}"""


BUCKET = "limit_req_zone $server_addr zone=rate:1m rate=80r/s;"
FULL = "limit_req zone=rate burst=20 nodelay; limit_req_status 429;"
"""80 requests a second and 20 at once, as nginx counts them."""


@dataclass(frozen=True)
class Case:
    """What stands between the sweep and the model, and what the sweep file says of it."""

    name: str
    front: Front
    trouble: str
    """The status of what went wrong, in the proxy's log: some of it must have happened."""
    provider: str = "concurrency = 16"
    marks: tuple[pytest.MarkDecorator, ...] = ()


CASES = (
    Case(
        "sliding window, Retry-After in seconds",
        through_haproxy(window("hdr Retry-After 1")),
        "429",
        marks=(with_haproxy,),
    ),
    Case(
        "sliding window, Retry-After as a date",
        through_haproxy(
            window("hdr Retry-After %[date(1),http_date] hdr Date %[date(),http_date]")
        ),
        "429",
        marks=(with_haproxy,),
    ),
    Case("sliding window, nothing said", through_haproxy(window("")), "429", marks=(with_haproxy,)),
    Case(
        "leaky bucket, Retry-After",
        through_nginx(BUCKET, FULL + " add_header Retry-After 1 always;"),
        "429",
        marks=(with_nginx,),
    ),
    Case("leaky bucket, a page of HTML", through_nginx(BUCKET, FULL), "429", marks=(with_nginx,)),
    Case(
        "places, a page of HTML",
        through_nginx(
            "limit_conn_zone $server_addr zone=places:1m;",
            "limit_conn places 4; limit_conn_status 429;",
        ),
        "429",
        marks=(with_nginx,),
    ),
    Case(
        "places, in Chinese",
        through_haproxy(
            no("1302", "您当前使用该API的并发数过高，请降低并发，或联系客服增加限额。")
            + " if { be_conn(up) ge 4 }"
        ),
        "429",
        marks=(with_haproxy,),
    ),
    Case(
        "lines that go dead",
        through_haproxy("""
    stick-table type string len 8 size 1k expire 60s store gpc0
    http-request track-sc0 str(all)
    http-request silent-drop if { sc_inc_gpc0(0),mod(30) eq 0 }"""),
        "-1",
        provider="concurrency = 16\ntimeout_s = 2",
        marks=(with_haproxy,),
    ),
    Case(
        "lines that are cut",
        through_nginx(
            'split_clients "$request_id" $cut { 4% 1; * 0; }', "if ($cut) { return 444; }"
        ),
        "444",
        marks=(with_nginx,),
    ),
)


@pytest.mark.parametrize("case", [pytest.param(c, id=c.name, marks=c.marks) for c in CASES])
def test_a_sweep_through_trouble_completes_with_few_requests_more(
    case: Case, server: str, program: Program
) -> None:
    """Nothing lost, nothing bought twice, a tenth more requests at most."""
    before = written_by(server)
    with case.front(program.folder / "front", upstream_of(server)) as front:
        write_sweep(program, front.url, case.provider)
        ended = program.run(*RUN, timeout_s=120)
        check(program, ended.code, front, server, before)
        seen = front.statuses()
    assert seen["200"] == NEEDED
    assert seen[case.trouble] > 0, "the case never came up"
    assert seen.total() <= MOST, seen


@with_nginx
def test_a_limit_that_the_sweep_file_states_is_never_met(server: str, program: Program) -> None:
    """Twenty a second, as nginx keeps it with a fifth of a second's patience: not one is refused."""
    before, zone = written_by(server), "limit_req_zone $server_addr zone=rate:1m rate=20r/s;"
    rule = "limit_req zone=rate burst=4 nodelay; limit_req_status 429;"
    with nginx(program.folder / "front", upstream_of(server), around=zone, inside=rule) as front:
        write_sweep(program, front.url, "concurrency = 16\nrpm = 1200")
        ended = program.run(*RUN, "--limit", "20", timeout_s=120)
        check(program, ended.code, front, server, before, needed=80)
        assert front.statuses() == {"200": 80}


@with_nginx
def test_an_outage_behind_nginx_is_sat_out(server: str, program: Program) -> None:
    """Pages of HTML with status 502 for a while: probes go out, and then everything else."""
    relay, folder = free_port(), program.folder
    with nginx(folder / "front", f"127.0.0.1:{relay}", inside="limit_rate 0;") as front:
        write_sweep(program, front.url, "concurrency = 8\nrpm = 3600")
        with nginx(folder / "relay", upstream_of(server), port=relay):
            process = program.start(*RUN)
            wait_for(lambda: front.statuses()["200"] >= 60, process)
        time.sleep(OUTAGE_S)
        with nginx(folder / "relay", upstream_of(server), port=relay):
            out, err = process.communicate(timeout=120)
        seen = front.statuses()
    assert process.returncode == 0, (out + err).decode()
    assert len({r.trial for r in records(program) if isinstance(r, Answer | Judgment)}) == NEEDED
    assert seen["502"] > 0
    assert seen.total() <= MOST, seen


def upstream_of(url: str) -> str:
    """`127.0.0.1:PORT` of a base URL."""
    return url.removeprefix("http://").removesuffix("/v1")


def wait_for(event: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Until it has happened, while the process runs."""
    end = time.monotonic() + 60
    while not event():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)
