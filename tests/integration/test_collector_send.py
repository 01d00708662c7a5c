"""`furrow send` against a real collector: everything arrives, twice is once, and what was rejected can be
mended and sent."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from pydantic import SecretStr

from collector.app import create_app
from collector.config import CollectorConfig
from collector.spool.segments import list_segments
from core.errors import PermanentError
from furrow.clients.send import send_file

REAL_LOG = Path(__file__).resolve().parents[1] / "data" / "elastic_apache_access.log.gz"
EVENT = {
    "eventType": "click",
    "timestamp": "2024-01-15T10:00:00Z",
    "sessionId": "s",
    "route": "/",
    "userId": "user-1",
}


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def address(spool: Path) -> Iterator[str]:
    config = CollectorConfig(
        spool_dir=spool, user_salt=SecretStr("salt"), embedded=True, seal_seconds=0.05, operator_key=SecretStr("op")
    )
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(config), log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = True
    thread.join()


def rows(spool: Path, count: int) -> list[dict[str, Any]]:
    """The rows once so many are sealed."""
    patience = threading.Event()
    for _ in range(1_200):
        found = [json.loads(line) for s in list_segments(spool) for line in s.read().splitlines()]
        if len(found) >= count:
            return found
        patience.wait(0.05)
    raise AssertionError(f"{len(found)} of {count} events were sealed")


def test_sending_twice_gives_the_same_events(tmp_path: Path, address: str, spool: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text("\n".join(json.dumps({**EVENT, "sessionId": f"s{n % 7}"}) for n in range(2_500)))
    for _ in range(2):
        summary = send_file(path, address, "test-key")
        assert (summary.accepted, summary.rejected, summary.failed) == (2_500, [], 0)
    stored = rows(spool, 5_000)
    assert len({row["event_id"] for row in stored}) == 2_500
    assert {row["user_agent"] for row in stored} == {""}


def test_dead_letters_do_not_move_into_another_project(tmp_path: Path, address: str, spool: Path) -> None:
    letter = {"project": "shop", "field": "route", "reason": "r", "event": {**EVENT, "idempotencyKey": "kept"}}
    path = tmp_path / "letters.jsonl"
    path.write_text(json.dumps(letter))
    with pytest.raises(PermanentError, match="another project"):
        send_file(path, address, "test-key", "dead-letters")


def test_dead_letters_can_be_sent_again_harmlessly(tmp_path: Path, address: str, spool: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(json.dumps({**EVENT, "eventType": "tap"}))
    assert [r.reason for r in send_file(path, address, "test-key").rejected] == ["unknown event type"]
    (letters,) = (spool / "dead-letters").iterdir()
    mended = tmp_path / "mended.jsonl"
    mended.write_text(letters.read_text().replace('"tap"', '"click"'))
    for _ in range(2):
        assert send_file(mended, address, "test-key", "dead-letters").accepted == 1
    path.write_text(json.dumps(EVENT))
    send_file(path, address, "test-key")
    replayed, again, original = rows(spool, 3)
    # What is still wrong is told again, but lies in the file once.
    assert len(send_file(letters, address, "test-key", "dead-letters").rejected) == 1
    assert len(letters.read_text().splitlines()) == 1
    assert replayed["event_id"] == again["event_id"]
    assert replayed["user_hash"] == original["user_hash"] != ""


def test_an_operators_key_may_not_send(tmp_path: Path, address: str) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(json.dumps(EVENT))
    with pytest.raises(PermanentError, match="403"):
        send_file(path, address, "op")


def test_a_real_access_log_is_accepted_whole(address: str, spool: Path) -> None:
    summary = send_file(REAL_LOG, address, "test-key", "combined")
    assert (summary.accepted, summary.rejected, summary.failed) == (10_000, [], 0)
    assert len({row["event_id"] for row in rows(spool, 10_000)}) == 10_000


def test_a_file_of_equal_lines_arrives_whole(tmp_path: Path, address: str) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text((json.dumps({**EVENT, "metadata": {"pad": "x" * 1_000}}) + "\n") * 2_000)
    summary = send_file(path, address, "test-key", "events")
    assert (summary.accepted, summary.failed) == (2_000, 0)
