"""Sources of detections and floods of incidents, on a real Postgres."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from incidents.lifecycle import ConfirmRule
from stores.incidents.incident_database import Database
from stores.incidents.incident_schema import migrate
from stores.incidents.incident_store import AnalysedSession, IncidentQuery, IncidentStore, SessionOrigin
from tests.integration.incident_store_cases import (
    MONDAY,
    detection,
    history,
    incident,
    incident_id,
    queue,
    record,
)

HASH = 1 << 62
NOW = datetime.now(UTC)
DAY = timedelta(days=1)
TIGHT = ConfirmRule(new_per_hour=3)


@pytest.fixture
def store(postgres_url: str) -> Iterator[IncidentStore]:
    store = IncidentStore.connect(postgres_url)
    store.migrate()
    yield store
    store.close()


def sources(url: str) -> list[tuple[str, int | None, bool]]:
    """Of each detection its session, its source, and whether its receipt is known."""
    with psycopg.connect(url) as connection:
        query = "SELECT session_id, source, received_at IS NOT NULL FROM detections ORDER BY session_id"
        return connection.execute(query).fetchall()


def age(url: str, days: int) -> None:
    """Everything was received and stored so many days earlier."""
    with psycopg.connect(url) as connection:
        connection.execute(
            "UPDATE detections SET created_at = created_at - make_interval(days => %(days)s), "
            "received_at = received_at - make_interval(days => %(days)s)",
            {"days": days},
        )


def test_a_source_keeps_its_name_until_the_next_day(store: IncidentStore, postgres_url: str) -> None:
    origins = {
        "a": SessionOrigin(HASH + 1, HASH),
        "b": SessionOrigin(HASH + 2, HASH + 1),
        "c": SessionOrigin(HASH + 3, HASH + 2),
    }
    for name in "abc":
        record(store, detection(name), origins=origins)
    assert [source for _, source, _ in sources(postgres_url)] == [HASH + 1, HASH + 1, HASH + 3]


def test_unknown_sources_are_one(store: IncidentStore) -> None:
    unknown = dict.fromkeys("abcdef", SessionOrigin(None, None))
    record(store, *(detection(name) for name in "abcdef"), origins=unknown)
    found = incident(store)
    assert (found["status"], found["affectedSessions"], found["countedSessions"]) == ("draft", 6, 2)
    record(store, detection("g"))
    assert incident(store)["status"] == "confirmed"


def test_hashes_are_forgotten_after_the_window_and_sources_stay_apart(store: IncidentStore, postgres_url: str) -> None:
    origins = {
        **dict.fromkeys("abc", SessionOrigin(HASH + 1, HASH)),
        "d": SessionOrigin(HASH + 7, HASH + 8),
        "e": SessionOrigin(None, None),
    }
    record(store, *(detection(name) for name in "abcde"), origins=origins, received=NOW)
    before = incident(store)
    assert store.erasure.forget_sources({"": 7.0}) == 0
    age(postgres_url, 9)
    assert store.erasure.forget_sources({"": 7.0, "shop": 30.0}) == 0  # this project counts for longer
    assert store.erasure.forget_sources({"": 7.0}) == 5
    assert store.erasure.forget_sources({"": 7.0}) == 0
    assert sources(postgres_url) == [(name, 1, False) for name in "abc"] + [("d", 2, False), ("e", None, False)]
    # The next ones go on behind these numbers, and nothing that is forgotten confirms anything.
    record(store, detection("f"), origins={"f": SessionOrigin(HASH + 9, HASH + 10)}, received=NOW)
    assert incident(store)["status"] == before["status"]
    age(postgres_url, 9)
    store.erasure.forget_sources({"": 7.0})
    assert sources(postgres_url)[-1] == ("f", 3, False)


def test_suppressed_until_more_sessions_is_not_ended_by_one_source(store: IncidentStore) -> None:
    record(store, *(detection(name) for name in "abc"))
    store.ledger.apply_action(incident_id(), "suppress", "rare", "eve", sessions=5)
    stranger = {f"x{number}": SessionOrigin(HASH, HASH + 1) for number in range(20)}
    record(store, *(detection(name) for name in stranger), origins=stranger)
    assert incident(store)["status"] == "suppressed"
    record(store, *(detection(name) for name in "def"))
    assert incident(store)["status"] == "confirmed"


def test_the_label_is_that_of_most_sources(store: IncidentStore) -> None:
    record(store, detection("a"), detection("b"))
    stranger = {f"x{number}": SessionOrigin(HASH, HASH + 1) for number in range(20)}
    forged = {"label": "Click here"}
    record(store, *(detection(name, context=forged, score=99, endedFlow=False) for name in stranger), origins=stranger)
    found = incident(store)
    assert (found["label"], found["affectedSessions"]) == ("Pay now", 22)
    assert found["title"].endswith("22 sessions blocked")  # so most sources say
    assert [one["sessionId"] for one in found["examples"][:2]] == ["a", "b"]


def test_a_contested_detection_stays_as_it_is_whoever_looks_again(store: IncidentStore) -> None:
    record(store, detection("a"))
    (pending,) = queue(store, ["a"])
    mixed = SessionOrigin(HASH, HASH + 1, mixed=True)
    done = store.ledger.record_detections([AnalysedSession(pending, (detection("a", score=99),), 1, origin=mixed)])
    assert (done.stored, done.retracted, done.contested) == (0, 0, 1)
    assert incident(store)["highestScore"] == 92
    (pending,) = queue(store, ["a"])
    again = store.ledger.record_detections([AnalysedSession(pending, (), 1)], backfill=True)
    assert (again.retracted, again.contested) == (0, 0)
    assert "1 detection stays unchanged" in history(store, incident_id())[-1][2]
    # An equal answer contests nothing, and what is new in the session is stored.
    record(store, detection("b"))
    (pending,) = queue(store, ["b"])
    found = (detection("b", engineVersion="2"), detection("b", "address"))
    done = store.ledger.record_detections([AnalysedSession(pending, found, 1, origin=mixed)])
    assert (done.stored, done.contested) == (1, 0)


def many(store: IncidentStore, first: int, number: int, **origins: Any) -> None:
    """So many new incidents, each confirmed by three sessions."""
    for n in range(first, first + number):
        names = [f"s{n}-{m}" for m in range(3)]
        known = dict.fromkeys(names, origins["origin"]) if origins else None
        rule = ConfirmRule(per_source=3, new_per_hour=3)
        record(store, *(detection(name, f"f{n}") for name in names), rule=rule, origins=known)


def held(store: IncidentStore) -> int:
    return store.incidents.list_incidents(IncidentQuery(held=True)).total


def test_up_to_the_budget_nothing_is_held(store: IncidentStore) -> None:
    many(store, 0, 3)
    assert (held(store), store.floods.list_floods(), len(store.outbox.find_exportable_incidents("jira", 100, 80))) == (
        0,
        [],
        3,
    )


def test_independent_sources_release_no_more_than_the_budget_in_an_hour(store: IncidentStore) -> None:
    many(store, 0, 8)  # each session is a source of its own
    (flood,) = store.floods.list_floods()
    assert (flood.project, flood.incidents, flood.budget, flood.held, flood.lasts) == ("shop", 8, 3, 8, True)
    assert store.outbox.find_exportable_incidents("jira", 100, 80) == []
    assert store.incidents.read_store_counts()["held"] == 8
    assert len(store.floods.release_flood_incidents(TIGHT)) == 3
    assert store.floods.release_flood_incidents(TIGHT) == []
    assert (held(store), len(store.outbox.find_exportable_incidents("jira", 100, 80))) == (5, 3)


def test_one_source_in_many_incidents_releases_none(store: IncidentStore) -> None:
    many(store, 0, 8, origin=SessionOrigin(HASH, HASH + 1))
    assert store.floods.release_flood_incidents(TIGHT) == []
    assert held(store) == 8


def test_a_flood_in_one_project_holds_nothing_of_another(store: IncidentStore) -> None:
    many(store, 0, 8, origin=SessionOrigin(HASH, HASH + 1))
    record(store, *(detection(f"x{n}", project="blog") for n in range(3)), rule=TIGHT, project="blog")
    assert [one["projectId"] for one in store.outbox.find_exportable_incidents("jira", 100, 80)] == ["blog"]


def test_what_began_after_the_hour_is_over_is_not_held(store: IncidentStore, postgres_url: str) -> None:
    many(store, 0, 8, origin=SessionOrigin(HASH, HASH + 1))
    with psycopg.connect(postgres_url) as connection:
        connection.execute("UPDATE incidents SET created_at = created_at - interval '2 hours'")
        connection.execute("UPDATE floods SET from_at = from_at - interval '2 hours', "
                           "until_at = until_at - interval '2 hours'")  # fmt: skip
    many(store, 100, 1)
    assert len(store.outbox.find_exportable_incidents("jira", 100, 80)) == 1
    assert [flood.lasts for flood in store.floods.list_floods()] == [False]


def test_rows_of_an_older_version_go_on_counting_session_by_session(empty_postgres_url: str) -> None:
    database = Database(empty_postgres_url)
    with database.open_transaction() as connection:
        migrate(connection, "0002")
        connection.exec_driver_sql(
            "INSERT INTO incidents (incident_id, project, fingerprint, affected_sessions, highest_score) "
            f"VALUES ('{incident_id()}', 'shop', '{incident_id().removeprefix('inc_')}', 2, 92)"
        )
        insert = text(
            "INSERT INTO detections (project, detection_id, session_id, visit_id, visit_start, incident_id, score, "
            "happened_at, last_seen, severity_type, ended_flow, resolved, signals, routes, story_length, body) VALUES "
            "('shop', :name, :name, :name, now(), :id, 92, now(), now(), 'Bug', true, false, '{}', '{}', 1, :body)"
        )
        for name in "ab":
            values = {"name": name, "id": incident_id(), "body": json.dumps(detection(name))}
            connection.execute(insert, values)
    database.close()
    store = IncidentStore.connect(empty_postgres_url)
    store.migrate()
    record(store, detection("c", at=MONDAY), received=NOW)
    found = incident(store)
    assert (found["status"], found["countedSessions"], found["label"]) == ("confirmed", 3, "Pay now")
    store.close()
