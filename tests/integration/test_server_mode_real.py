"""The event store's cases against a ClickHouse server of your own; left out where there is none.

``TEST_CLICKHOUSE_URL=clickhouse://user:password@host:8123 pytest tests/integration/test_server_mode_real.py`` makes a
database of its own for each case (the user needs the right to) and drops it afterwards.
"""

import os
import uuid
from collections.abc import Iterator

import pytest

from stores.events.event_store import EventStore
from tests.integration import test_event_store as embedded

ADDRESS = os.environ.get("TEST_CLICKHOUSE_URL", "").rstrip("/")

pytestmark = pytest.mark.skipif(
    not ADDRESS, reason="TEST_CLICKHOUSE_URL names no server: only the stand-in (test_server_mode_store.py) is tried"
)

globals().update({name: case for name, case in vars(embedded).items() if name.startswith("test_")})


@pytest.fixture
def empty_event_store_url() -> Iterator[str]:
    """URL of an empty database of that server."""
    name = f"furrow_test_{uuid.uuid4().hex}"
    yield f"{ADDRESS}/{name}"
    store = EventStore(f"{ADDRESS}/default")
    with store.borrow_client() as client:
        client.command(f"DROP DATABASE IF EXISTS {name}")
    store.close()


@pytest.fixture
def event_store_url(empty_event_store_url: str) -> str:
    """The same: `event_store` migrates it."""
    return empty_event_store_url
