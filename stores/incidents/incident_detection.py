"""From a detection to a row of the table ``detections``: the columns for queries, and the whole detection as JSON text."""

import json
import re
from typing import Any, Literal, TypedDict

from core.errors import PermanentError
from stores.incidents.incident_database import clean_for_postgres
from ufse.detection import Detection

_FACET_LENGTH = 200
# What Postgres cannot store, as JSON text: an escaped U+0000 and surrogates. They are rare, and one search of the text is
# faster than a walk through every detection.
_UNSTORABLE = re.compile(r"\\u0000|[\ud800-\udfff]")


class DetectionRow(TypedDict):
    """The columns of one detection; times are RFC 3339."""

    project: str
    detection_id: str
    session_id: str
    visit_id: str
    visit_start: str
    incident_id: str
    """Of a new incident; ``incident_aliases.assign_incidents`` sets the one that its fingerprints lead to."""
    fingerprints: list[str]
    """The oldest first, that of this version last."""
    fingerprint_version: int
    origin: Literal["engine", "external"]
    score: int
    happened_at: str
    last_seen: str
    user_hash: str
    environment: str
    app_version: str
    browser: str
    severity_type: str
    ended_flow: bool
    resolved: bool
    signals: list[str]
    routes: list[str]
    story_length: int
    label: str
    body: str
    """The whole detection as JSON text."""


def build_detection_row(detection: Detection, project: str, session: str) -> DetectionRow:
    """The columns of one detection. Raises PermanentError, with the session's id, for an unusable one."""
    try:
        body = encode_json_text(detection)
        if _UNSTORABLE.search(body):
            detection = clean_for_postgres(detection)
            body = encode_json_text(detection)
        if (detection["projectId"], detection["sessionId"]) != (project, session):
            raise ValueError("it names another project or session")
        context = detection.get("context") or {}
        return {
            "project": project,
            "detection_id": detection["detectionId"],
            "session_id": session,
            "visit_id": detection["visitId"],
            "visit_start": detection["visitStart"],
            "incident_id": f"inc_{detection['fingerprint']}",
            "fingerprints": [*(detection.get("olderFingerprints") or ()), detection["fingerprint"]],
            "fingerprint_version": int(detection.get("fingerprintVersion") or 1),
            "origin": "engine",
            "score": int(detection["frustrationScore"]),
            "happened_at": detection["timestamp"],
            "last_seen": detection.get("lastSeen") or detection["timestamp"],
            "user_hash": context.get("userHash") or "",
            "environment": _shorten_facet(context.get("environment")),
            "app_version": _shorten_facet(context.get("appVersion")),
            "browser": parse_browser_name(context.get("userAgent") or ""),
            "severity_type": detection["severityType"],
            "ended_flow": bool(detection.get("endedFlow")),
            "resolved": bool(detection.get("resolved")),
            "signals": sorted({signal["type"] for signal in detection["triggeringSignals"]}),
            "routes": _collect_routes(detection),
            "story_length": len(detection.get("timeline") or ()),
            "label": str(context.get("label") or ""),
            "body": body,
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        problem = f"lacks {error}" if isinstance(error, KeyError) else str(error)
        raise PermanentError(f"a detection of session {session!r} cannot be stored: {problem}") from error


def _collect_routes(detection: Detection) -> list[str]:
    named = {signal.get("route") for signal in detection["triggeringSignals"]}
    return sorted(_shorten_facet(route) for route in {*named, detection["failurePoint"].get("route")} if route)


def _shorten_facet(value: object) -> str:
    return str(value or "")[:_FACET_LENGTH]


# In this order: the user agent of a browser also names the ones below it.
_BROWSERS = (
    ("Edge", re.compile(r"Edg(?:e|A|iOS)?/(\d+)")),
    ("Opera", re.compile(r"(?:OPR|Opera)/(\d+)")),
    ("Samsung Internet", re.compile(r"SamsungBrowser/(\d+)")),
    ("Firefox", re.compile(r"(?:Firefox|FxiOS)/(\d+)")),
    ("Chrome", re.compile(r"(?:Chrome|CriOS)/(\d+)")),
    ("Safari", re.compile(r"Version/(\d+)[\d.]* (?:Mobile/\S+ )?Safari/")),
)
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iOS"),
    ("iPad", "iOS"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def parse_browser_name(user_agent: str) -> str:
    """Browser, major version and system of a user agent (``Chrome 126 on Windows``); '' when unknown."""
    for name, pattern in _BROWSERS:
        if match := pattern.search(user_agent):
            system = next((system for token, system in _SYSTEMS if token in user_agent), "")
            return f"{name} {match[1]}" + (f" on {system}" if system else "")
    return ""


def encode_json_text(value: object) -> str:
    """JSON text for a ``jsonb`` parameter; datetimes become RFC 3339."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, default=_format_datetime)


def decode_json_text(body: str) -> Detection:
    """The detection of a ``body``."""
    detection: Detection = json.loads(body)
    return detection


def _format_datetime(value: Any) -> str:
    return str(value.isoformat())
