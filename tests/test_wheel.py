"""What a user gets: the wheel is built, looked into, installed and run somewhere else."""

import email
import fnmatch
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = {"engine", "providers", "cache", "data"}
# Package data a wheel could lose without any import noticing.
DATA = {".toml", ".json", ".jsonl"}


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command as a stranger would, with no path of ours; its output, or its complaint."""
    env = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "PYTHONHOME"}}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build_wheel(source: Path, into: Path) -> Path:
    """The wheel of a source tree, built with what is installed: nothing is downloaded."""
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet")
    run(sys.executable, "-m", "pip", "wheel", *options, "-w", into, source, cwd=into)
    (wheel,) = into.glob("*.whl")
    return wheel


def contents(wheel: Path) -> dict[str, bytes]:
    """Every file of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def tree() -> dict[str, bytes]:
    """Every file of the product folders as they stand here."""
    return {
        path.relative_to(ROOT).as_posix(): path.read_bytes()
        for package in PRODUCT
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree, built once."""
    return build_wheel(ROOT, tmp_path_factory.mktemp("wheel"))


def test_the_top_level_of_the_wheel_is_exactly_the_four_packages(wheel: Path) -> None:
    """Generic names are taken with care: these four and no fifth."""
    tops = {name.partition("/")[0] for name in contents(wheel)}
    (info,) = (top for top in tops if top.endswith(".dist-info"))
    assert tops == PRODUCT | {info}


def test_every_file_of_the_tree_is_in_the_wheel_byte_for_byte(wheel: Path) -> None:
    """Code and package data alike, and nothing that is not in the tree."""
    packed = {k: v for k, v in contents(wheel).items() if k.partition("/")[0] in PRODUCT}
    here = tree()
    assert sorted(packed) == sorted(here)
    assert [name for name in here if packed[name] != here[name]] == []


def test_the_package_data_is_in_the_wheel(wheel: Path) -> None:
    """Benchmarks, rubrics, prices: what an import would never miss."""
    here = {name for name in tree() if name.startswith("data/") and Path(name).suffix in DATA}
    assert here <= contents(wheel).keys()


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    """Name, Python, license and the one command."""
    files = contents(wheel)
    (info,) = {name.partition("/")[0] for name in files if ".dist-info/" in name}
    metadata = email.message_from_bytes(files[f"{info}/METADATA"])
    assert metadata["Name"] == "alignsweep"
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert f"{info}/licenses/LICENSE" in files
    entry_points = files[f"{info}/entry_points.txt"].decode()
    assert "alignsweep = engine.cli.main:main" in entry_points.splitlines()


def test_the_sdist_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    """Whoever builds from source gets what everybody gets, and can run the tests."""
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", tmp_path, cwd=ROOT)
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        # `filter` came to 3.11 with 3.11.4; without it, an archive of our own is safe all the same.
        safely: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        archive.extractall(tmp_path, **safely)
    source = tmp_path / sdist.name.removesuffix(".tar.gz")
    assert (source / "tests" / "test_wheel.py").exists()
    into = tmp_path / "built"
    into.mkdir()
    assert contents(build_wheel(source, into)) == contents(wheel)


def test_the_installed_command_answers_from_any_folder(wheel: Path, tmp_path: Path) -> None:
    """A fresh environment, the wheel alone, the dependencies lent by this environment."""
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    python = tmp_path / "venv" / "bin" / "python"
    options = ("--no-deps", "--no-index", "--quiet")
    run(
        *(sys.executable, "-m", "pip", "--python", python, "install", *options, wheel),
        cwd=tmp_path,
    )
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(run(python, "-c", ask, cwd=tmp_path).strip())
    # A path file inside a folder that is only on the path is not read, so this lends the
    # packages that lie here and not the editable install of this tree.
    lent = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "lent.pth").write_text("\n".join(sorted(lent)) + "\n")

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    where = Path(run(python, "-c", "import engine; print(engine.__file__)", cwd=elsewhere).strip())
    assert where.parent.parent == site
    usage = run(tmp_path / "venv" / "bin" / "alignsweep", "--help", cwd=elsewhere)
    assert "alignsweep" in usage


def test_gitignore_never_hides_a_product_folder() -> None:
    """A `data/` line would empty the repository without a word."""
    lines = (ROOT / ".gitignore").read_text("utf-8").splitlines()
    patterns = {line.strip().strip("/") for line in lines if line and not line.startswith("#")}
    hidden = {(p, pattern) for p in PRODUCT for pattern in patterns if fnmatch.fnmatch(p, pattern)}
    assert hidden == set()
