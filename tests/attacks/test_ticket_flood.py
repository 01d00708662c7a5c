"""A visitor with the public key tries to have tickets filed, or to keep real problems from being filed."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client

from blocks import documents
from core.settings import Settings
from furrow.doctor import work
from tests.attacks.senders import OPERATOR, Site, frustrated, name_of, site

pytestmark = pytest.mark.long

LONG_AGO = datetime(2002, 1, 1, tzinfo=UTC)


def visitors(public: Site, problem: str = "orders", first: int = 11, how_many: int = 3) -> None:
    """So many visitors meet the same problem, each at an address of their own."""
    for number in range(how_many):
        sent = public.send(frustrated(f"visitor-{problem}-{number}", problem), f"127.0.0.{first + number}")
        assert sent.status_code == 202


def flood(public: Site, problems: int, addresses: list[str], at: datetime | None = LONG_AGO) -> int:
    """Three sessions of three users for each problem, round the addresses; how many requests that took."""
    batches: dict[str, list[list[dict[str, object]]]] = {address: [[]] for address in addresses}
    for number in range(problems * 3):
        address = addresses[number % len(addresses)]
        events = frustrated(f"flood-{number}", name_of(number // 3), at, user=f"user-{number}")
        if len(batches[address][-1]) + len(events) > 1_000:
            batches[address].append([])
        batches[address][-1] += events
    sent = [(address, batch) for address, batch_list in batches.items() for batch in batch_list if batch]
    for address, batch in sent:
        assert public.send(batch, address).json()["rejected"] == []
    return len(sent)


def test_twelve_requests_confirm_nothing_and_stand_before_nobody(public: Site) -> None:
    assert flood(public, 300, ["127.0.0.66"]) <= 12
    visitors(public)
    public.work()
    found = public.incidents()
    assert len(found) == 301
    assert {one["status"] for name, one in found.items() if name != "orders"} == {"draft"}
    assert found["orders"]["status"] == "confirmed"
    assert public.exportable() == ["orders"]


def test_dates_that_a_client_names_put_nothing_in_front(public: Site) -> None:
    visitors(public)
    public.work()
    for number in range(3):
        public.send(frustrated(f"old-{number}", "ancient", LONG_AGO), f"127.0.0.{20 + number}")
    public.work()
    assert public.exportable() == ["orders", "ancient"]


def test_a_flood_from_many_addresses_is_held_back_and_a_real_problem_is_not(
    public: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FURROW_NEW_INCIDENTS_PER_HOUR", "10")
    documents.forget_blocks()
    flood(public, 30, [f"127.0.0.{number}" for number in range(60, 72)])
    visitors(public, "orders")
    public.work()
    found = public.incidents()
    assert sum(one["status"] == "confirmed" for one in found.values()) == 31
    assert public.exportable() == ["orders"]
    assert sum(one["held"] for one in found.values()) == 30
    # People are told, in the run's artifact and by the doctor; and the flood is in the list of its own filter.
    with get_client(sync_client=True) as client:
        answer = client.request("POST", "/artifacts/latest/filter", json={"artifacts": {"key": {"any_": ["detect"]}}})
    text = answer.json()[0]["data"]
    assert "## Flood of new incidents" in text
    assert "31 new incidents" in text
    assert "| incidents held back from export | 30 |" in text
    assert "30 incidents held back in a flood" in work.collect_work_figures(Settings()).format_set_aside()
    # Nothing is lost: a person lets one through, and the rest wait.
    chosen = found[name_of(7)]
    assert "confirm" in chosen["allowedActions"]
    released = public.store.ledger.apply_action(chosen["incidentId"], "confirm", "that one is real", "eve")
    assert (released["status"], released["held"]) == ("confirmed", False)
    assert sorted(public.exportable()) == ["orders", name_of(7)]


def test_what_was_there_before_a_flood_and_what_begins_in_it_are_exported(
    public: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FURROW_NEW_INCIDENTS_PER_HOUR", "10")
    documents.forget_blocks()
    visitors(public, "before")
    public.work()
    assert public.exportable() == ["before"]
    public.store.outbox.claim_incidents("jira", limit=1, min_score=70)
    public.store.outbox.record_filed_ticket(
        public.incidents()["before"]["incidentId"], "jira", "OPS-1", "https://jira.test/OPS-1"
    )
    flood(public, 20, ["127.0.0.60", "127.0.0.61"])
    public.work()
    assert public.exportable() == []
    visitors(public, "during", 30)
    public.work()
    assert public.exportable() == ["during"]
    history = public.store.incidents.read_incident(public.incidents()["during"]["incidentId"])
    assert history is not None
    assert history["history"][-1]["reason"] == "released from the flood: 3 independent sources show it"


def test_users_that_a_browser_claims_confirm_nothing(public: Site) -> None:
    for number in range(9):
        public.send(frustrated(f"s{number}", "orders", user=f"user-{number}"), "127.0.0.66")
    public.work()
    assert public.incidents()["orders"]["status"] == "draft"
    assert public.incidents()["orders"]["affectedUsers"] == 9


def test_forwarded_addresses_are_believed_of_trusted_proxies_alone(configured: None, tmp_path: Path) -> None:
    with site(tmp_path, trusted_proxies="127.0.0.5") as behind:
        for number in range(3):
            forged = {"X-Forwarded-For": f"203.0.113.{number}"}
            behind.send(frustrated(f"forged-{number}", "forged"), "127.0.0.66", **forged)
            behind.send(frustrated(f"real-{number}", "real"), "127.0.0.5", **forged)
        behind.work()
        assert {name: one["status"] for name, one in behind.incidents().items()} == {
            "forged": "draft",
            "real": "confirmed",
        }


def test_on_a_laptop_three_sessions_confirm_and_a_proxy_changes_that(configured: None, tmp_path: Path) -> None:
    with site(tmp_path, host="127.0.0.1", allowed_hosts=("shop.example",)) as laptop:
        for number in range(3):
            laptop.send(frustrated(f"own-{number}", "own"))
            laptop.send(frustrated(f"forwarded-{number}", "forwarded"), **{"X-Forwarded-For": "203.0.113.9"})
            laptop.send(frustrated(f"named-{number}", "named"), Host="shop.example")
        laptop.work()
        statuses = {name: one["status"] for name, one in laptop.incidents().items()}
        assert statuses == {"own": "confirmed", "forwarded": "draft", "named": "draft"}


def test_an_operator_vouches_for_what_is_sent_from_one_address(public: Site) -> None:
    for number in range(3):
        events = frustrated(f"import-{number}", "imported", LONG_AGO)
        public.send(events, "127.0.0.66", **{"X-Operator-Key": OPERATOR["X-API-Key"]})
    with public.client("127.0.0.66") as client:
        for number in range(3):
            body = {"project_id": "default", "session_id": f"server-{number}", "events": frustrated("", "server")}
            answer = client.post("/v1/sessions/events", json=body, headers=OPERATOR)
            assert (answer.status_code, answer.json().get("processed")) == (200, 11), answer.text
    public.work()
    assert {one["status"] for one in public.incidents().values()} == {"confirmed"}
    refused = public.send(frustrated("x", "x"), **{"X-Operator-Key": "guessed"})
    assert refused.status_code == 401


def test_no_address_is_stored_and_old_salts_are_destroyed(public: Site) -> None:
    visitors(public)
    public.work()
    salts = public.folder / "source-salts"
    assert salts.stat().st_mode & 0o777 == 0o600
    assert len(json.loads(salts.read_text())) == 2
    stored = public.store.incidents.read_incident(public.incidents()["orders"]["incidentId"])
    assert "127.0.0.1" not in json.dumps(stored)


def test_two_addresses_that_show_many_new_problems_confirm_none_of_them(public: Site) -> None:
    flood(public, 30, ["127.0.0.60", "127.0.0.61"])
    visitors(public)
    public.work()
    found = public.incidents()
    assert len(found) == 31
    assert {one["status"] for name, one in found.items() if name != "orders"} == {"draft"}
    assert {one["suspicious"] for name, one in found.items() if name != "orders"} == {True}
    assert (found["orders"]["status"], found["orders"]["suspicious"]) == ("confirmed", False)
    assert public.exportable() == ["orders"]
    held = public.store.incidents.read_incident(found[name_of(7)]["incidentId"])
    assert held is not None
    assert held["history"][-1]["reason"] == (
        "suspicious: senders of 3 of its sessions showed up to 30 new incidents each within an hour, more than the 20 that one"
        " address may; these sessions do not confirm it"
    )
    # Later sessions of these addresses change nothing, and other visitors do.
    for address in ("127.0.0.60", "127.0.0.61"):
        public.send(frustrated(f"later-{address}", name_of(7)), address)
    public.work()
    assert public.incidents()[name_of(7)]["status"] == "draft"
    visitors(public, name_of(7), 40)
    public.work()
    real = public.incidents()[name_of(7)]
    assert (real["status"], real["suspicious"]) == ("confirmed", False)
    # And a person may always decide.
    chosen = public.store.ledger.apply_action(found[name_of(8)]["incidentId"], "confirm", "that one is real", "eve")
    assert (chosen["status"], chosen["suspicious"]) == ("confirmed", False)


def test_an_address_with_few_new_problems_is_heard(public: Site) -> None:
    flood(public, 15, ["127.0.0.60", "127.0.0.61"])
    public.work()
    assert {(one["status"], one["suspicious"]) for one in public.incidents().values()} == {("confirmed", False)}


def test_a_project_decides_how_many_new_problems_an_address_may_show(public: Site) -> None:
    public.store.keys.save_project("default", settings={"newIncidentsPerSource": 5})
    flood(public, 15, ["127.0.0.60", "127.0.0.61"])
    public.work()
    assert {(one["status"], one["suspicious"]) for one in public.incidents().values()} == {("draft", True)}
