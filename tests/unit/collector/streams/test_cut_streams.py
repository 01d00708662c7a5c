"""Recordings of calm visits of which requests or events are lost, doubled or late: nothing may alarm.

All variants of a recording are judged at once, each as a session of its own.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import pytest

from collector.streams.registry import STREAMS
from collector.streams.stream import WireEvent
from tests.streams.recordings import RECORDINGS, read_all, read_recording
from tests.tables import build_table
from ufse import detect

FORMATS: Final = {"otel": "otlp"}
"""The format of an SDK whose name is another."""
PATHS: Final = [p for p in sorted(RECORDINGS.glob("*/*.jsonl.gz")) if not read_recording(p).frustrated]
RANDOM_CUTS: Final = 60
Variant = tuple[str, list[int]]


def cut(size: int, seed: int) -> Iterator[Variant]:
    """Name and kept places: without one, only the first, only the last, and seeded random subsets, some of them shuffled."""
    places = list(range(size))
    yield "whole", places
    for i in places:
        yield f"without {i}", places[:i] + places[i + 1 :]
        yield f"the first {i}", places[:i]
        yield f"the last {i}", places[size - i :]
    chance = random.Random(seed)
    for i in range(RANDOM_CUTS):
        share = chance.choice([0.05, 0.1, 0.2, 0.3, 0.5, 0.7])
        kept = [place for place in places if chance.random() >= share]
        chance.shuffle(kept)
        yield f"random {i}", kept + kept[: len(kept) // 3]


def find_alarms(parts: Sequence[Iterable[WireEvent]], seed: int) -> list[tuple[str, str]]:
    """The variant and failure point of each detection, where ``parts`` are lost one by one or together."""
    events: list[WireEvent] = []
    for name, kept in cut(len(parts), seed):
        seen: dict[object, WireEvent] = {}
        for place in kept:
            for event in parts[place]:
                seen.setdefault((event["sessionId"], event["idempotencyKey"]), event)
        events += [event | {"sessionId": f"{name} {str(event['sessionId'])[-40:]}"} for event in seen.values()]
    table, rejects = build_table(events)
    assert not rejects
    found = [detection.to_json() for detection in detect(table).detections]
    return [(detection["sessionId"], detection["primaryFailurePoint"]) for detection in found]


def read_parts(path: Path) -> list[list[WireEvent]]:
    """The events of each request with a body."""
    name = path.name.removesuffix(".jsonl.gz") if path.parent.name.endswith("-shop") else path.parent.name
    stream = next(stream for stream in STREAMS if stream.name == FORMATS.get(name, name))
    return [reading.events for reading in read_all(stream, [s for s in read_recording(path).requests if s.content])]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_lost_doubled_and_shuffled_requests_alarm_nobody(path: Path) -> None:
    assert find_alarms(read_parts(path), 1) == []


@pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_lost_events_alarm_nobody(path: Path) -> None:
    """As if the SDK had put other events into its requests."""
    once = {(event["sessionId"], event["idempotencyKey"]): event for part in read_parts(path) for event in part}
    ordered = sorted(once.values(), key=lambda event: (int(str(event["timestamp"])), str(event["idempotencyKey"])))
    assert find_alarms([[event] for event in ordered], 2) == []
