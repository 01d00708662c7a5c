"""A disk that takes a small write and no batch: health must not send senders here."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks.collector import EVENT, request, running, wait_until

FILLER = "filler"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounting = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounting.returncode:
        pytest.skip(f"needs the right to mount: a nearly full disk is then not tried ({mounting.stderr.strip()})")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_health_fails_before_batches_do_and_recovers(small_disk: Path) -> None:
    events = [{**EVENT, "seq": n, "metadata": {"note": "n " * 400}} for n in range(900)]
    batch = request(json.dumps({"events": events}).encode())
    with running(small_disk) as collector:
        assert collector.is_healthy()
        assert collector.ask(batch).status == 202
        free = small_disk / FILLER
        free.write_bytes(bytes((12 << 20) - (small_disk_used(small_disk)) - (512 << 10)))
        wait_until(lambda: not collector.is_healthy())
        assert collector.ask(batch).status == 503
        free.unlink()
        wait_until(collector.is_healthy)
        assert collector.ask(batch).status == 202


def small_disk_used(folder: Path) -> int:
    """Bytes that are used, by whole pages."""
    return sum(-(-file.stat().st_size // 4096) * 4096 for file in folder.rglob("*") if file.is_file())
