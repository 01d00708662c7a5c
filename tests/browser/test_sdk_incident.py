"""From a press in a real page to the incident: furrow.js, collector, spool, ClickHouse, flows, Postgres."""

import time
from collections.abc import Iterator

import pytest

from tests.browser.sdk_site import Site
from tests.e2e.installation import Up, until

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    installation = Up(tmp_path_factory.mktemp("sdk") / "data")
    installation.start()
    yield installation
    installation.kill_everything()


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
    until(lambda: up.get("/v1/incidents?status=draft")["total"] == 1, 180)
    (incident,) = up.get("/v1/incidents?status=draft")["incidents"]
    assert "button#pay" in str(incident)
    assert "POST /api/orders" in str(incident)
    assert incident["affectedSessions"] == 1
