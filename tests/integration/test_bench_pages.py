"""The benchmarks of pages and incidents run to their end, with little data. How fast is not asked here."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

# Two minutes of a worker: stores, a collector and an engine of their own.
pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]


def run_bench(*words: str) -> tuple[list[str], dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "bench", *words],
        cwd=ROOT,
        env=dict(os.environ),
        check=True,
        capture_output=True,
        text=True,
        timeout=600,
    )
    lines = done.stdout.splitlines()
    return lines, json.loads(lines[-1])


def test_every_page_is_requested_and_weighed() -> None:
    lines, figures = run_bench(
        "pages", "--incidents", "120", "--detections", "2000", "--silences", "50", "--rounds", "2"
    )
    assert len(lines) > 20  # the table for people
    assert figures["size"] == {"incidents": 120, "detections": 2000, "silences": 50}
    pages = {page["name"]: page for page in figures["pages"]}
    assert {
        "incidents",
        "incidents: deep page",
        "incident: largest",
        "session",
        "near misses",
        "health",
    } <= pages.keys()
    for page in pages.values():
        assert 0 < page["p50_ms"] <= page["p95_ms"]
        assert page["sent_bytes"] > 0
    assert max(page["sent_bytes"] for name, page in pages.items() if not name.startswith("API")) <= 50_000


def test_one_more_session_and_one_more_ticket_are_measured() -> None:
    lines, figures = run_bench("incidents", "--sessions", "300", "--waiting", "200", "--rounds", "2")
    assert len(lines) > 5
    assert (figures["sessions"], figures["waiting"]) == ([100, 300], [100, 200])
    for part in ("settle", "claim", "count"):
        assert figures[part]["small_ms"] > 0
        assert figures[part]["ratio"] > 0
