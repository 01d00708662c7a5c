"""Lists by owner: the API and the pages agree with what each incident shows, whatever changes meanwhile."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psycopg
import pytest

from incidents.owners_file import OwnersFile, parse_owners
from stores.incidents.incident_store import IncidentQuery, IncidentStore
from tests.integration.api_cases import ALL, BLOG, SHOP, code, fill, serving
from tests.integration.incident_store_cases import detection, incident_id, record
from tests.integration.page_cases import find_foreign_markup, sign_in

RULES = "[shop]\ncontrol:button#pay @payments anna@example.com\n[blog]\n* @payments\n"


@pytest.fixture
def store(postgres_url: str) -> Iterator[IncidentStore]:
    made = fill(postgres_url)
    record(made, *(detection(f"n{number}", f"other-{number}") for number in range(5)))
    yield made
    made.close()


@pytest.fixture
def owners(tmp_path: Path) -> Path:
    path = tmp_path / "OWNERS"
    path.write_text(RULES)
    return path


@pytest.fixture
def client(tmp_path: Path, postgres_url: str, store: IncidentStore, owners: Path) -> Iterator[httpx.Client]:
    with serving(tmp_path, postgres_url, owners_file=owners) as made:
        yield made


def find(client: httpx.Client, key: dict[str, str] = ALL, **filters: str) -> list[str]:
    """The ids of a list, which must be those that show such an owner themselves."""
    every = client.get("/v1/incidents", params={"limit": "1000"}, headers=key).raise_for_status().json()["incidents"]
    page = client.get("/v1/incidents", params=filters, headers=key).raise_for_status().json()
    shown = [one["incidentId"] for one in page["incidents"]]
    if "owner" in filters:
        expected = [one for one in every if filters["owner"] in (one["owner"] or {"names": []})["names"]]
    else:
        expected = [one for one in every if (one["owner"] is not None) == (filters["owned"] == "true")]
    assert shown == [one["incidentId"] for one in expected]
    assert page["total"] == len(shown)
    return shown


def test_a_list_by_owner_has_those_that_show_it(client: httpx.Client) -> None:
    assert len(find(client, owner="@payments")) == 2
    assert find(client, owner="anna@example.com") == [incident_id()]
    assert find(client, owner="payments") == []
    assert len(find(client, owned="true")) == 2
    assert len(find(client, owned="false")) == 5
    assert find(client, SHOP, owner="@payments") == [incident_id()]
    assert len(find(client, BLOG, owner="@payments")) == 1


def test_an_assignment_wins_and_can_be_taken_back(client: httpx.Client, store: IncidentStore) -> None:
    assert find(client, owner="ben") == []
    store.ledger.assign_incident(incident_id(), "ben", "", "ann")
    assert find(client, owner="ben") == [incident_id()]
    assert incident_id() not in find(client, owner="@payments")
    store.ledger.assign_incident(incident_id(), None, "", "ann")
    assert find(client, owner="ben") == []
    assert incident_id() in find(client, owner="@payments")


def test_a_changed_file_and_new_incidents_are_seen_by_the_next_list(
    client: httpx.Client, store: IncidentStore, owners: Path
) -> None:
    assert len(find(client, owned="false")) == 5
    owners.write_text("* @web\n")
    assert len(find(client, owner="@web")) == 7
    record(store, detection("later", "newer"))
    assert len(find(client, owner="@web")) == 8
    owners.write_text("# nobody\n")
    assert find(client, owner="@web") == []
    assert len(find(client, owned="false")) == 8


def test_a_label_that_changes_changes_the_owner(postgres_url: str, client: httpx.Client, owners: Path) -> None:
    owners.write_text('control:"Pay today" @buyers\n')
    assert find(client, owner="@buyers") == []
    with psycopg.connect(postgres_url) as connection:
        connection.execute("UPDATE incidents SET label = 'Pay today' WHERE incident_id = %s", (incident_id(),))
    assert find(client, owner="@buyers") == [incident_id()]


def test_pages_by_cursor_show_every_incident_of_an_owner_once(
    client: httpx.Client, store: IncidentStore, owners: Path
) -> None:
    for number in range(4):
        store.ledger.assign_incident(incident_id(f"other-{number}"), "ben", "", "ann")
    found: list[str] = []
    parameters = {"owner": "ben", "limit": "1", "sort": "-highestScore"}
    while True:
        page = client.get("/v1/incidents", params=parameters, headers=ALL).json()
        found += [one["incidentId"] for one in page["incidents"]]
        assert page["total"] == 4
        if page["next"] is None:
            break
        parameters["cursor"] = page["next"]
    assert sorted(found) == sorted(incident_id(f"other-{number}") for number in range(4))


@pytest.mark.parametrize("parameters", [{"owner": ""}, {"owner": "a\nb"}, {"owner": "x" * 201}, {"owned": "maybe"}])
def test_what_is_no_owner_is_refused(client: httpx.Client, parameters: dict[str, str]) -> None:
    answer = client.get("/v1/incidents", params=parameters, headers=ALL)
    assert (answer.status_code, code(answer)) == (400, "invalid_parameter")


@pytest.mark.parametrize("owner", ["'; DROP TABLE incidents; --", "{a,b}", '"', "\\", "%", ":owner"])
def test_an_owner_is_text_for_the_database(client: httpx.Client, store: IncidentStore, owner: str) -> None:
    assert find(client, owner=owner) == []
    store.ledger.assign_incident(incident_id(), owner, "", "ann")
    assert find(client, owner=owner) == [incident_id()]


def test_the_list_on_the_pages_has_the_filter(client: httpx.Client) -> None:
    sign_in(client, "/incidents", "shop-operator")
    found = client.get("/incidents.json", params={"owner": "anna@example.com"}).json()
    assert [one["incidentId"] for one in found["incidents"]] == [incident_id()]
    assert sum(found["counts"].values()) == 1
    assert sum(client.get("/incidents.json", params={"owned": "false"}).json()["counts"].values()) == 5
    hostile = client.get("/incidents", params={"owner": "<script>alert(1)</script>", "owned": "true"})
    assert find_foreign_markup(hostile) == []
    assert 'aria-label="Remove the filter owner"' in hostile.text
    assert '<option value="true" selected>With an owner</option>' in hostile.text
    assert client.get("/incidents", params={"owned": "maybe"}).status_code == 400


def test_two_lists_at_once_after_a_change_are_both_whole(store: IncidentStore) -> None:
    rules = [parse_owners(f"* @team-{number}\n") for number in range(8)]
    gate = threading.Barrier(4)

    def ask(number: int) -> list[int]:
        found = []
        for turn, each in enumerate(rules):
            gate.wait(20)
            store.owners.bring_up_to_date(each)
            found.append(store.incidents.list_incidents(IncidentQuery(owner=f"@team-{turn}")).total)
            gate.wait(20)
        return found

    with ThreadPoolExecutor(4) as pool:
        assert [answer.result() for answer in [pool.submit(ask, number) for number in range(4)]] == [[7] * 8] * 4


def test_who_changes_an_incident_meanwhile_is_not_overwritten(postgres_url: str, store: IncidentStore) -> None:
    rules = parse_owners("* @web\n")
    with psycopg.connect(postgres_url) as other:
        other.execute(
            "UPDATE incidents SET assignee = 'ben', assigned_by = 'ann' WHERE incident_id = %s", (incident_id(),)
        )
        # The row is held: it is left to the next list, and the others are decided.
        assert store.owners.bring_up_to_date(rules) == 6
        other.commit()
    assert store.owners.bring_up_to_date(rules) == 1
    assert [one["incidentId"] for one in store.incidents.list_incidents(IncidentQuery(owner="ben")).incidents] == [
        incident_id()
    ]
    assert store.owners.bring_up_to_date(rules) == 0


def test_rules_that_could_not_be_read_decide_nothing(tmp_path: Path, store: IncidentStore) -> None:
    store.owners.bring_up_to_date(parse_owners("* @web\n"))
    unread = OwnersFile(tmp_path / "missing").read_rules()
    assert store.owners.bring_up_to_date(unread) == 0
    assert store.incidents.list_incidents(IncidentQuery(owner="@web")).total == 7
