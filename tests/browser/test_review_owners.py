"""Owners, assignment, merge and snoozing in a real Chromium: the keys `a` and `m`, and what axe says of these pages."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.select import Select

from stores.incidents.channel_tests import ChannelAnswer
from stores.incidents.incident_store import IncidentStore
from tests.browser.conftest import wait_for
from tests.browser.review_scene import fill_scene
from tests.browser.test_review import AXE, find_problems, make_link, press, run_axe
from tests.integration.api_cases import SHOP, fill, serving
from tests.npm import install_packages

pytestmark = pytest.mark.browser


@pytest.fixture
def store(postgres_url: str) -> Iterator[IncidentStore]:
    made = fill(postgres_url)
    fill_scene(made)
    yield made
    made.close()


@pytest.fixture
def client(tmp_path: Path, postgres_url: str, store: IncidentStore) -> Iterator[httpx.Client]:
    owners = tmp_path / "OWNERS"
    owners.write_text("/checkout/ @payments anna@example.com\n/login @identity\n")
    with serving(
        tmp_path / "collector", postgres_url, development_operator_key="all-admin", owners_file=owners
    ) as made:
        yield made


def find_incident(client: httpx.Client, **filters: str) -> str:
    """The page of the first incident of a list."""
    found = client.get("/v1/incidents", params=filters, headers=SHOP).json()["incidents"][0]
    return f"{client.base_url}/incidents/{found['incidentId']}"


def read_card(page: Chrome, heading: str) -> str:
    return page.find_element(By.CSS_SELECTOR, f"section[aria-labelledby={heading}]").text


def test_the_key_a_assigns_an_incident(browser: Chrome, client: httpx.Client) -> None:
    browser.get(make_link(client))
    browser.get(find_incident(client, owner="@payments"))
    assert "@payments, anna@example.com\nline 1: /checkout/" in read_card(browser, "owner")
    press(browser, "a", "ben", Keys.ENTER)
    wait_for(browser, lambda page: "assigned by shop on call" in read_card(page, "owner"))
    assert "ben" in read_card(browser, "owner")
    assert "assigned to ben" in read_card(browser, "history")
    assert find_problems(browser) == []


def test_the_key_a_assigns_those_chosen_in_the_list(browser: Chrome, client: httpx.Client) -> None:
    browser.get(make_link(client))
    press(browser, "j", "x", "j", "x", "a", "@web", Keys.ENTER)
    # The list asks for a reason; Enter there assigns, too.
    wait_for(browser, lambda page: page.switch_to.active_element.get_attribute("name") == "reason")
    press(browser, "their pages", Keys.ENTER)
    wait_for(browser, lambda page: page.page_source.count(">@web</span>") == 2)
    assert client.get("/v1/incidents", params={"owner": "@web"}, headers=SHOP).json()["total"] == 2
    assert find_problems(browser) == []


def test_the_key_m_asks_which_of_two_remains_and_merges(browser: Chrome, client: httpx.Client) -> None:
    install_packages(AXE.parents[2])
    browser.get(make_link(client))
    before = len(browser.find_elements(By.CSS_SELECTOR, "[data-row]"))
    press(browser, "j", "x", "m")
    assert browser.current_url.endswith("/incidents"), "one alone is not merged"
    press(browser, Keys.ESCAPE, "j", "x", "m")
    wait_for(browser, lambda page: page.find_elements(By.ID, "keep-2"))
    assert run_axe(browser) == []
    kept = browser.find_element(By.CSS_SELECTOR, "section[aria-labelledby=keep-1] a").get_attribute("href")
    browser.find_element(By.ID, "reason-1").send_keys("the same form", Keys.ENTER)
    wait_for(browser, lambda page: "/incidents/inc_" in page.current_url)
    assert browser.current_url == kept
    assert "the same form" in read_card(browser, "history")
    browser.get(f"{client.base_url}/incidents")
    assert len(browser.find_elements(By.CSS_SELECTOR, "[data-row]")) == before - 1
    assert find_problems(browser) == []


def test_the_list_is_filtered_by_owner_and_an_incident_is_snoozed(browser: Chrome, client: httpx.Client) -> None:
    browser.get(make_link(client))
    browser.find_element(By.XPATH, "//summary[text()='More filters']").click()
    browser.find_element(By.CSS_SELECTOR, "#filters [name=owner]").send_keys("@identity", Keys.ENTER)
    wait_for(browser, lambda page: "owner=%40identity" in page.current_url)
    wait_for(browser, lambda page: len(page.find_elements(By.CSS_SELECTOR, "[data-row]")) == 1)
    browser.find_element(By.CSS_SELECTOR, "[data-row] .title a").click()
    wait_for(browser, lambda page: page.find_elements(By.ID, "snooze-for"))
    browser.find_element(By.CSS_SELECTOR, "section[aria-labelledby=alerts] summary").click()
    Select(browser.find_element(By.ID, "snooze-for")).select_by_visible_text("4 hours")
    browser.find_element(By.ID, "snooze-reason").send_keys("we know", Keys.ENTER)
    wait_for(browser, lambda page: "Snoozed until" in read_card(page, "alerts"))
    assert "by shop on call: we know" in read_card(browser, "alerts")
    Select(browser.find_element(By.ID, "snooze-for")).select_by_visible_text("no longer: end it now")
    browser.find_element(By.CSS_SELECTOR, "section[aria-labelledby=alerts] button").click()
    wait_for(browser, lambda page: "Not snoozed" in read_card(page, "alerts"))
    assert find_problems(browser) == []


def test_the_pages_of_owners_and_alerts_are_accessible(
    browser: Chrome, client: httpx.Client, store: IncidentStore
) -> None:
    install_packages(AXE.parents[2])
    browser.get(make_link(client))
    found = {}
    for path in ("/incidents?owner=%40payments&owned=true", "/incidents?owned=false", "/incidents?owner=nobody"):
        browser.get(f"{client.base_url}{path}")
        found[path] = run_axe(browser)
    browser.get(find_incident(client, owner="@payments"))
    press(browser, "a", "ben", Keys.ENTER)
    wait_for(browser, lambda page: "assigned by" in read_card(page, "owner"))
    browser.find_element(By.CSS_SELECTOR, "section[aria-labelledby=alerts] summary").click()
    browser.find_element(By.CSS_SELECTOR, "section[aria-labelledby=alerts] button").click()
    wait_for(browser, lambda page: "Snoozed until" in read_card(page, "alerts"))
    found["an incident that is assigned and snoozed"] = run_axe(browser)
    browser.get(f"{client.base_url}/incidents")
    press(browser, "j", "x", "a", "@web", Keys.TAB)
    chosen = browser.find_element(By.CSS_SELECTOR, "input.pick:checked").get_attribute("value") or ""
    store.ledger.assign_incident(chosen.partition(":")[0], "ann", "", "ann")
    browser.find_element(By.CSS_SELECTOR, ".bulk [name=reason]").send_keys("theirs")
    browser.find_element(By.CSS_SELECTOR, "[formaction='/incidents/assign']").click()
    wait_for(browser, lambda page: "stayed as they are" in page.page_source)
    found["an assignment that was refused"] = run_axe(browser)
    store.channel_tests.ask_for_test("ann")
    test = store.channel_tests.read_test()
    assert test is not None
    store.channel_tests.record_answers(
        test, [ChannelAnswer("ops", True, ""), ChannelAnswer("mail", False, "it answered 500")]
    )
    browser.delete_all_cookies()
    browser.get(f"{client.base_url}/settings")
    browser.find_element(By.ID, "key").send_keys("all-admin", Keys.ENTER)
    wait_for(browser, lambda page: "it answered 500" in page.page_source)
    found["/settings with a test of channels"] = run_axe(browser)
    assert {path: problems for path, problems in found.items() if problems} == {}
