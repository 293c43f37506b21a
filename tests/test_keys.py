"""Keys come from outside and are never seen again."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.codec import replace
from data.errors import ConfigError
from data.schema import ProviderSpec
from engine.keys import key_of, names_a_file, names_a_variable
from providers.openai import OpenAIChat
from providers.wire import Endpoint

CANARY = "sk-canary-0123456789abcdef"
NONE = ProviderSpec(name="p", api="openai-chat", base_url="https://h/v1")
BY_ENV = replace(NONE, api_key_env="P_KEY")


def by_file(path: Path) -> ProviderSpec:
    """A provider whose key is in this file."""
    return replace(NONE, api_key_file=str(path))


def complaint(spec: ProviderSpec, env: dict[str, str]) -> str:
    """Everything a user could see of the refusal: message, repr, traceback."""
    with pytest.raises(ConfigError) as caught:
        key_of(spec, env)
    error = caught.value
    seen = "".join([str(error), repr(error), *traceback.format_exception(error)])
    assert "canary" not in seen
    return str(error)


def test_a_provider_without_a_key_needs_none() -> None:
    """A local server, for example."""
    assert key_of(NONE, {"P_KEY": CANARY}) == ""


@pytest.mark.parametrize("around", ["", "\n", "  ", "\r\n"])
def test_a_key_is_found_without_the_space_around_it(tmp_path: Path, around: str) -> None:
    """Editors end files with a newline, shells keep one."""
    assert key_of(BY_ENV, {"P_KEY": CANARY + around}) == CANARY
    path = tmp_path / "key"
    path.write_text(CANARY + around, encoding="utf-8")
    assert key_of(by_file(path), {}) == CANARY


def test_a_file_wins_over_a_variable(tmp_path: Path) -> None:
    """It is the more deliberate of the two."""
    path = tmp_path / "key"
    path.write_text("from-file", encoding="utf-8")
    spec = replace(BY_ENV, api_key_file=str(path))
    assert key_of(spec, {"P_KEY": CANARY}) == "from-file"


def test_the_home_folder_may_be_written_as_a_tilde(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the template."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "key").write_text(CANARY, encoding="utf-8")
    assert key_of(replace(NONE, api_key_file="~/key"), {}) == CANARY


@pytest.mark.parametrize("value", [None, "", " ", "\n"])
def test_a_variable_that_is_not_set_is_named(value: str | None) -> None:
    """With the provider that wants it, and how to mend it."""
    said = complaint(BY_ENV, {} if value is None else {"P_KEY": value})
    assert said == (
        "provider `p`: the environment variable P_KEY is not set\n"
        "  export P_KEY=… or name another one with api_key_env"
    )


@pytest.mark.parametrize(
    "key",
    [f"{CANARY}\nX-Evil: 1", f"{CANARY}\x00", f"{CANARY}é", f"a\u2028{CANARY}", f"a\r{CANARY}"],
)
def test_a_key_that_would_break_its_header_is_refused(tmp_path: Path, key: str) -> None:
    """Without a part of it being shown."""
    assert "P_KEY holds no usable key" in complaint(BY_ENV, {"P_KEY": key})
    path = tmp_path / "key"
    path.write_bytes(key.encode())
    assert f"the key in {path} holds no usable key" in complaint(by_file(path), {})


def test_a_key_file_that_cannot_be_read_is_told_with_the_reason(tmp_path: Path) -> None:
    """Each in one sentence."""
    (tmp_path / "latin").write_bytes(CANARY.encode() + b"\xff")
    (tmp_path / "empty").touch()
    for name, reason in [
        ("none", "No such file or directory"),
        ("latin", "it is not UTF-8 text"),
        (".", "Is a directory"),
        ("empty/below", "Not a directory"),
        ("a\x00b", "no file has a name like this"),
        ("x" * 300, "File name too long"),
    ]:
        assert complaint(by_file(tmp_path / name), {}).endswith(reason)
    assert "no usable key" in complaint(by_file(tmp_path / "empty"), {})
    nobody = replace(NONE, api_key_file="~nobody-of-this-name/key")
    assert complaint(nobody, {}).endswith("no file has a name like this")


@given(st.text(min_size=1).map(lambda t: t + "canary" + t))
def test_no_key_is_ever_in_a_message(key: str) -> None:
    """Accepted, or refused without showing it."""
    try:
        found = key_of(BY_ENV, {"P_KEY": key})
    except ConfigError:
        complaint(BY_ENV, {"P_KEY": key})
    else:
        assert found == key.strip()
        assert found.isascii()
        assert found.isprintable()


def test_an_endpoint_does_not_show_its_headers() -> None:
    """It is the only thing that holds a key for long."""
    endpoint = Endpoint("https://h/v1/", OpenAIChat().authorize(CANARY), 30)
    assert endpoint.headers == {"Authorization": f"Bearer {CANARY}"}
    assert repr(endpoint) == str(endpoint) == f"{endpoint}" == "<Endpoint https://h/v1>"
    assert "canary" not in repr([endpoint, {"e": endpoint}])


@pytest.mark.parametrize(
    ("text", "variable", "file"),
    [
        ("OPENAI_API_KEY", True, True),
        ("key2", True, True),
        ("_K", True, True),
        ("sk-abc", False, False),
        ("2KEY", False, True),
        ("A B", False, True),
        ("KEY=x", False, True),
        ("3f9a1c77b2e84d05", False, False),
        ("a3f9a1c77b2e84d05", False, False),
        ("~/.keys/2024-11-23/openai", False, True),
        ("", False, True),
    ],
)
def test_a_key_in_the_place_of_its_name_is_noticed(text: str, variable: bool, file: bool) -> None:
    """Then it is refused before it is copied anywhere."""
    assert names_a_variable(text) == variable
    assert names_a_file(text) == file
