"""The benchmark of the intake runs to its end, loses no event, and names where the time went. How fast is not asked here."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(shutil.which("wrk") is None, reason="needs wrk (Debian: apt-get install wrk)")
def test_both_batch_sizes_land_and_every_stage_is_named() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "bench", "intake", "--seconds", "3", "--rounds", "1", "--connections", "4"],
        cwd=ROOT,
        env=dict(os.environ),
        check=True,
        capture_output=True,
        text=True,
        timeout=300,
    )
    figures: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    assert figures["batches"].keys() == {"100", "10"}
    for size, of_batch in figures["batches"].items():
        ours = of_batch["ours"]
        assert ours["landed"] > 0
        assert ours["durable"] > 0
        assert all(spent > 0 for spent in ours["cpu"].values())
        # The stages are sampled: only those that surely have samples in three seconds are asked for.
        large = {"identity", "masking", "JSON decoding"} if size == "100" else {"event loop", "receipts"}
        assert {"validation and columns", "HTTP", *large} <= ours["stages"].keys()
        assert abs(sum(ours["stages"].values()) - 1) < 0.05
