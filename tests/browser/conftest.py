"""A real Chromium (Debian's), without a window and with a new profile each time."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.browser.sdk_site import Site
from tests.e2e.installation import Up

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


SETTLE_SECONDS = 90
Found = TypeVar("Found")


def wait_for(page: Chrome, condition: Callable[[Chrome], Found]) -> Found:
    """The first truthy value of ``condition``. A page that draws itself anew takes elements away: then it is asked again."""
    patient = WebDriverWait(page, SETTLE_SECONDS, ignored_exceptions=[StaleElementReferenceException])
    return patient.until(condition)


def sign_in_to_prefect(page: Chrome, address: str, secret: str) -> None:
    """Opens Prefect's pages at ``address``, and signs in."""
    page.get(address)
    wait_for(page, lambda page: page.find_element(By.CSS_SELECTOR, "input[type=password]").is_displayed())
    assert "login" in page.current_url

    def send(page: Chrome) -> bool:
        field = page.find_element(By.CSS_SELECTOR, "input[type=password]")
        field.clear()
        field.send_keys(secret)
        page.find_element(By.CSS_SELECTOR, "button[type=submit]").click()
        return True

    wait_for(page, send)
    wait_for(page, lambda page: "dashboard" in page.current_url)


@pytest.fixture(scope="session")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """An installation for the tests that follow what furrow.js sends: they tell their incidents from those of others."""
    installation = Up(tmp_path_factory.mktemp("sdk") / "data")
    installation.start()
    yield installation
    installation.kill_everything()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Chrome]:
    with open_chromium(tmp_path, browser="ALL") as driver:
        yield driver


PERSON = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/145.0.0.0 Safari/537.36"


@pytest.fixture(scope="session")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """One browser for many tests, which looks like a person's although a program drives it. Each test has a site, and so a
    storage, of its own."""
    with open_as_person(tmp_path_factory.mktemp("visitor")) as driver:
        yield driver


@pytest.fixture
def site(visitor: Chrome) -> Iterator[Site]:
    """A site of its own, whose pages hold furrow.js alone."""
    with closing(Site(visitor)) as found:
        yield found
        assert found.faults() <= found.provoked


@pytest.fixture(params=["none", "hostile", "frame"])
def any_site(visitor: Chrome, request: pytest.FixtureRequest) -> Iterator[Site]:
    """The same; then with scripts beside it that change what they find, a policy and no storage; then within a frame."""
    with closing(Site(visitor, request.param)) as found:
        yield found
        assert found.faults() <= found.provoked


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Chrome]:
    """A browser that also notes every request (``get_log("performance")``)."""
    with open_chromium(tmp_path, browser="ALL", performance="ALL") as driver:
        yield driver


def open_as_person(folder: Path) -> AbstractContextManager[Chrome]:
    """A browser that looks like a person's."""
    hidden = ("--disable-blink-features=AutomationControlled", f"--user-agent={PERSON}")
    return open_chromium(folder, *hidden, browser="ALL")


@contextmanager
def open_chromium(folder: Path, *flags: str, **logs: str) -> Iterator[Chrome]:
    missing = [file for file in (CHROMIUM, DRIVER) if not Path(file).exists()]
    assert not missing, f"{missing}: Debian's packages chromium and chromium-driver hold them"
    options = ChromeOptions()
    options.binary_location = CHROMIUM
    options.set_capability("goog:loggingPrefs", logs)
    for flag in (*FLAGS, *flags, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    plain = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    driver = Chrome(options, Service(DRIVER, env=plain))
    driver.set_script_timeout(60)
    try:
        yield driver
    finally:
        driver.quit()
