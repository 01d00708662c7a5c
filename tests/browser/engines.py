"""The engines beside Chromium, and a site whose pages look to each of them as to a person's browser."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from glob import glob
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.remote.webdriver import WebDriver

from tests.browser import firefox, webkit
from tests.browser.sdk_site import TAG, Answer, Site

NEEDED = {"firefox": (firefox.FIREFOX,), "webkit": (webkit.DRIVER, webkit.MINI_BROWSER, webkit.SCREEN)}
REQUIRED = "ENGINES_REQUIRED"
"""Set (by `.ci/run`): an engine that is missing is a failure. Else its tests are skipped."""
AS_A_PERSON = "<script src=/as-a-person.js></script>"
"""furrow.js does nothing in a browser that says of itself that a program drives it."""
NO_DRIVER = "Object.defineProperty(Navigator.prototype, 'webdriver', {get: () => false});"


@contextmanager
def open_engine(name: str, folder: Path) -> Iterator[WebDriver]:
    """A browser of this engine. Skips the test, or fails, where it is not installed."""
    missing = [file for file in NEEDED[name] if not glob(file)]
    if missing and not os.environ.get(REQUIRED):
        pytest.skip(f"{name} is not installed (`make browsers` installs it), and not tried: {', '.join(missing)}")
    assert not missing, f"{name} is not installed: {missing}"
    with firefox.open_firefox(folder) if name == "firefox" else webkit.open_webkit() as driver:
        yield driver


class EngineSite(Site):
    """A site as the tests in Chromium have it; the visitor is any engine."""

    def __init__(self, browser: WebDriver, neighbour: str = "none") -> None:
        super().__init__(browser, neighbour)  # type: ignore[arg-type]
        self.answers["/as-a-person.js"] = Answer(NO_DRIVER, kind="text/javascript")

    def put(self, path: str, body: str, script: str = "", *, head: str = TAG, **more: Any) -> None:
        super().put(path, body, script, head=AS_A_PERSON + head, **more)
