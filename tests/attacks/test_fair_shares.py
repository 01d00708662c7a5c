"""Visitors who use up what all visitors may send."""

import gzip
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from collector.transport.limits import FairLimit, RateLimit
from tests.attacks.collector import BATCH, EVENT, INGEST, ROOT, Collector, request, running, wait_until

HONEST = 30
EACH = 10
PAUSE = 0.25
"""Seconds between two requests of an honest visitor: four a second, a third of the equal share in these tests. Sent without
pauses, 300 requests would themselves be more than what is left of the key's limit."""


@contextmanager
def flood(collector: Collector, source: str, connections: int, events: int, *how: str) -> Iterator[None]:
    command = [sys.executable, "-m", "tests.attacks.flood", str(collector.port), INGEST, source, str(connections)]
    process = subprocess.Popen([*command, str(events), *how], cwd=ROOT)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def visit(collector: Collector, number: int) -> list[int]:
    client = collector.client(f"127.0.1.{number}")
    statuses = []
    for _ in range(EACH):
        time.sleep(PAUSE)
        client.send(request())
        statuses.append(client.answer().status)
    return statuses


def accepted_part(collector: Collector) -> float:
    with ThreadPoolExecutor(HONEST) as pool:
        statuses = Counter(status for one in pool.map(lambda n: visit(collector, n), range(HONEST)) for status in one)
    return statuses[202] / statuses.total()


@pytest.mark.parametrize(("sources", "connections", "events"), [(1, 40, 1), (3, 40, 1), (1, 40, 400)])
def test_a_flood_leaves_the_others_their_share(tmp_path: Path, sources: int, connections: int, events: int) -> None:
    with running(tmp_path, requests_per_second=400) as collector:
        floods = [flood(collector, f"127.0.0.{n + 2}", connections, events) for n in range(sources)]
        for one in floods:
            collector.clients.enter_context(one)
        wait_until(lambda: collector.metric("furrow_refused_total") > 100 or events > 1)
        wait_until(lambda: collector.metric("furrow_intake_requests_total") > 100)
        assert accepted_part(collector) >= 0.95
        assert collector.is_healthy()


def test_a_flood_of_large_bodies_is_stopped_by_its_bytes(tmp_path: Path) -> None:
    with (
        running(tmp_path, source_bytes_per_second=500_000) as collector,
        flood(collector, "127.0.0.2", 20, 400, "gzip"),
    ):
        wait_until(lambda: collector.metric("furrow_refused_total") > 100)
        assert accepted_part(collector) >= 0.95


def test_an_inflated_body_is_bounded_by_what_was_sent(tmp_path: Path) -> None:
    with running(tmp_path) as collector:
        padded = json.dumps({"events": [EVENT], "pad": " " * 900_000}).encode()
        answer = collector.ask(request(gzip.compress(padded), content_encoding="gzip"))
        assert (answer.status, answer.code) == (413, "too_large")
        small = json.dumps({"events": [EVENT], "pad": " " * 60_000}).encode()
        assert collector.ask(request(gzip.compress(small), content_encoding="gzip")).status == 202
        members = gzip.compress(BATCH[:1]) + gzip.compress(b"") * 100 + gzip.compress(BATCH[1:])
        assert collector.ask(request(members, content_encoding="gzip")).status == 400


# ----------------------------------------------------------------------------------------------- the numbers


def sent(limit: FairLimit, source: str, now: float) -> bool:
    passed = limit.find_refusal("key", source, now) is None
    if passed:
        limit.count_request("key", source, now)
    return passed


def test_one_source_alone_has_half() -> None:
    limit = FairLimit(100, 0.5)
    passed = sum(sent(limit, "one", 1_000 + n / 1_000) for n in range(10_000))
    assert 550 <= passed <= 610, "ten seconds at half the rate, and the burst"


def test_under_need_the_greedy_are_refused_first() -> None:
    limit = FairLimit(100, 0.5)
    passed: Counter[str] = Counter()
    for n in range(20_000):  # 20 s, ten greedy sources with 100/s each, one with 2/s
        now = 1_000 + n / 1_000
        passed[f"greedy-{n % 10}"] += sent(limit, f"greedy-{n % 10}", now)
        if n % 500 == 0:
            passed["honest"] += sent(limit, "honest", now)
    assert passed["honest"] >= 38
    assert 1_500 <= passed.total() <= 2_300, "and what the key may send is not wasted"


def test_tables_of_names_do_not_grow() -> None:
    limit, rate = FairLimit(100, 0.5), RateLimit(1)
    for n in range(30_000):
        limit.count_request("key", f"source-{n}", 1_000)
        limit.count_request(f"key-{n}", "source", 1_000)
        rate.take_tokens(f"name-{n}", 1_000)
    assert len(limit._names) <= 10_000
    assert len(limit._names["key"].sources if "key" in limit._names else ()) <= 4_096
    assert len(rate._buckets) <= 10_000
