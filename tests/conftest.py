"""What several tests share: the program as a user types it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples everywhere, and no test that fails because the machine is busy.
settings.register_profile("project", derandomize=True, deadline=None)
settings.load_profile("project")

ROOT = Path(__file__).resolve().parent.parent
MAIN = "from engine.cli.main import main; main()"


class Ended:
    """How one command ended, and what it said."""

    def __init__(self, code: int, out: bytes, err: bytes) -> None:
        self.code, self.raw = code, out
        self.out, self.err = out.decode("utf-8"), err.decode("utf-8")
        assert "Traceback" not in self.out + self.err, self.err

    def __repr__(self) -> str:
        return f"<exit {self.code}: {self.out}{self.err}>"


class Program:
    """`alignsweep` in a folder of its own, with a home of its own and no keys."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = {k: v for k, v in os.environ.items() if not k.endswith(("_API_KEY", "_COLOR"))}
        self.env = kept | {
            "HOME": str(folder / "home"),
            "XDG_DATA_HOME": str(folder / "home" / "data"),
            "XDG_CACHE_HOME": str(folder / "home" / "cache"),
            "XDG_CONFIG_HOME": str(folder / "home" / "config"),
            "PYTHONPATH": str(ROOT),
            "PYTHONUTF8": "1",
            "COLUMNS": "160",
        }

    def run(self, *words: str | Path, stdin: bytes = b"", timeout_s: float = 60.0) -> Ended:
        """Run a command to its end."""
        done = subprocess.run(
            self._command(words),
            cwd=self.folder,
            env=self.env,
            input=stdin,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def start(self, *words: str | Path, before: str = "pass") -> subprocess.Popen[bytes]:
        """Start a command, after a Python statement, and leave it running."""
        return subprocess.Popen(
            self._command(words, before),
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def files(self) -> set[str]:
        """Every file below the folder, home left out."""
        every = (p.relative_to(self.folder) for p in self.folder.rglob("*") if p.is_file())
        return {path.as_posix() for path in every if path.parts[0] != "home"}

    def _command(self, words: tuple[str | Path, ...], before: str = "pass") -> list[str]:
        return [sys.executable, "-c", f"{before}; {MAIN}", *map(str, words)]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes minutes is only run where it is asked for."""
    if os.environ.get("ALIGNSWEEP_TORTURE") != "1":
        skip = pytest.mark.skip(reason="takes minutes: make torture")
        for item in items:
            if item.get_closest_marker("torture"):
                item.add_marker(skip)


@pytest.fixture(scope="session", autouse=True)
def _no_presets_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whoever runs the tests may have a providers.toml; no test sees it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        yield


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """The program in a fresh folder."""
    return Program(tmp_path)


@pytest.fixture(scope="session")
def program_in() -> type[Program]:
    """The program in a folder that the test names."""
    return Program
