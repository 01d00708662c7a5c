"""The intake of other SDKs' streams: durable before the answer, and what `furrow doctor` shows of it."""

import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import httpx
import pytest
import uvicorn
from pydantic import SecretStr

from collector.app import create_app
from collector.routes import registry
from collector.spool.segments import list_segments
from collector.streams.figures import FILE, StreamFigures, read_figures, read_status
from collector.transport.connections import Listener
from core.settings import Settings
from furrow.clients.send import send_file
from furrow.doctor.report import report_sdk_streams
from tests.integration.test_collector import config_for
from tests.streams.toy import GROUPS, TOY

BODY = json.dumps({"items": [{"at": "2024-01-15T10:00:00Z", "visit": "v", "id": "a"}]})
URL = "/intake/toy/test-key/"


class Served:
    groups: ClassVar = GROUPS

    def __init__(self, directory: Path, **changes: object) -> None:
        self.config = config_for(directory, **changes)
        self.listener = Listener()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen()
        app = create_app(self.config, groups=self.groups)
        self.server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listener]})

    def __enter__(self) -> httpx.Client:
        self.thread.start()
        base = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.client = httpx.Client(base_url=base, trust_env=False, timeout=30)
        return self.client

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.server.should_exit = True
        self.thread.join()


class ServedStreams(Served):
    """A collector with the formats of the vendors."""

    groups = registry.GROUPS


def test_the_answer_comes_after_the_event_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, reached, released = os.fdatasync, threading.Event(), threading.Event()

    def wait_and_sync(fd: int) -> None:
        reached.set()
        assert released.wait(30)
        real(fd)

    with Served(tmp_path) as client, ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(os, "fdatasync", wait_and_sync)
        answer = pool.submit(client.post, URL, content=BODY)
        assert reached.wait(30)
        assert not answer.done()
        released.set()
        assert answer.result(30).status_code == 200


def test_503_with_retry_after_when_nothing_can_be_made_durable(tmp_path: Path) -> None:
    served = Served(tmp_path, spool_max_bytes=800, seal_seconds=3_600.0)
    with served as client:
        answers = [client.post(URL, content=BODY.replace('"a"', f'"{n}"')) for n in range(5)]
        assert answers[0].status_code == 200
        assert (answers[-1].status_code, answers[-1].json()["error"]["code"]) == (503, "not_durable")
        assert int(answers[-1].headers["retry-after"]) >= 1
    stored = sum(len(segment.read().splitlines()) for segment in list_segments(served.config.spool_dir))
    assert stored == sum(answer.status_code == 200 for answer in answers)


def test_limits_hold_for_a_key_over_all_endpoints(tmp_path: Path) -> None:
    with Served(tmp_path, requests_per_second=0.01, ingest_key=SecretStr("other")) as client:
        assert client.post(URL, content=BODY).status_code == 200
        refused = client.post("/v1/events", json={"events": []}, headers={"x-api-key": "test-key"})
        assert (refused.status_code, "retry-after" in refused.headers) == (429, True)
        assert client.post(URL, content=BODY).status_code == 429


def test_a_rejected_event_can_be_replayed_and_an_item_is_rejected_again(tmp_path: Path) -> None:
    body = {"items": [{"at": "2024-01-15T10:00:00Z", "visit": "v", "id": ""}, {"at": "soon", "visit": "v", "id": "b"}]}
    served = Served(tmp_path)
    with served as client:
        assert client.post(URL, json=body).json()["rejected"] == 2
        (file,) = (served.config.spool_dir / "dead-letters").iterdir()
        corrected = tmp_path / "letters.jsonl"
        corrected.write_text(file.read_text().replace('"soon"', '"2024-01-15T10:00:01Z"'))
        kept = file.read_text()
        summary = send_file(corrected, str(client.base_url), "test-key", "dead-letters")
        assert (summary.accepted, [line.field for line in summary.rejected]) == (1, ["eventType"])
        assert file.read_text() == kept


def test_an_item_that_lacks_its_time_is_sent_again_when_a_person_has_added_it(tmp_path: Path) -> None:
    """Sentry's items are kept in the shape of events, masked; the vendor's id makes a replay harmless."""
    frame = {"filename": "https://shop.example/app.js?token=SECRET", "lineno": 3, "colno": 9}
    thrown = {"type": "TypeError", "value": "no order for ann@example.com", "mechanism": {"handled": False}}
    error = {"event_id": "e" * 32, "exception": {"values": [thrown | {"stacktrace": {"frames": [frame]}}]}}
    error |= {"request": {"url": "https://shop.example/checkout?card=SECRET"}, "user": {"id": "ann@example.com"}}
    error |= {"contexts": {"replay": {"replay_id": "f" * 32}}, "extra": {"typed": "SECRET"}}
    envelope = "\n".join(map(json.dumps, ({}, {"type": "event"}, error)))
    with ServedStreams(tmp_path) as client:
        assert client.post("/intake/sentry/test-key/", content=envelope).status_code == 200
        (file,) = (tmp_path / "spool/dead-letters").iterdir()
        letter = json.loads(file.read_text())
        assert (letter["field"], letter["event"]["route"], letter["event"]["sessionId"]) == (
            "sentry.timestamp",
            "/checkout",
            "f" * 32,
        )
        assert "SECRET" not in file.read_text()
        assert "ann@example.com" not in file.read_text()
        unchanged = send_file(file, str(client.base_url), "test-key", "dead-letters")
        assert [line.field for line in unchanged.rejected] == ["timestamp"]
        letter["event"]["timestamp"] = letter["at"]
        corrected = tmp_path / "letters.jsonl"
        corrected.write_text(json.dumps(letter))
        sent = [send_file(corrected, str(client.base_url), "test-key", "dead-letters") for _ in range(2)]
        assert [(summary.accepted, summary.rejected) for summary in sent] == [(1, []), (1, [])]
    lines = [line for segment in list_segments(tmp_path / "spool") for line in segment.read().splitlines()]
    rows = [json.loads(line) for line in lines]
    assert {(row["event_type"], row["route"], row["session_id"]) for row in rows} == {("error", "/checkout", "f" * 32)}
    assert len({row["event_id"] for row in rows}) == 1
    assert rows[0]["frame"].startswith("https://shop.example/app.js:3:9") or "app.js:3:9" in str(rows[0])


def test_figures_of_processes_add_up_and_days_begin_anew(tmp_path: Path) -> None:
    assert read_status(tmp_path, (TOY,)) == []
    (tmp_path / FILE).write_text("{damaged")
    assert read_figures(tmp_path) == {}
    old = StreamFigures("2024-01-01", 5, 2, 3, {"id": 1})
    old.add_figures(StreamFigures("2024-01-01", 4, 1, 1, {"id": 1, "at": 1}))
    assert (old.last_ms, old.requests, old.events, old.rejects) == (5, 3, 4, {"id": 2, "at": 1})
    old.add_figures(StreamFigures("2024-01-01", 4, 1, 1, {f"field{n}": 1 for n in range(100)}))
    assert len(old.rejects) <= 41
    old.add_figures(StreamFigures("2024-01-02", 0, 1, 1))
    assert (old.last_ms, old.events, old.rejects) == (5, 1, {})


def test_the_doctor_shows_each_stream(tmp_path: Path) -> None:
    served = Served(tmp_path)
    with served as client:
        client.post(URL, content=BODY)
        client.post(URL, content="nothing")
    settings = Settings(data_dir=tmp_path, spool_dir=served.config.spool_dir)
    (finding,) = report_sdk_streams(settings, (TOY,))
    assert (finding.part, finding.mode, finding.reachable) == ("stream", "toy", None)
    assert "today (UTC) 1 event in 2 requests" in finding.detail
    assert "rejected: body 1" in finding.detail
    assert "does not report: form events, `responded`" in finding.detail
    assert finding.advice
