"""The counts that are kept up are those of a recount, whatever happens to the detections, and whoever else writes."""

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from incidents.lifecycle import ConfirmRule
from stores.incidents.incident_counts import read_counted_figures
from stores.incidents.incident_database import Database
from stores.incidents.incident_figures import read_figures
from stores.incidents.incident_read import IncidentReader
from stores.incidents.incident_store import AnalysedSession, IncidentStore, SessionOrigin
from tests.integration.incident_store_cases import MONDAY, detection, digest, queue, record

RULE = ConfirmRule()
TOTALS = (
    "detections",
    "affected_sessions",
    "affected_users",
    "ended_sessions",
    "overcome_sessions",
    "first_seen",
    "last_seen",
    "highest_score",
    "median_score",
    "severity_type",
    "sources",
    "counted_sessions",
    "ended_sources",
    "overcome_sources",
)
FAILURES = ("pay", "save", "find")
LABELS = ("Pay now", "Save", "", "Pay\x1fnow", "€ " * 40)


@pytest.fixture
def store(postgres_url: str) -> Iterator[IncidentStore]:
    made = IncidentStore.connect(postgres_url)
    made.migrate()
    yield made
    made.close()


def assert_counts_are_those_of_a_recount(url: str) -> int:
    """Compares all figures of all incidents. Returns how many incidents have some."""
    database = Database(url)
    with database.open_transaction() as connection:
        ids = [str(row[0]) for row in connection.exec_driver_sql("SELECT incident_id FROM incidents ORDER BY 1")]
        for most in (1, 2, 5):
            caps = {"ids": ids, "per_source": [most] * len(ids)}
            counted, recounted = read_counted_figures(connection, caps), read_figures(connection, caps)
            assert pick_totals(counted.totals) == pick_totals(recounted.totals)
            assert counted.facets == recounted.facets
            assert counted.shared_scores == recounted.shared_scores
            assert counted.best == recounted.best
        left = connection.exec_driver_sql("SELECT count(*) FROM incident_counts WHERE number <= 0").scalar_one()
        assert left == 0
        rows = connection.exec_driver_sql(
            "SELECT count(*) FILTER (WHERE retracted_at IS NULL), count(*) FILTER (WHERE retracted_at IS NOT NULL)"
            " FROM detections"
        )
        live, retracted = rows.one()
    counts = IncidentReader(database).read_store_counts()
    assert (counts["detections"], counts["retracted"]) == (live, retracted)
    database.close()
    return len(counted.totals)


def pick_totals(totals: Any) -> dict[str, dict[str, object]]:
    return {id_: {name: getattr(row, name) for name in TOTALS} for id_, row in totals.items()}


def make_detection(chance: random.Random, session: str) -> dict[str, Any]:
    """Any detection: several of a visit, of a user, with one id and another failure than before."""
    made = detection(
        session,
        chance.choice(FAILURES),
        at=MONDAY + timedelta(minutes=chance.randrange(3_000)),
        user=chance.choice(("", "u1", "u2", "u3")),
        score=chance.choice((71, 88, 92, 92, 99)),
        endedFlow=chance.random() < 0.5,
        resolved=chance.random() < 0.3,
        severityType=chance.choice(("Bug", "UX", "Performance")),
    )
    made["context"] |= {
        "label": chance.choice(LABELS),
        "appVersion": chance.choice(("", "2.4.1", "2.5")),
        "environment": chance.choice(("", "production", "staging")),
    }
    if chance.random() < 0.3:  # another failure point of the same id, and a second detection of the visit
        made["detectionId"] = digest("shared", session, chance.randrange(2))
    made["triggeringSignals"] = made["triggeringSignals"][: chance.choice((1, 2))]
    return made


def change_something(store: IncidentStore, url: str, chance: random.Random, names: list[str]) -> None:
    """One operation that a worker, a person or the retention does."""
    session = chance.choice(names)
    match chance.randrange(8):
        case 0 | 1 | 2:
            found = {made["detectionId"]: made for made in (make_detection(chance, session) for _ in range(3))}
            origin = SessionOrigin(
                chance.choice((None, 1 << 62, (1 << 62) + 1)), None, mixed=chance.random() < 0.2, key=0
            )
            record(store, *found.values(), rule=RULE, origins={session: origin} if chance.random() < 0.8 else None)
        case 3:
            store.ledger.record_detections([AnalysedSession(queue(store, [session])[0], (), 1)], RULE)
        case 4:
            store.erasure.erase_sessions("shop", [session], rules=RULE)
        case 5:
            store.erasure.erase_sessions("shop", [], user_hash=chance.choice(("u1", "u2")), rules=RULE)
        case 6:
            store.erasure.forget_sources({"": 0.0 if chance.random() < 0.5 else 9.0})
        case 7:
            made = {**make_detection(chance, session), "detectionId": digest("external", session, chance.randrange(3))}
            store.ledger.record_external_detection(made, RULE)  # type: ignore[arg-type]  # JSON as a tool sends it


@pytest.mark.parametrize("seed", range(4))
def test_any_sequence_of_operations_leads_to_the_counts_of_a_recount(
    store: IncidentStore, postgres_url: str, seed: int
) -> None:
    chance = random.Random(seed)
    names = [f"s{n}" for n in range(9)]
    most = 0
    for _ in range(40):
        change_something(store, postgres_url, chance, names)
        with psycopg.connect(postgres_url) as connection:  # so that what was just stored may be forgotten
            connection.execute(
                "UPDATE detections SET created_at = created_at - interval '3 days',"
                " received_at = received_at - interval '3 days'"
            )
        most = max(most, assert_counts_are_those_of_a_recount(postgres_url))
    assert most == len(FAILURES)


def test_two_writers_at_once_lead_to_the_counts_of_a_recount(store: IncidentStore, postgres_url: str) -> None:
    def write(seed: int) -> None:
        chance = random.Random(100 + seed)
        own = IncidentStore.connect(postgres_url)
        for _ in range(40):
            session = f"w{seed}-{chance.randrange(6)}"
            if chance.random() < 0.2:
                own.erasure.forget_sources({"": -2.0})
            elif chance.random() < 0.3:
                own.erasure.erase_sessions("shop", [session], rules=RULE)
            else:
                made = {**make_detection(chance, session), "detectionId": digest(session, chance.randrange(3))}
                own.ledger.record_external_detection(made, RULE)  # type: ignore[arg-type]  # JSON as a tool sends it
        own.close()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, range(2)))
    assert assert_counts_are_those_of_a_recount(postgres_url) == len(FAILURES)


def test_a_detection_that_moves_is_counted_where_it_is_in_no_circle_of_waiting(
    store: IncidentStore, postgres_url: str
) -> None:
    """An erasure holds the incident that a tool moves a detection from, and waits for the one that it moves to."""
    record(store, *(detection(f"s{n}", FAILURES[n]) for n in range(2)))
    (first, first_print), (second, second_print) = list_fingerprints(postgres_url)
    sent = {**detection("s9", "any"), "detectionId": digest("sent"), "fingerprint": first_print}
    assert store.ledger.record_external_detection(sent, RULE)[0] == first  # type: ignore[arg-type]  # JSON as a tool sends it
    with ThreadPoolExecutor(1) as pool, psycopg.connect(postgres_url) as erasing:
        lock = "SELECT 1 FROM incidents WHERE incident_id = %s FOR NO KEY UPDATE"
        erasing.execute(lock, [first])
        moved = pool.submit(store.ledger.record_external_detection, {**sent, "fingerprint": second_print}, RULE)  # type: ignore[arg-type]
        wait_for_a_waiting_writer(postgres_url)
        erasing.execute(lock, [second])
        erasing.commit()
        assert moved.result()[0] == second
    assert_counts_are_those_of_a_recount(postgres_url)
    with psycopg.connect(postgres_url) as connection:
        sessions = connection.execute("SELECT incident_id, affected_sessions FROM incidents ORDER BY 1").fetchall()
    assert sessions == [(first, 1), (second, 2)]


def test_a_detection_that_another_writer_moves_first_is_counted_out_of_where_it_is(
    store: IncidentStore, postgres_url: str
) -> None:
    record(store, *(detection(f"s{n}", FAILURES[n]) for n in range(3)))
    (first, first_print), (middle, _), (last, last_print) = list_fingerprints(postgres_url)
    sent = {**detection("s9", "any"), "detectionId": digest("sent"), "fingerprint": last_print}
    store.ledger.record_external_detection(sent, RULE)  # type: ignore[arg-type]  # JSON as a tool sends it
    with ThreadPoolExecutor(1) as pool, psycopg.connect(postgres_url) as other:
        other.execute("SELECT 1 FROM incidents WHERE incident_id IN (%s, %s) FOR NO KEY UPDATE", [middle, last])
        moved = pool.submit(store.ledger.record_external_detection, {**sent, "fingerprint": first_print}, RULE)  # type: ignore[arg-type]
        wait_for_a_waiting_writer(postgres_url)
        other.execute("UPDATE detections SET incident_id = %s WHERE detection_id = %s", [middle, sent["detectionId"]])
        other.commit()
        assert moved.result()[0] == first
    with psycopg.connect(postgres_url) as connection:
        sessions = connection.execute("SELECT incident_id, affected_sessions FROM incidents ORDER BY 1 DESC").fetchall()
    assert sessions == [(last, 2), (middle, 1), (first, 2)]  # `last`: the other writer did not recompute it
    assert_counts_are_those_of_a_recount(postgres_url)


def list_fingerprints(url: str) -> list[Any]:
    """Id and fingerprint of each incident, in the order of their locks."""
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT incident_id, fingerprint FROM incidents ORDER BY 1").fetchall()


def wait_for_a_waiting_writer(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        end = time.monotonic() + 30
        while connection.execute(waiting).fetchone() != (1,):
            assert time.monotonic() < end
            time.sleep(0.01)


def test_detections_that_move_to_another_incident_are_counted_there(store: IncidentStore, postgres_url: str) -> None:
    record(store, *(detection(f"s{n}", FAILURES[n % 2], user=f"u{n}") for n in range(8)))
    with psycopg.connect(postgres_url) as connection:
        first, second = (row[0] for row in connection.execute("SELECT incident_id FROM incidents ORDER BY 1"))
        connection.execute(
            "UPDATE detections SET incident_id = %s WHERE session_id IN ('s0', 's1', 's2', 's3')", [first]
        )
        numbers = dict(
            connection.execute(
                "SELECT incident_id, number FROM incident_counts WHERE kind = 'sessions' ORDER BY 1"
            ).fetchall()
        )
        live = dict(connection.execute("SELECT incident_id, count(*) FROM detections GROUP BY 1").fetchall())
    assert numbers == live == {first: live[first], second: 8 - live[first]}


def test_what_was_there_before_the_counts_is_counted_by_the_migration(postgres_url: str) -> None:
    from stores.incidents import incident_schema

    store = IncidentStore.connect(postgres_url)
    store.migrate()
    chance = random.Random(7)
    for _ in range(20):
        change_something(store, postgres_url, chance, [f"s{n}" for n in range(5)])
    database = Database(postgres_url)
    with database.open_transaction() as connection:
        dump = list(connection.exec_driver_sql("SELECT * FROM incident_counts ORDER BY 1, 2, 3").all())
        sql = (incident_schema._MIGRATIONS / "versions" / "0012_load.sql").read_text()
        connection.exec_driver_sql("TRUNCATE incident_counts, counted_visits")
        connection.exec_driver_sql(sql[sql.index("DO $$") :])
        again = list(connection.exec_driver_sql("SELECT * FROM incident_counts ORDER BY 1, 2, 3").all())
    database.close()
    store.close()
    assert dump == again != []


def test_no_counted_text_of_an_erased_person_is_left(store: IncidentStore, postgres_url: str) -> None:
    record(store, detection("s1", user="u-erased", context={"userHash": "u-erased", "appVersion": "only-theirs"}))
    store.erasure.erase_sessions("shop", ["s1"], rules=RULE)
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT * FROM incident_counts").fetchall() == []
        assert connection.execute("SELECT * FROM counted_visits").fetchall() == []
