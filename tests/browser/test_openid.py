"""Signing in at a real OpenID provider in a real Chromium. The provider is another site: `localhost`, and not 127.0.0.1."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select

from stores.incidents.incident_store import IncidentStore
from tests.browser.conftest import wait_for
from tests.browser.test_review import AXE, find_problems, run_axe
from tests.integration.api_cases import fill, serving
from tests.integration.oidc_cases import provider_config, running_provider
from tests.npm import install_packages
from tests.ports import free_port

pytestmark = pytest.mark.browser


@pytest.fixture
def store(postgres_url: str) -> Iterator[IncidentStore]:
    made = fill(postgres_url)
    yield made
    made.close()


@pytest.fixture
def client(tmp_path: Path, postgres_url: str, store: IncidentStore) -> Iterator[httpx.Client]:
    port = free_port()
    issuer = f"http://localhost:{port}"
    with serving(tmp_path / "collector", postgres_url, oidc=provider_config(port, issuer=issuer)) as made:
        collector = str(made.base_url).rstrip("/")
        with running_provider(port, collector, host="localhost"):
            yield made


def enter_at_provider(page: Chrome, login: str) -> None:
    page.find_element(By.PARTIAL_LINK_TEXT, "Sign in with Staff login").click()
    wait_for(page, lambda page: bool(page.find_elements(By.NAME, "login")))
    page.find_element(By.NAME, "login").send_keys(login)
    page.find_element(By.NAME, "password").send_keys("x")
    page.find_element(By.CSS_SELECTOR, "[type=submit]").click()
    wait_for(page, lambda page: bool(page.find_elements(By.CSS_SELECTOR, "[name=prompt][value=consent]")))
    page.find_element(By.CSS_SELECTOR, "[type=submit]").click()


def test_a_person_signs_in_at_the_provider_and_leaves_it(browser: Chrome, client: httpx.Client) -> None:
    browser.get(f"{client.base_url}/near-misses")
    enter_at_provider(browser, "cleo")
    # The strict cookie of the session is sent although the way back began at another site.
    wait_for(browser, lambda page: page.current_url.endswith("/near-misses"))
    assert browser.find_element(By.CSS_SELECTOR, ".who .name").text == "Cleo (cleo@example.com)"
    Select(browser.find_element(By.ID, "scope")).select_by_value("shop")
    browser.find_element(By.CSS_SELECTOR, ".scope button").click()
    wait_for(browser, lambda page: page.current_url.endswith("/incidents"))
    assert Select(browser.find_element(By.ID, "scope")).first_selected_option.text == "shop (operator)"
    browser.find_element(By.CSS_SELECTOR, "form[action='/sign-out'] button").click()
    wait_for(browser, lambda page: page.current_url.endswith("/signed-out"))
    link = browser.find_element(By.PARTIAL_LINK_TEXT, "Sign out of Staff login").get_attribute("href")
    assert re.fullmatch(r"http://localhost:\d+/session/end\?client_id=furrow", link or "")
    own = [entry for entry in find_problems(browser) if str(client.base_url) in entry["message"]]
    assert [entry for entry in own if "401" not in entry["message"]] == []  # the page that asks to sign in is a 401


def test_the_pages_of_signing_in_and_the_audit_log_are_accessible(browser: Chrome, client: httpx.Client) -> None:
    install_packages(AXE.parents[2])
    browser.get(f"{client.base_url}/audit")
    found = {"sign-in": run_axe(browser)}
    enter_at_provider(browser, "ada")
    wait_for(browser, lambda page: page.current_url.endswith("/audit"))
    assert "Ada Lovelace" in browser.find_element(By.TAG_NAME, "main").text
    found["audit"] = run_axe(browser)
    browser.find_element(By.CSS_SELECTOR, "form[action='/sign-out'] button").click()
    wait_for(browser, lambda page: page.current_url.endswith("/signed-out"))
    found["signed-out"] = run_axe(browser)
    assert found == {"sign-in": [], "audit": [], "signed-out": []}
