"""A clone such as AlignBench's authors publish, in small and in our own words. For tests."""

from __future__ import annotations

import json
from pathlib import Path

PROMPT = (
    "类别 {category}\n{dimensions}格式 {{'甲': 打分}}\n"
    "问： {question}\n[参考开始]{reference}[参考结束]\n"
    "[助手的答案开始]\n{answer}\n[助手的答案结束]\n"
)
JUDGE = f"""
import nothing_of_this_exists
raise SystemExit("this file must never be run")


def prompt_construct(sample, config):
    base_prompt = {PROMPT[:20]!r} \\
        {PROMPT[20:]!r}
    return base_prompt
"""
ROWS = [
    {
        "question_id": 2,
        "category": "数学计算",
        "subcategory": "初等数学",
        "question": " 1\r加\u00a0{1}？\n",
        "reference": "等于 2。 ",
        "evidences": [],
    },
    {
        "question_id": 1,
        "category": "专业能力",
        "subcategory": "物理",
        "question": "光速是多少？",
        "reference": "约 30 万公里每秒。",
        "evidences": [{"url": "https://example.org/c\n\n", "quote": " c "}],
    },
    {
        "question_id": 3,
        "category": "专业能力",
        "subcategory": "物理",
        "question": "水在几度沸腾？",
        "reference": "标准大气压下 100 度。",
        "evidences": None,
    },
]
CONFIG = {
    "dimension_set": {"事实型": ["甲", "乙"], "推理型": ["甲"]},
    "dimension_definition": {"甲": "对不对。", "乙": "清不清楚。", "丙": "没有用到。"},
    "subcategory_question_mapping": {"初等数学": "推理型", "物理": "事实型"},
    "temperature": {"数学计算": 0.1, "专业能力": 0.2},
}


def files(rows: list[dict[str, object]] | None = None) -> dict[str, bytes]:
    """Every file of the clone by path; the questions are a v1.1 unless `rows` lack evidences."""
    lines = [json.dumps(row, ensure_ascii=False) for row in (ROWS if rows is None else rows)]
    found = {
        f"config/{k}.json": json.dumps(v, ensure_ascii=False).encode() for k, v in CONFIG.items()
    }
    return {
        "data/data_v1.1_release.jsonl": ("\n".join(lines) + "\n").encode(),
        "judge.py": JUDGE.encode(),
        **found,
    }


def make(folder: Path, **changes: bytes | None) -> Path:
    """Write the clone; `changes` replaces files by their stem, None leaves one out."""
    for path, data in files().items():
        key = Path(path).stem.replace(".", "_")
        kept = changes.get(key, data)
        if kept is not None:
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(kept)
    return folder
