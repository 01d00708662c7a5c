"""Pictures of the review pages: ``python -m tests.browser.review_pictures`` writes those of docs/."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from core.session_window import find_window_socket
from lander.session_socket import serve_session_windows
from stores.embedded_postgres import EmbeddedPostgres
from stores.events.event_store import EventStore
from stores.incidents.incident_store import IncidentStore
from tests.browser.conftest import open_chromium, wait_for
from tests.browser.review_scene import fill_scene
from tests.integration.api_cases import fill, serving
from tests.rows import lines, row

DOCS: Final = Path(__file__).parents[2] / "docs"
SESSION: Final = "s-payment-0"
PAGES: Final = {
    "review-incidents": "/incidents",
    "review-incident": "",
    "review-session": f"/session?project=shop&id={SESSION}",
    "review-near-misses": "/near-misses",
    "review-health": "/health",
    "review-settings": "/settings?project=shop",
}
"""Name of the picture in docs/ → its page; '' is the incident with most sessions."""


def land_session(events: EventStore, store: IncidentStore, session: str = SESSION) -> None:
    """Store the events of a session of the scene, with more around those that its detection names."""
    from datetime import datetime

    (found,) = store.review.read_session("shop", session).detections
    first = round(datetime.fromisoformat(found.example["timestamp"]).timestamp() * 1000)
    base = row()["ts"]

    def made(offset_ms: int, **columns: Any) -> dict[str, Any]:
        at = first + offset_ms - base
        return row(session, at, **{"project": "shop", "route": "/checkout/payment", **columns})

    pay = {"target_type": "button", "target_tag": "button", "target_id": "pay", "target_label": "Pay now"}
    mail = {"event_type": "input", "target_type": "input", "target_id": "mail", "target_label": "E-mail"}
    failed = {"event_type": "network", "method": "POST", "url": "/api/payments", "status": 500, "duration_ms": 290}
    events.land_segment(
        lines(
            [
                made(-14_000, event_type="navigation", route="/cart", nav_type="link"),
                made(-13_600, event_type="network", method="GET", url="/api/cart", status=200, duration_ms=120),
                made(-11_200, event_type="scroll", direction="down", depth=60),
                made(
                    -8_900,
                    target_type="a",
                    target_tag="a",
                    target_id="checkout",
                    target_label="Checkout",
                    route="/cart",
                ),
                made(-6_200, event_type="navigation", nav_type="link"),
                made(
                    -5_900, event_type="network", method="GET", url="/api/payment-methods", status=200, duration_ms=180
                ),
                made(-4_100, action="focus", **mail),
                made(-1_800, action="change", **mail),
                *(made(at, **pay) for at in (0, 1_150, 1_900, 2_100)),
                *(made(at, **failed) for at in (310, 1_430, 2_600)),
                made(2_650, event_type="error", message="Cannot read properties of undefined", error_type="javascript"),
                made(6_400, event_type="visibility", state="hidden"),
                made(7_900, event_type="visibility", state="visible"),
                made(9_000, event_type="navigation", nav_type="link", route="/help"),
                made(12_000, event_type="session_end", route="/help"),
            ]
        ),
        session,
    )


@contextmanager
def open_scene(folder: Path, postgres_url: str, events: EventStore) -> Iterator[httpx.Client]:
    """The pages of a shop on a Saturday, with the events of one session."""
    store = fill(postgres_url)
    fill_scene(store)
    land_session(events, store)
    status = folder / "lander.json"
    with (
        serve_session_windows(find_window_socket(status), lambda: events),
        serving(
            folder,
            postgres_url,
            lander_status=status,
            operator_key="operator-of-all-projects",
            development_operator_key="all-admin",
        ) as client,
    ):
        yield client
    store.close()


def sign_in_everywhere(page: Chrome, client: httpx.Client) -> None:
    """Sign in with the key of all projects, at the empty list, too."""
    page.get(f"{client.base_url}/sign-in")
    page.find_element(By.ID, "key").send_keys("all-admin", Keys.ENTER)
    wait_for(page, lambda page: page.find_elements(By.ID, "filters"))


def take_pictures(page: Chrome, client: httpx.Client, folder: Path) -> None:
    """Write a picture of each page to ``folder``."""
    sign_in_everywhere(page, client)
    for name, path in PAGES.items():
        if path:
            page.get(f"{client.base_url}{path}")
        else:
            page.get(f"{client.base_url}/incidents?sort=-affectedSessions")
            page.find_element(By.CSS_SELECTOR, "[data-row] .title a").click()
            wait_for(page, lambda page: page.find_elements(By.ID, "why"))
        page.save_screenshot(str(folder / f"{name}.png"))


def main() -> None:
    """Write the pictures of docs/."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = EmbeddedPostgres(folder / "postgres")
        server.start()
        events = EventStore(f"chdb://{folder / 'clickhouse'}")
        events.migrate()
        try:
            with open_scene(folder, server.url, events) as client, open_chromium(folder, browser="ALL") as page:
                take_pictures(page, client, DOCS)
        finally:
            events.close()
            server.stop()


if __name__ == "__main__":
    main()
