"""What goes wrong is said in one line, with what to do, and an exit code: the real commands, the real failures.

Elsewhere: a taken port, two parts on one port, settings that cannot be (test_commands), a second `furrow up` on the same
data (test_up), the schemas of a newer version and an unfinished restore (test_backup), Prefect away (test_commands_replay).
"""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from stores.embedded_postgres import EmbeddedPostgres
from tests.e2e.installation import CURL_OF_THE_SEED, PATIENT_SECONDS, Up, environment, free_port, frustrated_session
from tests.e2e.test_backup import last_line
from tests.e2e.test_commands_operators import furrow, refused, succeeded
from tests.fakes.clickhouse_http import ClickHouseServer
from tests.fakes.servers import PostgresServer
from tests.small_disk import mounted_disk

pytestmark = pytest.mark.long

NOWHERE = "127.0.0.1:9"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted_disk(tmp_path / "disk", mebibytes=8) as folder:
        yield folder


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    server = PostgresServer(tmp_path_factory.mktemp("postgres") / "data")
    server.serve()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouseServer]:
    with ClickHouseServer(tmp_path_factory.mktemp("clickhouse")) as server:
        yield server


def wrong_password(url: str) -> str:
    scheme, rest = url.split("://")
    return f"{scheme}://furrow:hunter2@{rest.split('@')[-1]}"


def doctor(tmp_path: Path, **extra: str) -> dict[str, dict[str, str]]:
    told = furrow("doctor", "--json", "--data-dir", str(tmp_path), "--port", "9", "--prefect-port", "9", **extra)
    assert told.returncode == 1
    assert "Traceback" not in told.stderr
    assert "hunter2" not in told.stdout + told.stderr
    return {finding["part"]: finding for finding in json.loads(told.stdout)}


def test_postgres_down_is_one_line() -> None:
    told = refused(furrow("keys", "list", FURROW_INCIDENT_STORE_URL=f"postgresql://someone:hunter2@{NOWHERE}/furrow"))
    assert "Connection refused" in told
    assert "hunter2" not in told


def test_postgres_with_a_wrong_password_is_one_line(postgres: PostgresServer, tmp_path: Path) -> None:
    url = wrong_password(postgres.server_url())
    told = refused(furrow("keys", "list", FURROW_INCIDENT_STORE_URL=url))
    assert "password authentication failed" in told
    assert "fix the user, password or database in FURROW_INCIDENT_STORE_URL" in told
    finding = doctor(tmp_path, FURROW_INCIDENT_STORE_URL=url)["incident store"]
    assert "password authentication failed" in finding["detail"]


def test_clickhouse_down_is_said_by_doctor(tmp_path: Path) -> None:
    finding = doctor(tmp_path, FURROW_EVENT_STORE_URL=f"clickhouse://someone:hunter2@{NOWHERE}/furrow")["event store"]
    assert "not reachable" in finding["detail"]
    assert "FURROW_EVENT_STORE_URL" in finding["advice"]


def test_clickhouse_with_a_wrong_password_is_said_by_doctor(clickhouse: ClickHouseServer, tmp_path: Path) -> None:
    url = wrong_password(clickhouse.url("furrow"))
    finding = doctor(tmp_path, FURROW_EVENT_STORE_URL=url)["event store"]
    assert "refused (516)" in finding["detail"]
    assert "FURROW_EVENT_STORE_URL" in finding["advice"]


@pytest.mark.parametrize("store", ["event", "incident"])
def test_up_does_not_start_with_a_wrong_password(
    store: str, postgres: PostgresServer, clickhouse: ClickHouseServer, tmp_path: Path
) -> None:
    url = wrong_password(clickhouse.url("furrow") if store == "event" else postgres.server_url())
    up = Up(tmp_path / "data")
    variable = f"FURROW_{store.upper()}_STORE_URL"
    told = last_line(furrow("up", *up.options, **{variable: url}))
    assert told.startswith(f"furrow: the {store} store: ")
    assert variable in told
    assert "hunter2" not in told
    assert up.processes() == []


@pytest.mark.long
def test_up_starts_without_its_stores_says_so_and_takes_events(tmp_path: Path) -> None:
    up = Up(tmp_path / "data")
    stores = {
        "FURROW_EVENT_STORE_URL": f"clickhouse://furrow:hunter2@{NOWHERE}/furrow",
        "FURROW_INCIDENT_STORE_URL": f"postgresql://furrow:hunter2@{NOWHERE}/furrow",
    }
    up.start(**stores, FURROW_INGEST_KEY="of-this-test", FURROW_OPERATOR_KEY="another")
    try:
        told = " ".join(up.log.read_text().split())
        assert "the event store cannot be used yet, its work stays pending: ClickHouse is not reachable" in told
        assert "the incident store cannot be used yet, its work stays pending: Postgres: connection failed" in told
        assert "Traceback" not in told
        assert "hunter2" not in told
        with up.client("of-this-test") as client:
            assert client.post("/v1/events", json={"events": frustrated_session("kept")}).status_code == 202
    finally:
        up.kill_everything()


def test_up_on_a_full_disk_is_one_line(small_disk: Path) -> None:
    told = last_line(furrow("up", "--data-dir", str(small_disk / "data"), "--port", str(free_port())))
    assert "is full (" in told
    assert "free at least 256 MiB" in told


def test_doctor_says_how_much_room_there_is(small_disk: Path, tmp_path: Path) -> None:
    assert doctor(tmp_path)["disk"]["reachable"] is True
    finding = doctor(small_disk / "data")["disk"]
    assert finding["reachable"] is False
    assert "free at least" in finding["advice"]


def test_doctor_says_that_a_schema_is_too_new(postgres: PostgresServer, tmp_path: Path) -> None:
    with psycopg.connect(postgres.server_url(), autocommit=True) as connection:
        connection.execute("CREATE DATABASE newer")
    url = postgres.server_url("newer")
    succeeded(furrow("keys", "list", FURROW_INCIDENT_STORE_URL=url))
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE furrow_schema_version SET version_num = '9999'")
    finding = doctor(tmp_path, FURROW_INCIDENT_STORE_URL=url)["incident store"]
    assert finding["reachable"] is False
    assert "schema (9999) is newer than this version of Furrow" in finding["detail"]
    told = refused(furrow("keys", "list", FURROW_INCIDENT_STORE_URL=url))
    assert "schema (9999) is newer" in told


def test_a_backup_to_a_full_disk_is_one_line_and_leaves_nothing(small_disk: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    (data / "spool").mkdir(parents=True)
    (data / "spool" / "large").write_bytes(b"x" * (9 << 20))
    told = refused(furrow("backup", str(small_disk / "backup"), "--data-dir", str(data)))
    assert "No space left on device" in told
    assert list(small_disk.iterdir()) == []


def test_a_disk_that_fills_up_is_answered_with_503_until_there_is_room(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    port = free_port()
    config = {"spool_dir": str(small_disk / "spool"), "user_salt": "salt", "port": port, "embedded": True}
    with subprocess.Popen(
        [sys.executable, "-m", "collector", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment()
    ) as collector:
        assert collector.stdin is not None
        assert collector.stdout is not None
        collector.stdin.write(json.dumps(config).encode())
        collector.stdin.close()
        assert b"listening" in collector.stdout.readline()
        try:
            assert send(port).status_code == 202
            fill(ballast)
            answer = until_status(port, 503)
            assert answer.json()["error"]["code"]
            assert int(answer.headers["Retry-After"]) > 0
            assert health(port).json()["parts"]["spool"] == "failing"
            ballast.unlink()
            until_healthy(port)  # although nobody sends: who reads 503 sends nothing
            fill(ballast)
            until_healthy(port, 503)
            ballast.unlink()
            assert until_status(port, 202).json() == {"accepted": 1, "rejected": []}
        finally:
            collector.terminate()


def send(port: int) -> httpx.Response:
    headers = {"Content-Type": "application/json", "X-API-Key": "test-key"}
    address = f"http://127.0.0.1:{port}/v1/events"
    return httpx.post(address, content=CURL_OF_THE_SEED, headers=headers, timeout=PATIENT_SECONDS)


def health(port: int) -> httpx.Response:
    return httpx.get(f"http://127.0.0.1:{port}/v1/health", timeout=PATIENT_SECONDS)


def until_healthy(port: int, status: int = 200) -> None:
    end = time.monotonic() + PATIENT_SECONDS
    while health(port).status_code != status:
        assert time.monotonic() < end
        time.sleep(0.2)


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def until_status(port: int, status: int) -> httpx.Response:
    # The last page that was begun still takes some events.
    end = time.monotonic() + PATIENT_SECONDS
    while (answer := send(port)).status_code != status:
        assert time.monotonic() < end, answer.text
    return answer


def test_an_embedded_postgres_that_cannot_start_is_one_line(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "data" / "postgres")
    server.start()
    server.stop()
    (server.data_dir / "PG_VERSION").write_text("99\n")
    up = Up(tmp_path / "data")
    told = last_line(furrow("up", *up.options))
    assert "the embedded Postgres does not start" in told
    assert "incompatible" in told
    assert up.processes() == []
