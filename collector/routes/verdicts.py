"""The endpoint of verdicts: what a person says of a session of an incident."""

import re
from typing import Annotated, Final, Literal

from fastapi import Request, Response
from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from collector.access.callers import visible_project
from collector.http_errors import ApiError, json_response
from collector.routes.fields import NOT_BLANK
from collector.routes.incidents import INCIDENT_ID_PARAMETER, MAX_BODIES, MAX_REASON, read_incident_id
from collector.routes.route import BODY_STATUSES, Operation, Route, RouteGroup
from collector.services import Services
from collector.store import StoreCalls
from collector.transport.body import validate_body
from incidents.verdicts import Verdict, VerdictReason, VerdictRecord

VerdictWord = Literal["no_frustration", "frustration", "none"]
SESSION_ID: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,128}")


class VerdictRequest(BaseModel):
    """A person's verdict on a session. `none` takes the own verdict back. `no_frustration` needs a `reason`, and the reason
    `other` needs a `text`."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    sessionId: Annotated[str, Field(min_length=1, max_length=128, pattern=NOT_BLANK)]
    verdict: VerdictWord
    reason: VerdictReason | None = None
    text: Annotated[
        str,
        Field(max_length=MAX_REASON, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$", description="In the person's own words."),
    ] = ""


class SessionVerdicts(TypedDict):
    """All verdicts on the session, the newest first."""

    incidentId: str
    sessionId: str
    verdicts: list[VerdictRecord]


class VerdictEndpoints:
    """The endpoint of verdicts, for operator keys."""

    def __init__(self, services: Services) -> None:
        self._gate = services.gate
        self._store = services.store
        self._doorway = services.make_doorway(MAX_BODIES)

    async def judge_session(self, request: Request) -> Response:
        """Keep, change or take back the verdict of the key's holder."""
        return await self._doorway.answer_request(request, self._judge_session)

    async def _judge_session(self, request: Request) -> Response:
        grant = self._gate.require_operator(request)
        incident_id = read_incident_id(request)
        body = await self._doorway.read_body(request)
        sent = validate_body(VerdictRequest, body.content)
        who = (grant.name, visible_project(grant))
        kept = await keep_verdict(self._store, incident_id, sent, who)
        answer: SessionVerdicts = {
            "incidentId": incident_id,
            "sessionId": sent.sessionId,
            "verdicts": [verdict.to_json() for verdict in kept],
        }
        return json_response(answer)


async def keep_verdict(
    store: StoreCalls, incident_id: str, sent: VerdictRequest, who: tuple[str, str | None]
) -> list[Verdict]:
    """Keep a verdict of ``who`` (name, and the only project that they see); all verdicts on the session.

    Raises ApiError: 400 without the reason that is needed, 404 when the incident has no such session, and those of the store.
    """
    from stores.incidents.verdict_ledger import VerdictKey

    key = VerdictKey(incident_id, sent.sessionId, *who)
    reason = sent.reason
    if sent.verdict == "no_frustration":
        if reason is None:
            raise ApiError(400, "invalid_body", "`reason` is needed: why it was no frustration")
        if reason == "other" and not sent.text.strip():
            raise ApiError(400, "invalid_body", "`text` is needed with the reason `other`")
    elif reason is not None:
        raise ApiError(400, "invalid_body", "`reason` belongs to the verdict `no_frustration`")
    if sent.verdict == "none":
        return await store.ask_store(lambda stores: stores.verdicts.drop_verdict(key))
    return await store.ask_store(lambda stores: stores.verdicts.save_verdict(key, reason, sent.text))


GROUP: Final = RouteGroup(
    VerdictEndpoints,
    (
        Route(
            "post",
            "/v1/incidents/{incident_id}/verdict",
            VerdictEndpoints.judge_session,
            Operation(
                tag="Incidents",
                summary="Say whether a session was frustrated",
                text="A person's verdict on a session of the incident. It changes no status; the history names it. The same "
                "verdict again changes nothing, another one takes the place of the person's earlier one.",
                answer=SessionVerdicts,
                errors=(*BODY_STATUSES, 404),
                body=VerdictRequest,
                example={"sessionId": "test-1", "verdict": "no_frustration", "reason": "expected_refusal"},
                parameters=(INCIDENT_ID_PARAMETER,),
            ),
        ),
    ),
)
