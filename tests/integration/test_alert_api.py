"""Snoozing by the operators' API, on a real socket."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from stores.incidents.incident_store import IncidentStore
from tests.integration.api_cases import BLOG, SHOP, SHOP_SENDER, code, fill, serving


@pytest.fixture
def store(postgres_url: str) -> Iterator[IncidentStore]:
    made = fill(postgres_url)
    yield made
    made.close()


@pytest.fixture
def client(tmp_path: Path, postgres_url: str, store: IncidentStore) -> Iterator[httpx.Client]:
    with serving(tmp_path, postgres_url) as made:
        yield made


def test_an_incident_is_snoozed_until_a_time(client: httpx.Client, store: IncidentStore) -> None:
    (found,) = client.get("/v1/incidents", headers=SHOP).json()["incidents"]
    path = f"/v1/incidents/{found['incidentId']}/snooze"
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    body = {"reason": "we know", "until": until.isoformat()}
    answer = client.post(path, json=body, headers=SHOP)
    assert answer.json() == {"incidentId": found["incidentId"], "until": f"{until:%Y-%m-%dT%H:%M:%S}.000Z"}
    (snooze,) = store.alert_outbox.list_snoozes()
    assert (snooze.incident_id, snooze.until, snooze.reason) == (found["incidentId"], until, "we know")
    ended = {"reason": "enough", "until": "2024-01-15T10:00:00Z"}
    assert client.post(path, json=ended, headers=SHOP).status_code == 200
    assert store.alert_outbox.list_snoozes() == []


def test_what_is_refused(client: httpx.Client, store: IncidentStore) -> None:
    (found,) = client.get("/v1/incidents", headers=SHOP).json()["incidents"]
    path = f"/v1/incidents/{found['incidentId']}/snooze"
    body = {"reason": "we know", "until": "2030-01-15T10:00:00Z"}
    assert code(client.post(path, json={"reason": "we know"}, headers=SHOP)) == "invalid_body"
    assert code(client.post(path, json={**body, "until": "tomorrow"}, headers=SHOP)) == "invalid_body"
    assert client.post(path, json=body, headers=BLOG).status_code == 404
    assert client.post("/v1/incidents/inc_unknown/snooze", json=body, headers=SHOP).status_code == 404
    assert client.post(path, json=body, headers=SHOP_SENDER).status_code == 403
    assert client.post(path, json=body).status_code == 401
    assert store.alert_outbox.list_snoozes() == []
