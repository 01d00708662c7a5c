"""Connections that are held and not used: idle ones, slow heads, slow bodies, more than there are descriptors."""

import json
from pathlib import Path

import pytest

from tests.attacks.collector import BATCH, INGEST, OPERATOR, head, request, running, wait_until

FAST = {"request": 0.5, "idle": 0.5, "rest": 0.5, "take": 0.5}


def test_an_unknown_key_is_answered_before_its_body(tmp_path: Path) -> None:
    with running(tmp_path, waits=FAST) as collector:
        for key, status in (("wrong", 401), (OPERATOR, 403)):
            client = collector.client()
            client.send(head(x_api_key=key, content_length=1_000_000))
            assert client.answer().status == status
            assert client.is_ended(), "and the body is not waited for"
        origin = collector.client()
        origin.send(head(x_api_key=INGEST, content_length=1_000_000, origin="https://evil.example"))
        assert origin.answer().code == "origin_not_allowed"
        assert origin.is_ended()


def test_a_rate_limit_is_answered_before_the_body(tmp_path: Path) -> None:
    with running(tmp_path, requests_per_second=0.01, waits=FAST) as collector:
        assert collector.ask(request()).status == 202
        client = collector.client()
        client.send(head(x_api_key=INGEST, content_length=1_000_000))
        assert client.answer().status == 429
        assert client.is_ended()


def test_who_expects_to_be_asked_for_the_body_is_not(tmp_path: Path) -> None:
    with running(tmp_path) as collector:
        client = collector.client()
        client.send(head(x_api_key="wrong", content_length=10, expect="100-continue"))
        answer = client.answer()
        assert (answer.status, answer.headers["connection"]) == (401, "close")
        assert client.is_ended()


def test_a_small_body_that_was_refused_does_not_cost_the_connection(tmp_path: Path) -> None:
    with running(tmp_path) as collector:
        client = collector.client()
        client.send(request(key="wrong"))
        assert client.answer().status == 401
        client.send(request())
        assert client.answer().status == 202


def test_an_answered_body_is_not_read_for_ever(tmp_path: Path) -> None:
    with running(tmp_path, waits=FAST) as collector:
        client = collector.client()
        client.send(head("/v1/health", "GET", content_length=1_000_000))
        assert client.answer().status == 200
        client.send(b"x")
        assert client.is_ended()


def test_slow_keyless_bodies_shut_the_door_for_nobody(tmp_path: Path) -> None:
    beacon = json.dumps({**json.loads(BATCH), "apiKey": INGEST}).encode()
    with running(tmp_path) as collector:
        slow = [collector.client("127.0.0.2") for _ in range(250)] + [collector.client("127.0.0.3") for _ in range(50)]
        for client in slow:
            client.send(head(content_length=1_000) + b'{"events"')
        assert collector.ask(request(), "127.0.0.2").status == 202, "not for their own source, with a key"
        for number in range(20):
            assert collector.ask(request(), f"127.0.1.{number}").status == 202
            assert collector.ask(request(beacon, None), f"127.0.1.{number}").status == 202, "nor for another beacon"
        assert collector.is_healthy()
        assert slow[-1].answer().status in (408, 503)


def test_a_keyless_body_is_small(tmp_path: Path) -> None:
    with running(tmp_path) as collector:
        client = collector.client()
        client.send(head(content_length=(64 << 10) + 1))
        assert client.answer().status == 413


def test_slow_bodies_with_the_public_key_make_room(tmp_path: Path) -> None:
    with running(tmp_path, max_in_flight=16) as collector:
        for source in ("127.0.0.2", "127.0.0.3"):
            for _ in range(30):
                collector.client(source).send(head(x_api_key=INGEST, content_length=1_000) + b"{")
        for number in range(20):
            assert collector.ask(request(), f"127.0.1.{number}").status == 202
        assert collector.is_healthy()


def test_a_body_that_comes_drop_by_drop_is_given_up(tmp_path: Path) -> None:
    with running(tmp_path) as collector:
        client = collector.client()
        client.send(head(x_api_key=INGEST, content_length=100_000) + b"{")
        answer = client.answer()
        assert (answer.status, answer.code) == (408, "too_slow")
        assert client.is_ended()


@pytest.mark.parametrize("sent", [b"", b"GET /v1/hea", head("/v1/health", "GET")])
def test_a_connection_that_waits_for_nothing_ends(tmp_path: Path, sent: bytes) -> None:
    with running(tmp_path, waits=FAST) as collector:
        client = collector.client()
        client.send(sent)
        assert client.is_ended()


def test_a_head_that_comes_drop_by_drop_ends(tmp_path: Path) -> None:
    with running(tmp_path, waits={**FAST, "request": 1.0}) as collector:
        client = collector.client()
        client.socket.settimeout(0.05)
        client.send(b"GET /v1/health HTTP/1.1\r\n")
        for _ in range(200):
            client.send(b"x-a: b\r\n")
            if client.is_ended():
                break
        else:
            pytest.fail("a slow head holds its connection for ever")


def test_a_client_that_takes_no_answer_ends(tmp_path: Path) -> None:
    with running(tmp_path, waits=FAST) as collector:
        client = collector.client()
        client.send(head("/openapi.json", "GET") * 2_000)
        wait_until(lambda: collector.metric("furrow_connections_closed_total") >= 1)
        assert collector.is_healthy()


def test_a_thousand_idle_connections_leave_room(tmp_path: Path) -> None:
    with running(tmp_path, max_connections=400) as collector:
        for number in range(1_000):
            collector.client(f"127.0.0.{2 + number % 5}")
        for number in range(20):
            assert collector.ask(request(), f"127.0.1.{number}").status == 202
        assert collector.is_healthy()
        assert collector.metric("furrow_connections_closed_total") > 500


def test_one_peer_has_so_many_connections_and_closes_its_own(tmp_path: Path) -> None:
    with running(tmp_path, connections_per_peer=10) as collector:
        other = collector.client("127.0.0.3")
        first = collector.client("127.0.0.2")
        later = [collector.client("127.0.0.2") for _ in range(10)]
        assert first.is_ended(), "the one that has waited longest"
        for client in (*later, other):
            client.send(request())
            assert client.answer().status == 202


def test_a_trusted_proxy_is_no_peer_of_that_kind(tmp_path: Path) -> None:
    with running(tmp_path, connections_per_peer=10, trusted_proxies="127.0.0.2") as collector:
        clients = [collector.client("127.0.0.2") for _ in range(30)]
        for client in clients:
            client.send(request())
            assert client.answer().status == 202


def test_descriptors_do_not_run_out(tmp_path: Path) -> None:
    with running(tmp_path, files=128) as collector:
        for number in range(1_000):
            collector.client(f"127.0.0.{2 + number % 100}")
        for number in range(20):
            assert collector.ask(request(), f"127.0.1.{number}").status == 202
        assert collector.is_healthy()
        assert collector.metric("furrow_degraded_total") == 0, "EMFILE was never met"
        assert "up to 64 connections" in collector.log()
        assert len(collector.log()) < 5_000


def test_descriptors_that_ran_out_elsewhere_do_not_fill_the_log(tmp_path: Path) -> None:
    # More connections than the reserve allows, as if something else had taken the descriptors.
    with running(tmp_path, files=40) as collector:
        for number in range(300):
            collector.client(f"127.0.0.{2 + number % 100}")
        wait_until(collector.is_healthy)
        assert len(collector.log()) < 5_000
