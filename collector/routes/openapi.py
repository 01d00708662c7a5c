"""The OpenAPI document of the collector, made of the models in ``shapes`` and the table of endpoints below.

FastAPI's own generation is not used: bodies are read by hand (limits, gzip, slow senders), so that it would know neither
them nor the answers. The tests hold the routes against this table, and the running collector against the document.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any, Final, get_args

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from collector.routes import shapes
from collector.routes.query import MAX_LIMIT, MAX_OFFSET, SORTS
from core.package import VERSION

Json = dict[str, Any]

_WHY: Final = {
    400: "The request is not what is described here; the message names the field.",
    401: "No key, or an unknown one.",
    403: "The key may not do this, or not in this project.",
    404: "There is no such incident or project, or it is another project's.",
    405: "There is another method here; see `Allow`.",
    408: "The body did not arrive in time, or too slowly.",
    409: "The incident's status does not allow this.",
    413: "More than 1 MiB (after inflating), or more than 1,000 events.",
    415: "Neither JSON nor text/plain, or another encoding than gzip.",
    429: "Too many requests of this key, for this project or from this address, or too many unknown keys from it; see "
    "`Retry-After`.",
    500: "A defect of Furrow; the reason is in the collector's log.",
    503: "Not now: nothing can be made durable, the incident store is away, or too many ask at once; see `Retry-After`.",
}
_RETRY: Final = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}}
_BODY_ERRORS: Final = (400, 401, 403, 408, 413, 415, 503)


@dataclass(frozen=True)
class Endpoint:
    """One row of the document; ``errors`` are the statuses that it may answer besides success, 405, 500 and, where it
    asks for a key, 429."""

    method: str
    path: str
    summary: str
    text: str
    answer: type[BaseModel]
    errors: tuple[int, ...]
    status: int = 200
    body: type[BaseModel] | Json | None = None
    example: Any = None
    parameters: tuple[Json, ...] = ()
    tag: str = "Incidents"
    open: bool = False
    """Answers without a key."""


def _time_schemas(number: str) -> list[Json]:
    # What would be seconds of this age (2001 to 2286) is refused instead of being read as 1970 (``contract``).
    return [
        {"type": "string", "format": "date-time"},
        {"type": number, "minimum": 0, "maximum": 999_999_999},
        {"type": number, "minimum": 10_000_000_000, "maximum": 253_402_300_799_999},
    ]


_SINCE: Final[Json] = {"anyOf": _time_schemas("integer")}
_EVENT: Final[Json] = {
    "eventType": "click",
    "timestamp": "2024-01-15T10:00:00Z",
    "sessionId": "test-1",
    "route": "/checkout",
    "target": {"type": "button"},
    "metadata": {},
}
_EVENTS: Final[Json] = {
    "type": "array",
    "minItems": 1,
    "maxItems": 1000,
    "items": {
        "description": "An event of the contract: `eventType`, `timestamp`, `sessionId`, `route`; optional `target`, "
        "`metadata`, `seq`, `userId`, `idempotencyKey`. One that breaks a rule is rejected alone, with field and reason.",
    },
}
_OPTIONAL_TEXT: Final[Json] = {"type": ["string", "null"]}
_BATCH: Final[Json] = {
    "type": "object",
    "required": ["events"],
    "properties": {
        "events": _EVENTS,
        "sentAt": {
            "description": "The client's clock when it sent the batch: RFC 3339 or epoch milliseconds (never seconds).",
            "anyOf": [*_time_schemas("number"), {"type": "null"}],
        },
        "sdkVersion": _OPTIONAL_TEXT,
        "appVersion": _OPTIONAL_TEXT,
        "environment": _OPTIONAL_TEXT,
        "userAgent": _OPTIONAL_TEXT,
        "apiKey": {"description": "Only where no header can be set (`navigator.sendBeacon`, `text/plain`)."},
    },
}
_ID: Final[Json] = {
    "name": "incident_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "minLength": 1, "maxLength": 100, "pattern": "^[A-Za-z0-9_-]+$"},
    "example": "inc_0123456789abcdef0123456789abcdef",
}


def _query_parameter(name: str, schema: Json, text: str, **more: Any) -> Json:
    return {"name": name, "in": "query", "description": text, "schema": schema, **more}


def _word_list_parameter(name: str, words: tuple[str, ...], text: str) -> Json:
    schema = {"type": "array", "minItems": 1, "items": {"type": "string", "enum": list(words)}}
    return _query_parameter(name, schema, f"{text} Repeated, or separated by commas.", style="form", explode=False)


_PLAIN: Final[Json] = {"type": "string", "pattern": r"^[^\x00-\x1f\x7f-\x9f]*$"}
_FILTERS: Final = (
    _word_list_parameter("status", get_args(shapes.Status), "Any of these statuses."),
    _query_parameter("exported", {"type": "boolean"}, "It has a ticket, or has none."),
    _query_parameter(
        "held", {"type": "boolean"}, "It is held back from export in a flood of new incidents, or is not."
    ),
    _query_parameter("project", _PLAIN, "One project; a key of one project sees that alone (404 for any other)."),
    _word_list_parameter("severity", get_args(shapes.Severity), "Any of these severities."),
    _query_parameter("route", _PLAIN, "The route of the failure point, with ids folded away."),
    _query_parameter("since", _SINCE, "Last seen at or after; RFC 3339 or epoch milliseconds (never seconds)."),
    _query_parameter("minScore", {"type": "integer", "minimum": 0, "maximum": 100}, "Lowest highest score."),
    _query_parameter(
        "sort",
        {"type": "string", "enum": [f"{sign}{name}" for name in SORTS for sign in ("", "-")], "default": "-lastSeen"},
        "With `-` in front: descending.",
    ),
    _query_parameter(
        "limit", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": 100}, "Size of the page."
    ),
    _query_parameter(
        "offset", {"type": "integer", "minimum": 0, "maximum": MAX_OFFSET, "default": 0}, "Incidents to skip."
    ),
)
_ACTIONS: Final = {
    "confirm": (
        "Confirm",
        "It is a problem: `draft` → `confirmed`, and exported, also out of a flood.",
    ),
    "suppress": ("Suppress", "Not a problem; detections keep counting."),
    "resolve": ("Resolve", "Fixed: `resolved` until a session that started later shows it again."),
    "reopen": ("Reopen", "`resolved` or `suppressed` → `confirmed`."),
}

ENDPOINTS: Final = (
    Endpoint(
        "post",
        "/v1/events",
        "Send events",
        "1 to 1,000 events, at most 1 MiB, gzip accepted; durable once this answers. An ingest key; they go to its "
        "project. `text/plain` with `apiKey` in the body is accepted too (`navigator.sendBeacon`).",
        shapes.Accepted,
        _BODY_ERRORS,
        status=202,
        body=_BATCH,
        example={"events": [_EVENT]},
        tag="Events",
    ),
    Endpoint(
        "post",
        "/v1/sessions/events",
        "Send events of one session",
        "As `POST /v1/events`, with an operator key and in the shape of systems that name project and session.",
        shapes.Processed,
        _BODY_ERRORS,
        body=shapes.SessionEventsRequest,
        example={"project_id": "default", "session_id": "test-1", "events": [_EVENT]},
        tag="Events",
    ),
    Endpoint(
        "post",
        "/v1/sessions/process",
        "Analyse one session",
        "Runs the engine at once over one session; nothing is stored.",
        shapes.Analysis,
        _BODY_ERRORS,
        body=shapes.SessionRequest,
        example={"sessionId": "test-1", "projectId": "default", "events": [_EVENT]},
        tag="Events",
    ),
    Endpoint(
        "get",
        "/v1/incidents",
        "List incidents",
        "A page of incidents, without history and examples.",
        shapes.IncidentPage,
        (400, 401, 403, 404, 503),
        parameters=_FILTERS,
    ),
    Endpoint(
        "post",
        "/v1/incidents",
        "Store a detection made elsewhere",
        "The engine never retracts it. Its failure point makes it one incident with the engine's own detections there.",
        shapes.Stored,
        _BODY_ERRORS,
        body=shapes.IncidentRequest,
        example={
            "incident": {
                "projectId": "default",
                "sessionId": "test-1",
                "frustrationScore": 92,
                "timestamp": "2024-01-15T10:00:05Z",
                "failurePoint": {
                    "route": "/checkout",
                    "target": "button#pay",
                    "feedback": "POST /api/orders → 500",
                },
                "triggeringSignals": ["rage", "feedback"],
                "explanation": "4 clicks on button#pay in 1.9 s",
            }
        },
    ),
    Endpoint(
        "get",
        "/v1/incidents/{incident_id}",
        "Show an incident",
        "With its history, up to 5 example sessions and their timelines.",
        shapes.IncidentDetail,
        (401, 403, 404, 503),
        parameters=(_ID,),
    ),
    *(
        Endpoint(
            "post",
            f"/v1/incidents/{{incident_id}}/{action}",
            f"{title} an incident",
            f"{text} The history names the key's label and the reason.",
            shapes.IncidentDetail,
            (*_BODY_ERRORS, 404, 409),
            body=shapes.SuppressRequest if action == "suppress" else shapes.ActionRequest,
            example={"reason": "seen in the checkout's dashboard too"},
            parameters=(_ID,),
        )
        for action, (title, text) in _ACTIONS.items()
    ),
    Endpoint(
        "get",
        "/v1/status",
        "Figures",
        "Of the whole installation, or of the key's project.",
        shapes.InstallationStatus,
        (401, 403),
        tag="Operation",
    ),
    Endpoint(
        "get",
        "/v1/health",
        "Health",
        "200 as long as events are taken, else 503.",
        shapes.Health,
        (503,),
        tag="Operation",
        open=True,
    ),
)

_ABOUT: Final = """\
Keys come as `X-API-Key` or `Authorization: Bearer`. An `ingest` key sends events to its project and can do nothing
else; an `operator` key sees incidents and acts on them, in its project or (`*`) in all. Every error has one shape:
`{"error": {"code": "…", "message": "…"}}`; `code` is a fixed word. Malformed HTTP is answered by the server itself.
"""


@cache
def build_openapi_document() -> Json:
    """The OpenAPI 3.1 document, as ``GET /openapi.json`` gives it."""
    paths: dict[str, Json] = {}
    for endpoint in ENDPOINTS:
        paths.setdefault(endpoint.path, {})[endpoint.method] = _build_operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Furrow", "version": VERSION, "description": _ABOUT},
        "paths": paths,
        "components": {
            "schemas": _collect_schemas(),
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _build_operation(endpoint: Endpoint) -> Json:
    operation: Json = {
        "tags": [endpoint.tag],
        "summary": endpoint.summary,
        "description": endpoint.text,
        "operationId": _operation_id(endpoint),
        "responses": {
            str(endpoint.status): _build_json_answer("Done.", _schema_reference(endpoint.answer)),
            **{str(status): _build_error_answer(endpoint, status) for status in _list_error_statuses(endpoint)},
        },
        "security": [] if endpoint.open else [{"key": []}, {"bearer": []}],
    }
    if endpoint.parameters:
        operation["parameters"] = list(endpoint.parameters)
    if endpoint.body is not None:
        schema = endpoint.body if isinstance(endpoint.body, dict) else _schema_reference(endpoint.body)
        content = {"application/json": {"schema": schema, "example": endpoint.example}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _list_error_statuses(endpoint: Endpoint) -> list[int]:
    # Wherever a key may be unknown, there may be too many unknown ones.
    return sorted({*endpoint.errors, 405, 500, *((429,) if 401 in endpoint.errors else ())})


def _operation_id(endpoint: Endpoint) -> str:
    words = [word.strip("{}") for word in endpoint.path.removeprefix("/v1/").split("/")]
    return "_".join([endpoint.method, *words])


def _build_error_answer(endpoint: Endpoint, status: int) -> Json:
    schema = _schema_reference(shapes.Error)
    if status == 503 and endpoint.answer is shapes.Health:
        schema = {"allOf": [_schema_reference(shapes.Health), schema]}
    answer = _build_json_answer(_WHY[status], schema)
    return {**answer, "headers": _RETRY} if status in (429, 503) else answer


def _build_json_answer(text: str, schema: Json) -> Json:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _schema_reference(model: type[BaseModel]) -> Json:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _collect_schemas() -> dict[str, Json]:
    used: set[type[BaseModel]] = {shapes.Error}
    for endpoint in ENDPOINTS:
        used.add(endpoint.answer)
        if isinstance(endpoint.body, type):
            used.add(endpoint.body)
    models = [(model, "validation") for model in sorted(used, key=lambda model: model.__name__)]
    _, schema = models_json_schema(models, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    schemas: dict[str, Json] = schema["$defs"]
    return schemas
