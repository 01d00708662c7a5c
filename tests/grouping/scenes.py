"""Pairs of scenes: two ways in which one bug may be named, or two bugs that are named alike.

``pairs.jsonl`` has one pair a line: ``family``, ``bugs`` (``one`` or ``two``) and the scenes ``a`` and ``b``. A scene is a
control (``type``, ``tag``, ``id``, ``selector``, ``label``) on a ``route`` that is pressed until the user gives up, and what
fails each time: a request (``method``, ``url``, ``status``) or, with ``message``, an error (``frame``: of its stack).
``context`` are routes that other sessions of the project visit; ``values`` (``/shop/*/orders*300``) are so many sessions with
a name of their own in place of ``*``. The events pass the collector's contract, masks included.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final, Literal

import pyarrow as pa

from collector.contract import read_events
from ufse import detect, learn_history

PAIRS: Final = Path(__file__).parent / "pairs.jsonl"
ASIDE: Final = "furrow grouping"
"""Seed of the half that is kept aside while rules are written."""
_T0: Final = 1_705_312_800_000  # 2024-01-15T10:00:00Z
Event = dict[str, Any]


@dataclass(frozen=True)
class Scene:
    """One control, its page, and what fails."""

    type: str = "button"
    tag: str = "button"
    id: str = ""
    selector: str = ""
    label: str = ""
    route: str = "/checkout"
    method: str = "POST"
    url: str = "/api/orders"
    status: int = 500
    message: str = ""
    frame: str = ""
    context: list[str] = field(default_factory=list)
    values: str = ""


@dataclass(frozen=True)
class Pair:
    """Two scenes, and whether they show one bug or two."""

    family: str
    bugs: Literal["one", "two"]
    a: Scene
    b: Scene
    aside: bool
    """Of the half that no rule was written for."""


def read_pairs() -> list[Pair]:
    """The pairs, in the order of the file. About half of each family and kind is aside."""
    pairs = []
    for line in PAIRS.read_text(encoding="utf-8").splitlines():
        pair = json.loads(line)
        aside = blake2b(f"{ASIDE} {line}".encode(), digest_size=1).digest()[0] % 2 == 1
        pairs.append(Pair(pair["family"], pair["bugs"], Scene(**pair["a"]), Scene(**pair["b"]), aside))
    return pairs


def make_events(scene: Scene, session: str) -> Iterator[Event]:
    """The session in which the scene is seen: the control is pressed five times, fails each time, and the user leaves."""
    target = {
        "type": scene.type,
        "tagName": scene.tag,
        "id": scene.id,
        "selector": scene.selector,
        "label": scene.label,
    }
    target = {name: text for name, text in target.items() if text}

    def event(ms: int, kind: str, route: str = scene.route, **rest: object) -> Event:
        return {"eventType": kind, "timestamp": _T0 + ms, "sessionId": session, "route": route, **rest}

    yield event(0, "navigation", metadata={"from": "/start", "navigationType": "link"})
    for n in range(5):
        at = 5_000 + n * 900
        yield event(at, "click", target=target, metadata={"x": 100, "y": 200})
        if scene.message:
            told = {"errorType": "javascript", "message": scene.message, "frame": scene.frame}
            yield event(at + 60, "error", metadata={name: text for name, text in told.items() if text})
        else:
            answer = {"method": scene.method, "url": scene.url, "status": scene.status, "durationMs": 150}
            yield event(at + 200, "network", metadata=answer)
    yield event(14_000, "navigation", "/help", metadata={"from": scene.route, "navigationType": "link"})
    yield event(15_000, "session_end", "/help")


def _make_context(scene: Scene) -> Iterator[Event]:
    routes = list(scene.context)
    if scene.values:
        pattern, _, count = scene.values.rpartition("*")
        names = [
            f"{'bcdfglmnprst'[n % 12]}{'aeiou'[n // 12 % 5]}{'lmnrst'[n // 60 % 6]}{'ao'[n // 360]}"
            for n in range(int(count))
        ]
        routes += [pattern.replace("*", name) for name in names]
    for n, route in enumerate(routes):
        yield {
            "eventType": "navigation",
            "timestamp": _T0 + n * 1_000,
            "sessionId": f"context-{n}",
            "route": route,
            "metadata": {"navigationType": "link"},
        }


def find_fingerprints(pairs: list[Pair], folder: Path) -> list[tuple[set[str], set[str]]]:
    """The fingerprints of each pair's scenes. Each pair is a project; its history is what all its sessions show."""
    tables = []
    for number, pair in enumerate(pairs):
        events = [*make_events(pair.a, "a"), *make_events(pair.b, "b")]
        for scene in (pair.a, pair.b):
            events += _make_context(scene)
        file = folder / "events.jsonl"
        file.write_text("\n".join(json.dumps(event) for event in events), encoding="utf-8")
        table, rejects = read_events(file)
        if rejects:
            raise ValueError(f"the contract rejects an event of pair {number} ({pair.family}): {rejects[0]}")
        project = pa.array([f"pair {number}"] * table.num_rows, table.schema.field("project").type)
        tables.append(table.set_column(table.schema.get_field_index("project"), "project", project))
    whole = pa.concat_tables(tables)
    found: dict[tuple[str, str], set[str]] = {}
    for detection in detect(whole, history=learn_history(whole)).detections:
        body = detection.to_json()
        found.setdefault((body["projectId"], body["sessionId"]), set()).add(body["fingerprint"])
    return [(found.get((f"pair {n}", "a"), set()), found.get((f"pair {n}", "b"), set())) for n in range(len(pairs))]
