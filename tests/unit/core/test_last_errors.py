"""Each part's last error, and how far the work is behind: what `furrow doctor` and the artifacts of runs are made of."""

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from collector.lag import Lag, measure_lag
from core import last_errors
from core.error_messages import describe_error
from core.errors import FurrowError, PermanentError
from core.last_errors import to_single_line
from core.settings import Settings
from furrow.clients.prefect_api import PrefectApi
from incidents.model import Cursor, PendingSession
from stores.events.event_store import EventStore
from stores.incidents.incident_store import IncidentStore
from tasks.report import incident_link


def error_of_the_event_store() -> FurrowError:
    with pytest.raises(FurrowError) as raised:
        EventStore("clickhouse://nobody@127.0.0.1:9/nothing").ping()
    return raised.value


def test_an_error_names_the_part_that_it_comes_from() -> None:
    assert last_errors.find_failed_part(error_of_the_event_store(), "step") == "event store"
    with pytest.raises(FurrowError) as raised:
        IncidentStore.connect("postgresql://nobody@127.0.0.1:9/nothing").ping()
    assert last_errors.find_failed_part(raised.value, "step") == "incident store"
    assert last_errors.find_failed_part(PermanentError("of nobody"), "step") == "step"


def test_the_last_one_of_each_part_is_kept_on_one_line(tmp_path: Path) -> None:
    last_errors.record_last_error(tmp_path, "jira", PermanentError("first"))
    last_errors.record_last_error(tmp_path, "jira", PermanentError("second\nline\x1b[31m"))
    last_errors.record_last_error(tmp_path, "event store", PermanentError("x" * 10_000))
    (tmp_path / "last-errors" / "torn.json").write_text("{")
    found = last_errors.read_last_errors(tmp_path)
    assert set(found) == {"jira", "event store"}
    assert found["jira"].message == "second line [31m"
    assert len(found["event store"].message) == last_errors.LONGEST
    assert found["jira"].format_message(found["jira"].at + 3_700) == "last error 62 min ago: second line [31m"


def test_nothing_is_made_where_there_is_no_installation(tmp_path: Path) -> None:
    last_errors.record_last_error(tmp_path / "nowhere", "jira", PermanentError("lost"))
    assert last_errors.read_last_errors(tmp_path / "nowhere") == {}
    assert list(tmp_path.iterdir()) == []


class Sessions:
    """A line in which one session has been complete for so long (s)."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def find_due_sessions(self, now_ms: int, limit: int) -> list[PendingSession]:
        assert limit == 1
        due = PendingSession("default", "s", 1, 1, 0, now_ms - int(self.seconds * 1000))
        return [due] if self.seconds else []

    def count_pending_sessions(self, now_ms: int) -> dict[str, int]:
        return {"due": 7, "open": 8}

    def read_cursor(self, name: str = "detect") -> Cursor:
        return Cursor()


def test_the_lag_is_the_longest_wait(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    assert measure_lag(settings, Sessions(0)) == Lag(0.0, 0.0, None, 7, 8, 0.0)
    assert measure_lag(settings, Sessions(700)).longest_wait_seconds // 100 == 7
    settings.spool_dir.mkdir()
    sealed = time.time_ns() - 1_000 * 10**9
    (settings.spool_dir / f"{sealed:020d}-3-{'a' * 32}.jsonl").write_text("{}\n")
    settings.lander_status.write_text(json.dumps({"landedAtMs": int((time.time() - 5_000) * 1000)}))
    found = measure_lag(settings, None)
    assert (found.longest_wait_seconds // 100, found.analysis_s, found.due) == (10, None, None)
    assert found.landed_s is not None
    assert found.landed_s // 1000 == 5
    assert "not known, the incident store does not answer" in "".join(found.describe_lag())


@pytest.mark.parametrize("url", ["", "javascript:alert(1)", "https://", "https://x> [y](z", "ftp://x"])
def test_an_address_that_is_none_is_no_link(url: str) -> None:
    assert incident_link("inc_1", url) == r"inc\_1"


def test_an_incident_links_to_its_page() -> None:
    assert incident_link("inc_1", "https://furrow.test/") == r"[inc\_1](<https://furrow.test/incidents/inc_1>)"


def catch(provoke: Callable[[], object]) -> BaseException:
    try:
        provoke()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def engine_of_sqlalchemy() -> object:
    return sa.create_engine("postgresql+psycopg://nobody@127.0.0.1:9/nothing").connect()


@pytest.mark.parametrize(
    ("provoke", "words"),
    [
        (engine_of_sqlalchemy, "an unexpected error; the log has its details"),
        (lambda: {}["hunter2"], "an unexpected error; the log has its details"),
        (lambda: Settings(port="hunter2"), "an unexpected error; the log has its details"),
        (lambda: to_single_line(None), "an unexpected error in core.last_errors, line "),
        (lambda: Path("/nothing/there").read_text(), "No such file or directory: /nothing/there"),
        (lambda: httpx.get("http://127.0.0.1:9/"), "connection refused"),
        (
            lambda: PrefectApi("http://127.0.0.1:9/api").list_recent_runs(1),
            "Prefect does not answer at http://127.0.0.1:9",
        ),
    ],
)
def test_an_error_that_nobody_foresaw_names_no_class_and_repeats_nothing(
    provoke: Callable[[], object], words: str, tmp_path: Path
) -> None:
    error = catch(provoke)
    last_errors.record_last_error(tmp_path, "prefect", error)
    for kept in (
        last_errors.read_last_errors(tmp_path)["prefect"].message,
        describe_error(error),
        describe_error(ExceptionGroup("x", [error])),
    ):  # type: ignore[list-item]
        assert words in kept
        assert "hunter2" not in kept
        assert not re.search(r"\w+(Error|Exception)\b|psycopg|sqlalchemy", kept), kept


def test_an_http_response_is_described_by_its_status() -> None:
    answer = httpx.Response(503, request=httpx.Request("GET", "http://prefect.test/api/x?key=hunter2"))
    error = catch(answer.raise_for_status)
    assert describe_error(error) == "prefect.test answered 503"
