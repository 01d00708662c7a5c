"""The spool keeps what it promised, and nothing else, through kills, full disks and damaged files."""

import errno
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Future, wait
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from prometheus_client import REGISTRY

from collector.contract import Row
from collector.spool.dead_letters import DeadLetters
from collector.spool.open_segment import recover_open_files
from collector.spool.segments import Pending, SpoolCorrupt, count_pending, list_segments
from collector.spool.spool import Spool, SpoolClosed, SpoolFull

NEVER = 3_600.0


def line(number: int = 0) -> bytes:
    row = Row("p", "s", f"event-{number}", "click", number, -1, 0, "", "/")
    return msgspec.json.encode(row) + b"\n"


def stored(directory: Path) -> list[bytes]:
    return [part + b"\n" for s in list_segments(directory) for part in s.read().splitlines()]


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path / "spool", seal_seconds=NEVER)
    yield made
    made.close()


def test_what_was_acknowledged_is_on_disk_before_it_is_sealed(spool: Spool) -> None:
    spool.append(line(1), 1).result(10)
    (held,) = spool.directory.glob("*.open")
    assert held.read_bytes() == line(1)
    assert list_segments(spool.directory) == []
    assert spool.count_pending() == Pending(1, 1, len(line(1)))


def test_closing_seals_and_names_the_segment_by_its_content(spool: Spool) -> None:
    spool.append(line(1) + line(2), 2).result(10)
    spool.append(line(3), 1).result(10)
    spool.close()
    (segment,) = list_segments(spool.directory)
    assert segment.read() == line(1) + line(2) + line(3)
    assert (segment.events, segment.size, len(segment.digest)) == (3, 3 * len(line(1)), 32)
    assert segment.path.name == f"{segment.sealed_ns:020d}-3-{segment.digest}.jsonl"
    assert count_pending(spool.directory) == (1, 3, segment.size)
    segment.delete()
    segment.delete()
    assert count_pending(spool.directory) == (0, 0, 0)


def test_a_segment_is_sealed_by_size(tmp_path: Path) -> None:
    spool = Spool(tmp_path, seal_seconds=NEVER, seal_bytes=len(line(1)))
    for number in range(1, 4):
        spool.append(line(number), 1).result(10)
    spool.close()
    assert [s.events for s in list_segments(tmp_path)] == [1, 1, 1]
    assert stored(tmp_path) == [line(1), line(2), line(3)], "oldest first"


def test_a_segment_is_sealed_by_age_without_another_event(tmp_path: Path) -> None:
    spool = Spool(tmp_path, seal_seconds=0.05)
    spool.append(line(1), 1).result(10)
    waiting = threading.Event()
    for _ in range(400):
        if list_segments(tmp_path):
            break
        waiting.wait(0.05)
    assert stored(tmp_path) == [line(1)]
    spool.close()


def test_requests_that_wait_together_share_commits(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    syncs = []
    held = threading.Event()
    real = os.fdatasync

    def slow(fd: int) -> None:
        syncs.append(fd)
        held.wait(10)
        real(fd)

    monkeypatch.setattr(os, "fdatasync", slow)
    futures = [spool.append(line(0), 1)]
    while not syncs:
        held.wait(0.01)
    futures += [spool.append(line(number), 1) for number in range(1, 50)]
    assert not any(future.done() for future in futures), "nobody is answered before it is durable"
    held.set()
    wait(futures, 10)
    assert all(future.exception() is None for future in futures)
    assert len(syncs) == 2, "one for the first, one for the 49 that came meanwhile"
    spool.close()
    assert stored(spool.directory) == [line(number) for number in range(50)]


def test_a_closed_spool_takes_nothing(spool: Spool) -> None:
    spool.close()
    with pytest.raises(SpoolClosed):
        spool.append(line(), 1).result(10)


def test_an_empty_request_leaves_no_file(spool: Spool) -> None:
    spool.append(b"", 0).result(10)
    spool.close()
    assert [p.name for p in spool.directory.iterdir()] == []


# ----------------------------------------------------------------------------------------------------- limits


def test_at_its_limit_the_spool_refuses_and_takes_again_once_segments_are_gone(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=2 * len(line(1)), seal_seconds=NEVER, seal_bytes=1)
    spool.append(line(1), 1).result(10)
    spool.append(line(2), 1).result(10)
    with pytest.raises(SpoolFull) as refused:
        spool.append(line(3), 1).result(10)
    assert refused.value.retry_after
    assert spool.failing
    list_segments(tmp_path)[0].delete()
    spool.append(line(4), 1).result(10)
    assert not spool.failing
    spool.close()
    assert stored(tmp_path) == [line(2), line(4)]


def test_a_full_disk_keeps_nothing_of_what_it_refused(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    spool.append(line(1), 1).result(10)
    real = os.write

    def half(fd: int, content: bytes) -> int:
        if len(content) < 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, content[:-10])

    monkeypatch.setattr(os, "write", half)
    with pytest.raises(SpoolFull):
        spool.append(line(2), 1).result(10)
    monkeypatch.undo()
    spool.append(line(3), 1).result(10)
    spool.close()
    assert stored(spool.directory) == [line(1), line(3)]


def test_a_failed_sync_is_no_acceptance(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    spool.append(line(1), 1).result(10)

    def fail(_fd: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(SpoolFull):
        spool.append(line(2), 1).result(10)
    with pytest.raises(SpoolFull):
        spool.append(line(3), 1).result(10)
    monkeypatch.undo()
    spool.append(line(4), 1).result(10)
    spool.close()
    assert stored(spool.directory) == [line(1), line(4)]


def test_a_file_size_limit_of_the_system_is_a_full_disk(tmp_path: Path) -> None:
    script = """
import resource, sys
from pathlib import Path
from collector.spool.spool import Spool, SpoolFull
size, directory, lines = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3].encode() + b"\\n"
resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
spool = Spool(directory, seal_seconds=3600)
spool.append(lines, 1).result(10)
try:
    spool.append(lines * 9, 9).result(10)
except SpoolFull:
    print("refused")
spool.append(lines, 1).result(10)
spool.close()
"""
    text = line(1).decode().strip()
    limit = str(3 * len(line(1)) + 5)
    run = [sys.executable, "-c", script, limit, str(tmp_path), text]
    output = subprocess.run(run, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3])
    assert output.stdout.strip() == "refused"
    assert stored(tmp_path) == [line(1), line(1)]
    assert resource.RLIMIT_FSIZE is not None


def test_any_unexpected_error_reaches_the_sender(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("unexpected")

    monkeypatch.setattr("collector.spool.spool.OpenSegment", fail)
    with pytest.raises(SpoolFull, match="unexpected"):
        spool.append(line(1), 1).result(10)
    monkeypatch.undo()
    spool.append(line(2), 1).result(10)


def test_a_failed_seal_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = threading.Event()
    real = os.rename

    def fail(source: str, target: str) -> None:
        if failed.is_set():
            real(source, target)
        else:
            failed.set()
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "rename", fail)
    spool = Spool(tmp_path, seal_seconds=0.05)
    spool.append(line(1), 1).result(10)
    assert failed.wait(10)
    spool.append(line(2), 1).result(10)
    spool.close()
    assert stored(tmp_path) == [line(1), line(2)]


def test_a_seal_that_is_carried_out_but_reported_failed_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.rename

    def carried_out(source: str, target: str) -> None:
        real(source, target)
        raise OSError(errno.EIO, "Input/output error")

    def counted() -> float:
        labels = {"component": "spool", "reason": "rename_reported_failed"}
        return REGISTRY.get_sample_value("furrow_degraded_total", labels) or 0

    before = counted()
    spool = Spool(tmp_path, seal_seconds=0.05)
    monkeypatch.setattr(os, "rename", carried_out)
    spool.append(line(1), 1).result(10)
    spool.close()
    assert stored(tmp_path) == [line(1)]
    assert counted() == before + 1


# --------------------------------------------------------------------------------------------------- recovery


def test_a_leftover_is_cut_at_its_last_whole_line_and_sealed(tmp_path: Path) -> None:
    torn = line(3)[:-20]
    (tmp_path / "99-dead.open").write_bytes(line(1) + line(2) + torn)
    (tmp_path / "98-dead.open").write_bytes(b"")
    assert recover_open_files(tmp_path) == 2
    assert stored(tmp_path) == [line(1), line(2)]
    assert list(tmp_path.glob("*.open")) == []
    assert (tmp_path / "quarantine" / "99-dead.tail").read_bytes() == torn


@pytest.mark.parametrize("garbage", [b"\0" * 4096, b"{}\n", b'{"project": 1}\n', b"\xff\xff\n", b"\n"])
def test_what_follows_garbage_is_not_sealed(tmp_path: Path, garbage: bytes) -> None:
    (tmp_path / "99-dead.open").write_bytes(line(1) + garbage + line(2))
    recover_open_files(tmp_path)
    assert stored(tmp_path) == [line(1)]


def test_every_cut_of_a_file_recovers_its_whole_lines(tmp_path: Path) -> None:
    content = line(1) + line(2)
    for size in range(0, len(content) + 1, 37):
        directory = tmp_path / str(size)
        directory.mkdir()
        (directory / "1-x.open").write_bytes(content[:size])
        assert recover_open_files(directory) == size // len(line(1))
        assert b"".join(stored(directory)) == content[: size // len(line(1)) * len(line(1))]


def test_the_open_segment_of_a_living_writer_is_left_alone(spool: Spool) -> None:
    spool.append(line(1), 1).result(10)
    assert recover_open_files(spool.directory) == 0
    second = Spool(spool.directory, seal_seconds=NEVER)
    second.append(line(2), 1).result(10)
    second.close()
    assert stored(spool.directory) == [line(2)]
    spool.close()
    assert sorted(stored(spool.directory)) == [line(1), line(2)]


def test_many_threads_lose_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path, seal_seconds=NEVER, seal_bytes=20 * len(line(1)))
    futures: list[Future[None]] = []

    def work(first: int) -> None:
        for number in range(first, first + 100):
            futures.append(spool.append(line(number), 1))

    threads = [threading.Thread(target=work, args=(1_000 * n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    spool.close()
    assert all(future.result(0) is None for future in futures)
    assert sorted(stored(tmp_path)) == sorted(line(1_000 * n + i) for n in range(8) for i in range(100))


# ---------------------------------------------------------------------------------------------------- reading


def test_a_changed_segment_is_not_read_and_can_be_set_aside(spool: Spool) -> None:
    spool.append(line(1), 1).result(10)
    spool.close()
    (segment,) = list_segments(spool.directory)
    segment.path.write_bytes(line(2))
    with pytest.raises(SpoolCorrupt, match="checksum"):
        segment.read()
    moved = segment.quarantine("checksum differs")
    assert list_segments(spool.directory) == []
    assert moved.read_bytes() == line(2)
    assert moved.with_suffix(".reason").read_text() == "checksum differs\n"


def test_a_wrong_count_is_no_segment_to_trust(spool: Spool) -> None:
    spool.append(line(1), 1).result(10)
    spool.close()
    (segment,) = list_segments(spool.directory)
    os.rename(segment.path, segment.path.with_name(segment.path.name.replace("-1-", "-2-")))
    with pytest.raises(SpoolCorrupt, match="2 rows"):
        list_segments(spool.directory)[0].read()


def test_other_files_are_no_segments(tmp_path: Path) -> None:
    for name in ("keys.json", "x.jsonl", "a-b-c.jsonl", "1-2.jsonl"):
        (tmp_path / name).write_bytes(b"x")
    assert list_segments(tmp_path) == []
    assert list_segments(tmp_path / "missing") == []


# ----------------------------------------------------------------------------------------------- dead letters


def test_dead_letters_are_durable_with_the_rows(spool: Spool) -> None:
    spool.append(line(1), 1, b'{"a":1}\n{"b":2}\n').result(10)
    spool.append(b"", 0, b'{"c":3}\n').result(10)
    (file,) = (spool.directory / "dead-letters").iterdir()
    assert file.name == f"{datetime.now(UTC):%Y-%m-%d}.jsonl"
    assert file.read_bytes() == b'{"a":1}\n{"b":2}\n{"c":3}\n'
    assert spool.count_dead_letters() == 3


def test_dead_letters_that_cannot_be_kept_refuse_the_request(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bool:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(DeadLetters, "append", fail)
    with pytest.raises(SpoolFull):
        spool.append(line(1), 1, b"{}\n").result(10)
    monkeypatch.undo()
    spool.close()
    assert stored(spool.directory) == []


def test_a_torn_dead_letter_of_a_killed_writer_is_cut(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path)
    letters.append(b"{}\n")
    (file,) = letters.directory.iterdir()
    with file.open("ab") as handle:
        handle.write(b"x" * 10_000)
    letters.append(b"[]\n")
    assert file.read_bytes() == b"{}\n[]\n"


def test_beyond_their_limit_dead_letters_are_counted_and_not_kept(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path, max_bytes=5)
    assert letters.append(b"{}\n")
    assert not letters.append(b"{}\n")
    assert letters.count_lines() == 1


def test_counting_dead_letters_reads_only_what_is_new(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path)
    assert letters.count_lines() == 0
    letters.append(b"{}\n" * 3)
    assert (letters.count_lines(), letters.count_lines()) == (3, 3)
    letters.append(b"{}\n")
    assert letters.count_lines() == 4
    (file,) = letters.directory.iterdir()
    file.write_bytes(b"{}\n")
    assert letters.count_lines() == 1
    file.unlink()
    assert letters.count_lines() == 0
