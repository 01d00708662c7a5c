"""What a person meets in a browser: links lead to pages, and no page asks a host of anybody else."""

import json
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from core.kept_secrets import OPERATOR_KEY, PREFECT_AUTH
from tests.browser.conftest import sign_in_to_prefect, wait_for
from tests.e2e.installation import Up, frustrated_session, until

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    installation = Up(tmp_path_factory.mktemp("links") / "data")
    installation.start()
    for n in range(3):
        installation.post_events(frustrated_session(f"linked-{n}"))
    until(lambda: installation.get("/v1/incidents?status=confirmed")["total"] == 1, 180)
    yield installation
    installation.kill_everything()


def asked(browser: Chrome) -> set[str]:
    """Hosts (with port) of every request that the browser has tried since the last call."""
    hosts = set()
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] in ("Network.requestWillBeSent", "Network.webSocketCreated"):
            url = message["params"].get("url") or message["params"]["request"]["url"]
            if urlsplit(url).scheme in ("http", "https", "ws", "wss"):
                hosts.add(urlsplit(url).netloc)
    return hosts


def test_the_link_in_a_tickets_artifact_leads_to_the_incident(up: Up, recorder: Chrome) -> None:
    """Export logs the ticket; its artifact in the Prefect UI holds the link; the link asks for a key and shows the incident."""
    with up.prefect() as prefect:
        run = prefect.start_run("export/export", wait_seconds=90)
    sign_in_to_prefect(recorder, f"http://127.0.0.1:{up.prefect_port}/", up.secret(PREFECT_AUTH))
    (artifact,) = up.prefect_post("/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}})
    recorder.get(f"http://127.0.0.1:{up.prefect_port}/artifacts/artifact/{artifact['id']}")
    found = "a[href*='/incidents/']"
    link = wait_for(recorder, lambda page: page.find_element(By.CSS_SELECTOR, found).get_attribute("href"))
    assert link is not None
    assert link.startswith(f"http://127.0.0.1:{up.port}/incidents/")
    recorder.get(link)
    recorder.find_element(By.ID, "key").send_keys(up.secret(OPERATOR_KEY))
    recorder.find_element(By.CSS_SELECTOR, "button[type=submit]").click()
    wait_for(recorder, lambda page: "Pay now" in page.find_element(By.TAG_NAME, "h1").text)
    assert recorder.current_url == link
    text = recorder.find_element(By.TAG_NAME, "main").text
    for part in ("Why", "Timeline of an example session", "Tickets", "History", "POST /api/orders"):
        assert part in text
    assert asked(recorder) == {f"127.0.0.1:{up.prefect_port}", f"127.0.0.1:{up.port}"}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_prefects_pages_are_the_older_ones_and_ask_their_own_server_alone(up: Up, recorder: Chrome, host: str) -> None:
    sign_in_to_prefect(recorder, f"http://{host}:{up.prefect_port}/", up.secret(PREFECT_AUTH))
    for path in ("/dashboard", "/runs", "/deployments", "/blocks", "/automations", "/artifacts", "/settings"):
        recorder.get(f"http://{host}:{up.prefect_port}{path}")
        wait_for(recorder, lambda page: len(page.find_element(By.TAG_NAME, "body").text) > 50)
        assert not urlsplit(recorder.current_url).path.startswith("/v2")
    assert asked(recorder) == {f"{host}:{up.prefect_port}"}
