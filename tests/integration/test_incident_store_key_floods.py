"""Floods of new incidents from one ingest key, on a real Postgres."""

from collections.abc import Iterator

import psycopg
import pytest
from prometheus_client import REGISTRY

from incidents.lifecycle import ConfirmRule
from stores.incidents.incident_store import IncidentStore, SessionOrigin
from tests.integration.incident_store_cases import detection, history, incident, incident_id, record

HASH = 1 << 62
KEY, OTHER_KEY = 7, 8
TIGHT = ConfirmRule(new_per_key=6)


@pytest.fixture
def store(postgres_url: str) -> Iterator[IncidentStore]:
    store = IncidentStore.connect(postgres_url)
    store.migrate()
    yield store
    store.close()


def show(
    store: IncidentStore, problems: range, visitors: range = range(3), key: int = KEY, rule: ConfirmRule = TIGHT
) -> None:
    """These visitors, each with an address of its own, show three problems each. One batch."""
    found, origins = [], {}
    for problem in problems:
        for visitor in visitors:
            address = HASH + 1_000 * (problem // 3) + visitor + 1
            name = f"s{problem}-{visitor}-{key}"
            found.append(detection(name, f"f{problem}"))
            origins[name] = SessionOrigin(address, None, key=key)
    record(store, *found, rule=rule, origins=origins)


def state(store: IncidentStore, problem: int) -> tuple[str, bool]:
    found = incident(store, f"f{problem}")
    return found["status"], found["suspicious"]


def move_back(url: str, hours: int) -> None:
    """All incidents were first stored so many hours earlier."""
    with psycopg.connect(url) as connection:
        connection.execute(f"UPDATE incidents SET created_at = created_at - interval '{hours} hours'")


def test_up_to_the_limit_nothing_is_held(store: IncidentStore) -> None:
    show(store, range(6))
    assert {state(store, problem) for problem in range(6)} == {("confirmed", False)}


def test_above_the_limit_drafts_stay_drafts_and_the_reason_names_the_key(store: IncidentStore) -> None:
    digest = f"{2 * KEY:016x}" + "0" * 48
    store.keys.save_api_key(digest, "fk_ab12", "shop", "ingest", "web shop")
    before = REGISTRY.get_sample_value("furrow_suspicious_keys_total") or 0.0
    show(store, range(9))
    assert {state(store, problem) for problem in range(9)} == {("draft", True)}
    assert history(store, incident_id("f4"))[1:] == [
        (
            "draft",
            "draft",
            "suspicious: 3 of its sessions came through the ingest key fk_ab12… (web shop) that showed 9 new incidents within"
            " an hour, more than the 6 that one key may; they do not confirm it until 9 independent sources show it, and"
            " sessions after the flood do",
        )
    ]
    assert REGISTRY.get_sample_value("furrow_suspicious_keys_total") == before + 1
    # More of them changes nothing, and is not repeated in the history.
    show(store, range(3, 6), range(3, 6))
    assert state(store, 4) == ("draft", True)
    assert len(history(store, incident_id("f4"))) == 2


def test_what_was_confirmed_before_the_limit_was_reached_stays_confirmed(store: IncidentStore) -> None:
    show(store, range(5))
    show(store, range(5, 9))
    assert [state(store, problem)[0] for problem in range(9)] == ["confirmed"] * 5 + ["draft"] * 4


def test_known_problems_are_heard_during_a_flood(store: IncidentStore, postgres_url: str) -> None:
    show(store, range(1), range(2), rule=ConfirmRule(min_sessions=3))
    move_back(postgres_url, 2)
    show(store, range(30, 39))
    show(store, range(1), range(2, 5))
    assert state(store, 0) == ("confirmed", False)


def test_an_outage_is_confirmed_although_it_begins_with_few_sessions_of_each_problem(store: IncidentStore) -> None:
    show(store, range(12))
    assert state(store, 5) == ("draft", True)
    show(store, range(12), range(3, 9))
    assert {state(store, problem) for problem in range(12)} == {("confirmed", False)}


def test_addresses_that_take_part_in_many_problems_are_not_independent(store: IncidentStore) -> None:
    origins = {f"s{n}-{m}": SessionOrigin(HASH + m + 1, None, key=KEY) for n in range(9) for m in range(12)}
    record(store, *(detection(name, f"f{name[1]}") for name in origins), rule=TIGHT, origins=origins)
    assert {state(store, problem) for problem in range(9)} == {("draft", True)}


def test_what_one_address_shows_in_great_number_does_not_use_up_the_keys_limit(store: IncidentStore) -> None:
    rule = ConfirmRule(new_per_key=6, new_per_source=8)
    origins = {f"one-{n}": SessionOrigin(HASH + 999_999, None, key=KEY) for n in range(20)}
    record(store, *(detection(name, f"x{name}") for name in origins), rule=rule, origins=origins)
    show(store, range(5), rule=rule)
    assert {state(store, problem) for problem in range(5)} == {("confirmed", False)}


def test_sessions_of_another_key_and_of_trusted_senders_count(store: IncidentStore) -> None:
    show(store, range(9))
    show(store, range(3, 4), range(10, 13), key=OTHER_KEY)
    record(store, *(detection(f"own{n}", "f4") for n in range(3)), rule=TIGHT)
    assert [state(store, problem)[0] for problem in (3, 4, 5)] == ["confirmed", "confirmed", "draft"]
    show(store, range(50, 59), key=0)  # receipts of an older version, and trusted senders
    assert {state(store, problem) for problem in range(50, 59)} == {("confirmed", False)}


def test_another_project_has_a_limit_of_its_own(store: IncidentStore) -> None:
    show(store, range(9))
    origins = {f"x{n}": SessionOrigin(HASH + n, None, key=KEY) for n in range(3)}
    record(store, *(detection(name, project="blog") for name in origins), rule=TIGHT, project="blog", origins=origins)
    assert incident(store, project="blog")["status"] == "confirmed"


def test_sessions_after_the_flood_confirm_and_those_within_it_do_not(store: IncidentStore, postgres_url: str) -> None:
    show(store, range(9))
    move_back(postgres_url, 2)
    show(store, range(3, 6), range(20, 22))
    assert state(store, 4) == ("draft", True)
    show(store, range(3, 6), range(22, 23))
    assert state(store, 4) == ("confirmed", False)
    assert state(store, 7) == ("draft", True)


def test_a_flood_that_goes_on_holds_what_it_began_with(store: IncidentStore, postgres_url: str) -> None:
    show(store, range(9))
    move_back(postgres_url, 2)
    show(store, range(30, 39))
    show(store, range(3, 6), range(20, 24))
    assert state(store, 4) == ("draft", True)


def test_a_key_is_forgotten_with_the_source(store: IncidentStore, postgres_url: str) -> None:
    show(store, range(1))
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT DISTINCT ingest_key FROM detections").fetchall() == [(KEY,)]
        connection.execute(
            "UPDATE detections SET created_at = created_at - interval '9 days', received_at = received_at - interval '9 days'"
        )
    store.erasure.forget_sources({"": 7.0})
    with psycopg.connect(postgres_url) as connection:
        assert connection.execute("SELECT DISTINCT ingest_key FROM detections").fetchall() == [(None,)]
