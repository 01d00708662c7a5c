"""Several processes of a collector share its port: together they lose nothing, and together they end."""

import os
import signal
from pathlib import Path

import psutil
import pytest

from collector.spool.segments import list_segments
from tests.attacks.collector import Collector, request, running, wait_until

CLIENTS = 40


def _children(collector: Collector) -> list[psutil.Process]:
    found: list[psutil.Process] = psutil.Process(collector.process.pid).children()
    return found


def test_every_process_accepts_events_and_a_stop_seals_all_of_them(tmp_path: Path) -> None:
    with running(tmp_path, processes=3, api=False) as collector:
        wait_until(lambda: len(_children(collector)) == 2)
        clients = [collector.client() for _ in range(CLIENTS)]
        for client in clients:
            client.send(request())
        assert {client.answer().status for client in clients} == {202}
        others = _children(collector)
        collector.process.send_signal(signal.SIGTERM)
        assert collector.process.wait(30) == 0
        assert not any(process.is_running() for process in others)
    assert not list((tmp_path / "spool").glob("*.open"))
    assert sum(segment.events for segment in list_segments(tmp_path / "spool")) == CLIENTS


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_ends_by_itself_ends_all_of_them_with_a_failure(tmp_path: Path, number: int) -> None:
    with running(tmp_path, processes=3, api=False) as collector:
        wait_until(lambda: len(_children(collector)) == 2 and collector.is_healthy())
        others = _children(collector)
        os.kill(others[0].pid, number)
        assert collector.process.wait(30) == 1
        wait_until(lambda: not any(process.is_running() for process in others))


def test_processes_whose_first_one_is_killed_end(tmp_path: Path) -> None:
    with running(tmp_path, processes=3, api=False) as collector:
        wait_until(lambda: len(_children(collector)) == 2 and collector.is_healthy())
        others = _children(collector)
        collector.process.kill()
        wait_until(lambda: not any(process.is_running() and process.status() != "zombie" for process in others))
