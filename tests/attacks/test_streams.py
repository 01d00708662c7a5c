"""The intake of other SDKs' streams on a real socket: what it accepts, keeps, refuses and shows, and attacks on it."""

import gzip
import json
import random
import re
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from collector.spool.segments import list_segments
from tests.attacks.collector import INGEST, OPERATOR, Answer, Collector, head, running, wait_until

NOW = time.time_ns() // 1_000_000


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    with running(
        tmp_path_factory.mktemp("toy"),
        module="tests.streams.toy",
        seal_seconds=0.05,
        body_seconds=3,
        guesses_per_second=3,
        source_bytes_per_second=1e9,
        requests_per_second=10_000,
        source_part=1,
    ) as made:
        yield made


def body_of(*ids: str, **more: Any) -> bytes:
    items = [{"at": NOW, "visit": "v-1", "id": name, "kind": "press"} for name in ids]
    return json.dumps({"items": items, **more}).encode()


def sent_to(path: str, body: bytes, **headers: object) -> bytes:
    return head(path, content_length=len(body), **headers) + body


def post(
    toy: Collector, body: bytes, path: str = f"/intake/toy/{INGEST}/v1", source: str = "127.0.0.1", **h: object
) -> Answer:
    return toy.ask(sent_to(path, body, **h), source)


def resident_bytes(pid: int) -> int:
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M)
    assert found is not None
    return int(found[1]) << 10


def rows(toy: Collector, name: str) -> list[dict[str, Any]]:
    """The stored rows whose control is ``name``; the answer came first, so that they are there."""
    while True:
        found = [json.loads(line) for s in list_segments(toy.spool) for line in s.read().splitlines()]
        try:
            for open_file in toy.spool.glob("*.open*"):
                found += [json.loads(line) for line in open_file.read_bytes().splitlines()]
        except FileNotFoundError:
            continue  # it was closed meanwhile, and is a segment now
        return [row for row in found if row.get("target_id") == name]


def letters(toy: Collector) -> list[dict[str, Any]]:
    return [json.loads(line) for f in (toy.spool / "dead-letters").iterdir() for line in f.read_bytes().splitlines()]


def test_events_are_stored_with_the_vendors_version_and_the_vendors_answer(toy: Collector) -> None:
    answer = post(
        toy,
        body_of("a", sdk="toy/1.2", sent=NOW),
        f"/intake/toy/{INGEST}/v1/x?control=plain",
        content_type="Text/Plain; a=b",
    )
    assert (answer.status, json.loads(answer.body)) == (200, {"rejected": 0, "path": "v1/x", "type": "text/plain"})
    wait_until(lambda: rows(toy, "plain"))
    (row,) = rows(toy, "plain")
    assert (row["session_id"], row["sdk_version"], row["event_type"]) == ("v-1", "toy/1.2", "click")
    bare = post(toy, body_of("a"), f"/intake/toy/{INGEST}?control=bare")
    assert (bare.status, json.loads(bare.body)["path"]) == (200, "")


@pytest.mark.parametrize(
    ("form", "pack", "headers"),
    [
        ("gz", gzip.compress, {}),
        ("gzh", gzip.compress, {"content_encoding": "gzip"}),
        ("z", zlib.compress, {"content_type": "text/plain"}),
        ("zh", zlib.compress, {"content_encoding": "deflate"}),
        ("raw", lambda b: zlib.compress(b, wbits=-15), {"content_encoding": "deflate"}),
        ("fast", lambda b: zlib.compress(b, 1), {"content_type": "application/x-www-form-urlencoded"}),
        ("odd", bytes, {"content_type": "application/x-sentry-envelope"}),
    ],
)
def test_bodies_are_inflated_by_what_they_are(toy: Collector, form: str, pack: Any, headers: dict[str, str]) -> None:
    path = f"/intake/toy/{INGEST}/?control={form}"
    assert post(toy, pack(body_of(form)), path, **headers).status == 200
    wait_until(lambda: rows(toy, form))


def test_a_request_that_is_sent_again_has_the_same_events(toy: Collector) -> None:
    path = f"/intake/toy/{INGEST}/?control=twice"
    assert [post(toy, body_of("t1", "t2"), path).status for _ in range(2)] == [200, 200]
    wait_until(lambda: len(rows(toy, "twice")) == 4)
    assert len({row["event_id"] for row in rows(toy, "twice")}) == 2


def test_one_bad_item_costs_neither_its_body_nor_its_reason(toy: Collector) -> None:
    body = json.loads(body_of("one", ""))
    body["items"] += [{"at": "no time", "visit": "v", "id": "x"}, {"kind": "noise"}]
    answer = post(toy, json.dumps(body).encode(), f"/intake/toy/{INGEST}/?control=onebad")
    assert (answer.status, json.loads(answer.body)["rejected"]) == (200, 2)
    wait_until(lambda: rows(toy, "onebad"))
    kept = {letter["field"]: letter for letter in letters(toy)}
    assert kept["toy.id"]["reason"] == "is missing"
    assert kept["toy.id"]["event"]["visit"] == "v-1"
    assert kept["timestamp"]["event"]["target"] == {"id": "onebad"}
    assert toy.metric("furrow_stream_rejects_total") >= 2
    assert toy.metric("furrow_stream_ignored_total") >= 1


def test_an_unreadable_body_is_counted_and_kept_without_its_content(toy: Collector) -> None:
    answer = post(toy, b"secret-of-a-person")
    assert (answer.status, answer.code) == (400, "unreadable_body")
    assert (post(toy, b"secret", f"/intake/meek/{INGEST}/").status) == 200
    kept = [letter for letter in letters(toy) if letter["field"].endswith(".body")]
    assert {(letter["field"], letter["reason"]) for letter in kept} >= {
        ("toy.body", "it is not JSON"),
        ("meek.body", "it is not JSON"),
    }
    assert b"secret" not in b"".join(file.read_bytes() for file in toy.spool.rglob("*") if file.is_file())


def test_an_adapter_that_fails_is_counted_and_does_not_answer_500(toy: Collector) -> None:
    assert post(toy, body_of("c", crash="secret-in-a-crash")).status == 400
    assert toy.metric("furrow_degraded_total") >= 1
    assert "KeyError" in toy.log()
    assert "secret-in-a-crash" not in toy.log()
    assert ("toy.body", "the adapter failed (KeyError)") in {(x["field"], x["reason"]) for x in letters(toy)}


def test_an_answer_that_fails_is_plain_success_and_its_events_are_kept_once(toy: Collector) -> None:
    """Events are durable by then: 500 would make the SDK send them again, for ever."""
    before = toy.metric("furrow_degraded_total")
    path = f"/intake/toy/{INGEST}/?control=dumb"
    answer = post(toy, body_of("d", answerCrash="secret-in-an-answer"), path)
    assert (answer.status, answer.body) == (200, b"{}")
    wait_until(lambda: len(rows(toy, "dumb")) == 1)
    unreadable = post(toy, b"answerCrash", f"/intake/meek/{INGEST}/")
    assert (unreadable.status, unreadable.body) == (200, b"{}")
    assert toy.metric("furrow_degraded_total") == before + 2
    assert "the answer of toy failed with KeyError" in toy.log()
    assert "secret-in-an-answer" not in toy.log()


def test_a_time_of_sending_that_cannot_be_costs_nothing(toy: Collector) -> None:
    for sent in (-1, "soon", 1e300, NOW + 10**12, True):
        assert post(toy, body_of("s", sent=sent)).status == 200


def test_what_is_refused_says_why(toy: Collector) -> None:
    cases = [
        (post(toy, b"{}", f"/intake/nothing/{INGEST}/"), 404, "not_found"),
        (toy.get("/intake/toy"), 404, "not_found"),
        (post(toy, b"{}", f"/intake/toy/{OPERATOR}/"), 403, "forbidden"),
        (post(toy, b"{}", origin="https://elsewhere.example"), 403, "origin_not_allowed"),
        (post(toy, body_of("x"), content_encoding="br"), 415, "unsupported_media_type"),
        (post(toy, gzip.compress(body_of("x"))[:-9]), 400, "invalid_gzip"),
        (post(toy, body_of("x"), content_encoding="gzip"), 400, "invalid_gzip"),
        (post(toy, zlib.compress(body_of("x")) + b"more"), 400, "invalid_gzip"),
        (post(toy, b" " * (1 << 20) + b" ", f"/intake/meek/{INGEST}/"), 413, "too_large"),
        (post(toy, gzip.compress(bytes(30 << 20))), 413, "too_large"),
        (toy.get(f"/intake/toy/{INGEST}/nothing"), 404, "not_found"),
        (toy.get(f"/intake/meek/{INGEST}/array/token/config"), 404, "not_found"),
    ]
    assert [(answer.status, answer.code) for answer, *_ in cases] == [tuple(expected) for _, *expected in cases]


def test_a_declared_size_is_refused_before_a_byte_is_read(toy: Collector) -> None:
    client = toy.client()
    client.send(head(f"/intake/toy/{INGEST}/", content_length=(10 << 20) + 1) + b"{")
    assert client.answer().status == 413


def test_configuration_and_preflights(toy: Collector) -> None:
    answer = toy.get(f"/intake/toy/{INGEST}/array/token/config")
    assert (answer.status, answer.body) == (200, b'{"on":true}')
    origin = "http://collector"
    flight = toy.ask(head(f"/intake/toy/{INGEST}/v1/traces", "OPTIONS", origin=origin))
    assert flight.status == 204
    assert flight.headers["access-control-allow-origin"] == origin
    assert flight.headers["access-control-allow-credentials"] == "true"
    assert "x-toy" in flight.headers["access-control-allow-headers"]
    assert flight.headers["access-control-allow-methods"] == "GET, POST"
    real = post(toy, body_of("o"), origin=origin)
    assert (real.headers["access-control-allow-origin"], real.headers["access-control-expose-headers"]) == (
        origin,
        "retry-after",
    )
    foreign = toy.ask(head(f"/intake/toy/{INGEST}/", "OPTIONS", origin="https://elsewhere.example"))
    assert (foreign.status, "access-control-allow-origin" in foreign.headers) == (403, False)


def test_guessing_keys_slows_down_and_nothing_names_a_key(toy: Collector) -> None:
    guesses = [post(toy, b"{}", f"/intake/toy/guess-{n}-of-a-key/", "127.0.0.9") for n in range(250)]
    assert {answer.status for answer in guesses} == {401, 429}
    assert all("retry-after" in answer.headers for answer in guesses if answer.status == 429)
    assert post(toy, body_of("k"), source="127.0.0.9").status == 200
    shown = b"".join(answer.body for answer in guesses) + toy.get("/metrics").body + toy.log().encode()
    assert b"of-a-key" not in shown
    assert INGEST.encode() not in shown


def test_a_slow_body_and_a_cut_body_end(toy: Collector) -> None:
    client = toy.client()
    client.send(head(f"/intake/toy/{INGEST}/", content_length=5_000) + b"{")
    answer = client.answer()
    assert (answer.status, answer.code, answer.headers["connection"]) == (408, "too_slow", "close")
    cut = toy.client()
    cut.send(head(f"/intake/toy/{INGEST}/", content_length=5_000) + b"{")
    cut.close()
    assert toy.is_healthy()


def test_a_huge_head_is_refused(toy: Collector) -> None:
    assert post(toy, b"{}", x_much="a" * (40 << 10)).status == 400
    assert post(toy, b"{}", f"/intake/toy/{'k' * (9 << 10)}/").status == 400


def test_many_large_bodies_leave_memory_flat_and_ordinary_intake_alone(toy: Collector) -> None:
    noise = random.Random(1).randbytes(4 << 20).hex()
    large = json.dumps({"items": [], "noise": noise}).encode()
    assert post(toy, large).status == 200
    before = resident_bytes(toy.process.pid)
    clients = [toy.client(f"127.0.1.{n + 1}") for n in range(24)]
    for client in clients:
        client.send(head(f"/intake/toy/{INGEST}/", content_length=10 << 20) + b" " * 8_000)
    # All places of large bodies are taken by bodies that do not come: small ones, and our own events, are not among them.
    assert post(toy, body_of("while")).status == 200
    assert toy.ask(head(content_length=2, x_api_key=INGEST) + b"{}").status == 400
    for client in clients:
        client.send(large)
    assert resident_bytes(toy.process.pid) - before < 160 << 20
    refused = [client.answer() for client in clients[:4]]
    assert {answer.status for answer in refused} <= {200, 408, 503}
    assert all("retry-after" in answer.headers for answer in refused if answer.status == 503)


def test_the_status_shows_each_stream(toy: Collector) -> None:
    def found() -> list[dict[str, Any]]:
        streams = json.loads(toy.get("/v1/status", OPERATOR).body)["streams"]
        assert isinstance(streams, list)
        return [stream for stream in streams if stream["name"] == "toy" and stream["rejectsToday"]]

    post(toy, body_of("st", ""))
    wait_until(found)
    (shown,) = found()
    assert shown["title"] == "the toy format"
    assert shown["lacks"] == ["form events", "`responded`"]
    assert shown["eventsToday"] >= 1
    assert shown["lastEventSecondsAgo"] >= 0
    assert re.fullmatch(r"[a-z. ]+", " ".join(shown["rejectsToday"]))
