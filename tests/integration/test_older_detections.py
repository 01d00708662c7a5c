"""Detections that an older version stored: their incidents are read by everything that reads incidents."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from typer.testing import CliRunner

from furrow.cli.app import app
from furrow.clients.operator_api import OperatorApi
from incidents.incident import IncidentDetail
from stores.incidents.incident_store import IncidentQuery, IncidentStore
from tests.integration.api_cases import fill, serving
from tests.integration.page_cases import sign_in
from tests.integration.test_incident_types import find_differences

AT = "2024-01-15T10:00:00.000Z"
OLDER: dict[str, dict[str, Any]] = {
    "no browser, no label": {"context": {"userHash": "", "environment": "production", "appVersion": "2.4.1"}},
    "no context": {"context": None},
    "steps without place and offset": {
        "timeline": [
            {"eventId": "e1", "at": AT, "eventType": "click", "text": "clicked"},
            {"eventId": "e2", "at": "2024-01-15T10:00:02.500Z", "eventType": "network", "text": "failed"},
            {"eventId": "e3", "at": "at noon", "eventType": "click", "text": "clicked", "target": None},
        ]
    },
    "signals without texts": {
        "triggeringSignals": [{"type": "rage"}, {"type": "feedback", "count": 3, "eventIds": None}]
    },
    "no points, no steps": {"points": None, "timeline": None, "explanation": None},
}


@pytest.fixture(params=OLDER)
def older(request: pytest.FixtureRequest, postgres_url: str) -> Iterator[IncidentStore]:
    """An incident whose detections all have the older shape; without the keys whose value is None."""
    store = fill(postgres_url)
    changes: dict[str, Any] = OLDER[request.param]
    known = json.dumps({name: value for name, value in changes.items() if value is not None})
    gone = [name for name, value in changes.items() if value is None]
    with psycopg.connect(postgres_url) as connection:
        changed = connection.execute("UPDATE detections SET body = (body - %s::text[]) || %s::jsonb", (gone, known))
        assert changed.rowcount == 5
    yield store
    store.close()


@pytest.fixture
def client(tmp_path: Path, postgres_url: str, older: IncidentStore) -> Iterator[httpx.Client]:
    with serving(tmp_path, postgres_url) as made:
        yield made


def find_id(store: IncidentStore) -> str:
    (incident,) = store.incidents.list_incidents(IncidentQuery(project="shop")).incidents
    return incident["incidentId"]


def test_an_incident_is_as_declared_whatever_version_stored_its_detections(older: IncidentStore) -> None:
    found = older.incidents.read_incident(find_id(older))
    assert found is not None
    assert found["examples"]
    assert list(find_differences(found, IncidentDetail)) == []


def test_commands_and_pages_show_it(client: httpx.Client, older: IncidentStore) -> None:
    id_, url = find_id(older), str(client.base_url).rstrip("/")
    with OperatorApi(url, "shop-operator") as api:
        shown = api.get_incident(id_)
    assert shown["incidentId"] == id_
    where = ("--url", url, "--key", "shop-operator")
    for words in (("show", id_), ("bulk", "suppress", id_, "--reason", "noise", "--yes")):
        done = CliRunner().invoke(app, ["incidents", *words, *where])
        assert (done.exit_code, done.exception) == (0, None), done.output
    sign_in(client, "/incidents", "shop-operator")
    session = shown["examples"][0]["sessionId"]
    for page in (f"/incidents/{id_}", f"/incidents/{id_}.md", f"/session?project=shop&id={session}"):
        assert client.get(page).status_code == 200


@pytest.mark.parametrize("older", ["steps without place and offset"], indirect=True)
def test_an_offset_that_was_not_stored_follows_from_the_times(older: IncidentStore) -> None:
    found = older.incidents.read_incident(find_id(older))
    assert found is not None
    assert [step["offsetMs"] for step in found["examples"][0]["timeline"]] == [0, 2_500, 0]
