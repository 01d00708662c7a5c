"""What the lander sets aside, and what it must keep in the spool however long it lasts."""

from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from collector.senders.receipts import SegmentLines
from collector.spool.segments import Segment, list_segments
from collector.spool.spool import Spool
from core.errors import PermanentError, TransientError
from lander.loop import Lander
from stores.events.event_store import EventStore
from tests.rows import lines, row

CHANGED_PASSWORD, UNKNOWN_TABLE, INCORRECT_DATA = 516, 60, 117


@pytest.fixture
def spool_dir(tmp_path: Path) -> Path:
    """Three sealed segments of one event each."""
    for session_id in ("a", "b", "c"):
        spool = Spool(tmp_path / "spool")
        spool.append(lines([row(session_id)]), 1).result(10)
        spool.close()
    return tmp_path / "spool"


def lander(spool_dir: Path, store: EventStore) -> Lander:
    return Lander(spool_dir, lambda: store, spool_dir.parent / "lander.json")


def refusing(code: int) -> Any:
    """An insert that the event store refuses for good, with this code of ClickHouse."""

    def land(*_: Any) -> None:
        cause = DatabaseError("refused")
        cause.code = code
        raise PermanentError(f"ClickHouse refused ({code})") from cause

    return land


@pytest.mark.parametrize("code", [CHANGED_PASSWORD, UNKNOWN_TABLE])
def test_a_store_that_refuses_everybody_moves_no_segment(
    spool_dir: Path, event_store: EventStore, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(event_store, "land_segment", refusing(code))
        with pytest.raises(PermanentError, match="refused"):
            lander(spool_dir, event_store).land_all_segments()
    assert len(list_segments(spool_dir)) == 3
    assert lander(spool_dir, event_store).land_all_segments() == 3
    assert event_store.count_events().rows == 3


def test_rows_that_are_refused_are_set_aside(
    spool_dir: Path, event_store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_store, "land_segment", refusing(INCORRECT_DATA))
    assert lander(spool_dir, event_store).land_all_segments() == 0
    assert len(list((spool_dir / "quarantine").glob("*.reason"))) == 3


@pytest.mark.parametrize("what", ["parts", "delete"])
def test_a_segment_that_the_disk_does_not_give_stops_no_other(
    spool_dir: Path, event_store: EventStore, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    first = list_segments(spool_dir)[0]
    original = getattr(Segment, what)

    def fail(self: Segment) -> Any:
        if self.path == first.path:
            raise OSError(5, "Input/output error")
        return original(self)

    with monkeypatch.context() as patch:
        patch.setattr(Segment, what, fail)
        with pytest.raises(TransientError, match="Input/output error"):
            lander(spool_dir, event_store).land_all_segments()
    assert [one.path for one in list_segments(spool_dir)] == [first.path]
    assert lander(spool_dir, event_store).land_all_segments() == 1
    assert event_store.count_events().rows == 3


def test_two_landers_at_once_land_everything_once(
    spool_dir: Path, event_store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Segment.parts

    def overtaken(self: Segment) -> SegmentLines:
        monkeypatch.setattr(Segment, "parts", original)
        assert lander(spool_dir, event_store).land_all_segments() == 3
        return original(self)

    monkeypatch.setattr(Segment, "parts", overtaken)
    assert lander(spool_dir, event_store).land_all_segments() == 0
    assert event_store.count_events().rows == 3
