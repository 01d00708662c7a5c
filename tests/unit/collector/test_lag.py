"""What the lag says when `detect` does not run, Postgres is away, nothing arrives, or the engine has just begun."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from collector import lag
from collector.lag import DETECTED, LIMIT_S, Lag, Progress, compute_lag
from core.landings import MOST, Landings
from core.settings import Settings
from stores.incidents.incident_store import Cursor, PendingSession

MINUTE_US = 60_000_000


class Line:
    """An incident store in which nothing is due, and readers stand where they are put."""

    def __init__(self, watermark_us: int, detected_us: int) -> None:
        self.cursors = {"detect": watermark_us, DETECTED: detected_us}

    def find_due_sessions(self, now_ms: int, limit: int) -> list[PendingSession]:
        return []

    def count_pending_sessions(self, now_ms: int) -> dict[str, int]:
        return {"due": 0, "open": 0}

    def read_cursor(self, name: str = "detect") -> Cursor:
        return Cursor(self.cursors[name])


def ago_us(seconds: float) -> int:
    return time.time_ns() // 1_000 - int(seconds * 1e6)


def landed(settings: Settings, *moments_us: int, running_s: float = 10_000) -> None:
    began = time.time_ns() // 1_000_000 - int(running_s * 1_000)
    status = {"landedAtMs": moments_us[-1] // 1_000, "landings": moments_us, "beganAtMs": began}
    settings.lander_status.write_text(json.dumps(status))


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path)


def test_landings_behind_the_watermark_make_the_lag(settings: Settings) -> None:
    landed(settings, ago_us(3_000), ago_us(2_000), ago_us(10))
    found = lag.measure_lag(settings, Line(ago_us(2_500), ago_us(5)))
    assert found.unread_s == pytest.approx(2_000, abs=5)
    assert found.longest_wait_seconds == found.unread_s
    assert found.is_late


def test_without_anything_new_there_is_no_lag_however_long_ago_it_landed(settings: Settings) -> None:
    newest = ago_us(90_000)
    landed(settings, ago_us(100_000), newest)
    found = lag.measure_lag(settings, Line(newest, ago_us(20)))
    assert (found.unread_s, found.longest_wait_seconds, found.is_late) == (0.0, 0.0, False)


def test_a_detect_that_does_not_complete_is_told_although_nothing_waits(settings: Settings) -> None:
    newest = ago_us(5_000)
    landed(settings, newest)
    found = lag.measure_lag(settings, Line(newest, ago_us(LIMIT_S + 60)))
    assert (found.longest_wait_seconds, found.is_stalled, found.is_late) == (0.0, True, True)
    assert "`detect` completed last: 11 min ago" in found.describe_lag()


def test_an_engine_that_has_just_begun_gets_its_time(settings: Settings) -> None:
    newest = ago_us(50_000)
    landed(settings, newest, running_s=30)
    assert not lag.measure_lag(settings, Line(newest, ago_us(40_000))).is_late


def test_while_the_incident_store_is_away_what_was_known_last_counts(settings: Settings) -> None:
    landed(settings, ago_us(4_000), ago_us(3_000))
    lag.save_progress(settings.data_dir, Progress(ago_us(3_500), ago_us(3_400)))
    found = lag.measure_lag(settings, None)
    assert found.unread_s == pytest.approx(3_000, abs=5)
    assert found.detect_s == pytest.approx(3_400, abs=5)
    assert (found.analysis_s, found.is_late) == (None, True)


@pytest.mark.parametrize("held", ["", "{", "[]", '{"watermarkUs": "x"}', "null"])
def test_a_damaged_file_is_as_none(settings: Settings, held: str) -> None:
    (settings.data_dir / "progress.json").write_text(held)
    settings.lander_status.write_text(held)
    assert lag.measure_lag(settings, None) == Lag(0.0, None)


def test_the_collector_needs_no_lander() -> None:
    assert compute_lag(Path("/nowhere"), None, None).longest_wait_seconds == 0.0


def test_landings_are_few_and_the_oldest_stays() -> None:
    known = Landings()
    first = 1_700_000_000_000_000
    for second in range(200_000):
        known.add_landing(first + second * 1_000_000)
    assert len(known.list_moments()) <= MOST
    assert known.oldest_landing_after(first - 1) == first
    assert known.oldest_landing_after(known.list_moments()[-1]) == 0
    assert known.list_moments()[-1] == first + 199_999 * 1_000_000
    near = first + 199_000 * 1_000_000
    assert 0 < known.oldest_landing_after(near) - near <= 2 * MINUTE_US


def test_landings_survive_a_file() -> None:
    known = Landings([5, 3])
    status: dict[str, Any] = json.loads(json.dumps({"landings": known.list_moments()}))
    assert lag.parse_landings(status).oldest_landing_after(3) == 5
    assert lag.parse_landings({"landings": ["x"]}).list_moments() == []
