"""Sweep files: what is accepted, and what is said, with its line, when one is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from data.errors import AlignsweepError, ConfigError, DataError
from data.schema import Sweep
from engine.config import Loaded, load, select

GOOD = """\
name = "s"
benchmark = "mini"
samples = 1
repeats = 1
seed = 0
asks = 3
attempts = 5

[providers.local]
api = "openai-chat"
base_url = "http://127.0.0.1:9/v1"
rpm = 60
concurrency = 4
timeout_s = 30
headers = { X-Project = "a" }

[[models]]
name = "m"
provider = "local"
model = "m-1"
max_tokens = 64
temperature = 0.5
parameters = { top_p = 0.8 }

[[models]]
name = "m2"
provider = "local"
model = "m-2"

[[judges]]
name = "j"
provider = "local"
model = "j-1"
rubric = "alignsweep"
parse = "robust"
"""
"""Sound as it is; each bad file below differs from it by one replacement."""

SIMULATED = """\
name = "s"
benchmark = "mini"

[providers.simulated]
rpm = 60

[providers.simulated.simulator]
seed = 1

[[models]]
name = "m"
provider = "simulated"
model = "m"
"""

# (what stands in GOOD, what stands there instead, line of the complaint or 0, what it says)
BAD: list[tuple[str, str, int, str]] = [
    # syntax
    ('name = "s"', "name = s", 1, "not valid TOML"),
    ("seed = 0", "seed = 0 0", 5, "not valid TOML"),
    ("seed = 0", "seed = ", 5, "not valid TOML"),
    ("seed = 0", "seed = 0\nseed = 1", 6, "not valid TOML"),
    ("[[judges]]", "[[judges]", 30, "not valid TOML"),
    ("[providers.local]", "[models]\n[providers.local]", 18, "not valid TOML"),
    ('parse = "robust"', 'parse = "robust', 35, "not valid TOML"),
    ('parse = "robust"', "parse = [", 35, "not valid TOML"),
    ("seed = 0", "seed = " + "9" * 5000, 0, "not valid TOML"),
    ("seed = 0", "seed = " + "[" * 50_000, 0, "nested too deep"),
    ("seed = 0", "seed = 0 \x00", 5, "not valid TOML"),
    # unknown keys
    ("samples = 1", "sample = 1", 3, "unknown key `sample`\n  did you mean `samples`?"),
    ("samples = 1", "rpm = 1", 3, "unknown key `rpm`\n  known here: asks, attempts"),
    ("rpm = 60", "rmp = 60", 12, "unknown key `rmp`\n  did you mean `rpm`?"),
    ("max_tokens = 64", "max_token = 64", 21, "unknown key `max_token`\n  did you mean"),
    ('[[models]]\nname = "m2"', '[[models]]\ntemp = 1\nname = "m2"', 26, "unknown key `temp`"),
    ('parse = "robust"', "cost = 0", 35, "unknown key `cost`"),
    ("[[judges]]", "[[judge]]", 30, "unknown key `judge`\n  did you mean `judges`?"),
    ("[[judges]]", '"\\u001b[2J" = 1\n[[judges]]', 25, "unknown key `\\x1b[2J`"),
    # missing keys and wrong types
    ('name = "s"\n', "", 0, "`name` is missing"),
    ('benchmark = "mini"\n', "", 0, "`benchmark` is missing"),
    ('provider = "local"\nmodel = "m-1"', 'model = "m-1"', 17, "`provider` is missing"),
    ('model = "j-1"\n', "", 30, "`model` is missing"),
    ('name = "s"', "name = 1", 1, "Expected `str`, got `int`"),
    ("samples = 1", "samples = 1.0", 3, "Expected `int`, got `float`"),
    ("samples = 1", "samples = true", 3, "Expected `int`, got `bool`"),
    ("samples = 1", 'samples = "1"', 3, "Expected `int`, got `str`"),
    ("seed = 0", "seed = 2024-01-01", 5, "Expected `int`, got `date`"),
    ("seed = 0", "send_seed = 1", 5, "Expected `bool`, got `int`"),
    ("rpm = 60", 'rpm = "60"', 12, "Expected `float | null`, got `str`"),
    ("concurrency = 4", "concurrency = 4.5", 13, "Expected `int | null`, got `float`"),
    ('headers = { X-Project = "a" }', "headers = { X-Project = 1 }", 15, "Expected `str`, got"),
    ("headers = {", "simulator = 3 #", 15, "Expected `object | null`, got `int`"),
    ("temperature = 0.5", 'temperature = "hot"', 22, "`temperature` must be 0 to 2, or"),
    ("parameters = {", "parameters = 3 #", 23, "Expected `object`, got `int`"),
    ('parse = "robust"', 'parse = "strict"', 35, "Invalid enum value 'strict'"),
    ("[providers.local]\n", "providers = 3\n[other]\n", 9, "Expected `object`, got `int`"),
    # numbers
    ("samples = 1", "samples = 0", 3, "`samples` must be 1 to 1000"),
    ("samples = 1", "samples = 1001", 3, "`samples` must be 1 to 1000"),
    ("repeats = 1", "repeats = -1", 4, "`repeats` must be 1 to 1000"),
    ("asks = 3", "asks = 21", 6, "`asks` must be 1 to 20"),
    ("attempts = 5", "attempts = 0", 7, "`attempts` must be 1 to 100"),
    ("seed = 0", "seed = -1", 5, "`seed` must be 0 to 2^63 - 1"),
    ("seed = 0", f"seed = {2**63}", 5, "`seed` must be 0 to 2^63 - 1"),
    ("rpm = 60", "rpm = 0", 12, "`rpm` must be 0.01 to 1,000,000"),
    ("rpm = 60", "rpm = -5", 12, "`rpm` must be"),
    ("rpm = 60", "rpm = nan", 12, "`rpm` must be"),
    ("rpm = 60", "rpm = inf", 12, "`rpm` must be"),
    ("rpm = 60", "rpm = 1e-320", 12, "`rpm` must be"),
    ("concurrency = 4", "concurrency = 0", 13, "`concurrency` must be 1 to 10,000"),
    ("concurrency = 4", "concurrency = 1000000000", 13, "`concurrency` must be"),
    ("timeout_s = 30", "timeout_s = 0", 14, "`timeout_s` must be 0.1 to 86,400"),
    ("timeout_s = 30", "timeout_s = -inf", 14, "`timeout_s` must be"),
    ("timeout_s = 30", "timeout_s = nan", 14, "`timeout_s` must be"),
    ("max_tokens = 64", "max_tokens = 0", 21, "`max_tokens` must be 1 to 10,000,000"),
    ("max_tokens = 64", "max_tokens = 99999999999", 21, "`max_tokens` must be"),
    ("temperature = 0.5", "temperature = -0.1", 22, "`temperature` must be 0 to 2"),
    ("temperature = 0.5", "temperature = nan", 22, "`temperature` must be 0 to 2"),
    ("temperature = 0.5", "temperature = 2.1", 22, "`temperature` must be 0 to 2"),
    ("top_p = 0.8", "top_p = nan", 23, "`parameters` holds nan, which JSON lacks"),
    ("top_p = 0.8", "x = [{ y = -inf }]", 23, "`parameters` holds -inf"),
    ("top_p = 0.8", f"x = {2**63}", 23, "`parameters` holds an integer beyond 64 bits"),
    ("top_p = 0.8", "stream = true", 23, "`stream` in `parameters`\n  it is the provider's"),
    ("rpm = 60", "stream = 1", 12, "Expected `bool | null`, got `int`"),
    ('api = "openai-chat"', 'api = "openai"', 9, "unknown api `openai`\n  known: openai-chat"),
    ('api = "openai-chat"', 'api = "anthropic"', 25, "`m2` has no `max_tokens`, which api `anth"),
    ("top_p = 0.8", 'model = "x"', 23, "`model` in `parameters`"),
    ("top_p = 0.8", "messages = []", 23, "`messages` in `parameters`"),
    ("top_p = 0.8", "seed = 1", 23, "`seed` in `parameters`\n  see `seed` and `send_seed`"),
    # names
    ('name = "s"', 'name = ""', 1, "`name` is too long for a folder, or empty"),
    ('name = "s"', 'name = "a/b"', 1, "no slash"),
    ('name = "s"', 'name = "a\\\\b"', 1, "no slash"),
    ('name = "s"', 'name = ".hidden"', 1, "no dot or dash before it"),
    ('name = "s"', 'name = ".."', 1, "no dot or dash before it"),
    ('name = "s"', 'name = "-f"', 1, "no dot or dash before it"),
    ('name = "s"', 'name = "s "', 1, "no space around it"),
    ('name = "s"', f'name = "{"x" * 300}"', 1, "`name` is too long for a folder"),
    ('name = "s"', f'name = "{"评" * 90}"', 1, "`name` is too long for a folder"),
    ('name = "s"', 'name = "a\\u0000b"', 1, "not printable"),
    ('name = "s"', 'name = "a\\u202eb"', 1, "not printable"),
    ('name = "m"\n', 'name = ""\n', 18, "`name` must be 1 to 100 printable characters"),
    ('name = "m2"', f'name = "{"x" * 101}"', 26, "`name` must be 1 to 100"),
    ('name = "j"', 'name = "\\u001b[31m"', 31, "`name` must be 1 to 100 printable"),
    ('model = "m-1"', 'model = ""', 20, "`model` must be 1 to 100 printable"),
    ('name = "m2"', 'name = "m"', 26, "the name `m` is taken (first at FILE:18)"),
    # what the file names
    (
        'benchmark = "mini"',
        'benchmark = "mni"',
        2,
        "no benchmark is named 'mni'\n  known here: mini",
    ),
    ('benchmark = "mini"', 'benchmark = "\\u001b[2J"', 2, "no benchmark is named"),
    ('benchmark = "mini"', f'benchmark = "{"x" * 5000}"', 2, "File name too long"),
    (
        'provider = "local"\nmodel = "m-1"',
        'provider = "lcal"\nmodel = "m-1"',
        19,
        "unknown provider",
    ),
    (
        'provider = "local"\nmodel = "j-1"',
        'provider = "opnai"\nmodel = "j-1"',
        32,
        "did you mean `openai`",
    ),
    ('provider = "local"\nmodel = "j-1"', 'provider = "\\u0007"\nmodel = "x"', 32, "`\\x07`"),
    ('rubric = "alignsweep"', 'rubric = "nosuch"', 34, "no rubric is named 'nosuch'"),
    ('rubric = "alignsweep"', 'rubric = "no/such.toml"', 34, "no such file"),
    ('api = "openai-chat"\n', "", 9, "provider `local` has no `api`"),
    ('base_url = "http://127.0.0.1:9/v1"\n', "", 9, "provider `local` has no `base_url`"),
    (
        'api = "openai-chat"',
        'api = "telepathy"',
        9,
        "unknown api `telepathy`\n  known: openai-chat",
    ),
    ("http://127.0.0.1:9/v1", "ftp://127.0.0.1/v1", 9, "base_url of `local` is no http(s) address"),
    ("http://127.0.0.1:9/v1", "127.0.0.1:9/v1", 9, "is no http(s) address"),
    ("http://127.0.0.1:9/v1", "http://", 9, "is no http(s) address"),
    ("http://127.0.0.1:9/v1", "http://[::1", 9, "is no http(s) address"),
    ("http://127.0.0.1:9/v1", "http://host:99999", 9, "is no http(s) address"),
    ("http://127.0.0.1:9/v1", "http://a b/v1", 9, "is no http(s) address"),
    ("http://127.0.0.1:9/v1", "http://me:pw@host/v1", 9, "carries a user name, password, query"),
    ("http://127.0.0.1:9/v1", "http://host/v1?key=a", 9, "carries a user name, password, query"),
    ("http://127.0.0.1:9/v1", "http://host/v1#top", 9, "carries a user name, password, query"),
    (
        "headers = {",
        "simulator = { seed = 1 } #",
        9,
        "`simulator` options for `local`, which is no",
    ),
    ("headers = {", 'cache_identity = "simulated:0" #', 9, "mixes simulated answers with real"),
    ("headers = {", "simulated = true\ncache_identity = 'x' #", 9, "mixes simulated answers"),
    # secrets
    ("rpm = 60", 'api_key = "sk-canary"', 12, "`api_key` in the sweep file"),
    ("rpm = 60", 'API-Key = "sk-canary"', 12, "`API-Key` in the sweep file"),
    ("rpm = 60", 'token = "sk-canary"', 12, "`token` in the sweep file"),
    ("X-Project = ", "Authorization = ", 15, "header `Authorization` looks like a secret"),
    ("X-Project = ", "X-Api-Key = ", 15, "header `X-Api-Key` looks like a secret"),
    ('X-Project = "a"', 'X-P = "Bearer sk-canary"', 15, "header `X-P` looks like a secret"),
    ('X-Project = "a"', 'X-P = "a\\nb"', 15, "header `X-P` must be one line of ASCII"),
    ('X-Project = "a"', '"X P" = "a"', 15, "`X P` is no name of a header"),
    ("rpm = 60", 'api_key_env = "sk-canary"', 12, "is no name of an environment variable"),
    ("rpm = 60", 'api_key_env = "c4na7y8e60d1f2"', 12, "is no name of an environment"),
    ("rpm = 60", 'api_key_env = "a=b"', 12, "is no name of an environment variable"),
    ("rpm = 60", 'api_key_file = "sk-canary"', 12, "looks like a key, not like a path"),
]


def write(folder: Path, text: str | bytes, name: str = "sweep.toml") -> Path:
    """A file."""
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def complaint(path: Path, home: Path) -> str:
    """What `load` says about a file."""
    with pytest.raises(AlignsweepError) as caught:
        load(path, home=home)
    return str(caught.value)


def only(model: str) -> str:
    """GOOD without its judge, and with one model by this provider entry."""
    return GOOD[: GOOD.index("[[judges]]")] + model


def test_a_good_file_is_loaded_with_everything_filled_in(tmp_path: Path) -> None:
    """What is left out has its default, and what is named is found."""
    loaded = load(write(tmp_path, GOOD), home=tmp_path)
    sweep = loaded.sweep
    assert [m.name for m in sweep.models] == ["m", "m2"]
    assert sweep.judges[0].temperature == 0.0
    assert sweep.providers[0].cache_identity == "http://127.0.0.1:9/v1"
    assert sweep.providers[0].rpm == 60
    assert sweep.benchmark_sha256 == loaded.benchmark.sha256
    assert sweep.rubric_sha256 == {"alignsweep": loaded.rubrics["alignsweep"].sha256}
    assert sweep.temperatures == loaded.benchmark.temperatures
    assert loaded.text == GOOD.encode()


@pytest.mark.parametrize(
    "change", [lambda t: b"\xef\xbb\xbf" + t, lambda t: t.replace(b"\n", b"\r\n"), lambda t: t[:-1]]
)
def test_a_bom_and_crlf_and_a_missing_last_newline_change_nothing(
    tmp_path: Path, change: object
) -> None:
    """What Windows editors do to a file is no fault."""
    assert callable(change)
    home = tmp_path
    changed: Sweep = load(write(tmp_path, change(GOOD.encode()), "w.toml"), home=home).sweep
    assert changed == load(write(tmp_path, GOOD), home=home).sweep


@pytest.mark.parametrize(("old", "new", "line", "says"), BAD, ids=range(len(BAD)))
def test_a_bad_file_is_refused_with_its_line(
    tmp_path: Path, old: str, new: str, line: int, says: str
) -> None:
    """What, where, how; and nothing that looks like a key is repeated."""
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new, 1))
    said = complaint(path, tmp_path)
    place = f"{path}:{line}: " if line else f"{path}: "
    assert said.startswith(place), said
    assert says.replace("FILE", str(path)) in said
    assert "canary" not in said
    assert "c4na7y" not in said
    assert not {"\x1b", "\x07", "\u202e", "\x00"} & set(said)


def test_the_table_is_long_enough() -> None:
    """At least seventy ways to go wrong, all different."""
    assert len({(old, new) for old, new, _, _ in BAD}) == len(BAD) >= 70


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "an empty sweep file"),
        (b"\n\n# nothing\n", "an empty sweep file"),
        (b"\xef\xbb\xbf", "an empty sweep file"),
        ('name = "é"'.encode("latin-1"), ":1: not UTF-8"),
        (b'name = "s"\n\nbenchmark = "\xff"', ":3: not UTF-8"),
        (GOOD.encode("utf-16"), ":1: not UTF-8"),
        (b'name = "s"\nbenchmark = "mini"\n', "no [[models]] and no [[judges]]: nothing to do"),
        (b"models = 3\nname = 's'\nbenchmark = 'mini'\n", ":1: models: Expected `array`"),
        (b"models = [3]\nname = 's'\nbenchmark = 'mini'\n", "Expected `object`, got `int`"),
    ],
)
def test_a_file_that_is_no_sweep_is_refused(tmp_path: Path, text: bytes, says: str) -> None:
    """Empty, not UTF-8, or with nothing to do."""
    assert says in complaint(write(tmp_path, text), tmp_path)


@pytest.mark.parametrize(
    ("name", "says"),
    [("none.toml", "no such file"), (".", "this is a folder"), ("sweep.toml/x", "Not a directory")],
)
def test_what_is_no_file_is_said_plainly(tmp_path: Path, name: str, says: str) -> None:
    """Also a path below a file."""
    write(tmp_path, GOOD)
    assert says in complaint(tmp_path / name, tmp_path)


def test_lines_are_counted_as_editors_count_them(tmp_path: Path) -> None:
    """U+2028 in a comment is no new line."""
    path = write(tmp_path, "# a\u2028b\x0c".replace("\x0c", "") + "\n" + GOOD.replace("60", "-1"))
    assert complaint(path, tmp_path).startswith(f"{path}:13: `rpm`")


def test_headers_may_be_written_with_spaces_and_quotes(tmp_path: Path) -> None:
    """The line is found all the same."""
    text = GOOD.replace("[[models]]", "[[ models ]] # under test").replace(
        "[providers.local]", '[ providers . "local" ]'
    )
    said = complaint(write(tmp_path, text.replace("max_tokens = 64", "max_tokens = 0")), tmp_path)
    assert ":21: `max_tokens`" in said
    said = complaint(write(tmp_path, text.replace("rpm = 60", "rpm = 0")), tmp_path)
    assert ":12: `rpm`" in said


def test_simulated_and_real_do_not_mix(tmp_path: Path) -> None:
    """A table of both would be worth nothing."""
    text = GOOD + '\n[[models]]\nname = "s"\nprovider = "simulated"\nmodel = "s"\n'
    assert "simulated and real providers in one sweep" in complaint(write(tmp_path, text), tmp_path)
    assert load(write(tmp_path, SIMULATED), home=tmp_path).sweep.providers[0].simulated


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("sed = 1", "unknown key `sed`\n  did you mean `seed`?"),
        ('seed = "x"', "seed: Expected `int`, got `str`"),
        ("error_rate = 1.5", "error_rate is a share: 0 to 1"),
        ("error_rate = nan", "error_rate is a share: 0 to 1"),
        ("latency_s = -1", "latency_s is a number from 0 up"),
        ("latency_s = inf", "latency_s is a number from 0 up"),
        ("rpm = 0", "rpm is at least 1"),
        ("concurrency = -1", "concurrency is at least 1"),
    ],
)
def test_bad_options_of_a_simulator_are_refused(tmp_path: Path, option: str, says: str) -> None:
    """With the place of its provider."""
    path = write(tmp_path, SIMULATED.replace("seed = 1", option))
    said = complaint(path, tmp_path)
    assert says in said
    assert said.startswith(f"{path}:4: simulator")


# --- files beside the sweep file ---------------------------------------------------------------


def test_a_benchmark_file_beside_the_sweep_file_is_found(tmp_path: Path) -> None:
    """From whatever working directory."""
    write(tmp_path, json.dumps({"id": 1, "question": "q"}), "own.jsonl")
    text = GOOD.replace('"mini"', '"own.jsonl"')
    assert load(write(tmp_path, text), home=tmp_path).benchmark.name == "own"


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (b'{"id": 1, "question": "q"}\n' * 2, "stands on line 1 already"),
        (b"", "own.jsonl"),
        (b'{"id": 1}', "no question"),
        (b'{"id": 1, "question": "\xff"}', "not UTF-8"),
    ],
)
def test_a_bad_benchmark_file_is_told_with_its_own_place(
    tmp_path: Path, rows: bytes, says: str
) -> None:
    """It is the file to mend."""
    own = write(tmp_path, rows, "own.jsonl")
    path = write(tmp_path, GOOD.replace('"mini"', '"own.jsonl"'))
    with pytest.raises(DataError) as caught:
        load(path, home=tmp_path)
    assert says in str(caught.value)
    assert caught.value.path == str(own)


@pytest.mark.parametrize("name", ["a\\u0000b.jsonl", "a\\u0000b"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path, name: str) -> None:
    """Never a ValueError."""
    said = complaint(write(tmp_path, GOOD.replace('"mini"', f'"{name}"')), tmp_path)
    assert "\x00" not in said


RUBRIC = """\
template = "{{question}} {{answer}} {{opening}} {{closing}} {word}"
default_type = "t"
[definitions]
d = "d"
[types]
t = ["d"]
"""


def test_a_rubric_beside_the_sweep_file_is_found_and_its_faults_told_once(tmp_path: Path) -> None:
    """Both places are named, and the advice is not repeated."""
    write(tmp_path, RUBRIC.format(word="x"), "own.toml")
    text = GOOD.replace('rubric = "alignsweep"', 'rubric = "own.toml"')
    assert load(write(tmp_path, text), home=tmp_path).sweep.judges[0].rubric == "own"
    write(tmp_path, RUBRIC.format(word="{oops}"), "own.toml")
    said = complaint(write(tmp_path, text), tmp_path)
    assert f":34: {tmp_path}/own.toml: template: unknown placeholder {{oops}}" in said
    assert said.count("known:") == 1
    write(tmp_path, b"\xff", "own.toml")
    assert "own.toml: not UTF-8" in complaint(write(tmp_path, text), tmp_path)


def test_two_different_rubrics_of_one_name_are_refused(tmp_path: Path) -> None:
    """One of them would silently judge for both."""
    for folder, word in (("a", "x"), ("b", "y")):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder, RUBRIC.format(word=word), "own.toml")
    text = GOOD.replace('rubric = "alignsweep"', 'rubric = "a/own.toml"')
    second = '\n[[judges]]\nname = "k"\nprovider = "local"\nmodel = "k"\nrubric = "b/own.toml"\n'
    said = complaint(write(tmp_path, text + second), tmp_path)
    assert ":41: two different rubrics are named `own`" in said
    same = load(write(tmp_path, text + second.replace("b/own", "a/own")), home=tmp_path)
    assert set(same.rubrics) == {"own"}


# --- choosing a part ---------------------------------------------------------------------------


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    """A benchmark of two categories, one of its questions with two turns."""
    rows = [
        {"id": 1, "question": "q", "category": "a"},
        {"id": 2, "turns": ["q", "r"], "category": "b"},
        {"id": 3, "question": "q", "category": "a"},
        {"id": 4, "question": "q", "category": "b"},
    ]
    write(tmp_path, "\n".join(map(json.dumps, rows)), "own.jsonl")
    return load(write(tmp_path, GOOD.replace('"mini"', '"own.jsonl"')), home=tmp_path)


def test_everything_is_chosen_unless_told_otherwise(loaded: Loaded) -> None:
    """Items are turns."""
    chosen = select(loaded)
    assert (chosen.models, chosen.items) == ((0, 1), (0, 1, 2, 3, 4))


def test_limit_counts_questions_after_category(loaded: Loaded) -> None:
    """A conversation is never cut in two."""
    assert select(loaded, limit=2).items == (0, 1, 2)
    assert select(loaded, categories=["b"]).items == (1, 2, 4)
    assert select(loaded, categories=["b"], limit=1).items == (1, 2)
    assert select(loaded, categories=["b", "a"], limit=99).items == (0, 1, 2, 3, 4)
    assert select(loaded, models=["m2"]).models == (1,)


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ({"limit": 0}, "--limit must be at least 1"),
        ({"limit": -3}, "--limit must be at least 1"),
        ({"models": ["m", "mm"]}, "no model `mm` in this sweep\n  there are: m, m2"),
        ({"models": [""]}, "no model `` in this sweep"),
        ({"categories": ["c"]}, "no category `c` in this sweep\n  there are: a, b"),
        ({"categories": ["\x1b[2J"]}, "no category `\\x1b[2J` in this sweep"),
    ],
)
def test_a_part_that_does_not_exist_is_refused(
    loaded: Loaded, part: dict[str, object], says: str
) -> None:
    """An empty session that looks finished would be worse."""
    with pytest.raises(ConfigError) as caught:
        select(loaded, **part)  # type: ignore[arg-type]
    assert says in str(caught.value)
