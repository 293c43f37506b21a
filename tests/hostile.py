"""Texts that would like to be more than texts. For tests."""

from __future__ import annotations

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)><a href='javascript:alert(1)'>x</a></svg>",
    "<!--<script>",
    "--><style>*{display:none}</style>",
    '<meta http-equiv="refresh" content="0;url=https://evil.invalid/">',
    "<iframe src=https://evil.invalid/></iframe><form action=https://evil.invalid><input></form>",
    '=HYPERLINK("https://evil.invalid/","x")',
    "+1+1",
    "-1+1",
    "@SUM(1)",
    "\t=1+1",
    "＝1+1",
    "\x1b[31mred\x1b[0m \x1b]0;title\x07",
    "a lone \ud800 surrogate",
    "line\u2028and\u2029paragraph",
    "bidi \u202egnp.exe\u202c and \u2066isolate",
    "nul \x00 and \x01 and \x7f and \x9b31m",
    "{{policy}} ${x} {% raw %} <%= x %>",
    "[link](javascript:alert(1)) `code` | cell | *bold* # head",
    "zero\u200bwidth\ufeff and z\u0334\u0335\u0336\u0337algo and 👩‍👩‍👧‍👦🇨🇳1️⃣",
    "&lt;b&gt; &amp; &#x3c;script&#x3e;",
    "\r\nCRLF\r\n",
    "x" * 40_000,
    "长" * 300_000,
)
"""The last one is almost a megabyte in one line."""
NAMES = tuple(text[:200] for text in HOSTILE)
