"""Pages in a real Chromium: what one of another origin can do to a running `furrow up` (nothing), and how a person signs in."""

import base64
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By

from core.kept_secrets import INGEST_KEY, OPERATOR_KEY, PREFECT_AUTH
from tests.browser.conftest import sign_in_to_prefect, wait_for
from tests.e2e.installation import Up, frustrated_session, until

pytestmark = pytest.mark.browser

ATTEMPT = """
const [url, init, done] = arguments;
fetch(url, init)
    .then(async answer => done(`${answer.type} ${answer.status} ${(await answer.text()).slice(0, 300)}`))
    .catch(error => done(`refused: ${error}`));
"""
SOCKET = """
const [url, token, done] = arguments;
const socket = new WebSocket(url, ["prefect"]);
socket.onopen = () => socket.send(JSON.stringify({type: "auth", token: token}));
socket.onmessage = message => done(`received ${message.data}`);
socket.onclose = () => done("refused");
"""
FRAMED = """
const [url, done] = arguments;
const frame = document.createElement("iframe");
frame.src = url;
frame.onload = () => { try { done(`read ${frame.contentDocument.body.innerHTML}`); } catch (error) { done("refused"); } };
document.body.append(frame);
"""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    installation = Up(tmp_path_factory.mktemp("browser") / "data")
    installation.start()
    installation.post_events(frustrated_session("for the browser"))
    yield installation
    installation.kill_everything()


@pytest.fixture
def elsewhere(httpserver: HTTPServer, browser: Chrome) -> Chrome:
    """The browser on a page of this machine at another port: another origin, and more than a stranger's page may be."""
    httpserver.expect_request("/").respond_with_data("<title>elsewhere</title><body>", content_type="text/html")
    browser.get(f"http://localhost:{httpserver.port}/")
    assert browser.title == "elsewhere"
    return browser


def attempt(browser: Chrome, url: str, **init: Any) -> str:
    return str(browser.execute_async_script(ATTEMPT, url, init))


def basic(up: Up) -> str:
    return "Basic " + base64.b64encode(up.secret(PREFECT_AUTH).encode()).decode()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("knows", [False, True])
def test_a_page_of_another_origin_neither_reads_nor_changes_anything_in_prefect(
    up: Up, elsewhere: Chrome, host: str, knows: bool
) -> None:
    """Even one that knows the string, as from a browser that was made to keep it."""
    api = f"http://{host}:{up.prefect_port}/api"
    before = counted(up)
    body = json.dumps({"name": "evil"})
    login = {"Authorization": basic(up)} if knows else {}
    for path, content in (
        ("/flows/", body),
        ("/flows/filter", "{}"),
        ("/block_documents/filter", "{}"),
        ("/variables/", body),
    ):
        cors = {"Content-Type": "application/json", **login}
        assert attempt(elsewhere, api + path, method="POST", body=content, headers=cors).startswith("refused")
        plain = attempt(elsewhere, api + path, method="POST", body=content, mode="no-cors", credentials="include")
        assert plain == "opaque 0 "
    for path in ("/health", "/admin/settings", "/../ui-settings"):
        assert attempt(elsewhere, api + path, headers=login).startswith("refused")
    url = api.replace("http", "ws", 1) + "/events/in"
    assert elsewhere.execute_async_script(SOCKET, url, up.secret(PREFECT_AUTH) if knows else "x") == "refused"
    assert elsewhere.execute_async_script(FRAMED, f"http://{host}:{up.prefect_port}/") == "refused"
    assert counted(up) == before


def counted(up: Up) -> dict[str, int]:
    return {
        path: up.prefect_post(f"/{path}/count", {}) for path in ("flows", "deployments", "variables", "automations")
    }


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_page_of_another_origin_reads_and_changes_no_incident(up: Up, elsewhere: Chrome, host: str) -> None:
    """Even one that knows the operator's key."""
    until(lambda: up.get("/v1/incidents")["total"] == 1, 120)
    (incident,) = up.get("/v1/incidents")["incidents"]
    collector = f"http://{host}:{up.port}"
    for key in ("test-key", up.secret(OPERATOR_KEY)):
        for path in ("/v1/incidents", f"/v1/incidents/{incident['incidentId']}", "/v1/status", "/metrics"):
            assert attempt(elsewhere, collector + path, headers={"X-API-Key": key}).startswith("refused")
            assert attempt(elsewhere, collector + path).startswith("refused")
        act = f"{collector}/v1/incidents/{incident['incidentId']}/suppress"
        reason = json.dumps({"reason": "x"})
        headers = {"X-API-Key": key, "Content-Type": "application/json"}
        assert attempt(elsewhere, act, method="POST", body=reason, headers=headers).startswith("refused")
        assert attempt(elsewhere, act, method="POST", body=reason, mode="no-cors", credentials="include") == "opaque 0 "
    assert up.get("/v1/incidents")["incidents"][0]["status"] == incident["status"]


def test_a_strangers_page_sends_no_events(up: Up, browser: Chrome, httpserver: HTTPServer) -> None:
    """A page whose name is no one of this machine, as after DNS rebinding; the name is resolved by the browser's own rule."""
    httpserver.expect_request("/").respond_with_data("<title>stranger</title><body>", content_type="text/html")
    before = up.get("/v1/status")["eventsStored"], up.get("/v1/status")["spoolPending"]["events"]
    browser.get(f"http://evil.localhost:{httpserver.port}/")
    assert browser.title == "stranger"
    url = f"http://127.0.0.1:{up.port}/v1/events"
    for key in ("test-key", up.secret(INGEST_KEY)):
        body = json.dumps({"events": frustrated_session("a stranger's"), "apiKey": key})
        headers = {"X-API-Key": key, "Content-Type": "application/json"}
        assert attempt(browser, url, method="POST", body=body, headers=headers).startswith("refused")
        assert attempt(browser, url, method="POST", body=body, mode="no-cors") == "opaque 0 "
        assert browser.execute_script("return navigator.sendBeacon(arguments[0], arguments[1])", url, body)
    assert before == (up.get("/v1/status")["eventsStored"], up.get("/v1/status")["spoolPending"]["events"])


def test_a_page_of_this_machine_may_send_events(up: Up, elsewhere: Chrome) -> None:
    """The control: the one thing that a page at another port of this machine may do, with the key that everyone knows."""
    body = json.dumps({"events": frustrated_session("a developer's")})
    headers = {"X-API-Key": "test-key", "Content-Type": "application/json"}
    answer = attempt(elsewhere, f"http://127.0.0.1:{up.port}/v1/events", method="POST", body=body, headers=headers)
    assert answer.startswith("cors 202"), answer


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_person_signs_in_and_sees_runs(up: Up, browser: Chrome, host: str) -> None:
    with up.prefect() as prefect:
        run = prefect.start_run("detect/detect", wait_seconds=90)
    browser.get(f"http://{host}:{up.prefect_port}/")
    wait_for(browser, lambda page: "login" in page.current_url)
    assert run["name"] not in browser.page_source
    sign_in_to_prefect(browser, f"http://{host}:{up.prefect_port}/", up.secret(PREFECT_AUTH))
    for page_of_run in ("/runs/flow-run/", "/v2/runs/flow-run/"):
        browser.get(f"http://{host}:{up.prefect_port}{page_of_run}{run['id']}")
        wait_for(browser, lambda page: run["name"] in page.find_element(By.TAG_NAME, "body").text)
        wait_for(browser, lambda page: "Completed" in page.find_element(By.TAG_NAME, "body").text)
    # The feed of events is a WebSocket.
    browser.get(f"http://{host}:{up.prefect_port}/v2/events")
    wait_for(browser, lambda page: "detect" in page.find_element(By.TAG_NAME, "body").text)
    blocked = [one["message"] for one in browser.get_log("browser") if "Content Security Policy" in one["message"]]
    assert [message for message in blocked if re.search(rf"'(?:ws|http)://[^']*:{up.prefect_port}/", message)] == []
