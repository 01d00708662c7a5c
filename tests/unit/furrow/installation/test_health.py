"""Real processes that hang: watches find them, nobody else is blamed, and the supervisor replaces them."""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from core.health import MOST_PATIENCE, HealthWatch, Heartbeat, HeartbeatProbe, Limits, answers_http
from core.last_errors import read_last_errors
from furrow.installation.part import Part
from furrow.installation.registration import Registration
from furrow.installation.supervisor import Supervisor
from tests.ports import free_port

SERVER = "import http.server, sys; http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), http.server.SimpleHTTPRequestHandler).serve_forever()"  # noqa: E501
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


def until(done: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def part(tmp_path: Path, port: int) -> Iterator[Part]:
    watch = HealthWatch(lambda: answers_http("127.0.0.1", port, "/", 0.5), Limits(1.0, 30.0), interval_s=0.1)
    part = Part("collector", [sys.executable, "-c", SERVER, str(port)], dict(os.environ), tmp_path / "log", (watch,))
    yield part
    watch.stop_probing()
    part.kill_process()
    part.wait_for_end(time.monotonic() + 10)


def test_a_stopped_process_is_found_killed_and_started_again(
    part: Part, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("furrow.installation.supervisor._KILL_SECONDS", 0.5)
    monkeypatch.setattr("furrow.installation.supervisor._RESTART_SECONDS", (0.1,))
    said: list[str] = []
    supervisor = Supervisor(tmp_path, [part], said.append)
    supervisor.start_part(part)
    (watch,) = part.watches
    until(lambda: watch.has_answered)
    assert part.process is not None
    first = part.process
    first.send_signal(signal.SIGSTOP)  # which SIGTERM does not end

    def replaced() -> bool:
        supervisor.check_parts()
        return part.process is not first and watch.has_answered

    until(replaced)
    assert first.returncode == -signal.SIGKILL
    assert part.replaced == 1
    assert "the collector did not answer for" in "".join(said)
    assert "did not answer" in read_last_errors(tmp_path)["collector"].message


def test_a_part_that_answers_is_left_alone(part: Part, tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path, [part], lambda _: None)
    supervisor.start_part(part)
    until(lambda: part.watches[0].has_answered)
    process = part.process
    for _ in range(100):
        supervisor.check_parts()
        time.sleep(0.02)
    assert part.process is process
    assert part.replaced == 0


def test_a_server_that_says_503_is_alive(httpserver: object, port: int) -> None:
    assert not answers_http("127.0.0.1", port, "/", 0.5)
    httpserver.expect_request("/v1/health").respond_with_data("full", 503)  # type: ignore[attr-defined]
    assert answers_http("127.0.0.1", httpserver.port, "/v1/health")  # type: ignore[attr-defined]


def test_a_port_that_takes_connections_and_never_answers_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        assert not answers_http("127.0.0.1", deaf.getsockname()[1], "/", 0.3)


def test_time_in_which_nobody_asked_blames_nobody() -> None:
    watch = HealthWatch(lambda: False, Limits(100.0), interval_s=3_600)
    watch.mark_started()
    watch._record_answer(False, 15.0)
    assert watch.silent_s == 15.0
    assert not watch.is_overdue
    watch.mark_ended(overdue=False)
    watch._record_answer(False, 1e9)
    assert watch.silent_s == 0
    watch.stop_probing()


def test_a_part_that_never_answers_gets_more_time_after_each_replacement() -> None:
    watch = HealthWatch(lambda: False, Limits(1.0, 10.0), interval_s=3_600)
    watch.mark_started()
    watch._record_answer(False, 11.0)
    assert watch.is_overdue
    watch.mark_ended(overdue=True)
    watch.mark_started()
    watch._record_answer(False, 11.0)
    assert not watch.is_overdue
    watch._record_answer(False, 10.0)
    assert watch.is_overdue
    for _ in range(10):
        watch.mark_ended(overdue=True)
    assert watch._patience == MOST_PATIENCE
    watch.mark_started()
    watch._record_answer(True, 1.0)
    watch._record_answer(False, 2.0)
    assert watch.is_overdue
    watch.stop_probing()


def test_a_beat_is_an_answer_and_its_lack_is_none(tmp_path: Path) -> None:
    file = tmp_path / "beats" / "lander"
    assert not HeartbeatProbe(file)()
    beat = Heartbeat(file)
    probe = HeartbeatProbe(file)
    assert not probe()
    beat.touch_file()
    assert probe()
    assert not probe()
    os.utime(file, (1, 1))  # the clock was set back
    assert probe()


def test_a_part_that_must_not_start_is_told_once_and_tried_again(
    part: Part, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("furrow.installation.supervisor._RESTART_SECONDS", (0.05,))
    reasons = ["port 1 is taken", "port 1 is taken", ""]
    part.refusal = lambda: reasons.pop(0) if reasons else ""
    said: list[str] = []
    supervisor = Supervisor(tmp_path, [part], said.append)
    supervisor.start_part(part)

    def runs() -> bool:
        supervisor.check_parts()
        return part.is_running()

    until(runs)
    assert len([one for one in said if "cannot start" in one]) == 1


def test_registering_is_tried_again_until_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("furrow.installation.registration.RETRY_S", 0.05)
    from core.errors import TransientError

    outcomes: list[str] = ["refused", "refused", ""]
    said: list[str] = []

    def register() -> None:
        if reason := outcomes.pop(0):
            raise TransientError(reason)

    registration = Registration(lambda: True, register, said.append)
    registration.start()
    assert registration.done.wait(30)
    registration.stop()
    assert outcomes == []
    assert len([one for one in said if "not registered" in one]) == 1


def test_an_ended_child_of_a_killed_part_goes_too(tmp_path: Path) -> None:
    """What a part started itself holds its port otherwise."""
    program = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {DEAF!r}]).pid, flush=True); import time; time.sleep(600)"  # noqa: E501
    part = Part("prefect", [sys.executable, "-c", program], dict(os.environ), tmp_path / "log")
    part.start_process()
    until(lambda: (tmp_path / "log").read_text().strip().isdigit())
    child = int((tmp_path / "log").read_text())
    part.kill_process()
    part.wait_for_end(time.monotonic() + 10)

    def gone() -> bool:
        try:
            return Path(f"/proc/{child}/stat").read_text().split()[2] == "Z"
        except FileNotFoundError:
            return True

    until(gone)
