"""Verdicts of people and the exceptions that follow, at a running collector beside a real Postgres."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from core.errors import WrongUse
from furrow.cli.app import app as furrow_app
from incidents.lifecycle import IllegalTransition
from incidents.model import NotFound
from incidents.verdicts import Proposal, TrialResult
from stores.incidents.incident_database import Database
from stores.incidents.incident_store import IncidentStore
from stores.incidents.verdict_ledger import VerdictKey
from tests.integration.api_cases import ALL, BLOG, SHOP, fill, serving, whole_detection
from tests.integration.page_cases import csrf_of, find_foreign_markup, own_origin, page_of, record_one, send, sign_in
from ufse.exemptions import Exemption

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{7*7}}"
EMPTY: TrialResult = {
    "start": "2026-01-01T00:00:00.000Z",
    "end": "2026-01-15T00:00:00.000Z",
    "analysed": 120,
    "complete": True,
    "failed": 0,
    "silenced": 41,
    "appeared": 0,
    "confirmedByPerson": 3,
    "refutedByPerson": 5,
    "incidents": [],
    "incidentsBelow": 2,
}


@pytest.fixture
def store(postgres_url: str) -> Iterator[IncidentStore]:
    made = fill(postgres_url)
    yield made
    made.close()


@pytest.fixture
def client(tmp_path: Path, postgres_url: str, store: IncidentStore) -> Iterator[httpx.Client]:
    with serving(tmp_path, postgres_url) as made:
        sign_in(made, "/incidents", "shop-operator")
        yield made


def incident_of(store: IncidentStore, project: str = "shop") -> str:
    from incidents.model import IncidentQuery

    return store.incidents.list_incidents(IncidentQuery(project=project)).incidents[0]["incidentId"]


def history(store: IncidentStore, incident_id: str) -> list[tuple[str, str]]:
    found = store.incidents.read_incident(incident_id)
    assert found is not None
    return [(entry["actor"], entry["reason"]) for entry in found["history"] if "verdict" in entry["reason"]]


def refused(store: IncidentStore, session: str, **context: Any) -> str:
    """A session whose cart refuses with 409; returns its incident."""
    found = whole_detection(session, "shop")
    found["failurePoint"] = {"route": "/cart", "target": "button#add", "feedback": "POST /api/cart → 409"}
    found["primaryFailurePoint"] = "/cart › button#add › POST /api/cart → 409"
    found["fingerprint"] = "cart"
    found["context"] = {**found["context"], **context}
    record_one(store, found)
    return next(one.incident_id for one in store.detections.read_stored_detections([("shop", session)]))


def test_a_verdict_is_kept_with_its_facts_and_the_same_again_changes_nothing(store: IncidentStore) -> None:
    incident_id = incident_of(store)
    key = VerdictKey(incident_id, "s1", "Ann")
    for _ in range(2):
        (kept,) = store.verdicts.save_verdict(key, "expected_refusal", " wanted ")
    assert (kept.frustrated, kept.reason, kept.note, kept.actor) == (False, "expected_refusal", "wanted", "Ann")
    assert (kept.feedback, kept.target, kept.route) == ("POST /api/orders → 500", "button#pay", "/checkout")
    assert (kept.signals, kept.rules) == (("feedback", "rage"), ("rage on the failing control",))
    assert (kept.environment, kept.app_version, kept.engine_version) == ("production", "2.4.1", "1")
    assert history(store, incident_id) == [("Ann", "verdict on a session: no frustration, an expected refusal")]


def test_a_verdict_is_changed_and_taken_back(store: IncidentStore) -> None:
    incident_id = incident_of(store)
    key = VerdictKey(incident_id, "s1", "Ann")
    store.verdicts.save_verdict(key, "known_slow")
    (changed,) = store.verdicts.save_verdict(key, None)
    assert changed.frustrated
    assert store.verdicts.drop_verdict(key) == store.verdicts.drop_verdict(key) == []
    assert [reason for _, reason in history(store, incident_id)] == [
        "verdict on a session: no frustration, known to be slow",
        "verdict on a session: frustration",
        "verdict on a session taken back",
    ]
    assert store.incidents.read_incident(incident_id)["status"] == "confirmed"  # type: ignore[index]


def test_two_people_at_once_keep_both_verdicts(store: IncidentStore) -> None:
    incident_id = incident_of(store)
    ready = threading.Barrier(8)

    def judge(number: int) -> None:
        ready.wait()
        key = VerdictKey(incident_id, "s1", f"person {number % 4}")
        store.verdicts.save_verdict(key, None if number % 2 else "test_traffic")

    people = [threading.Thread(target=judge, args=(number,)) for number in range(8)]
    for person in people:
        person.start()
    for person in people:
        person.join()
    kept = store.verdicts.list_verdicts(incident_id=incident_id)
    assert sorted(one.actor for one in kept) == [f"person {n}" for n in range(4)]
    assert len(history(store, incident_id)) == 4


def test_a_verdict_needs_a_session_of_the_incident(store: IncidentStore) -> None:
    incident_id = incident_of(store)
    for key in (
        VerdictKey(incident_id, "unknown", "Ann"),
        VerdictKey("inc_unknown", "s1", "Ann"),
        VerdictKey(incident_id, "s1", "Ann", "blog"),
    ):
        with pytest.raises(NotFound):
            store.verdicts.save_verdict(key, None)
    assert store.verdicts.list_verdicts() == []


def test_erasure_takes_verdicts_and_a_persons_exception_along(store: IncidentStore, postgres_url: str) -> None:
    cart = refused(store, "gone", userHash="robot")
    store.verdicts.save_verdict(VerdictKey(cart, "gone", "Ann"), "test_traffic", "the session gone")
    store.verdicts.save_verdict(VerdictKey(incident_of(store), "s1", "Ann"), None)
    person = Exemption("test_traffic", traffic_field="user_hash", value="robot")
    store.exemptions.ask_for_trial(Proposal("shop", person, 3, "test_traffic"), "Ann")
    erased = store.erasure.erase_sessions("shop", ["gone"], "robot")
    assert (erased.verdicts, erased.exemptions) == (1, 1)
    assert [one.session_id for one in store.verdicts.list_verdicts()] == ["s1"]
    database = Database(postgres_url)
    with database.open_transaction() as connection:
        for table in ("verdicts", "exemptions", "exemption_history", "incident_history"):
            rows = connection.execute(text(f"SELECT t::text FROM {table} t")).scalars().all()
            assert not [row for row in rows if "gone" in row or "robot" in row], table
    database.close()


def test_an_exception_is_accepted_only_after_its_replay_and_can_be_taken_back(store: IncidentStore) -> None:
    proposal = Proposal(
        "shop", Exemption("expected_answer", endpoint="POST /api/cart", status=409), 3, "expected_refusal"
    )
    ledger, id_ = store.exemptions, proposal.exemption_id
    ledger.ask_for_trial(proposal, "Ann")
    ledger.ask_for_trial(proposal, "Bob")  # it waits already
    with pytest.raises(IllegalTransition):
        ledger.move_exemption(id_, "accept", "", "Ann")
    asked = ledger.find_asked_exemption()
    assert asked is not None
    assert ledger.save_trial_result(asked, EMPTY)
    assert not ledger.save_trial_result(asked, EMPTY)
    assert ledger.read_accepted() == []
    with pytest.raises(NotFound):
        ledger.move_exemption(id_, "accept", "", "Eve", "blog")
    ledger.move_exemption(id_, "accept", "as we agreed", "Ann", "shop", expected="tried")
    with pytest.raises(IllegalTransition, match="accepted now"):
        ledger.move_exemption(id_, "reject", "", "Bob", expected="tried")
    (accepted,) = ledger.read_accepted()
    assert re.fullmatch(r"set by Ann on \d{4}-\d\d-\d\d", accepted.build().origin)
    ledger.ask_for_trial(proposal, "Bob")  # no replay of what holds
    assert len(ledger.read_accepted()) == 1
    ledger.move_exemption(id_, "end", "no longer", "Bob")
    assert ledger.read_accepted() == []
    (record,) = ledger.list_exemptions("shop")
    assert [(entry["actor"], entry["state"]) for entry in record["history"]] == [
        ("Ann", "asked"),
        ("furrow", "tried"),
        ("Ann", "accepted"),
        ("Bob", "ended"),
    ]
    assert ledger.list_exemptions("blog") == []


def test_the_api_keeps_a_verdict_of_the_key_and_takes_it_back(client: httpx.Client, store: IncidentStore) -> None:
    client.cookies.clear()
    path = f"/v1/incidents/{incident_of(store)}/verdict"
    sent = {"sessionId": "s1", "verdict": "no_frustration", "reason": "other", "text": "seen at the desk"}
    kept = client.post(path, json=sent, headers=SHOP)
    assert kept.status_code == 200
    (verdict,) = kept.json()["verdicts"]
    assert (verdict["actor"], verdict["reason"], verdict["text"]) == ("shop on call", "other", "seen at the desk")
    assert client.post(path, json=sent, headers=SHOP).json() == kept.json()
    both = client.post(path, json={"sessionId": "s1", "verdict": "frustration"}, headers=ALL).json()["verdicts"]
    assert {one["frustrated"] for one in both} == {True, False}
    left = client.post(path, json={"sessionId": "s1", "verdict": "none"}, headers=SHOP).json()["verdicts"]
    assert [one["frustrated"] for one in left] == [True]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"sessionId": "s1", "verdict": "no_frustration"}, 400),
        ({"sessionId": "s1", "verdict": "no_frustration", "reason": "other"}, 400),
        ({"sessionId": "s1", "verdict": "frustration", "reason": "known_slow"}, 400),
        ({"sessionId": "s1", "verdict": "odd"}, 400),
        ({"sessionId": "", "verdict": "frustration"}, 400),
        ({"sessionId": "s1", "verdict": "frustration", "text": "x" * 2001}, 400),
        ({"sessionId": "s1", "verdict": "frustration", "more": 1}, 400),
        ({"sessionId": "unknown", "verdict": "frustration"}, 404),
        ({"verdict": "frustration"}, 400),
    ],
)
def test_the_api_refuses_a_verdict_that_cannot_be(
    client: httpx.Client, store: IncidentStore, body: dict[str, Any], status: int
) -> None:
    client.cookies.clear()
    path = f"/v1/incidents/{incident_of(store)}/verdict"
    assert client.post(path, json=body, headers=SHOP).status_code == status
    assert client.post(path, json=body, headers=BLOG).status_code == (404 if status == 404 else status)
    assert client.post(path, json=body).status_code == 401
    assert store.verdicts.list_verdicts() == []


def test_a_key_of_another_project_judges_nothing(client: httpx.Client, store: IncidentStore) -> None:
    client.cookies.clear()
    path = f"/v1/incidents/{incident_of(store)}/verdict"
    sent = {"sessionId": "s1", "verdict": "frustration"}
    assert client.post(path, json=sent, headers=BLOG).status_code == 404
    assert store.verdicts.list_verdicts() == []


def test_a_person_judges_on_both_pages(client: httpx.Client, store: IncidentStore) -> None:
    page = page_of(client)
    fields = {"session": "s1", "project": "shop", "verdict": "no_frustration", "reason": "known_slow", "text": HOSTILE}
    moved = send(client, page, f"{page}/verdict", **fields, back="incident")
    assert (moved.status_code, moved.headers["location"]) == (303, f"{page}#example")
    moved = send(client, page, f"{page}/verdict", **{**fields, "session": "s2"}, back="session")
    assert moved.headers["location"] == "/session?project=shop&id=s2"
    for path in (page, "/session?project=shop&id=s1", "/session?project=shop&id=s2", "/exceptions"):
        shown = client.get(path)
        assert shown.status_code == 200
        assert find_foreign_markup(shown) == [], path
    assert "known to be slow" in client.get("/session?project=shop&id=s1").text
    found = client.get(f"{page}.json").json()["verdicts"]
    assert (found["sessions"], found["frustrated"], len(found["list"])) == (2, 0, 2)
    send(client, page, f"{page}/verdict", session="s2", project="shop", verdict="none", back="session")
    assert client.get("/session.json?project=shop&id=s2").json()["verdicts"] == []


def test_a_form_of_a_verdict_is_checked_like_every_form(client: httpx.Client, store: IncidentStore) -> None:
    page = page_of(client)
    token = csrf_of(client.get(page))
    good = {"csrf": token, "session": "s1", "verdict": "frustration"}
    origin = own_origin(client)
    for data, headers, status in (
        ({**good, "csrf": "0" * 32}, origin, 403),
        (good, {"origin": "https://evil.example"}, 403),
        ({**good, "verdict": "odd"}, origin, 400),
        ({**good, "verdict": "no_frustration", "reason": "odd"}, origin, 400),
        ({**good, "session": "\x00"}, origin, 400),
        ({**good, "session": "unknown"}, origin, 404),
    ):
        assert client.post(f"{page}/verdict", data=data, headers=headers).status_code == status, data
    assert store.verdicts.list_verdicts() == []
    outside = send(
        client, page, f"{page}/verdict", session="s1", verdict="frustration", back="session", project="//evil"
    )
    assert outside.headers["location"].startswith(("/session?project=shop", "/incidents/"))


def test_three_verdicts_propose_an_exception_that_a_person_tries_and_accepts(
    client: httpx.Client, store: IncidentStore
) -> None:
    for number in range(3):
        cart = refused(store, f"c{number}", userHash=f"u{number}")
        store.verdicts.save_verdict(VerdictKey(cart, f"c{number}", "Ann"), "expected_refusal")
    shown = client.get("/exceptions?project=shop")
    assert "POST /api/cart → 409 is no failure" in shown.text
    assert "POST /api/cart → 409 is no failure" in client.get(f"/incidents/{cart}").text
    (proposal,) = client.get("/exceptions.json").json()["proposals"]
    act = {"exception": proposal["exceptionId"], "project": "shop"}
    assert send(client, "/exceptions", "/exceptions/act", **act, step="try").status_code == 303
    assert "Waiting for the replay" in client.get("/exceptions").text
    early = send(client, "/exceptions", "/exceptions/act", **act, step="accept", seen="asked")
    assert early.status_code == 409
    asked = store.exemptions.find_asked_exemption()
    assert asked is not None
    store.exemptions.save_trial_result(asked, EMPTY)
    told = client.get("/exceptions").text
    assert (
        "Would silence 41 sessions, 3 of them confirmed by a person; 2 incidents would fall below confirmation" in told
    )
    accepted = send(client, "/exceptions", "/exceptions/act", **act, step="accept", seen="tried", reason=HOSTILE)
    assert accepted.status_code == 303
    late = send(client, "/exceptions", "/exceptions/act", **act, step="reject", seen="tried")
    assert late.status_code == 409
    shown = client.get("/exceptions")
    assert "In force" in shown.text
    assert find_foreign_markup(shown) == []
    assert "<script>" not in re.sub(r"`[^`]*`", "", client.get("/exceptions.md").text)
    assert [one.project for one in store.exemptions.read_accepted()] == ["shop"]
    assert send(client, "/exceptions", "/exceptions/act", **act, step="end", seen="accepted").status_code == 303
    assert store.exemptions.read_accepted() == []


def test_exceptions_of_another_project_are_not_there(client: httpx.Client, store: IncidentStore) -> None:
    other = Proposal(
        "blog", Exemption("test_traffic", traffic_field="environment", value="blog-env"), 3, "test_traffic"
    )
    store.exemptions.ask_for_trial(other, "Ann")
    assert "blog-env" not in client.get("/exceptions").text
    assert client.get("/exceptions?project=blog").status_code == 404
    page = page_of(client)
    act = {"exception": other.exemption_id, "project": ""}
    for step in ("try", "reject"):
        assert send(client, page, "/exceptions/act", **act, step=step, seen="asked").status_code == 404
    assert client.get("/exceptions?project=%00").status_code == 400
    for wrong in ({"exception": "x"}, {"step": "odd"}, {"step": "accept", "seen": "odd"}):
        assert send(client, page, "/exceptions/act", **{**act, "step": "try", **wrong}).status_code in (400, 404)


def propose_cart(store: IncidentStore) -> tuple[str, str]:
    """Three sessions without frustration; the incident and the id of the exception that they propose."""
    for number in range(3):
        cart = refused(store, f"c{number}", userHash=f"u{number}")
        store.verdicts.save_verdict(VerdictKey(cart, f"c{number}", "Ann"), "expected_refusal")
    exemption = Exemption("expected_answer", endpoint="POST /api/cart", status=409)
    return cart, Proposal("shop", exemption, 3, "expected_refusal").exemption_id


def test_the_api_of_exceptions_follows_the_same_steps(client: httpx.Client, store: IncidentStore) -> None:
    client.cookies.clear()
    _, id_ = propose_cart(store)
    why = {"reason": "the cart refuses what is sold out"}
    listed = client.get("/v1/exceptions?project=shop", headers=ALL).json()
    assert [(one["exceptionId"], one["sessions"]) for one in listed["proposals"]] == [(id_, 3)]
    assert listed["exceptions"] == []
    assert client.get("/v1/exceptions", headers=BLOG).json()["proposals"] == []
    assert client.get("/v1/exceptions?project=shop", headers=BLOG).status_code == 404
    assert client.get("/v1/exceptions").status_code == 401
    assert client.post(f"/v1/exceptions/{id_}/try", json=why, headers=BLOG).status_code == 404
    assert client.post(f"/v1/exceptions/{id_}/try", json={}, headers=SHOP).status_code == 400
    tried = client.post(f"/v1/exceptions/{id_}/try", json=why, headers=SHOP)
    assert [one["state"] for one in tried.json()["exceptions"]] == ["asked"]
    assert client.post(f"/v1/exceptions/{id_}/accept", json=why, headers=SHOP).status_code == 409
    asked = store.exemptions.find_asked_exemption()
    assert asked is not None
    store.exemptions.save_trial_result(asked, EMPTY)
    assert client.post(f"/v1/exceptions/{id_}/accept", json=why, headers=BLOG).status_code == 404
    accepted = client.post(f"/v1/exceptions/{id_}/accept", json=why, headers=SHOP).json()["exceptions"]
    assert (accepted[0]["state"], accepted[0]["history"][-1]["actor"]) == ("accepted", "shop on call")
    ended = client.post(f"/v1/exceptions/{id_}/end", json=why, headers=SHOP).json()["exceptions"]
    assert ended[0]["state"] == "ended"
    assert client.post("/v1/exceptions/exc_0/try", json=why, headers=SHOP).status_code == 404
    assert client.post(f"/v1/exceptions/exc_{'0' * 32}/try", json=why, headers=SHOP).status_code == 404


def test_the_commands_do_what_the_api_does(
    client: httpx.Client, store: IncidentStore, capsys: pytest.CaptureFixture[str]
) -> None:
    cart, id_ = propose_cart(store)
    address = ["--url", str(client.base_url).rstrip("/"), "--key", "shop-operator"]

    def call(*arguments: str) -> str:
        furrow_app([*arguments, *address], standalone_mode=False)
        return " ".join(capsys.readouterr().out.split())

    said = call("incidents", "verdict", cart, "c0", "--no-frustration", "other", "--text", "seen")
    assert "shop on call: no frustration, another reason: seen" in said
    assert "Ann: no frustration, an expected refusal" in said
    assert "shop on call" not in call("incidents", "verdict", cart, "c0", "--take-back")
    assert f"{id_} proposed, shop: POST /api/cart → 409 is no failure" in call("exceptions", "list")
    assert f"{id_} asked" in call("exceptions", "try", id_)
    asked = store.exemptions.find_asked_exemption()
    assert asked is not None
    store.exemptions.save_trial_result(asked, EMPTY)
    assert "would silence 41 of 120 sessions, 3 of them confirmed by a person" in call("exceptions", "list")
    assert f"{id_} accepted" in call("exceptions", "accept", id_, "--reason", "agreed")
    assert f"{id_} ended" in call("exceptions", "take-back", id_, "--reason", "no longer")
    with pytest.raises(WrongUse):
        call("incidents", "verdict", cart, "c0", "--frustration", "--take-back")


def test_a_viewer_reads_and_does_not_decide(client: httpx.Client, store: IncidentStore) -> None:
    cart, id_ = propose_cart(store)
    pages = (f"/incidents/{cart}", "/session?project=shop&id=c0", "/exceptions")
    link = client.post("/v1/sign-in-links", json={"role": "viewer"}, headers=SHOP).json()["url"]
    token = csrf_of(client.get("/exceptions"))
    client.cookies.clear()
    assert client.get(link).status_code == 303
    for path in pages:
        shown = client.get(path)
        assert shown.status_code == 200
        assert 'name="verdict"' not in shown.text
        assert 'name="step"' not in shown.text
    act = {"csrf": token, "exception": id_, "step": "try"}
    assert client.post("/exceptions/act", data=act, headers=own_origin(client)).status_code == 403
    judged = {"csrf": token, "session": "c0", "verdict": "frustration"}
    assert client.post(f"{pages[0]}/verdict", data=judged, headers=own_origin(client)).status_code == 403
