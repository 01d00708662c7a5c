"""Normalised event rows for tests that start behind the collector."""

import json
import uuid
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from ufse.columns import EVENT_SCHEMA

BASE_MS = 1_700_000_000_000


def row(session_id: str = "s1", at_ms: int = 0, **columns: Any) -> dict[str, Any]:
    """One event at ``at_ms`` after a fixed moment; every column that is not given is unknown."""
    unknown = {field.name: "" if pa.types.is_string(field.type) else -1 for field in EVENT_SCHEMA}
    return {
        **unknown,
        "project": "default",
        "session_id": session_id,
        "event_id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{session_id} {at_ms} {sorted(columns.items())}")),
        "event_type": "click",
        "ts": BASE_MS + at_ms,
        "received_ms": BASE_MS + at_ms,
        "route": "/",
        "metadata": "{}",
        **columns,
    }


def lines(rows: Iterable[dict[str, Any]]) -> bytes:
    """Rows as a spool segment holds them."""
    return b"".join(json.dumps(one).encode() + b"\n" for one in rows)
