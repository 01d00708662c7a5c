"""`furrow keys` on a Postgres server that is given by its URL and has no tables yet."""

import json
import subprocess
from datetime import UTC, datetime, timedelta

from collector.access.keys import hash_key
from stores.incidents.incident_store import IncidentStore
from tests.e2e.installation import FURROW, environment


def furrow(url: str, *arguments: str) -> str:
    environ = environment(FURROW_INCIDENT_STORE_URL=url)
    told = subprocess.run([*FURROW, *arguments], capture_output=True, text=True, env=environ, timeout=120, check=False)
    assert told.returncode == 0, told.stderr
    return told.stdout


def test_a_key_is_stored_hashed_and_its_last_use_is_listed(postgres_url: str) -> None:
    key = json.loads(furrow(postgres_url, "keys", "create", "--label", "server", "--json"))["key"]
    store = IncidentStore.connect(postgres_url)
    (stored,) = store.keys.read_api_keys()
    assert (stored.key_hash, stored.prefix, stored.label) == (hash_key(key), key[:11], "server")
    (listed,) = json.loads(furrow(postgres_url, "keys", "list", "--json"))
    assert (listed["lastUsedAt"], listed["prefix"]) == (None, key[:11])
    used = datetime(2026, 1, 5, 12, tzinfo=UTC)
    store.keys.record_keys_used({stored.key_hash: used, "unknown": used})
    store.keys.record_keys_used({stored.key_hash: used - timedelta(days=1)})  # told late: changes nothing
    store.close()
    assert "last used 2026-01-05 12:00" in furrow(postgres_url, "keys", "list")
