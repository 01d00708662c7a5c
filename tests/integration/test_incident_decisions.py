"""People's decisions in the store: assignment, versions of two people at once, and moves that the database refuses."""

from collections.abc import Iterator
from itertools import product

import psycopg
import pytest
from psycopg.errors import CheckViolation

from incidents.lifecycle import STATUSES, IllegalTransition, VersionChanged, list_legal_moves
from incidents.model import NotFound
from stores.incidents.incident_store import IncidentStore
from tests.integration.incident_store_cases import detection, incident, incident_id, record


@pytest.fixture
def store(postgres_url: str) -> Iterator[IncidentStore]:
    store = IncidentStore.connect(postgres_url)
    store.migrate()
    record(store, detection("a"), detection("b"), detection("c"))
    yield store
    store.close()


def reasons(store: IncidentStore) -> list[str]:
    return [entry["reason"] for entry in incident(store)["history"]]


def test_an_assignment_is_in_the_incident_and_in_its_history(store: IncidentStore) -> None:
    before = incident(store)["version"]
    found = store.ledger.assign_incident(incident_id(), " anna ", "she knows it", "on call", "shop")
    assert (found["assignee"], found["assignedBy"], found["version"]) == ("anna", "on call", before + 1)
    assert found["history"][-1] | {"at": ""} == {
        "at": "", "actor": "on call", "from": "confirmed", "to": "confirmed", "reason": "assigned to anna: she knows it",
    }  # fmt: skip
    again = store.ledger.assign_incident(incident_id(), "anna", "again", "somebody else", "shop")
    assert again == found
    nobody = store.ledger.assign_incident(incident_id(), None, "", "on call", "shop")
    assert (nobody["assignee"], nobody["assignedBy"], nobody["version"]) == (None, None, before + 2)
    assert reasons(store)[-1] == "no longer assigned to anna"


def test_an_incident_of_another_project_is_not_assigned(store: IncidentStore) -> None:
    with pytest.raises(NotFound):
        store.ledger.assign_incident(incident_id(), "anna", "", "on call", "blog")
    assert incident(store)["assignee"] is None


def test_counts_leave_the_version_and_decisions_raise_it(store: IncidentStore) -> None:
    version = incident(store)["version"]
    record(store, detection("d"), detection("e"))
    assert incident(store)["affectedSessions"] == 5
    assert incident(store)["version"] == version
    assert store.ledger.apply_action(incident_id(), "resolve", "fixed", "anna")["version"] == version + 1
    assert store.ledger.apply_action(incident_id(), "reopen", "no", "anna")["version"] == version + 2


def test_who_saw_an_older_version_changes_nothing(store: IncidentStore) -> None:
    seen = incident(store)["version"]
    store.ledger.apply_action(incident_id(), "suppress", "noise", "anna", version=seen)
    with pytest.raises(VersionChanged) as caught:
        store.ledger.apply_action(incident_id(), "reopen", "it is real", "ben", version=seen)
    assert caught.value.version == seen + 1
    assert "suppressed, by anna: noise" in str(caught.value)
    with pytest.raises(VersionChanged):
        store.ledger.assign_incident(incident_id(), "ben", "", "ben", version=seen)
    assert incident(store)["status"] == "suppressed"
    assert incident(store)["assignee"] is None


def test_merge_and_split_name_a_version_too(store: IncidentStore) -> None:
    record(store, detection("x", "other"))
    source, seen = incident_id("other"), incident(store, "other")["version"]
    store.ledger.assign_incident(source, "@payments", "", "anna")
    with pytest.raises(VersionChanged):
        store.merger.merge_incidents(source, incident_id(), "the same", "ben", "shop", version=seen)
    with pytest.raises(VersionChanged):
        store.merger.split_incident(source, "anything", "another", "ben", "shop", version=seen)
    target = incident(store)["version"]
    merged = store.merger.merge_incidents(source, incident_id(), "the same", "ben", "shop", version=seen + 1)
    assert merged["version"] > target
    assert merged["assignee"] == "@payments"
    assert merged["history"][-1]["reason"].endswith("; assigned to @payments")
    with pytest.raises(IllegalTransition):
        store.ledger.assign_incident(source, "anna", "", "anna")


def test_a_merge_leaves_the_targets_assignment(store: IncidentStore) -> None:
    record(store, detection("x", "other"))
    store.ledger.assign_incident(incident_id("other"), "anna", "", "on call")
    store.ledger.assign_incident(incident_id(), "ben", "", "on call")
    merged = store.merger.merge_incidents(incident_id("other"), incident_id(), "the same", "ben", "shop")
    assert (merged["assignee"], merged["assignedBy"]) == ("ben", "on call")


def test_the_database_and_the_rules_allow_the_same_moves(store: IncidentStore, postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        kept = set(connection.execute("SELECT from_status, to_status FROM incident_moves").fetchall())
    assert kept == set(list_legal_moves())


@pytest.mark.parametrize(("before", "after"), list(product(STATUSES, STATUSES)))
def test_the_database_refuses_every_other_move(
    store: IncidentStore, postgres_url: str, before: str, after: str
) -> None:
    with psycopg.connect(postgres_url) as connection:
        # A restore inserts rows of any status; only a change is a move.
        connection.execute(
            "INSERT INTO incidents (incident_id, project, fingerprint, status) VALUES ('inc_x', 'shop', 'x', %s)",
            (before,),
        )
        move = ("UPDATE incidents SET status = %s WHERE incident_id = 'inc_x' RETURNING version", (after,))
        if before == after or (before, after) in list_legal_moves():
            assert connection.execute(*move).fetchone() == (1 if before == after else 2,)
        else:
            with pytest.raises(CheckViolation, match=f"{before} cannot become {after}"):
                connection.execute(*move)
