"""A real Chromium, opened on a file and cut off from any network. For tests.

Skips, saying so, where there is no browser or no playwright. Conditions are polled with `evaluate`:
the page's policy forbids the string evaluation that playwright's own waiting uses.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

DEADLINE_S = 30.0


class Opened:
    """One page, and everything it asked for or complained about."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.requests: list[str] = []
        self.messages: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", lambda message: self.messages.append(message.text))
        page.on("pageerror", lambda error: self.messages.append(str(error)))
        page.on("dialog", lambda dialog: self.messages.append(f"dialog: {dialog.message}"))

    def open(self, path: Path, hash_: str = "") -> Opened:
        """The file, until its script has run."""
        self.page.goto(f"{path.as_uri()}{hash_}")
        return self.until("document.documentElement.classList.contains('scripted')")

    def go(self, hash_: str) -> Opened:
        """Another state of the same page."""
        self.page.evaluate("hash => { location.hash = hash }", hash_)
        self.page.wait_for_timeout(30)
        return self

    def until(self, condition: str) -> Opened:
        """Wait until a JavaScript expression is true."""
        end = time.monotonic() + DEADLINE_S
        while not self.page.evaluate(condition):
            assert time.monotonic() < end, f"never came true: {condition}; {self.messages}"
            self.page.wait_for_timeout(20)
        return self

    def see(self, script: str, argument: Any = None) -> Any:
        """The value of a JavaScript expression or function."""
        return self.page.evaluate(script, argument)


Open = Callable[..., Opened]


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless browser without a network, or a skip."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        pytest.skip("there is no chromium here (apt-get install chromium)")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=["--host-resolver-rules=MAP * ~NOTFOUND", "--no-sandbox"]
        )
        try:
            yield browser
        finally:
            browser.close()


def page_of(browser: Any, **options: Any) -> Opened:
    """A fresh page in a context of its own: 1280 x 800, English, light unless told otherwise."""
    shape = {"viewport": {"width": 1280, "height": 800}, "locale": "en-US", "color_scheme": "light"}
    context = browser.new_context(**(shape | options))
    context.set_default_timeout(DEADLINE_S * 1000)
    return Opened(context.new_page())
