"""A visitor, or all visitors of one project, fill the spool while nothing lands."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from collector.spool.quota import Owner, QuotaFull, SpoolQuota
from collector.spool.segments import list_segments
from collector.spool.spool import Spool
from core.errors import TransientError
from tests.attacks.collector import EVENT, OPERATOR, Collector, request, running, wait_until

KIBIBYTE = 1 << 10
VISITOR = "127.0.0.66"


def batch(number: int = 20) -> bytes:
    """About 20 kB in the spool."""
    events = [{**EVENT, "seq": seq, "metadata": {"note": "n " * 200}} for seq in range(number)]
    return json.dumps({"events": events}).encode()


def fill(collector: Collector, source: str, **headers: object) -> list[int]:
    """Statuses of requests until one is refused, at most 40."""
    statuses: list[int] = []
    while len(statuses) < 40 and not (statuses and statuses[-1] != 202):
        statuses.append(collector.ask(request(batch(), **headers), source).status)
    return statuses


def held(collector: Collector) -> int:
    wait_until(lambda: not list(collector.spool.glob("*.open")))
    return sum(segment.size for segment in list_segments(collector.spool))


def test_one_visitor_fills_a_part_and_the_others_go_on(tmp_path: Path) -> None:
    limits = {"spool_max_bytes": 1 << 20, "spool_source_part": 0.2, "spool_project_part": 0.8, "seal_seconds": 0.2}
    with running(tmp_path, **limits) as collector:
        assert fill(collector, VISITOR)[-1] == 429
        assert held(collector) <= 0.2 * (1 << 20)
        refused = collector.ask(request(batch()), VISITOR)
        assert (refused.status, refused.code) == (429, "rate_limited")
        assert int(refused.headers["retry-after"]) >= 1
        assert collector.ask(request(batch()), "127.0.0.77").status == 202
        # Many visitors of the project together fill its part, and a trusted sender still has room.
        for number in range(8):
            fill(collector, f"127.0.1.{number + 1}")
        assert held(collector) <= 0.8 * (1 << 20)
        assert collector.ask(request(batch()), "127.0.1.99").status == 429
        assert collector.ask(request(batch(), x_operator_key=OPERATOR), VISITOR).status == 202
        assert collector.is_healthy()
        # What lands makes room again.
        for segment in list_segments(collector.spool):
            segment.delete()
        wait_until(lambda: collector.ask(request(batch(1)), VISITOR).status == 202)


def test_the_bytes_of_an_earlier_process_count_for_their_project(tmp_path: Path) -> None:
    limits = {"spool_max_bytes": 1 << 20, "spool_source_part": 0.5, "spool_project_part": 0.6, "seal_seconds": 0.2}
    with running(tmp_path, **limits) as collector:
        fill(collector, VISITOR)
        before = held(collector)
    with running(tmp_path, **limits) as collector:
        for number in range(4):
            fill(collector, f"127.0.1.{number + 1}")
        assert before < held(collector) <= 0.6 * (1 << 20)


# ------------------------------------------------------------------------------------------------- the spool


def line(project: str, size: int) -> bytes:
    head = b'{"project":"%s","session_id":"' % project.encode()
    return head + b"x" * (size - len(head) - 3) + b'"}\n'


def appended(spool: Spool, owners: Sequence[Owner], size: int = KIBIBYTE) -> list[bool]:
    futures = [spool.append(line(owner.project, size), 1, owner=owner) for owner in owners]
    kept = []
    for future in futures:
        try:
            future.result(10)
            kept.append(True)
        except QuotaFull:
            kept.append(False)
    return kept


def test_another_project_has_its_own_part(tmp_path: Path) -> None:
    spool = Spool(tmp_path, max_bytes=100 * KIBIBYTE, project_part=0.5, sender_part=0.25, seal_seconds=0.01)
    try:
        senders = [Owner("loud", f"s{n % 4}") for n in range(100)]
        assert sum(appended(spool, senders)) <= 50
        assert sum(appended(spool, [Owner("quiet", "s0")] * 10)) == 10
        assert sum(appended(spool, [Owner("quiet", "s0")] * 20)) == 15, "one sender: a quarter"
        assert appended(spool, [Owner("loud", "")]) == [True], "trusted"
    finally:
        spool.close()


def test_a_full_quota_does_not_refuse_the_others_of_one_commit(tmp_path: Path) -> None:
    quota = SpoolQuota(project_bytes=10, sender_bytes=5)
    wanted = [
        (Owner("a", "x"), 4),
        (Owner("a", "x"), 4),
        (Owner("a", "y"), 5),
        (Owner("b", "x"), 5),
        (Owner("a", "z"), 2),
    ]
    assert [refusal is None for refusal in quota.find_refusals(wanted)] == [True, False, True, True, False]


def test_a_segment_that_cannot_be_read_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Spool(tmp_path, seal_seconds=0.01)
    appended(first, [Owner("shop", "s")] * 30)
    first.close()
    spool = Spool(tmp_path, max_bytes=100 * KIBIBYTE, project_part=0.2, sender_part=0.2, seal_seconds=60)
    try:
        appended(spool, [Owner("blog", "s")])  # measures the spool
        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_bytes", _fail)
            assert appended(spool, [Owner("blog", "t")] * 3) == [True] * 3
        assert spool.failing == ""
    finally:
        spool.close()


def _fail(_: Path) -> bytes:
    raise OSError("the disk does not answer")


def test_the_refusal_can_be_tried_again() -> None:
    assert issubclass(QuotaFull, TransientError)
