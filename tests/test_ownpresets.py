"""The user's own providers.toml, between our presets and the sweep file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from data.catalog import ProviderTable, presets, resolve
from data.errors import ConfigError
from engine.config import load
from engine.ownpresets import known_presets, own_file


def write(folder: Path, text: str) -> Path:
    path = folder / "providers.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_there_are_our_presets() -> None:
    """And it is looked for in the user's configuration folder."""
    assert known_presets() == presets()
    assert own_file().name == "providers.toml"
    assert own_file().parent.name == "alignsweep"


def test_an_entry_of_the_same_name_wins_key_by_key(tmp_path: Path) -> None:
    """What it leaves out stays ours; its rules come on top."""
    path = write(tmp_path, "[zhipu]\nconcurrency = 3\n[[zhipu.sampling]]\nadd = { x = 1 }\n")
    table = known_presets(path)["zhipu"]
    assert table.concurrency == 3
    assert table.base_url == presets()["zhipu"].base_url
    assert len(table.sampling) == len(presets()["zhipu"].sampling) + 1
    assert table.sampling[-1].add == {"x": 1}


def test_a_new_entry_may_start_from_a_preset(tmp_path: Path) -> None:
    """A second key of the same provider, or a server of one's own."""
    text = (
        '[zhipu-2]\npreset = "zhipu"\napi_key_env = "OTHER"\n[mine]\npreset = "zhipu-2"\nrpm = 5\n'
    )
    known = known_presets(write(tmp_path, text))
    spec = resolve("mine", ProviderTable(), where="w", known=known)
    assert (spec.api_key_env, spec.rpm, spec.errors) == ("OTHER", 5, "zhipu")
    assert spec.cache_identity == "https://open.bigmodel.cn/api/paas/v4"
    assert presets()["zhipu"].note is not None
    assert known["zhipu-2"].note is None


def test_the_sweep_file_stands_above_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three layers: ours, the user's, the sweep's."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder = tmp_path / "alignsweep"
    folder.mkdir()
    write(folder, "[deepseek]\nrpm = 10\nconcurrency = 7\n")
    path = tmp_path / "s.toml"
    path.write_text(
        'name = "s"\nbenchmark = "mini"\n[providers.deepseek]\nrpm = 20\n'
        '[providers.second]\npreset = "deepseek"\napi_key_env = "B"\n'
        '[[models]]\nname = "m"\nprovider = "deepseek"\nmodel = "deepseek-chat"\n'
        '[[models]]\nname = "n"\nprovider = "second"\nmodel = "deepseek-chat"\n'
    )
    first, second = load(path, home=tmp_path).sweep.providers
    assert (first.rpm, first.concurrency, first.timeout_s) == (20, 7, 900)
    assert (second.rpm, second.concurrency, second.api_key_env) == (10, 7, "B")


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ('[a]\napi_key = "sk-123456"\n', 2, "`api_key` in providers.toml"),
        ("[zhipu]\nrpm = 0\n", 2, "`rpm` must be"),
        ("[zhipu]\nrpn = 5\n", 1, "did you mean `rpm`?"),
        ('[a]\npreset = "zhpu"\n', 0, "did you mean `zhipu`?"),
        ('[zhipu]\nauth = "a b"\n', 2, "`auth` is neither `bearer` nor the name of a header"),
        ('[zhipu]\npath = "chat"\n', 2, "`path` must begin with /"),
        ('[zhipu]\npath = "/x?key=1"\n', 2, "`path` must begin with /"),
        ('[zhipu]\nquery = { api-key = "x" }\n', 2, "`query` holds what looks like a secret"),
        ('[zhipu]\nproxy = "http://u:p@h:1"\n', 2, "`proxy` is no address"),
        ('[zhipu]\nproxy = "h:1"\n', 2, "`proxy` is no address"),
        ('[zhipu]\nsampling = [{ drop = ["top_p"] }]\n', 2, "a sampling rule speaks of `top_p`"),
        ('[zhipu]\nerrors = "zhpu"\n', 2, "`errors` names no dialect: 'zhpu'\n  known: anthropic"),
        ('[zhipu]\nrules = [{ means = "Nope", code = ["1"] }]\n', 2, "`means` names no outcome"),
        ('[zhipu]\nrules = [{ means = "refused", cod = ["1"] }]\n', 1, "unknown key `cod`"),
        ("[zhipu\n", 1, "not valid TOML"),
    ],
)
def test_its_faults_are_told_with_their_line(
    tmp_path: Path, text: str, line: int, says: str
) -> None:
    """As strictly as a sweep file's."""
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        known_presets(path)
    assert says in str(caught.value)
    assert "sk-123456" not in str(caught.value)
    place = f"{path}:{line}: " if line else str(path)
    assert str(caught.value).startswith(place), str(caught.value)


def test_a_preset_with_a_gap_asks_for_what_only_the_user_knows() -> None:
    """Azure's address has the name of a resource in it."""
    with pytest.raises(ConfigError, match=re.escape("needs a base_url of your own")):
        resolve("azure", ProviderTable(), where="w")


def test_a_proxy_is_asked_for_by_name_or_by_yes() -> None:
    """And by nothing else."""
    assert resolve("openai", ProviderTable(), where="w").proxy == ""
    assert resolve("openai", ProviderTable(proxy=False), where="w").proxy == ""
    assert resolve("openai", ProviderTable(proxy=True), where="w").proxy == "environment"
    assert resolve("openai", ProviderTable(proxy="http://h:1"), where="w").proxy == "http://h:1"


PAGE = Path(__file__).parent.parent / "docs" / "providers.md"
BLOCKS = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
PARTY = '[[models]]\nname = "m"\nprovider = "gateway"\nmodel = "m"\n'
GATEWAY = '[providers.gateway]\napi = "openai-chat"\nbase_url = "https://h/v1"\n'


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_every_example_of_the_users_page_can_be_used(tmp_path: Path, number: int) -> None:
    """As it stands there: in the user's own file, or in a sweep file."""
    block = BLOCKS[number]
    if "providers." not in block:
        known = known_presets(write(tmp_path, block))
        assert known["gateway"].errors == "zhipu"
        return
    rest = "" if "[[judges]]" in block else GATEWAY + PARTY
    path = tmp_path / "s.toml"
    path.write_text(f'name = "s"\nbenchmark = "mini"\n{block}\n{rest}', encoding="utf-8")
    assert load(path, home=tmp_path).sweep.providers
