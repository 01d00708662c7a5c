"""What lists read: an index alone where it holds everything, and each neighbour by the order of the list."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy import event

from bench.incident_rows import Size, fill_incident_store, name_incident
from incidents.model import IncidentQuery
from stores.embedded_postgres import EmbeddedPostgres
from stores.incidents.incident_store import IncidentStore
from tests.conftest import make_database
from tests.integration.incident_store_cases import MONDAY, detection, record

Statement = tuple[str, Any]


EQUAL = 7
MIDDLE = 400


@pytest.fixture(scope="module")
def full_url(postgres_server: EmbeddedPostgres, postgres_template: str) -> Iterator[str]:
    """A database with so many incidents that Postgres chooses plans as for many; the tests only read it."""
    with make_database(postgres_server, f"TEMPLATE {postgres_template} STRATEGY file_copy") as url:
        fill_incident_store(url, Size(incidents=2_000, detections=2_000, silences=1))
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
        yield url


@pytest.fixture(scope="module")
def full(full_url: str) -> Iterator[IncidentStore]:
    store = IncidentStore.connect(full_url)
    yield store
    store.close()


@pytest.fixture
def equal(postgres_url: str) -> Iterator[IncidentStore]:
    """Three and three of the incidents are equal in the order of the list."""
    made = IncidentStore.connect(postgres_url)
    for number in range(EQUAL):
        record(made, detection(f"c{number}", f"failure-{number}", at=MONDAY + timedelta(hours=number // 3)))
    yield made
    made.close()


def listen(act: Callable[[], object]) -> list[Statement]:
    """The statements of ``act`` with their values."""
    heard: list[Statement] = []

    def hear(_connection: object, _cursor: object, statement: str, values: Any, *_: object) -> None:
        heard.append((statement, values))

    event.listen(sa.Engine, "before_cursor_execute", hear)
    try:
        act()
    finally:
        event.remove(sa.Engine, "before_cursor_execute", hear)
    return heard


def explain(store: IncidentStore, url: str, act: Callable[[IncidentStore], object], part: str) -> list[str]:
    """The plans of those statements of ``act`` that have ``part``."""
    heard = [one for one in listen(lambda: act(store)) if part in one[0]]
    engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        plans = [
            connection.exec_driver_sql("EXPLAIN ANALYZE " + statement, values).scalars() for statement, values in heard
        ]
        found = ["\n".join(str(line) for line in plan) for plan in plans]
    engine.dispose()
    return found


@pytest.mark.parametrize(
    "wanted",
    [{}, {"exported": False}, {"exported": True}, {"severity": ("High",), "min_score": 90}, {"since": MONDAY}],
)
def test_the_counts_by_status_read_nothing_of_an_incident_but_its_index(
    full: IncidentStore, full_url: str, wanted: dict[str, Any]
) -> None:
    query = IncidentQuery(status=("draft", "confirmed"), **wanted)
    (plan,) = explain(full, full_url, lambda store: store.review.list_page(query, None, 14), "GROUP BY i.status")
    assert "Index Only Scan using incidents_counted on incidents i" in plan, plan
    assert "SubPlan" not in plan, plan


@pytest.mark.parametrize("wanted", [{"owner": "@web"}, {"owned": False}, {"owned": True}])
def test_who_owns_an_incident_is_not_looked_up_for_each_of_them(
    full: IncidentStore, full_url: str, wanted: dict[str, Any]
) -> None:
    query = IncidentQuery(**wanted)
    (plan,) = explain(full, full_url, lambda store: store.review.list_page(query, None, 14), "GROUP BY i.status")
    assert "SubPlan" not in plan, plan
    assert "on incident_owners w" in plan, plan


def test_a_neighbour_is_found_by_the_order_of_the_list(full: IncidentStore, full_url: str) -> None:
    known = name_incident(MIDDLE)
    plans = explain(full, full_url, lambda store: store.review.find_neighbours(known, "draft", None), "ORDER BY")
    assert len(plans) == 2
    for plan in plans:
        assert "using incidents_by_last_seen on incidents i" in plan, plan
        assert "Index Cond: (COALESCE" in plan, plan


def test_projects_are_found_without_reading_all_incidents(full: IncidentStore, full_url: str) -> None:
    (plan,) = explain(full, full_url, lambda store: store.keys.list_known_projects(), "UNION")
    assert "Index Cond: (project > s.project)" in plan, plan
    assert "Aggregate" not in plan, plan


def test_neighbours_are_those_of_the_list_also_where_incidents_are_equal(equal: IncidentStore) -> None:
    query = IncidentQuery(status=("draft", "confirmed", "regressed"), sort="-lastSeen")
    ids = [one["incidentId"] for one in equal.review.list_page(query, None, 14).incidents]
    assert len(ids) == EQUAL
    found = [equal.review.find_neighbours(one, "draft", None) for one in ids]
    assert found == list(zip(["", *ids[:-1]], [*ids[1:], ""], strict=True))


def test_the_known_projects_are_those_with_an_incident_a_key_or_settings(equal: IncidentStore) -> None:
    equal.keys.save_project("blog")
    equal.keys.save_api_key("hash", "prefix", "wiki", "viewer")
    equal.keys.save_api_key("other", "prefix", "*", "operator")
    record(equal, detection("z", "failure", project="zoo"), project="zoo")
    assert equal.keys.list_known_projects() == ["blog", "default", "shop", "wiki", "zoo"]


def test_near_misses_are_counted_by_rule_of_one_project_or_of_all(equal: IncidentStore, postgres_url: str) -> None:
    rows = [("shop", "low"), ("blog", "low"), ("shop", "resolved"), ("shop", "low"), ("zoo", "")]
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        for number, (project, rule) in enumerate(rows):
            connection.execute(
                "INSERT INTO silences (project, visit_id, session_id, visit_start, rule, text, failure_point)"
                " VALUES (%s, %s, 's', now(), %s, '', '')",
                (project, str(number), rule),
            )
    assert list(equal.silences.count_silences(None).items()) == [("low", 3), ("", 1), ("resolved", 1)]
    assert equal.silences.count_silences("shop") == {"low": 2, "resolved": 1}
    assert equal.silences.count_silences("nobody") == {}
