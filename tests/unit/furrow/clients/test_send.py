"""Sending a file: whole, once, in batches that fit, however often the other side stumbles."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from core.errors import PermanentError
from furrow.clients.send import SendSummary, send_file
from tests.ports import free_port

EVENT = {"eventType": "click", "timestamp": "2024-01-15T10:00:00Z", "sessionId": "s", "route": "/"}


def no_wait(_seconds: float) -> None:
    """Stands for sleeping."""


def file_of(directory: Path, events: list[Any], name: str = "events.jsonl") -> Path:
    content = "\n".join(event if isinstance(event, str) else json.dumps(event) for event in events).encode()
    path = directory / name
    path.write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    return path


def batch_of(request: Request) -> list[dict[str, Any]]:
    packed = request.headers["Content-Encoding"] == "gzip"  # what looks like a bomb is sent plain
    body = gzip.decompress(request.data) if packed else request.data
    assert packed or len(body) > 10 * len(gzip.compress(body))
    assert len(body) <= 1 << 20
    return list(json.loads(body)["events"])


def accepting(seen: list[list[dict[str, Any]]]) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        assert request.headers["X-API-Key"] == "key"
        events = batch_of(request)
        seen.append(events)
        return Response(json.dumps({"accepted": len(events), "rejected": []}), 202)

    return answer


def send(server: HTTPServer, path: Path, fmt: Any = "events", **options: Any) -> SendSummary:
    return send_file(path, server.url_for("/"), "key", fmt, sleep=no_wait, **options)


@pytest.mark.parametrize("name", ["events.jsonl", "events.jsonl.gz"])
def test_a_file_is_sent_in_batches_with_a_key_for_each_line(tmp_path: Path, httpserver: HTTPServer, name: str) -> None:
    seen: list[list[dict[str, Any]]] = []
    httpserver.expect_request("/v1/events", method="POST").respond_with_handler(accepting(seen))
    told: list[int] = []
    path = file_of(tmp_path, [{**EVENT, "seq": n} for n in range(25)], name)
    summary = send(httpserver, path, batch=10, progress=lambda s: told.append(s.sent))
    assert (summary.sent, summary.accepted, summary.rejected, summary.failed) == (25, 25, [], 0)
    assert ([len(batch) for batch in seen], told) == ([10, 10, 5], [10, 20, 25])
    keys = [event["idempotencyKey"] for batch in seen for event in batch]
    assert len({key.rpartition(":")[0] for key in keys}) == 1
    assert [key.rpartition(":")[2] for key in keys] == [str(n) for n in range(1, 26)]
    again: list[list[dict[str, Any]]] = []
    httpserver.clear()
    httpserver.expect_request("/v1/events").respond_with_handler(accepting(again))
    send(httpserver, path, batch=7)
    assert [e for batch in again for e in batch] == [e for batch in seen for e in batch]


def test_a_key_of_the_event_is_kept(tmp_path: Path, httpserver: HTTPServer) -> None:
    seen: list[list[dict[str, Any]]] = []
    httpserver.expect_request("/v1/events").respond_with_handler(accepting(seen))
    send(httpserver, file_of(tmp_path, [{**EVENT, "idempotencyKey": "mine"}]))
    assert seen[0][0]["idempotencyKey"] == "mine"


def test_batches_stay_below_a_mebibyte(tmp_path: Path, httpserver: HTTPServer) -> None:
    seen: list[list[dict[str, Any]]] = []
    httpserver.expect_request("/v1/events").respond_with_handler(accepting(seen))
    big = {**EVENT, "metadata": {"text": "x" * 8_000}}
    too_big = {**EVENT, "blob": "x" * (1 << 20)}
    summary = send(httpserver, file_of(tmp_path, [big] * 300 + [too_big]))
    assert (sum(map(len, seen)), len(seen)) == (300, 3)
    assert [(r.line, "larger than" in r.reason) for r in summary.rejected] == [(301, True)]


def test_rejects_and_bad_lines_are_reported_by_line(tmp_path: Path, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/events").respond_with_json(
        {"accepted": 1, "rejected": [{"index": 1, "field": "route", "reason": "is required"}]}, 202
    )
    summary = send(httpserver, file_of(tmp_path, ["", EVENT, "{", "7", EVENT]))
    assert [(r.line, r.field) for r in summary.rejected] == [(3, ""), (4, ""), (5, "route")]
    assert (summary.sent, summary.accepted) == (2, 1)


def test_429_and_503_are_tried_again_as_late_as_they_say(tmp_path: Path, httpserver: HTTPServer) -> None:
    seen: list[list[dict[str, Any]]] = []
    waited: list[float] = []
    for status in (429, 503):
        httpserver.expect_ordered_request("/v1/events").respond_with_data("", status, {"Retry-After": "7"})
    httpserver.expect_ordered_request("/v1/events").respond_with_handler(accepting(seen))
    summary = send_file(file_of(tmp_path, [EVENT]), httpserver.url_for("/v1/events"), "key", sleep=waited.append)
    assert (summary.accepted, summary.retried, len(waited)) == (1, 2, 2)
    assert all(seconds >= 7 for seconds in waited)


def test_when_it_never_gets_better_the_rest_is_failed_and_named(tmp_path: Path, httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/events").respond_with_data("", 503)
    summary = send(httpserver, file_of(tmp_path, [EVENT] * 30), batch=10, attempts=3)
    assert (summary.sent, summary.failed, summary.retried) == (0, 30, 2)
    assert "503" in summary.problem
    assert len(httpserver.log) == 3, "the batches behind it are not tried in vain"


def test_a_collector_that_does_not_run_is_waited_for_and_named(tmp_path: Path) -> None:
    port = free_port()
    waited: list[float] = []
    summary = send_file(file_of(tmp_path, [EVENT]), f"http://127.0.0.1:{port}", "key", attempts=4, sleep=waited.append)
    assert (summary.failed, len(waited)) == (1, 3)
    assert "does not answer" in summary.problem


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_told_at_once(tmp_path: Path, httpserver: HTTPServer, status: int) -> None:
    httpserver.expect_request("/v1/events").respond_with_json(
        {"error": {"code": "c", "message": "unknown key"}}, status
    )
    with pytest.raises(PermanentError, match="unknown key"):
        send(httpserver, file_of(tmp_path, [EVENT]))
    assert len(httpserver.log) == 1


@pytest.mark.parametrize("answer", ["", "{}", "[]", '{"accepted": "x", "rejected": []}'])
def test_an_answer_that_is_not_a_collectors_is_no_success(tmp_path: Path, httpserver: HTTPServer, answer: str) -> None:
    httpserver.expect_request("/v1/events").respond_with_data(answer, 202)
    assert send(httpserver, file_of(tmp_path, [EVENT])).failed == 1


def test_an_access_log_is_sent_as_events(tmp_path: Path, httpserver: HTTPServer) -> None:
    seen: list[list[dict[str, Any]]] = []
    httpserver.expect_request("/v1/events").respond_with_handler(accepting(seen))
    good = '1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 500 1 "-" "Mozilla/5.0"'
    summary = send(httpserver, file_of(tmp_path, [good, "bad", good], "access.log.gz"), "combined")
    assert (summary.accepted, [r.line for r in summary.rejected]) == (2, [2])
    first, second = seen[0]
    assert (first["eventType"], first["metadata"]["status"]) == ("network", 500)
    assert first["sessionId"] == second["sessionId"]
    assert first["idempotencyKey"] != second["idempotencyKey"]


def test_dead_letters_are_sent_again_with_the_key_they_were_kept_with(tmp_path: Path, httpserver: HTTPServer) -> None:
    seen: list[list[dict[str, Any]]] = []
    httpserver.expect_request("/v1/events").respond_with_handler(accepting(seen))
    letter = {
        "at": "t",
        "project": "p",
        "field": "route",
        "reason": "r",
        "event": {**EVENT, "idempotencyKey": "kept"},
    }
    letters = [letter, {**letter, "event": 5}, {**letter, "event": {"truncated": True}}]
    summary = send(httpserver, file_of(tmp_path, letters), "dead-letters")
    assert [e["idempotencyKey"] for e in seen[0]] == ["kept"]
    assert [r.line for r in summary.rejected] == [2, 3]
