"""From a press in a real page to the incident: furrow.js, collector, spool, ClickHouse, flows, Postgres."""

import time
from typing import Any

import pytest

from tests.browser.sdk_site import Site
from tests.e2e.installation import Up, until

pytestmark = pytest.mark.browser


def find_incidents(up: Up) -> list[dict[str, Any]]:
    """Those of the page of this test."""
    return list(up.get("/v1/incidents?status=draft&route=/checkout")["incidents"])


def test_four_presses_of_a_broken_button_are_an_incident(up: Up, site: Site) -> None:
    site.api("/api/orders", 500)
    address = f"http://127.0.0.1:{up.port}"
    tag = f'<script async src=/furrow.js data-key=test-key data-url="{address}" data-app-version=4.2.0></script>'
    site.put(
        "/checkout",
        "<button id=pay><b>Pay now</b></button>",
        "pay.onclick = () => fetch('/api/orders', {method: 'POST'});",
        head=tag,
    )
    start = site.browser.current_window_handle
    site.browser.switch_to.new_window("tab")
    site.browser.get(site.address + "/checkout")
    time.sleep(0.5)
    site.click("#pay b", 4, 0.25)
    time.sleep(1.5)
    site.browser.close()  # the last tab: the session ends
    site.browser.switch_to.window(start)
    until(lambda: any(incident["affectedSessions"] for incident in find_incidents(up)), 180)
    (incident,) = find_incidents(up)
    assert "button#pay" in str(incident)
    assert "POST /api/orders" in str(incident)
    assert incident["affectedSessions"] == 1
