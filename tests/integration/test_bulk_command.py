"""`furrow incidents bulk` and lists by owner on the command line, against a real collector and store."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from core.errors import PermanentError, WrongUse
from furrow.cli.app import app
from furrow.clients.operator_api import OperatorApi
from stores.incidents.incident_store import IncidentStore
from tests.integration.api_cases import fill, serving, whole_detection
from tests.integration.incident_store_cases import detection, incident_id, record

HOSTILE = "[red]<b>@web &lt;"


@pytest.fixture
def store(postgres_url: str) -> Iterator[IncidentStore]:
    made = fill(postgres_url)
    whole = {"timeline": [], "context": whole_detection("n", "shop")["context"]}
    record(made, *(detection(f"n{number}", f"other-{number}", **whole) for number in range(3)))
    yield made
    made.close()


@pytest.fixture
def client(tmp_path: Path, postgres_url: str, store: IncidentStore) -> Iterator[httpx.Client]:
    owners = tmp_path / "OWNERS"
    owners.write_text("control:button#other-* @web\n")
    with serving(tmp_path, postgres_url, owners_file=owners) as made:
        yield made


def run(client: httpx.Client, *words: str, typed: str = "", code: int = 0, key: str = "shop-operator") -> str:
    where = ("--url", str(client.base_url).rstrip("/"), "--key", key)
    done = CliRunner().invoke(app, [*words, *where], input=typed)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.output


def statuses(store: IncidentStore) -> dict[str, str]:
    names = [f"other-{number}" for number in range(3)]
    found = store.incidents.read_incident_summaries([incident_id(name) for name in names])
    return {name: found[incident_id(name)].status for name in names}


def test_a_dry_run_shows_and_changes_nothing(client: httpx.Client, store: IncidentStore) -> None:
    shown = run(client, "incidents", "bulk", "suppress", "--status", "draft", "--reason", "noise", "--dry-run")
    assert shown.count("inc_") == 3
    assert "3 incidents; nothing was changed" in shown
    listed = json.loads(
        run(
            client,
            "incidents",
            "bulk",
            "suppress",
            "--owner",
            "@web",
            "--reason",
            "noise",
            "--dry-run",
            "--json",
            "--yes",
        )
    )
    assert (len(listed["incidents"]), listed["changed"]) == (3, 0)
    assert set(statuses(store).values()) == {"draft"}


def test_a_no_changes_nothing_and_a_yes_changes_all(client: httpx.Client, store: IncidentStore) -> None:
    words = ("incidents", "bulk", "suppress", "--owner", "@web", "--reason", "noise")
    with pytest.raises(PermanentError, match="nothing was changed"):
        run(client, *words, typed="n\n")
    run(client, *words, typed="", code=1)
    assert set(statuses(store).values()) == {"draft"}
    done = run(client, *words, typed="y\n")
    assert "Suppress 3 incidents?" in done
    assert "3 incidents changed, 0 refused" in done
    assert set(statuses(store).values()) == {"suppressed"}
    history = store.incidents.read_incident(incident_id("other-0"))
    assert history is not None
    assert (history["history"][-1]["actor"], history["history"][-1]["reason"]) == ("shop on call", "noise")


def test_ids_are_acted_on_and_what_is_refused_is_named(client: httpx.Client, store: IncidentStore) -> None:
    ids = [incident_id("other-0"), incident_id("other-1"), incident_id("other-0")]
    store.ledger.apply_action(ids[1], "suppress", "noise", "ann")
    done = run(client, "incidents", "bulk", "resolve", *ids, "--reason", "fixed", "--yes", code=1)
    assert "0 incidents changed, 2 refused" in done
    assert ids[1] in done
    answer = json.loads(run(client, "incidents", "bulk", "reopen", *ids, "--reason", "seen", "--yes", "--json", code=1))
    assert [result["code"] for result in answer["results"]] == [409, 200]
    assert (answer["changed"], answer["refused"]) == (1, 1)


@pytest.mark.parametrize(
    ("options", "fix"),
    [
        (("--fixed-in", "2.5", "--environment", "production"), ("2.5", "production", False)),
        (("--next-release",), (None, None, True)),
    ],
)
def test_many_are_resolved_where_they_are_fixed(
    client: httpx.Client, store: IncidentStore, options: tuple[str, ...], fix: tuple[object, ...]
) -> None:
    ids = [incident_id("other-0"), incident_id("other-1")]
    for each in ids:
        store.ledger.apply_action(each, "confirm", "seen", "ann")
    words = ("incidents", "bulk", "resolve", "--owner", "@web", "--status", "confirmed", "--reason", "merged")
    assert "2 incidents changed, 0 refused" in run(client, *words, *options, "--yes")
    for each in ids:
        shown = store.incidents.read_incident(each)
        assert shown is not None
        assert (shown["fixVersion"], shown["fixEnvironment"], shown["fixInNextRelease"]) == fix
    assert statuses(store) == {"other-0": "resolved", "other-1": "resolved", "other-2": "draft"}


def test_many_are_assigned_and_taken_back(client: httpx.Client, store: IncidentStore) -> None:
    words = ("incidents", "bulk", "assign", "--not-owned", "--reason", "triage", "--yes")
    assert "1 incident changed" in run(client, *words, "--assignee", HOSTILE)
    shown = json.loads(run(client, "incidents", "list", "--owner", HOSTILE, "--json"))
    assert [one["incidentId"] for one in shown["incidents"]] == [incident_id()]
    with pytest.raises(WrongUse, match="assignee"):
        run(client, "incidents", "bulk", "assign", incident_id(), "--assignee", "\x1b[31mred", "--reason", "x", "--yes")
    assert "0 incidents; nothing was changed" in run(client, *words, "--assignee", "ben", "--status", "resolved")
    taken = run(client, "incidents", "bulk", "assign", incident_id(), "--assignee", "", "--reason", "back", "--yes")
    assert "1 incident changed" in taken
    assert len(json.loads(run(client, "incidents", "list", "--not-owned", "--json"))["incidents"]) == 1


def test_an_incident_that_was_changed_meanwhile_is_left_alone(
    client: httpx.Client, store: IncidentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    send = OperatorApi.act_on_many

    def act_later(self: OperatorApi, body: dict[str, object]) -> object:
        store.ledger.assign_incident(incident_id("other-1"), "ann", "", "ann")
        return send(self, body)

    monkeypatch.setattr(OperatorApi, "act_on_many", act_later)
    done = run(client, "incidents", "bulk", "suppress", "--owner", "@web", "--reason", "noise", typed="y\n", code=1)
    assert "2 incidents changed, 1 refused" in done
    assert "assigned to ann" in done
    assert statuses(store) == {"other-0": "suppressed", "other-1": "draft", "other-2": "suppressed"}


def test_pages_are_followed_and_too_many_are_refused(
    client: httpx.Client, store: IncidentStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("furrow.cli.bulk._BATCH", 2)
    with pytest.raises(PermanentError, match="3 incidents match, more than --limit 2; nothing was changed"):
        run(client, "incidents", "bulk", "suppress", "--owner", "@web", "--reason", "noise", "--limit", "2", "--yes")
    assert "3 incidents changed" in run(
        client, "incidents", "bulk", "suppress", "--owner", "@web", "--reason", "noise", "--yes"
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("suppress", "--reason", "x"), "either ids of incidents or a filter"),
        (("suppress", "inc_1", "--status", "draft", "--reason", "x"), "either ids of incidents or a filter"),
        (("archive", "inc_1", "--reason", "x"), "there is no action 'archive'"),
        (("suppress", "inc_1", "--reason", " "), "--reason must not be empty"),
        (("suppress", "inc_1", "--reason", "x", "--assignee", "ann"), "--assignee goes with assign"),
        (("assign", "inc_1", "--reason", "x"), "--assignee goes with assign"),
        (("resolve", "inc_1", "--reason", "x", "--sessions", "3"), "go with suppress"),
        (("suppress", "inc_1", "--reason", "x", "--fixed-in", "2.5"), "go with resolve"),
        (("resolve", "inc_1", "--reason", "x", "--fixed-in", "2.5", "--next-release"), "not both"),
        (("resolve", "inc_1", "--reason", "x", "--environment", "test"), "goes with --fixed-in"),
        (("suppress", "../status", "--reason", "x", "--yes"), "an incident id has the form"),
        (("suppress", "--severity", "Odd", "--reason", "x", "--yes"), "severity"),
    ],
)
def test_wrong_use_is_refused(client: httpx.Client, words: tuple[str, ...], message: str) -> None:
    with pytest.raises(WrongUse, match=message):
        run(client, "incidents", "bulk", *words)


def test_another_project_is_out_of_reach(client: httpx.Client, store: IncidentStore) -> None:
    with pytest.raises(PermanentError, match="no such incident"):
        run(client, "incidents", "bulk", "suppress", incident_id(), "--reason", "x", "--yes", key="blog-operator")
    done = run(
        client, "incidents", "bulk", "suppress", "--owner", "@web", "--reason", "x", "--yes", key="blog-operator"
    )
    assert "0 incidents; nothing was changed" in done
    assert set(statuses(store).values()) == {"draft"}
