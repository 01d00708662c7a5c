"""The parameters of ``GET /v1/incidents``."""

import re
from datetime import datetime
from typing import Any, Final, Literal, get_args

from collector.access.callers import visible_project
from collector.access.keys import Grant
from collector.http_errors import ApiError
from collector.routes.cursors import MAX_CURSOR, read_cursor
from collector.routes.fields import parse_moment
from collector.routes.route import JsonSchema, Parameter
from incidents.lifecycle import Severity, Status
from incidents.model import IncidentQuery

MAX_LIMIT: Final = 1_000
MAX_OFFSET: Final = 2**31
MAX_OWNER: Final = 200
DEFAULT_SORT: Final = "-lastSeen"
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
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_FLAGS: Final = {"true": True, "false": False, "1": True, "0": False}


def build_time_schemas(number: Literal["integer", "number"]) -> list[JsonSchema]:
    """The JSON Schemas of a time: RFC 3339, or epoch milliseconds.

    Numbers that would be seconds of our age (2001 to 2286) are refused: read as milliseconds they would mean 1970.
    """
    return [
        {"type": "string", "format": "date-time"},
        {"type": number, "minimum": 0, "maximum": 999_999_999},
        {"type": number, "minimum": 10_000_000_000, "maximum": 253_402_300_799_999},
    ]


def _declare_parameter(name: str, text: str, schema: JsonSchema) -> Parameter:
    return {"name": name, "in": "query", "description": text, "schema": schema}


def _declare_word_list(name: str, text: str, words: tuple[str, ...]) -> Parameter:
    schema: JsonSchema = {"type": "array", "minItems": 1, "items": {"type": "string", "enum": list(words)}}
    declared = _declare_parameter(name, f"{text} Repeated, or separated by commas.", schema)
    return {**declared, "style": "form", "explode": False}


_BOOLEAN: Final[JsonSchema] = {"type": "boolean"}
_PLAIN_TEXT: Final[JsonSchema] = {"type": "string", "pattern": r"^[^\x00-\x1f\x7f-\x9f]*$"}
PARAMETERS: Final = (
    _declare_word_list("status", "Any of these statuses.", get_args(Status)),
    _declare_parameter("exported", "Only incidents with a ticket (true) or without (false).", _BOOLEAN),
    _declare_parameter(
        "held", "Only incidents that a flood of new incidents holds back from export (true), or the others.", _BOOLEAN
    ),
    _declare_parameter(
        "withdrawn",
        "Only drafts that open sessions made and no session shows any more (true), or the others (false, the default).",
        {"type": "boolean", "default": False},
    ),
    _declare_parameter(
        "project", "One project; a key of one project sees only that project (404 for any other).", _PLAIN_TEXT
    ),
    _declare_word_list("severity", "Any of these severities.", get_args(Severity)),
    _declare_parameter("route", "The route of the failure point, with ids folded away.", _PLAIN_TEXT),
    _declare_parameter(
        "owner",
        "One of the incident's owners: whom a person assigned it to, else the owners of the rule that decides.",
        {**_PLAIN_TEXT, "minLength": 1, "maxLength": MAX_OWNER},
    ),
    _declare_parameter("owned", "Only incidents with an owner (true) or without one (false).", _BOOLEAN),
    _declare_parameter(
        "since",
        "Last seen at or after this time; RFC 3339 or epoch milliseconds (never seconds).",
        {"anyOf": build_time_schemas("integer")},
    ),
    _declare_parameter("minScore", "Least value of `highestScore`.", {"type": "integer", "minimum": 0, "maximum": 100}),
    _declare_parameter(
        "sort",
        "A leading `-` sorts in descending order.",
        {"type": "string", "enum": [f"{sign}{name}" for name in SORTS for sign in ("", "-")], "default": DEFAULT_SORT},
    ),
    _declare_parameter(
        "limit", "Size of the page.", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": 100}
    ),
    _declare_parameter(
        "cursor",
        "Where the page begins: `next` of the page before it, with the same `sort`. A page costs the same at any depth, and "
        "none is left out or repeated when others appear meanwhile. Not with `offset`.",
        {"type": "string", "maxLength": MAX_CURSOR, "pattern": "^[A-Za-z0-9_-]+$"},
    ),
    _declare_parameter(
        "offset",
        "Incidents to skip; for the first few pages. The cost grows with it: use `cursor` for depth.",
        {"type": "integer", "minimum": 0, "maximum": MAX_OFFSET, "default": 0},
    ),
)
"""As the OpenAPI document describes them."""


def parse_incident_query(parameters: list[tuple[str, str]], grant: Grant) -> IncidentQuery:
    """The query for the store. Raises ApiError: 400 for an unknown or invalid parameter, 404 for a project that the key
    does not see."""
    values: dict[str, Any] = {}
    cursor = ""
    for name, text in parameters:
        match name:
            case "cursor":
                cursor = text or " "  # no cursor is empty
            case "status" | "severity":
                known = get_args(Status if name == "status" else Severity)
                values[name] = (*values.get(name, ()), *_parse_known_words(name, text, known))
            case "exported" | "held" | "withdrawn" | "owned":
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
            case "project" | "route" | "owner":
                values[name] = _parse_plain_text(name, text)
            case _:
                raise ApiError(400, "invalid_parameter", f"there is no parameter `{name[:40]}`")
    own = visible_project(grant)
    if own is not None:
        if values.get("project", own) != own:
            raise ApiError(404, "not_found", "no such project")
        values["project"] = own
    if cursor and "offset" in values:
        raise ApiError(400, "invalid_parameter", "`cursor` and `offset` exclude each other")
    return IncidentQuery(**values, after=read_cursor(cursor, values.get("sort", DEFAULT_SORT), "cursor"))


def _parse_known_words(name: str, text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    by_lower = {word.lower(): word for word in known}
    words = [by_lower.get(part.strip().lower()) for part in text.split(",") if part.strip()]
    if not words or None in words:
        raise _invalid_parameter(name, f"one or more of {', '.join(known)}")
    return tuple(word for word in words if word is not None)


def _parse_plain_text(name: str, text: str) -> str:
    if _CONTROL.search(text):
        raise _invalid_parameter(name, "text without control characters")
    if name == "owner" and not 0 < len(text) <= MAX_OWNER:
        raise _invalid_parameter(name, f"the name of a person or team, of at most {MAX_OWNER} characters")
    return text


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
