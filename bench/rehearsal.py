"""How much faster than the real thing a rehearsal is: `python -m bench.rehearsal`.

17 models, 683 questions, two judges (34,833 requests) at six providers, each with another kind of limit,
as ordinary accounts have them. No answer is waited for, so the ratio is that of predicted to real seconds:

    ratio = virtual seconds ÷ real seconds        goal: 1,000
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from bench.machinery import write_benchmark
from engine.config import load, select
from engine.rehearsal import Rehearsal, rehearse
from engine.standins import Assumed

GOAL = 1000.0
QUESTIONS = 683
PROVIDERS = {
    "openai": "rpm = 500\ntpm = 90_000\nconcurrency = 64",
    "dashscope": "rpm = 60\nconcurrency = 32",
    "zhipu": "concurrency = 12",
    "deepseek": "input_tpm = 250_000\noutput_tpm = 80_000\nconcurrency = 48",
    "moonshot": "rpm = 20\nconcurrency = 50",
    "hunyuan": "rpd = 20_000\nconcurrency = 5",
}
"""Tokens a minute, requests a minute, calls in flight, input and output apart, few requests, a day."""
JUDGES = ("openai", "zhipu")
MODELS = 17


def main() -> None:
    """Parse the flags, rehearse, print."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--questions", type=int, default=QUESTIONS)
    flags.add_argument("--rounds", type=int, default=3)
    given = flags.parse_args()
    print(
        f"{'requests':>9}{'virtual':>10}{'real':>8}{'cpu':>8}{'ratio':>9}{'goal':>7}{'µs/request':>12}"
    )
    for _ in range(given.rounds):
        end, real_s, cpu_s = play(given.questions)
        print(
            f"{end.requests:9,}{end.duration_s:8,.0f} s{real_s:6.1f} s{cpu_s:6.1f} s"
            f"{end.duration_s / real_s:9,.0f}{GOAL:7,.0f}{real_s / end.requests * 1e6:12.0f}"
        )
    print(f"binding: {end.accounts[0].name}, {end.accounts[0].binding}")


def play(questions: int) -> tuple[Rehearsal, float, float]:
    """One rehearsal, and the wall and CPU seconds it took."""
    with tempfile.TemporaryDirectory(prefix="alignsweep-bench-") as scratch:
        folder = Path(scratch)
        write_benchmark(folder / "questions.jsonl", questions)
        sweep = folder / "sweep.toml"
        sweep.write_text(sweep_text(folder / "questions.jsonl"), encoding="utf-8")
        loaded = load(sweep, home=folder / "home")
    started, worked = time.perf_counter(), time.process_time()
    end = rehearse(loaded, select(loaded), Assumed(), now_s=1.8e9)
    return end, time.perf_counter() - started, time.process_time() - worked


def sweep_text(benchmark: Path) -> str:
    """17 models, shared out among the providers in turn, and a judge at two of them."""
    lines = [f'name = "rehearsal"\nbenchmark = "{benchmark}"']
    lines += [f"[providers.{name}]\n{limits}" for name, limits in PROVIDERS.items()]
    for i in range(MODELS):
        provider = list(PROVIDERS)[i % len(PROVIDERS)]
        lines.append(f'[[models]]\nname = "m{i}"\nprovider = "{provider}"\nmodel = "m{i}"')
    lines += [f'[[judges]]\nname = "judge-{p}"\nprovider = "{p}"\nmodel = "judge"' for p in JUDGES]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
