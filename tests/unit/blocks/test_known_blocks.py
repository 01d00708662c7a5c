"""A Prefect server that takes connections and never answers, on a real socket: nobody waits for its blocks to be read."""

import socket
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import SecretStr

from blocks import documents
from collector.spool.segments import list_segments
from collector.spool.spool import Spool
from core import known_stores
from core.errors import TransientError
from core.known_stores import KnownStores
from core.settings import Settings
from lander.loop import Lander
from stores.events.event_store import EventStore
from tasks import connections
from tests.rows import lines, row

T = TypeVar("T")
HANGING_S = 60.0


@pytest.fixture
def hung_prefect(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("FURROW_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(documents, "_REQUEST_SECONDS", 3_600.0)
    documents.forget_blocks()
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/api"
        with temporary_settings({PREFECT_API_URL: url}):
            yield
    documents.forget_blocks()


def bounded(call: Callable[[], T]) -> T:
    """What ``call`` gives or raises, in the context of the caller; an assertion if it hangs."""
    import contextvars

    found: list[T | BaseException] = []

    def run() -> None:
        try:
            found.append(call())
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=contextvars.copy_context().run, args=(run,), daemon=True)
    thread.start()
    thread.join(HANGING_S)
    assert found, "it hangs"
    if isinstance(found[0], BaseException):
        raise found[0]
    return found[0]


@pytest.mark.usefixtures("hung_prefect")
def test_landing_does_not_wait_and_uses_what_was_known_last(
    tmp_path: Path, event_store_url: str, event_store: EventStore
) -> None:
    with pytest.raises(TransientError, match="not known which stores"):
        bounded(connections.landing_store)
    known_stores.write_known_stores(tmp_path, KnownStores(events=event_store_url))
    assert bounded(documents.known_settings).event_store_url == SecretStr(event_store_url)
    spool = Spool(tmp_path / "spool")
    spool.append(lines([row("while-prefect-hangs")]), 1).result(10)
    spool.close()
    lander = Lander(tmp_path / "spool", lambda: event_store, tmp_path / "lander.json")
    assert bounded(lambda: (documents.known_settings(), lander.land_all_segments())[1]) == 1
    assert list_segments(tmp_path / "spool") == []


@pytest.mark.usefixtures("hung_prefect")
def test_a_run_waits_for_a_while_and_goes_on_with_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "_FIRST_SECONDS", 0.1)
    monkeypatch.setattr(documents, "LIMIT_SECONDS", 0.1)
    with pytest.raises(TransientError, match="Prefect does not answer"):
        bounded(documents.effective_settings)
    known = Settings().model_copy(update={"jira_url": "https://jira.test"})
    documents._reader._known = known
    documents._reader._fresh_until = 0.0
    assert bounded(documents.effective_settings) is known
    assert bounded(documents.known_settings) is known


def test_what_blocks_say_of_the_stores_is_kept_for_the_next_start_by_the_owner_alone(tmp_path: Path) -> None:
    plain = Settings()
    url = "clickhouse://furrow:hunter2@events/furrow"
    effective = plain.model_copy(update={"event_store_url": SecretStr(url)})
    known_stores.write_known_stores(tmp_path, known_stores.find_changed_stores(plain, effective))
    kept = known_stores.read_known_stores(tmp_path)
    assert kept == KnownStores(url, None)
    assert kept is not None
    assert kept.apply_to_settings(plain) == effective
    assert stat.S_IMODE((tmp_path / known_stores.FILE).stat().st_mode) == 0o600
    (tmp_path / known_stores.FILE).write_text("{")
    assert known_stores.read_known_stores(tmp_path) is None


def test_behind_a_closed_gate_no_server_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FURROW_PREFECT_GATE", str(tmp_path / "closed"))
    documents.forget_blocks()
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        stranger.setblocking(False)
        url = f"http://127.0.0.1:{stranger.getsockname()[1]}/api"
        with temporary_settings({PREFECT_API_URL: url}), pytest.raises(TransientError):
            documents.effective_settings()
        with pytest.raises(BlockingIOError):
            stranger.accept()
