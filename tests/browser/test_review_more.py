"""More of the review pages in a real Chromium: four answers at once, settings by hand, long sessions, first events."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from core.session_window import find_window_socket
from lander.loop import Lander
from lander.session_socket import serve_session_windows
from stores.events.event_store import EventStore
from stores.incidents.incident_store import IncidentStore
from tests.browser.conftest import wait_for
from tests.browser.review_pictures import DOCS, PAGES, SESSION, open_scene, sign_in_everywhere, take_pictures
from tests.browser.test_review import find_problems, press
from tests.integration.api_cases import EVENT, serving, whole_detection
from tests.integration.page_cases import record_one
from tests.rows import lines, row

pytestmark = pytest.mark.browser
ANSWERS = ("what", "whom", "when", "why")
COLUMNS = (".answers", "aside", ".story")
OPERATOR = {"X-API-Key": "all-operator"}


@pytest.fixture
def client(tmp_path: Path, postgres_url: str, event_store: EventStore) -> Iterator[httpx.Client]:
    folder = tmp_path / "collector"
    folder.mkdir()
    with open_scene(folder, postgres_url, event_store) as made:
        yield made


def set_window(page: Chrome, width: int, height: int) -> None:
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def click_in_view(page: Chrome, by: str, what: str) -> None:
    """Scroll an element out of the header's way, as a person does, and click it."""
    found = page.find_element(by, what)
    page.execute_script("arguments[0].scrollIntoView({ block: 'center' })", found)
    found.click()


def find_hidden_answers(page: Chrome) -> list[str]:
    """The answers whose boxes are not wholly in the window."""
    boxes = page.execute_script(
        "return arguments[0].map((id) => { const box = document.getElementById(id).closest('section')"
        ".getBoundingClientRect(); return [id, box.top, box.left, box.bottom, box.right]; });",
        list(ANSWERS),
    )
    width, height = page.execute_script("return [innerWidth, innerHeight]")
    return [id_ for id_, top, left, bottom, right in boxes if top < 0 or left < 0 or bottom > height or right > width]


def test_the_four_answers_are_seen_without_scrolling(browser: Chrome, client: httpx.Client, postgres_url: str) -> None:
    store = IncidentStore.connect(postgres_url)
    found = whole_detection("long", "shop")
    found["fingerprint"] = "long"
    found["explanation"] = "4 clicks on “Pay now” were answered with 500. " * 20
    found["failurePoint"] = {"route": "/checkout/" + "x" * 180, "target": "button#" + "y" * 150, "feedback": "E" * 400}
    found["points"] = [{"rule": f"rule number {n}", "points": n} for n in range(20)]
    record_one(store, found)
    store.close()
    set_window(browser, 1280, 800)
    sign_in_everywhere(browser, client)
    listed = client.get("/incidents.json?status=all", headers=OPERATOR).json()["incidents"]
    hidden = {}
    for incident in listed:
        browser.get(f"{client.base_url}/incidents/{incident['incidentId']}")
        if missing := find_hidden_answers(browser):
            hidden[incident["title"]] = missing
    assert hidden == {}
    assert len(listed) > 8


def test_the_answers_show_who_of_those_that_reached_the_step_is_hit_and_the_timeline_follows(
    browser: Chrome, client: httpx.Client
) -> None:
    set_window(browser, 1400, 800)
    sign_in_everywhere(browser, client)
    browser.get(f"{client.base_url}/incidents?sort=-affectedSessions")
    press(browser, "j", Keys.ENTER)
    wait_for(browser, lambda page: page.find_elements(By.ID, "example"))
    hit = browser.find_element(By.CSS_SELECTOR, "section[aria-labelledby=whom]")
    assert "36 of 1,146 that reached this step: 3.1 % (2.3–4.3 %)" in hit.text
    assert "Most in 2.5.0: 7.9 % of 139; others 2.5 % of 1,007." in hit.text
    assert browser.execute_script("return arguments[0].scrollHeight <= arguments[0].clientHeight", hit)
    answers, side, story = (browser.find_element(By.CSS_SELECTOR, f".columns > {part}").rect for part in COLUMNS)
    assert 0 < story["y"] - answers["y"] - answers["height"] < 40, "nothing stands empty below the answers"
    assert story["x"] + story["width"] < side["x"]


@pytest.mark.parametrize("width", [360, 700, 1000])
def test_no_page_scrolls_sideways(browser: Chrome, client: httpx.Client, width: int) -> None:
    set_window(browser, width, 800)
    sign_in_everywhere(browser, client)
    (found,) = client.get("/incidents.json?sort=-affectedSessions", headers=OPERATOR).json()["incidents"][:1]
    wide = {}
    for path in (*PAGES.values(), f"/incidents/{found['incidentId']}", "/exceptions", "/audit"):
        browser.get(f"{client.base_url}{path}")
        if (reached := browser.execute_script("return document.documentElement.scrollWidth")) > width:
            wide[path] = reached
    assert wide == {}


def test_every_event_of_a_session_is_drawn_and_a_key_moves_through_them(browser: Chrome, client: httpx.Client) -> None:
    sign_in_everywhere(browser, client)
    browser.get(f"{client.base_url}/session?project=shop&id={SESSION}#t=2600")
    assert "POST /api/payments → 500" in browser.find_element(By.CSS_SELECTOR, ".event-row:target").text
    assert len(browser.find_elements(By.CSS_SELECTOR, ".event-row")) == 20
    assert len(browser.find_elements(By.CSS_SELECTOR, "svg.lanes circle")) == 20
    assert {name.text for name in browser.find_elements(By.CSS_SELECTOR, ".bracket text")} == {"rage", "feedback"}
    press(browser, "j", "j")
    assert "GET /api/cart → 200" in browser.find_element(By.CSS_SELECTOR, ".event-row.on").text
    press(browser, "k", "?")
    assert browser.find_element(By.ID, "keys").is_displayed()
    assert find_problems(browser) == []


def test_a_link_to_a_moment_leads_to_the_part_that_has_it(
    browser: Chrome, client: httpx.Client, event_store: EventStore
) -> None:
    rows = [row("many", n * 1_000, project="shop", target_id=f"b{n}", seq=n) for n in range(1_000)]
    event_store.land_segment(lines(rows), "many")
    sign_in_everywhere(browser, client)
    browser.get(f"{client.base_url}/session?project=shop&id=many#t=900000")
    wait_for(browser, lambda page: page.find_elements(By.CSS_SELECTOR, ".event-row:target"))
    assert "b900" in browser.find_element(By.CSS_SELECTOR, ".event-row:target").text
    click_in_view(browser, By.LINK_TEXT, "Earlier events")
    wait_for(browser, lambda page: "from=" in page.current_url)
    assert find_problems(browser) == []


def test_an_incident_leads_to_the_next_and_its_steps_are_code(browser: Chrome, client: httpx.Client) -> None:
    sign_in_everywhere(browser, client)
    press(browser, "j", Keys.ENTER)
    wait_for(browser, lambda page: page.find_elements(By.ID, "why"))
    first = browser.find_element(By.TAG_NAME, "h1").text
    press(browser, "]")
    wait_for(browser, lambda page: page.find_element(By.TAG_NAME, "h1").text != first)
    press(browser, "[")
    wait_for(browser, lambda page: page.find_element(By.TAG_NAME, "h1").text == first)
    click_in_view(browser, By.XPATH, "//summary[text()='The same as a Playwright test']")
    assert 'from "@playwright/test"' in browser.find_element(By.ID, "code-text").text
    press(browser, "u")
    wait_for(browser, lambda page: page.find_elements(By.ID, "filters"))
    assert find_problems(browser) == []


def test_an_administrator_makes_a_key_sets_a_threshold_and_saves_a_view(browser: Chrome, client: httpx.Client) -> None:
    sign_in_everywhere(browser, client)
    click_in_view(browser, By.LINK_TEXT, "Settings")
    wait_for(browser, lambda page: page.find_elements(By.ID, "origins"))
    click_in_view(browser, By.LINK_TEXT, "shop")
    wait_for(browser, lambda page: "project=shop" in page.current_url)
    browser.find_element(By.ID, "key-label").send_keys("web pages", Keys.ENTER)
    wait_for(browser, lambda page: page.find_elements(By.ID, "key-text"))
    key = browser.find_element(By.ID, "key-text").text
    assert re.fullmatch(r"fi_[A-Za-z0-9_\-]{43}", key)
    assert key in browser.find_element(By.ID, "tag-text").text
    click_in_view(browser, By.LINK_TEXT, "Settings")
    wait_for(browser, lambda page: page.find_elements(By.ID, "origins"))
    browser.get(f"{client.base_url}/settings?project=shop")
    assert key not in browser.page_source
    click_in_view(browser, By.XPATH, "//section[.//h2[@id='thresholds']]//summary")
    browser.find_element(By.ID, "set.thresholds.rage_clicks").send_keys("6", Keys.ENTER)
    wait_for(browser, lambda page: "saved=1" in page.current_url)
    assert browser.find_element(By.ID, "set.thresholds.rage_clicks").get_attribute("value") == "6"
    assert "thresholds.rage_clicks = 6" in browser.find_element(By.CSS_SELECTOR, ".history").text
    click_in_view(browser, By.XPATH, f"//tr[td[text()='{key[:11]}…']]//button")
    wait_for(
        browser, lambda page: page.find_elements(By.XPATH, f"//tr[td[text()='{key[:11]}…']]//span[text()='revoked']")
    )
    browser.get(f"{client.base_url}/incidents?severity=High")
    click_in_view(browser, By.XPATH, "//summary[text()='Save this view']")
    browser.find_element(By.ID, "view-name").send_keys("High ones", Keys.ENTER)
    wait_for(browser, lambda page: page.find_elements(By.LINK_TEXT, "High ones"))
    assert browser.current_url.endswith("severity=High")
    assert find_problems(browser) == []


def test_the_first_event_turns_the_line_green(
    browser: Chrome, tmp_path: Path, postgres_url: str, event_store: EventStore
) -> None:
    store = IncidentStore.connect(postgres_url)
    store.migrate()
    store.close()
    folder = tmp_path / "collector"
    status = folder / "lander.json"
    (folder / "spool").mkdir(parents=True)
    lander = Lander(folder / "spool", lambda: event_store, status)
    thread = threading.Thread(target=lander.land_until_stopped)
    thread.start()
    try:
        with (
            serve_session_windows(find_window_socket(status), lambda: event_store),
            serving(
                folder,
                postgres_url,
                lander_status=status,
                operator_key="all-operator",
                development_operator_key="all-admin",
                ingest_key="sender",
            ) as client,
        ):
            sign_in_everywhere(browser, client)
            line = wait_for(browser, lambda page: page.find_element(By.CSS_SELECTOR, "[data-waiting]"))
            assert "Waiting for the first event" in line.text
            assert "arrived" not in str(line.get_attribute("class"))
            sent = client.post("/v1/events", json={"events": [EVENT]}, headers={"X-API-Key": "sender"})
            assert sent.status_code == 202
            wait_for(browser, lambda page: page.find_elements(By.CSS_SELECTOR, "[data-waiting].arrived"))
            assert find_problems(browser) == []
    finally:
        lander.stop()
        thread.join()


def test_every_page_has_a_picture_in_the_documents(browser: Chrome, client: httpx.Client, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    take_pictures(browser, client, pictures)
    text = (DOCS / "review.md").read_text(encoding="utf-8")
    for name in PAGES:
        assert (pictures / f"{name}.png").stat().st_size > 10_000
        assert (DOCS / f"{name}.png").exists(), "python -m tests.browser.review_pictures writes it"
        assert f"({name}.png)" in text
