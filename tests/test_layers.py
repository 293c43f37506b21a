"""The architecture, kept true by reading every import instead of trusting a drawing."""

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# engine -> providers, cache -> data. Arrows only go that way.
ARROWS = {
    "data": {"data"},
    "providers": {"providers", "data"},
    "cache": {"cache", "data"},
    "engine": {"engine", "providers", "cache", "data"},
}
PRODUCT = tuple(ARROWS)
SUPPORT = ("tests", "bench")

# Each third-party package has one doorman. A place that ends in "/" means the whole folder.
DOORMEN = {
    "aiohttp": {"providers/transport.py", "providers/simserver.py"},
    "aiolimiter": {"engine/limits.py"},
    "anyio": {"engine/", "providers/"},
    "genai_prices": {"data/prices.py"},
    "matplotlib": {"engine/reports/plots/"},
    "msgspec": {"data/codec.py", "data/schema.py"},
    "numpy": {"engine/agreement/", "engine/stats/"},
    "orjson": {"data/codec.py"},
    "platformdirs": {"engine/paths.py"},
    "rich": {"engine/console.py", "engine/frame.py", "engine/reports/terminal.py"},
    "tomlkit": {"engine/benching/rewriting.py"},
    "typer": {"engine/cli/"},
    "uvloop": {"engine/runtime.py"},
    "xlsxwriter": {"engine/reports/cells_xlsx.py"},
    "zstandard": {"cache/responses.py"},
}

# The core hears time from the running loop and takes chance from a generator handed to it.
OUTSIDE_CORE = (
    "engine/cli/",
    "engine/sweep.py",
    "providers/simserver.py",
    "providers/transport.py",
)
CLOCKS = {
    "time.time",
    "time.time_ns",
    "time.monotonic",
    "time.monotonic_ns",
    "time.perf_counter",
    "time.perf_counter_ns",
    "time.sleep",
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.datetime.today",
    "datetime.date.today",
}
SEEDED = {"random.Random"}
MAY_PRINT = ("engine/cli/", "engine/console.py", "engine/reports/")
UNSAFE = {"pickle", "cPickle", "_pickle", "cloudpickle", "dill", "shelve"}

# What `alignsweep --help` must not wait for.
HEAVY = ("aiohttp", "rich.live", "sqlite3", "msgspec", "numpy")


@dataclass(frozen=True)
class Import:
    """One name a module brings in: `from a import b` is `a.b`; lazy = inside a function."""

    target: str
    line: int
    lazy: bool = False
    typing_only: bool = False
    level: int = 0

    @property
    def top(self) -> str:
        return self.target.partition(".")[0]


@dataclass
class Module(ast.NodeVisitor):
    """One source file: its place, its tree, and every import in it."""

    path: str
    tree: ast.Module
    imports: list[Import] = field(default_factory=list)
    _lazy: bool = False
    _typing_only: bool = False

    def __post_init__(self) -> None:
        self.visit(self.tree)

    @property
    def name(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def package(self) -> str:
        return self.path.partition("/")[0]

    def _add(self, target: str, node: ast.AST, level: int = 0) -> None:
        line = getattr(node, "lineno", 0)
        self.imports.append(Import(target, line, self._lazy, self._typing_only, level))

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(alias.name, node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            self._add(f"{node.module or ''}.{alias.name}", node, node.level)

    def visit_Call(self, node: ast.Call) -> None:
        """`import_module("x")` is an import too."""
        if (
            ast.unparse(node.func) in {"importlib.import_module", "import_module", "__import__"}
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            self._add(str(node.args[0].value), node)
        self.generic_visit(node)

    def _visit_function(self, node: ast.AST) -> None:
        before, self._lazy = self._lazy, True
        self.generic_visit(node)
        self._lazy = before

    visit_FunctionDef = visit_AsyncFunctionDef = visit_Lambda = _visit_function

    def visit_If(self, node: ast.If) -> None:
        if ast.unparse(node.test).removeprefix("typing.") != "TYPE_CHECKING":
            self.generic_visit(node)
            return
        before, self._typing_only = self._typing_only, True
        for child in node.body:
            self.visit(child)
        self._typing_only = before
        for child in node.orelse:
            self.visit(child)


def read(*packages: str, root: Path = ROOT) -> list[Module]:
    """Every Python file of these top-level folders, parsed."""
    return [
        Module(path.relative_to(root).as_posix(), ast.parse(path.read_bytes(), str(path)))
        for package in packages
        for path in sorted((root / package).rglob("*.py"))
    ]


def stands_in(path: str, places: Iterable[str]) -> bool:
    """Whether a file is one of these places, or lies in one of these folders."""
    return any(path == p or (p.endswith("/") and path.startswith(p)) for p in places)


def wrong_arrows(modules: Iterable[Module]) -> Iterator[str]:
    for m in modules:
        allowed = ARROWS[m.package]
        for i in m.imports:
            if i.top in PRODUCT and i.top not in allowed:
                yield (
                    f"{m.path}:{i.line} imports {i.target}: {m.package} does not know {i.top} "
                    "(engine -> providers, cache -> data)"
                )


def imports_of_support(modules: Iterable[Module]) -> Iterator[str]:
    for m in modules:
        for i in m.imports:
            if i.top in SUPPORT:
                yield f"{m.path}:{i.line} imports {i.target}: the product never knows its {i.top}"


def uninvited_packages(modules: Iterable[Module]) -> Iterator[str]:
    known = sys.stdlib_module_names | set(PRODUCT) | set(SUPPORT)
    for m in modules:
        for i in m.imports:
            if i.level or i.top in known or stands_in(m.path, DOORMEN.get(i.top, ())):
                continue
            doormen = ", ".join(sorted(DOORMEN.get(i.top, ()))) or "none yet; add one to DOORMEN"
            yield (
                f"{m.path}:{i.line} imports {i.target}: each third-party package has one doorman "
                f"(for {i.top}: {doormen})"
            )


def loose_imports(modules: Iterable[Module]) -> Iterator[str]:
    for m in modules:
        for i in m.imports:
            if i.target.endswith(".*"):
                yield f"{m.path}:{i.line} imports {i.target}: name what you need"
            if i.level:
                yield f"{m.path}:{i.line} imports relatively: write the whole path"


def unsafe_imports(modules: Iterable[Module]) -> Iterator[str]:
    for m in modules:
        for i in m.imports:
            if i.top in UNSAFE:
                yield f"{m.path}:{i.line} imports {i.target}: reading it back can run anything"


def eager_graph(modules: Iterable[Module]) -> dict[str, set[str]]:
    """Which module needs which other one before it can be imported itself."""
    graph: dict[str, set[str]] = {m.name: set() for m in modules}
    for m in modules:
        for i in m.imports:
            if i.lazy or i.typing_only:
                continue
            target = i.target if i.target in graph else i.target.rpartition(".")[0]
            if target in graph:
                graph[m.name].add(target)
    return graph


def circles(modules: list[Module]) -> Iterator[str]:
    """Every circle a depth-first walk meets, written as a path."""
    graph = eager_graph(modules)
    done: set[str] = set()

    def walk(name: str, trail: list[str]) -> Iterator[str]:
        if name in trail:
            yield " -> ".join([*trail[trail.index(name) :], name])
        elif name not in done:
            for target in sorted(graph[name]):
                yield from walk(target, [*trail, name])
            done.add(name)

    for name in sorted(graph):
        yield from walk(name, [])


def spelled_out(m: Module) -> Iterator[tuple[str, int]]:
    """Every dotted name a module uses, its aliases undone: `t.time` after `import time as t`."""
    full: dict[str, str] = {}
    for node in ast.walk(m.tree):
        if isinstance(node, ast.Import):
            for a in node.names:
                full[a.asname or a.name.partition(".")[0]] = (
                    a.name if a.asname else a.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and not node.level:
            full.update((a.asname or a.name, f"{node.module}.{a.name}") for a in node.names)
    for node in ast.walk(m.tree):
        if isinstance(node, ast.Attribute | ast.Name):
            top, dot, rest = ast.unparse(node).partition(".")
            if top in full:
                yield full[top] + dot + rest, node.lineno


def clocks_and_dice(modules: Iterable[Module]) -> Iterator[str]:
    for m in modules:
        if stands_in(m.path, OUTSIDE_CORE):
            continue
        for name, line in spelled_out(m):
            if name in CLOCKS:
                yield f"{m.path}:{line} uses {name}: time comes from the running loop"
            chance = name.startswith("random.") and ".".join(name.split(".")[:2]) not in SEEDED
            if chance:
                yield f"{m.path}:{line} uses {name}: chance comes from a random.Random handed down"


def stray_prints(modules: Iterable[Module]) -> Iterator[str]:
    for m in modules:
        if stands_in(m.path, MAY_PRINT):
            continue
        for node in ast.walk(m.tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "print":
                yield f"{m.path}:{node.lineno} prints: only the console and the reports speak"


def borrowed_names(modules: Iterable[Module]) -> Iterator[str]:
    for m in modules:
        for part in m.name.split("."):
            if part in sys.stdlib_module_names and not part.startswith("__"):
                yield f"{m.path}: the standard library already has a module named {part}"


def talkative_packages(modules: Iterable[Module]) -> Iterator[str]:
    for m in modules:
        if m.path.endswith("__init__.py") and (
            len(m.tree.body) != 1 or not ast.get_docstring(m.tree)
        ):
            yield f"{m.path}: a package file is one docstring and re-exports nothing"


def clean(complaints: Iterator[str]) -> None:
    """Fail with every complaint, one a line."""
    found = sorted(set(complaints))
    if found:
        pytest.fail("\n".join(found), pytrace=False)


def test_arrows_only_go_from_engine_through_providers_and_cache_to_data() -> None:
    """Lazy imports and imports for type checkers count: knowing is knowing."""
    clean(wrong_arrows(read(*PRODUCT)))


def test_no_two_modules_import_each_other_in_a_circle() -> None:
    """Only imports that run at import time can close a circle."""
    clean(circles(read(*PRODUCT)))


def test_the_product_never_imports_its_tests_or_benchmarks() -> None:
    """They are not in the wheel."""
    clean(imports_of_support(read(*PRODUCT)))


def test_each_third_party_package_has_one_doorman() -> None:
    """`grep -r "import rich"` tells the truth."""
    clean(uninvited_packages(read(*PRODUCT)))


def test_imports_are_absolute_and_name_what_they_take() -> None:
    """No wildcards and no leading dots."""
    clean(loose_imports(read(*PRODUCT, *SUPPORT)))


def test_nothing_unpickles() -> None:
    """A cache file from elsewhere must never run code."""
    clean(unsafe_imports(read(*PRODUCT, *SUPPORT)))


def test_no_module_is_named_like_one_of_the_standard_library() -> None:
    """`import queue` means one thing everywhere."""
    clean(borrowed_names(read(*PRODUCT, "bench")))


def test_package_files_say_one_sentence_and_re_export_nothing() -> None:
    """A name has one address."""
    clean(talkative_packages(read(*PRODUCT)))


def test_the_core_reads_no_clock_and_throws_no_dice_of_its_own() -> None:
    """Virtual time and one seed then govern a whole sweep."""
    clean(clocks_and_dice(read(*PRODUCT)))


def test_only_the_console_the_reports_and_the_command_line_print() -> None:
    """Everything else tells by events."""
    clean(stray_prints(read(*PRODUCT)))


def test_help_does_not_wait_for_the_heavy_packages() -> None:
    """The command line imports the network, the database and the live view where it uses them."""
    if not (ROOT / "engine/cli/main.py").exists():
        pytest.skip("engine/cli/main.py does not exist yet")
    code = f"import sys, engine.cli.main; print(*(m for m in {HEAVY!r} if m in sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []


@pytest.mark.parametrize(
    ("path", "source", "rule"),
    [
        ("data/a.py", "def f():\n    import engine.plan", wrong_arrows),
        ("cache/a.py", "if TYPE_CHECKING:\n    from providers.wire import X", wrong_arrows),
        ("engine/a.py", "from tests import helpers", imports_of_support),
        ("engine/a.py", "from rich import live", uninvited_packages),
        ("data/a.py", "import anyio", uninvited_packages),
        ("engine/a.py", "import_module('requests')", uninvited_packages),
        ("engine/a.py", "from data.schema import *", loose_imports),
        ("engine/a.py", "from . import plan", loose_imports),
        ("tests/a.py", "from pickle import loads", unsafe_imports),
        ("engine/json.py", "", borrowed_names),
        ("data/__init__.py", '"""Words."""\nfrom data.schema import Usage', talkative_packages),
        ("engine/a.py", "import time as t\nt.sleep(1)", clocks_and_dice),
        ("engine/a.py", "from time import monotonic as now\nf(now)", clocks_and_dice),
        ("data/a.py", "from datetime import datetime\ndatetime.now()", clocks_and_dice),
        ("cache/a.py", "import random\nrandom.shuffle(x)", clocks_and_dice),
        ("cache/a.py", "print(1)", stray_prints),
    ],
)
def test_a_breach_of_each_rule_is_seen(path: str, source: str, rule: object) -> None:
    """A rule that never fires guards nothing."""
    assert callable(rule)
    assert len(set(rule([Module(path, ast.parse(source))]))) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("engine/limits.py", "import random\nrng = random.Random(7)\nrng.random()"),
        ("engine/cli/main.py", "import time\nimport typer\nprint(time.time())"),
        ("providers/transport.py", "import time, aiohttp\ntime.monotonic()"),
    ],
)
def test_what_is_allowed_passes_every_rule(path: str, source: str) -> None:
    """And one that always fires teaches nothing."""
    modules = [Module(path, ast.parse(source))]
    rules = (wrong_arrows, uninvited_packages, loose_imports, clocks_and_dice, stray_prints)
    assert [line for rule in rules for line in rule(modules)] == []


def test_a_circle_is_seen_and_a_lazy_import_opens_it() -> None:
    """The circle is told as the path around it."""
    a = Module("engine/a.py", ast.parse("from engine import b"))
    b = Module("engine/b.py", ast.parse("from engine.a import f"))
    lazy = Module("engine/b.py", ast.parse("def g():\n    from engine.a import f"))
    assert list(circles([a, b])) == ["engine.a -> engine.b -> engine.a"]
    assert list(circles([a, lazy])) == []
