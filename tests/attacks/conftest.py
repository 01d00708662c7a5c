"""An installation on real (embedded) stores, behind a collector on a real socket."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from blocks import documents
from tasks import connections
from tests.attacks.senders import Site, site


@pytest.fixture
def configured(
    prefect: None, event_store_url: str, postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Both stores configured for this test alone; a session is complete as soon as it has ended."""
    monkeypatch.setenv("FURROW_EVENT_STORE_URL", event_store_url)
    monkeypatch.setenv("FURROW_INCIDENT_STORE_URL", postgres_url)
    monkeypatch.setenv("FURROW_DATA_DIR", str(tmp_path))
    monkeypatch.setattr("tasks.enqueue.ENDED_MS", 0)
    documents.forget_blocks()
    yield
    connections.close_connections()
    documents.forget_blocks()


@pytest.fixture
def public(configured: None, tmp_path: Path) -> Iterator[Site]:
    """A collector that faces the internet."""
    with site(tmp_path) as made:
        yield made
