"""What chaos found in the spool, as small tests; and that a full one keeps nothing, says so, and costs no memory."""

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil
import pytest

import collector.spool.open_segment
from collector.contract import Row
from collector.spool.open_segment import recover_open_files
from collector.spool.segments import list_segments
from collector.spool.spool import Spool
from core.metrics import DEGRADED
from tests.chaos import parts
from tests.chaos.stack import Child
from tests.e2e.installation import until
from tests.ports import free_port


def line(number: int) -> bytes:
    return msgspec.json.encode(Row("p", "s", f"event-{number}", "click", number, -1, 0, "", "/")) + b"\n"


def stored(directory: Path) -> list[bytes]:
    return [part + b"\n" for one in list_segments(directory) for part in one.read().splitlines()]


def _renamed_and_then_failed(source: Any, target: Any, real: Any = os.rename) -> None:
    real(source, target)
    raise OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize("what", ["the directory's fsync fails", "the rename is reported as failed"])
def test_nothing_is_added_to_a_segment_that_has_its_final_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """What came after went into a file that the lander had read and deleted, and was answered 202."""
    spool = Spool(tmp_path, seal_seconds=0.02)
    sealed = threading.Event()
    with monkeypatch.context() as patch:
        if "fsync" in what:
            spool.append(line(1), 1).result(10)  # while it works: a new segment needs it too

            def fail(_: Path) -> None:
                sealed.set()
                raise OSError(errno.EIO, "Input/output error")

            patch.setattr(collector.spool.open_segment, "sync_directory", fail)
            if not list_segments(tmp_path):
                assert sealed.wait(10)
        else:
            patch.setattr(os, "rename", _renamed_and_then_failed)
            spool.append(line(1), 1).result(10)
            until(lambda: list_segments(tmp_path) != [], 10)
    for segment in list_segments(tmp_path):
        assert segment.read() == line(1)
        segment.delete()  # as the lander does
    spool.append(line(2), 1).result(10)
    spool.close()
    assert stored(tmp_path) == [line(2)]


def test_a_torn_tail_is_counted_and_kept_aside(tmp_path: Path) -> None:
    (tmp_path / "1-ab.open").write_bytes(line(1) + line(2)[:-20])
    counter = DEGRADED.labels("spool", "torn_tail")._value
    before = counter.get()
    assert recover_open_files(tmp_path) == 1
    assert counter.get() == before + 1
    assert stored(tmp_path) == [line(1)]
    (tail,) = (tmp_path / "quarantine").glob("*.tail")
    assert tail.read_bytes() == line(2)[:-20]


def test_a_full_spool_refuses_with_retry_after_and_its_memory_stays_flat(tmp_path: Path) -> None:
    port = free_port()
    environment = {
        "FURROW_DATA_DIR": str(tmp_path),
        "FURROW_PORT": str(port),
        "FURROW_INCIDENT_STORE_URL": "log",
        "FURROW_USER_SALT": "chaos",
        "FURROW_INGEST_KEY": "test-key",
        "PROMETHEUS_MULTIPROC_DIR": "",
    }
    parts.Clock(tmp_path / "clock", 1_700_000_000_000)
    child = Child(parts.run_collector, environment, Connection, tmp_path / "clock", 1 << 20)
    child.send([])
    base = f"http://127.0.0.1:{port}"
    event = {"eventType": "click", "timestamp": 1_700_000_000_000, "sessionId": "s", "route": "/", "metadata": {}}
    content = msgspec.json.encode({"events": [{**event, "seq": number} for number in range(900)]})
    headers = {"content-type": "application/json", "x-api-key": "test-key"}

    def healthy() -> bool:
        try:
            return httpx.get(f"{base}/v1/health", trust_env=False).is_success
        except httpx.TransportError:
            return False

    try:
        until(healthy, 120)
        with httpx.Client(timeout=120, trust_env=False) as client, ThreadPoolExecutor(8) as pool:

            def post(_: int) -> httpx.Response:
                return client.post(f"{base}/v1/events", content=content, headers=headers)

            accepted = 0
            while (answer := post(0)).status_code == 202:
                accepted += answer.json()["accepted"]
                assert accepted < 100_000
            list(pool.map(post, range(50)))  # whatever is allocated once
            before = psutil.Process(child.process.pid).memory_info().rss
            answers = list(pool.map(post, range(400)))
            grown = psutil.Process(child.process.pid).memory_info().rss - before
        assert {answer.status_code for answer in answers} == {503}
        assert all(int(answer.headers["retry-after"]) > 0 for answer in answers)
        assert grown < 24 << 20  # 400 bodies of 90 kB that stayed would be 36 MB, and their rows four times as much
        until(lambda: sum(one.events for one in list_segments(tmp_path / "spool")) == accepted, 60)
        assert sum(path.stat().st_size for path in (tmp_path / "spool").glob("*.jsonl")) <= 1 << 20
    finally:
        child.kill()
