"""`furrow up` as its users see it: from the seed's curl to a confirmed incident, through `kill -9`, to Ctrl-C.

The tests of this file share one installation and build on each other, in the order in which they stand here.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from stores.embedded_postgres import EmbeddedPostgres
from tests.e2e.installation import CURL_OF_THE_SEED, FURROW, PATIENT_SECONDS, Up, environment, frustrated_session, until

CONFIRMED = "/v1/incidents?status=confirmed&exported=false"

SECRETS = {
    "FURROW_JIRA_TOKEN": "the-token-of-jira",
    "FURROW_INGEST_KEY": "the-key-of-a-sender",
    "FURROW_OPERATOR_KEY": "the-key-of-an-operator",
    "AWS_SECRET_ACCESS_KEY": "nobody-needs-this",
}
"""What `furrow up` finds in its environment, to see who gets it."""


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    installation = Up(tmp_path_factory.mktemp("up") / "data")
    installation.start(**SECRETS)
    yield installation
    installation.kill_everything()


def test_the_curl_of_the_seed_is_accepted(up: Up) -> None:
    headers = {"Content-Type": "application/json", "X-API-Key": "test-key"}
    address = f"http://localhost:{up.port}/v1/events"
    answer = httpx.post(address, content=CURL_OF_THE_SEED, headers=headers, timeout=PATIENT_SECONDS)
    assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "rejected": []})


def test_twenty_frustrated_sessions_become_one_confirmed_incident(up: Up) -> None:
    for n in range(20):
        up.post_events(frustrated_session(f"frustrated-{n}"))
    until(lambda: up.get(CONFIRMED)["total"] == 1, 180)
    until(lambda: up.get(CONFIRMED)["incidents"][0]["affectedSessions"] == 20, 60)
    until(lambda: up.get("/v1/status")["sessions"]["complete"] == 21, 60)
    status = up.get("/v1/status")
    assert status["eventsStored"] == 1 + 20 * 11
    assert status["spoolPending"]["events"] == 0
    assert status["sessions"]["open"] == 0
    assert status["detections"] == 20


def test_the_page_of_a_session_has_its_stored_events(up: Up) -> None:
    """The collector asks the lander: chDB belongs to the engine's process."""
    shown = up.get("/session.json?project=default&id=frustrated-3")
    assert (shown["eventsTotal"], len(shown["events"]), len(shown["detections"])) == (11, 11, 1)
    assert (up.data / "session-events.sock").stat().st_mode & 0o077 == 0


def test_runs_are_completed_and_linked_to_their_deployment(up: Up) -> None:
    (deployment,) = [d for d in up.prefect_post("/deployments/filter", {}) if d["name"] == "detect"]
    wanted = {"flow_runs": {"deployment_id": {"any_": [deployment["id"]]}, "state": {"type": {"any_": ["COMPLETED"]}}}}
    assert up.prefect_post("/flow_runs/filter", wanted)


def test_the_export_is_logged_only_and_shows_the_ticket(up: Up) -> None:
    with up.prefect() as prefect:
        run = prefect.start_run("export/export", wait_seconds=90)
    assert (run["state"]["type"], run["state"]["name"]) == ("COMPLETED", "LoggedOnly")
    log = (up.data / "logs" / "engine.log").read_text()
    # In full, and once: it may have been logged by a scheduled run, when fewer sessions were affected.
    assert log.count('| title: POST /api/orders → 500 on "Pay now" (/checkout): ') == 1
    assert "| ## How to reproduce" in log
    assert up.get(CONFIRMED)["total"] == 1


def test_metrics_tell_of_every_process(up: Up) -> None:
    with up.client() as client:
        text = client.get("/metrics").text
    assert "furrow_events_accepted_total 221.0" in text  # the collector's
    assert "furrow_events_landed_total 221.0" in text  # the engine's


def test_doctor_finds_everything_in_order(up: Up) -> None:
    told = subprocess.run(
        [*FURROW, "doctor", "--json", *up.options], capture_output=True, text=True, env=environment(), check=False
    )
    assert told.returncode == 0, told.stdout
    findings = {finding["part"]: finding for finding in json.loads(told.stdout)}
    assert all(findings[part]["reachable"] for part in ("collector", "prefect", "engine", "incident store"))
    assert findings["jira"]["mode"] == findings["linear"]["mode"] == "log"


def test_each_process_has_its_own_secrets_alone(up: Up) -> None:
    holders: dict[str, set[str]] = {value: set() for value in SECRETS.values()}
    assert up.process is not None
    for process in up.processes():
        environment = Path(f"/proc/{process.pid}/environ").read_bytes().decode()
        for value in SECRETS.values():
            if value in environment and process.pid != up.process.pid:
                holders[value].add(process.cmdline()[-1])
    sender, operator = SECRETS["FURROW_INGEST_KEY"], SECRETS["FURROW_OPERATOR_KEY"]
    assert holders == {
        SECRETS["FURROW_JIRA_TOKEN"]: {"furrow.engine.process"},
        SECRETS["AWS_SECRET_ACCESS_KEY"]: set(),
        sender: {"collector"},
        operator: {"collector"},
    }
    commands = [" ".join(process.cmdline()) for process in up.processes()]
    assert any("postgres" in command for command in commands)  # they were looked at, too


def test_nothing_in_the_data_directory_is_for_others(up: Up) -> None:
    found = [up.data, *up.data.rglob("*")]
    assert len(found) > 50
    for path in found:
        if not path.is_symlink() and path.exists():
            assert not path.stat().st_mode & 0o077, path


def test_a_second_one_on_the_same_directory_is_refused(up: Up) -> None:
    second = [*FURROW, "up", *up.options]
    told = subprocess.run(
        second, capture_output=True, text=True, env=environment(), timeout=PATIENT_SECONDS, check=False
    )
    assert told.returncode == 1
    assert "another process of Furrow uses" in told.stderr.replace("\n", " ")
    assert "Traceback" not in told.stderr


def test_a_part_that_dies_is_started_again(up: Up) -> None:
    (collector,) = [p for p in up.processes() if p.cmdline()[-2:] == ["furrow.installation.child", "collector"]]
    collector.kill()
    until(lambda: answers(up), 60)
    assert up.post_events(frustrated_session("after-the-crash"))["accepted"] == 11


def answers(up: Up) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{up.port}/v1/health").is_success
    except httpx.HTTPError:
        return False


def test_postgres_away_ends_degraded_and_comes_back_by_itself(up: Up) -> None:
    up.post_events(frustrated_session("while-postgres-is-away"))
    EmbeddedPostgres(up.data / "postgres").stop()
    degraded = {"flow_runs": {"state": {"name": {"any_": ["Degraded"]}}}}
    until(lambda: up.prefect_post("/flow_runs/filter", degraded) != [], 120)
    # Intake goes on meanwhile.
    assert up.post_events(frustrated_session("also-while-it-is-away"))["accepted"] == 11
    until(lambda: answers_with_incidents(up), 120)
    # The twenty, the one after the crash, and these two.
    until(lambda: up.get(CONFIRMED)["incidents"][0]["affectedSessions"] == 23, 120)


def answers_with_incidents(up: Up) -> bool:
    with up.client() as client:
        return client.get("/v1/incidents").is_success


OPEN = ("open-1", "open-2", "open-3")


def on_another_page(session: str) -> list[dict[str, Any]]:
    """The same struggle on another page."""
    return [{**event, "route": "/subscribe"} for event in frustrated_session(session)]


def test_sessions_that_go_on_are_a_draft_before_they_end(up: Up) -> None:
    for session in OPEN:
        up.post_events(on_another_page(session)[:-1])
    until(lambda: drafts(up) == [(3, 0)], 120)
    assert up.get("/v1/status")["openDetections"] == 3
    assert up.get("/v1/status")["sessions"]["open"] == 3
    (draft,) = up.get("/v1/incidents?status=draft")["incidents"]
    assert draft["title"].endswith("(/subscribe): 3 open sessions affected")
    events = {"filter": {"event": {"name": ["furrow.incidents.open"]}}}
    until(lambda: len(up.prefect_post("/events/filter", events)["events"]) == 1, 60)


def drafts(up: Up) -> list[tuple[int, int]]:
    """Open and complete sessions of each draft."""
    found = up.get("/v1/incidents?status=draft")["incidents"]
    return [(one["openSessions"], one["affectedSessions"]) for one in found]


def test_after_kill_9_of_everything_all_is_there_once(up: Up) -> None:
    accepted = up.post_events(frustrated_session("just-before"))["accepted"]
    up.kill_everything()
    up.start()
    until(lambda: up.get(CONFIRMED)["incidents"][0]["affectedSessions"] == 24, 180)
    assert up.get(CONFIRMED)["total"] == 1
    until(lambda: up.get("/v1/status")["eventsStored"] == 1 + 23 * 11 + len(OPEN) * 10 + accepted, 60)
    assert drafts(up) == [(3, 0)]
    unfinished = {"flow_runs": {"state": {"type": {"any_": ["RUNNING", "CANCELLING"]}}}}
    until(lambda: up.prefect_post("/flow_runs/filter", unfinished) == [], 60)


def test_the_open_sessions_are_counted_once_when_they_end(up: Up) -> None:
    (draft,) = up.get("/v1/incidents?status=draft")["incidents"]
    for session in OPEN:
        up.post_events(on_another_page(session)[-1:])
    until(lambda: up.get(CONFIRMED)["total"] == 2, 120)
    confirmed = up.get(f"/v1/incidents/{draft['incidentId']}")
    assert (confirmed["status"], confirmed["affectedSessions"], confirmed["openSessions"]) == ("confirmed", 3, 0)
    assert [entry["to"] for entry in confirmed["history"]] == ["draft", "confirmed"]
    assert up.get("/v1/status")["openDetections"] == 0


def test_ctrl_c_stops_it_and_leaves_no_process(up: Up) -> None:
    up.interrupt()
    assert up.process is not None
    assert up.process.returncode == 0
    assert up.processes() == []
