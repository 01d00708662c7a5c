"""Which incident a detection belongs to: versions of fingerprints, merged and split incidents."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text

from stores.incidents.incident_database import Database
from stores.incidents.incident_schema import migrate
from stores.incidents.incident_store import AnalysedSession, IllegalTransition, IncidentQuery, IncidentStore, NotFound
from tests.integration.incident_store_cases import detection, digest, history, incident_id, queue, record


@pytest.fixture
def store(postgres_url: str) -> Iterator[IncidentStore]:
    store = IncidentStore.connect(postgres_url)
    store.migrate()
    yield store
    store.close()


def grouped(session: str, shown: str, name: str, **more: Any) -> dict[str, Any]:
    """A detection of version 2: ``shown`` makes its first fingerprint, ``name`` that of version 2."""
    prints = {"fingerprint": digest("2", name), "fingerprintVersion": 2, "olderFingerprints": [digest("shop", shown)]}
    return detection(session, shown, **{**prints, **more})


def new_id(name: str) -> str:
    return f"inc_{digest('2', name)}"


def sessions_of(store: IncidentStore, id_: str) -> int:
    found = store.incidents.read_incident(id_)
    return 0 if found is None else found["affectedSessions"]


def listed(store: IncidentStore) -> set[str]:
    return {found["incidentId"] for found in store.incidents.list_incidents(IncidentQuery()).incidents}


def test_names_of_one_control_are_one_incident(store: IncidentStore) -> None:
    record(store, grouped("a", "pay-1", "pay"), grouped("b", "pay-2", "pay"), grouped("c", "cancel", "cancel"))
    assert listed(store) == {new_id("pay"), new_id("cancel")}
    assert sessions_of(store, new_id("pay")) == 2


def test_an_incident_of_an_older_version_keeps_its_sessions(empty_postgres_url: str) -> None:
    """The database holds two incidents of version 1 and their detections when it is upgraded."""
    database = Database(empty_postgres_url)
    with database.open_transaction() as connection:
        migrate(connection, "0008")
        for name in ("pay-1", "pay-2"):
            connection.execute(
                text(
                    "INSERT INTO incidents (incident_id, project, fingerprint, status) VALUES (:id, 'shop', :f, 'confirmed')"
                ),
                {"id": incident_id(name), "f": digest("shop", name)},
            )
            connection.execute(
                text(
                    "INSERT INTO detections (project, detection_id, session_id, visit_id, visit_start, incident_id, score, "
                    "happened_at, last_seen, severity_type, ended_flow, resolved, signals, routes, story_length, body) VALUES "
                    "('shop', :d, :s, :v, now(), :id, 92, now(), now(), 'Bug', true, false, '{}', '{}', 1, :body)"
                ),
                {
                    "d": digest("shop", f"old {name}", name),
                    "s": f"old {name}",
                    "v": digest("shop", f"old {name}"),
                    "id": incident_id(name),
                    "body": json.dumps(detection(f"old {name}", name)),
                },
            )
    database.close()
    store = IncidentStore.connect(empty_postgres_url)
    store.migrate()
    # Version 2 calls both one; the incidents stay, with their own sessions and new ones of the same name.
    record(
        store, grouped("new 1", "pay-1", "pay"), grouped("new 2", "pay-2", "pay"), grouped("old pay-1", "pay-1", "pay")
    )
    assert listed(store) == {incident_id("pay-1"), incident_id("pay-2")}
    assert (sessions_of(store, incident_id("pay-1")), sessions_of(store, incident_id("pay-2"))) == (2, 2)
    # A name that no incident has joins the one that took the new fingerprint first.
    record(store, grouped("new 3", "pay-3", "pay"))
    assert listed(store) == {incident_id("pay-1"), incident_id("pay-2")}
    assert sessions_of(store, incident_id("pay-1")) == 3
    # What version 1 called one stays one, also where version 2 calls it two.
    record(store, grouped("new 4", "pay-1", "pay twice"))
    assert listed(store) == {incident_id("pay-1"), incident_id("pay-2")}
    store.close()


def test_writers_at_once_make_one_incident(store: IncidentStore) -> None:
    pending = queue(store, [f"s{n}" for n in range(12)])

    def write(number: int) -> None:
        found = grouped(f"s{number}", f"pay-{number}", "pay")
        store.ledger.record_detections([AnalysedSession(pending[number], (found,), 1)])

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(12)))
    assert listed(store) == {new_id("pay")}
    assert sessions_of(store, new_id("pay")) == 12


def test_a_merge_is_remembered(store: IncidentStore) -> None:
    record(store, grouped("a", "pay", "pay"), grouped("b", "buy", "buy"), grouped("c", "buy", "buy"))
    merged = store.merger.merge_incidents(new_id("buy"), new_id("pay"), "the same button", "eve", "shop")
    assert (merged["incidentId"], merged["affectedSessions"]) == (new_id("pay"), 3)
    assert listed(store) == {new_id("pay")}
    gone = store.incidents.read_incident(new_id("buy"))
    assert gone is not None
    assert (gone["mergedInto"], gone["affectedSessions"], gone["allowedActions"]) == (new_id("pay"), 0, [])
    # New detections, the same session again, and a later version of the rules.
    record(store, grouped("d", "buy", "buy"), grouped("b", "buy", "buy"))
    record(
        store,
        grouped("e", "buy", "x", olderFingerprints=[digest("shop", "buy"), digest("2", "buy")], fingerprintVersion=3),
    )
    assert sessions_of(store, new_id("pay")) == 5
    assert store.merger.merge_incidents(new_id("buy"), new_id("pay"), "again", "eve")["affectedSessions"] == 5
    assert any("the same button" in reason for _, _, reason in history(store, new_id("pay")))
    with pytest.raises(IllegalTransition, match="merged into"):
        store.ledger.apply_action(new_id("buy"), "confirm", "", "eve")


def test_a_merged_incident_is_counted_nowhere(store: IncidentStore) -> None:
    record(store, grouped("a", "pay", "pay"), grouped("b", "buy", "buy"))
    for name in ("pay", "buy"):
        store.ledger.apply_action(new_id(name), "confirm", "", "eve")
    assert store.incidents.read_store_counts()["incidents"]["confirmed"] == 2
    (claim,) = store.outbox.claim_incidents("jira", limit=1, min_score=70, only=[new_id("buy")])
    store.outbox.record_failed_export(
        new_id("buy"), "jira", "403", None, token=claim.token, refused_by="these settings"
    )
    assert store.outbox.find_refusal("jira", "these settings") == ("403", 1)
    assert len(store.outbox.list_waiting_tickets()) == len(store.review.list_waiting_exports(None)) == 1
    store.merger.merge_incidents(new_id("buy"), new_id("pay"), "same", "eve")
    assert store.incidents.read_store_counts()["incidents"]["confirmed"] == 1
    assert store.outbox.find_refusal("jira", "these settings") is None
    assert store.outbox.list_waiting_tickets() == store.review.list_waiting_exports(None) == []


def test_what_cannot_be_merged(store: IncidentStore) -> None:
    record(store, grouped("a", "pay", "pay"))
    record(store, detection("b", project="blog"), project="blog")
    with pytest.raises(IllegalTransition, match="itself"):
        store.merger.merge_incidents(new_id("pay"), new_id("pay"), "", "eve")
    with pytest.raises(IllegalTransition, match="two projects"):
        store.merger.merge_incidents(new_id("pay"), incident_id(project="blog"), "", "eve")
    with pytest.raises(NotFound):
        store.merger.merge_incidents(new_id("pay"), incident_id(project="blog"), "", "eve", "shop")


def file_ticket(store: IncidentStore, id_: str, key: str) -> None:
    store.ledger.apply_action(id_, "confirm", "", "eve")
    (claim,) = store.outbox.claim_incidents("jira", limit=1, min_score=70, only=[id_])
    store.outbox.record_filed_ticket(claim.incident["incidentId"], "jira", key, f"https://jira.test/{key}")


def test_one_ticket_remains_of_a_merge(store: IncidentStore) -> None:
    record(store, grouped("a", "pay", "pay"), grouped("b", "buy", "buy"), grouped("c", "order", "order"))
    file_ticket(store, new_id("buy"), "WEB-1")
    taken = store.merger.merge_incidents(new_id("buy"), new_id("pay"), "same", "eve")
    assert [ticket["key"] for ticket in taken["tickets"]] == ["WEB-1"]
    file_ticket(store, new_id("order"), "WEB-2")
    merged = store.merger.merge_incidents(new_id("order"), new_id("pay"), "same", "eve")
    assert [ticket["key"] for ticket in merged["tickets"]] == ["WEB-1"]
    assert any("WEB-2 at jira duplicates WEB-1" in reason for _, _, reason in history(store, new_id("order")))
    assert store.outbox.find_exportable_incidents("jira", 10, 70) == []


def test_a_ticket_that_is_being_filed_delays_a_merge(store: IncidentStore) -> None:
    record(store, grouped("a", "pay", "pay"), grouped("b", "buy", "buy"))
    store.ledger.apply_action(new_id("buy"), "confirm", "", "eve")
    store.outbox.claim_incidents("jira", limit=1, min_score=70)
    with pytest.raises(IllegalTransition, match="being filed"):
        store.merger.merge_incidents(new_id("buy"), new_id("pay"), "same", "eve")


def test_a_split_is_remembered(store: IncidentStore) -> None:
    record(store, grouped("a", "row-1", "row"), grouped("b", "row-2", "row"), grouped("c", "row-2", "row"))
    point = "/checkout › button#row-2 › POST /api/orders → 500"
    with pytest.raises(IllegalTransition, match="button#row-1"):
        store.merger.split_incident(new_id("row"), "no such point", "", "eve")
    part = store.merger.split_incident(new_id("row"), point, "another bug", "eve", "shop")
    assert (part["affectedSessions"], part["status"], sessions_of(store, new_id("row"))) == (2, "draft", 1)
    record(store, grouped("d", "row-2", "row"), grouped("e", "row-1", "row"), grouped("f", "row-3", "row"))
    assert (sessions_of(store, part["incidentId"]), sessions_of(store, new_id("row"))) == (3, 3)
    with pytest.raises(IllegalTransition):
        store.merger.split_incident(part["incidentId"], point, "", "eve")
    # Merged again: the decision of a person that came last holds.
    back = store.merger.merge_incidents(part["incidentId"], new_id("row"), "no, the same", "eve")
    record(store, grouped("g", "row-2", "row"))
    assert (back["affectedSessions"], sessions_of(store, new_id("row"))) == (6, 7)
