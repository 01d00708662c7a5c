"""The embedded Postgres starts once, survives its killed postmaster, and stops."""

import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from core.errors import PermanentError
from core.health import Limits
from furrow.installation.supervisor import Supervisor
from stores import embedded_postgres
from stores.embedded_postgres import EmbeddedPostgres


def postmaster_pid(server: EmbeddedPostgres) -> int:
    return int((server.data_dir / "postmaster.pid").read_text().splitlines()[0])


def test_starting_twice_adopts_the_running_server(stoppable_postgres: EmbeddedPostgres) -> None:
    before = postmaster_pid(stoppable_postgres)
    EmbeddedPostgres(stoppable_postgres.data_dir).start()
    assert postmaster_pid(stoppable_postgres) == before


def test_data_survives_a_killed_postmaster(stoppable_postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(stoppable_postgres.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    os.kill(postmaster_pid(stoppable_postgres), signal.SIGKILL)
    stoppable_postgres.start()
    with psycopg.connect(stoppable_postgres.url) as connection:
        row = connection.execute("SELECT answer FROM kept").fetchone()
    assert row == (42,)


def test_a_hung_postmaster_is_found_ended_and_started_again(
    stoppable_postgres: EmbeddedPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stores.embedded_postgres._ANSWER_SECONDS", 2)
    monkeypatch.setattr("furrow.installation.supervisor.POSTGRES", Limits(1.0, 1.0))
    monkeypatch.setattr("furrow.installation.supervisor._POSTGRES_SECONDS", 0.1)
    monkeypatch.setattr("furrow.installation.supervisor._POSTGRES_POLL_SECONDS", 0.1)
    with psycopg.connect(stoppable_postgres.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    assert stoppable_postgres.is_answering()
    hung = postmaster_pid(stoppable_postgres)
    os.kill(hung, signal.SIGSTOP)
    assert not stoppable_postgres.is_answering()
    said: list[str] = []
    supervisor = Supervisor(tmp_path, [], said.append)
    supervisor.watch_postgres(stoppable_postgres)
    end = time.monotonic() + 120
    while postmaster(stoppable_postgres) in (0, hung) or not stoppable_postgres.is_answering():
        assert time.monotonic() < end, said
        supervisor.check_parts()
        time.sleep(0.1)
    supervisor.stop_watching()
    with psycopg.connect(stoppable_postgres.url) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    assert any("Postgres did not answer for" in one for one in said)


def postmaster(server: EmbeddedPostgres) -> int:
    """The postmaster's process id; 0 while there is none."""
    try:
        return postmaster_pid(server)
    except (OSError, ValueError, IndexError):
        return 0


def test_stopping_leaves_no_process_and_no_socket(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "data")
    server.start()
    server.stop()
    assert not server.is_running()
    assert not server._socket_dir.exists()
    server.stop()


@pytest.mark.parametrize("folder", ["long" * 30, "two words"])
def test_it_starts_whatever_the_temporary_directory_is_called(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / folder).mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / folder))
    server = EmbeddedPostgres(tmp_path / "data")
    server.start()
    server.stop()
    assert not server._socket_dir.exists()


def test_a_cluster_that_was_killed_half_made_is_made_anew(tmp_path: Path) -> None:
    half_made = tmp_path / "data.new"
    half_made.mkdir()
    (half_made / "PG_VERSION").write_text("18")
    server = EmbeddedPostgres(tmp_path / "data")
    server.start()
    server.stop()
    assert not half_made.exists()


def test_initdb_is_tried_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = EmbeddedPostgres(tmp_path / "data")
    run = server._run_program
    failures = iter([PermanentError("aborted")])

    def fail_once(command: str, *arguments: str) -> None:
        if command == "initdb" and (error := next(failures, None)):
            raise error
        run(command, *arguments)

    monkeypatch.setattr(server, "_run_program", fail_once)
    server.start()
    server.stop()


def test_another_run_of_the_tests_leaves_this_ones_server_alone(stoppable_postgres: EmbeddedPostgres) -> None:
    other = subprocess.run(
        [sys.executable, "-m", "pytest", "tests/unit/tasks/test_masking.py"],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert other.returncode == 0, other.stdout
    with psycopg.connect(stoppable_postgres.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE opens_files_of_its_own")
    assert stoppable_postgres.is_running()


@pytest.fixture
def new_account() -> Iterator[str]:
    """Name of a system account that does not exist; it is removed afterwards."""
    if os.geteuid():
        pytest.skip("only root creates accounts: simultaneous first starts are then not tested")
    name = f"furrow-{uuid.uuid4().hex[:8]}"
    yield name
    subprocess.run(["userdel", name], check=False, capture_output=True)


def test_first_starts_at_once_create_one_account(new_account: str) -> None:
    begin, found, errors = threading.Barrier(6), list[int](), list[Exception]()

    def start() -> None:
        begin.wait()
        try:
            found.append(embedded_postgres._ensure_system_account(new_account).pw_uid)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(found) == 6
    assert len(set(found)) == 1
