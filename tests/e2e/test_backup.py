"""`furrow backup` and `furrow restore` as their users see them: a round trip through files, and what is refused.

The tests of this file share one installation and build on each other, in the order in which they stand here.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from stores.embedded_postgres import EmbeddedPostgres
from tests.e2e.installation import PATIENT_SECONDS, Up, environment, frustrated_session, until
from tests.e2e.test_commands_operators import WINDOW, furrow, on, refused, succeeded

KEYS = ("ingest-key", "operator-key")
COUNTED = ("eventsStored", "deadLetters", "sessions", "detections", "incidents", "tickets")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    installation = Up(tmp_path_factory.mktemp("backup") / "data")
    installation.start()
    yield installation
    installation.kill_everything()


@pytest.fixture(scope="module")
def before(up: Up) -> dict[str, Any]:
    """What the installation tells when all is analysed and the ticket is logged."""
    for n in range(5):
        up.post_events(frustrated_session(f"s-{n}"))
    with up.client("test-key") as client:
        answer = client.post("/v1/events", json={"events": [{"eventType": "click", "sessionId": "of a dead letter"}]})
    assert answer.json()["accepted"] == 0
    key = json.loads(succeeded(on(up, "keys", "create", "--label", "kept", "--json")))["key"]
    succeeded(on(up, "projects", "set", "shop", "--origin", "https://shop.example"))
    until(lambda: up.get("/v1/status")["sessions"]["complete"] == 5, 120)
    assert "LoggedOnly" in succeeded(on(up, "export"))
    return {**figures(up), "key": key}


@pytest.fixture(scope="module")
def backup(up: Up, before: dict[str, Any]) -> Path:
    assert before
    up.interrupt()
    for name in KEYS:
        (up.data / name).write_text(f"made-{name}", encoding="utf-8")
    directory = up.data.parent / "backup"
    told = json.loads(succeeded(furrow("backup", str(directory), "--data-dir", str(up.data), "--json")))
    assert (told["rows"]["events"], told["rows"]["sessions"], told["rows"]["detections"]) == (55, 5, 5)
    return directory


def last_line(told: subprocess.CompletedProcess[str]) -> str:
    """The end of what a failed `furrow up` says, after the lines that tell how far it came."""
    assert told.returncode == 1, told.stdout + told.stderr
    assert "Traceback" not in told.stderr
    return told.stderr.splitlines()[-1]


def figures(up: Up) -> dict[str, Any]:
    incidents = up.get("/v1/incidents")["incidents"]
    status = up.get("/v1/status")
    return {
        "status": {name: status[name] for name in COUNTED},
        "incidents": [up.get(f"/v1/incidents/{one['incidentId']}") for one in incidents],
    }


@pytest.mark.long
def test_it_is_refused_while_furrow_runs(up: Up, before: dict[str, Any]) -> None:
    assert before["status"]["eventsStored"] == 55
    told = refused(furrow("backup", str(up.data.parent / "running"), "--data-dir", str(up.data)))
    assert "another process of Furrow uses" in told
    assert "stop it first" in told
    assert sorted(path.name for path in up.data.parent.iterdir() if "running" in path.name) == []


@pytest.mark.long
def test_a_round_trip_brings_everything_back(up: Up, before: dict[str, Any], backup: Path) -> None:
    shutil.rmtree(up.data)
    printed = succeeded(furrow("restore", str(backup), "--data-dir", str(up.data)))
    assert "restored from" in printed
    assert not (up.data / "prefect").exists()
    assert {name: (up.data / name).read_text() for name in KEYS} == {name: f"made-{name}" for name in KEYS}
    assert {(up.data / name).stat().st_mode & 0o777 for name in KEYS} == {0o600}
    up.start()
    until(lambda: up.get("/v1/status")["eventsStored"] == 55, 60)
    assert figures(up) == {name: before[name] for name in ("status", "incidents")}
    headers = {"X-API-Key": before["key"]}
    body = {"events": frustrated_session("s-0")[:1]}
    address = f"http://127.0.0.1:{up.port}/v1/events"
    assert httpx.post(address, json=body, headers=headers, timeout=PATIENT_SECONDS).status_code == 202
    assert "https://shop.example" in succeeded(on(up, "projects", "list"))


@pytest.mark.long
def test_analysing_again_changes_nothing(up: Up, before: dict[str, Any]) -> None:
    succeeded(on(up, "run", "detect"))
    told = succeeded(on(up, "run", "backfill", *WINDOW, "--param", "dry_run=true", COLUMNS="200"))
    assert "detections would be" not in told.split("## Pending")[0].split("Incidents that would change")[0]
    assert [one["affectedSessions"] for one in figures(up)["incidents"]] == [
        one["affectedSessions"] for one in before["incidents"]
    ]


@pytest.mark.long
def test_a_restore_goes_nowhere_but_into_what_is_empty(up: Up, backup: Path) -> None:
    up.interrupt()
    told = refused(furrow("restore", str(backup), "--data-dir", str(up.data)))
    assert "not empty" in told
    assert "new data directory" in told


@pytest.mark.long
def test_a_key_that_is_in_the_data_directory_stays(backup: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "ingest-key").write_text("in-use", encoding="utf-8")
    succeeded(furrow("restore", str(backup), "--data-dir", str(tmp_path / "data")))
    assert [(tmp_path / "data" / name).read_text() for name in KEYS] == ["in-use", "made-operator-key"]


@pytest.mark.long
def test_a_backup_is_never_written_over(up: Up, backup: Path) -> None:
    assert "already exists" in refused(furrow("backup", str(backup), "--data-dir", str(up.data)))


@pytest.mark.long
def test_a_copy_of_the_data_directory_is_a_backup(up: Up, before: dict[str, Any]) -> None:
    """The installation is stopped here."""
    restored = Up(up.data.parent / "copied")
    # cp keeps the owner, which Postgres insists on.
    subprocess.run(["cp", "-a", str(up.data), str(restored.data)], check=True)
    restored.start()
    try:
        assert restored.get("/v1/incidents")["incidents"][0]["affectedSessions"] == 5
        assert len(before["incidents"]) == 1
        assert restored.post_events(frustrated_session("in-the-copy"))["accepted"] == 11
    finally:
        restored.kill_everything()


@pytest.mark.long
def test_a_damaged_backup_restores_nothing(backup: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(backup, damaged)
    (file,) = damaged.glob("clickhouse/events-*")
    file.write_bytes(file.read_bytes()[:-1])
    told = refused(furrow("restore", str(damaged), "--data-dir", str(tmp_path / "data")))
    assert f"{file.name} is missing or damaged; nothing was restored" in told
    assert not (tmp_path / "data").exists()
    assert "is not a backup" in refused(furrow("restore", str(tmp_path), "--data-dir", str(tmp_path / "data")))


def test_a_restore_that_did_not_finish_is_not_started_on(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "restore-unfinished").touch()
    told = last_line(furrow("up", "--data-dir", str(data)))
    assert "did not finish; delete the directory and run the restore again" in told


@pytest.mark.long
def test_a_newer_postgres_schema_is_refused(up: Up) -> None:
    server = EmbeddedPostgres(up.data / "postgres")
    server.start()
    try:
        with psycopg.connect(server.url) as connection:
            (kept,) = connection.execute("SELECT version_num FROM furrow_schema_version").fetchone() or ("",)
            connection.execute("UPDATE furrow_schema_version SET version_num = '9999'")
        told = last_line(furrow("up", *up.options))
        assert "the incident store's schema (9999) is newer than this version of Furrow" in told
        server.start()
        with psycopg.connect(server.url) as connection:
            connection.execute("UPDATE furrow_schema_version SET version_num = %s", (kept,))
    finally:
        server.stop()


@pytest.mark.long
def test_a_newer_clickhouse_schema_is_refused(up: Up) -> None:
    # Planted by a process of its own: chDB holds one directory a process, for the process's life.
    plant = (
        "import clickhouse_connect, sys; client = clickhouse_connect.get_client(interface='chdb', path=sys.argv[1]); "
        "client.command(\"INSERT INTO furrow.schema_versions (version) VALUES ('999_planted')\")"
    )
    subprocess.run([sys.executable, "-c", plant, str(up.data / "clickhouse")], check=True, env=environment())
    told = last_line(furrow("up", *up.options))
    assert "the event store's schema (999_planted) is newer than this version of Furrow" in told
    assert up.processes() == []
    told = refused(furrow("backup", str(up.data.parent / "newer"), "--data-dir", str(up.data)))
    assert "the event store's schema (999_planted) is newer" in told
