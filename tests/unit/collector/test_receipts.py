"""Receipts in a segment, and the salts of the day."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collector.senders.receipts import (
    DailySalts,
    Receipt,
    encode_receipts,
    hash_source,
    renew_daily_salts,
    split_segment,
)
from collector.spool.open_segment import recover_open_files
from collector.spool.segments import list_segments
from collector.spool.spool import Spool
from tests.rows import lines, row

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
RECEIPT = encode_receipts([Receipt(5, 4, "shop", "s", 1_000)])
EVENT = lines([row("s")])


@pytest.mark.parametrize(
    "content",
    [b"", EVENT, RECEIPT, RECEIPT + EVENT, EVENT + RECEIPT, EVENT + RECEIPT + RECEIPT + EVENT + EVENT + RECEIPT],
)
def test_a_segment_is_parted_into_events_and_receipts(content: bytes) -> None:
    parts = split_segment(content)
    assert parts.rows == EVENT * content.count(EVENT)
    assert parts.receipts == RECEIPT * content.count(RECEIPT)


def test_text_of_an_event_is_no_receipt() -> None:
    event = lines([row("s", message='\n{"source_today":1,"x":2}\n')])
    assert split_segment(event) == (event, b"")


def test_receipts_are_sealed_and_recovered_with_their_events_and_not_counted(tmp_path: Path) -> None:
    spool = Spool(tmp_path, seal_seconds=0.01)
    spool.append(EVENT, 1, receipts=RECEIPT).result(10)
    spool.append(b"", 0, receipts=RECEIPT).result(10)  # of no event: not kept
    spool.close()
    (segment,) = list_segments(tmp_path)
    assert (segment.events, segment.parts()) == (1, (EVENT, RECEIPT))
    segment.delete()
    (tmp_path / "1-dead.open").write_bytes(RECEIPT + EVENT + RECEIPT[:20])
    assert recover_open_files(tmp_path) == 1
    (segment,) = list_segments(tmp_path)
    assert segment.parts() == (EVENT, RECEIPT)


def test_a_source_keeps_its_name_over_one_midnight_and_no_more(tmp_path: Path) -> None:
    salts = DailySalts(tmp_path / "salts")
    other = DailySalts(tmp_path / "salts")  # another collector on the same directory
    names = []
    for days in range(3):
        today, before = salts.read_salt_pair(NOON + days * DAY)
        assert other.read_salt_pair(NOON + days * DAY) == (today, before)
        names.append((hash_source(today, ("address", "1.2.3.4")), hash_source(before, ("address", "1.2.3.4"))))
    assert names[1][1] == names[0][0]
    assert names[2][1] == names[1][0]
    assert not set(names[2]) & set(names[0])
    assert all(2**62 <= name < 2**63 for pair in names for name in pair)


def test_the_salt_of_the_day_before_yesterday_is_destroyed(tmp_path: Path) -> None:
    path = tmp_path / "salts"
    first = renew_daily_salts(path, NOON)
    assert set(first) == {"2026-03-01", "2026-02-28"}
    assert path.stat().st_mode & 0o777 == 0o600
    second = renew_daily_salts(path, NOON + DAY)
    assert second["2026-03-01"] == first["2026-03-01"]
    renew_daily_salts(path, NOON + 30 * DAY)
    assert not any(salt in path.read_text() for salt in (*first.values(), *second.values()))
    assert set(json.loads(path.read_text())) == {"2026-03-31", "2026-03-30"}


def test_salts_that_cannot_be_kept_stop_no_intake(tmp_path: Path) -> None:
    (tmp_path / "salts").mkdir()
    salts = DailySalts(tmp_path / "salts")
    today, _ = salts.read_salt_pair(NOON)
    assert salts.read_salt_pair(NOON)[0] == today
    assert salts.read_salt_pair(NOON + DAY)[1] == today
