"""``cursor`` of ``GET /v1/incidents``: every incident once in every order, also while others appear."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from collector.routes.query import SORTS
from stores.incidents.incident_store import IncidentStore
from tests.integration.api_cases import ALL, SHOP, code, fill, serving
from tests.integration.incident_store_cases import MONDAY, detection, record

EQUAL = 7


@pytest.fixture
def store(postgres_url: str) -> Iterator[IncidentStore]:
    made = fill(postgres_url)
    for number in range(EQUAL):
        at = MONDAY + timedelta(hours=number // 2)  # some are equal in every order
        record(made, detection(f"c{number}", f"failure-{number}", at=at, score=80 + number // 3, user=f"u{number % 2}"))
    yield made
    made.close()


@pytest.fixture
def client(tmp_path: Path, postgres_url: str, store: IncidentStore) -> Iterator[httpx.Client]:
    with serving(tmp_path, postgres_url) as made:
        yield made


def follow(client: httpx.Client, sort: str, **filters: str) -> list[str]:
    """The ids of all pages."""
    found: list[str] = []
    parameters = {"sort": sort, "limit": "2", **filters}
    while True:
        page = client.get("/v1/incidents", params=parameters, headers=ALL).raise_for_status().json()
        found += [one["incidentId"] for one in page["incidents"]]
        if page["next"] is None:
            return found
        assert page["offset"] == 0
        parameters["cursor"] = page["next"]


@pytest.mark.parametrize("name", SORTS)
def test_pages_of_every_order_show_every_incident_once(client: httpx.Client, name: str) -> None:
    for sort in (name, f"-{name}"):
        whole = client.get("/v1/incidents", params={"sort": sort}, headers=ALL).json()
        assert whole["next"] is None
        assert follow(client, sort) == [one["incidentId"] for one in whole["incidents"]]
        assert len(whole["incidents"]) == whole["total"] == EQUAL + 2


def test_a_cursor_keeps_its_filters_and_the_total_is_that_of_all_pages(client: httpx.Client) -> None:
    assert len(follow(client, "-affectedSessions", project="blog")) == 1
    page = client.get("/v1/incidents", params={"limit": "3"}, headers=SHOP).json()
    again = client.get("/v1/incidents", params={"limit": "3", "cursor": page["next"]}, headers=SHOP).json()
    assert page["total"] == again["total"] == EQUAL + 1
    assert {one["projectId"] for one in again["incidents"]} == {"shop"}


def test_an_incident_that_appears_meanwhile_hides_and_repeats_none(client: httpx.Client, store: IncidentStore) -> None:
    before = [one["incidentId"] for one in client.get("/v1/incidents", headers=ALL).json()["incidents"]]
    page = client.get("/v1/incidents", params={"limit": "4"}, headers=ALL).json()
    record(store, detection("late", "newer", at=MONDAY + timedelta(days=9)))
    rest = client.get("/v1/incidents", params={"limit": "100", "cursor": page["next"]}, headers=ALL).json()
    assert [one["incidentId"] for one in (*page["incidents"], *rest["incidents"])] == before


@pytest.mark.parametrize("cursor", ["x", "WyJhIiwiYiJd", "e30", "%00", "WzEsMl0", "a" * 5_000, ""])
def test_a_cursor_of_nothing_is_refused(client: httpx.Client, cursor: str) -> None:
    answer = client.get("/v1/incidents", params={"cursor": cursor}, headers=ALL)
    assert (answer.status_code, code(answer)) == (400, "invalid_parameter")


def test_a_cursor_of_another_order_and_one_with_an_offset_are_refused(client: httpx.Client) -> None:
    page = client.get("/v1/incidents", params={"limit": "2", "sort": "-highestScore"}, headers=ALL).json()
    for more in ({"sort": "-lastSeen"}, {"sort": "-highestScore", "offset": "2"}):
        answer = client.get("/v1/incidents", params={"cursor": page["next"], **more}, headers=ALL)
        assert (answer.status_code, code(answer)) == (400, "invalid_parameter")
