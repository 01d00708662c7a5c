"""The automations that warn, and what `furrow doctor` says, on a real `furrow up` whose parts are broken one by one.

The tests of this file share one installation and build on each other, in the order in which they stand here.
"""

import json
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg
import pytest

from furrow.engine import automations
from stores.embedded_postgres import EmbeddedPostgres
from tests.e2e.installation import Up, until
from tests.e2e.test_commands_operators import on
from tests.e2e.test_prefect_operations import (
    child,
    confirmed,
    end,
    ended,
    post,
    read,
    runs,
    set_incident_store,
    start,
)
from tests.fakes import jira as fake_jira
from tests.fakes.jira import FakeJira
from tests.fakes.server import Answer, Fault

pytestmark = pytest.mark.long


class Receiver:
    """A web hook of somebody's chat: keeps what it is told."""

    def __init__(self) -> None:
        told = self.told = list[dict[str, Any]]()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Nothing is printed."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()


@pytest.fixture(scope="module")
def jira() -> Iterator[FakeJira]:
    with FakeJira("cloud") as fake:
        yield fake


@pytest.fixture(scope="module")
def settings(jira: FakeJira) -> dict[str, str]:
    return {
        "FURROW_JIRA_URL": jira.address,
        "FURROW_JIRA_USER": fake_jira.USER,
        "FURROW_JIRA_TOKEN": fake_jira.TOKEN,
        "FURROW_JIRA_PROJECT": "OPS",
    }


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, settings: dict[str, str]) -> Iterator[Up]:
    installation = Up(tmp_path_factory.mktemp("warnings") / "data")
    installation.start(**settings)
    yield installation
    installation.kill_everything()


def declared(up: Up) -> dict[str, dict[str, Any]]:
    found = up.prefect_post("/automations/filter", {})
    assert len({one["name"] for one in found}) == len(found), "an automation was made twice"
    return {one["name"]: one for one in found}


def triggered(up: Up, name: str, event: str = "prefect.automation.triggered") -> list[dict[str, Any]]:
    """How often the automation ``name`` has fired, as the page of events shows it."""
    now = datetime.now(UTC)
    occurred = {"since": (now - timedelta(days=1)).isoformat(), "until": (now + timedelta(days=1)).isoformat()}
    found = up.prefect_post("/events/filter", {"filter": {"event": {"name": [event]}, "occurred": occurred}})["events"]
    return [one for one in found if one["resource"]["prefect.resource.name"] == name]


def doctor(up: Up, settings: dict[str, str]) -> tuple[int, dict[str, dict[str, Any]]]:
    told = on(up, "doctor", "--json", **settings)
    return told.returncode, {one["part"]: one for one in json.loads(told.stdout)}


@contextmanager
def paused(up: Up, deployment: str) -> Iterator[None]:
    """The switch of the deployment's page: no run by schedule."""
    (found,) = [one for one in up.prefect_post("/deployments/filter", {}) if one["name"] == deployment]

    def switch(paused: bool) -> None:
        with up.prefect() as prefect:
            assert prefect._client.patch(f"/deployments/{found['id']}", json={"paused": paused}).is_success

    switch(True)
    until(lambda: runs(up, deployment, type={"any_": ["RUNNING", "PENDING"]}) == [], 60)
    yield
    switch(False)


def plant_lag(up: Up, seconds: float) -> None:
    """A session that was complete so long ago; the engine finds no event of it and would take it off the line."""
    due_ms = int((time.time() - seconds) * 1000)
    with psycopg.connect(EmbeddedPostgres(up.data / "postgres").url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO pending_sessions (project, session_id, session_hash, due_ms, received_ms)"
            " VALUES ('default', 'planted', 1, %(due)s, %(due)s)",
            {"due": due_ms},
        )


def test_in_order_doctor_shows_figures_and_no_error_of_a_part(up: Up, settings: dict[str, str]) -> None:
    post(up, "pay")
    confirmed(up, 1)
    until(lambda: runs(up, "detect", type={"any_": ["COMPLETED"]}) != [], 120)
    code, found = doctor(up, settings)
    assert code == 0, found
    figures = found["work"]["figures"]
    assert figures["lag_seconds"] < 600
    assert (figures["sessions_due"], figures["dead_letters"], figures["dead_sessions"]) == (0, 0, 0)
    assert "newest events stored" in found["lander"]["detail"]
    assert "set aside" not in found
    assert [part for part in ("lander", "event store", "jira", "linear") if found[part]["last_error"]] == []
    assert [name for name in (automations.LAG, automations.EXPORTS) if triggered(up, name)] == []


def test_the_automations_are_declared_and_switched_on(up: Up) -> None:
    found = declared(up)
    assert set(found) >= {automations.LAG, automations.EXPORTS}
    assert all(found[name]["enabled"] for name in (automations.LAG, automations.EXPORTS))
    assert [action["type"] for action in found[automations.LAG]["actions"]] == ["do-nothing"]


def test_a_lag_of_more_than_ten_minutes_warns_once(up: Up, settings: dict[str, str]) -> None:
    with paused(up, "detect"):  # so that no run can tell: the engine itself looks
        plant_lag(up, 3_000)
        until(lambda: len(triggered(up, automations.LAG)) == 1, 240)
        _, found = doctor(up, settings)
        assert found["work"]["figures"]["lag_seconds"] > 2_900
        assert "processing is behind" in found["work"]["advice"]
        assert automations.LAG in found["warnings"]["detail"]
        time.sleep(70)  # the engine has looked again
    assert len(triggered(up, automations.LAG)) == 1


def test_exports_that_fail_warn_and_show_in_doctor(up: Up, settings: dict[str, str], jira: FakeJira) -> None:
    outage = Fault(fake_jira.is_create, answer=Answer(503, {"errorMessages": ["maintenance"]}), times=1000)
    jira.faults.append(outage)
    post(up, "ship")
    confirmed(up, 2)
    failed = ended(up, start(up, "export"))
    assert end(failed) == ("FAILED", "Degraded")
    until(lambda: len(triggered(up, automations.EXPORTS)) == 1, 60)
    _, found = doctor(up, settings)
    assert "maintenance" in found["jira"]["last_error"]
    assert automations.EXPORTS in found["warnings"]["detail"]
    outage.answer = Answer(400, {"errors": {"priority": "no such field"}})

    def refused() -> bool:
        # The run by schedule may be the one that files the ticket again: what it met is what the doctor shows.
        ended(up, start(up, "export"))
        return "no such field" in doctor(up, settings)[1]["jira"]["last_error"]

    until(refused, 240)
    _, found = doctor(up, settings)
    assert "permanently refused" in found["set aside"]["detail"]
    assert "no such field" in found["jira"]["last_error"]
    outage.times = 0


def test_what_people_changed_survives_a_restart_and_the_rest_gets_the_notification_block(
    up: Up, settings: dict[str, str], jira: FakeJira, receiver: Receiver
) -> None:
    kept = declared(up)
    with up.prefect() as prefect:
        off = prefect._client.patch(f"/automations/{kept[automations.LAG]['id']}", json={"enabled": False})
        assert off.is_success
        type_ = prefect._client.get("/block_types/slug/custom-webhook").json()
        schemas = prefect._client.post(
            "/block_schemas/filter", json={"block_schemas": {"block_type_id": {"any_": [type_["id"]]}}}
        )
        data = {"name": "chat", "url": receiver.url, "json_data": {"title": "{{subject}}", "text": "{{body}}"}}
        block = {"name": "chat", "data": data, "block_type_id": type_["id"], "block_schema_id": schemas.json()[0]["id"]}
        assert prefect._client.post("/block_documents/", json=block).is_success
    assert up.interrupt() < 60
    up.start(
        **settings, FURROW_WARN_BLOCK="custom-webhook/chat", FURROW_LINEAR_KEY="key", FURROW_LINEAR_TEAM="ENG",
        FURROW_LINEAR_URL="http://127.0.0.1:9/graphql",
    )  # fmt: skip
    found = declared(up)
    assert {name: one["id"] for name, one in found.items()} == {name: one["id"] for name, one in kept.items()}
    assert (found[automations.LAG]["enabled"], found[automations.EXPORTS]["enabled"]) == (False, True)
    assert [action["type"] for action in found[automations.EXPORTS]["actions"]] == ["send-notification"]


def test_the_notification_block_is_told_which_run_failed_and_why(up: Up, receiver: Receiver) -> None:
    # A second warning comes 30 minutes after the first one; the test does not wait for that.
    one = declared(up)[automations.EXPORTS]
    one["trigger"]["within"] = 0
    with up.prefect() as prefect:
        put = {key: one[key] for key in ("name", "description", "enabled", "tags", "trigger", "actions")}
        assert prefect._client.put(f"/automations/{one['id']}", json=put).is_success
    time.sleep(5)  # the server's triggers take the change up
    assert end(ended(up, start(up, "export"))) == ("FAILED", "Degraded")
    until(lambda: receiver.told != [], 60)
    told = receiver.told[0]
    assert told["title"] == automations.EXPORTS
    assert "export: " in told["text"]
    assert "linear" in told["text"]
    assert "/runs/flow-run/" in told["text"]


def test_doctor_names_each_part_that_is_broken(up: Up, settings: dict[str, str]) -> None:
    _, found = doctor(up, settings)
    assert found["linear"]["last_error"] != ""
    for name, part in (("collector", "collector"), ("furrow.prefect_server", "prefect")):
        process = child(up, name)
        process.send_signal(signal.SIGSTOP)
        code, found = doctor(up, settings)
        process.send_signal(signal.SIGCONT)
        assert (code, found[part]["reachable"]) == (1, False)
    until(lambda: doctor(up, settings)[0] == 0, 120)
    set_incident_store(up, mode="server", url="postgresql://nobody@127.0.0.1:9/nothing")
    time.sleep(12)
    assert end(ended(up, start(up, "detect"), 300)) == ("FAILED", "Degraded")
    code, found = doctor(up, settings)
    assert (code, found["incident store"]["reachable"]) == (1, False)
    assert "last error" in found["incident store"]["last_error"]
    assert found["work"]["figures"]["sessions_due"] is None
    set_incident_store(up, mode="settings")
    until(lambda: doctor(up, settings)[0] == 0, 120)


def test_doctor_tells_of_an_event_store_that_is_away_and_what_waits_for_it(up: Up, settings: dict[str, str]) -> None:
    block = read(up, "/block_types/slug/furrow-event-store/block_documents/name/furrow")

    def point(**data: Any) -> None:
        with up.prefect() as prefect:
            change = {"data": data, "merge_existing_data": False}
            assert prefect._client.patch(f"/block_documents/{block['id']}", json=change).is_success

    point(mode="server", url="clickhouse://nobody@127.0.0.1:9/nothing")
    time.sleep(12)
    post(up, "waits")
    with up.client("test-key") as client:
        assert client.post("/v1/events", json={"events": [{"eventType": "nonsense"}]}).status_code in (202, 400, 422)
    until(lambda: "last_error" in doctor(up, settings)[1]["event store"], 60)
    until(lambda: doctor(up, settings)[1]["event store"]["last_error"] != "", 120)
    code, found = doctor(up, settings)
    assert (code, found["event store"]["reachable"]) == (1, False)
    assert found["work"]["figures"]["spool_events"] == 33
    assert re.search(r"pending segments?, the oldest waiting for", found["lander"]["detail"])
    point(mode="settings")
    until(lambda: doctor(up, settings)[1]["work"]["figures"]["spool_events"] == 0, 120)
    assert "1 dead letter" in doctor(up, settings)[1]["set aside"]["detail"]
