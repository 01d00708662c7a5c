"""Requests that a proxy may read in another way than the collector, upgrades, and what of them is logged."""

from pathlib import Path

import pytest

from collector.transport.protocol import MAX_HEADER_FIELDS, MAX_TARGET_BYTES, find_ambiguity
from tests.attacks.collector import BATCH, EVENT, INGEST, Collector, head, request, running

SMUGGLED = b"GET /v1/health HTTP/1.1\r\nhost: x\r\n\r\n"
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BATCH), BATCH)
KEY = f"x-api-key: {INGEST}\r\n".encode()
POST = b"POST /v1/events HTTP/1.1\r\nhost: x\r\n" + KEY
SHAPES = {
    "length and chunks": POST + b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n" + CHUNKED,
    "chunks and length": POST + b"transfer-encoding: chunked\r\ncontent-length: 400\r\n\r\n" + CHUNKED,
    "two lengths": POST + b"content-length: 4\r\ncontent-length: 5\r\n\r\n" + BATCH,
    "one length twice": POST + b"content-length: 4\r\nContent-Length: 4\r\n\r\n" + BATCH,
    "a list of lengths": POST + b"content-length: 4, 4\r\n\r\n" + BATCH,
    "a signed length": POST + b"content-length: +4\r\n\r\n" + BATCH,
    "two encodings": POST + b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n" + CHUNKED,
    "an unknown encoding": POST + b"transfer-encoding: xchunked\r\n\r\n" + CHUNKED,
    "an encoding before a space": POST + b"transfer-encoding : chunked\r\n\r\n" + CHUNKED,
    "an encoding of HTTP/1.0": POST.replace(b"1.1", b"1.0", 1) + b"transfer-encoding: chunked\r\n\r\n" + CHUNKED,
    "bare line feeds": POST.replace(b"\r\n", b"\n") + b"content-length: 4\n\n" + BATCH,
    "one bare line feed": POST + b"x: a\ncontent-length: 4\r\n\r\n" + BATCH,
    "a bare carriage return": POST + b"x: a\rcontent-length: 4\r\n\r\n" + BATCH,
    "a folded header": POST + b"x: a\r\n content-length: 4\r\n\r\n" + BATCH,
    "a zero byte": POST + b"x: a\x00b\r\n\r\n",
    "no host": b"GET /v1/health HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /v1/health HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
    "a long head": b"GET /v1/health HTTP/1.1\r\nhost: x\r\nx: " + b"y" * 70_000,
    "many small fields": b"GET /v1/health HTTP/1.1\r\nhost: x\r\n" + b"x:\r\n" * MAX_HEADER_FIELDS + b"\r\n",
    "many small fields without an end": b"GET /v1/health HTTP/1.1\r\nhost: x\r\n" + b"x:\r\n" * 5_000,
    "a query of thousands": b"GET /v1/incidents?" + b"a=b&" * (MAX_TARGET_BYTES // 4) + b" HTTP/1.1\r\nhost: x\r\n\r\n",
    "a long chunk extension": POST + b"transfer-encoding: chunked\r\n\r\n1;" + b"y" * 70_000,
    "a chunk that is none": POST + b"transfer-encoding: chunked\r\n\r\n-1\r\n",
    "crumbs": POST + b"transfer-encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 10_000,
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 50 + b"\r\n\r\n",
}


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory) -> "Collector":  # type: ignore[misc]
    with running(tmp_path_factory.mktemp("framing")) as made:
        yield made


@pytest.mark.parametrize("shape", SHAPES)
def test_what_can_be_read_in_two_ways_is_refused(collector: Collector, shape: str) -> None:
    client = collector.client()
    client.send(SHAPES[shape])
    client.send(SMUGGLED)
    answer = client.answer()
    assert (answer.status, answer.code, answer.headers["connection"]) == (400, "bad_request", "close")
    assert client.is_ended(), "what follows is no request"
    assert not client.received


def test_a_pipelined_request_is_read_as_strictly(collector: Collector) -> None:
    client = collector.client()
    client.send(request() + SHAPES["length and chunks"])
    assert client.answer().status == 202
    assert client.answer().status == 400
    assert client.is_ended()


def test_honest_shapes_are_read(collector: Collector) -> None:
    client = collector.client()
    client.send(POST + b"transfer-encoding: chunked\r\n\r\n" + CHUNKED)
    assert client.answer().status == 202
    client.send(head("/v1/health?" + "a" * 8_000, "GET", **{f"x{n}": "" for n in range(MAX_HEADER_FIELDS - 1)}))
    assert client.answer().status == 200
    client.send(request() * 3)
    assert [client.answer().status for _ in range(3)] == [202] * 3
    for byte in request():
        client.send(bytes([byte]))
    assert client.answer().status == 202


def test_an_answered_request_with_bad_chunks_after_it_is_no_error_in_the_log(collector: Collector) -> None:
    client = collector.client()
    client.send(head("/v1/health", "GET", transfer_encoding="chunked"))
    assert client.answer().status == 200
    client.send(b"-1\r\n\r\n")
    assert client.is_ended()
    assert "Traceback" not in collector.log()
    assert "Fatal" not in collector.log()


@pytest.mark.parametrize("path", ["/v1/health", "/v1/events", "/"])
def test_there_are_no_web_sockets(collector: Collector, path: str) -> None:
    upgrade = {"upgrade": "websocket", "connection": "Upgrade", "sec_websocket_version": 13}
    answer = collector.ask(head(path, "GET", sec_websocket_key="dGhlIHNhbXBsZSBub25jZQ==", **upgrade))
    assert answer.status in (200, 303, 404, 405)
    assert collector.is_healthy()


def test_a_head_is_judged_when_it_is_whole() -> None:
    assert not find_ambiguity(b"")
    assert not find_ambiguity(b"GET / HTTP/1.1\r")
    assert not find_ambiguity(b"GET / HTTP/1.1\r\ncontent-length: 4\r\ncontent-le")
    assert not find_ambiguity(
        b"GET / HTTP/1.1\r\ncontent-length: 4\r\n\r\nbody\nof any\rkind\r\ncontent-length: 5\r\n\r\n"
    )
    assert find_ambiguity(b"GET / HTTP/1.1\n") == "bare line end"


def test_nothing_of_a_request_is_in_the_log(tmp_path: Path) -> None:
    secret = "s3cr3t-of-a-stranger"
    body = BATCH.replace(b"/checkout", secret.encode())
    with running(tmp_path) as collector:
        for data in (
            *SHAPES.values(),
            *(shape.replace(b"host: x", f"host: {secret}".encode()) for shape in SHAPES.values()),
            head(f"/v1/health?token={secret}", "GET", cookie=secret),
            head(f"/{secret}", "GET", user_agent=secret, x_forwarded_for=f"203.0.113.7, {secret}"),
            head(f"/v1/incidents?project={secret}&limit={secret}", "GET", x_api_key="operator-key-of-these-tests"),
            head(f"/v1/incidents/{secret}", "GET", x_api_key=secret, upgrade="websocket", connection="upgrade"),
            request(body, key=secret, origin=f"https://{secret}.example"),
            request(body[:-2]),
            request(b"[" * 100_000),
            request(secret.encode() * 100),
            request(b'{"events": [{"eventType": "%s"}, "%s"], "sentAt": "%s"}' % ((secret.encode(),) * 3)),
            request(secret.encode(), content_encoding="gzip"),
            request(secret.encode(), content_type=secret),
        ) * 3:
            client = collector.client("127.0.0.77")
            client.send(data)
            client.socket.shutdown(1)
            client.is_ended()
        log = collector.log()
    assert EVENT
    for unwanted in (secret, "127.0.0.77", "203.0.113.7", "token=", INGEST):
        assert unwanted not in log
    assert len(log) < 5_000, log
