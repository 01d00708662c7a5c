"""A disk that takes a small write and no batch: health must not send senders here."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.collector import EVENT, request, running, wait_until
from tests.small_disk import mounted_disk

FILLER = "filler"
DISK_MEBIBYTES = 12


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted_disk(tmp_path / "disk", DISK_MEBIBYTES) as folder:
        yield folder


def test_health_fails_before_batches_do_and_recovers(small_disk: Path) -> None:
    events = [{**EVENT, "seq": n, "metadata": {"note": "n " * 400}} for n in range(900)]
    batch = request(json.dumps({"events": events}).encode())
    with running(small_disk) as collector:
        assert collector.is_healthy()
        assert collector.ask(batch).status == 202
        free = small_disk / FILLER
        free.write_bytes(bytes((DISK_MEBIBYTES << 20) - (small_disk_used(small_disk)) - (512 << 10)))
        wait_until(lambda: not collector.is_healthy())
        assert collector.ask(batch).status == 503
        free.unlink()
        wait_until(collector.is_healthy)
        assert collector.ask(batch).status == 202


def small_disk_used(folder: Path) -> int:
    """Bytes that are used, by whole pages."""
    return sum(-(-file.stat().st_size // 4096) * 4096 for file in folder.rglob("*") if file.is_file())
