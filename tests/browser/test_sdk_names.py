"""Names that the build shortens stay within the script: what is sent, kept and told to the page has the contract's names."""

import json
import re
import time
from collections.abc import Iterable
from typing import Any

import pytest
from selenium.webdriver import ActionChains, Keys

from tests.browser.sdk_site import ROOT, TAG, Event, Site

pytestmark = pytest.mark.browser

CONTRACT = ROOT / "docs/contracts/events.md"
METADATA = {
    "click": {"x", "y", "clickCount", "inputMethod", "disabled", "loading", "selection", "responded", "modifiers"},
    "verdict": {"responded"},
    "input": {"action", "fieldType"},
    "form_submit": {"valid"},
    "navigation": {"navigationType", "from", "external"},
    "error": {"errorType", "message", "source", "thirdParty", "frame", "element"},
    "network": {"method", "url", "status", "durationMs", "aborted", "thirdParty", "bodyError", "reason"},
    "performance": {"kind", "durationMs"},
    "visibility": {"state"},
    "session_end": set[str](),
}
"""All keys of each kind of event in the visit below."""
EVENT = {"eventType", "timestamp", "sessionId", "route", "seq", "eventId", "idempotencyKey", "metadata"}
SOMETIMES = {"cause", "target", "userId", "verdictFor"}
NOT_IN_THE_CONTRACT = {"element", "reason"}
"""Kept with the event, and not read: the contract allows any other metadata."""

BODY = """<a href=mailto:shop@example.com>Write</a><button id=buy>Buy</button><button id=dead>Dead</button>
<form id=order><input id=mail name=mail type=email required><button id=send>Send</button></form>"""
SCRIPT = """
buy.onclick = () => {
  fetch("/api/orders", {method: "POST"});
  fetch("/graphql");
  Promise.reject(new Error("no stock"));
  const image = document.body.appendChild(new Image());
  image.src = "/missing.png";
  setTimeout(() => { throw new Error("broken"); }, 20);
};
document.querySelector("a").onclick = (event) => event.stopPropagation();
// Failures are sent a second after they are told, which is before the verdict on the click of this press: it comes later.
dead.onpointerdown = () => furrow.failed("stock", "empty");
"""
STARTED = """<script>
  window.blocked = [];
  window.seen = [];
  window.furrow = [["user", "4711"], ["init", {key: "key-of-the-page",
    beforeSend(event) { seen.push(JSON.parse(JSON.stringify(event))); return event; },
    onBlocked(one) { blocked.push(one); }}]];
</script>"""


def keys(events: Iterable[dict[str, Any]]) -> set[str]:
    return {name for event in events for name in event}


def visit(site: Site) -> None:
    """Everything that the script can tell of, once."""
    site.api("/api/orders", 500)
    site.api("/graphql", body='{"errors": [{"message": "no"}]}')
    site.show(BODY, SCRIPT, head=STARTED + TAG, path="/shop")
    site.click("#buy", 2, 0.3)
    site.run("history.pushState(null, '', '/basket'); furrow.failed('stock', 'empty'); furrow.achieved('stock');")
    site.click("#mail")
    site.find("#mail").send_keys("x")
    site.click("#send")
    site.run("document.dispatchEvent(new Event('visibilitychange'))")
    site.click("#dead", 4, 0.3)
    ActionChains(site.browser).key_down(Keys.SHIFT).click(site.find("#dead")).key_up(Keys.SHIFT).perform()
    time.sleep(1.3)
    site.click("a")


def test_what_is_sent_has_the_names_of_the_contract(site: Site) -> None:
    elsewhere = site.browser.current_window_handle
    site.browser.switch_to.new_window("tab")
    visit(site)
    time.sleep(0.2)
    page = site.run("return [Object.keys(furrow), blocked, seen, JSON.parse(localStorage.furrow)]")
    site.browser.close()
    site.browser.switch_to.window(elsewhere)
    site.sent("session_end", leave=False)
    batches, events = site.intake.batches, site.intake.events()

    known = set(re.findall(r"`(\w+)`", CONTRACT.read_text()))
    assert keys(batches) - {"apiKey"} <= known
    assert keys(events) == EVENT | SOMETIMES <= known
    assert keys(event["target"] for event in events if "target" in event) == {
        "type",
        "id",
        "selector",
        "tagName",
        "label",
    }
    found = {kind: keys(event["metadata"] for event in of(events, kind)) for kind in METADATA}
    assert found == METADATA
    assert {event["eventType"] for event in events} == set(METADATA)
    assert set().union(*found.values()) - NOT_IN_THE_CONTRACT <= known

    calls, blocked, seen, kept = page
    assert set(calls) == {"version", "init", "user", "page", "achieved", "failed", "consent", "session", "stop", "push"}
    assert keys(blocked) == {"request", "status", "attempts", "control"}
    assert keys(one["request"] for one in blocked) == {"method", "url"}
    assert keys(seen) == keys(events)
    assert set(kept) == {"id", "last", "out"}


def test_what_waits_in_the_browser_has_names_that_the_next_version_reads(site: Site) -> None:
    site.put("/next", "<p>Thanks")
    site.intake.status = 503
    site.show(
        "<form action=/next><button id=send>Send</button></form>",
        "onpagehide = () => { localStorage.note = sessionStorage.furrow; };",
    )
    site.run("furrow.failed('stock')")
    site.wait_for(lambda: bool(site.intake.headers))
    time.sleep(0.3)
    rows = site.browser.execute_async_script(
        """const done = arguments[0], opening = indexedDB.open("furrow");
        opening.onsuccess = () => {
          const all = opening.result.transaction("furrow").objectStore("furrow").getAll();
          all.onsuccess = () => { opening.result.close(); done(all.result.flat()); };
        };"""
    )
    assert rows
    assert keys(rows) == {"text", "urgent"}
    site.click("#send")
    site.wait_for(lambda: site.browser.current_url.split("?")[0].endswith("/next"))
    note = json.loads(site.run("return localStorage.note"))
    assert set(note) == {"cause", "route", "form", "at"}
    assert set(note["form"]) == {"path", "method"}
    site.intake.status = 202


def of(events: list[Event], kind: str) -> list[Event]:
    return [event for event in events if event["eventType"] == kind]
