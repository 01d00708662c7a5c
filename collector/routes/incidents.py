"""The endpoints of incidents: list, show, act with a reason, store a detection of another system."""

import re
import time
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final, get_args

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import TypedDict

from collector.access.callers import require_named_project, visible_project
from collector.http_errors import ApiError, json_response
from collector.routes.cursors import write_cursor
from collector.routes.external import IncidentRequest, refuse_future_times, to_detection
from collector.routes.fields import NOT_BLANK, ONE_LINE, WHOLE_NUMBER, Time, parse_moment
from collector.routes.owned import IF_MATCH, add_owners, incident_response, prepare_owners, read_version
from collector.routes.query import PARAMETERS, parse_incident_query
from collector.routes.route import BODY_STATUSES, Operation, Parameter, Route, RouteGroup
from collector.services import Services
from collector.store import Incidents
from collector.transport.body import validate_body
from incidents.fixes import LONGEST_NAME, NO_FIX, Fix
from incidents.lifecycle import Action

if TYPE_CHECKING:
    from collector.routes.answers import IncidentPage
    from incidents.model import IncidentPage as StoredPage

MAX_BODIES: Final = 32
"""Bodies of operators in memory at once; intake has its own limit, so that neither blocks the other."""
MAX_REASON: Final = 2_000
MAX_MORE_SESSIONS: Final = 10**9
_INCIDENT_ID: Final = re.compile(r"[A-Za-z0-9_\-]{1,100}")


class ActionRequest(BaseModel):
    """A person's action."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    reason: Annotated[
        str,
        Field(
            min_length=1,
            max_length=MAX_REASON,
            pattern=NOT_BLANK,
            description="The reason, as text for the history; without control characters.",
        ),
    ]


class SuppressRequest(ActionRequest):
    """The incident is no problem. With `until`, this ends with the first session seen at or after that time; with `sessions`,
    when so many more sessions are affected; with both, at whichever comes first. Without them it does not end."""

    until: Time | None = None
    sessions: Annotated[int, Field(ge=1, le=MAX_MORE_SESSIONS), WHOLE_NUMBER] | None = None


class ResolveRequest(ActionRequest):
    """The incident is fixed: in a version, or in the next release; without both, in all sessions that begin from now on."""

    version: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=LONGEST_NAME,
            pattern=ONE_LINE,
            description="The first version with the fix, as sessions or releases name it. Sessions of older versions, and of "
            "those whose order is unknown, never make the incident come back.",
        ),
    ] = None
    environment: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=LONGEST_NAME,
            pattern=ONE_LINE,
            description="The only environment that was fixed; with `version` or `nextRelease`.",
        ),
    ] = None
    nextRelease: Annotated[
        bool,
        Field(
            description="The first release of the project after this has the fix. Until it comes, nothing makes it come back."
        ),
    ] = False

    @model_validator(mode="after")
    def _check_fix(self) -> "ResolveRequest":
        if self.version and self.nextRelease:
            raise ValueError("`version` and `nextRelease` exclude each other")
        if self.environment and not (self.version or self.nextRelease):
            raise ValueError("`environment` goes with `version` or `nextRelease`")
        return self

    @property
    def fix(self) -> Fix:
        """Where it was fixed."""
        return Fix(self.version or "", self.environment or "", self.nextRelease)


class Stored(TypedDict):
    """`duplicate`: exactly this detection was stored before."""

    success: bool
    incidentId: str
    duplicate: bool


class Projects(TypedDict):
    """The projects that the key sees."""

    projects: Annotated[list[str], Field(description="Sorted ids; a key of one project sees only that project.")]


class IncidentEndpoints:
    """The endpoints of incidents, for operator keys. A key of one project sees nothing of other projects."""

    def __init__(self, services: Services) -> None:
        self._keys = services.keys
        self._gate = services.gate
        self._store = services.store
        self._owners = services.owners
        self._confirm = services.config.confirm
        self._salt = services.salt
        self._doorway = services.make_doorway(MAX_BODIES)

    async def list_incidents(self, request: Request) -> Response:
        """A page of incidents."""
        grant = self._gate.require_reader(request)
        query = parse_incident_query(request.query_params.multi_items(), grant)
        rules = self._owners.read_rules()

        def read_page(store: Incidents) -> "StoredPage":
            prepare_owners(store, query, rules)
            return store.incidents.list_incidents(query)

        page = await self._store.ask_store(read_page)
        answer: IncidentPage = {
            "incidents": add_owners(page.incidents, rules),
            "total": page.total,
            "limit": query.limit,
            "offset": query.offset,
            "next": write_cursor(page.after) or None,
        }
        return json_response(answer)

    async def list_projects(self, request: Request) -> Response:
        """The projects that the key sees."""
        grant = self._gate.require_reader(request)
        known = await self._store.ask_store(lambda store: store.keys.list_known_projects())
        answer: Projects = {"projects": [project for project in known if grant.sees_project(project)]}
        return json_response(answer)

    async def show_incident(self, request: Request) -> Response:
        """One incident. 404 also when the key does not see its project."""
        grant = self._gate.require_reader(request)
        incident_id = read_incident_id(request)
        found = await self._store.ask_store(
            lambda store: store.incidents.read_incident(incident_id, visible_project(grant))
        )
        if found is None:
            raise ApiError(404, "not_found", "no such incident")
        return incident_response(found, self._owners.read_rules())

    async def act_on_incident(self, action: Action, request: Request) -> Response:
        """Apply a person's action. The history shows the key's name as the actor."""
        return await self._doorway.answer_request(request, partial(self._act_on_incident, action))

    async def create_incident(self, request: Request) -> Response:
        """Store a detection that another system made."""
        return await self._doorway.answer_request(request, self._create_incident)

    async def _act_on_incident(self, action: Action, request: Request) -> Response:
        grant = self._gate.require_operator(request)
        incident_id, version = read_incident_id(request), read_version(request)
        body = await self._doorway.read_body(request)
        sent = validate_body(_ACTION_BODIES.get(action, ActionRequest), body.content)
        fix = sent.fix if isinstance(sent, ResolveRequest) else NO_FIX
        until, sessions = (sent.until, sent.sessions) if isinstance(sent, SuppressRequest) else (None, None)
        moved = await self._store.ask_store(
            lambda store: store.ledger.apply_action(
                incident_id,
                action,
                sent.reason,
                grant.name,
                visible_project(grant),
                parse_moment(until) if until else None,
                sessions,
                fix=fix,
                version=version,
            )
        )
        return incident_response(moved, self._owners.read_rules())

    async def _create_incident(self, request: Request) -> Response:
        grant = self._gate.require_operator(request)
        body = await self._doorway.read_body(request)
        sent = validate_body(IncidentRequest, body.content).incident
        refuse_future_times(sent, time.time_ns() // 1_000_000)
        project = require_named_project(grant, sent.projectId)
        rule = self._keys.find_project_settings(project).effective_confirm_rule(self._confirm)

        def record_detection(store: Incidents) -> tuple[str, bool]:
            routes = store.routes.read_rules([project]).get(project)
            return store.ledger.record_external_detection(to_detection(sent, project, self._salt, routes), rule)

        incident_id, known = await self._store.ask_store(record_detection)
        answer: Stored = {"success": True, "incidentId": incident_id, "duplicate": known}
        return json_response(answer)


_ACTION_BODIES: Final[dict[Action, type[ActionRequest]]] = {"suppress": SuppressRequest, "resolve": ResolveRequest}


def read_incident_id(request: Request) -> str:
    """The incident id of the path. Raises ApiError (404) for what cannot be one."""
    incident_id: str = request.path_params["incident_id"]
    if not is_incident_id(incident_id):
        raise ApiError(404, "not_found", "no such incident")
    return incident_id


def is_incident_id(text: str) -> bool:
    """Whether ``text`` can be the id of an incident."""
    return _INCIDENT_ID.fullmatch(text) is not None


def _load_page_type() -> type:
    from collector.routes.answers import IncidentPage

    return IncidentPage


def load_detail_type() -> type:
    """The type of an incident's answer; imported when the OpenAPI document is made."""
    from incidents.incident import OwnedIncidentDetail

    return OwnedIncidentDetail


INCIDENT_ID_PARAMETER: Final[Parameter] = {
    "name": "incident_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "minLength": 1, "maxLength": 100, "pattern": "^[A-Za-z0-9_-]+$"},
    "example": "inc_0123456789abcdef0123456789abcdef",
}
_ACTION_TEXTS: Final[dict[Action, tuple[str, str]]] = {
    "confirm": (
        "Confirm",
        "It is a problem: `draft` becomes `confirmed`. It is exported, also when a flood of new incidents holds it back.",
    ),
    "suppress": ("Suppress", "It is not a problem. Its detections are still counted."),
    "resolve": (
        "Resolve",
        "It is fixed: `resolved` until sessions that started later, and have the fix if its version is known, show it again.",
    ),
    "reopen": ("Reopen", "`resolved` or `suppressed` becomes `confirmed`."),
}


def _declare_action(action: Action) -> Route[IncidentEndpoints]:
    title, text = _ACTION_TEXTS[action]
    return Route(
        "post",
        f"/v1/incidents/{{incident_id}}/{action}",
        lambda endpoints, request: endpoints.act_on_incident(action, request),
        Operation(
            tag="Incidents",
            summary=f"{title} an incident",
            text=f"{text} The history names the key's label and the reason.",
            answer=load_detail_type,
            errors=(*BODY_STATUSES, 404, 409, 412),
            body=_ACTION_BODIES.get(action, ActionRequest),
            example={"reason": "seen in the checkout's dashboard too"},
            parameters=(INCIDENT_ID_PARAMETER, IF_MATCH),
        ),
    )


GROUP: Final = RouteGroup(
    IncidentEndpoints,
    (
        Route(
            "get",
            "/v1/incidents",
            IncidentEndpoints.list_incidents,
            Operation(
                tag="Incidents",
                summary="List incidents",
                text="A page of incidents, without history and examples.",
                answer=_load_page_type,
                errors=(400, 401, 403, 404, 503),
                parameters=PARAMETERS,
            ),
        ),
        Route(
            "get",
            "/v1/projects",
            IncidentEndpoints.list_projects,
            Operation(
                tag="Incidents",
                summary="List projects",
                text="The projects that the key sees.",
                answer=Projects,
                errors=(401, 403, 503),
            ),
        ),
        Route(
            "post",
            "/v1/incidents",
            IncidentEndpoints.create_incident,
            Operation(
                tag="Incidents",
                summary="Store a detection of another system",
                text="The engine never retracts it. The failure point decides its incident: detections of the engine at "
                "the same failure point belong to the same incident.",
                answer=Stored,
                errors=BODY_STATUSES,
                body=IncidentRequest,
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
        ),
        Route(
            "get",
            "/v1/incidents/{incident_id}",
            IncidentEndpoints.show_incident,
            Operation(
                tag="Incidents",
                summary="Show an incident",
                text="With its history, up to 5 example sessions and their timelines. The header `ETag` names its version.",
                answer=load_detail_type,
                errors=(401, 403, 404, 503),
                parameters=(INCIDENT_ID_PARAMETER,),
            ),
        ),
        *(_declare_action(action) for action in get_args(Action)),
    ),
)
