"""Tickets: who gets an incident to file, what a crash leaves behind, and that there is never a second ticket."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from core.errors import PermanentError
from incidents.lifecycle import ConfirmRule
from stores.incidents.incident_store import IncidentQuery, IncidentStore, NotFound, TicketClaim
from tests.integration.incident_store_cases import MONDAY, detection, history, incident, incident_id, record

AT_ONCE = ConfirmRule(min_sessions=1)
PAST = datetime(2024, 1, 1, tzinfo=UTC)
FUTURE = datetime.now(UTC) + timedelta(days=1)


@pytest.fixture
def store(postgres_url: str) -> Iterator[IncidentStore]:
    store = IncidentStore.connect(postgres_url)
    store.migrate()
    yield store
    store.close()


def confirmed(store: IncidentStore, *failures: str, project: str = "shop", score: int = 92) -> None:
    """One confirmed incident a failure point, one stored after the other."""
    for failure in failures:
        record(store, detection(failure, failure, project=project, score=score), rule=AT_ONCE, project=project)


def claim(store: IncidentStore, tracker: str = "jira", limit: int = 10, **options: object) -> list[TicketClaim]:
    return store.outbox.claim_incidents(tracker, limit=limit, min_score=80, **options)  # type: ignore[arg-type]


def names(claims: list[TicketClaim]) -> list[str]:
    return [claimed.incident["examples"][0]["sessionId"] for claimed in claims]


def test_a_claim_holds_the_whole_incident_and_the_tickets_identity(store: IncidentStore, postgres_url: str) -> None:
    confirmed(store, "pay")
    (claimed,) = claim(store)
    assert claimed.incident["incidentId"] == incident_id()
    assert claimed.incident["examples"]
    assert (claimed.client_id.version, claimed.attempts, claimed.state, claimed.generation) == (4, 1, "new", 0)
    with psycopg.connect(postgres_url) as connection:
        stored = connection.execute("SELECT client_id, state FROM outbox").fetchall()
    assert stored == [(claimed.client_id, "claimed")]


def test_worst_first_then_what_was_stored_first_whatever_times_clients_name(store: IncidentStore) -> None:
    record(store, detection("late", "late"), rule=AT_ONCE)
    record(store, detection("ancient", "ancient", at=MONDAY - timedelta(days=8_000)), rule=AT_ONCE)
    worst = [detection(f"worst{number}", "worst") for number in range(5)]  # five sessions make it High
    record(store, *worst, rule=AT_ONCE)
    record(store, detection("mild", "mild", endedFlow=False), rule=AT_ONCE)
    expected = ["worst", "late", "ancient", "mild"]
    assert [
        found["examples"][0]["sessionId"].rstrip("01234")
        for found in store.outbox.find_exportable_incidents("jira", 10, 80)
    ] == expected
    assert [name.rstrip("01234") for name in names(claim(store, limit=3))] == expected[:3]
    assert names(claim(store)) == ["mild"]


def test_only_what_is_trusted_bad_enough_and_still_there_is_exported(store: IncidentStore) -> None:
    confirmed(store, "confirmed", "suppressed", "resolved", "gone")
    confirmed(store, "low", score=65)
    record(store, detection("draft", "draft"))
    store.ledger.apply_action(incident_id("suppressed"), "suppress", "", "eve")
    store.ledger.apply_action(incident_id("resolved"), "resolve", "", "eve")
    store.erasure.erase_sessions("shop", ["gone"])
    assert [found["incidentId"] for found in store.outbox.find_exportable_incidents("jira", 10, 0)] == [
        incident_id("confirmed")
    ]
    assert names(store.outbox.claim_incidents("jira", limit=10, min_score=0)) == [
        "confirmed"
    ]  # never below 70, whatever is asked for


def test_two_exporters_at_once_never_get_the_same_incident(store: IncidentStore) -> None:
    confirmed(store, *(f"f{number}" for number in range(40)))
    with ThreadPoolExecutor(8) as pool:
        claims = [claimed for batch in pool.map(lambda _: claim(store, limit=5), range(16)) for claimed in batch]
    assert len(claims) == 40
    assert len({claimed.incident["incidentId"] for claimed in claims}) == 40
    assert len({claimed.client_id for claimed in claims}) == 40


def test_an_exporter_that_vanished_is_followed_by_another_with_the_same_identity(store: IncidentStore) -> None:
    confirmed(store, "pay")
    (first,) = claim(store, lease_s=0)
    (second,) = claim(store, lease_s=600)
    assert (second.client_id, second.attempts, second.state) == (first.client_id, 2, "claimed")
    assert claim(store) == []
    assert claim(store, "linear")[0].client_id != first.client_id


def test_a_filed_ticket_is_a_fact_and_the_only_one(store: IncidentStore) -> None:
    confirmed(store, "pay")
    claim(store)
    store.outbox.record_filed_ticket(incident_id(), "jira", "OPS-1", "https://jira.example/browse/OPS-1")
    store.outbox.record_filed_ticket(incident_id(), "jira", "OPS-1", "https://jira.example/browse/OPS-1")
    with pytest.raises(PermanentError, match="OPS-2 is a second one"):
        store.outbox.record_filed_ticket(incident_id(), "jira", "OPS-2", "https://jira.example/browse/OPS-2")
    found = incident(store)
    assert found["exported"] is True
    (ticket,) = found["tickets"]
    assert (ticket["state"], ticket["key"], ticket["attempts"]) == ("filed", "OPS-1", 1)
    assert [reason for _, _, reason in history(store, incident_id())].count("ticket OPS-1 at jira filed") == 1
    assert claim(store, lease_s=0) == []
    assert store.incidents.list_incidents(IncidentQuery(exported=True)).total == 1
    assert store.incidents.list_incidents(IncidentQuery(exported=False)).total == 0


def test_a_failure_waits_for_its_time(store: IncidentStore) -> None:
    confirmed(store, "pay")
    claim(store)
    store.outbox.record_failed_export(incident_id(), "jira", "429 Too Many Requests", FUTURE)
    assert claim(store) == []
    store.outbox.record_failed_export(incident_id(), "jira", "429 Too Many Requests", PAST)
    (again,) = claim(store)
    assert (again.state, again.attempts) == ("retry", 2)
    assert incident(store)["tickets"][0]["lastError"] == "429 Too Many Requests"


def test_a_refusal_is_final_until_somebody_asks_for_it(store: IncidentStore) -> None:
    confirmed(store, "pay", "address")
    claim(store)
    store.outbox.record_failed_export(incident_id("pay"), "jira", "project OPS does not exist", None)
    assert incident(store)["tickets"][0]["state"] == "export_failed"
    assert history(store, incident_id())[-1][2] == "export to jira failed permanently: project OPS does not exist"
    assert store.outbox.find_exportable_incidents("jira", 10, 80) == []
    assert claim(store) == []
    (again,) = claim(store, failed=True)
    assert (again.incident["incidentId"], again.state, again.attempts) == (incident_id("pay"), "export_failed", 2)
    assert claim(store, failed=True) == []


def test_a_claim_may_be_restricted(store: IncidentStore) -> None:
    confirmed(store, "pay", "address")
    confirmed(store, "pay", project="blog")
    assert [found.incident["projectId"] for found in claim(store, project="blog")] == ["blog"]
    assert names(claim(store, only=[incident_id("address"), incident_id("unknown")])) == ["address"]
    assert claim(store, only=[]) == []


def test_each_project_has_so_many_new_tickets_an_hour(store: IncidentStore) -> None:
    confirmed(store, *(f"f{number}" for number in range(5)))
    confirmed(store, "pay", project="blog")
    assert sorted(names(claim(store, rate=2))) == ["f0", "f1", "pay"]
    assert claim(store, rate=2) == []  # those two are being made
    store.outbox.record_filed_ticket(incident_id("f0"), "jira", "OPS-0", "https://jira.example/OPS-0")
    store.outbox.record_failed_export(incident_id("f1"), "jira", "unknown project", None)
    assert names(claim(store, rate=2)) == ["f2"]  # the refused one used up nothing


def test_what_came_back_is_told_to_the_ticket_that_exists(store: IncidentStore) -> None:
    confirmed(store, "pay")
    (first,) = claim(store)
    store.outbox.record_filed_ticket(incident_id(), "jira", "OPS-1", "https://jira.example/OPS-1")
    store.ledger.apply_action(incident_id(), "resolve", "deployed", "eve", at=MONDAY + timedelta(hours=1))
    assert claim(store) == []
    record(store, detection("later", "pay", at=MONDAY + timedelta(hours=2)), rule=AT_ONCE)
    (again,) = claim(store, rate=0)  # no new ticket, hence not subject to the rate
    assert (again.generation, again.key, again.state) == (1, "OPS-1", "filed")
    assert again.client_id == first.client_id
    assert incident(store)["exported"] is True
    store.outbox.record_filed_ticket(incident_id(), "jira", "OPS-1", "https://jira.example/OPS-1")
    assert claim(store, lease_s=0) == []
    assert history(store, incident_id())[-1][2] == "ticket OPS-1 at jira updated"


def test_log_only_logs_a_text_once_and_leaves_the_incident_to_be_filed(store: IncidentStore) -> None:
    confirmed(store, "pay", "address")
    assert store.outbox.mark_ticket_logged(incident_id(), "jira", "digest 1") is True
    assert store.outbox.mark_ticket_logged(incident_id(), "jira", "digest 1") is False
    assert store.outbox.mark_ticket_logged(incident_id(), "jira", "digest 2") is True
    assert store.outbox.mark_ticket_logged("inc_unknown", "jira", "digest") is False
    assert incident(store)["exported"] is False
    assert len(store.outbox.find_exportable_incidents("jira", 10, 80)) == 2
    assert [found["incidentId"] for found in store.outbox.find_exportable_incidents("jira", 10, 80, unlogged=True)] == [
        incident_id("address")
    ]
    assert {claimed.state for claimed in claim(store)} == {"logged", "new"}


def test_nothing_is_recorded_for_an_incident_that_was_never_claimed(store: IncidentStore) -> None:
    confirmed(store, "pay")
    with pytest.raises(NotFound):
        store.outbox.record_filed_ticket(incident_id(), "jira", "OPS-1", "https://jira.example/OPS-1")
    with pytest.raises(NotFound):
        store.outbox.record_failed_export(incident_id(), "jira", "boom", None)
    assert incident(store)["exported"] is False
    assert store.incidents.read_store_counts()["tickets"] == {}
