"""Open detections in the incident store: exactly once, whatever is killed, repeated or done at the same time."""

import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from incidents.lifecycle import ConfirmRule
from incidents.model import OpenResult
from stores.incidents.incident_store import (
    AnalysedSession,
    Cursor,
    IncidentQuery,
    IncidentStore,
    PendingSession,
    RecordResult,
    SessionOrigin,
    TouchedSession,
)
from tests.integration.incident_store_cases import MONDAY, PAY, detection, hash_of, history, incident, incident_id

ROOT = Path(__file__).resolve().parents[2]
NOW_MS = 1_000
DUE_MS = 900_000
GOT_THERE = ("resolved",)


@pytest.fixture
def store(postgres_url: str) -> Iterator[IncidentStore]:
    store = IncidentStore.connect(postgres_url)
    store.migrate()
    yield store
    store.close()


def enqueue(store: IncidentStore, names: Sequence[str], failed: bool = True) -> list[PendingSession]:
    """New events of these open sessions; the sessions to look at among them, in the same order."""
    touched = [TouchedSession("shop", name, hash_of(name), DUE_MS, 900, failed=failed) for name in names]
    store.queue.enqueue_sessions(touched, Cursor(1, ()))
    found = {item.session_id: item for item in store.queue.find_sessions_to_look_at(NOW_MS, 10_000)}
    return [found[name] for name in names if name in found]


def look(
    store: IncidentStore,
    *detections: dict[str, Any],
    silent: Sequence[str] = (),
    rule: ConfirmRule | None = None,
    origin: SessionOrigin | None = None,
) -> OpenResult:
    """Look at the sessions of these detections, and at sessions in which nothing is found (any more)."""
    names = [*dict.fromkeys(found["sessionId"] for found in detections), *silent]
    looked = [
        AnalysedSession(
            pending,
            tuple(found for found in detections if found["sessionId"] == pending.session_id),
            1,
            rules=GOT_THERE if pending.session_id in silent else (),
            origin=origin,
        )
        for pending in enqueue(store, names)
    ]
    return store.ledger.record_open_detections(looked, rule or ConfirmRule())


def complete(store: IncidentStore, *detections: dict[str, Any], silent: Sequence[str] = ()) -> RecordResult:
    """Analyse the complete sessions of these detections, and sessions in which nothing is found (any more)."""
    names = [*dict.fromkeys(found["sessionId"] for found in detections), *silent]
    analysed = [
        AnalysedSession(
            pending, tuple(d for d in detections if d["sessionId"] == pending.session_id), 1, rules=GOT_THERE
        )
        for pending in enqueue(store, names)
    ]
    return store.ledger.record_detections(analysed, ConfirmRule())


def listed(store: IncidentStore) -> list[str]:
    return [found["incidentId"] for found in store.incidents.list_incidents(IncidentQuery()).incidents]


def three() -> list[dict[str, Any]]:
    return [detection(name) for name in ("a", "b", "c")]


def test_three_open_sessions_are_a_draft_two_are_nothing(store: IncidentStore) -> None:
    assert look(store, detection("a"), detection("b")) == OpenResult(sessions=2, found=2)
    assert store.incidents.read_incident(incident_id()) is None
    done = look(store, detection("c"))
    assert done == OpenResult(1, 1, incidents=(incident_id(),), drafted=(incident_id(),))
    found = incident(store)
    assert (found["status"], found["openSessions"], found["affectedSessions"]) == ("draft", 3, 0)
    assert history(store, incident_id()) == [(None, "draft", "first seen in 3 open sessions, with score 92")]
    assert look(store, *three()).found == 0
    assert incident(store) == found


def test_a_look_leaves_the_session_in_line_and_is_done_once(store: IncidentStore) -> None:
    assert enqueue(store, ["calm"], failed=False) == []
    (pending,) = enqueue(store, ["a"])
    look_at = [AnalysedSession(pending, (detection("a"),), 1)]
    assert store.ledger.record_open_detections(look_at).found == 1
    assert store.queue.find_sessions_to_look_at(NOW_MS, 10) == []
    assert store.queue.find_due_sessions(DUE_MS, 10)[0].session_id in ("a", "calm")
    assert store.queue.count_pending_sessions(NOW_MS) == {"open": 2, "due": 0}
    (again,) = enqueue(store, ["a"], failed=False)  # whatever is new in it: something in it failed before
    assert again.version > pending.version
    assert store.queue.find_sessions_to_look_at(DUE_MS, 10) == []  # due: it is analysed instead
    stale = store.ledger.record_open_detections([AnalysedSession(pending, (), 1)])
    assert (stale.stale, stale.retracted) == (1, 0)
    assert store.queue.find_sessions_to_look_at(NOW_MS, 10) == [again]


def test_shards_share_the_looks(store: IncidentStore) -> None:
    names = [f"s{n}" for n in range(20)]
    enqueue(store, names)
    parts = [{one.session_id for one in store.queue.find_sessions_to_look_at(NOW_MS, 99, n, 2)} for n in range(2)]
    assert parts[0] | parts[1] == set(names)
    assert not parts[0] & parts[1]


def test_complete_sessions_take_over_one_by_one(store: IncidentStore, postgres_url: str) -> None:
    look(store, *three())
    done = complete(store, detection("a"))
    assert (done.stored, done.completed, done.open_retracted) == (1, 1, 0)
    found = incident(store)
    assert (found["affectedSessions"], found["openSessions"], found["status"]) == (1, 2, "draft")
    assert [example["open"] for example in found["examples"]] == [False]
    complete(store, detection("b"), detection("c"))
    found = incident(store)
    assert (found["affectedSessions"], found["openSessions"], found["status"]) == (3, 0, "confirmed")
    assert [entry["to"] for entry in found["history"]] == ["draft", "confirmed"]
    with psycopg.connect(postgres_url) as connection:
        both = (
            "SELECT count(*) FROM open_detections JOIN detections USING (project, detection_id) WHERE outcome IS NULL"
        )
        assert connection.execute(both).fetchone() == (0,)


def test_what_a_complete_session_shows_already_is_not_open_when_the_session_goes_on(store: IncidentStore) -> None:
    complete(store, detection("a"))
    assert look(store, detection("a"), detection("a", "address")).found == 1
    assert store.incidents.read_store_counts()["openDetections"] == 1
    found = incident(store)
    assert (found["affectedSessions"], found["openSessions"]) == (1, 0)


def test_a_withdrawn_draft_is_in_no_list_and_returns_with_its_history(store: IncidentStore) -> None:
    look(store, *three())
    done = look(store, silent=["a", "b", "c"])
    assert (done.retracted, done.found) == (3, 0)
    assert listed(store) == []
    assert store.incidents.read_store_counts()["incidents"]["draft"] == 0
    assert incident(store)["withdrawnAt"] is not None
    look(store, detection("d"), detection("e"))
    assert listed(store) == []  # two are not enough, as at first
    look(store, detection("f"))
    assert listed(store) == [incident_id()]
    assert [reason for *_, reason in history(store, incident_id())] == [
        "first seen in 3 open sessions, with score 92",
        "3 open detections retracted: the person got there after all",
        "withdrawn: no session shows it any more",
        "no longer withdrawn: 3 open sessions show it",
    ]
    complete(store, silent=["d", "e", "f"])
    assert listed(store) == []
    complete(store, detection("g"))
    assert listed(store) == [incident_id()]
    assert history(store, incident_id())[-1][2] == "no longer withdrawn: a complete session shows it"
    assert incident(store)["affectedSessions"] == 1


def test_a_draft_that_a_person_decided_about_is_not_withdrawn(store: IncidentStore) -> None:
    look(store, *three())
    store.ledger.apply_action(incident_id(), "confirm", "seen it", "ada")
    look(store, silent=["a", "b", "c"])
    assert listed(store) == [incident_id()]
    assert (incident(store)["status"], incident(store)["withdrawnAt"]) == ("confirmed", None)


def test_a_person_may_confirm_what_was_withdrawn(store: IncidentStore) -> None:
    look(store, *three())
    look(store, silent=["a", "b", "c"])
    store.ledger.apply_action(incident_id(), "confirm", "it was real", "ada")
    assert listed(store) == [incident_id()]
    assert incident(store)["withdrawnAt"] is None


def test_an_older_incident_only_counts_its_open_sessions(store: IncidentStore) -> None:
    complete(store, detection("x"), detection("y"), detection("z"))
    before = incident(store)
    look(store, *three())
    found = incident(store)
    assert (found["openSessions"], found["affectedSessions"], found["title"]) == (3, 3, before["title"])
    look(store, silent=["a", "b", "c"])
    found = incident(store)
    assert (found["openSessions"], found["status"], found["withdrawnAt"]) == (0, "confirmed", None)
    assert history(store, incident_id())[-1][2] == "3 open detections retracted: the person got there after all"


def test_a_fix_is_not_undone_by_open_sessions(store: IncidentStore) -> None:
    complete(store, detection("x"), detection("y"), detection("z"))
    store.ledger.apply_action(incident_id(), "resolve", "fixed", "ada", at=MONDAY)
    look(store, *(detection(name, at=MONDAY + timedelta(days=1)) for name in ("a", "b", "c")))
    assert (incident(store)["status"], incident(store)["openSessions"]) == ("resolved", 3)


def test_a_stranger_in_a_session_retracts_nothing_before_it_is_complete(store: IncidentStore) -> None:
    look(store, *three())
    mixed = SessionOrigin(2**62 + 1, None, mixed=True)
    assert look(store, silent=["a", "b", "c"], origin=mixed).retracted == 0
    assert incident(store)["openSessions"] == 3


def test_sessions_of_one_source_count_twice_at_most(store: IncidentStore) -> None:
    one = SessionOrigin(2**62 + 1, None)
    look(store, *(detection(f"s{n}") for n in range(9)), origin=one)
    assert store.incidents.read_incident(incident_id()) is None
    look(store, detection("another"), origin=SessionOrigin(2**62 + 2, None))
    assert (incident(store)["openSessions"], incident(store)["countedSessions"]) == (10, 0)


def test_alerts_come_once_for_each_draft(store: IncidentStore) -> None:
    assert store.alerts.find_pending_alerts() == []
    look(store, *three())
    (alert,) = store.alerts.find_pending_alerts()
    assert (alert.incident_id, alert.project, alert.sessions) == (incident_id(), "shop", 3)
    assert store.alerts.find_pending_alerts() == [alert]  # until it is marked
    store.alerts.mark_alerted([alert.incident_id])
    look(store, detection("d"))
    complete(store, detection("a"))
    assert store.alerts.find_pending_alerts() == []
    look(store, *(detection(name, "address") for name in ("a", "b", "c")))
    look(store, silent=["a", "b", "c"])
    assert store.alerts.find_pending_alerts() == []  # withdrawn before anybody was alerted


def test_many_drafts_at_once_are_a_flood_and_alert_nobody(store: IncidentStore) -> None:
    found = [detection(name, f"p{n}") for name in ("a", "b", "c") for n in range(4)]
    done = look(store, *found, rule=ConfirmRule(new_per_hour=3))
    assert len(done.drafted) == 4
    assert [flood.incidents for flood in store.floods.list_floods()] == [4]
    assert store.alerts.find_pending_alerts() == []


def test_an_erased_person_leaves_no_open_detection(store: IncidentStore, postgres_url: str) -> None:
    look(store, *(detection(name, user=name) for name in ("a", "b", "c")))
    assert store.erasure.find_user_sessions("shop", "a") == {"a"}
    gone = store.erasure.erase_sessions("shop", ["a"], "a")
    assert (gone.detections, gone.pending, gone.incidents) == (1, 1, 1)
    assert incident(store)["openSessions"] == 2
    store.erasure.erase_sessions("shop", ["b", "c"])
    assert listed(store) == []
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT count(*) FROM open_detections").fetchone() == (0,)


def test_outcomes_are_forgotten(store: IncidentStore, postgres_url: str) -> None:
    look(store, *three())
    complete(store, detection("a"))
    assert store.erasure.forget_ended_detections(8) == 0
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("UPDATE open_detections SET retracted_at = retracted_at - interval '9 days'")
    assert store.erasure.forget_ended_detections(8) == 1
    assert incident(store)["openSessions"] == 2


@pytest.mark.parametrize("seed", range(3))
def test_looks_and_analyses_at_the_same_time_end_in_exact_counts(store: IncidentStore, seed: int) -> None:
    """Sessions are looked at and completed by several threads in any order: no deadlock, no draft too many or too few."""
    names = [f"s{n}" for n in range(24)]
    pending = {item.session_id: item for item in enqueue(store, names)}
    chance = random.Random(seed)
    kept = set(chance.sample(names, 2 + seed))  # of the others, the persons got there after all

    def work(order: list[tuple[str, bool]]) -> None:
        for name, whole in order:
            found = (detection(name), detection(name, "address")) if not whole or name in kept else ()
            session = AnalysedSession(pending[name], found, 1, rules=() if found else GOT_THERE)
            if whole:
                store.ledger.record_detections([session], ConfirmRule(min_sessions=99))
            else:
                store.ledger.record_open_detections([session])

    everything = [(name, whole) for name in names for whole in (False, False, True)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, [chance.sample(everything, len(everything)) for _ in range(6)]))
    counts = store.incidents.read_store_counts()
    assert (counts["openDetections"], counts["detections"]) == (0, 2 * len(kept))
    for failure in (PAY, "address"):
        found = store.incidents.read_incident(incident_id(failure))
        assert found is not None
        assert (found["openSessions"], found["affectedSessions"]) == (0, len(kept))
    assert len(listed(store)) == 2


KILLED = """
import os, signal, sys
from incidents.lifecycle import ConfirmRule
from stores.incidents import incident_look, incident_open, incident_record
from stores.incidents.incident_store import AnalysedSession, IncidentStore
from tests.integration.incident_store_cases import detection
from tests.integration.test_incident_store_open import NOW_MS

url, module, name, kind = sys.argv[1:]
setattr(sys.modules[f"stores.incidents.{module}"], name, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
store = IncidentStore.connect(url)
pending = store.queue.find_sessions_to_look_at(NOW_MS, 99)
sessions = [AnalysedSession(one, (detection(one.session_id),), 1) for one in pending]
if kind == "look":
    store.ledger.record_open_detections(sessions)
else:
    store.ledger.record_detections(sessions, ConfirmRule())
"""


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("incident_look", "upsert_detections"),
        ("incident_look", "insert_missing_incidents"),
        ("incident_look", "settle_incidents"),
        ("incident_open", "mark_looked_at"),
    ],
)
def test_kill_9_in_a_look_loses_and_doubles_nothing(
    store: IncidentStore, postgres_url: str, module: str, name: str
) -> None:
    enqueue(store, ["a", "b", "c"])
    assert run_killed(postgres_url, module, name, "look") == -signal.SIGKILL
    assert store.incidents.read_store_counts()["openDetections"] == 0
    pending = store.queue.find_sessions_to_look_at(NOW_MS, 99)
    assert len(pending) == 3
    looked = [AnalysedSession(one, (detection(one.session_id),), 1) for one in pending]
    assert store.ledger.record_open_detections(looked).drafted == (incident_id(),)
    assert (incident(store)["openSessions"], len(incident(store)["history"])) == (3, 1)


@pytest.mark.parametrize("name", ["upsert_detections", "settle_incidents"])
def test_kill_9_while_open_sessions_become_complete(store: IncidentStore, postgres_url: str, name: str) -> None:
    look(store, *three())
    before = incident(store)
    enqueue(store, ["a", "b", "c"])
    assert run_killed(postgres_url, "incident_record", name, "complete") == -signal.SIGKILL
    assert incident(store) == before
    complete(store, *three())
    found = incident(store)
    assert (found["openSessions"], found["affectedSessions"], found["status"]) == (0, 3, "confirmed")


def run_killed(url: str, *arguments: str) -> int:
    """A process of its own that kills itself at this function, in the middle of its transaction; its exit code."""
    command = [sys.executable, "-c", KILLED, url, *arguments]
    return subprocess.run(command, cwd=ROOT, check=False, timeout=120).returncode
