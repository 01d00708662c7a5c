"""Plays request bodies through the collector's contract at chosen receipt times, then through the engine."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from collector.contract import decode_body, normalise_batch, to_arrow
from ufse import EVENT_SCHEMA, Result, detect

FOUND = Path(__file__).resolve().parents[3] / "data" / "found"
T0 = 1_772_442_000_000  # 2026-03-02T09:00:00Z
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"

Event = dict[str, Any]
Batch = Mapping[str, Any]
"""``receivedMs`` (epoch ms) and ``body``, as the files of tests/data/found hold them; ``agent`` is the HTTP header."""


def play_batches(batches: Iterable[Batch]) -> pa.Table:
    """The table of EVENT_SCHEMA after the batches arrived, each at its own receipt time. Nothing may be rejected."""
    parts = []
    for batch in batches:
        taken = normalise_batch(
            decode_body(json.dumps(batch["body"]).encode()),
            project="p",
            received_ms=batch["receivedMs"],
            salt=b"salt",
            http_user_agent=batch.get("agent", BROWSER),
        )
        assert taken.rejects == []
        parts.append(to_arrow(taken.rows))
    return pa.Table.from_batches(parts, EVENT_SCHEMA)


def judge_batches(batches: Iterable[Batch]) -> Result:
    """What the engine finds in the batches."""
    return detect(play_batches(batches), why_not=True)


def count_detections(batches: Iterable[Batch]) -> int:
    """How many detections the batches give."""
    return len(judge_batches(batches).detections)


def read_found(name: str) -> list[Batch]:
    """The batches of a file of tests/data/found."""
    loaded: list[Batch] = json.loads((FOUND / name).read_text(encoding="utf-8"))
    return loaded


def write_time(ms: float) -> str:
    """Epoch milliseconds as a browser writes them."""
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def make_batch(
    events: list[Event], sent: float | None, received: float, ahead: float = 0.0, agent: str = BROWSER
) -> Batch:
    """A batch of events at ``t`` seconds after T0, from a client whose clock is ``ahead`` seconds ahead.

    ``sent`` and ``received``: true seconds after T0; ``sent`` None: the batch names no time.
    """
    moved = [
        {**{k: v for k, v in event.items() if k != "t"}, "timestamp": write_time(T0 + (event["t"] + ahead) * 1000)}
        for event in events
    ]
    body: dict[str, Any] = {"events": moved}
    if sent is not None:
        body["sentAt"] = write_time(T0 + (sent + ahead) * 1000)
    return {"receivedMs": round(T0 + received * 1000), "body": body, "agent": agent}


def click(t: float, control: str = "pay", route: str = "/checkout") -> Event:
    return {
        "t": t,
        "sessionId": "s1",
        "eventType": "click",
        "route": route,
        "target": {"type": "button", "id": control},
    }


def answer(t: float, status: int = 500, took: float = 0.3, url: str = "/api/orders", route: str = "/checkout") -> Event:
    """A request that ended at ``t`` after ``took`` seconds."""
    known = {"method": "POST", "url": url, "status": status, "durationMs": round(took * 1000)}
    return {"t": t, "sessionId": "s1", "eventType": "network", "route": route, "metadata": known}


def end(t: float, route: str = "/checkout") -> Event:
    return {"t": t, "sessionId": "s1", "eventType": "session_end", "route": route}
