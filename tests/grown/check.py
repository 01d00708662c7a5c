"""Check a folder of grown sessions: ``python -m tests.grown.check DIR``."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter, defaultdict
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.grown.blocks import load_blocks

Json = dict[str, Any]
TYPES = {"click", "input", "scroll", "form_submit", "navigation", "error", "network", "performance", "visibility"}
TARGET_KEYS = {"type", "id", "selector", "tagName", "label"}
LABEL_KEYS = ["sessionId", "frustrated", "route", "target", "kind"]
EXTRA = {
    "m:from",
    "m:aborted",
    "m:thirdParty",
    "t:id",
    "t:label",
    "m:durationMs",
    "m:method",
    "m:status",
    "m:frustrationTypes",
}
GAP_MS = 15 * 60 * 1000


def read_lines(path: Path) -> list[Json]:
    """Read a file of one JSON object a line."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def millis_of(event: Json) -> float:
    """Return the time of an event in epoch milliseconds."""
    stamp = event["timestamp"]
    if isinstance(stamp, str):
        return datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp() * 1000
    return float(stamp)


def check_event(event: Json) -> list[str]:
    """Return what is wrong with an event by the contract."""
    wrong = []
    if event["eventType"] not in TYPES:
        wrong.append(f"type {event['eventType']}")
    if not (1 <= len(event["sessionId"]) <= 128 and event["sessionId"].isprintable()):
        wrong.append("session id")
    route = event["route"]
    if not route.startswith("/") or len(route) > 512 or "?" in route or "#" in route:
        wrong.append(f"route {route}")
    target = event.get("target", {})
    if set(target) - TARGET_KEYS or len(target.get("label", "")) > 80:
        wrong.append(f"target {target}")
    meta = event["metadata"]
    if any(isinstance(value, dict | list) for value in meta.values()):
        wrong.append("metadata is not flat")
    if event["eventType"] == "network" and not str(meta.get("url", "/")).startswith("/"):
        wrong.append(f"url {meta.get('url')}")
    if float(meta.get("durationMs", 0)) < 0:
        wrong.append("negative duration")
    text = json.dumps(event)
    if re.search(r"[\w.]+@[\w.]+\.\w+|csrf|Bearer ", text):
        wrong.append("personal data or a token")
    return wrong


def check_shape(event: Json, sdk: str) -> list[str]:
    """Return the keys that no recording of the SDK has for this type of event."""
    shapes = load_blocks()["shapes"].get(sdk, {}).get(event["eventType"])
    if shapes is None:
        return []
    keys = {f"m:{key}" for key in event["metadata"]} | {f"t:{key}" for key in event.get("target", {})}
    return sorted(keys - set(shapes) - EXTRA)


def check_label(label: Json, events: list[Json]) -> list[str]:
    """Return what is wrong with a label."""
    wrong = []
    if list(label) != LABEL_KEYS or not re.fullmatch(r"[a-z]+-[a-z]+/\w+/(plain|hard|faint)", label["kind"]):
        wrong.append(f"form of the label {label}")
    if not events:
        return [*wrong, f"no events for {label['sessionId']}"]
    if label["frustrated"] and label["route"] not in {event["route"] for event in events}:
        wrong.append(f"route {label['route']} of {label['kind']} is not in the events")
    named = {value for e in events for key, value in e.get("target", {}).items() if key in ("id", "selector", "label")}
    if label["target"] and label["target"] not in named:
        wrong.append(f"target {label['target']} of {label['kind']} is not in the events")
    if not label["frustrated"] and (label["route"] or label["target"]):
        wrong.append(f"a calm session has a place: {label}")
    times = sorted(millis_of(event) for event in events)
    gap = max((b - a for a, b in pairwise(times)), default=0.0)
    if "later_visit" in label["kind"] and gap < GAP_MS:
        wrong.append(f"no later visit in {label['kind']}")
    return wrong


def report_counts(labels: list[Json], events: int) -> None:
    """Print how many sessions there are of each kind."""
    bad = sum(label["frustrated"] for label in labels)
    print(f"{len(labels)} sessions, {events} events, {bad} frustrated ({100 * bad / len(labels):.1f} %)")
    for index, name in enumerate(("SDK and application", "scenario", "difficulty")):
        counts: Counter[tuple[str, bool]] = Counter()
        for label in labels:
            counts[label["kind"].split("/")[index], label["frustrated"]] += 1
        print(f"\n{name:28} frustrated  calm")
        for key in sorted({key for key, _ in counts}):
            print(f"{key:28} {counts[key, True]:10} {counts[key, False]:5}")


def run_check(folder: Path) -> int:
    """Check a folder, print counts and problems; gives the number of sorts of problems."""
    events, labels = read_lines(folder / "events.jsonl"), read_lines(folder / "labels.jsonl")
    by_session: dict[str, list[Json]] = defaultdict(list)
    for event in events:
        by_session[event["sessionId"]].append(event)
    wrong: Counter[str] = Counter(text for event in events for text in check_event(event))
    sdks = {label["sessionId"]: label["kind"].split("-")[0] for label in labels}
    if len(sdks) != len(labels) or set(sdks) != set(by_session):
        wrong["sessions of events and labels differ"] += 1
    for label in labels:
        wrong.update(check_label(label, by_session[label["sessionId"]]))
    for event in events:
        sdk = sdks[event["sessionId"]]
        wrong.update(f"{sdk} {event['eventType']}: {key}" for key in check_shape(event, sdk))
    report_counts(labels, len(events))
    for text, count in wrong.most_common(40):
        print(f"WRONG {count:6} {text}")
    return len(wrong)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    sys.exit(1 if run_check(parser.parse_args().folder) else 0)
