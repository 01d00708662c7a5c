"""Reads recordings of real SDKs: one session each, every request as it arrived, and what truly happened (`truth`)."""

import base64
import gzip
import json
import zlib
from collections.abc import Iterable
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
