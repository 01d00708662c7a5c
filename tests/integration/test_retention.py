"""Retention on the real stores: whole days of arrival go, what waits stays, incidents stay."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from sqlalchemy import text

from blocks import documents
from flows.retention import retention
from stores.incidents.incident_store import Cursor, IncidentStore, TouchedSession
from stores.incidents.releases import SeenVersions, VersionKey, VersionSight
from tasks import connections
from tests.rows import lines, row

DAY_MS = 86_400_000
TODAY = datetime.now(UTC).date()


@pytest.fixture
def configured(
    prefect: None, event_store_url: str, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    monkeypatch.setenv("FURROW_EVENT_STORE_URL", event_store_url)
    monkeypatch.setenv("FURROW_INCIDENT_STORE_URL", postgres_url)
    monkeypatch.setenv("FURROW_DATA_DIR", str(tmp_path))
    documents.forget_blocks()
    yield
    connections.close_connections()


def received(days_ago: int) -> int:
    """Noon (UTC) of so many days ago, in epoch ms."""
    noon = datetime.combine(TODAY - timedelta(days=days_ago), datetime.min.time(), UTC) + timedelta(hours=12)
    return int(noon.timestamp() * 1000)


def land(*days_ago: int) -> None:
    """One session of ten events on each of these days, analysed; everything is read."""
    store = connections.event_store()
    for days in days_ago:
        ms = received(days)
        store.land_segment(lines(row(f"s{days}", i, received_ms=ms) for i in range(10)), f"{days}")
    hashes = store.read_touched_sessions(0, ()).session_hash.tolist()
    store.record_calm_sessions(hashes, 0, time.time_ns() // 1000)
    incidents().queue.enqueue_sessions([], read_up_to())


def read_up_to() -> Cursor:
    found = connections.event_store().read_touched_sessions(0, ())
    return Cursor(found.watermark_us, found.seen)


def incidents() -> IncidentStore:
    store = connections.incident_store()
    assert isinstance(store, IncidentStore)
    return store


def days_of(table: str) -> list[int]:
    """How many days ago the rows of a table were received, each day once."""
    column = "first_received_ms" if table == "sessions" else "received_ms"
    with connections.event_store()._use_client() as client:
        query = (
            f"SELECT DISTINCT toDate(fromUnixTimestamp64Milli({column}, 'UTC')) AS day FROM {table} ORDER BY day DESC"
        )
        return [(TODAY - row[0]).days for row in client.query(query).result_rows]


def run(**parameters: Any) -> State[Any]:
    return retention(**parameters, return_state=True)


def test_days_that_are_over_thirty_days_old_go_and_the_others_stay(configured: None) -> None:
    land(0, 29, 30, 31, 45)
    state = run()
    assert state.name == "Completed", state.message
    assert "20 events dropped" in (state.message or "")
    assert days_of("events") == days_of("sessions") == [0, 29, 30]
    again = run()
    assert (again.name, again.message) == ("Completed", "There was nothing to do.")


def test_the_artifact_lists_what_was_dropped(configured: None) -> None:
    land(0, 45)
    run()
    with get_client(sync_client=True) as client:
        newest = client.read_artifacts(limit=1, sort="CREATED_DESC")[0]  # type: ignore[arg-type]
    assert newest.key == "retention"
    assert f"{TODAY - timedelta(days=45)} of `events`: 10 rows" in str(newest.data)


def test_zero_keeps_everything_and_the_parameter_wins_over_the_setting(
    configured: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    land(0, 45, 400)
    monkeypatch.setenv("FURROW_KEEP_EVENTS_DAYS", "0")
    documents.forget_blocks()
    run()
    assert days_of("events") == [0, 45, 400]
    run(days=100)
    assert days_of("events") == [0, 45]


def test_what_waits_for_analysis_is_kept_and_all_that_came_after_it(configured: None) -> None:
    land(0, 40, 45, 50)
    incidents().queue.enqueue_sessions(
        [TouchedSession("default", "s45", 1, 0, received(45))], incidents().queue.read_cursor()
    )
    state = run()
    assert days_of("events") == [0, 40, 45]
    assert "wait for analysis" in str(artifact())
    assert state.is_completed()


def test_what_landed_and_was_not_read_yet_is_kept(configured: None) -> None:
    land(0, 45, 50)
    late = lines([row("late", 5, received_ms=received(48))])
    connections.event_store().land_segment(late, "late")
    run()
    assert days_of("events") == [0, 45, 48]
    incidents().queue.enqueue_sessions([], read_up_to())
    run()
    assert days_of("events") == [0]


def test_dead_letters_go_by_the_day_in_their_name(configured: None, tmp_path: Path) -> None:
    land(0)
    folder = tmp_path / "spool" / "dead-letters"
    folder.mkdir(parents=True)
    names = [f"{TODAY - timedelta(days=days)}.jsonl" for days in (0, 30, 31, 90)] + ["notes.jsonl"]
    for name in names:
        (folder / name).write_text("{}\n")
    run()
    assert sorted(path.name for path in folder.iterdir()) == sorted([*names[:2], "notes.jsonl"])


def test_without_an_event_store_nothing_is_dropped(configured: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FURROW_EVENT_STORE_URL", "log")
    documents.forget_blocks()
    assert run().name == "LoggedOnly"


def artifact() -> Any:
    with get_client(sync_client=True) as client:
        return client.read_artifacts(limit=1, sort="CREATED_DESC")[0].data  # type: ignore[arg-type]


def test_the_sender_of_a_version_is_forgotten_after_eight_days_also_where_nobody_sends(configured: None) -> None:
    store = incidents()
    store.migrate()
    keys = [VersionKey("shop", "production", version) for version in ("old", "new")]
    with store._database.open_transaction() as connection:
        seen = SeenVersions(connection)
        known = seen.see_versions([VersionSight(*key, datetime.now(UTC)) for key in keys])
        seen.note_sources(known, {key: [[number]] for number, key in enumerate(keys, 1)})
        connection.execute(text("UPDATE releases SET noted_at = now() - interval '9 days' WHERE version = 'old'"))
    assert retention(return_state=True).name == "Completed"
    with store._database.open_transaction() as connection:
        assert dict(connection.execute(text("SELECT version, sources FROM releases")).all()) == {"old": [], "new": [2]}
