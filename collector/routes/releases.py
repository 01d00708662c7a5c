"""The endpoints of releases: told by deployments, listed with those that were seen in sessions."""

import time
from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from collector.access.callers import require_named_project, visible_project
from collector.contract.limits import MAX_FUTURE_MS
from collector.http_errors import ApiError, json_response
from collector.routes.fields import ONE_LINE, Name, Time, parse_moment
from collector.routes.incidents import MAX_BODIES
from collector.routes.route import BODY_STATUSES, Operation, Parameter, Route, RouteGroup
from collector.services import Services
from collector.transport.body import validate_body
from incidents.fixes import LONGEST_NAME
from incidents.releases import NewRelease, ReleaseRecord

_MAX_PROJECT: Final = 128
_Text = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME, pattern=ONE_LINE)]
_PROJECT: Final[Parameter] = {
    "name": "project",
    "in": "query",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 128},
    "description": "Needed with a key of all projects.",
    "example": "default",
}
_ENVIRONMENT: Final[Parameter] = {
    "name": "environment",
    "in": "query",
    "required": False,
    "schema": {"type": "string", "maxLength": LONGEST_NAME},
    "description": "Only of this environment; empty: of releases and sessions without one.",
}


class ReleaseRequest(BaseModel):
    """A version is out. The same again changes nothing; another branch or time replaces the former one."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    projectId: Name
    version: Annotated[_Text, Field(description="As sessions name it (`appVersion`).")]
    environment: Annotated[_Text | None, Field(description="Where it is out; without it: everywhere.")] = None
    branch: Annotated[
        _Text | None,
        Field(description="Releases of two branches are ordered only by numbers that their times do not contradict."),
    ] = None
    time: Annotated[Time | None, Field(description="When it came out; default: now.")] = None


class ReleaseAdded(TypedDict):
    """`incidents`: those that were resolved in the next release, which is this one."""

    success: bool
    incidents: list[str]


class ReleaseList(TypedDict):
    """Releases of a project, the newest first."""

    releases: list[ReleaseRecord]


class ReleaseEndpoints:
    """The endpoints of releases. A key of one project sees nothing of other projects."""

    def __init__(self, services: Services) -> None:
        self._gate = services.gate
        self._store = services.store
        self._doorway = services.make_doorway(MAX_BODIES)

    async def add_release(self, request: Request) -> Response:
        """Store a release."""
        return await self._doorway.answer_request(request, self._add_release)

    async def list_releases(self, request: Request) -> Response:
        """The releases of a project, the newest first."""
        grant = self._gate.require_reader(request)
        named = request.query_params.get("project", "") or visible_project(grant) or ""
        if not named:
            raise ApiError(400, "invalid_parameter", "`project` is needed with a key of all projects")
        project = require_named_project(grant, named)
        environment = request.query_params.get("environment")
        if len(project) > _MAX_PROJECT or len(environment or "") > LONGEST_NAME:
            raise ApiError(400, "invalid_parameter", "`project` or `environment` is too long")
        found = await self._store.ask_store(lambda store: store.releases.list_releases(project, environment))
        answer: ReleaseList = {"releases": found}
        return json_response(answer)

    async def _add_release(self, request: Request) -> Response:
        grant = self._gate.require_operator(request)
        body = await self._doorway.read_body(request)
        sent = validate_body(ReleaseRequest, body.content)
        require_named_project(grant, sent.projectId)
        release = _build_release(sent)
        moved = await self._store.ask_store(lambda store: store.releases.add_release(release, grant.name))
        answer: ReleaseAdded = {"success": True, "incidents": moved}
        return json_response(answer)


def _build_release(sent: ReleaseRequest) -> NewRelease:
    """Raises ApiError (400) for a time more than an hour from now."""
    at = parse_moment(sent.time) if sent.time else None
    if at is not None and at > datetime.fromtimestamp((time.time_ns() // 1_000_000 + MAX_FUTURE_MS) / 1000, UTC):
        raise ApiError(400, "invalid_body", "`time` lies more than an hour in the future")
    return NewRelease(sent.projectId, sent.version, sent.environment or "", sent.branch or "", at)


GROUP: Final = RouteGroup(
    ReleaseEndpoints,
    (
        Route(
            "post",
            "/v1/releases",
            ReleaseEndpoints.add_release,
            Operation(
                tag="Incidents",
                summary="Tell a release",
                text="For the last step of a deployment. Incidents that were resolved in the next release get its version.",
                answer=ReleaseAdded,
                errors=BODY_STATUSES,
                body=ReleaseRequest,
                example={"projectId": "default", "version": "2.5.0", "environment": "production", "branch": "main"},
            ),
        ),
        Route(
            "get",
            "/v1/releases",
            ReleaseEndpoints.list_releases,
            Operation(
                tag="Incidents",
                summary="List releases",
                text="The last 100 versions of a project, told or seen in sessions, the newest first.",
                answer=ReleaseList,
                errors=(400, 401, 403, 503),
                parameters=(_PROJECT, _ENVIRONMENT),
            ),
        ),
    ),
)
