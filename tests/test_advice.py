"""What stops somebody is told with what to do about it, at the end of a run and by `providers check`."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from data import errors
from data.catalog import ProviderTable, resolve
from data.errors import CallError
from engine.advice import advice
from providers.persona import Cast
from providers.simserver import serve_in_thread
from providers.simulator import SimOptions

if TYPE_CHECKING:
    from tests.conftest import Program

KEY = "sk-right-key"
STOPPING = [
    kind.__name__
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, CallError) and kind.scope != "trial"
]


def sweep_file(url: str, key: str, api: str = "openai-chat") -> str:
    return (
        f'name = "s"\nbenchmark = "mini"\nattempts = 1\n[[models]]\nname = "m"\nprovider = "p"\n'
        f'model = "x"\nmax_tokens = 99\n[providers.p]\napi = "{api}"\nbase_url = "{url}"\n'
        f'api_key_env = "{key}"\n[[providers.p.accounts]]\n'
    )


@pytest.mark.parametrize("error", STOPPING)
def test_whatever_stops_somebody_can_be_mended(error: str) -> None:
    """One short line each."""
    said = advice(error, resolve("openai", ProviderTable(), where="w"))
    assert 10 < len(said) < 90
    assert "\n" not in said


def test_an_address_with_the_path_of_a_call_is_told_without_it() -> None:
    """It is what providers' pages show in their examples."""
    table = ProviderTable(base_url="https://h/v1/chat/completions")
    said = advice("WrongAddress", resolve("openai", table, where="w"))
    assert said == "leave /chat/completions out of base_url: it is added"


@pytest.mark.parametrize("api", ["openai-chat", "openai-responses", "anthropic", "gemini"])
def test_a_wrong_key_and_an_empty_purse_are_told_by_a_run_and_by_a_check(
    program: Program, api: str
) -> None:
    """Which variable holds the key, also of one of several accounts; or that money is missing."""
    program.env |= {"RIGHT_TEST_KEY": KEY, "WRONG_TEST_KEY": "sk-of-last-year"}
    file = program.folder / "s.toml"
    with serve_in_thread(SimOptions(credit=0), Cast(0, [], []), api_key=KEY) as url:
        base = url.replace("/v1", "/v1beta") if api == "gemini" else url
        for key, error, mend in (
            ("WRONG_TEST_KEY", "Unauthorized", "check the key in WRONG_TEST_KEY"),
            ("RIGHT_TEST_KEY", "OutOfQuota", "top up the account"),
        ):
            file.write_text(sweep_file(base, key, api), encoding="utf-8")
            checked = program.run("providers", "check", "--sweep", "s.toml")
            assert checked.code == 3
            assert f"p#1: {error}: " in checked.out
            assert mend in checked.out
            ended = program.run("generate", "s.toml", "--limit", "1", "--progress", "none")
            assert ended.code == 3
            assert f"stopped: p#1: {error}: " in ended.err
            assert mend in ended.err
            assert KEY not in checked.out + ended.err


def test_where_nobody_listens_is_told_in_plain_words(program: Program) -> None:
    """The address, and what to look at."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program.env["K"] = KEY
    url = f"http://127.0.0.1:{port}/v1"
    (program.folder / "s.toml").write_text(sweep_file(url, "K"), encoding="utf-8")
    checked = program.run("providers", "check", "--sweep", "s.toml")
    assert f"no connection to 127.0.0.1:{port}: Connection refused" in checked.out
    assert "is the server running" in checked.out


def test_a_run_says_what_the_trouble_is_while_nobody_listens_and_books_nothing_for_it(
    program: Program,
) -> None:
    """Else there is nothing to see but silence, and money for calls that never left."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program.env["K"] = KEY
    text = sweep_file(f"http://127.0.0.1:{port}/v1", "K")
    priced = text.replace(
        "max_tokens = 99", 'max_tokens = 99\nprice = { input = "2", output = "8" }'
    )
    (program.folder / "s.toml").write_text(priced, encoding="utf-8")
    ended = program.run("generate", "s.toml", "--limit", "11", "--progress", "plain")
    assert (
        f"warn   p#1 does not work: TransportError: no connection to 127.0.0.1:{port}" in ended.err
    )
    assert "estimated" not in ended.out
    assert "USD 0.00 spent" in ended.out
