"""One sweep over twelve accounts of four dialects, each with limits and troubles of its own.

Every account has a server of its own on a real loopback port, which keeps count of what it played. The
engine's journal must tell the same story: not one refusal taken for an error, not one error for another.
"""

from __future__ import annotations

import urllib.request
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cache.journal import scan
from data import codec
from data.benchmark import load
from data.schema import Answer, Failure, Header, Intent, Judgment, Record, Settled
from providers.persona import Cast
from providers.scorebook import published
from providers.simserver import serve_in_thread
from providers.simulator import SimOptions

if TYPE_CHECKING:
    from tests.conftest import Ended, Program

QUESTIONS = 24
KEY = "sk-twelve-accounts"
LATENCY_S = 0.02
MEANS = {
    "answered": "answered",
    "refused": "refused",
    "truncated": "truncated",
    "limited": "RateLimited",
    "500": "Overloaded",
    "503": "Overloaded",
    "inside": "Overloaded",
    "reset": "TransportError",
    "cut": "TransportError",
    "hang": "TransportError",
    "empty": "BadReply",
    "unpaid": "OutOfQuota",
    "wrong key": "Unauthorized",
}
"""What a server played -> what the engine has to call it."""


@dataclass(frozen=True)
class Played:
    """One account: how it is spoken to, what the sweep file knows of it, what its server does."""

    name: str
    api: str
    server: dict[str, Any]
    known: str = ""
    stream: bool = False
    key: str = KEY
    must: frozenset[str] = field(default_factory=frozenset)
    """What has to happen at it, or it would prove nothing."""


def share(rate: float, **faults: float) -> dict[str, Any]:
    return {"error_rate": rate, "faults": {name.lstrip("_"): s for name, s in faults.items()}}


SLOT_S = 0.5
"""Servers judge their limits over windows this long, as Azure does over 1 to 10 seconds."""
ACCOUNTS = (
    Played(
        "headers",  # the limit stands in headers only; overloads
        "openai-chat",
        {"rpm": 1200, **share(0.2, _503=1)},
        must=frozenset({"503"}),
    ),
    Played(
        "told-rpm",  # the sweep file knows the limit; a status 500 now and then
        "openai-chat",
        {"rpm": 1200, **share(0.15, _500=1)},
        known="rpm = 900",
        stream=True,
        must=frozenset({"500"}),
    ),
    Played(
        "in-the-429",  # what is asked for is told only when it is too late
        "openai-chat",
        {"rpm": 960, "tells": "wait", **share(0.2, inside=1)},
        must=frozenset({"inside", "limited"}),
    ),
    Played(
        "tokens",  # tokens a minute; a filter
        "openai-responses",
        {"tpm": 400_000, "refusal_rate": 0.3},
        must=frozenset({"refused"}),
    ),
    Played(
        "in-flight",  # calls in flight, of which nobody speaks; streams cut in the middle
        "openai-responses",
        {"concurrency": 3, **share(0.2, cut=1)},
        stream=True,
        must=frozenset({"limited", "cut"}),
    ),
    Played(
        "no-money",  # the money runs out on the way
        "openai-responses",
        {"credit": 9},
        must=frozenset({"unpaid"}),
    ),
    Played(
        "in-and-out",  # input and output tokens apart, as Anthropic has them; answers that are cut off
        "anthropic",
        {
            "input_tpm": 200_000,
            "output_tpm": 300_000,
            "truncation_rate": 0.3,
            **share(0.2, empty=1),
        },
        must=frozenset({"truncated", "empty"}),
    ),
    Played(
        "in-the-stream",  # trouble within a stream that began well
        "anthropic",
        {"rpm": 1200, **share(0.25, inside=1, _503=1)},
        stream=True,
        must=frozenset({"inside", "503"}),
    ),
    Played(
        "poor",  # no money from the beginning, said with status 400
        "anthropic",
        {"credit": 0},
        must=frozenset({"unpaid"}),
    ),
    Played(
        "day",  # a day's requests, used up on the way; nobody waits for tomorrow
        "gemini",
        {"rpd": 10},
        must=frozenset({"limited"}),
    ),
    Played(
        "silent",  # it says nothing of its limits; everything goes wrong a little
        "gemini",
        {
            "rpm": 1800,
            "tells": "nothing",
            "refusal_rate": 0.15,
            "truncation_rate": 0.15,
            **share(0.25, _500=1, _503=1, reset=1, cut=1, hang=0.3),
        },
        stream=True,
        must=frozenset({"500", "refused", "truncated"}),
    ),
    Played(
        "dead-key",
        "gemini",
        {},
        key="sk-of-last-year",
        must=frozenset({"wrong key"}),
    ),
)
JUDGE = Played("judge", "anthropic", {"malformed_verdict_rate": 0.1, "refusal_rate": 0.05})
STOPPED = {"no-money", "poor", "day", "dead-key"}


def sweep_file(urls: dict[str, str]) -> str:
    text = 'name = "twelve"\nbenchmark = "mini"\nattempts = 12\n[[judges]]\nname = "judge"\n'
    text += 'provider = "judge"\nmodel = "CritiqueLLM"\nmax_tokens = 1000\n'
    for one in (*ACCOUNTS, JUDGE):
        url = urls[one.name].replace("/v1", "/v1beta" if one.api == "gemini" else "/v1")
        text += (
            f'[providers.{one.name}]\napi = "{one.api}"\nbase_url = "{url}"\nconcurrency = 12\n'
            f'timeout_s = 3\nstream = {str(one.stream).lower()}\napi_key_env = "{variable(one)}"\n'
            f"{one.known}\n"
        )
    for one in ACCOUNTS:
        text += f'[[models]]\nname = "{one.name}"\nprovider = "{one.name}"\n'
        text += f'model = "m-{one.name}"\nmax_tokens = 2000\n'
    return text


def variable(one: Played) -> str:
    return f"{one.name.upper().replace('-', '_')}_TEST_KEY"


def play(program: Program) -> tuple[Ended, dict[str, dict[str, int]]]:
    """The sweep's end, and what each server says it has played."""
    benchmarks = [load("mini", home=program.folder)]
    with ExitStack() as stack:
        urls: dict[str, str] = {}
        for number, one in enumerate((*ACCOUNTS, JUDGE)):
            base = {"seed": number, "latency_s": LATENCY_S, "window_s": SLOT_S}
            options = SimOptions(**{**base, **one.server})
            cast = Cast(number, benchmarks, [published()])
            urls[one.name] = stack.enter_context(serve_in_thread(options, cast, api_key=KEY))
            program.env[variable(one)] = one.key
        (program.folder / "s.toml").write_text(sweep_file(urls), encoding="utf-8")
        words = ("run", "s.toml", "--limit", str(QUESTIONS), "--progress", "none")
        ended = program.run(*words, timeout_s=120)
        played = {
            name: codec.decode(urllib.request.urlopen(url.replace("/v1", "/stats")).read())[
                "played"
            ]
            for name, url in urls.items()
        }
    return ended, played


def counted(records: list[Record]) -> dict[str, Counter[str]]:
    """Account -> how its exchanges ended, as the journal has it."""
    found: dict[str, Counter[str]] = {}
    open_: dict[int, Intent] = {}
    for record in records:
        if isinstance(record, Intent):
            open_[record.id] = record
        elif isinstance(record, Settled):
            account = open_.pop(record.id).account
            found.setdefault(account, Counter())[record.error or "read"] += 1
        elif isinstance(record, Answer | Judgment | Failure):
            trial = record.trial
            account = trial.judge or trial.model
            replies = (record.response,) if isinstance(record, Answer) else record.asks
            for reply in replies:
                found[account]["read"] -= 1
                found[account][reply.state] += 1
    assert not open_
    return {account: +counts for account, counts in found.items()}


def test_each_account_is_counted_as_its_server_played_it(program: Program) -> None:
    """Twelve limits, twelve kinds of trouble, one sweep: nothing is lost, nothing mistaken."""
    ended, played = play(program)
    assert ended.code == 3, ended  # four accounts stop, and what they owe stays pending
    lines = scan(program.folder / "runs" / "twelve" / "journal.jsonl")
    records = [record for _, record in lines if record is not None]
    assert isinstance(records[0], Header)
    seen = counted(records)
    for one in (*ACCOUNTS, JUDGE):
        told: Counter[str] = Counter()
        for name, count in played[one.name].items():
            told[MEANS[name]] += count
        assert seen[one.name] == told, one.name
        assert one.must <= played[one.name].keys(), (one.name, played[one.name])
    final = Counter(r.trial.model for r in records if isinstance(r, Answer))
    for one in ACCOUNTS:
        assert (final[one.name] == QUESTIONS) is (one.name not in STOPPED), (one.name, final)
