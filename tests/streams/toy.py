"""A small format of our own for tests of the intake, and ``python -m tests.streams.toy -``: a collector that serves it.

A body is a JSON object: ``items`` with ``at``, ``visit``, ``id`` and ``kind`` (``press`` is a click; ``noise`` is ignored),
``sent`` and ``sdk``. ``crash`` makes the adapter fail as if it had a bug, ``answerCrash`` the answer.
"""

import json
import sys
from typing import Any, Final

from collector.__main__ import serve_collector
from collector.config import CollectorConfig
from collector.routes import registry, streams
from collector.streams.stream import Reading, RejectedItem, SentBody, Stream, StreamAnswer, UnreadableBody


def read_toy(sent: SentBody) -> Reading:
    try:
        body: Any = json.loads(sent.content)
    except ValueError:
        raise UnreadableBody("it is not JSON") from None
    if not isinstance(body, dict) or not isinstance(body.get("items"), list):
        raise UnreadableBody("it has no items")
    if "crash" in body:
        raise KeyError(body["crash"])
    reading = Reading(sent_ms=body.get("sent"), sdk_version=body.get("sdk", ""))
    for item in body["items"]:
        if item.get("kind") == "noise":
            reading.ignored["noise"] += 1
        elif not item.get("id"):
            reading.rejects.append(RejectedItem("id", "is missing", {"kind": "press", "visit": item.get("visit")}))
        else:
            reading.events.append(
                {
                    "eventType": "click",
                    "timestamp": item["at"],
                    "sessionId": item["visit"],
                    "idempotencyKey": item["id"],
                    "target": {"id": sent.query.get("control", "pay")},
                }
            )
    return reading


def answer_toy(sent: SentBody, reading: Reading) -> StreamAnswer:
    if b"answerCrash" in sent.content:
        raise KeyError(sent.content.decode())
    answer = {"rejected": len(reading.rejects), "path": sent.path, "type": sent.media_type}
    return StreamAnswer(content=json.dumps(answer).encode())


def configure_toy(path: str) -> StreamAnswer | None:
    return StreamAnswer(content=b'{"on":true}') if path == "array/token/config" else None


TOY: Final = Stream(
    name="toy",
    title="the toy format",
    read=read_toy,
    recognises=lambda sent: sent.content.startswith(b'{"items"'),
    answer=answer_toy,
    max_bytes=10 << 20,
    configuration=configure_toy,
    request_headers=("x-toy",),
    allows_credentials=True,
    lacks=("form events", "`responded`"),
)
MEEK: Final = Stream(
    name="meek",
    title="the meek format",
    read=read_toy,
    recognises=lambda sent: False,
    answer=answer_toy,
    unreadable_status=200,
)
"""Answers 200 to whatever it cannot read; bodies of at most 1 MiB."""
GROUPS: Final = (*(group for group in registry.GROUPS if group is not streams.GROUP), streams.make_group((TOY, MEEK)))

if __name__ == "__main__":
    serve_collector(CollectorConfig.model_validate_json(sys.stdin.buffer.read()), GROUPS)
