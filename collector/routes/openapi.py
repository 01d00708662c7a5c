"""Renders the routes' declarations as an OpenAPI document.

FastAPI's own generation is not used: bodies are read by hand (limits, gzip, slow senders), so that it would know neither
them nor the answers. The tests compare the running collector with the document.
"""

import json
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, Final, Literal, NamedTuple, NotRequired, get_args

from pydantic import BaseModel, ConfigDict, create_model
from typing_extensions import TypedDict, get_original_bases, get_type_hints, is_typeddict

from collector.http_errors import Error
from collector.routes.route import JsonSchema, Operation, Parameter, Route, RouteGroup, list_routes
from core.package import VERSION

_REASONS: Final = {
    400: "The request does not match this description; the message names the field.",
    401: "The key is missing or unknown.",
    403: "The key does not allow this, or not in this project.",
    404: "No such incident or project, or it belongs to a project that the key does not see.",
    405: "The path has other methods; see `Allow`.",
    408: "The body did not arrive in time, or arrived too slowly.",
    409: "The incident's status does not allow this action.",
    412: "The incident has another version than `If-Match` names; the message names the last change. Read it again.",
    413: "More than 1 MiB (after inflating), or more than 1,000 events.",
    415: "Neither JSON nor text/plain, or a content encoding other than gzip.",
    429: "Too many requests with this key, for this project or from this address, or too many unknown keys from this "
    "address; see `Retry-After`.",
    500: "An error in Furrow; the collector's log has the reason.",
    503: "Temporarily unavailable: events cannot be made durable, the incident store does not answer, or too many "
    "requests arrive at once; see `Retry-After`.",
}
_RETRY: Final[JsonSchema] = {
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}}
}
_ABOUT: Final = """\
Send a key as `X-API-Key` or `Authorization: Bearer`. An `ingest` key sends events to its project and can do nothing
else. An `operator` key reads incidents and acts on them, in its project or (`*`) in all projects. Every error has the
form `{"error": {"code": "…", "message": "…"}}`; `code` is a fixed word. The server itself answers malformed HTTP.
"""
_COMPONENTS: Final = "#/components/schemas/"
_COMPONENT_NAMES: Final = {
    "DetectionContext": "Context",
    "ExampleSession": "Example",
    "HistoryEntry": "Change",
    "IdentifiedDetection": "Detection",
    "OwnedIncident": "Incident",
    "OwnedIncidentDetail": "IncidentDetail",
    "OwnerRecord": "Owner",
    "PointsEntry": "Points",
    "RejectedEvent": "Rejected",
    "SignalEntry": "Signal",
    "TicketRecord": "Ticket",
    "TimelineEntry": "Step",
}
"""Python name → component name, where they differ: clients that were generated from the document keep their classes."""


class Content(TypedDict):
    """A JSON body: its schema and an example."""

    schema: JsonSchema
    example: NotRequired[object]


class Answer(TypedDict):
    """One status of an operation."""

    description: str
    content: dict[str, Content]
    headers: NotRequired[JsonSchema]


class RequestBody(TypedDict):
    """The body of an operation."""

    required: bool
    content: dict[str, Content]


class OperationObject(TypedDict):
    """One method at one path."""

    tags: list[str]
    summary: str
    description: str
    operationId: str
    responses: dict[str, Answer]
    security: list[dict[str, list[str]]]
    parameters: NotRequired[list[Parameter]]
    requestBody: NotRequired[RequestBody]


class Info(TypedDict):
    """What the document is about."""

    title: str
    version: str
    description: str


class Components(TypedDict):
    """The schemas that operations refer to, by name."""

    schemas: dict[str, JsonSchema]
    securitySchemes: dict[str, JsonSchema]


class OpenApiDocument(TypedDict):
    """An OpenAPI 3.1 document, as far as this collector uses the format."""

    openapi: Literal["3.1.0"]
    info: Info
    paths: dict[str, dict[str, OperationObject]]
    components: Components


class _Component(TypedDict):
    properties: dict[str, dict[str, object]]


_ModelsSchema = TypedDict("_ModelsSchema", {"$defs": dict[str, _Component], "properties": dict[str, dict[str, str]]})


class _Schemas(NamedTuple):
    components: dict[str, JsonSchema]
    references: dict[type, JsonSchema]


@cache
def build_openapi_document(groups: tuple[RouteGroup[Any], ...]) -> OpenApiDocument:
    """The OpenAPI 3.1 document of the routes that have an `Operation`. Imports the types of the engine."""
    described = [(route, route.operation) for route in list_routes(groups) if route.operation is not None]
    schemas = _collect_schemas(operation for _, operation in described)
    paths: dict[str, dict[str, OperationObject]] = {}
    for route, operation in described:
        paths.setdefault(route.path, {})[route.method] = _build_operation(route, operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Furrow", "version": VERSION, "description": _ABOUT},
        "paths": paths,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }


def _build_operation(route: Route[Any], operation: Operation, schemas: _Schemas) -> OperationObject:
    # Where a key may be unknown, too many unknown keys may arrive.
    limits = (429,) if operation.needs_key else ()
    built: OperationObject = {
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.text,
        "operationId": _build_operation_id(route),
        "responses": {
            str(operation.status): _build_answer("Done.", schemas.references[operation.answer_type], operation.media),
            **{
                str(status): _build_error_answer(operation, status, schemas)
                for status in sorted({*operation.errors, 405, 500, *limits})
            },
        },
        "security": [{"key": []}, {"bearer": []}] if operation.needs_key else [],
    }
    if operation.parameters:
        built["parameters"] = list(operation.parameters)
    if operation.body is not None:
        schema = schemas.references[operation.body] if isinstance(operation.body, type) else operation.body
        built["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": schema, "example": operation.example}},
        }
    return built


def _build_operation_id(route: Route[Any]) -> str:
    words = [word.strip("{}") for word in route.path.removeprefix("/v1/").split("/")]
    return "_".join([route.method, *words])


def _build_error_answer(operation: Operation, status: int, schemas: _Schemas) -> Answer:
    schema = schemas.references[Error]
    if status in operation.answers_despite:
        schema = {"allOf": [schemas.references[operation.answer_type], schema]}
    answer = _build_answer(_REASONS[status], schema)
    if status in (429, 503):
        answer["headers"] = _RETRY
    return answer


def _build_answer(text: str, schema: JsonSchema, media: str = "application/json") -> Answer:
    return {"description": text, "content": {media: {"schema": schema}}}


def _collect_schemas(operations: Iterable[Operation]) -> _Schemas:
    """The JSON Schemas of all models, and how each type is referred to."""
    used: dict[type, None] = {Error: None}
    for operation in operations:
        used[operation.answer_type] = None
        if isinstance(operation.body, type):
            used[operation.body] = None
    typed: dict[type, None] = {}
    for model in used:
        _find_typed_dicts(model, typed)
    types = list(used | typed)
    schema = _render_models(types)
    for number, model in enumerate(types):
        for base in _list_typed_bases(model):
            # Pydantic reads the docstrings of a typed dictionary's own attributes only.
            _copy_descriptions(_find_component(_render_models([base]), 0), _find_component(schema, number))
    references = {model: schema["properties"][f"type_{number}"] for number, model in enumerate(types)}
    return _Schemas(dict(schema["$defs"]), dict(references))


def _find_typed_dicts(annotation: object, found: dict[type, None]) -> None:
    """Add to ``found`` the typed dictionaries in ``annotation``, and those in their values."""
    if isinstance(annotation, type) and is_typeddict(annotation) and annotation not in found:
        found[annotation] = None
        for value in get_type_hints(annotation).values():
            _find_typed_dicts(value, found)
    for part in get_args(annotation):
        _find_typed_dicts(part, found)


def _list_typed_bases(model: type) -> list[type]:
    return [base for base in get_original_bases(model) if is_typeddict(base)] if is_typeddict(model) else []


def _render_models(types: Sequence[type]) -> _ModelsSchema:
    """The JSON Schema of an object with one property for each type (``type_0``, …), and their definitions.

    Components have their names in the document, and descriptions have Markdown's code marks.
    """
    # The configuration of this model makes descriptions of the docstrings of attributes, also in the typed dictionaries.
    fields: Any = {f"type_{number}": (model, ...) for number, model in enumerate(types)}
    holder: type[BaseModel] = create_model("Models", __config__=ConfigDict(use_attribute_docstrings=True), **fields)
    text = json.dumps(holder.model_json_schema(ref_template=_COMPONENTS + "{model}")).replace("``", "`")
    for name, component in _COMPONENT_NAMES.items():
        for before, after in ((f"{_COMPONENTS}{name}", f"{_COMPONENTS}{component}"), (name, component)):
            text = text.replace(json.dumps(before), json.dumps(after))  # a reference; a title or a key
    schema: _ModelsSchema = json.loads(text)
    return schema


def _find_component(schema: _ModelsSchema, number: int) -> _Component:
    return schema["$defs"][schema["properties"][f"type_{number}"]["$ref"].removeprefix(_COMPONENTS)]


def _copy_descriptions(base: _Component, derived: _Component) -> None:
    for name, schema in base["properties"].items():
        if "description" in schema:
            derived["properties"][name].setdefault("description", schema["description"])
