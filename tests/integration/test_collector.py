"""The collector on real sockets: every answer of the contract, durable when it says so, calm under hostile
input."""

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from collector.app import create_app
from collector.config import CollectorConfig
from collector.spool.open_segment import recover_open_files
from collector.spool.segments import list_segments

ROOT = Path(__file__).parents[2]
KEY = {"X-API-Key": "test-key"}
OPERATOR = {"X-API-Key": "dev-operator"}
EVENT = {
    "eventType": "click",
    "timestamp": "2024-01-15T10:00:00Z",
    "sessionId": "test-1",
    "route": "/checkout",
    "target": {"type": "button"},
    "metadata": {},
}
BATCH = {"events": [EVENT]}


def config_for(directory: Path, **changes: Any) -> CollectorConfig:
    values = {
        "spool_dir": directory / "spool",
        "user_salt": SecretStr("salt"),
        "embedded": True,
        "development_operator_key": SecretStr("dev-operator"),
        "port": 0,
        **changes,
    }
    return CollectorConfig(**values)


@contextmanager
def serving(config: CollectorConfig) -> Iterator[httpx.Client]:
    """A collector on a port of its own, in a thread, and a client for it."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(config), log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with httpx.Client(base_url=base, trust_env=False, timeout=30) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with serving(config_for(tmp_path_factory.mktemp("collector"), guesses_per_second=10_000.0)) as made:
        yield made


def lines(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for s in list_segments(directory) for line in s.read().splitlines()]


def code(response: httpx.Response) -> str:
    """The error's code; asserts that the answer has the one shape of errors."""
    error = response.json()
    assert set(error) == {"error"}
    assert set(error["error"]) == {"code", "message"}
    return str(error["error"]["code"])


# ---------------------------------------------------------------------------------------------------- answers


def test_the_seeds_curl_is_accepted(tmp_path: Path) -> None:
    config = config_for(tmp_path)
    with serving(config) as client:
        command = f"""
            curl -s -X POST {client.base_url}/v1/events \\
              -H "Content-Type: application/json" -H "X-API-Key: test-key" -w '%{{http_code}}' \\
              -d '{{"events": [{{"eventType": "click", "timestamp": "2024-01-15T10:00:00Z",
                   "sessionId": "test-1", "route": "/checkout",
                   "target": {{"type": "button"}}, "metadata": {{}}}}]}}'"""
        answer = subprocess.run(command, shell=True, capture_output=True, text=True, check=True).stdout
    assert answer == '{"accepted":1,"rejected":[]}202'
    (stored,) = lines(config.spool_dir)
    assert (stored["session_id"], stored["route"], stored["user_agent"]) == ("test-1", "/checkout", "")


def test_rejected_events_are_named_and_kept(tmp_path: Path) -> None:
    config = config_for(tmp_path)
    with serving(config) as client:
        answer = client.post("/v1/events", json={"events": [EVENT, {**EVENT, "eventType": "tap"}, 5]}, headers=KEY)
        assert answer.status_code == 202
        assert answer.json() == {
            "accepted": 1,
            "rejected": [
                {"index": 1, "field": "eventType", "reason": "unknown event type"},
                {"index": 2, "field": "", "reason": "an event must be an object"},
            ],
        }
        assert client.get("/v1/status", headers=OPERATOR).json()["deadLetters"] == 2
    (file,) = (config.spool_dir / "dead-letters").iterdir()
    assert [json.loads(line)["reason"] for line in file.read_text().splitlines()] == [
        "unknown event type",
        "an event must be an object",
    ]


@pytest.mark.parametrize("headers", [KEY, {"Authorization": "Bearer test-key"}, {"authorization": "bearer test-key"}])
def test_the_key_comes_in_either_header(client: httpx.Client, headers: dict[str, str]) -> None:
    assert client.post("/v1/events", json=BATCH, headers=headers).status_code == 202


def test_a_beacon_brings_its_key_in_the_body(client: httpx.Client) -> None:
    beacon = json.dumps({**BATCH, "apiKey": "test-key"})
    plain = {"content-type": "text/plain;charset=UTF-8"}
    assert client.post("/v1/events", content=beacon, headers=plain).json() == {"accepted": 1, "rejected": []}
    for body in (
        json.dumps({**BATCH, "apiKey": "wrong"}),
        json.dumps({**BATCH, "apiKey": 5}),
        json.dumps(BATCH),
    ):
        assert client.post("/v1/events", content=body, headers=plain).status_code == 401


def test_gzip_is_accepted_also_in_several_members(client: httpx.Client) -> None:
    body = json.dumps(BATCH).encode()
    headers = {**KEY, "content-encoding": "gzip", "content-type": "application/json"}
    for packed in (gzip.compress(body), gzip.compress(body[:20]) + gzip.compress(body[20:])):
        assert client.post("/v1/events", content=packed, headers=headers).json()["accepted"] == 1
    for broken in (gzip.compress(body)[:-4], body, gzip.compress(body) + b"rest", b"\x1f\x8b", b""):
        answer = client.post("/v1/events", content=broken, headers=headers)
        assert answer.status_code == 400


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b'{"events": []}', b'{"events": [{}], "sentAt": "x"}', b"\xff"]
)
def test_400_for_what_is_not_the_json(client: httpx.Client, body: bytes) -> None:
    answer = client.post("/v1/events", content=body, headers={**KEY, "content-type": "application/json"})
    assert answer.status_code == 400
    assert code(answer) in ("invalid_json", "invalid_batch")


@pytest.mark.parametrize(
    "headers", [{}, {"X-API-Key": "wrong"}, {"X-API-Key": ""}, {"Authorization": "Basic test-key"}]
)
def test_401_for_an_unknown_key(client: httpx.Client, headers: dict[str, str]) -> None:
    answer = client.post("/v1/events", json=BATCH, headers=headers)
    assert (answer.status_code, code(answer)) == (401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"


def test_403_when_the_key_may_not_do_this(client: httpx.Client) -> None:
    for answer in (
        client.post("/v1/events", json=BATCH, headers=OPERATOR),
        client.get("/v1/status", headers=KEY),
        client.get("/v1/incidents", headers=KEY),
        client.get("/v1/incidents/inc_1", headers=KEY),
    ):
        assert (answer.status_code, code(answer)) == (403, "forbidden")


def test_413_for_more_than_a_mebibyte_or_a_thousand_events(client: httpx.Client) -> None:
    padding = (1 << 20) - len(json.dumps({**BATCH, "pad": ""}))
    exact = json.dumps({**BATCH, "pad": "x" * padding})
    headers = {**KEY, "content-type": "application/json"}
    assert len(exact) == 1 << 20
    assert client.post("/v1/events", content=exact, headers=headers).status_code == 202
    for body in (exact + " ", "x" * (6 << 20)):
        answer = client.post("/v1/events", content=body, headers=headers)
        assert (answer.status_code, code(answer)) == (413, "too_large")
    chunked = client.post("/v1/events", content=iter([b" " * (1 << 20), exact.encode()]), headers=headers)
    assert chunked.status_code == 413
    assert client.post("/v1/events", json={"events": [EVENT] * 1_000}, headers=KEY).json()["accepted"] == 1_000
    answer = client.post("/v1/events", json={"events": [EVENT] * 1_001}, headers=KEY)
    assert (answer.status_code, code(answer)) == (413, "too_many_events")


def test_a_gzip_bomb_is_refused_at_the_limit_and_not_inflated(client: httpx.Client) -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join(packer.compress(b" " * (1 << 20)) for _ in range(700)) + packer.flush()
    assert len(bomb) < 1 << 20
    process_before = resident_bytes()
    answer = client.post("/v1/events", content=bomb, headers={**KEY, "content-encoding": "gzip"})
    assert answer.status_code == 413
    assert resident_bytes() - process_before < 100 << 20


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "text/html"},
        {"content-type": "application/json; charset=utf-16"},
        {"content-type": "application/json", "content-encoding": "br"},
    ],
)
def test_415_for_other_media(client: httpx.Client, headers: dict[str, str]) -> None:
    answer = client.post("/v1/events", content=json.dumps(BATCH), headers={**KEY, **headers})
    assert (answer.status_code, code(answer)) == (415, "unsupported_media_type")


def test_429_with_retry_after_when_a_key_sends_too_much(tmp_path: Path) -> None:
    with serving(config_for(tmp_path, requests_per_second=0.01, ingest_key=SecretStr("other"))) as client:
        answers = [client.post("/v1/events", json=BATCH, headers=KEY) for _ in range(3)]
        assert [a.status_code for a in answers] == [202, 429, 429]
        assert code(answers[1]) == "rate_limited"
        assert 1 <= int(answers[1].headers["retry-after"]) <= 100
        assert client.post("/v1/events", json=BATCH, headers={"X-API-Key": "other"}).status_code == 202


def test_503_with_retry_after_when_nothing_can_be_made_durable(tmp_path: Path) -> None:
    config = config_for(tmp_path, spool_max_bytes=800, seal_seconds=3_600.0)
    with serving(config) as client:
        assert client.get("/v1/health").json()["status"] == "ok"
        assert client.post("/v1/events", json=BATCH, headers=KEY).status_code == 202
        answer = client.post("/v1/events", json={"events": [{**EVENT, "sessionId": "refused"}]}, headers=KEY)
        assert (answer.status_code, code(answer)) == (503, "not_durable")
        assert int(answer.headers["retry-after"]) >= 1
        health = client.get("/v1/health")
        assert (health.status_code, health.json()["parts"]["spool"]) == (503, "failing")
    assert [stored["session_id"] for stored in lines(config.spool_dir)] == ["test-1"]


def test_too_many_bodies_at_once_are_told_to_come_back(tmp_path: Path) -> None:
    with serving(config_for(tmp_path, max_in_flight=1)) as client:
        address = (client.base_url.host, client.base_url.port or 0)
        with socket.create_connection(address) as slow:
            slow.sendall(b"POST /v1/events HTTP/1.1\r\nhost: x\r\nx-api-key: test-key\r\ncontent-length: 10\r\n\r\n{")
            answers = [client.post("/v1/events", json=BATCH, headers=KEY)]
            while answers[-1].status_code == 202:  # until the slow one has been taken in
                answers.append(client.post("/v1/events", json=BATCH, headers=KEY))
            assert (answers[-1].status_code, code(answers[-1])) == (503, "overloaded")
            assert answers[-1].headers["retry-after"] == "1"


def test_a_body_that_does_not_arrive_is_given_up(tmp_path: Path) -> None:
    with (
        serving(config_for(tmp_path, body_seconds=0.2)) as client,
        socket.create_connection((client.base_url.host, client.base_url.port or 0)) as slow,
    ):
        slow.sendall(b"POST /v1/events HTTP/1.1\r\nhost: x\r\nx-api-key: test-key\r\ncontent-length: 10\r\n\r\n{")
        slow.settimeout(30)
        assert slow.recv(100).startswith(b"HTTP/1.1 408 ")


def test_errors_of_the_framework_have_the_same_shape(client: httpx.Client) -> None:
    missing, wrong = client.get("/v2/events"), client.delete("/v1/events")
    assert (missing.status_code, code(missing)) == (404, "not_found")
    assert (wrong.status_code, code(wrong)) == (405, "method_not_allowed")


# ------------------------------------------------------------------------------------------------------- CORS


def preflight(client: httpx.Client, origin: str) -> httpx.Response:
    asked = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "x-api-key",
    }
    return client.options("/v1/events", headers=asked)


def test_a_page_of_an_allowed_origin_may_send(client: httpx.Client) -> None:
    origin = "http://localhost:3000"
    asked = preflight(client, origin)
    assert asked.status_code == 204
    assert asked.headers["access-control-allow-origin"] == origin
    assert "x-api-key" in asked.headers["access-control-allow-headers"]
    assert asked.headers["vary"] == "origin"
    sent = client.post("/v1/events", json=BATCH, headers={**KEY, "origin": origin})
    assert (sent.status_code, sent.headers["access-control-allow-origin"]) == (202, origin)
    refused = client.post("/v1/events", json=BATCH, headers={"X-API-Key": "wrong", "origin": origin})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, origin)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost.evil"])
def test_a_page_of_another_origin_may_not(client: httpx.Client, origin: str) -> None:
    asked = preflight(client, origin)
    assert (asked.status_code, code(asked)) == (403, "origin_not_allowed")
    sent = client.post("/v1/events", json=BATCH, headers={**KEY, "origin": origin})
    assert (sent.status_code, code(sent)) == (403, "origin_not_allowed")
    assert "access-control-allow-origin" not in sent.headers


def test_a_page_that_the_collector_serves_may_send(tmp_path: Path) -> None:
    with serving(config_for(tmp_path, embedded=False, ingest_key=SecretStr("k"))) as client:
        own = f"{client.base_url.scheme}://{client.base_url.host}:{client.base_url.port}"
        assert client.post("/v1/events", json=BATCH, headers={"X-API-Key": "k", "origin": own}).status_code == 202
        foreign = {"X-API-Key": "k", "origin": "http://localhost:3000"}
        assert client.post("/v1/events", json=BATCH, headers=foreign).status_code == 403


def test_a_name_that_a_stranger_could_have_is_not_answered(tmp_path: Path) -> None:
    stranger, ours = {"Host": "evil.example"}, {"Host": "furrow.example"}
    with serving(config_for(tmp_path, allowed_hosts=("furrow.example",))) as client:
        for path in ("/v1/health", "/v1/status", "/metrics", "/docs", "/nothing"):
            refused = client.get(path, headers={**OPERATOR, **stranger})
            assert (refused.status_code, code(refused)) == (400, "host_not_allowed")
        assert client.post("/v1/events", json=BATCH, headers={**KEY, **stranger}).status_code == 400
        assert client.post("/v1/events", json=BATCH, headers={**KEY, **ours}).status_code == 202
        assert client.get("/v1/status", headers={**OPERATOR, **ours}).status_code == 200
    with serving(config_for(tmp_path, intake_at_any_host=True)) as client:
        assert client.post("/v1/events", json=BATCH, headers={**KEY, **stranger}).status_code == 202
        assert client.get("/v1/health", headers=stranger).status_code == 200
        for path in ("/v1/status", "/metrics", "/v1/health/", "/v1/events/../status"):
            assert client.get(path, headers={**OPERATOR, **stranger}).status_code == 400


def test_two_hosts_are_refused_and_none_is_a_health_check(tmp_path: Path) -> None:
    with (
        serving(config_for(tmp_path)) as client,
        socket.create_connection((client.base_url.host, client.base_url.port)) as old,
    ):
        old.sendall(b"GET /v1/health HTTP/1.0\r\n\r\n")
        assert old.recv(64).startswith(b"HTTP/1.1 200")
        with socket.create_connection((client.base_url.host, client.base_url.port)) as two:
            two.sendall(b"GET /v1/health HTTP/1.0\r\nHost: localhost\r\nHost: evil.example\r\n\r\n")
            assert two.recv(64).startswith(b"HTTP/1.1 400")


# -------------------------------------------------------------------------------------------------- operators


def test_the_key_that_everyone_knows_works_in_embedded_mode_alone_and_for_events(tmp_path: Path) -> None:
    with serving(config_for(tmp_path, embedded=False, operator_key=SecretStr("mine"))) as client:
        assert client.post("/v1/events", json=BATCH, headers=KEY).status_code == 401
        assert client.get("/v1/status", headers={"X-API-Key": "mine"}).status_code == 200
    with serving(config_for(tmp_path, operator_key=SecretStr("test-key"))) as client:
        assert client.post("/v1/events", json=BATCH, headers=KEY).status_code == 202
        assert client.get("/v1/status", headers=KEY).status_code == 403
        assert client.get("/v1/status", headers={"X-API-Key": "test-operator-key"}).status_code == 401


def test_the_installations_own_keys_work_beside_the_configured_ones(tmp_path: Path) -> None:
    own = {"development_ingest_key": SecretStr("own-i"), "development_operator_key": SecretStr("own-o")}
    with serving(config_for(tmp_path, embedded=False, ingest_key=SecretStr("set"), **own)) as client:
        for key in ("own-i", "set"):
            assert client.post("/v1/events", json=BATCH, headers={"X-API-Key": key}).status_code == 202
        assert client.get("/v1/status", headers={"X-API-Key": "own-o"}).status_code == 200
        assert client.post("/v1/events", json=BATCH, headers=KEY).status_code == 401


def test_status_counts_the_spool_and_says_what_it_cannot_know(tmp_path: Path) -> None:
    told = tmp_path / "lander.json"
    with serving(config_for(tmp_path, lander_status=told, seal_seconds=3_600.0)) as client:
        client.post("/v1/events", json={"events": [EVENT] * 3}, headers=KEY)
        status = client.get("/v1/status", headers=OPERATOR).json()
        assert (status["spoolPending"]["segments"], status["spoolPending"]["events"]) == (1, 3)
        assert status["unavailable"] == ["eventStore", "incidentStore"]
        assert (status["eventsStored"], status["sessions"]) == (None, {"open": None, "complete": None})
        told.write_text(json.dumps({"eventsStored": 12, "sessionsComplete": 4}))
        status = client.get("/v1/status", headers=OPERATOR).json()
        assert (status["eventsStored"], status["sessions"]["complete"], status["lagSeconds"]) == (12, 4, 0.0)
        told.write_text("{")
        assert client.get("/v1/status", headers=OPERATOR).json()["eventsStored"] is None


def test_incidents_without_a_store_are_unavailable(client: httpx.Client) -> None:
    answer = client.get("/v1/incidents", headers=OPERATOR)
    assert (answer.status_code, code(answer)) == (503, "no_incident_store")
    assert "retry-after" in answer.headers


def test_metrics_and_documentation_are_served_to_operators_networks_alone(tmp_path: Path) -> None:
    with serving(config_for(tmp_path, api=False)) as client:
        assert client.post("/v1/events", json=BATCH, headers=KEY).status_code == 202
        assert client.get("/v1/health").status_code == 200
        for path in (
            "/metrics",
            "/docs",
            "/openapi.json",
            "/v1/status",
            "/v1/incidents",
            "/v1/incidents/inc_1",
        ):
            assert client.get(path, headers=OPERATOR).status_code == 404


def test_metrics_count_answers_and_events(client: httpx.Client) -> None:
    client.post("/v1/events", json={"events": [EVENT, {}]}, headers=KEY)
    text = client.get("/metrics").text
    assert 'furrow_intake_requests_total{status="202"}' in text
    assert 'furrow_events_rejected_total{field="eventType"}' in text
    assert "test-key" not in text


def test_the_documentation_names_the_answers(client: httpx.Client) -> None:
    described = client.get("/openapi.json").json()["paths"]["/v1/events"]["post"]
    assert {"202", "400", "401", "403", "413", "415", "429", "503"} <= set(described["responses"])
    assert client.get("/docs").status_code == 200


# ------------------------------------------------------------------------------------------------- durability


@contextmanager
def process(directory: Path, **changes: Any) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A collector as a process of its own, and its address."""
    values = {"spool_dir": str(directory), "user_salt": "salt", "embedded": True, "port": 0, **changes}
    started = subprocess.Popen(
        [sys.executable, "-m", "collector", "-"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert started.stdin is not None
    assert started.stdout is not None
    started.stdin.write(json.dumps(values))
    started.stdin.close()
    try:
        yield started, started.stdout.readline().split()[-1]
    finally:
        started.kill()
        started.wait()
        started.stdout.close()


def test_what_was_answered_survives_kill_9(tmp_path: Path) -> None:
    directory = tmp_path / "spool"
    with process(directory, seal_seconds=3_600) as (collector, address):
        batch = {"events": [{**EVENT, "sessionId": f"s{n}"} for n in range(200)]}
        answer = httpx.post(f"{address}/v1/events", json=batch, headers=KEY, trust_env=False, timeout=30)
        collector.send_signal(signal.SIGKILL)
        assert answer.json()["accepted"] == 200
        collector.wait()
    assert lines(directory) == []
    assert recover_open_files(directory) == 200
    assert [stored["session_id"] for stored in lines(directory)] == [f"s{n}" for n in range(200)]


def test_sigterm_seals_and_ends_well(tmp_path: Path) -> None:
    directory = tmp_path / "spool"
    with process(directory, seal_seconds=3_600) as (collector, address):
        httpx.post(f"{address}/v1/events", json=BATCH, headers=KEY, trust_env=False, timeout=30)
        collector.terminate()
        assert collector.wait(30) == 0
    assert len(lines(directory)) == 1
    assert list(directory.glob("*.open")) == []


def test_fifty_senders_at_once_lose_nothing_and_share_commits(tmp_path: Path) -> None:
    config = config_for(tmp_path, seal_seconds=3_600.0)
    with serving(config) as client:

        def post(number: int) -> int:
            batch = {"events": [{**EVENT, "sessionId": f"s{number}"}] * 4}
            return client.post("/v1/events", json=batch, headers=KEY).status_code

        with ThreadPoolExecutor(50) as pool:
            assert set(pool.map(post, range(200))) == {202}
    stored = lines(config.spool_dir)
    assert sorted(row["session_id"] for row in stored) == sorted(f"s{n}" for n in range(200) for _ in range(4))
    assert len({row["event_id"] for row in stored}) == 800
    assert len(list_segments(config.spool_dir)) == 1


# ---------------------------------------------------------------------------------------------------- hostile


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
odd_events = st.dictionaries(
    st.sampled_from(["eventType", "timestamp", "sessionId", "route", "target", "metadata", "seq", "userId"]),
    json_values,
).map(lambda changes: {**EVENT, **changes})
bodies = st.one_of(
    st.binary(max_size=100),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.lists(odd_events | json_values, max_size=4).map(lambda events: json.dumps({"events": events}).encode()),
)


@settings(deadline=None)
@given(
    body=bodies,
    kind=st.sampled_from(["application/json", "text/plain", "text/html", ";;;", "application/json; charset=\xff"]),
    encoding=st.sampled_from(["", "gzip", "identity", "x"]),
    key=st.sampled_from(["test-key", "", "wrong", "\xff\xfe"]),
)
def test_no_input_is_an_internal_error(client: httpx.Client, body: bytes, kind: str, encoding: str, key: str) -> None:
    headers = [(b"content-type", kind.encode("latin-1")), (b"x-api-key", key.encode("latin-1"))]
    if encoding:
        headers.append((b"content-encoding", encoding.encode()))
    answer = client.post("/v1/events", content=body, headers=headers)
    assert answer.status_code in (202, 400, 401, 413, 415)
    if answer.status_code == 202:
        counted = answer.json()
        assert counted["accepted"] + len(counted["rejected"]) == len(json.loads(body)["events"])


@settings(deadline=None, max_examples=40)
@given(name=st.text(max_size=12), value=st.text(max_size=12))
def test_no_parameter_is_an_internal_error(client: httpx.Client, name: str, value: str) -> None:
    safe = {name.encode("utf-8", "replace").decode(): value.encode("utf-8", "replace").decode()}
    assert client.get("/v1/incidents", params=safe, headers=OPERATOR).status_code in (400, 503)
