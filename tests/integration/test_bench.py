"""The benchmark runs to its end and finds what it planted. How fast is not asked here: the machine decides that."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    told = subprocess.run(
        [sys.executable, "-m", "bench", "--quick"],
        cwd=ROOT,
        env=dict(os.environ),
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    )
    lines = told.stdout.splitlines()
    assert len(lines) > 20  # the tables for people
    parsed: dict[str, Any] = json.loads(lines[-1])
    return parsed


def test_the_machine_is_named(figures: dict[str, Any]) -> None:
    assert {"cpu", "cores", "python", "numpy", "pyarrow", "chdb"} <= figures["machine"].keys()


def test_every_shape_is_measured(figures: dict[str, Any]) -> None:
    shapes = {(case["length"], case["share"], case["struggle"]) for case in figures["engine"]}
    ordinary = {(length, share, False) for length in (40, 400, 4_000) for share in (0.0, 0.1, 1.0)}
    assert shapes == ordinary | {(4_000, 0.1, True), (4_000, 1.0, True)}
    for case in figures["engine"]:
        assert case["events"] == case["sessions"] * case["length"]
        assert all(case[name] > 0 for name in ("scan", "sort", "stored", "shuffled", "emitted"))


def test_the_engine_finds_every_frustrated_session_and_no_other(figures: dict[str, Any]) -> None:
    for case in figures["engine"]:
        assert case["found"] == case["frustrated"] == round(case["sessions"] * case["share"])
        each = case["length"] // 400 if case["length"] > 400 and not case["struggle"] else 1
        assert case["detections"] == case["frustrated"] * each


def test_the_store_gives_back_what_was_stored(figures: dict[str, Any]) -> None:
    store = figures["store"]
    assert store["events"] == store["sessions"] * 40
    replay, minute = store["replay"], store["minute"]
    assert replay["found"] == replay["emitted_found"] == store["frustrated"] == 200
    assert replay["fetched_events"] == 200 * 40  # calm sessions stay in ClickHouse
    assert (minute["due"], minute["found"], minute["fetched_events"]) == (100, minute["frustrated"], 10 * 40)
