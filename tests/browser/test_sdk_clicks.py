"""furrow.js in Chromium: which control was pressed, and how."""

import pytest

from tests.browser.sdk_site import Site

pytestmark = pytest.mark.browser


def test_first_click_end_to_end(site: Site) -> None:
    site.api("/api/pay", 500)
    site.show("<button id=pay onclick=\"fetch('/api/pay?card=1', {method: 'POST'})\"><svg width=20 height=20><path d='M0 0h20v20z'/></svg>Pay now</button>")
    site.click("#pay svg", 2, 0.2)
    clicks = site.sent("click", 2)
    (first, second) = site.sent("network", 2)
    assert clicks[0]["target"] == {"type": "button", "id": "pay", "tagName": "button", "label": "Pay now"}
    assert first["cause"] == clicks[0]["eventId"] and second["cause"] == clicks[1]["eventId"]
    assert first["metadata"]["status"] == 500 and first["metadata"]["url"] == "/api/pay"
    assert site.faults() == 0
