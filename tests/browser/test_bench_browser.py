"""The benchmark of furrow.js runs to its end, and the script works meanwhile. How much it costs is not asked here."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]


def test_both_pages_are_measured_while_the_script_sends() -> None:
    small = ["--rounds", "1", "--clicks", "5", "--requests", "5", "--heap-clicks", "20", "--routes", "10"]
    ran = subprocess.run(
        [sys.executable, "-m", "bench", "browser", *small],
        cwd=ROOT,
        env=dict(os.environ),
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    figures: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    assert figures["batches"] > 0
    for name in ("click", "request"):
        assert all(figures[name][page] > 0 for page in ("with", "without"))
        assert len(figures[name]["differences"]) == 1
    for page in ("with", "without"):
        assert all(figures["heap"][page]["end"].values())
    held = figures["heap"]["with"]
    assert held["end"]["listeners"] <= held["start"]["listeners"], "the script adds its listeners once"
