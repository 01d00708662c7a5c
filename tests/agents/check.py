"""Check a set against the event contract and each label against its session: python -m tests.agents.check DIR."""

import json
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

from tests.agents.catalog import APPS

TYPES = {
    "click",
    "input",
    "input_focus",
    "input_blur",
    "scroll",
    "hover",
    "form_submit",
    "navigation",
    "route_change",
    "error",
    "unhandled_rejection",
    "network",
    "network_error",
    "network_success",
    "performance",
    "slow_response",
    "long_task",
    "loading",
    "visibility",
    "session_end",
}
KEYS = {"eventType", "timestamp", "sessionId", "route", "target", "metadata", "seq", "userId", "idempotencyKey"}
CHOICES = {
    "inputMethod": {"mouse", "touch", "keyboard"},
    "action": {"focus", "change", "blur"},
    "direction": {"up", "down"},
    "state": {"start", "end", "hidden", "visible"},
    "navigationType": {"link", "push", "replace", "back_forward", "reload"},
    "errorType": {"javascript", "promise", "resource", "validation"},
    "kind": {"slow_response", "long_task", "page_load"},
}
LOGINS = {app.login.route for app in APPS}
STAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$")
Event = dict[str, object]


def check_target(target: object) -> list[str]:
    """Check the target of an event."""
    if not isinstance(target, dict) or not target:
        return ["target is no object"]
    found = [f"target.{key} unknown" for key in target if key not in ("type", "id", "selector", "tagName", "label")]
    found += [f"target.{key} is no text" for key, value in target.items() if not isinstance(value, str) or not value]
    if len(str(target.get("label", ""))) > 80:
        found.append("label longer than 80")
    return found


def check_metadata(data: object) -> list[str]:
    """Check the metadata of an event."""
    if not isinstance(data, dict):
        return ["metadata is no object"]
    found = [
        f"metadata.{key} is no scalar" for key, value in data.items() if not isinstance(value, (str, int, float, bool))
    ]
    found += [
        f"metadata.{key}={data[key]}" for key, allowed in CHOICES.items() if key in data and data[key] not in allowed
    ]
    status = data.get("status", 200)
    if not isinstance(status, int) or not (status == 0 or 100 <= status < 600):
        found.append(f"status {status}")
    if int(data.get("durationMs", 0)) < 0:
        found.append("negative duration")
    if any(mark in str(data.get("url", "")) for mark in "?#"):
        found.append("url is more than a path")
    if len(json.dumps(data).encode()) > 8192:
        found.append("metadata over 8 KiB")
    return found


def check_event(event: Event) -> list[str]:
    """Check an event against the rules of the contract."""
    found = [f"unknown key {key}" for key in event if key not in KEYS]
    if event.get("eventType") not in TYPES:
        found.append(f"type {event.get('eventType')}")
    stamp = event.get("timestamp")
    if not (isinstance(stamp, int) and stamp > 10**12) and not (isinstance(stamp, str) and STAMP.match(stamp)):
        found.append(f"timestamp {stamp}")
    session = str(event.get("sessionId", ""))
    if not 1 <= len(session) <= 128 or not session.isprintable():
        found.append("sessionId")
    route = str(event.get("route", ""))
    if not route.startswith("/") or len(route) > 512:
        found.append(f"route {route}")
    if "target" in event:
        found += check_target(event["target"])
    return found + check_metadata(event.get("metadata", {}))


def cut_route(route: str) -> str:
    """Cut query and fragment off."""
    return route.split("#", 1)[0].split("?", 1)[0]


def read_number(data: dict[str, object], key: str) -> int:
    """Read a number of the metadata; -1 if it is not there."""
    value = data.get(key, -1)
    return value if isinstance(value, int) else -1


def sign_found(event: Event) -> bool:
    """Tell whether an event alone shows something wrong."""
    data = event.get("metadata", {})
    assert isinstance(data, dict)
    if event["eventType"] in ("error", "unhandled_rejection", "network_error"):
        return True
    status = read_number(data, "status")
    if status == 0 or status >= 400 or "graphqlErrors" in data or data.get("disabled") is True:
        return True
    return (
        event["eventType"] == "loading"
        or data.get("valid") is False
        or data.get("responded") is False
        or data.get("navigationType") in ("reload", "replace")
    )


def names_of(event: Event) -> set[str]:
    """Collect the names an event gives to its target."""
    target = event.get("target", {})
    return set(target.values()) if isinstance(target, dict) else set()


def check_label(label: dict[str, object], events: list[Event]) -> list[str]:
    """Check a label against the events of its session."""
    found = []
    if not isinstance(label.get("frustrated"), bool):
        found.append("frustrated is no truth value")
    parts = str(label.get("kind", "")).split("/")
    if len(parts) != 3 or parts[0] not in {app.name for app in APPS} or parts[2] not in ("easy", "medium", "hard"):
        found.append(f"kind {label.get('kind')}")
    if not events:
        return [*found, "session without events"]
    if not label["frustrated"]:
        return found + (["place without frustration"] if label["route"] or label["target"] else [])
    if label["route"] not in {cut_route(str(event["route"])) for event in events}:
        found.append(f"route {label['route']} not seen")
    clicks = [event for event in events if event["eventType"] == "click"]
    if label["target"] and not any(label["target"] in names_of(event) for event in events):
        found.append(f"target {label['target']} not seen")
    logins = sum(event["eventType"] == "navigation" and cut_route(str(event["route"])) in LOGINS for event in events)
    if not any(sign_found(event) for event in events) and len(clicks) < 3 and logins < 2:
        found.append("no sign of trouble")
    return found


def read_lines(path: Path) -> list[dict[str, object]]:
    """Read a file of JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def print_counts(labels: list[dict[str, object]]) -> None:
    """Print how many sessions there are of each sort, and how many of them are frustrated."""
    for title, place in (("application", 0), ("difficulty", 2), ("failure", 1), ("collector", 3)):
        total: Counter[str] = Counter()
        bad: Counter[str] = Counter()
        for label in labels:
            parts = str(label["kind"]).split("/")
            failure, _, collector = parts[1].partition("@")
            name = (parts[0], failure, parts[2], collector)[place]
            total[name] += 1
            bad[name] += bool(label["frustrated"])
        print(f"{title}: " + ", ".join(f"{name} {total[name]} ({bad[name]})" for name in sorted(total)))


def run_check(folder: Path) -> int:
    """Check a folder; gives the number of problems."""
    sessions: dict[str, list[Event]] = defaultdict(list)
    problems: list[str] = []
    for number, event in enumerate(read_lines(folder / "events.jsonl"), 1):
        sessions[str(event["sessionId"])].append(event)
        problems += [f"event {number}: {text}" for text in check_event(event)]
    labels = read_lines(folder / "labels.jsonl")
    for label in labels:
        problems += [
            f"{label['sessionId']} {label['kind']}: {text}"
            for text in check_label(label, sessions[str(label["sessionId"])])
        ]
    if len({label["sessionId"] for label in labels}) != len(labels) or len(sessions) != len(labels):
        problems.append("sessions and labels do not correspond")
    print("\n".join(problems[:40]))
    bad = sum(bool(label["frustrated"]) for label in labels)
    print(
        f"{len(labels)} sessions, {sum(map(len, sessions.values()))} events, {bad} frustrated, {len(problems)} problems"
    )
    print_counts(labels)
    return len(problems)


if __name__ == "__main__":
    sys.exit(1 if run_check(Path(sys.argv[1])) else 0)
