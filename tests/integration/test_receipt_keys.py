"""The key that a session came with, from a request to its origin: through a real collector, segments and the event store."""

import time
from pathlib import Path

import pytest
from pydantic import SecretStr

from collector.access.keys import hash_key
from collector.spool.segments import list_segments
from core.ingest_keys import number_ingest_key
from stores.events import event_receipts
from stores.events.event_store import EventStore
from tests.attacks.senders import KEY, OPERATOR, frustrated, site

OTHER = "key-of-the-app"


def test_the_key_of_a_session_reaches_the_event_store(event_store: EventStore, tmp_path: Path) -> None:
    with site(tmp_path, ingest_key=SecretStr(OTHER)) as public:
        public.send(frustrated("web", "orders"))
        public.send(frustrated("app", "orders"), **{"X-API-Key": OTHER})
        public.send(frustrated("imported", "orders"), **{"X-Operator-Key": OPERATOR["X-API-Key"]})
    receipts = b"".join(segment.parts()[1] for segment in list_segments(tmp_path / "spool"))
    # A receipt of an older version names no key.
    older = b'{"source_today":5,"source_before":4,"project":"default","session_id":"older","received_ms":%d}\n'
    event_receipts.land_receipts(event_store, receipts + older % (time.time() * 1000), "one")
    table = event_store.query_arrow("SELECT session_id, session_hash, ingest_key FROM receipts ORDER BY session_id", {})
    numbers = dict(zip(table["session_id"].to_pylist(), table["ingest_key"].to_pylist(), strict=True))
    assert numbers == {
        "app": number_ingest_key(hash_key(OTHER)),
        "imported": 0,
        "older": 0,
        "web": number_ingest_key(hash_key(KEY["X-API-Key"])),
    }
    senders = event_receipts.read_session_senders(event_store, table["session_hash"].to_pylist())
    assert sorted(senders["ingest_key"].to_pylist()) == sorted(numbers.values())


@pytest.mark.parametrize("digest", ["0" * 64, "f" * 64, hash_key("any")])
def test_the_number_of_a_key_is_above_zero_and_fits_a_bigint(digest: str) -> None:
    assert 0 < number_ingest_key(digest) < 1 << 63
