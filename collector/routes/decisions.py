"""The endpoints that assign an incident, and that act on many incidents at once."""

from typing import TYPE_CHECKING, Annotated, Final, Literal

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import TypedDict

from collector.access.callers import visible_project
from collector.access.keys import Grant
from collector.http_errors import ApiError, ErrorDetail, json_response
from collector.routes.fields import WHOLE_NUMBER, parse_moment
from collector.routes.incidents import (
    INCIDENT_ID_PARAMETER,
    MAX_BODIES,
    MAX_REASON,
    ResolveRequest,
    SuppressRequest,
    is_incident_id,
    load_detail_type,
    read_incident_id,
)
from collector.routes.owned import IF_MATCH, incident_response, read_version
from collector.routes.route import BODY_STATUSES, Operation, Route, RouteGroup
from collector.services import Services
from collector.store import Incidents
from collector.transport.body import validate_body
from incidents.lifecycle import Status

if TYPE_CHECKING:
    from incidents.incident import IncidentDetail

MAX_BULK: Final = 200
"""Incidents of one request."""
MAX_NAME: Final = 100
_NO_CONTROL: Final = r"\x00-\x1f\x7f-\x9f"
_ONE_LINE: Final = rf"^[^{_NO_CONTROL}]*[^\s{_NO_CONTROL}][^{_NO_CONTROL}]*$"
Assignee = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_NAME,
        pattern=_ONE_LINE,
        description="A person or team. A name of the file of owners has its accounts at trackers.",
    ),
]
BulkAction = Literal["confirm", "suppress", "resolve", "reopen", "assign"]
"""An action of `incidents.lifecycle`, or the assignment."""


class AssignRequest(BaseModel):
    """Who has the incident; `null`: nobody, so that the rules of owners decide."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    assignee: Assignee | None
    reason: Annotated[
        str,
        Field(
            max_length=MAX_REASON, pattern=rf"^[^{_NO_CONTROL}]*$", description="Text for the history; may be empty."
        ),
    ] = ""


class BulkRequest(SuppressRequest, ResolveRequest):
    """One action for many incidents. `until` and `sessions` end a suppression; `version`, `environment` and `nextRelease`, with
    `resolve` alone, say where they are fixed; `assignee` belongs to `assign`."""

    ids: Annotated[list[Annotated[str, Field(max_length=200)]], Field(min_length=1, max_length=MAX_BULK)]
    action: BulkAction
    assignee: Assignee | None = None
    versions: Annotated[
        dict[str, Annotated[int, Field(ge=0, lt=10**18), WHOLE_NUMBER]],
        Field(
            default_factory=dict,
            max_length=MAX_BULK,
            description="By id, the version of the incident that you saw; an incident of another one is refused.",
        ),
    ]

    @model_validator(mode="after")
    def _check_action(self) -> "BulkRequest":
        if str(self.fix) and self.action != "resolve":
            raise ValueError("`version` and `nextRelease` go with the action `resolve`")
        return self


class BulkResult(TypedDict):
    """What became of one incident."""

    incidentId: str
    code: int
    """The status that the call for this incident alone would have: 200, 404, 409, 412 or 503."""
    status: Status | None
    """Of the incident afterwards; null if nothing was changed."""
    version: int | None
    error: ErrorDetail | None


class BulkAnswer(TypedDict):
    """One result for each id, in the order of the request; an id that is named twice has one."""

    results: list[BulkResult]
    changed: int
    refused: int


class DecisionEndpoints:
    """Assignment and bulk actions, for operator keys. A key of one project sees nothing of other projects."""

    def __init__(self, services: Services) -> None:
        self._gate = services.gate
        self._store = services.store
        self._owners = services.owners
        self._doorway = services.make_doorway(MAX_BODIES)

    async def assign_incident(self, request: Request) -> Response:
        """Assign an incident to a person or team."""
        return await self._doorway.answer_request(request, self._assign_incident)

    async def act_on_many(self, request: Request) -> Response:
        """Apply one action to many incidents, each by itself: one that is refused leaves the others alone."""
        return await self._doorway.answer_request(request, self._act_on_many)

    async def _assign_incident(self, request: Request) -> Response:
        grant = self._gate.require_operator(request)
        incident_id, version = read_incident_id(request), read_version(request)
        body = await self._doorway.read_body(request)
        sent = validate_body(AssignRequest, body.content)
        found = await self._store.ask_store(
            lambda store: store.ledger.assign_incident(
                incident_id, sent.assignee, sent.reason, grant.name, visible_project(grant), version=version
            )
        )
        return incident_response(found, self._owners.read_rules())

    async def _act_on_many(self, request: Request) -> Response:
        grant = self._gate.require_operator(request)
        body = await self._doorway.read_body(request)
        sent = validate_body(BulkRequest, body.content)
        results: list[BulkResult] = []
        away: ApiError | None = None  # the store does not answer: the others would wait for it one after the other
        for incident_id in dict.fromkeys(sent.ids):
            try:
                if away is not None:
                    raise away
                results.append(await self._act_on_incident(incident_id, sent, grant))
            except ApiError as error:
                away = error if error.status == 503 else None
                results.append(_refuse(incident_id, error))
        changed = sum(result["error"] is None for result in results)
        answer: BulkAnswer = {"results": results, "changed": changed, "refused": len(results) - changed}
        return json_response(answer)

    async def _act_on_incident(self, incident_id: str, sent: BulkRequest, grant: Grant) -> BulkResult:
        if not is_incident_id(incident_id):
            raise ApiError(404, "not_found", "no such incident")
        found = await self._store.ask_store(lambda store: _apply_to_incident(store, incident_id, sent, grant))
        return {
            "incidentId": incident_id,
            "code": 200,
            "status": found["status"],
            "version": found["version"],
            "error": None,
        }


def _apply_to_incident(store: Incidents, incident_id: str, sent: BulkRequest, grant: Grant) -> "IncidentDetail":
    project, version = visible_project(grant), sent.versions.get(incident_id)
    if sent.action == "assign":
        return store.ledger.assign_incident(
            incident_id, sent.assignee, sent.reason, grant.name, project, version=version
        )
    return store.ledger.apply_action(
        incident_id,
        sent.action,
        sent.reason,
        grant.name,
        project,
        parse_moment(sent.until) if sent.until else None,
        sent.sessions,
        fix=sent.fix,
        version=version,
    )


def _refuse(incident_id: str, error: ApiError) -> BulkResult:
    shown = incident_id.encode("utf-8", "replace").decode()  # half of a surrogate pair is no text
    return {
        "incidentId": shown,
        "code": error.status,
        "status": None,
        "version": None,
        "error": {"code": error.code, "message": error.message},
    }


GROUP: Final = RouteGroup(
    DecisionEndpoints,
    (
        Route(
            "post",
            "/v1/incidents/bulk",
            DecisionEndpoints.act_on_many,
            Operation(
                tag="Incidents",
                summary="Act on many incidents",
                text="One action for up to 200 incidents, each by itself: one that is unknown, was changed meanwhile, or does "
                "not allow the action leaves the others alone. The answer has a result for each id.",
                answer=BulkAnswer,
                errors=BODY_STATUSES,
                body=BulkRequest,
                example={
                    "ids": ["inc_0123456789abcdef0123456789abcdef"],
                    "action": "assign",
                    "assignee": "@payments",
                    "reason": "their checkout",
                },
            ),
        ),
        Route(
            "post",
            "/v1/incidents/{incident_id}/assign",
            DecisionEndpoints.assign_incident,
            Operation(
                tag="Incidents",
                summary="Assign an incident",
                text="To a person or team; this wins over the rules of owners. `null`: to nobody, so that the rules decide.",
                answer=load_detail_type,
                errors=(*BODY_STATUSES, 404, 409, 412),
                body=AssignRequest,
                example={"assignee": "@payments", "reason": "their checkout"},
                parameters=(INCIDENT_ID_PARAMETER, IF_MATCH),
            ),
        ),
    ),
)
