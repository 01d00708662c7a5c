"""A bad night: parts of a real `furrow up` hang, lose their port or leave things behind. Intake and landing go on, and the rest
comes back by itself.

The first test is quick. The others share one installation, build on each other in their order, and take minutes.
"""

import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import psycopg
import pytest

from collector.lag import DETECTED
from core import health
from furrow.engine import automations
from stores.embedded_postgres import EmbeddedPostgres
from tests.e2e.installation import FURROW, Up, environment, frustrated_session, until

REPLACED_S = 240.0
"""Longest of the documented times (worker 120 s), the kill, the next start, on a machine that is busy with other tests."""


@pytest.mark.long
def test_without_a_prefect_server_events_are_accepted_and_land_and_runs_come_later(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    up = Up(tmp_path_factory.mktemp("port") / "data")
    with socket.create_server(("127.0.0.1", up.prefect_port)) as other:
        up.start()
        try:
            assert up.post_events(frustrated_session("before-prefect"))["accepted"] == 11
            until(lambda: stored(up) == 11, 60)
            told = " ".join(up.log.read_text().split())
            assert "not ready yet: runs and the Prefect UI" in told
            assert f"port {up.prefect_port} of the Prefect server is in use" in told
            other.setblocking(False)
            with pytest.raises(BlockingIOError):  # nothing of ours asked the stranger
                other.accept()
            other.close()
            until(lambda: "deployments are registered" in up.log.read_text() or registered(up), 180)
        finally:
            up.kill_everything()


def stored(up: Up) -> int:
    return int(up.get("/v1/status")["eventsStored"] or 0)


def registered(up: Up) -> bool:
    try:
        return any(one["name"] == "detect" for one in up.prefect_post("/deployments/filter", {}))
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    installation = Up(tmp_path_factory.mktemp("night") / "data")
    installation.start()
    yield installation
    installation.kill_everything()


def child(up: Up, module: str) -> psutil.Process:
    found = []
    for process in up.processes():
        command = process.cmdline()
        if "furrow.installation.child" in command and command[
            command.index("furrow.installation.child") + 1
        ].startswith(module):
            found.append(process)
    (one,) = found
    return one


def completed(up: Up, since: str) -> bool:
    """Whether a run of `detect` has begun and completed since then (ISO time)."""
    wanted = {
        "flows": {"name": {"any_": ["detect"]}},
        "flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}, "start_time": {"after_": since}},
    }
    try:
        return up.prefect_post("/flow_runs/filter", wanted) != []
    except httpx.HTTPError:
        return False


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def replaced(up: Up, part: str, hung: psutil.Process) -> None:
    until(lambda: not hung.is_running() or hung.status() == psutil.STATUS_ZOMBIE, REPLACED_S)
    assert f"the {part} did not answer for" in " ".join(up.log.read_text().split())


def doctor(up: Up) -> dict[str, Any]:
    command = [*FURROW, "doctor", "--json", *up.options]
    told = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    return {finding["part"]: finding for finding in json.loads(told.stdout)}


@pytest.mark.long
def test_a_hung_prefect_stops_no_landing_and_is_replaced(up: Up) -> None:
    before = stored(up)
    hung = child(up, "furrow.prefect_server")
    hung.send_signal(signal.SIGSTOP)
    for n in range(5):
        up.post_events(frustrated_session(f"while-it-hangs-{n}"))
    until(lambda: stored(up) == before + 55, health.PREFECT.silent_s / 2)
    assert hung.status() == psutil.STATUS_STOPPED
    replaced(up, "prefect", hung)
    began = now()
    until(lambda: completed(up, began), REPLACED_S)
    assert "did not answer" in doctor(up)["prefect"]["last_error"]


@pytest.mark.long
@pytest.mark.parametrize(("part", "module"), [("collector", "collector"), ("engine", "furrow.engine.process")])
def test_a_hung_part_is_replaced_and_nothing_is_lost(up: Up, part: str, module: str) -> None:
    before = stored(up)
    up.post_events(frustrated_session(f"before-{part}-hangs"))
    hung = child(up, module)
    hung.send_signal(signal.SIGSTOP)
    replaced(up, part, hung)
    until(lambda: answers(up), 120)
    up.post_events(frustrated_session(f"after-{part}-hung"))
    until(lambda: stored(up) == before + 22, 120)
    began = now()
    until(lambda: completed(up, began), REPLACED_S)


def answers(up: Up) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{up.port}/v1/health").is_success
    except httpx.HTTPError:
        return False


@pytest.mark.long
def test_a_run_that_is_left_pending_is_ended_and_the_next_one_completes(up: Up) -> None:
    (deployment,) = [d for d in up.prefect_post("/deployments/filter", {}) if d["name"] == "export"]
    later = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3_600))
    state = {"type": "SCHEDULED", "state_details": {"scheduled_time": later}}
    run = up.prefect_post(
        f"/deployments/{deployment['id']}/create_flow_run", {"state": state, "idempotency_key": "night"}
    )
    up.prefect_post(f"/flow_runs/{run['id']}/set_state", {"state": {"type": "PENDING"}})
    with up.prefect() as prefect:
        until(lambda: prefect._client.get(f"/flow_runs/{run['id']}").json()["state"]["type"] == "CRASHED", 120)
        assert prefect.start_run("export/export", wait_seconds=120)["state"]["type"] == "COMPLETED"


@pytest.mark.long
def test_a_detect_that_does_not_run_is_told_to_people(up: Up) -> None:
    until(lambda: up.get("/v1/status")["detectSecondsAgo"] is not None, 180)
    (deployment,) = [d for d in up.prefect_post("/deployments/filter", {}) if d["name"] == "detect"]
    with up.prefect() as prefect:
        assert prefect._client.post(f"/deployments/{deployment['id']}/pause_deployment").is_success
    busy = {"flow_runs": {"state": {"type": {"any_": ["RUNNING", "PENDING"]}}}}
    until(lambda: up.prefect_post("/flow_runs/filter", busy) == [], 60)
    until(lambda: up.get("/v1/status")["lagSeconds"] == 0.0, 60)
    up.post_events(frustrated_session("nobody-reads-this"))
    until(lambda: up.get("/v1/status")["lagSeconds"] > 5, 60)
    assert doctor(up)["work"]["figures"]["unread_seconds"] > 5
    # As if it had been so for a while: the reader stands where it stood 50 minutes ago.
    shifted = "UPDATE cursors SET watermark_us = watermark_us - 3000000000, seen = '{}' WHERE name = ANY(%s)"
    with psycopg.connect(EmbeddedPostgres(up.data / "postgres").url, autocommit=True) as connection:
        connection.execute(shifted, [["detect", DETECTED]])
    assert up.get("/v1/status")["detectSecondsAgo"] > 2_900
    until(lambda: float(metric(up, "furrow_lag_seconds")) > 5, 120)
    warned = {"filter": {"event": {"name": ["prefect.automation.triggered"]}}}

    def names() -> list[str]:
        events = up.prefect_post("/events/filter", warned)["events"]
        return [one["resource"].get("prefect.resource.name", "") for one in events]

    until(lambda: automations.LAG in names(), 900)
    assert "`detect` does not complete" in doctor(up)["work"]["advice"]
    with up.prefect() as prefect:
        assert prefect._client.post(f"/deployments/{deployment['id']}/resume_deployment").is_success
    until(lambda: up.get("/v1/status")["detectSecondsAgo"] < 60, 180)


def metric(up: Up, name: str) -> str:
    with up.client() as client:
        lines = client.get("/metrics").text.splitlines()
    return next((line.split()[-1] for line in lines if line.startswith(name)), "0")
