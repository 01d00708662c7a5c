"""From a press in a real page to the incident: furrow.js or another SDK, collector, spool, ClickHouse, flows, Postgres."""

import time
from typing import Any

import pytest

from tests.browser.sdk_site import Answer, Site
from tests.e2e.installation import Up, until
from tests.streams.copies import bundle, read_snippets, require_packages

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


def test_presses_that_datadogs_sdk_reports_are_an_incident(up: Up, site: Site) -> None:
    """The copy of docs/streams/datadog.md in the page. Its visits never say that they end: three that go on make a draft."""
    require_packages()
    (code, _) = read_snippets("datadog", furrow=f"http://127.0.0.1:{up.port}", key="test-key")
    site.answers["/sdk.js"] = Answer(bundle(code).decode(), kind="text/javascript")
    site.api("/api/baskets", 503)
    site.put(
        "/basket",
        "<button id=order>Order</button>",
        "order.onclick = () => fetch('/api/baskets', {method: 'POST'});",
        head="<script src=/sdk.js></script>",
    )
    for _ in range(3):
        site.browser.execute_cdp_cmd("Network.clearBrowserCookies", {})  # another visitor
        site.browser.get(site.address + "/basket")
        time.sleep(1)
        site.click("#order", 4, 0.4)
        time.sleep(1)
        site.leave()

    def list_incidents() -> list[dict[str, Any]]:
        return [one for one in up.get("/v1/incidents")["incidents"] if "button#order" in str(one)]

    until(lambda: bool(list_incidents()), 180)
    (incident,) = list_incidents()
    assert "POST /api/baskets" in str(incident)
    assert (incident["affectedSessions"], incident["openSessions"]) == (0, 3)
    shown = up.get(f"/v1/incidents/{incident['incidentId']}")
    assert len(shown["examples"]) == 3
    (stream,) = up.get("/v1/status")["streams"]
    assert (stream["name"], stream["rejectsToday"]) == ("datadog", {})
