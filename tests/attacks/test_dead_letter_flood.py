"""Strangers who fill the dead letters."""

import gzip
import json
import os
from pathlib import Path

import pytest

from collector.contract import normalise_batch
from collector.spool.dead_letters import KEPT_OF_REASON, LetterBudget, NotKeptCounts
from core.settings import Settings
from furrow.doctor.work import collect_work_figures
from tests.attacks.collector import EVENT, OPERATOR, Collector, request, running

LARGE = {**EVENT, "eventType": "tap"}


def kept_bytes(spool: Path) -> int:
    return sum(file.stat().st_size for file in (spool / "dead-letters").iterdir())


def status(collector: Collector) -> tuple[int, int]:
    told = json.loads(collector.get("/v1/status", OPERATOR).body)
    return told["deadLetters"], told["deadLettersNotKept"]


def test_a_stranger_cannot_fill_the_dead_letters(tmp_path: Path) -> None:
    body = gzip.compress(
        json.dumps({"events": [{**LARGE, "blob": os.urandom(400).hex()} for n in range(900)]}).encode()
    )
    attack = request(body, content_encoding="gzip")
    most = 16 << 20
    with running(tmp_path, dead_letter_max_bytes=most) as collector:
        client = collector.client("127.0.0.2")
        for _ in range(8):
            client.send(attack)
            assert client.answer().status in (202, 429)
        assert kept_bytes(collector.spool) <= most / 64, "half of what one key may fill on one day"
        kept, counted = status(collector)
        assert kept + counted >= 900 * 2
        assert counted > kept
        mended = json.dumps({"events": [EVENT, {**EVENT, "eventType": "touch"}]}).encode()
        assert collector.ask(request(mended), "127.0.0.3").status == 202
        assert status(collector)[0] == kept + 1, "an honest sender's mistake is still kept"
        assert collector.is_healthy()
        for row in NotKeptCounts(collector.spool).read_rows():
            assert (row.project, row.field) == ("default", "eventType")


def test_the_first_of_each_reason_are_kept(tmp_path: Path) -> None:
    events = [{**EVENT, "eventType": "tap"}] * 1_000
    with running(tmp_path) as collector:
        for _ in range(3):
            assert collector.ask(request(json.dumps({"events": events}).encode())).status == 202
        other = {**EVENT, "route": 5}
        assert collector.ask(request(json.dumps({"events": [other]}).encode())).status == 202
        assert status(collector) == (KEPT_OF_REASON + 1, 2_000)


def test_letters_are_bounded_by_the_bytes_sent(tmp_path: Path) -> None:
    budget = LetterBudget(tmp_path, 1 << 30)
    events = [{"eventType": "tap", "blob": "x" * 60_000} for _ in range(100)]
    batch = normalise_batch({"events": events}, project="shop", received_ms=0, salt=b"s")
    assert len(b"".join(batch.dead_letters)) > 5 << 20
    assert len(budget.select_kept_letters(batch, "shop", "key", "source", 1_000)) <= (64 << 10) + 8 * 1_000
    assert budget.count_not_kept() >= 98


def test_what_was_not_kept_is_told_by_doctor(tmp_path: Path) -> None:
    budget = LetterBudget(tmp_path / "spool", 32)
    batch = normalise_batch({"events": [{}] * 3}, project="shop", received_ms=0, salt=b"s")
    assert budget.select_kept_letters(batch, "shop", "key", "source", 10) == b""
    assert budget.count_not_kept() == 3
    again = LetterBudget(tmp_path / "spool", 32)
    again.select_kept_letters(batch, "shop", "key", "source", 10)
    assert again.count_not_kept() == 6, "several processes add up"
    work = collect_work_figures(Settings(data_dir=tmp_path, incident_store_url="log"))  # type: ignore[arg-type]
    assert "6 rejected events beyond the storage budget" in work.format_set_aside()
    assert work.to_json()["dead_letters_not_kept"] == 6


def test_counts_that_cannot_be_written_are_kept_for_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    budget = LetterBudget(tmp_path, 32)
    batch = normalise_batch({"events": [{}]}, project="shop", received_ms=0, salt=b"s")
    budget.select_kept_letters(batch, "shop", "key", "source", 10)

    def fail(*_: object) -> None:
        raise OSError("no space")

    with monkeypatch.context() as patch:
        patch.setattr(NotKeptCounts, "add", fail)
        assert budget.count_not_kept() == 0
    assert budget.count_not_kept() == 1
    (tmp_path / "dead-letters-counted.json").write_bytes(b"{")
    assert budget.count_not_kept() == 0, "a damaged file is counted as degraded and begun anew"
    budget.select_kept_letters(batch, "shop", "key", "source", 10)
    assert budget.count_not_kept() == 1
