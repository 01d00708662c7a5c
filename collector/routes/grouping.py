"""The endpoints of grouping: a person merges two incidents, or splits one."""

from typing import TYPE_CHECKING, Annotated, Final

from fastapi import Request, Response
from pydantic import Field

from collector.access.callers import visible_project
from collector.routes.fields import NOT_BLANK
from collector.routes.incidents import (
    INCIDENT_ID_PARAMETER,
    MAX_BODIES,
    ActionRequest,
    load_detail_type,
    read_incident_id,
)
from collector.routes.owned import IF_MATCH, incident_response, read_version
from collector.routes.route import BODY_STATUSES, Operation, Route, RouteGroup
from collector.services import Services
from collector.store import Incidents
from collector.transport.body import validate_body
from incidents.lifecycle import ConfirmRule
from incidents.model import NotFound

if TYPE_CHECKING:
    from incidents.incident import IncidentDetail


class MergeRequest(ActionRequest):
    """The incident is the same problem as `into`."""

    into: Annotated[str, Field(pattern="^[A-Za-z0-9_-]{1,100}$", description="Id of the incident that remains.")]


class SplitRequest(ActionRequest):
    """One failure point of the incident is another problem."""

    failurePoint: Annotated[
        str,
        Field(
            max_length=4_096,
            pattern=NOT_BLANK,
            description="As in `primaryFailurePoint` of a detection. The error for another text lists those of the incident.",
        ),
    ]


class GroupingEndpoints:
    """Merging and splitting, for operator keys. A key of one project sees nothing of other projects."""

    def __init__(self, services: Services) -> None:
        self._keys = services.keys
        self._gate = services.gate
        self._store = services.store
        self._owners = services.owners
        self._confirm = services.config.confirm
        self._doorway = services.make_doorway(MAX_BODIES)

    async def merge_incident(self, request: Request) -> Response:
        """Merge an incident into another one; answers with the other."""
        return await self._doorway.answer_request(request, self._merge_incident)

    async def split_incident(self, request: Request) -> Response:
        """Split a failure point off; answers with the new incident."""
        return await self._doorway.answer_request(request, self._split_incident)

    async def _merge_incident(self, request: Request) -> Response:
        grant = self._gate.require_operator(request)
        incident_id, version = read_incident_id(request), read_version(request)
        body = await self._doorway.read_body(request)
        sent = validate_body(MergeRequest, body.content)
        project = visible_project(grant)

        def merge(store: Incidents) -> "IncidentDetail":
            rule = self._find_rule(store, incident_id, project)
            return store.merger.merge_incidents(incident_id, sent.into, sent.reason, grant.name, project, rule, version)

        return incident_response(await self._store.ask_store(merge), self._owners.read_rules())

    async def _split_incident(self, request: Request) -> Response:
        grant = self._gate.require_operator(request)
        incident_id, version = read_incident_id(request), read_version(request)
        body = await self._doorway.read_body(request)
        sent = validate_body(SplitRequest, body.content)
        project = visible_project(grant)

        def split(store: Incidents) -> "IncidentDetail":
            rule = self._find_rule(store, incident_id, project)
            return store.merger.split_incident(
                incident_id, sent.failurePoint, sent.reason, grant.name, project, rule, version
            )

        return incident_response(await self._store.ask_store(split), self._owners.read_rules())

    def _find_rule(self, store: Incidents, incident_id: str, project: str | None) -> ConfirmRule:
        """The confirm rule of the incident's project. Raises NotFound."""
        found = store.incidents.read_incident(incident_id, project)
        if found is None:
            raise NotFound(f"no incident {incident_id!r}")
        return self._keys.find_project_settings(found["projectId"]).effective_confirm_rule(self._confirm)


GROUP: Final = RouteGroup(
    GroupingEndpoints,
    (
        Route(
            "post",
            "/v1/incidents/{incident_id}/merge",
            GroupingEndpoints.merge_incident,
            Operation(
                tag="Incidents",
                summary="Merge an incident into another one",
                text="Its detections, also future ones, belong to `into`, whatever the rules of grouping say. One ticket stays "
                "at each tracker; a second one is marked as a duplicate in the history, and the next export closes it.",
                answer=load_detail_type,
                errors=(*BODY_STATUSES, 404, 409, 412),
                body=MergeRequest,
                example={"reason": "the same button", "into": "inc_0123456789abcdef0123456789abcdef"},
                parameters=(INCIDENT_ID_PARAMETER, IF_MATCH),
            ),
        ),
        Route(
            "post",
            "/v1/incidents/{incident_id}/split",
            GroupingEndpoints.split_incident,
            Operation(
                tag="Incidents",
                summary="Split a failure point off",
                text="The detections of this failure point, also future ones, belong to a new incident, whatever the rules of "
                "grouping say.",
                answer=load_detail_type,
                errors=(*BODY_STATUSES, 404, 409, 412),
                body=SplitRequest,
                example={"reason": "another bug", "failurePoint": "/checkout › button#pay › POST /api/orders → 500"},
                parameters=(INCIDENT_ID_PARAMETER, IF_MATCH),
            ),
        ),
    ),
)
