"""A language model of random numbers, served by llama.cpp: real inference, nothing to download.

    PYTHON tests/tiny_model.py FOLDER      writes FOLDER/tiny.gguf, serves it on a free loopback port,
                                           prints the base URL, and goes on until it is ended

PYTHON is one that has the packages gguf and xllamacpp; this file imports nothing else of the project.

The model is a llama of one block: 3 special tokens, 256 byte tokens (so any text can be read), and the
commonest characters of the built-in benchmark (so what it writes is mostly Chinese). It knows nothing:
its answers are noise and its verdicts cannot be read, which is what the tests are about.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

NAME = "tiny-random"
QUESTIONS = Path(__file__).parent.parent / "data" / "benchmarks" / "mini.jsonl"
CHARACTERS = 500
WIDTH, HEADS, INNER = 64, 4, 96
SLOTS, CONTEXT = 4, 65_536
"""Requests at once, and tokens of context that they share: a judge's prompt has 2,000 or so."""
TEMPLATE = "{% for message in messages %}<{{ message.role }}>\n{{ message.content }}\n{% endfor %}<reply>\n"


def pieces() -> Iterator[tuple[bytes, str]]:
    """The vocabulary in order: each token's bytes and its kind."""
    yield from ((b"<unk>", "UNKNOWN"), (b"<s>", "CONTROL"), (b"</s>", "CONTROL"))
    for byte in range(256):
        yield b"<0x%02X>" % byte, "BYTE"
    common = Counter(QUESTIONS.read_text(encoding="utf-8")).most_common(CHARACTERS)
    # Braces, brackets and digits stay out: by chance they could make a verdict.
    for char, _ in common:
        if (char.isalpha() and not char.isascii()) or char in "，。：？、":
            yield char.encode(), "NORMAL"


def write(path: Path) -> None:
    """The model file."""
    import gguf  # type: ignore[import-not-found]
    import numpy as np

    random = np.random.default_rng(20261123)
    vocabulary = list(pieces())
    size, special = len(vocabulary), 259

    def matrix(rows: int, columns: int, scale: float = 0.2) -> Any:
        return (random.standard_normal((rows, columns)) * scale).astype(np.float32)

    def ones() -> Any:
        return np.ones(WIDTH, dtype=np.float32)

    file = gguf.GGUFWriter(str(path), "llama")
    file.add_name(NAME)
    file.add_context_length(CONTEXT)
    file.add_embedding_length(WIDTH)
    file.add_block_count(1)
    file.add_feed_forward_length(INNER)
    file.add_head_count(HEADS)
    file.add_head_count_kv(HEADS)
    file.add_rope_dimension_count(WIDTH // HEADS)
    file.add_layer_norm_rms_eps(1e-5)
    file.add_vocab_size(size)
    file.add_file_type(gguf.LlamaFileType.ALL_F32)
    file.add_tokenizer_model("llama")
    file.add_token_list([piece for piece, _ in vocabulary])
    file.add_token_scores([0.0 if kind != "NORMAL" else -1.0 for _, kind in vocabulary])
    file.add_token_types([int(gguf.TokenType[kind]) for _, kind in vocabulary])
    file.add_unk_token_id(0)
    file.add_bos_token_id(1)
    file.add_eos_token_id(2)
    file.add_add_bos_token(True)
    file.add_add_eos_token(False)
    file.add_chat_template(TEMPLATE)
    output = matrix(size, WIDTH, 1.0)
    output[:special] = 0.0  # next to never a byte alone: that would be no UTF-8
    file.add_tensor("token_embd.weight", matrix(size, WIDTH))
    file.add_tensor("output_norm.weight", ones())
    file.add_tensor("output.weight", output)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        file.add_tensor(f"blk.0.{name}.weight", matrix(WIDTH, WIDTH))
    file.add_tensor("blk.0.ffn_gate.weight", matrix(INNER, WIDTH))
    file.add_tensor("blk.0.ffn_up.weight", matrix(INNER, WIDTH))
    file.add_tensor("blk.0.ffn_down.weight", matrix(WIDTH, INNER))
    for name in ("attn_norm", "ffn_norm"):
        file.add_tensor(f"blk.0.{name}.weight", ones())
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()


def serve(path: Path) -> None:
    """Until somebody ends the process."""
    import xllamacpp  # type: ignore[import-not-found]

    settings = xllamacpp.CommonParams()
    settings.model.path = str(path)
    settings.model_alias = {NAME}
    settings.hostnames = ["127.0.0.1"]
    settings.port = 0
    settings.n_parallel = SLOTS
    settings.n_ctx = CONTEXT
    settings.cpuparams.n_threads = 1
    settings.n_threads_http = SLOTS + 2
    settings.endpoint_metrics = True
    settings.warmup = False
    settings.verbosity = 0
    server = xllamacpp.Server(settings)
    print(f"{server.listening_address}/v1", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    model = Path(sys.argv[1]) / "tiny.gguf"
    write(model)
    serve(model)
