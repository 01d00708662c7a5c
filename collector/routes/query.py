"""The parameters of ``GET /v1/incidents`` (incidents-and-tickets.md, HTTP)."""

import re
from datetime import datetime
from typing import Any, Final, get_args

from collector.access.callers import visible_project
from collector.access.keys import Grant
from collector.http_errors import ApiError
from collector.routes.shapes import Severity, Status, parse_moment
from incidents.model import IncidentQuery

MAX_LIMIT: Final = 1_000
MAX_OFFSET: Final = 2**31
SORTS: Final = (
    "lastSeen",
    "firstSeen",
    "affectedSessions",
    "affectedUsers",
    "highestScore",
    "medianScore",
    "severity",
    "priority",
    "createdAt",
    "updatedAt",
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_FLAGS = {"true": True, "false": False, "1": True, "0": False}


def parse_incident_query(parameters: list[tuple[str, str]], grant: Grant) -> IncidentQuery:
    """The store's query. Raises ApiError: 400 for a parameter that does not exist or fit, 404 for a project out of
    sight."""
    values: dict[str, Any] = {}
    for name, text in parameters:
        match name:
            case "status" | "severity":
                known = get_args(Status if name == "status" else Severity)
                values[name] = (*values.get(name, ()), *_parse_known_words(name, text, known))
            case "exported" | "held":
                if text.lower() not in _FLAGS:
                    raise _invalid_parameter(name, "true or false")
                values[name] = _FLAGS[text.lower()]
            case "limit":
                values[name] = _parse_whole_number(name, text, 1, MAX_LIMIT)
            case "offset":
                values[name] = _parse_whole_number(name, text, 0, MAX_OFFSET)
            case "minScore":
                values["min_score"] = _parse_whole_number(name, text, 0, 100)
            case "since":
                values[name] = _parse_since(text)
            case "sort":
                if text.removeprefix("-") not in SORTS:
                    raise _invalid_parameter(name, f"one of {', '.join(SORTS)}, with - in front for descending")
                values[name] = text
            case "project" | "route":
                if _CONTROL.search(text):
                    raise _invalid_parameter(name, "text without control characters")
                values[name] = text
            case _:
                raise ApiError(400, "invalid_parameter", f"there is no parameter `{name[:40]}`")
    own = visible_project(grant)
    if own is not None:
        if values.get("project", own) != own:
            raise ApiError(404, "not_found", "no such project")
        values["project"] = own
    return IncidentQuery(**values)


def _parse_known_words(name: str, text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    by_lower = {word.lower(): word for word in known}
    words = [by_lower.get(part.strip().lower()) for part in text.split(",") if part.strip()]
    if not words or None in words:
        raise _invalid_parameter(name, f"one or more of {', '.join(known)}")
    return tuple(word for word in words if word is not None)


def _parse_whole_number(name: str, text: str, low: int, high: int) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else -1
    if not low <= number <= high:
        raise _invalid_parameter(name, f"a whole number from {low} to {high}")
    return number


def _parse_since(text: str) -> datetime:
    at = parse_moment(int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else text)
    if at is None:
        raise _invalid_parameter("since", "RFC 3339 with a zone or epoch milliseconds")
    return at


def _invalid_parameter(name: str, expected: str) -> ApiError:
    return ApiError(400, "invalid_parameter", f"`{name}` must be {expected}")
