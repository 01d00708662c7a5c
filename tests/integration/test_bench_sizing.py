"""The measurement of a whole installation runs to its end and finds every part. How much each takes is not asked here."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]
PARTS = {"supervisor", "collector", "engine", "prefect", "postgres", "all"}


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    short = ["--idle", "0.1", "--load", "0.1", "--rate", "200", "--settle", "1"]
    told = subprocess.run(
        [sys.executable, "-m", "bench", "sizing", *short],
        cwd=ROOT,
        env=dict(os.environ),
        check=True,
        capture_output=True,
        text=True,
        timeout=600,
    )
    lines = told.stdout.splitlines()
    assert len(lines) > 20  # the tables for people
    parsed: dict[str, Any] = json.loads(lines[-1])
    return parsed


def test_every_part_is_measured_idle_and_under_load(figures: dict[str, Any]) -> None:
    for state in ("idle", "load"):
        assert figures[state].keys() == PARTS
        for part, use in figures[state].items():
            assert use["rss"] > 1, part
            assert use["cpu"] >= 0, part
            assert use["peak"] >= use["rss"] * 0.9 or part in ("postgres", "all"), part
    assert figures["idle"]["engine"]["cpu"] > 0


def test_the_disk_is_measured_by_what_was_sent(figures: dict[str, Any]) -> None:
    sessions = figures["events"] / 40
    assert figures["events"] > 1_000
    assert sessions == int(sessions)
    assert figures["detections"] == sessions // 10
    assert figures["clickhouse_bytes_by_table"]["events"] > 0
    assert figures["clickhouse_bytes_per_event"] > 1
    assert figures["spool_most_bytes"] > 0
    assert {"clickhouse", "postgres", "prefect", "spool"} <= figures["disk_mib"].keys()
