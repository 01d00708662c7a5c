"""Detections become incidents: counts, rules, history, and what a rerun must not change."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from core.errors import PermanentError
from incidents.lifecycle import ConfirmRule
from stores.incidents.incident_store import (
    AnalysedSession,
    IllegalTransition,
    IncidentQuery,
    IncidentStore,
    NotFound,
    SessionOrigin,
)
from tests.integration.incident_store_cases import (
    MONDAY,
    detection,
    digest,
    history,
    incident,
    incident_id,
    iso,
    queue,
    record,
    record_nothing,
)

DAY = timedelta(days=1)
HASH = 1 << 62
NEVER = ConfirmRule(min_sessions=10**6, min_users=10**6)


@pytest.fixture
def store(postgres_url: str) -> Iterator[IncidentStore]:
    store = IncidentStore.connect(postgres_url)
    store.migrate()
    yield store
    store.close()


def dump(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Everything that a rerun must leave as it is, to the byte."""
    tables = ("detections", "incidents", "incident_history", "outbox")
    with psycopg.connect(url) as connection:
        return {table: connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in tables}


def test_an_incident_sums_up_its_sessions(store: IncidentStore) -> None:
    done = record(
        store,
        detection("a", user="u1", score=80, at=MONDAY),
        detection("b", user="u2", score=90, at=MONDAY + DAY),
        detection("c", user="u2", score=95, at=MONDAY + 2 * DAY, endedFlow=False),
    )
    assert (done.sessions, done.stored, done.stale, done.confirmed) == (3, 3, 0, (incident_id(),))
    found = incident(store)
    assert found["affectedSessions"] == 3
    assert found["affectedUsers"] == 2
    assert (found["firstSeen"], found["lastSeen"]) == (iso(MONDAY), iso(MONDAY + 2 * DAY))
    assert (found["highestScore"], found["medianScore"], found["confidence"]) == (95, 90.0, 0.9)
    assert found["signals"] == {"feedback": 3, "rage": 3}
    assert (found["routes"], found["environments"], found["appVersions"]) == (["/checkout"], ["production"], ["2.4.1"])
    assert found["title"] == 'POST /api/orders → 500 on "Pay now" (/checkout): 3 sessions blocked'
    assert found["failurePoint"]["target"] == "button#pay"
    assert (found["severity"], found["severityType"], found["priority"]) == ("Medium", "Bug", "P2")
    assert found["exported"] is False


def test_a_session_with_two_detections_of_one_failure_counts_once(store: IncidentStore) -> None:
    record(store, detection("a"), detection("b"))
    store.ledger.record_external_detection(detection("b", detectionId=digest("made elsewhere")))
    found = incident(store)
    assert (found["affectedSessions"], found["signals"]) == (2, {"feedback": 2, "rage": 2})
    assert found["sessionsBy"]["appVersions"] == {"2.4.1": 2}


def test_examples_are_the_worst_then_the_shortest(store: IncidentStore) -> None:
    step = {"eventId": "e", "at": iso(MONDAY), "offsetMs": 0, "eventType": "click", "text": "clicked"}
    step |= {"route": "/checkout", "target": ""}
    record(
        store,
        detection("long", score=99, timeline=[step] * 9),
        detection("short", score=99, timeline=[step] * 2),
        *(detection(f"other{number}", score=80 + number) for number in range(6)),
    )
    examples = incident(store)["examples"]
    assert [example["sessionId"] for example in examples] == ["short", "long", "other5", "other4", "other3"]
    assert examples[0]["timeline"] == [step] * 2
    assert incident(store)["explanation"] == examples[0]["explanation"]


def test_recording_the_same_again_changes_no_byte(store: IncidentStore, postgres_url: str) -> None:
    detections = [detection(f"s{number}", user=f"u{number}") for number in range(4)]
    record(store, *detections)
    before = dump(postgres_url)
    again = record(store, *reversed(detections))
    assert dump(postgres_url) == before
    assert (again.sessions, again.stored, again.retracted, again.confirmed) == (4, 0, 0, ())


def test_the_order_of_sessions_and_batches_does_not_matter(store: IncidentStore) -> None:
    ours = [detection(f"s{n}", at=MONDAY + n * timedelta(hours=5), score=80 + n) for n in range(5)]
    other = [
        detection(f"s{n}", project="twin", at=MONDAY + n * timedelta(hours=5), score=80 + n) for n in (3, 1, 4, 0, 2)
    ]
    record(store, *ours)
    for found in other:
        record(store, found, project="twin")
    kept = ("status", "title", "affectedSessions", "firstSeen", "lastSeen", "medianScore", "severity", "signals")
    left, right = incident(store), incident(store, project="twin")
    assert {name: left[name] for name in kept} == {name: right[name] for name in kept}


def test_a_detection_that_is_gone_is_retracted_and_may_come_back(store: IncidentStore) -> None:
    record(store, detection("a"), detection("b"))
    gone = record_nothing(store, "a")
    assert (gone.retracted, gone.incidents) == (1, (incident_id(),))
    assert incident(store)["affectedSessions"] == 1
    assert store.incidents.read_store_counts()["retracted"] == 1
    assert history(store, incident_id())[-1] == ("draft", "draft", "1 detection retracted after late events")
    back = record(store, detection("a"))
    assert (back.stored, incident(store)["affectedSessions"], store.incidents.read_store_counts()["retracted"]) == (
        1,
        2,
        0,
    )


def test_an_incident_without_live_detections_stays_with_nobody_affected(store: IncidentStore) -> None:
    record(store, detection("a", user="u"))
    record_nothing(store, "a")
    found = incident(store)
    assert (found["status"], found["affectedSessions"], found["affectedUsers"]) == ("draft", 0, 0)
    assert (found["highestScore"], found["firstSeen"], found["examples"]) == (92, iso(MONDAY), [])
    assert found["title"].endswith("0 sessions blocked")


def test_a_session_that_moves_to_another_failure_point_leaves_the_first(store: IncidentStore) -> None:
    record(store, detection("a", "pay"))
    moved = record(store, detection("a", "address"))
    assert set(moved.incidents) == {incident_id("pay"), incident_id("address")}
    assert incident(store, "pay")["affectedSessions"] == 0
    assert incident(store, "address")["affectedSessions"] == 1


def test_what_rests_on_events_that_are_stored_no_longer_is_not_retracted(store: IncidentStore) -> None:
    """Retention dropped the old events of a session id that came back: the engine saw the new ones alone."""
    store.ledger.record_detections([AnalysedSession(queue(store, ["a"])[0], (detection("a"),), 1)], ConfirmRule())
    kept = store.ledger.record_detections(
        [AnalysedSession(queue(store, ["a"])[0], (), 1, since_ms=32_503_680_000_000)], ConfirmRule()
    )
    assert (kept.sessions, kept.retracted) == (1, 0)
    assert incident(store)["affectedSessions"] == 1
    gone = store.ledger.record_detections(
        [AnalysedSession(queue(store, ["a"])[0], (), 1, since_ms=1_000)], ConfirmRule()
    )
    assert (gone.sessions, gone.retracted) == (1, 1)


def test_a_session_that_got_new_events_is_not_recorded_and_stays_in_line(store: IncidentStore) -> None:
    old = queue(store, ["a"])[0]
    new = queue(store, ["a"])[0]
    assert new.version != old.version
    stale = store.ledger.record_detections([AnalysedSession(old, (detection("a"),), 1)], ConfirmRule())
    assert (stale.sessions, stale.stale, stale.stored, stale.incidents) == (0, 1, 0, ())
    assert store.incidents.read_incident(incident_id()) is None
    assert store.queue.find_due_sessions(10_000, 10) == [new]


def test_an_old_result_does_not_clear_a_session_that_left_the_line_and_came_back(store: IncidentStore) -> None:
    old = queue(store, ["a"])[0]
    assert store.ledger.record_detections([AnalysedSession(old, (), 1)], ConfirmRule()).sessions == 1
    back = queue(store, ["a"])[0]
    assert store.ledger.record_detections([AnalysedSession(old, (), 1)], ConfirmRule()).stale == 1
    assert store.queue.find_due_sessions(10_000, 10) == [back]


def test_two_workers_at_once_end_in_exact_counts(store: IncidentStore) -> None:
    """Overlapping sessions, two incidents, batches in opposite orders: no deadlock, nothing counted twice."""
    names = [f"s{number}" for number in range(60)]
    pending = queue(store, names)

    def analyse(numbers: list[int]) -> int:
        batch = [
            AnalysedSession(
                pending[n], (detection(names[n], "pay", user=f"u{n % 7}"), detection(names[n], "address")), 1
            )
            for n in numbers
        ]
        return sum(
            store.ledger.record_detections(batch[start : start + 6], NEVER).sessions
            for start in range(0, len(batch), 6)
        )

    forwards = list(range(60))
    with ThreadPoolExecutor(4) as pool:
        done = sum(pool.map(analyse, [forwards, forwards[::-1], forwards[30:] + forwards[:30], forwards[10:50]]))
    assert done == 60
    assert incident(store, "pay")["affectedSessions"] == 60
    assert incident(store, "pay")["affectedUsers"] == 7
    assert incident(store, "address")["affectedSessions"] == 60
    assert store.queue.find_due_sessions(10_000, 10) == []


def test_distinct_sessions_of_one_incident_recorded_at_once_are_all_counted(store: IncidentStore) -> None:
    pending = queue(store, [f"s{number}" for number in range(40)])

    def analyse(number: int) -> None:
        store.ledger.record_detections([AnalysedSession(pending[number], (detection(f"s{number}"),), 1)], ConfirmRule())

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(analyse, range(40)))
    found = incident(store)
    assert (found["affectedSessions"], found["status"]) == (40, "confirmed")
    assert [entry["to"] for entry in found["history"]] == ["draft", "confirmed"]


@pytest.mark.parametrize(
    ("detections", "status"),
    [
        ([detection("a"), detection("b")], "draft"),
        ([detection("a"), detection("b"), detection("c")], "confirmed"),
        ([detection("a", user="u1"), detection("b", user="u1")], "draft"),
        ([detection("a", user="u1"), detection("b", user="u2")], "confirmed"),
        ([detection("a"), detection("b", at=MONDAY + DAY), detection("c", at=MONDAY + 7.1 * DAY)], "draft"),
        ([detection("a"), detection("b", at=MONDAY + DAY), detection("c", at=MONDAY + 7 * DAY)], "confirmed"),
        ([detection("a", user="u1"), detection("b", user="u2", at=MONDAY + 8 * DAY)], "draft"),
    ],
)
def test_the_confirm_rule(store: IncidentStore, detections: list[dict[str, Any]], status: str) -> None:
    record(store, *detections)
    assert incident(store)["status"] == status


def test_each_project_has_its_rule(store: IncidentStore) -> None:
    rules = {"": ConfirmRule(), "strict": ConfirmRule(min_sessions=1)}
    for project in ("strict", "other"):
        pending = queue(store, ["a"], project)
        store.ledger.record_detections([AnalysedSession(pending[0], (detection("a", project=project),), 1)], rules)
    assert incident(store, project="strict")["status"] == "confirmed"
    assert incident(store, project="other")["status"] == "draft"


def test_only_sessions_of_several_sources_that_started_after_the_fix_make_an_incident_come_back(
    store: IncidentStore,
) -> None:
    record(store, *(detection(name) for name in "abc"))
    store.ledger.apply_action(incident_id(), "resolve", "deployed 2.4.2", "eve", at=MONDAY + DAY)
    # This visit starts a minute before its detection, and thus half a minute before the fix.
    straddling = record(store, detection("d", at=MONDAY + DAY + timedelta(seconds=30)))
    assert (straddling.regressed, incident(store)["status"]) == ((), "resolved")
    later = MONDAY + DAY + timedelta(seconds=61)
    one_source = dict.fromkeys("efg", SessionOrigin(HASH, HASH + 1))
    alone = record(store, *(detection(name, at=later) for name in "efg"), origins=one_source)
    assert (alone.regressed, incident(store)["status"]) == ((), "resolved")
    again = record(store, detection("h", at=later))
    assert again.regressed == (incident_id(),)
    assert history(store, incident_id())[-1] == (
        "resolved",
        "regressed",
        "came back: 3 sessions within 7 days (the rule asks for 3), started after the fix of 2024-01-16 10:00 UTC",
    )


def test_suppressed_for_ever_keeps_counting_and_stays(store: IncidentStore) -> None:
    record(store, *(detection(name) for name in "abc"))
    store.ledger.apply_action(incident_id(), "suppress", "known limitation", "eve")
    record(store, *(detection(f"later{number}", at=MONDAY + 30 * DAY) for number in range(20)))
    found = incident(store)
    assert (found["status"], found["affectedSessions"]) == ("suppressed", 23)


def test_suppressed_until_a_date_ends_when_what_is_received_after_it_meets_the_rule(store: IncidentStore) -> None:
    record(store, *(detection(name) for name in "abc"))
    store.ledger.apply_action(incident_id(), "suppress", "fixed in the next release", "eve", until=MONDAY + 2 * DAY)
    record(store, detection("d", at=MONDAY + DAY))
    assert incident(store)["status"] == "suppressed"
    # A client may name any time: it is the receipt that counts.
    record(store, *(detection(name, at=MONDAY + 3 * DAY) for name in "efg"), received=MONDAY + DAY)
    assert incident(store)["status"] == "suppressed"
    record(store, detection("h", at=MONDAY + 2 * DAY), detection("i", at=MONDAY + 2 * DAY))
    assert incident(store)["status"] == "suppressed"
    record(store, detection("j", at=MONDAY + 2 * DAY))
    found = incident(store)
    assert (found["status"], found["suppressedUntil"]) == ("confirmed", None)


def test_suppressed_until_more_sessions(store: IncidentStore) -> None:
    record(store, *(detection(name) for name in "abc"))
    store.ledger.apply_action(incident_id(), "suppress", "rare", "eve", sessions=2)
    record(store, detection("d"))
    assert incident(store)["status"] == "suppressed"
    record(store, detection("e"))
    assert incident(store)["status"] == "confirmed"
    assert history(store, incident_id())[-1][2] == "suppressed until 5 sessions: 5 affected now"


def test_a_draft_that_is_suppressed_no_longer_meets_the_confirm_rule_at_once(store: IncidentStore) -> None:
    record(store, detection("a"))
    store.ledger.apply_action(incident_id(), "suppress", "noise", "eve", sessions=2)
    done = record(store, detection("b"), detection("c"))
    assert [(before, after) for before, after, _ in history(store, incident_id())[-2:]] == [
        ("suppressed", "draft"),
        ("draft", "confirmed"),
    ]
    assert done.confirmed == (incident_id(),)


def test_people_act_and_the_history_says_who_and_why(store: IncidentStore) -> None:
    record(store, detection("a"))
    shown = store.ledger.apply_action(incident_id(), "confirm", "seen it myself", "eve", project="shop")
    assert shown["status"] == "confirmed"
    assert (shown["history"][-1]["actor"], shown["history"][-1]["reason"]) == ("eve", "seen it myself")
    with pytest.raises(IllegalTransition, match="confirmed cannot confirm"):
        store.ledger.apply_action(incident_id(), "confirm", "again", "eve")
    with pytest.raises(NotFound):
        store.ledger.apply_action(incident_id(), "resolve", "", "eve", project="another")
    with pytest.raises(NotFound):
        store.ledger.apply_action("inc_unknown", "resolve", "", "eve")
    with pytest.raises(PermanentError, match="at least 1"):
        store.ledger.apply_action(incident_id(), "suppress", "", "eve", sessions=0)
    assert incident(store)["status"] == "confirmed"


@pytest.mark.parametrize("statement", ["UPDATE incident_history SET reason = ''", "DELETE FROM incident_history"])
def test_history_can_only_grow(store: IncidentStore, postgres_url: str, statement: str) -> None:
    record(store, detection("a"))
    with psycopg.connect(postgres_url) as connection, pytest.raises(psycopg.Error, match="append-only"):
        connection.execute(statement)
    with psycopg.connect(postgres_url) as connection, pytest.raises(psycopg.Error, match="append-only"):
        connection.execute("TRUNCATE incident_history")


def test_text_that_postgres_cannot_hold_does_not_lose_the_session(store: IncidentStore) -> None:
    hostile = {"label": "Pay\x00 now \ud800", "userHash": "", "appVersion": "1\x00"}
    record(store, detection("a", context=hostile, explanation="\\u0000 stays, \x00 goes"))
    found = incident(store)
    assert found["label"] == "Pay\ufffd now \ufffd"
    assert found["explanation"] == "\\u0000 stays, \ufffd goes"
    assert found["appVersions"] == ["1\ufffd"]


def test_a_broken_detection_is_refused_by_name_and_writes_nothing(store: IncidentStore) -> None:
    pending = queue(store, ["good", "bad"])
    broken = detection("bad")
    del broken["visitId"]
    batch = [AnalysedSession(pending[0], (detection("good"),), 1), AnalysedSession(pending[1], (broken,), 1)]
    with pytest.raises(PermanentError, match="session 'bad' cannot be stored: lacks 'visitId'"):
        store.ledger.record_detections(batch, ConfirmRule())
    assert store.incidents.read_store_counts()["detections"] == 0
    assert len(store.queue.find_due_sessions(10_000, 10)) == 2


def test_a_detection_of_another_session_is_refused(store: IncidentStore) -> None:
    pending = queue(store, ["a"])[0]
    with pytest.raises(PermanentError, match="another project or session"):
        store.ledger.record_detections([AnalysedSession(pending, (detection("b"),), 1)], ConfirmRule())


def test_a_detection_made_elsewhere_is_stored_once_and_survives_the_engine(store: IncidentStore) -> None:
    assert store.ledger.record_external_detection(detection("a")) == (incident_id(), False)
    assert store.ledger.record_external_detection(detection("a")) == (incident_id(), True)
    assert record_nothing(store, "a").retracted == 0
    assert incident(store)["affectedSessions"] == 1


def test_one_project_cannot_write_into_the_incident_of_another(store: IncidentStore) -> None:
    record(store, detection("a"))
    forged = detection("x", project="mallory") | {"fingerprint": digest("shop", "pay")}
    with pytest.raises(PermanentError, match="another project"):
        store.ledger.record_external_detection(forged)
    same_id = detection("a", project="mallory", detectionId=detection("a")["detectionId"])
    store.ledger.record_external_detection(same_id)
    assert incident(store)["affectedSessions"] == 1


def test_a_list_of_incidents_is_filtered_sorted_and_paged(store: IncidentStore) -> None:
    record(store, *(detection(name, "pay", score=95) for name in "abc"))
    record(store, detection("d", "search", score=81, at=MONDAY + DAY))
    record(store, detection("e", "pay", project="blog", score=88), project="blog")

    def ids(**filters: Any) -> list[str]:
        return [found["incidentId"] for found in store.incidents.list_incidents(IncidentQuery(**filters)).incidents]

    pay, search, blog = incident_id("pay"), incident_id("search"), incident_id("pay", "blog")
    assert ids(sort="-highestScore") == [pay, blog, search]
    assert ids()[0] == search  # the one seen last
    assert ids(project="shop", sort="affectedSessions") == [search, pay]
    assert ids(status=("confirmed",)) == [pay]
    assert set(ids(status=("confirmed", "draft"))) == {pay, search, blog}
    assert ids(severity=("Critical",)) == []
    assert ids(since=MONDAY + timedelta(hours=1)) == [search]
    assert ids(min_score=90) == [pay]
    assert ids(route="/nowhere") == []
    assert ids(exported=True) == []
    assert len(ids(exported=False)) == 3
    page = store.incidents.list_incidents(IncidentQuery(limit=1, offset=1, sort="-highestScore"))
    assert ([found["incidentId"] for found in page.incidents], page.total) == ([blog], 3)
    assert store.incidents.read_incident(pay, project="blog") is None


@pytest.mark.parametrize(
    "query", [IncidentQuery(sort="; DROP TABLE incidents"), IncidentQuery(limit=0), IncidentQuery(limit=1001)]
)
def test_a_query_that_makes_no_sense_is_refused(store: IncidentStore, query: IncidentQuery) -> None:
    with pytest.raises(PermanentError):
        store.incidents.list_incidents(query)


def test_erasing_a_user_leaves_the_others(store: IncidentStore) -> None:
    record(store, detection("a", user="u1"), detection("b", user="u2"), detection("c", user="u1"))
    queue(store, ["a"])
    assert store.erasure.erase_sessions("shop", [], "u1").detections == 2
    found = incident(store)
    assert (found["affectedSessions"], found["affectedUsers"]) == (1, 1)
    assert [example["sessionId"] for example in found["examples"]] == ["b"]
    assert store.erasure.erase_sessions("shop", ["b"]).detections == 1
    assert store.incidents.read_store_counts()["detections"] == 0
    with pytest.raises(PermanentError):
        store.erasure.erase_sessions("shop", [])
