"""The endpoint that snoozes an incident: nobody is alerted of it for a while."""

from typing import Annotated, Final

from fastapi import Request, Response
from pydantic import Field
from typing_extensions import TypedDict

from collector.access.callers import visible_project
from collector.http_errors import json_response
from collector.routes.fields import Time, parse_moment
from collector.routes.incidents import INCIDENT_ID_PARAMETER, MAX_BODIES, ActionRequest, read_incident_id
from collector.routes.route import BODY_STATUSES, Operation, Route, RouteGroup
from collector.services import Services
from collector.store import Incidents
from collector.transport.body import validate_body
from incidents.model import NotFound


class SnoozeRequest(ActionRequest):
    """Nobody is alerted of the incident before `until`. A time that is over ends the snoozing."""

    until: Time


class SnoozeAnswer(TypedDict):
    """The incident, and until when nobody is alerted of it."""

    incidentId: Annotated[str, Field(description="Id of the incident.")]
    until: Annotated[str, Field(description="RFC 3339, in UTC.")]


class SnoozeEndpoints:
    """Snoozing, for operator keys. A key of one project sees nothing of other projects."""

    def __init__(self, services: Services) -> None:
        self._gate = services.gate
        self._store = services.store
        self._doorway = services.make_doorway(MAX_BODIES)

    async def snooze_incident(self, request: Request) -> Response:
        """Snooze an incident."""
        return await self._doorway.answer_request(request, self._snooze_incident)

    async def _snooze_incident(self, request: Request) -> Response:
        grant = self._gate.require_operator(request)
        incident_id = read_incident_id(request)
        body = await self._doorway.read_body(request)
        sent = validate_body(SnoozeRequest, body.content)
        project, until = visible_project(grant), parse_moment(sent.until)
        assert until is not None  # the type of the field

        def snooze(store: Incidents) -> SnoozeAnswer:
            if store.incidents.read_incident(incident_id, project) is None:
                raise NotFound(f"no incident {incident_id!r}")
            store.alert_outbox.snooze_incident(incident_id, until, grant.name, sent.reason)
            return {"incidentId": incident_id, "until": sent.until}

        return json_response(await self._store.ask_store(snooze))


GROUP: Final = RouteGroup(
    SnoozeEndpoints,
    (
        Route(
            "post",
            "/v1/incidents/{incident_id}/snooze",
            SnoozeEndpoints.snooze_incident,
            Operation(
                tag="Incidents",
                summary="Alert nobody of an incident for a while",
                text="Its status, its counts and its ticket go on. Alerts of this time are not sent later.",
                answer=SnoozeAnswer,
                errors=(*BODY_STATUSES, 404),
                body=SnoozeRequest,
                example={"reason": "we know", "until": "2030-01-15T10:00:00Z"},
                parameters=(INCIDENT_ID_PARAMETER,),
            ),
        ),
    ),
)
