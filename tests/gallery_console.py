"""Pictures of the live view, from a real run stopped half-way: text, SVG, and PNG where there is a browser.

`make gallery` runs this: 17 models and two judges on AlignBench's questions (else on the built-in
ones) against simulators in this process, on virtual time, with a slow account that answers 429, one
whose day is used up, refusals and unreadable verdicts. Every size at which the layout changes is kept
in build/gallery/console, and one picture in docs/pictures, which the README shows.
"""

from __future__ import annotations

import asyncio
import io
import re
import shutil
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from engine import sweep
from engine.bootstrap import Outcome
from engine.events import Progress
from engine.figures import run_clock
from engine.forecast import Forecast, Outlook
from engine.frame import compact, frame
from engine.runtime import run as run_loop
from engine.session import Session
from engine.spans import Line, plain_text
from tests.browser import chromium
from tests.conftest import ROOT

PLACE = ROOT / "build" / "gallery" / "console"
README_PICTURE = ROOT / "docs" / "pictures" / "console.svg"
ALIGNBENCH = ROOT.parent / "shared" / "alignbench" / "data_v1.1_release.jsonl"
SIZES = [(60, 20), (80, 24), (80, 40), (100, 30), (120, 40), (200, 50)]
SMALL = [(40, 12), (59, 15)]
MIDDLE = 0.42
FONTS = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', 'Noto Sans Mono CJK SC', monospace"
MODELS = {
    **dict.fromkeys(("gpt-5.2", "gpt-5.2-mini", "claude-opus-5", "claude-sonnet-5"), "east"),
    **dict.fromkeys(("gemini-3-pro", "qwen4-max"), "slow"),
    **dict.fromkeys(("deepseek-v4", "deepseek-r3", "通义千问-Plus", "glm-5", "glm-5-air"), "west"),
    **dict.fromkeys(("文心一言 5.0", "豆包-Pro-256k", "kimi-k3", "MiniMax-M4"), "north"),
    **dict.fromkeys(("讯飞星火 V5",), "used-up"),
    **dict.fromkeys(("meta-llama/llama-5-70b-instruct",), "west"),
}
PROVIDERS = {
    "east": "concurrency = 32\n[providers.east.simulator]\nlatency_s = 9.0\nrefusal_rate = 0.006\n"
    "error_rate = 0.004\n",
    "west": "concurrency = 48\nrpm = 500\n[providers.west.simulator]\nlatency_s = 6.0\n",
    "north": "concurrency = 24\n[providers.north.simulator]\nlatency_s = 7.0\nerror_rate = 0.01\n",
    "slow": "concurrency = 16\n[providers.slow.simulator]\nlatency_s = 5.0\nrpm = 90\n",
    "used-up": "concurrency = 8\n[providers.used-up.simulator]\nlatency_s = 4.0\nrpd = 60\n",
    "court": "concurrency = 96\n[providers.court.simulator]\nlatency_s = 5.0\n"
    "malformed_verdict_rate = 0.03\n",
}
_PRICE = 'price = {{ currency = "USD", input = "{}", output = "{}" }}\nmax_tokens = 1024\n'


class Taken:
    """What a run looked like: its pictures and what was forecast, at the moments worth keeping."""

    def __init__(self) -> None:
        self._forecast = Forecast()
        self._session: Session | None = None
        self._ending: asyncio.Future[None] | None = None
        self._kept: dict[str, tuple[Progress, Outlook]] = {}

    def begin(self, session: Session) -> None:
        self._session = session

    def look(self, progress: Progress) -> None:
        outlook = self._forecast.add(progress)
        share = progress.done / progress.planned
        for name, due in (("early", progress.elapsed_s >= 20), ("middle", share >= MIDDLE)):
            if due and name not in self._kept:
                self._kept[name] = progress, outlook
        if progress.state == "stopping":
            self._kept.setdefault("stopping", (progress, outlook))
        elif "middle" in self._kept and self._ending is None and self._session is not None:
            self._ending = asyncio.ensure_future(self._session.stop(10.0))

    def moments(self) -> dict[str, tuple[Progress, Outlook]]:
        return self._kept


def main() -> int:
    """Run, and draw what was seen."""
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(parents=True)
    taken = seen()
    count = 0
    for moment, (progress, outlook) in taken.items():
        for columns, lines in SIZES:
            picture = frame(progress, columns, lines, outlook=outlook, clock=run_clock)
            count += kept(f"{moment}-{columns}x{lines}", picture, columns)
        for columns, lines in SMALL:
            picture = compact(progress, columns - 1, min(lines, 7), outlook=outlook)
            count += kept(f"{moment}-{columns}x{lines}", picture, columns)
    progress, outlook = taken["middle"]
    narrow = frame(progress, 80, 24, outlook=outlook, ascii_only=True, encoding="ascii")
    count += kept("middle-80x24-ascii", narrow, 80)
    if ALIGNBENCH.exists():
        README_PICTURE.write_text(
            svg(frame(progress, 110, 33, outlook=outlook, clock=run_clock), 110), encoding="utf-8"
        )
    if shutil.which("chromium"):
        count += photographed()
    print(f"{count} console views in {PLACE.relative_to(ROOT)}")
    return 0


def seen() -> dict[str, tuple[Progress, Outlook]]:
    """The moments of one run, on virtual time."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "sweep.toml"
        path.write_text(_sweep(), encoding="utf-8")
        loaded = sweep.load(path)
        taken = Taken()

        async def session() -> Outcome:
            options = sweep.options(loaded, folder=Path(scratch) / "run")
            return await sweep.run(
                loaded, options, caching=False, watch=taken.look, started=taken.begin, env={}
            )

        run_loop(session, virtual=True)
        return taken.moments()


def _sweep() -> str:
    """The sweep file."""
    benchmark = str(ALIGNBENCH) if ALIGNBENCH.exists() else "mini"
    text = f'name = "alignbench-2026-11"\nbenchmark = "{benchmark}"\nseed = 7\n'
    for name, rest in PROVIDERS.items():
        text += (
            f'[providers.{name}]\napi = "openai-chat"\nbase_url = "simulated:"\nsimulated = true\n'
        )
        text += rest
    for name, provider in MODELS.items():
        text += f'[[models]]\nname = "{name}"\nmodel = "{name}"\nprovider = "{provider}"\n'
        text += _PRICE.format("2.5", "10")
    for name in ("gpt-4-0613", "CritiqueLLM-6b"):
        text += f'[[judges]]\nname = "{name}"\nmodel = "{name}"\nprovider = "court"\n'
        text += 'rubric = "alignsweep"\n' + _PRICE.format("1", "4")
    return text + '[budget]\ncurrency = "USD"\ntotal = "400"\n'


def kept(name: str, picture: list[Line], columns: int) -> int:
    """One view as text and as SVG."""
    text = "\n".join(map(plain_text, picture)) + "\n"
    (PLACE / f"{name}.txt").write_text(text, encoding="utf-8")
    (PLACE / f"{name}.svg").write_text(svg(picture, columns), encoding="utf-8")
    return 1


def photographed() -> int:
    """A PNG beside every SVG."""
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1600, "height": 1100})
        drawn = sorted(PLACE.glob("*.svg"))
        for path in drawn:
            page.goto(path.as_uri())
            page.screenshot(path=path.with_suffix(".png"))
    return len(drawn)


def svg(picture: list[Line], columns: int) -> str:
    """As rich draws it, with the fonts of whoever looks and no web font."""
    console = Console(
        record=True, width=columns, file=io.StringIO(), highlight=False, markup=False, emoji=False,
        force_terminal=True, color_system="standard",
    )  # fmt: skip
    for line in picture:
        console.print(Text.assemble(*line), no_wrap=True, overflow="ignore", crop=False)
    drawn = console.export_svg(title="alignsweep")
    drawn = re.sub(r"@font-face \{.*?\}\s*", "", drawn, flags=re.DOTALL)
    return re.sub(r"font-family: Fira Code, monospace", f"font-family: {FONTS}", drawn)


if __name__ == "__main__":
    sys.exit(main())
