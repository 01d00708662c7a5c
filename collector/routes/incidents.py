"""The endpoints of incidents: list, show, act with a reason, take in what was detected elsewhere."""

import re
import time
from functools import partial
from typing import Final

from fastapi import Request, Response

from collector.access.callers import Gate, require_named_project, visible_project
from collector.access.keys import KeyRing
from collector.config import CollectorConfig
from collector.http_errors import ApiError, json_response
from collector.routes.external import refuse_future_times, to_detection
from collector.routes.query import parse_incident_query
from collector.routes.shapes import Action, ActionRequest, IncidentRequest, SuppressRequest, parse_moment
from collector.store import Incidents, StoreCalls
from collector.transport.body import Doorway, validate_body

MAX_BODIES: Final = 32
"""Bodies of operators in memory at once; apart from those of intake, so that neither can shut the other out."""

_INCIDENT_ID = re.compile(r"[A-Za-z0-9_\-]{1,100}")


class IncidentEndpoints:
    """What an operator key may ask and do; a key of one project sees nothing of the others."""

    def __init__(self, config: CollectorConfig, keys: KeyRing, gate: Gate, doorway: Doorway, store: StoreCalls) -> None:
        """``doorway``: for `MAX_BODIES`."""
        self._keys = keys
        self._gate = gate
        self._store = store
        self._confirm = config.confirm
        self._salt = config.user_salt.get_secret_value().encode()
        self._doorway = doorway

    async def list_incidents(self, request: Request) -> Response:
        """A page of incidents."""
        grant = self._gate.require_operator(request)
        query = parse_incident_query(request.query_params.multi_items(), grant)
        page = await self._store.ask_store(lambda store: store.incidents.list_incidents(query))
        return json_response(
            {"incidents": page.incidents, "total": page.total, "limit": query.limit, "offset": query.offset}
        )

    async def show_incident(self, request: Request, incident_id: str) -> Response:
        """One incident; 404 also when it belongs to a project that the key does not see."""
        grant = self._gate.require_operator(request)
        _check_incident_id(incident_id)
        found = await self._store.ask_store(
            lambda store: store.incidents.read_incident(incident_id, visible_project(grant))
        )
        if found is None:
            raise ApiError(404, "not_found", "no such incident")
        return json_response(found)

    async def act_on_incident(self, request: Request, incident_id: str, action: Action) -> Response:
        """Move an incident as a person decided; the key's name stands for the person in the history."""
        return await self._doorway.answer_request(request, partial(self._act_on_incident, incident_id, action))

    async def create_incident(self, request: Request) -> Response:
        """Store one detection that was made elsewhere."""
        return await self._doorway.answer_request(request, self._create_incident)

    async def _act_on_incident(self, incident_id: str, action: Action, request: Request) -> Response:
        grant = self._gate.require_operator(request)
        _check_incident_id(incident_id)
        body = await self._doorway.read_body(request)
        sent = validate_body(SuppressRequest if action == "suppress" else ActionRequest, body.content)
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
            )
        )
        return json_response(moved)

    async def _create_incident(self, request: Request) -> Response:
        grant = self._gate.require_operator(request)
        body = await self._doorway.read_body(request)
        sent = validate_body(IncidentRequest, body.content).incident
        refuse_future_times(sent, time.time_ns() // 1_000_000)
        project = require_named_project(grant, sent.projectId)
        rule = self._keys.find_project_settings(project).effective_confirm_rule(self._confirm)

        def record_detection(store: Incidents) -> tuple[str, bool]:
            return store.ledger.record_external_detection(to_detection(sent, project, self._salt), rule)

        incident_id, known = await self._store.ask_store(record_detection)
        return json_response({"success": True, "incidentId": incident_id, "duplicate": known})


def _check_incident_id(incident_id: str) -> None:
    if not _INCIDENT_ID.fullmatch(incident_id):
        raise ApiError(404, "not_found", "no such incident")
