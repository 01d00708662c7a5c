"""Incidents in answers: with their owner, and with their version as ``ETag``, which a later change may name in ``If-Match``."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from fastapi import Request, Response

from collector.http_errors import ApiError, json_response
from collector.routes.route import Parameter
from incidents.model import IncidentQuery
from incidents.owners import OwnerRules, owner_of

if TYPE_CHECKING:
    from collector.store import Incidents
    from incidents.incident import Incident, IncidentDetail, OwnedIncident, OwnedIncidentDetail

_TAG: Final = re.compile(r'(?:W/)?"([0-9]{1,18})"|([0-9]{1,18})')
IF_MATCH: Final[Parameter] = {
    "name": "If-Match",
    "in": "header",
    "description": 'The version that you saw, as `ETag` has it (`"7"`), or `*` for any. Another version is refused: 412.',
    "required": False,
    "schema": {"type": "string", "pattern": r'^(\*|[0-9]{1,18}|(W/)?"[0-9]{1,18}")$'},
    "example": '"7"',
}


def read_version(request: Request) -> int | None:
    """The version that a request names in ``If-Match``; None if any is right. Raises ApiError (400) for another form."""
    sent = request.headers.getlist("if-match")
    if not sent or sent == ["*"]:
        return None
    match = _TAG.fullmatch(sent[0].strip()) if len(sent) == 1 else None
    if match is None:
        raise ApiError(400, "invalid_header", 'If-Match is one ETag of the incident, like "7", or *')
    return int(match[1] or match[2])


def add_owners(incidents: "Iterable[Incident]", rules: OwnerRules) -> "list[OwnedIncident]":
    """The incidents of a list with their owners."""
    return [
        {**incident, "owner": owner.to_json() if (owner := owner_of(incident, rules)) else None}
        for incident in incidents
    ]


def add_owner(incident: "IncidentDetail", rules: OwnerRules) -> "OwnedIncidentDetail":
    """The incident with its owner."""
    owner = owner_of(incident, rules)
    return {**incident, "owner": owner.to_json() if owner else None}


def prepare_owners(store: "Incidents", query: IncidentQuery, rules: OwnerRules) -> None:
    """Before a list by owner is read: bring the owners of all incidents up to date with the rules."""
    if query.owner is not None or query.owned is not None:
        store.owners.bring_up_to_date(rules)


def incident_response(incident: "IncidentDetail", rules: OwnerRules) -> Response:
    """The answer of one incident, with its version as ``ETag``."""
    return json_response(add_owner(incident, rules), headers={"etag": f'"{incident["version"]}"'})
