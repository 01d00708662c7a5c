"""Removing people from the files of a spool."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from collector.senders.receipts import Receipt, encode_receipts
from collector.spool.dead_letters import DeadLetters
from collector.spool.erasure import (
    Person,
    erase_dead_letters,
    erase_quarantine,
    erase_segments,
    find_user_sessions,
    list_waiting_segments,
)
from collector.spool.segments import list_segments
from collector.spool.spool import Spool

HASH = "f" * 32
PERSON = Person("shop", frozenset({"hers", 'odd "id"'}), HASH)


def letter(session: Any, user: str = "", project: str = "shop") -> bytes:
    event = {"sessionId": session, "userId": f"uh:{user}" if user else None}
    return json.dumps({"project": project, "event": event}).encode() + b"\n"


def row(session: str, user: str = "", project: str = "shop") -> bytes:
    return json.dumps({"project": project, "session_id": session, "user_hash": user}).encode() + b"\n"


def test_dead_letters_are_blanked_in_place(tmp_path: Path) -> None:
    letters = DeadLetters(tmp_path)
    kept = [letter("his"), letter("hers", project="other"), letter(None), b'{"project": "shop", "event": 5}\n']
    letters.append(b"".join([letter("hers"), kept[0], letter("x", HASH), *kept[1:], letter('odd "id"')]))
    size = letters.count_lines()
    (path,) = letters.directory.iterdir()
    bytes_before = path.stat().st_size
    assert find_user_sessions(tmp_path, "shop", HASH) == {"x"}
    assert erase_dead_letters(tmp_path, PERSON) == 3
    assert path.stat().st_size == bytes_before
    assert [line + b"\n" for line in path.read_bytes().splitlines() if line.strip()] == kept
    # Collectors go on appending to the same file, and count on.
    letters.append(letter("later"))
    assert letters.count_lines() == size + 1
    assert erase_dead_letters(tmp_path, PERSON) == 0
    assert find_user_sessions(tmp_path, "shop", HASH) == set()


def test_a_torn_line_that_names_them_is_blanked_too(tmp_path: Path) -> None:
    folder = tmp_path / "dead-letters"
    folder.mkdir()
    (folder / "2026-01-01.jsonl").write_bytes(letter("his") + letter('odd "id"')[:-8])
    assert erase_dead_letters(tmp_path, PERSON) == 1
    assert (folder / "2026-01-01.jsonl").read_bytes().rstrip(b" ") == letter("his")


def quarantined(folder: Path, content: bytes) -> Path:
    folder.mkdir(exist_ok=True)
    name = f"{7:020d}-{content.count(10)}-{hashlib.sha256(content).hexdigest()[:32]}.jsonl"
    (folder / name).write_bytes(content)
    (folder / name).with_suffix(".reason").write_text("refused\n")
    return folder / name


def test_the_quarantine_is_rewritten_and_can_still_be_put_back(tmp_path: Path) -> None:
    path = quarantined(
        tmp_path / "quarantine", row("hers") + row("his") + row("x", HASH) + row("hers", project="other")
    )
    assert find_user_sessions(tmp_path, "shop", HASH) == {"x"}
    assert erase_quarantine(tmp_path, PERSON) == 2
    assert not path.exists()
    (left,) = (tmp_path / "quarantine").glob("*.jsonl")
    assert left.with_suffix(".reason").read_text() == "refused\n"
    left.rename(tmp_path / left.name)
    (segment,) = list_segments(tmp_path)
    assert segment.read() == row("his") + row("hers", project="other")


def test_a_file_of_nobody_else_goes_with_its_reason(tmp_path: Path) -> None:
    quarantined(tmp_path / "quarantine", row("hers"))
    (tmp_path / "quarantine" / "1-2.tail").write_bytes(row("hers")[:-6])
    assert erase_quarantine(tmp_path, PERSON) == 2
    assert list((tmp_path / "quarantine").iterdir()) == []


def test_segments_that_wait_for_no_lander_are_rewritten(tmp_path: Path) -> None:
    spool = Spool(tmp_path, seal_seconds=0.01)
    hers, his = (encode_receipts([Receipt(5, 4, "shop", name, 1)]) for name in ("hers", "his"))
    spool.append(row("hers") + row("his"), 2, receipts=hers + his).result(10)
    assert list_waiting_segments(tmp_path)
    spool.close()
    (before,) = list_segments(tmp_path)
    assert list_waiting_segments(tmp_path) == {before.path.name}
    assert erase_segments(tmp_path, PERSON) == 1
    (after,) = list_segments(tmp_path)
    assert (after.sealed_ns, after.events, after.parts()) == (before.sealed_ns, 1, (row("his"), his))
    assert erase_segments(tmp_path, PERSON) == 0


def test_an_open_segment_waits_too(tmp_path: Path) -> None:
    spool = Spool(tmp_path, seal_seconds=60)
    assert list_waiting_segments(tmp_path) == set()
    spool.append(row("hers"), 1).result(10)
    (name,) = list_waiting_segments(tmp_path)
    assert name.endswith(".open")
    spool.close()


@pytest.mark.parametrize("spool", ["nothing", "."])
def test_a_spool_that_is_not_there_holds_nobody(tmp_path: Path, spool: str) -> None:
    folder = tmp_path / spool
    assert find_user_sessions(folder, "shop", HASH) == set()
    assert list_waiting_segments(folder) == set()
    assert erase_dead_letters(folder, PERSON) == erase_quarantine(folder, PERSON) == erase_segments(folder, PERSON) == 0
