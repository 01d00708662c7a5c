"""What people do with runs in the Prefect UI, done through the API that the UI uses, on a real `furrow up` with a tracker.

The tests of this file share one installation and build on each other, in the order in which they stand here.
"""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import httpx
import psycopg
import pytest

from stores.embedded_postgres import EmbeddedPostgres
from tests.e2e.installation import Up, frustrated_session, until
from tests.fakes import jira as fake_jira
from tests.fakes.jira import FakeJira
from tests.fakes.server import Answer, Fault

pytestmark = pytest.mark.long

PUBLIC = "https://furrow.test"
FINAL = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
UI_RETRIES = [False, True]  # the two UIs that Prefect 3.8 serves differ in `force`
DEAD_POSTGRES = "postgresql://nobody@127.0.0.1:9/nothing"
DEPLOYMENTS = ("detect", "export", "rerun-failed-exports", "backfill", "replay", "erase")


class Gate:
    """A step of the tracker that somebody holds up."""

    def __init__(self) -> None:
        self.arrived, self.opened = threading.Event(), threading.Event()

    def __call__(self) -> None:
        self.arrived.set()
        assert self.opened.wait(120)


@pytest.fixture(scope="module")
def jira() -> Iterator[FakeJira]:
    with FakeJira("cloud") as fake:
        yield fake
    assert fake.violations == []


@pytest.fixture(scope="module")
def gate(jira: FakeJira) -> Gate:
    """The first ticket is held up from the beginning on, whichever run files it."""
    gate = Gate()
    jira.faults.append(Fault(fake_jira.is_create, before=gate))
    return gate


@pytest.fixture(scope="module")
def settings(jira: FakeJira) -> dict[str, str]:
    return {
        "FURROW_JIRA_URL": jira.address,
        "FURROW_JIRA_USER": fake_jira.USER,
        "FURROW_JIRA_TOKEN": fake_jira.TOKEN,
        "FURROW_JIRA_PROJECT": "OPS",
        "FURROW_PUBLIC_URL": PUBLIC,
    }


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, settings: dict[str, str], gate: Gate) -> Iterator[Up]:
    installation = Up(tmp_path_factory.mktemp("operations") / "data")
    installation.start(**settings)
    yield installation
    gate.opened.set()
    installation.kill_everything()


# Prefect's API as the UI uses it
# -------------------------------------------------------------------------------------------------------------------


def read(up: Up, path: str) -> Any:
    with up.prefect() as prefect:
        answer = prefect._client.get(path)
    answer.raise_for_status()
    return answer.json()


def runs(up: Up, flow: str, **state: Any) -> list[dict[str, Any]]:
    wanted = {"flows": {"name": {"any_": [flow]}}, "sort": "START_TIME_DESC"}
    return list(up.prefect_post("/flow_runs/filter", {**wanted, "flow_runs": {"state": state}} if state else wanted))


def start(up: Up, flow: str, **parameters: Any) -> dict[str, Any]:
    with up.prefect() as prefect:
        return prefect.start_run(f"{flow}/{flow}", parameters)


def ended(up: Up, run: dict[str, Any], seconds: float = 180, after: int = 0) -> dict[str, Any]:
    """The run when it has ended, as its ``after + 1``th execution at least."""
    until(lambda: is_ended(read(up, f"/flow_runs/{run['id']}"), after), seconds)
    return dict(read(up, f"/flow_runs/{run['id']}"))


def is_ended(run: dict[str, Any], after: int) -> bool:
    return run["run_count"] > after and run["state"]["type"] in FINAL


def end(run: dict[str, Any]) -> tuple[str, str]:
    return run["state"]["type"], run["state"]["name"]


def set_state(up: Up, run: dict[str, Any], state: dict[str, Any], force: bool = False) -> None:
    told = up.prefect_post(f"/flow_runs/{run['id']}/set_state", {"state": state, "force": force})
    assert told["status"] == "ACCEPT", told


def cancel(up: Up, run: dict[str, Any]) -> None:
    """What the button "Cancel" does."""
    set_state(up, run, {"type": "CANCELLING", "name": "Cancelling"})


def retry(up: Up, run: dict[str, Any], force: bool) -> dict[str, Any]:
    """What the button "Retry" does; the run when it has ended again."""
    count = read(up, f"/flow_runs/{run['id']}")["run_count"]
    set_state(up, run, {"type": "SCHEDULED", "name": "AwaitingRetry", "message": "Retry from the UI"}, force)
    return ended(up, run, after=count)


def artifact(up: Up, run: dict[str, Any]) -> str:
    """What the page of a run shows; of a run that was tried again, what the last try left; '' if it never began."""
    wanted = {
        "artifacts": {"flow_run_id": {"any_": [run["id"]]}, "type": {"any_": ["markdown"]}},
        "sort": "CREATED_DESC",
    }
    found = up.prefect_post("/artifacts/filter", wanted)
    return str(found[0]["data"]) if found else ""


def running(up: Up, flow: str) -> dict[str, Any]:
    """The one run of this flow that is running, when there is one."""
    until(lambda: len(runs(up, flow, type={"any_": ["RUNNING"]})) == 1, 120)
    return runs(up, flow, type={"any_": ["RUNNING"]})[0]


# The installation
# -------------------------------------------------------------------------------------------------------------------


def post(up: Up, target: str, count: int = 3) -> None:
    """Frustrated sessions over one button: one incident, confirmed when there are three."""
    for n in range(count):
        events = frustrated_session(f"{target}-{n}-{time.time_ns()}")
        for event in events:
            if "target" in event:
                event["target"] |= {"id": target, "label": target}
            elif event["eventType"] == "network":
                event["metadata"] = {**event["metadata"], "url": f"/api/{target}"}
        up.post_events(events)


def incidents(up: Up) -> dict[str, Any]:
    """What must not change when something is done twice, by title."""
    return {
        one["title"]: (one["status"], one["affectedSessions"], one["affectedUsers"], one["highestScore"])
        for one in up.get("/v1/incidents?limit=1000")["incidents"]
    }


def confirmed(up: Up, count: int) -> None:
    until(lambda: sum(status == "confirmed" for status, *_ in incidents(up).values()) == count, 180)


def one_more(up: Up, target: str) -> None:
    """One more confirmed incident."""
    count = sum(status == "confirmed" for status, *_ in incidents(up).values())
    post(up, target)
    confirmed(up, count + 1)


@contextmanager
def held_up(up: Up, table: str) -> Iterator[None]:
    """Every statement on this table waits."""
    with psycopg.connect(EmbeddedPostgres(up.data / "postgres").url) as connection:
        connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        yield


def set_incident_store(up: Up, **data: Any) -> None:
    """What saving the block in the UI does."""
    block = read(up, "/block_types/slug/furrow-incident-store/block_documents/name/furrow")
    with up.prefect() as prefect:
        answer = prefect._client.patch(
            f"/block_documents/{block['id']}", json={"data": data, "merge_existing_data": False}
        )
    answer.raise_for_status()


def window() -> dict[str, str]:
    now = datetime.now(UTC)
    return {"start": (now - timedelta(days=1)).isoformat(), "end": (now + timedelta(days=1)).isoformat()}


def parameters(flow: str) -> dict[str, Any]:
    found: dict[str, dict[str, Any]] = {
        "backfill": {**window(), "dry_run": False},
        "replay": {"config": {"ignored_targets": ["button#second"]}, "window": "1d"},
        "erase": {"session_id": "nobody's"},
    }
    return found.get(flow, {})


# Cancel
# -------------------------------------------------------------------------------------------------------------------


def test_a_cancelled_detect_stops_between_two_steps_and_the_next_one_does_the_rest(up: Up, gate: Gate) -> None:
    with held_up(up, "pending_sessions"):
        post(up, "first")
        post(up, "second")
        run = running(up, "detect")
        cancel(up, run)
        time.sleep(5)  # it sees that within two seconds, and still waits for its statement
        assert read(up, f"/flow_runs/{run['id']}")["state"]["type"] == "CANCELLING"
    cancelled = ended(up, run)
    assert end(cancelled) == ("CANCELLED", "Cancelled")
    assert "asked to stop" in cancelled["state"]["message"]
    confirmed(up, 2)
    assert [sessions for _, sessions, *_ in incidents(up).values()] == [3, 3]


def test_a_cancelled_export_finishes_its_ticket_and_the_next_one_files_the_rest(
    up: Up, jira: FakeJira, gate: Gate
) -> None:
    start(up, "export")
    assert gate.arrived.wait(120)
    run = running(up, "export")
    cancel(up, run)
    time.sleep(5)
    gate.opened.set()
    cancelled = ended(up, run)
    assert end(cancelled) == ("CANCELLED", "Cancelled")
    assert "asked to stop" in cancelled["state"]["message"]
    assert "filed" in artifact(up, run)  # the ticket that was under way is recorded
    until(lambda: len(up.get("/v1/incidents?exported=true")["incidents"]) >= 1, 60)
    start(up, "export")
    until(lambda: len(up.get("/v1/incidents?exported=true")["incidents"]) == 2, 120)
    assert len(jira.issues) == 2


@pytest.mark.parametrize(("flow", "table"), [("backfill", "pending_sessions"), ("replay", "projects")])
def test_a_cancelled_run_by_hand_changes_nothing_by_halves(up: Up, flow: str, table: str) -> None:
    before = incidents(up)
    with held_up(up, table):
        begun = start(up, flow, **parameters(flow))
        run = running(up, flow)
        assert run["id"] == begun["id"]
        cancel(up, run)
        time.sleep(5)
    assert end(ended(up, run)) == ("CANCELLED", "Cancelled")
    again = ended(up, start(up, flow, **parameters(flow)))
    assert end(again) == ("COMPLETED", "Completed"), again["state"]
    until(lambda: incidents(up) == before, 60)


# What a run shows
# -------------------------------------------------------------------------------------------------------------------


def test_the_artifact_of_each_run_has_counts_lag_and_links(up: Up, jira: FakeJira) -> None:
    detecting = [artifact(up, run) for run in runs(up, "detect", type={"any_": ["COMPLETED"]})]
    (found,) = [one for one in detecting if "incidents confirmed" in one]
    for part in (
        "sessions analysed | 6",
        "detections stored | 6",
        "incidents touched | 2",
        "## Pending, and why",
        "## Lag",
    ):
        assert part in found
    assert found.count(f"](<{PUBLIC}/incidents/inc_") == 2
    every = "".join(artifact(up, run) for run in runs(up, "detect", type={"any_": ["COMPLETED", "CANCELLED"]}))
    assert sum(map(int, re.findall(r"^\| new events \| (\d+)", every, re.MULTILINE))) == 66
    exporting = "".join(artifact(up, run) for run in runs(up, "export", type={"any_": ["COMPLETED", "CANCELLED"]}))
    for key in jira.issues:
        assert f"[{key}](<{jira.address}/browse/{key}>)" in exporting
    for flow in ("detect", "export", "backfill", "replay"):
        shown = artifact(up, runs(up, flow, type={"any_": ["COMPLETED"]})[0])
        assert "oldest complete session that is not analysed: " in shown
        assert "newest events landed: " in shown


# Retry
# -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flow", DEPLOYMENTS)
@pytest.mark.parametrize("force", UI_RETRIES)
def test_retry_of_a_run_that_completed_doubles_nothing(up: Up, jira: FakeJira, flow: str, force: bool) -> None:
    before = incidents(up), up.get("/v1/status")["detections"], list(jira.issues)
    run = ended(up, start(up, flow, **parameters(flow)))
    assert end(run) == ("COMPLETED", "Completed"), run["state"]
    again = retry(up, run, force)
    assert end(again) == ("COMPLETED", "Completed"), again["state"]
    assert again["run_count"] == 2
    until(lambda: (incidents(up), up.get("/v1/status")["detections"], list(jira.issues)) == before, 60)


def test_every_flow_ends_degraded_with_the_reason_and_is_mended_by_retry(up: Up, jira: FakeJira) -> None:
    before = incidents(up)
    set_incident_store(up, mode="server", url=DEAD_POSTGRES)
    time.sleep(12)  # what blocks say holds for ten seconds
    begun = [start(up, flow, **parameters(flow)) for flow in DEPLOYMENTS]
    failed = [ended(up, run, 300) for run in begun]
    assert [end(run) for run in failed] == [("FAILED", "Degraded")] * len(DEPLOYMENTS)
    for run in failed:
        assert re.search("incident store|Postgres", run["state"]["message"]), run["state"]
    post(up, "third")
    set_incident_store(up, mode="settings")
    time.sleep(12)
    again = [retry(up, run, force=True) for run in failed]
    assert [end(run) for run in again] == [("COMPLETED", "Completed")] * len(DEPLOYMENTS), [r["state"] for r in again]
    confirmed(up, 3)
    assert {title: figures for title, figures in incidents(up).items() if title in before} == before
    exported = ended(up, start(up, "export"))
    assert end(exported) == ("COMPLETED", "Completed")
    assert len(jira.issues) == 3


def test_every_flow_says_logged_only_without_an_incident_store(up: Up) -> None:
    set_incident_store(up, mode="log")
    time.sleep(12)
    ends = {flow: ended(up, start(up, flow, **parameters(flow))) for flow in ("detect", "export", "backfill")}
    set_incident_store(up, mode="settings")
    time.sleep(12)
    assert {flow: end(run) for flow, run in ends.items()} == dict.fromkeys(ends, ("COMPLETED", "LoggedOnly"))
    for run in ends.values():
        assert "log-only" in run["state"]["message"]


def test_export_to_a_failing_tracker_is_degraded_and_retry_files_the_ticket_once(up: Up, jira: FakeJira) -> None:
    outage = Fault(fake_jira.is_create, answer=Answer(503, {"errorMessages": ["maintenance"]}), times=1000)
    jira.faults.append(outage)
    filed = len(jira.issues)
    one_more(up, "fourth")
    run = ended(up, start(up, "export"))
    assert end(run) == ("FAILED", "Degraded")
    assert "maintenance" in run["state"]["message"]
    assert len(jira.issues) == filed
    outage.times = 0
    # By its own backoff the ticket may wait for a minute.
    until(lambda: end(retry(up, run, force=False)) == ("COMPLETED", "Completed") and len(jira.issues) == filed + 1, 240)
    assert end(retry(up, run, force=True)) == ("COMPLETED", "Completed")
    assert len(jira.issues) == filed + 1


def test_a_refused_ticket_is_filed_by_the_retry_of_its_rerun(up: Up, jira: FakeJira) -> None:
    refusal = Fault(fake_jira.is_create, answer=Answer(400, {"errors": {"priority": "no such field"}}), times=1000)
    jira.faults.append(refusal)
    filed = len(jira.issues)
    one_more(up, "fifth")
    assert end(ended(up, start(up, "export"))) == ("FAILED", "Degraded")
    run = ended(up, start(up, "rerun-failed-exports"))
    assert end(run) == ("FAILED", "Degraded")
    assert "no such field" in run["state"]["message"]
    refusal.times = 0
    assert end(retry(up, run, force=False)) == ("COMPLETED", "Completed")
    assert end(retry(up, run, force=True)) == ("COMPLETED", "Completed")
    assert len(jira.issues) == filed + 1


# kill -9
# -------------------------------------------------------------------------------------------------------------------


def limits(up: Up) -> dict[str, dict[str, Any]]:
    return {one["name"]: one["global_concurrency_limit"] for one in up.prefect_post("/deployments/filter", {})}


def child(up: Up, name: str) -> Any:
    """The process of the part that ``furrow.installation.child`` runs as ``name``."""
    (found,) = [
        p for p in up.processes() if ["furrow.installation.child", name] in ([*pair] for pair in pairwise(p.cmdline()))
    ]
    return found


def test_one_run_of_a_deployment_at_a_time_and_the_others_wait(up: Up) -> None:
    found = up.prefect_post("/deployments/filter", {})
    assert {one["name"] for one in found} >= set(DEPLOYMENTS)
    for one in found:
        assert one["global_concurrency_limit"]["limit"] == 1
        assert one["concurrency_options"]["collision_strategy"] == "ENQUEUE"


def test_a_killed_engine_leaves_no_run_and_no_slot_behind(up: Up) -> None:
    with held_up(up, "pending_sessions"):
        begun = start(up, "backfill", **parameters("backfill"))
        run = running(up, "backfill")
        assert run["id"] == begun["id"]
        assert limits(up)["backfill"]["active_slots"] == 1
        child(up, "furrow.engine.process").kill()
        crashed = ended(up, run)
    assert end(crashed) == ("CRASHED", "Crashed")
    assert crashed["state"]["message"] == "The process of this run was stopped."
    assert end(ended(up, start(up, "backfill", **parameters("backfill")))) == ("COMPLETED", "Completed")
    assert end(retry(up, crashed, force=False)) == ("COMPLETED", "Completed")
    assert limits(up)["backfill"]["active_slots"] == 0


def test_a_killed_prefect_server_ends_no_run_and_strands_no_slot(up: Up) -> None:
    with held_up(up, "projects"):
        begun = start(up, "replay", **parameters("replay"))
        run = running(up, "replay")
        assert run["id"] == begun["id"]
        child(up, "furrow.prefect_server").kill()
        until(lambda: answers(up), 180)
        time.sleep(8)  # the worker has come back, and looked for what was left behind
    # The run of the thread that worked on through all of it.
    ended(up, run)
    assert end(ended(up, start(up, "replay", **parameters("replay")))) == ("COMPLETED", "Completed")
    until(lambda: limits(up)["replay"]["active_slots"] == 0, 60)


def answers(up: Up) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{up.prefect_port}/api/health").is_success
    except httpx.HTTPError:
        return False


def test_kill_9_of_everything_with_a_slot_held_strands_nothing(up: Up, settings: dict[str, str]) -> None:
    before = incidents(up)
    connection = psycopg.connect(EmbeddedPostgres(up.data / "postgres").url)
    connection.execute("LOCK TABLE pending_sessions IN ACCESS EXCLUSIVE MODE")
    held = [running(up, "detect")]
    start(up, "backfill", **parameters("backfill"))
    held.append(running(up, "backfill"))
    # The worst that a server killed between two writes can leave: a slot that belongs to no run at all.
    with up.prefect() as prefect:
        name = limits(up)["replay"]["name"]
        assert prefect._client.patch(f"/v2/concurrency_limits/{name}", json={"active_slots": 1}).is_success
    up.kill_everything()
    up.start(**settings)
    for run in held:
        stranded = ended(up, run, 60)
        assert end(stranded) == ("CRASHED", "Crashed")
        assert stranded["state"]["message"] == "The process of this run was stopped."
    since = datetime.now(UTC).isoformat()
    wanted = {
        "flows": {"name": {"any_": ["detect"]}},
        "flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}, "start_time": {"after_": since}},
    }
    until(lambda: len(up.prefect_post("/flow_runs/filter", wanted)) >= 2, 180)  # by its schedule
    for flow in ("backfill", "replay"):
        assert end(ended(up, start(up, flow, **parameters(flow)))) == ("COMPLETED", "Completed")
    assert incidents(up) == before
