"""Very many addresses send invented failures through one public key, a few each: a botnet, or forged forwarded addresses."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.attacks.senders import Event, Site, frustrated, name_of, site

pytestmark = pytest.mark.long

OWN_KEY = "key-of-the-app"
"""A second ingest key of the same project."""


def flood_through_key(
    public: Site, problems: int, visitors_each: int = 3, first: int = 0, forwarded_by: str = "", key: str = "test-key"
) -> None:
    """Each problem is shown by so many senders; each sender shows at most three problems, and has an address of its own."""
    sent: dict[int, list[Event]] = {}
    for number in range(problems):
        for visitor in range(visitors_each):
            sender = (number // 3) * visitors_each + visitor
            session = f"flood-{key}-{first + number}-{visitor}"
            sent.setdefault(sender, []).extend(frustrated(session, name_of(first + number)))
    for sender, events in sent.items():
        place = f"{sender // 250}.{sender % 250 + 1}"
        headers = {"X-API-Key": key} | ({"X-Forwarded-For": f"198.51.{place}"} if forwarded_by else {})
        answer = public.send(events, forwarded_by or f"127.1.{place}", **headers)
        assert (answer.status_code, answer.json()["rejected"]) == (202, [])


def statuses(public: Site) -> dict[str, tuple[str, bool]]:
    return {name: (one["status"], one["suspicious"]) for name, one in public.incidents().items()}


def reasons(public: Site, name: str) -> list[str]:
    """What the history of an incident says, newest last."""
    stored = public.store.incidents.read_incident(public.incidents()[name]["incidentId"])
    assert stored is not None
    return [str(entry["reason"]) for entry in stored["history"]]


def test_a_flood_from_one_key_and_many_addresses_stays_a_draft_with_the_reason(public: Site) -> None:
    for number in range(3):
        public.send(frustrated(f"before-{number}", "known"), f"127.0.0.{11 + number}")
    public.work()
    flood_through_key(public, 102)
    public.work()
    found = statuses(public)
    assert len(found) == 103
    assert {state for name, state in found.items() if name != "known"} == {("draft", True)}
    assert found["known"] == ("confirmed", False)
    assert public.exportable() == ["known"]
    assert reasons(public, name_of(7))[-1] == (
        "suspicious: 3 of its sessions came through a configured ingest key that showed 103 new incidents within an hour, more"
        " than the 100 that one key may; they do not confirm it until 9 independent sources show it, and sessions after"
        " the flood do"
    )
    # A person may always decide.
    chosen = public.store.ledger.apply_action(
        public.incidents()[name_of(7)]["incidentId"], "confirm", "that one is real", "eve"
    )
    assert (chosen["status"], chosen["suspicious"]) == ("confirmed", False)


def test_addresses_that_a_proxy_believed_are_no_way_around_it(configured: None, tmp_path: Path) -> None:
    with site(tmp_path, trusted_proxies="127.0.0.5") as behind:
        behind.store.keys.save_project("default", settings={"newIncidentsPerKey": 20})
        flood_through_key(behind, 24, forwarded_by="127.0.0.5")
        behind.work()
        assert set(statuses(behind).values()) == {("draft", True)}


def test_a_release_that_breaks_dozens_of_things_is_confirmed(public: Site) -> None:
    flood_through_key(public, 40)
    public.work()
    assert set(statuses(public).values()) == {("confirmed", False)}


def test_an_outage_of_everything_is_confirmed_whatever_the_limit(public: Site) -> None:
    public.store.keys.save_project("default", settings={"newIncidentsPerKey": 20})
    flood_through_key(public, 24, visitors_each=9)
    public.work()
    assert set(statuses(public).values()) == {("confirmed", False)}


def test_what_many_visitors_show_within_a_flood_is_confirmed(public: Site) -> None:
    public.store.keys.save_project("default", settings={"newIncidentsPerKey": 20})
    flood_through_key(public, 30)
    public.work()
    for number in range(6):
        public.send(frustrated(f"late-{number}", name_of(4)), f"127.0.7.{1 + number}")
    public.work()
    found = statuses(public)
    assert found.pop(name_of(4)) == ("confirmed", False)
    assert set(found.values()) == {("draft", True)}
    assert reasons(public, name_of(4))[-2:] == [
        "suspicious no more: 9 independent sources show it, so that all of its sessions count",
        "3 sessions within 7 days (the rule asks for 3)",
    ]


def test_another_key_of_the_project_confirms_what_it_shows(configured: None, tmp_path: Path) -> None:
    with site(tmp_path, ingest_key=SecretStr(OWN_KEY)) as public:
        public.store.keys.save_project("default", settings={"newIncidentsPerKey": 20})
        flood_through_key(public, 30)
        flood_through_key(public, 2, first=100, key=OWN_KEY)
        for number in range(3):
            public.send(frustrated(f"own-{number}", name_of(7)), f"127.0.8.{1 + number}", **{"X-API-Key": OWN_KEY})
        public.work()
        found = statuses(public)
        assert [found.pop(name_of(number)) for number in (100, 101, 7)] == [
            ("confirmed", False),
            ("confirmed", False),
            ("confirmed", False),
        ]
        assert set(found.values()) == {("draft", True)}


def test_a_flood_from_one_address_takes_nothing_of_its_keys_limit(public: Site) -> None:
    public.store.keys.save_project("default", settings={"newIncidentsPerKey": 30})
    events = [event for number in range(60) for event in frustrated(f"one-{number}", name_of(number + 500))]
    for start in range(0, len(events), 990):
        assert public.send(events[start : start + 990], "127.0.0.66").status_code == 202
    flood_through_key(public, 12)
    public.work()
    found = statuses(public)
    assert {found[name_of(number)] for number in range(12)} == {("confirmed", False)}
    assert {found[name_of(number + 500)] for number in range(60)} == {("draft", True)}
