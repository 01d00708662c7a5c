"""The endpoints of exceptions: what verdicts propose, and what people decided."""

import re
from functools import partial
from typing import TYPE_CHECKING, Annotated, Final, Literal, get_args

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from collector.access.callers import visible_project
from collector.access.keys import Grant
from collector.exemptions import EXEMPTION_ID, ask_for_trial, read_overview
from collector.http_errors import ApiError, json_response
from collector.routes.fields import NOT_BLANK
from collector.routes.incidents import MAX_BODIES, MAX_REASON
from collector.routes.route import BODY_STATUSES, Operation, Parameter, Route, RouteGroup
from collector.services import Services
from collector.store import Incidents
from collector.transport.body import validate_body
from incidents.model import NotFound
from incidents.verdicts import ExemptionRecord, ExemptionStep, VerdictReason

if TYPE_CHECKING:
    from collector.exemptions import Overview

Step = Literal["try", "accept", "reject", "end"]
_PROJECT: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,128}")


class ExceptionRequest(BaseModel):
    """A person's decision about an exception."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    reason: Annotated[
        str, Field(min_length=1, max_length=MAX_REASON, pattern=NOT_BLANK, description="The reason, for the history.")
    ]


class ProposedException(TypedDict):
    """An exception on which `sessions` sessions without frustration agree, and that no session with frustration contradicts."""

    exceptionId: str
    projectId: str
    text: str
    content: dict[str, str | int]
    sessions: int
    reason: VerdictReason


class ExceptionList(TypedDict):
    """What verdicts propose, and the exceptions that were replayed or decided about; at most 500."""

    proposals: list[ProposedException]
    exceptions: list[ExemptionRecord]


class ExceptionEndpoints:
    """The endpoints of exceptions, for operator keys."""

    def __init__(self, services: Services) -> None:
        self._gate = services.gate
        self._store = services.store
        self._doorway = services.make_doorway(MAX_BODIES)

    async def list_exceptions(self, request: Request) -> Response:
        """The exceptions of the projects that the key sees, or of one of them."""
        grant = self._gate.require_operator(request)
        project = request.query_params.get("project") or None
        if project is not None and not _PROJECT.fullmatch(project):
            raise ApiError(400, "invalid_parameter", "`project` is text of at most 128 characters")
        if project is not None and not grant.sees_project(project):
            raise ApiError(404, "not_found", "no such project")
        return json_response(await self._read_list(visible_project(grant) or project))

    async def decide(self, step: Step, request: Request) -> Response:
        """Ask for a replay, accept, reject or take back."""
        return await self._doorway.answer_request(request, partial(self._decide, step))

    async def _decide(self, step: Step, request: Request) -> Response:
        grant: Grant = self._gate.require_operator(request)
        exemption_id: str = request.path_params["exception_id"]
        if not EXEMPTION_ID.fullmatch(exemption_id):
            raise ApiError(404, "not_found", "no such exception")
        body = await self._doorway.read_body(request)
        reason = validate_body(ExceptionRequest, body.content).reason
        project = visible_project(grant)
        if step == "try":
            await ask_for_trial(self._store, exemption_id, project, grant.name, reason)
        else:
            await self._store.ask_store(partial(_move, exemption_id, step, reason, grant.name, project))
        return json_response(await self._read_list(project))

    async def _read_list(self, project: str | None) -> ExceptionList:
        def read(store: Incidents) -> "tuple[Overview, list[ExemptionRecord]]":
            return read_overview(store, project), store.exemptions.list_exemptions(project)

        overview, records = await self._store.ask_store(read)
        proposals: list[ProposedException] = [
            {
                "exceptionId": proposal.exemption_id,
                "projectId": proposal.project,
                "text": proposal.exemption.describe(),
                "content": proposal.exemption.content(),
                "sessions": proposal.sessions,
                "reason": proposal.reason,
            }
            for proposal in overview.proposals
        ]
        return {"proposals": proposals, "exceptions": records}


def _move(
    exemption_id: str, step: ExemptionStep, reason: str, actor: str, project: str | None, store: Incidents
) -> None:
    try:
        store.exemptions.move_exemption(exemption_id, step, reason, actor, project)
    except NotFound:
        raise ApiError(404, "not_found", "no such exception; a proposed one is replayed first (`try`)") from None


_ID: Final[Parameter] = {
    "name": "exception_id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "pattern": "^exc_[0-9a-f]{32}$"},
    "example": "exc_0123456789abcdef0123456789abcdef",
}
_STEPS: Final[dict[Step, tuple[str, str]]] = {
    "try": ("Replay a proposed exception", "The next run of `detect` replays it over the stored sessions of 14 days."),
    "accept": ("Accept an exception", "It holds for sessions that are analysed from then on. 409 before its replay."),
    "reject": ("Reject an exception", "It does not hold."),
    "end": ("Take an accepted exception back", "It ends for sessions that are analysed from then on."),
}


def _declare_step(step: Step) -> Route[ExceptionEndpoints]:
    summary, text = _STEPS[step]
    return Route(
        "post",
        f"/v1/exceptions/{{exception_id}}/{step}",
        lambda endpoints, request: endpoints.decide(step, request),
        Operation(
            tag="Exceptions",
            summary=summary,
            text=f"{text} The history names the key's label and the reason.",
            answer=ExceptionList,
            errors=(*BODY_STATUSES, 404, 409),
            body=ExceptionRequest,
            example={"reason": "the cart refuses what is sold out"},
            parameters=(_ID,),
        ),
    )


GROUP: Final = RouteGroup(
    ExceptionEndpoints,
    (
        Route(
            "get",
            "/v1/exceptions",
            ExceptionEndpoints.list_exceptions,
            Operation(
                tag="Exceptions",
                summary="List exceptions",
                text="What verdicts propose, and the exceptions that were replayed or decided about.",
                answer=ExceptionList,
                errors=(400, 401, 403, 404, 503),
                parameters=(
                    {
                        "name": "project",
                        "in": "query",
                        "required": False,
                        "schema": {"type": "string", "maxLength": 128, "pattern": r"^[^\x00-\x1f\x7f-\x9f]*$"},
                        "example": "default",
                    },
                ),
            ),
        ),
        *(_declare_step(step) for step in get_args(Step)),
    ),
)
