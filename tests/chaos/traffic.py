"""The fixed traffic of every scenario: labelled sessions of two projects, some frustrated, most of them calm.

Written with fixed seeds (``tests.labelled``) and moved in time so that they end shortly before the moment that is asked
for. Of four kinds there are three sessions each, of different people, which confirms their incidents; others happen once
and stay drafts; one session id exists in both projects; one session is two visits that a late event joins.
"""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from collector.contract import parse_time
from tests.labelled.generate import session
from tests.labelled.kinds import KINDS

Event = dict[str, Any]

KEYS = {"default": "test-key", "shop": "chaos-shop-key-0123456789"}
_CONFIRMED = ("rage_5xx", "blocked_submit", "abandon_5xx", "validation_wall")
_ONCE = ("rage_crash", "login_wall", "abandon_session_end")
_CALM_EVERY = 12
_BATCH = 45


@dataclass(frozen=True)
class Batch:
    """Events of one project that are sent in one request."""

    project: str
    events: tuple[Event, ...]


@cache
def traffic(end_ms: int) -> tuple[tuple[str, Event], ...]:
    """(project, event), ordered by time; timestamps are epoch milliseconds. The last session ends at ``end_ms``."""
    told: list[tuple[str, list[Event]]] = []
    for kind in _CONFIRMED:
        told += [("default", _named(kind, 0, f"{kind}-of-{person}", person)) for person in ("ann", "bob", "cy")]
    told += [("default", _named(kind, 1, f"{kind}-once", "dee")) for kind in _ONCE]
    told += [("shop", _named("blocked_submit", 3, "rage_5xx-of-ann", "ann"))]
    calm = [name for name in sorted(KINDS) if not KINDS[name].frustrated][::_CALM_EVERY]
    told += [("default", _named(kind, 2, f"{kind}-calm", "eve")) for kind in calm]
    placed = [
        (project, event)
        for place, (project, events) in enumerate(told)
        for event in _ending(events, end_ms - place * 9_000)
    ]
    placed += [("default", event) for event in _bridged(end_ms)]
    return tuple(sorted(placed, key=lambda one: (one[1]["timestamp"], one[1]["sessionId"], one[1]["idempotencyKey"])))


def _named(kind: str, seed: int, session_id: str, user: str) -> list[Event]:
    events, _ = session(KINDS[kind], seed)
    return [
        {**event, "sessionId": session_id, "userId": user, "idempotencyKey": f"{session_id}:{number}"}
        for number, event in enumerate(events)
    ]


def _ending(events: list[Event], end_ms: int) -> list[Event]:
    times = [parse_time(event["timestamp"]) or 0 for event in events]
    return [{**event, "timestamp": at - max(times) + end_ms} for event, at in zip(events, times, strict=True)]


def _bridged(end_ms: int) -> list[Event]:
    """Two struggles 24 min apart, and the one click between them that makes them one visit."""
    early = _ending(_named("rage_5xx", 0, "joined", "fay"), end_ms - 24 * 60_000)
    late = _ending(_named("rage_5xx", 0, "joined", "fay"), end_ms)
    early = [event for event in early if event["eventType"] != "session_end"]
    late = [{**event, "idempotencyKey": event["idempotencyKey"] + "b"} for event in late]
    between = {**early[0], "timestamp": end_ms - 13 * 60_000, "idempotencyKey": "joined:between"}
    return [*early, between, *late]


def is_bridge(event: Event) -> bool:
    """Whether this event joins two visits."""
    return str(event["idempotencyKey"]) == "joined:between"


def batches(events: list[tuple[str, Event]]) -> list[Batch]:
    """The events in their order, cut into requests of one project each."""
    made = []
    for project in KEYS:
        own = [event for owner, event in events if owner == project]
        made += [Batch(project, tuple(own[at : at + _BATCH])) for at in range(0, len(own), _BATCH)]
    return made


def body(batch: Batch, now_ms: int, fast_ms: int = 0) -> dict[str, Any]:
    """The request's body as a client sends it whose clock is ahead by ``fast_ms``."""
    events = [{**event, "timestamp": _iso(event["timestamp"] + fast_ms)} for event in batch.events]
    return {"sentAt": _iso(now_ms + fast_ms), "events": events}


def _iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds")


def shuffled(rng: random.Random, events: list[tuple[str, Event]]) -> list[tuple[str, Event]]:
    """The same events in another order."""
    mixed = list(events)
    rng.shuffle(mixed)
    return mixed
