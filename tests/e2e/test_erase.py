"""`furrow erase` on a running installation: afterwards nothing in any table or file names the person.

The tests of this file share one installation and build on each other, in the order in which they stand here.
"""

import hashlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from collector.privacy import hash_user
from stores.embedded_postgres import EmbeddedPostgres
from tests.e2e.installation import Up, environment, frustrated_session, until
from tests.e2e.test_commands_operators import WINDOW, furrow, on, refused, runs, succeeded, used_wrongly

USER = "alice-4711"
SESSIONS = ("alices-first", "alices-second", "alices-broken", "alices-quarantined")


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    installation = Up(tmp_path_factory.mktemp("erase") / "data")
    installation.start()
    yield installation
    installation.kill_everything()


@pytest.fixture(scope="module")
def user_hash(up: Up) -> str:
    return hash_user("default", USER, (up.data / "user-salt").read_text().encode())


def of_user(session_id: str, user: str, anonymous: int = 0) -> list[dict[str, Any]]:
    """A frustrated session; the first ``anonymous`` events were before the login."""
    events = frustrated_session(session_id)
    return [event if n < anonymous else {**event, "userId": user} for n, event in enumerate(events)]


def quarantined(up: Up, user_hash: str) -> Path:
    """A segment that was set aside: a line of Alice's, one of Bob's, one that is cut in the middle."""

    def line(session_id: str, user: str) -> str:
        return json.dumps({"project": "default", "session_id": session_id, "user_hash": user, "event_type": "click"})

    torn = line(SESSIONS[3], user_hash)[:-9]
    text = "\n".join([line(SESSIONS[3], user_hash), line("bobs", ""), torn]) + "\n"
    folder = up.data / "spool" / "quarantine"
    folder.mkdir(exist_ok=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:32]
    path = folder / f"{1:020d}-3-{digest}.jsonl"
    path.write_text(text)
    path.with_suffix(".reason").write_text("planted\n")
    return path


@pytest.mark.long
def test_a_person_leaves_traces_everywhere(up: Up, user_hash: str) -> None:
    up.post_events(of_user(SESSIONS[0], USER, anonymous=4))
    up.post_events(of_user(SESSIONS[1], USER))
    for n in range(3):
        up.post_events(of_user(f"bobs-{n}", "bob"))
    broken = {"eventType": "click", "sessionId": SESSIONS[2], "userId": USER, "route": "/"}
    of_bob = {"eventType": "click", "sessionId": "bobs-broken", "userId": "bob", "route": "/"}
    with up.client("test-key") as client:
        answer = client.post("/v1/events", json={"events": [broken, of_bob]}).json()
    assert (answer["accepted"], len(answer["rejected"])) == (0, 2)
    quarantined(up, user_hash)
    until(lambda: up.get("/v1/status")["sessions"]["complete"] == 5, 120)
    (incident,) = up.get("/v1/incidents")["incidents"]
    assert (incident["affectedSessions"], incident["affectedUsers"]) == (5, 2)
    assert "LoggedOnly" in succeeded(on(up, "export"))
    config = up.data.parent / "new.toml"
    config.write_text("[thresholds]\nrage_clicks = 9\n[weights]\nblocked = 0\nrepeated = 0\n")
    succeeded(on(up, "evaluate", "--replay", "1d", "--config", str(config)))
    seen = {
        *mentions_in_postgres(up, user_hash),
        *mentions_in_prefect(up, user_hash),
        *mentions_in_files(up, user_hash),
    }
    for place in ("detections.", "log.message", "artifact.data", "dead-letters", "quarantine", "engine.log"):
        assert any(place in one for one in seen), (place, seen)


@pytest.mark.long
def test_what_makes_no_sense_is_refused(up: Up) -> None:
    assert "pass either --user" in used_wrongly(on(up, "erase", "--yes"))
    assert "pass either --user" in used_wrongly(on(up, "erase", "--yes", "--user", "a", "--session", "b"))
    unanswered = on(up, "erase", "--session", "b")
    assert unanswered.returncode == 1
    assert "Traceback" not in unanswered.stderr
    assert runs(up, "erase") == []


@pytest.mark.long
def test_it_says_what_it_removed(up: Up, user_hash: str) -> None:
    told = on(up, "erase", "--user", USER, "--yes", "--json")
    assert told.returncode == 0, told.stdout + told.stderr + (up.data / "logs" / "engine.log").read_text()[-4000:]
    result = json.loads(told.stdout)
    assert result["run"]["state"] == "Completed"
    assert result["complete"] is True
    assert result["sessions"] == 4
    removed = result["removed"]
    assert removed["events"] == 22
    assert removed["analysed sessions"] == 2
    assert removed["detections"] == 2
    assert removed["dead letters"] == 1
    assert removed["events in the quarantine"] == 2
    assert removed["mentions in log files"] > 0
    assert removed["logs and artifacts of runs"] > 0
    assert (result["incidentsCountedAgain"], result["incidentsWithNobodyLeft"], result["tickets"]) == (1, 0, [])


@pytest.mark.long
def test_no_table_and_no_file_names_them_any_more(up: Up, user_hash: str) -> None:
    assert mentions_in_postgres(up, user_hash) == []
    assert mentions_in_prefect(up, user_hash) == []
    assert mentions_in_files(up, user_hash) == []


@pytest.mark.long
def test_the_others_stay(up: Up) -> None:
    (incident,) = up.get("/v1/incidents")["incidents"]
    assert (incident["affectedSessions"], incident["affectedUsers"], incident["status"]) == (3, 1, "confirmed")
    history = up.get(f"/v1/incidents/{incident['incidentId']}")["history"]
    assert history[-1]["reason"] == "2 detections erased on request"
    letters = [line for line in spool_text(up, "dead-letters").splitlines() if line.strip()]
    assert [json.loads(line)["event"]["sessionId"] for line in letters] == ["bobs-broken"]
    (kept,) = (up.data / "spool" / "quarantine").glob("*.jsonl")
    assert [json.loads(line)["session_id"] for line in kept.read_text().splitlines()] == ["bobs"]
    assert kept.name.split("-")[1:] == ["1", hashlib.sha256(kept.read_bytes()).hexdigest()[:32] + ".jsonl"]
    assert kept.with_suffix(".reason").exists()


@pytest.mark.long
def test_nothing_comes_back_and_once_more_removes_nothing(up: Up, user_hash: str) -> None:
    succeeded(on(up, "run", "detect"))
    succeeded(on(up, "run", "backfill", *WINDOW, "--param", "dry_run=false"))
    told = on(up, "erase", "--user", f"uh:{user_hash}", "--yes", "--json")
    assert told.returncode == 1
    assert "no data of this user is stored in the project 'default'" in told.stderr
    result = json.loads(told.stdout)
    assert result["sessions"] == 0
    assert sum(count for place, count in result["removed"].items() if place != "logs and artifacts of runs") == 0
    assert up.get("/v1/incidents")["incidents"][0]["affectedSessions"] == 3
    assert mentions_in_prefect(up, user_hash) == []


@pytest.mark.long
def test_a_session_in_the_middle_of_landing_goes_too(up: Up) -> None:
    """The command is called before the segment is even sealed."""
    up.post_events(frustrated_session("just-accepted"))
    result = json.loads(succeeded(on(up, "erase", "--session", "just-accepted", "--yes", "--json")))
    assert result["removed"]["events"] == 11
    succeeded(on(up, "run", "detect"))
    assert up.get("/v1/incidents")["incidents"][0]["affectedSessions"] == 3


@pytest.mark.long
def test_the_event_store_holds_none_of_them(up: Up, user_hash: str) -> None:
    up.interrupt()
    assert mentions_in_clickhouse(up, (USER, user_hash, *SESSIONS, "just-accepted")) == []
    assert mentions_in_clickhouse(up, ("bobs-0",)) != []
    assert mentions_in_files(up, user_hash) == []


def test_a_user_whose_hash_cannot_be_known(tmp_path: Path) -> None:
    told = refused(furrow("erase", "--user", "x", "--yes", "--data-dir", str(tmp_path)))
    assert "user-salt" in told


def mentions_in_postgres(up: Up, user_hash: str) -> list[str]:
    """Table.column of everything in Postgres that names the person, system catalogues left out."""
    found = []
    with psycopg.connect(EmbeddedPostgres(up.data / "postgres").url) as connection:
        columns = connection.execute("SELECT table_name, column_name FROM information_schema.columns "
                                     "WHERE table_schema = 'public'").fetchall()  # fmt: skip
        for table, column in columns:
            query = sql.SQL("SELECT {}::text FROM {}").format(sql.Identifier(column), sql.Identifier(table))
            values = [value for (value,) in connection.execute(query).fetchall()]
            if any(named(value, user_hash) for value in values):
                found.append(f"{table}.{column}")
    return found


def mentions_in_prefect(up: Up, user_hash: str) -> list[str]:
    """Table.column of everything in Prefect's database that names the person."""
    found = []
    database = sqlite3.connect(up.data / "prefect" / "prefect.db", timeout=60)
    for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        cursor = database.execute(f'SELECT * FROM "{table}"')
        names = [column[0] for column in cursor.description]
        for row in cursor:
            found += [f"{table}.{name}" for name, value in zip(names, row, strict=True) if named(value, user_hash)]
    database.close()
    return sorted(set(found))


def mentions_in_files(up: Up, user_hash: str) -> list[str]:
    """Every file of the spool and the logs, and whatever else lies beside the stores, that names the person."""
    stores = tuple(up.data / name for name in ("clickhouse", "postgres", "prefect"))
    files = [p for p in up.data.rglob("*") if p.is_file() and not any(p.is_relative_to(store) for store in stores)]
    files.append(up.data / "postgres" / "server.log")
    return [str(path) for path in files if named(path.read_bytes().decode(errors="replace"), user_hash)]


def mentions_in_clickhouse(up: Up, names: tuple[str, ...]) -> list[str]:
    """Table.column of the event store, its own system tables included; asked in a process of its own."""
    program = """
import sys, clickhouse_connect
client = clickhouse_connect.get_client(interface="chdb", path=sys.argv[1])
tables = "SELECT database, name FROM system.tables WHERE database = 'furrow' OR (database = 'system' AND name = 'mutations')"
for database, table in client.query(tables).result_rows:
    columns = f"SELECT name FROM system.columns WHERE database = '{database}' AND table = '{table}'"
    for (column,) in client.query(columns).result_rows:
        for name in sys.argv[2:]:
            query = f"SELECT countIf(position(toString(`{column}`), '{name}') > 0) FROM `{database}`.`{table}`"
            if client.query(query).result_rows[0][0]:
                print(f"{database}.{table}.{column}")
"""
    command = [sys.executable, "-c", program, str(up.data / "clickhouse"), *names]
    told = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    assert told.returncode == 0, told.stderr
    return told.stdout.split()


def spool_text(up: Up, folder: str) -> str:
    return "".join(path.read_text() for path in sorted((up.data / "spool" / folder).glob("*")))


def named(value: object, user_hash: str) -> bool:
    text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
    return any(name in text for name in (USER, user_hash, *SESSIONS))
