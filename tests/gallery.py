"""Pictures of the HTML report: every view, light and dark, both languages, desk and telephone.

`make gallery` runs this. It makes a simulated run (17 models, two judges and one that compares, on
AlignBench's questions where they lie beside the project, else on the built-in ones), writes all its
reports, and leaves the pictures in build/gallery; and the one that the README shows in docs/pictures.
`python -m tests.gallery REPORT.html` makes only that one, of a page that is there already.
"""

from __future__ import annotations

import itertools
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.browser import Opened, chromium, page_of
from tests.conftest import ROOT, Program

PLACE = ROOT / "build" / "gallery"
COVER = ROOT / "docs" / "pictures" / "report.png"
MOST = 200_000
"""Bytes of the README's picture."""
COLOURS = 160
ALIGNBENCH = ROOT.parent / "shared" / "alignbench" / "data_v1.1_release.jsonl"
STATES = {
    "leaderboard": "#lead",
    "questions": "#questions",
    "hardest": "#questions?sort=mean",
    "cell": "#q/5/3",
    "side-by-side": "#q/5/0/8",
    "compare": "#cmp/3/7",
    "dimensions": "#dim",
    "judges": "#judges",
    "comparisons": "#duels",
    "run": "#run",
}
SIZES = {"desk": (1280, 800), "phone": (390, 844)}
LANGUAGES = {"en": "en-US", "zh": "zh-CN"}
_HEAD = """name = "gallery"
benchmark = "{benchmark}"
seed = 7
[providers.east]
api = "openai-chat"
base_url = "simulated:"
simulated = true
concurrency = 64
[providers.east.simulator]
seed = 1
error_rate = 0.01
refusal_rate = 0.004
truncation_rate = 0.006
malformed_verdict_rate = 0.01
[[judges]]
name = "gpt-4-0613"
provider = "east"
model = "gpt-4-0613"
rubric = "alignsweep"
price = {{ currency = "USD", input = "2.50", output = "10" }}
max_tokens = 1024
[[judges]]
name = "CritiqueLLM"
provider = "east"
model = "CritiqueLLM"
rubric = "alignsweep"
price = {{ currency = "USD", input = "0.10", output = "0.40" }}
max_tokens = 1024
[[judges]]
name = "pairs"
provider = "east"
model = "gpt-4-0613"
rubric = "alignsweep-pairs"
baseline = "gpt-3.5-turbo-0613"
positions = "both"
price = 0
max_tokens = 1024
"""


def main() -> int:
    """Make the run, its reports and the pictures."""
    if sys.argv[1:]:
        return cover(Path(sys.argv[1]).resolve())
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        program = Program(Path(scratch))
        (program.folder / "gallery.toml").write_text(sweep(), encoding="utf-8")
        ended = program.run("run", "gallery.toml", "--progress", "none", timeout_s=600)
        print(ended.out, ended.err)
        run = program.folder / "runs" / "gallery"
        for kind in ("xlsx", "svg", "png"):
            out = PLACE / ("results.xlsx" if kind == "xlsx" else "plots")
            print(
                program.run("report", "gallery", "--format", kind, "--out", out, timeout_s=300).err
            )
        page = shutil.copy(run / "report" / "report.html", PLACE / "report.html")
    taken = pictures(Path(page))
    print(f"{taken} pictures in {PLACE.relative_to(ROOT)}")
    return cover(Path(page))


def cover(page: Path) -> int:
    """The leaderboard as the README shows it: light, English, as sharp as its size allows."""
    from PIL import Image  # matplotlib brings it

    COVER.parent.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        for scale in (2, 1.5, 1.25, 1):
            opened = page_of(
                browser, viewport={"width": 1280, "height": 862}, device_scale_factor=scale
            )
            picture(opened.open(page), "#lead", COVER)
            opened.page.context.close()
            with Image.open(COVER) as full:  # few colours: a palette loses nothing that is seen
                full.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(
                    COVER, optimize=True
                )
            if COVER.stat().st_size <= MOST:
                print(f"{COVER.relative_to(ROOT)}: {COVER.stat().st_size:,} bytes, {scale}x")
                return 0
    print(f"{COVER.relative_to(ROOT)} is larger than {MOST:,} bytes", file=sys.stderr)
    return 1


def sweep() -> str:
    """The sweep file, with the 17 models of the published tables."""
    from providers.scorebook import published

    benchmark = str(ALIGNBENCH) if ALIGNBENCH.exists() else "mini"
    models = list(next(iter(published().judges.values())))
    prices = [("2.5", "10"), ("0.5", "1.5"), ("1.2", "4"), ("0.2", "0.6"), ("0.08", "0.2")]
    tables = [
        f'[[models]]\nname = "{name}"\nmodel = "{name}"\nprovider = "east"\nmax_tokens = 2048\n'
        f'price = {{ currency = "USD", input = "{i}", output = "{o}" }}\n'
        for name, (i, o) in zip(models, itertools.cycle(prices), strict=False)
    ]
    return _HEAD.format(benchmark=benchmark) + "\n".join(tables)


def pictures(page: Path) -> int:
    """One file a view, size, language and scheme."""
    taken = 0
    with chromium() as browser:
        for size, language, scheme in itertools.product(SIZES, LANGUAGES, ("light", "dark")):
            width, height = SIZES[size]
            opened = page_of(
                browser,
                viewport={"width": width, "height": height},
                locale=LANGUAGES[language],
                color_scheme=scheme,
            ).open(page)
            for name, state in STATES.items():
                picture(opened, state, PLACE / f"{name}-{size}-{language}-{scheme}.png")
                taken += 1
            opened.page.context.close()
    return taken


def picture(opened: Opened, state: str, path: Path) -> Any:
    """One view, when it has come to rest."""
    opened.go("#run").go(state)
    opened.page.wait_for_timeout(120)
    return opened.page.screenshot(path=path)


if __name__ == "__main__":
    sys.exit(main())
