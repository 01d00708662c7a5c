"""A real Chromium (Debian's), without a window and with a new profile each time."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1400,1000",
)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Chrome]:
    with _chromium(tmp_path, browser="ALL") as driver:
        yield driver


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Chrome]:
    """A browser that also notes every request (``get_log("performance")``)."""
    with _chromium(tmp_path, browser="ALL", performance="ALL") as driver:
        yield driver


@contextmanager
def _chromium(folder: Path, **logs: str) -> Iterator[Chrome]:
    missing = [file for file in (CHROMIUM, DRIVER) if not Path(file).exists()]
    assert not missing, f"{missing}: Debian's packages chromium and chromium-driver hold them"
    options = ChromeOptions()
    options.binary_location = CHROMIUM
    options.set_capability("goog:loggingPrefs", logs)
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    plain = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    driver = Chrome(options, Service(DRIVER, env=plain))
    driver.set_script_timeout(60)
    try:
        yield driver
    finally:
        driver.quit()
