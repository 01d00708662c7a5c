"""Reads recordings of real SDKs: one session each, every request as it arrived, and what truly happened (`truth`)."""

import base64
import gzip
import json
import zlib
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from collector.streams.stream import Reading, SentBody, Stream, WireEvent
from tests.tables import build_table
from ufse import Detection, detect

RECORDINGS: Final = Path(__file__).resolve().parents[1] / "data" / "streams"


@dataclass(frozen=True, slots=True)
class Recording:
    """``truth`` is the first line of the file; ``requests`` are in the order of their arrival, bodies as they were sent."""

    name: str
    truth: dict[str, object]
    requests: tuple[SentBody, ...]

    @property
    def frustrated(self) -> bool:
        return bool(self.truth["frustrated"])


def list_recordings(sdk: str) -> list[Path]:
    return sorted((RECORDINGS / sdk).glob("*.jsonl.gz"))


def read_recording(path: Path) -> Recording:
    first, *lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    return Recording(path.name, json.loads(first)["truth"], tuple(map(_read_request, lines)))


def _read_request(line: str) -> SentBody:
    sent = json.loads(line)
    body = base64.b64decode(sent["bodyBase64"]) if "bodyBase64" in sent else sent.get("body", "").encode()
    headers = {name.lower(): value for name, value in sent.get("headers", {}).items()}
    where = urlsplit(sent["path"])
    return SentBody(
        content=body,
        path=where.path.lstrip("/"),
        query=dict(parse_qsl(where.query, keep_blank_values=True)),
        media_type=headers.get("content-type", "").partition(";")[0].strip().lower(),
        received_ms=int(sent["t"] * 1_000),
    )


def inflate(sent: SentBody) -> SentBody:
    """As the intake does before it calls an adapter: gzip and zlib are recognised by their first bytes."""
    head = sent.content[:2]
    if head == b"\x1f\x8b":
        return replace(sent, content=zlib.decompress(sent.content, wbits=31))
    if len(head) == 2 and head[0] == 0x78 and int.from_bytes(head) % 31 == 0:
        return replace(sent, content=zlib.decompress(sent.content))
    return sent


def read_all(stream: Stream, requests: Iterable[SentBody]) -> list[Reading]:
    return [stream.read(inflate(sent)) for sent in requests]


def judge(readings: Iterable[Reading]) -> list[Detection]:
    """What the engine finds in the events of ``readings``, each event once."""
    events: dict[object, WireEvent] = {}
    for reading in readings:
        for event in reading.events:
            events.setdefault((event["sessionId"], event["idempotencyKey"]), event)
    table, rejects = build_table(events.values())
    assert not rejects, rejects[:3]
    return [found.to_json() for found in detect(table).detections]


def summarise(readings: Iterable[Reading]) -> list[tuple[str, int]]:
    """Failure point and score of what the engine finds."""
    return [(found["primaryFailurePoint"], found["frustrationScore"]) for found in judge(readings)]


def is_at(detection: Detection, point: Mapping[str, str]) -> bool:
    """Whether ``detection`` stands at ``point``: its control, on its page (the engine replaces ids in routes)."""
    route, target, _ = detection["primaryFailurePoint"].split(" › ", 2)
    return point["target"] in target and point["route"].split("/")[1] == route.split("/")[1]


def check_judgement(stream: Stream, path: Path, evident: Container[str]) -> None:
    """The recording is found where its name is among ``evident``, at a place where the truth has it; nothing is rejected."""
    recording = read_recording(path)
    readings = read_all(stream, recording.requests)
    found, points = judge(readings), recording.truth["points"]
    assert isinstance(points, list)
    assert bool(found) == (path.name in evident)
    assert not [reject for reading in readings for reject in reading.rejects]
    assert all(any(is_at(detection, point) for point in points) for detection in found)


def check_orders(stream: Stream, path: Path) -> None:
    """The same is found when requests come in another order, and twice."""
    requests = read_recording(path).requests
    once, back = (summarise(read_all(stream, order)) for order in (requests, requests[::-1]))
    twice = summarise(read_all(stream, [*requests, *requests[::-1]]))
    assert once == back == twice
