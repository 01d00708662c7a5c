"""The review pages in a real Chromium, by hand: sign in by the link, look, decide by keyboard and click."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support import expected_conditions
from selenium.webdriver.support.select import Select

from stores.incidents.incident_store import IncidentStore
from tests.browser.conftest import wait_for
from tests.browser.review_scene import fill_scene
from tests.integration.api_cases import SHOP, fill, serving
from tests.npm import install_packages

pytestmark = pytest.mark.browser
AXE = Path(__file__).parents[2] / "browser/node_modules/axe-core/axe.min.js"


@pytest.fixture
def store(postgres_url: str) -> Iterator[IncidentStore]:
    made = fill(postgres_url)
    fill_scene(made)
    yield made
    made.close()


@pytest.fixture
def client(tmp_path: Path, postgres_url: str, store: IncidentStore) -> Iterator[httpx.Client]:
    with serving(tmp_path / "collector", postgres_url, development_operator_key="all-admin") as made:
        yield made


def make_link(client: httpx.Client, role: str = "operator") -> str:
    return str(client.post("/v1/sign-in-links", json={"role": role}, headers=SHOP).json()["url"])


def find_problems(page: Chrome) -> list[Any]:
    """What the browser complained about: refused scripts and styles, errors."""
    return [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"]


def press(page: Chrome, *keys: str) -> None:
    for key in keys:  # to what has the focus now: a list that is drawn anew takes elements away
        ActionChains(page).send_keys(key).perform()


def test_a_person_signs_in_finds_an_incident_and_decides_by_keyboard(browser: Chrome, client: httpx.Client) -> None:
    browser.get(make_link(client))
    assert browser.current_url.endswith("/incidents")
    press(browser, "/", "payments")
    wait_for(browser, lambda page: len(page.find_elements(By.CSS_SELECTOR, "[data-row]")) == 1)
    assert "q=payments" in browser.current_url
    press(browser, Keys.ESCAPE, "j", Keys.ENTER)
    wait_for(browser, lambda page: "/incidents/inc_" in page.current_url)
    assert "POST /api/payments → 500" in browser.find_element(By.CSS_SELECTOR, "h1").text
    for title in ("What fails", "Whom it hits", "Since when", "Why we are sure"):
        heading = browser.find_element(By.XPATH, f"//h2[text()='{title}']")
        assert heading.rect["y"] < 700, "the four answers are seen without scrolling"
    press(browser, "r", "fixed by hand", Keys.ENTER)
    wait_for(browser, lambda page: "resolved" in page.find_element(By.CSS_SELECTOR, ".pills").text)
    assert "fixed by hand" in browser.find_element(By.CSS_SELECTOR, ".history").text
    assert find_problems(browser) == []


def test_a_list_that_is_drawn_anew_keeps_the_row_that_was_chosen_by_keyboard(
    browser: Chrome, client: httpx.Client
) -> None:
    browser.get(make_link(client))
    press(browser, "j", "j")
    before = browser.find_element(By.CSS_SELECTOR, "[data-row].on")
    incident = before.get_attribute("data-row")
    browser.execute_script("htmx.trigger(document.querySelector('#list'), 'refresh-list')")
    wait_for(browser, expected_conditions.staleness_of(before))
    assert browser.find_element(By.CSS_SELECTOR, "[data-row].on").get_attribute("data-row") == incident
    press(browser, Keys.ENTER)
    wait_for(browser, lambda page: page.current_url.endswith(f"/incidents/{incident}"))
    # What a person writes elsewhere stays where it is.
    browser.get(f"{client.base_url}/incidents")
    press(browser, "j")
    row = browser.find_element(By.CSS_SELECTOR, "[data-row].on")
    browser.find_element(By.ID, "q").click()
    browser.execute_script("htmx.trigger(document.querySelector('#list'), 'refresh-list')")
    wait_for(browser, expected_conditions.staleness_of(row))
    assert browser.switch_to.active_element.get_attribute("id") == "q"
    assert find_problems(browser) == []


def test_a_person_says_that_it_was_no_frustration(browser: Chrome, client: httpx.Client) -> None:
    browser.get(make_link(client))
    incident = client.get("/v1/incidents", headers=SHOP).json()["incidents"][0]["incidentId"]
    browser.get(f"{client.base_url}/incidents/{incident}")
    Select(browser.find_element(By.ID, "why-not")).select_by_visible_text("an expected refusal")
    browser.find_element(By.ID, "in-words").send_keys("sold out")
    browser.find_element(By.CSS_SELECTOR, "button[value=no_frustration]").click()
    wait_for(browser, lambda page: "no, an expected refusal. sold out" in page.page_source)
    browser.find_element(By.CSS_SELECTOR, "button[name=verdict][value=none]").click()
    wait_for(browser, lambda page: "Nobody has decided yet" in page.page_source)
    assert find_problems(browser) == []


def test_several_drafts_are_confirmed_by_click(browser: Chrome, client: httpx.Client) -> None:
    browser.get(make_link(client))
    browser.get(f"{client.base_url}/incidents?status=draft")
    boxes = browser.find_elements(By.CSS_SELECTOR, "input.pick")
    assert boxes
    assert not browser.find_element(By.CSS_SELECTOR, ".bulk").is_displayed()
    for box in boxes:
        box.click()
    browser.find_element(By.CSS_SELECTOR, ".bulk [name=reason]").send_keys("seen in the logs")
    browser.find_element(By.CSS_SELECTOR, ".bulk [value=confirm]").click()
    wait_for(browser, lambda page: "No incident matches" in page.find_element(By.TAG_NAME, "main").text)
    assert find_problems(browser) == []


def test_the_timeline_leads_from_a_point_to_its_event(browser: Chrome, client: httpx.Client) -> None:
    browser.get(make_link(client))
    browser.get(f"{client.base_url}/session?project=shop&id=s-payment-0#t=2600")
    row = browser.find_element(By.CSS_SELECTOR, ".event-row:target")
    assert "POST /api/payments → 500" in row.text
    assert browser.find_element(By.CSS_SELECTOR, "svg.lanes").is_displayed()
    assert find_problems(browser) == []


@contextmanager
def another_site(link: str) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f'<a id="go" href="{link}">the incident</a>'.encode()
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://localhost:{server.server_port}/"  # another site than 127.0.0.1
    finally:
        server.shutdown()
        server.server_close()


def test_a_link_in_a_ticket_leads_a_signed_in_person_to_the_incident(browser: Chrome, client: httpx.Client) -> None:
    browser.get(make_link(client))
    incident = client.get("/v1/incidents", headers=SHOP).json()["incidents"][0]["incidentId"]
    with another_site(f"{client.base_url}/incidents/{incident}") as tracker:
        browser.get(tracker)
        browser.find_element(By.ID, "go").click()
        wait_for(browser, lambda page: page.find_elements(By.ID, "why"))


def test_who_is_not_signed_in_comes_back_to_where_they_wanted(browser: Chrome, client: httpx.Client) -> None:
    browser.get(f"{client.base_url}/incidents?status=draft")
    browser.find_element(By.ID, "key").send_keys("shop-operator", Keys.ENTER)
    wait_for(browser, lambda page: page.find_elements(By.ID, "filters"))
    assert browser.current_url.endswith("/incidents?status=draft")


def test_the_pages_are_accessible(browser: Chrome, client: httpx.Client) -> None:
    install_packages(AXE.parents[2])
    browser.get(f"{client.base_url}/sign-in")
    found = {"/sign-in": run_axe(browser)}
    browser.get(make_link(client))
    incident = client.get("/v1/incidents", headers=SHOP).json()["incidents"][0]["incidentId"]
    judge_examples(client, incident)
    for path in (
        "/incidents",
        "/incidents?q=nothing",
        f"/incidents/{incident}",
        f"/incidents/{incident}/ticket",
        "/session?project=shop&id=s-payment-0",
        "/near-misses",
        "/exceptions",
        "/health",
        "/incidents/nothing",
        "/settings?project=shop",
    ):
        browser.get(f"{client.base_url}{path}")
        found[path] = run_axe(browser)
    browser.delete_all_cookies()
    browser.get(f"{client.base_url}/settings")
    browser.find_element(By.ID, "key").send_keys("all-admin", Keys.ENTER)
    wait_for(browser, lambda page: page.find_elements(By.ID, "origins"))
    browser.get(f"{client.base_url}/settings?project=shop")
    for summary in browser.find_elements(By.CSS_SELECTOR, "summary"):
        summary.click()
    found["/settings of an administrator"] = run_axe(browser)
    assert {path: problems for path, problems in found.items() if problems} == {}


def judge_examples(client: httpx.Client, incident_id: str) -> None:
    """A verdict on each example session, and the replay of what they propose."""
    examples = client.get(f"/v1/incidents/{incident_id}", headers=SHOP).json()["examples"]
    for example in examples:
        verdict = {"sessionId": example["sessionId"], "verdict": "no_frustration", "reason": "expected_refusal"}
        assert client.post(f"/v1/incidents/{incident_id}/verdict", json=verdict, headers=SHOP).status_code == 200
    for proposal in client.get("/v1/exceptions", headers=SHOP).json()["proposals"]:
        path = f"/v1/exceptions/{proposal['exceptionId']}/try"
        assert client.post(path, json={"reason": "to see"}, headers=SHOP).status_code == 200


def run_axe(page: Chrome) -> list[str]:
    """The rules of WCAG 2.2 AA that the page breaks, with the first element of each."""
    page.execute_script(AXE.read_text(encoding="utf-8"))
    result = page.execute_async_script("""
        const done = arguments[0];
        const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
        axe.run(document, {runOnly: tags}).then((r) => done(r.violations));
    """)
    return [f"{rule['id']}: {rule['nodes'][0]['html'][:200]}" for rule in result]
