"""What viewers, operators and admins may do: checked by the server for each request, and not shown where it is refused."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from collector.access.keys import hash_key
from stores.incidents.incident_store import IncidentStore
from tests.integration.api_cases import ALL, SHOP, SHOP_SENDER, STRUGGLE, fill, serving
from tests.integration.page_cases import csrf_of, own_origin, page_of, send, sign_in

VIEWER = {"X-API-Key": "shop-viewer"}
ADMIN = {"X-API-Key": "shop-admin"}
READS = ("/v1/incidents", "/v1/projects", "/v1/status", "/incidents.json", "/near-misses.json", "/health.json")


@pytest.fixture
def store(postgres_url: str) -> Iterator[IncidentStore]:
    made = fill(postgres_url)
    for role in ("viewer", "admin"):
        made.keys.save_api_key(hash_key(f"shop-{role}"), f"shop-{role}"[:6], "shop", role, f"shop's {role}")
    yield made
    made.close()


@pytest.fixture
def client(tmp_path: Path, postgres_url: str, store: IncidentStore) -> Iterator[httpx.Client]:
    with serving(tmp_path, postgres_url) as made:
        yield made


@pytest.mark.parametrize("path", READS)
def test_keys_of_people_read_and_keys_for_sending_do_not(client: httpx.Client, path: str) -> None:
    for headers, status in ((VIEWER, 200), (SHOP, 200), (ADMIN, 200), (SHOP_SENDER, 403), ({}, 401)):
        assert client.get(path, headers=headers).status_code == status


def test_a_viewer_key_acts_nowhere(client: httpx.Client) -> None:
    incident = page_of(client).rpartition("/")[2]
    event = {**STRUGGLE[0], "sessionId": "v1"}
    for path, body in (
        *((f"/v1/incidents/{incident}/{action}", {"reason": "x"}) for action in ("confirm", "resolve", "suppress")),
        ("/v1/sign-in-links", {}),
        ("/v1/sign-in-links", {"role": "viewer"}),
        ("/v1/sessions", {"projectId": "shop", "sessionId": "v1", "events": [event]}),
    ):
        answer = client.post(path, json=body, headers=VIEWER)
        assert answer.status_code in (403, 404), (path, answer.text)
    sent = client.post("/v1/events", json={"events": [event]}, headers={**SHOP_SENDER, "X-Operator-Key": "shop-viewer"})
    assert sent.status_code == 403
    assert client.post("/v1/events", json={"events": [event]}, headers=VIEWER).status_code == 403
    assert client.get(f"/v1/incidents/{incident}", headers=SHOP).json()["status"] == "confirmed"


def test_admin_keys_do_what_operator_keys_do(client: httpx.Client) -> None:
    incident = page_of(client).rpartition("/")[2]
    moved = client.post(f"/v1/incidents/{incident}/resolve", json={"reason": "fixed"}, headers=ADMIN)
    assert moved.status_code == 200
    assert moved.json()["history"][-1]["actor"] == "shop's admin"


def test_a_viewer_signs_in_with_a_key_and_sees_no_action(client: httpx.Client) -> None:
    page = page_of(client)
    assert sign_in(client, page, "shop-viewer").status_code == 303
    shown = client.get(page)
    assert shown.status_code == 200
    assert 'name="action"' not in shown.text
    sign_in(client, page, "shop-operator")
    assert 'name="action"' in client.get(page).text


@pytest.mark.parametrize("extra", [{"role": "admin"}, {"role": "operator", "project": "*"}, {"may_act": "1"}])
def test_fields_of_a_form_give_no_role(client: httpx.Client, extra: dict[str, str]) -> None:
    page = page_of(client)
    data = {"key": "shop-viewer", "target": page, **extra}
    client.post("/sign-in", data=data, headers=own_origin(client))
    # The token of the viewer's own session: a list shows it to everybody who is signed in.
    fields = {
        "action": "resolve",
        "reason": "x",
        "seen": "confirmed",
        "csrf": csrf_of(client.get("/incidents")),
        **extra,
    }
    refused = client.post(f"{page}/act", data=fields, headers=own_origin(client))
    assert (refused.status_code, "signed in as a viewer" in refused.text) == (403, True)
    bulk = {**fields, "incident": f"{page.rpartition('/')[2]}:confirmed"}
    assert client.post("/incidents/act", data=bulk, headers=own_origin(client)).status_code == 403
    assert client.post("/health/retry", data=fields, headers=own_origin(client)).status_code == 403
    assert client.get(f"{page}.json").json()["status"] == "confirmed"


@pytest.mark.parametrize(("key", "asked", "status"), [(SHOP, "admin", 403), (SHOP, "operator", 200),
                                                      (ADMIN, "admin", 200), (ADMIN, None, 200)])  # fmt: skip
def test_no_link_gives_more_than_its_key(client: httpx.Client, key: dict[str, str], asked: str, status: int) -> None:
    body = {"role": asked} if asked else {}
    assert client.post("/v1/sign-in-links", json=body, headers=key).status_code == status


def test_a_session_never_has_more_than_its_key_has_now(client: httpx.Client, store: IncidentStore) -> None:
    page = page_of(client)
    sign_in(client, page, "shop-operator")
    csrf = csrf_of(client.get(page))
    store.keys.save_api_key(hash_key("shop-operator"), "shop-o", "shop", "viewer", "shop on call")
    for _ in range(600):
        if 'name="action"' not in client.get(page).text:
            break
    fields = {"csrf": csrf, "action": "resolve", "reason": "x", "seen": "confirmed"}
    assert client.post(f"{page}/act", data=fields, headers=own_origin(client)).status_code == 403
    assert client.get("/v1/incidents", headers=ALL).json()["incidents"][0]["status"] == "confirmed"


def test_an_operator_of_one_project_moves_nothing_of_another(client: httpx.Client) -> None:
    other = page_of(client, {"X-API-Key": "blog-operator"})
    sign_in(client, "/incidents", "shop-operator")
    done = send(client, "/incidents", f"{other}/act", action="resolve", reason="x", seen="draft")
    assert done.status_code == 404
