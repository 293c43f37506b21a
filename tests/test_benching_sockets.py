"""`bench` on real sockets: connections are kept, and the figures are those of the server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from providers.persona import Cast
from providers.simserver import serve_in_thread
from providers.simulator import SimOptions

if TYPE_CHECKING:
    from tests.conftest import Program

SWEEP = """\
name = "s"
benchmark = "mini"
[providers.local]
api = "openai-chat"
base_url = "{url}"
stream = {stream}
[[models]]
name = "m"
provider = "local"
model = "gpt-4-1106-preview"
max_tokens = 200
"""


@pytest.mark.parametrize("stream", ["true", "false"])
def test_nearly_every_call_goes_over_a_connection_that_is_there(
    program: Program, stream: str
) -> None:
    """Streams too: at least 95 of 100, once the server was seen to keep its connections."""
    with serve_in_thread(SimOptions(latency_s=0.05, latency_spread=0.1), Cast(0, [], [])) as url:
        text = SWEEP.format(url=url, stream=stream)
        (program.folder / "s.toml").write_text(text, encoding="utf-8")
        ended = program.run(
            "bench", "run", "s.toml", "--yes", "--no-keep", "--ladder", "2,4",
            "--step-seconds", "3..4", "--min-requests", "60", "--out", "b",
        )  # fmt: skip
    assert ended.code in (0, 5), ended  # 5: this machine is busy
    [target] = json.loads((program.folder / "b/report/bench.json").read_text())["targets"]
    last = target["rungs"][-1]
    assert last["failed"]["k"] == 0
    assert last["client"]["reuse"] >= 0.95
    assert (last["ttft"]["n"] > 0) == (stream == "true")
