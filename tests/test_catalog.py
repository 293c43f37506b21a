"""Providers known by name, and the sweep files that `init` writes."""

from __future__ import annotations

import re
import tomllib
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.catalog import (
    APIS,
    EMBEDDED,
    PLACEHOLDER,
    ProviderTable,
    identity,
    is_embedded,
    presets,
    resolve,
)
from data.errors import ConfigError
from data.outcomes import dialects
from data.schema import ProviderSpec
from engine.config import Loaded, load
from engine.keys import names_a_variable

TEMPLATES = ("sweep.toml", "simulated.toml")


def template(name: str) -> str:
    """A sweep file as `init` writes it."""
    return resources.files("data").joinpath("templates", name).read_text(encoding="utf-8")


def loaded(folder: Path, text: str) -> Loaded:
    """This text as a sweep file."""
    path = folder / "sweep.toml"
    path.write_text(text, encoding="utf-8")
    return load(path, home=folder)


# --- presets -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(presets()))
def test_every_preset_is_a_whole_provider(name: str) -> None:
    """An address, a dialect that is spoken here, the name of a key, and when it was checked."""
    preset = presets()[name]
    address = (preset.base_url or "").replace(PLACEHOLDER, "mine")
    spec = resolve(name, ProviderTable(base_url=address), where="w")
    assert spec.api in APIS
    assert spec.cache_identity
    assert spec.errors in dialects()
    if is_embedded(spec):
        return
    url = urlsplit(spec.base_url)
    local = url.hostname == "127.0.0.1"
    assert url.scheme == ("http" if local else "https")
    assert spec.base_url == spec.base_url.rstrip("/")
    assert bool(spec.api_key_env) != local
    assert names_a_variable(spec.api_key_env or "LOCAL")
    assert re.fullmatch(r"20\d\d-\d\d", preset.checked or "")
    assert urlsplit(preset.source or "").scheme == "https"


def test_presets_do_not_share_addresses() -> None:
    """Two names for one address would be two accounts in the limiter's eyes."""
    addresses = [(table.api, table.base_url, table.path) for table in presets().values()]
    assert len(set(addresses)) == len(addresses)


def test_the_users_keys_win_one_by_one() -> None:
    """What is not said comes from the preset."""
    spec = resolve("openai", ProviderTable(rpm=5, concurrency=3), where="w")
    assert (spec.rpm, spec.concurrency) == (5, 3)
    assert spec.base_url == "https://api.openai.com/v1"
    assert spec.api_key_env == "OPENAI_API_KEY"
    moved = resolve("openai", ProviderTable(base_url="https://proxy/v1"), where="w")
    assert (moved.base_url, moved.cache_identity) == ("https://proxy/v1", "https://proxy/v1")


def test_a_key_file_replaces_the_presets_variable() -> None:
    """Unless the user names both."""
    spec = resolve("openai", ProviderTable(api_key_file="~/k"), where="w")
    assert (spec.api_key_file, spec.api_key_env) == ("~/k", "")
    both = resolve("openai", ProviderTable(api_key_file="~/k", api_key_env="K"), where="w")
    assert (both.api_key_file, both.api_key_env) == ("~/k", "K")


def test_a_new_name_defines_a_provider() -> None:
    """With defaults for what it leaves out."""
    table = ProviderTable(api="openai-chat", base_url="http://10.0.0.1:8000/v1")
    assert resolve("mine", table, where="w") == ProviderSpec(
        name="mine",
        api="openai-chat",
        base_url="http://10.0.0.1:8000/v1",
        cache_identity="http://10.0.0.1:8000/v1",
        errors="openai",
    )


@pytest.mark.parametrize(
    ("name", "table", "says"),
    [
        ("opnai", ProviderTable(), "w: unknown provider `opnai`\n  did you mean `openai`? known: "),
        ("zzzzz", ProviderTable(), "w: unknown provider `zzzzz`\n  known: anthropic, ark, "),
        ("\x1b[2J", ProviderTable(), "w: unknown provider `\\x1b[2J`"),
        (
            "mine",
            ProviderTable(api="openai-chat"),
            "w: provider `mine` has no `base_url`\n  give it",
        ),
        ("mine", ProviderTable(base_url="http://h"), "w: provider `mine` has no `api`"),
    ],
)
def test_an_unknown_provider_is_refused_with_advice(
    name: str, table: ProviderTable, says: str
) -> None:
    """The nearest name, or what is missing."""
    with pytest.raises(ConfigError) as caught:
        resolve(name, table, where="w")
    assert str(caught.value).startswith(says)


# --- whose answers these are -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://Api.Host/v1", "HTTPS://api.host/v1/", True),
        ("https://h/v1", "https://h/v2", False),
        ("https://h/Model-A/v1", "https://h/model-a/v1", False),
        ("http://h/v1", "https://h/v1", False),
        ("http://h:1/v1", "http://h:2/v1", False),
    ],
)
def test_an_address_is_compared_as_addresses_are(one: str, other: str, same: bool) -> None:
    """Host names know no case; paths do."""
    assert (identity({"base_url": one}) == identity({"base_url": other})) == same


def test_the_address_of_the_embedded_simulator_says_that_it_is_one() -> None:
    """`simulated = true` need not be repeated; nobody else lives there."""
    spec = resolve("mine", ProviderTable(api="openai-chat", base_url=EMBEDDED), where="w")
    assert spec.simulated
    assert spec.cache_identity == "simulated:0"


def test_mirrors_share_an_identity_when_told_so() -> None:
    """Interchangeable endpoints have one cache."""
    table = ProviderTable(base_url="https://mirror/v1", cache_identity="openai")
    assert resolve("openai", table, where="w").cache_identity == "openai"


@given(st.integers(0, 2**31), st.sampled_from([EMBEDDED, "http://127.0.0.1:8100"]))
def test_simulated_answers_never_meet_real_ones(seed: int, url: str) -> None:
    """Whatever the seed, and wherever the simulator runs."""
    table = ProviderTable(api="openai-chat", base_url=url, simulated=True, simulator={"seed": seed})
    found = resolve("mine", table, where="w").cache_identity
    assert found.startswith("simulated:")
    assert identity({"base_url": url}) != found or url == EMBEDDED
    assert str(seed) in found or url != EMBEDDED


# --- templates ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_is_a_sound_sweep_file_as_it_is(tmp_path: Path, name: str) -> None:
    """With models, a judge, and a limit."""
    sweep = loaded(tmp_path, template(name)).sweep
    assert sweep.models
    assert sweep.judges
    assert any(provider.rpm for provider in sweep.providers)
    assert {p.simulated for p in sweep.providers} == {name == "simulated.toml"}


def commented_keys() -> list[tuple[int, str]]:
    """(index of a line, what it may become) for every commented key, alternatives included.

    Not those of a table that is commented itself: alone, such a key would land in the table before.
    """
    found, in_commented_table = [], False
    for i, line in enumerate(template("sweep.toml").splitlines()):
        if re.match(r"(# )?\[|$", line):
            in_commented_table = line.startswith("# [")
        if in_commented_table:
            continue
        if re.match(r"# \w+ = ", line):
            found.append((i, line[2:]))
        if other := re.search(r"# or (\w+ = \S+)", line):
            found.append((i, other[1]))
    return found


@pytest.mark.parametrize(("index", "key"), commented_keys())
def test_a_commented_key_is_real(tmp_path: Path, index: int, key: str) -> None:
    """Uncommented where it stands, it is accepted."""
    lines = template("sweep.toml").splitlines()
    lines[index] = key
    loaded(tmp_path, "\n".join(lines))


def test_the_template_has_its_comments() -> None:
    """Or the test above would test nothing."""
    assert len(commented_keys()) >= 12


def test_all_commented_keys_are_accepted_together(tmp_path: Path) -> None:
    """Tables too; and they do what they say."""
    text = re.sub(r"(?m)^# (?=\w+ = |\[)", "", template("sweep.toml"))
    text = text.replace('provider = "dashscope"', 'provider = "my-vllm"')
    plain, full = tomllib.loads(template("sweep.toml")), tomllib.loads(text)
    assert set(full) > set(plain)
    sweep = loaded(tmp_path, text).sweep
    own = next(p for p in sweep.providers if p.name == "my-vllm")
    assert own.base_url == "http://127.0.0.1:8000/v1"
    assert sweep.models[0].parameters == {"top_p": 0.8}
    assert sweep.models[0].temperature == 0.7


def test_a_commented_value_is_the_default(tmp_path: Path) -> None:
    """So that the file teaches what happens without it."""
    text = template("sweep.toml")
    before = loaded(tmp_path, text).sweep
    for key in ("repeats", "send_seed", "asks", "attempts", "api", "base_url", "timeout_s"):
        (line,) = [x for x in text.splitlines() if x.startswith(f"# {key} = ")][:1]
        assert loaded(tmp_path, text.replace(line, line[2:], 1)).sweep == before, key


def test_the_demos_template_needs_only_an_address(tmp_path: Path) -> None:
    """The demo fills in its server's address and the models."""
    text = template("demo.toml").replace("ADDRESS", "http://127.0.0.1:8100")
    sweep = loaded(tmp_path, text).sweep
    assert all(provider.simulated for provider in sweep.providers)
    assert [judge.name for judge in sweep.judges] == ["gpt-4-0613", "CritiqueLLM"]


def test_the_users_page_has_every_preset_with_its_key() -> None:
    """A preset that nobody can find is none."""
    page = (Path(__file__).parent.parent / "docs" / "providers.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    missing = [
        name
        for name, table in presets().items()
        if not any(f"`{name}`" in r and (table.api_key_env or "none") in r for r in rows)
    ]
    assert missing == []
