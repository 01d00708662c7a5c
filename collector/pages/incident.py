"""``/incidents/{id}``: the page to which links in tickets, artifacts and warnings lead."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast, get_args

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from collector.exemptions import Overview, read_overview
from collector.http_errors import ApiError
from collector.pages import charts
from collector.pages.documents import incident_to_markdown, steps_to_markdown
from collector.pages.impact import present_impact
from collector.pages.page import Answer, Pages
from collector.pages.people import Person, last_value, read_form, require_actor
from collector.pages.playwright import incident_to_playwright
from collector.pages.snoozing import SPANS
from collector.pages.timeline import draw_timeline
from collector.routes.fields import parse_moment
from collector.routes.incidents import MAX_REASON
from collector.routes.owned import add_owner
from collector.routes.route import Route, RouteGroup
from collector.services import Services
from collector.store import Incidents
from incidents.fixes import NO_FIX, Fix, FixError
from incidents.lifecycle import STATUSES, Action, Status
from incidents.verdicts import REASONS, Verdict

if TYPE_CHECKING:
    from incidents.incident import IncidentDetail, OwnedIncidentDetail
    from stores.incidents.incident_review import Trend

INCIDENT_ID: Final = re.compile(r"[A-Za-z0-9_\-]{1,100}")
TREND_DAYS: Final = 30
_MAX_BULK: Final = 200
_MAX_SESSIONS: Final = 10**9
_BACK: Final = re.compile(r"/incidents(?:\?[!-\[\]-~]{0,2000})?")
_FACETS: Final = (
    ("Version", "appVersions", "version"),
    ("Browser", "browsers", "browser"),
    ("Environment", "environments", "environment"),
    ("Page", "routes", "route"),
)
_VERSION: Final = re.compile(r"[0-9]{1,18}")
REFUSED: Final = (409, 412)
"""Errors that tell a person that somebody was faster."""
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class Decision:
    """What a person decided: the action, its reason, and for a suppression when it ends."""

    action: Action
    reason: str
    until: datetime | None = None
    sessions: int | None = None
    fix: Fix = NO_FIX


class Seen(NamedTuple):
    """What the person saw: the status, and the version where the form names it."""

    status: Status
    version: int | None


class Choice(NamedTuple):
    """An incident that was chosen in the list, with what the list showed of it (``ID:STATUS:VERSION``)."""

    incident_id: str
    status: str
    version: int | None


@dataclass(frozen=True)
class ShownVerdicts:
    """The verdicts on an incident's sessions, and what they have in common."""

    verdicts: list[Verdict]
    overview: Overview

    @property
    def values(self) -> dict[str, Any]:
        """For the template: verdicts by session."""
        by_session: dict[str, list[Verdict]] = {}
        for verdict in self.verdicts:
            by_session.setdefault(verdict.session_id, []).append(verdict)
        return {"verdicts": by_session, "overview": self.overview, "verdict_reasons": REASONS}

    @property
    def data(self) -> dict[str, Any]:
        """For the page's JSON."""
        return {**self.overview.to_json(), "list": [verdict.to_json() for verdict in self.verdicts]}


class IncidentPages:
    """The page of an incident, and what people do there."""

    def __init__(self, services: Services) -> None:
        self._pages = Pages(services)
        self._store = services.store
        self._owners = services.owners
        self._public_url = services.config.public_url.rstrip("/")

    async def show_incident(self, request: Request) -> Response:
        """The incident; ``ID.json`` and ``ID.md`` are the same for programs."""
        return await self._pages.answer_page(request, partial(self._build_incident_page, request))

    async def act(self, request: Request) -> Response:
        """Apply a person's action and show the incident again."""
        return await self._pages.answer_form(request, partial(self._act, request))

    async def act_on_many(self, request: Request) -> Response:
        """Apply a person's action to the incidents that were chosen in the list."""
        return await self._pages.answer_form(request, partial(self._act_on_many, request))

    async def _build_incident_page(self, request: Request, person: Person) -> Answer:
        incident_id = re.sub(r"\.(json|md)$", "", request.path_params["incident_id"])
        incident, trend = await self._read_incident(incident_id, person)
        before, after = await self._find_neighbours(incident, person)
        shown = await self._read_verdicts(incident)
        snooze = await self._store.ask_store(lambda store: store.alert_outbox.find_snooze(incident_id))
        base = self._public_url or str(request.base_url).rstrip("/")
        return Answer(
            "incident.html",
            {
                **_present_incident(incident, trend),
                **shown.values,
                "before": before,
                "after": after,
                "snooze": snooze,
            },
            {
                **incident,
                "previous": before or None,
                "next": after or None,
                "verdicts": shown.data,
                "snoozedUntil": snooze.until.isoformat() if snooze else None,
                "trend": {
                    "start": trend.start.isoformat(),
                    "counts": trend.counts,
                    "versions": [
                        {"version": seen.version, "firstSeen": seen.first_seen.isoformat(), "sessions": seen.number}
                        for seen in trend.versions
                    ],
                },
            },
            partial(incident_to_markdown, incident, base),
        )

    async def _read_incident(self, incident_id: str, person: Person) -> "tuple[OwnedIncidentDetail, Trend]":
        if not INCIDENT_ID.fullmatch(incident_id):
            raise ApiError(404, "not_found", "There is no such incident.")
        incident = await self._store.ask_store(lambda store: store.incidents.read_incident(incident_id, person.project))
        if incident is None:
            raise ApiError(404, "not_found", "There is no such incident.")
        seen = datetime.fromisoformat(incident["lastSeen"] or incident["createdAt"])
        return add_owner(incident, self._owners.read_rules()), await self._store.ask_store(
            lambda store: store.review.read_trend(incident_id, seen, TREND_DAYS)
        )

    async def _find_neighbours(self, incident: "IncidentDetail", person: Person) -> tuple[str, str]:
        incident_id, status = incident["incidentId"], incident["status"]
        return await self._store.ask_store(
            lambda store: store.review.find_neighbours(incident_id, status, person.project)
        )

    async def _read_verdicts(self, incident: "IncidentDetail") -> "ShownVerdicts":
        def read(store: Incidents) -> ShownVerdicts:
            verdicts = store.verdicts.list_verdicts(incident_id=incident["incidentId"])
            return ShownVerdicts(verdicts, read_overview(store, incident["projectId"], verdicts))

        return await self._store.ask_store(read)

    async def _act(self, request: Request, person: Person) -> Response:
        incident_id = request.path_params["incident_id"]
        form = await read_form(request)
        require_actor(person, form)
        decision, seen = _read_decision(form), _read_status(last_value(form, "seen"))
        try:
            if not INCIDENT_ID.fullmatch(incident_id):
                raise ApiError(404, "not_found", "There is no such incident.")
            await self._apply(incident_id, decision, person, Seen(seen, read_seen_version(form)))
        except ApiError as error:
            if error.status not in REFUSED:
                raise
            return await self.show_refusal(request, person, incident_id, error.message, decision.reason)
        return RedirectResponse(f"/incidents/{incident_id}", 303, headers={"cache-control": "no-store"})

    async def show_refusal(
        self, request: Request, person: Person, incident_id: str, problem: str, reason: str
    ) -> Response:
        """The incident's page as it is now, with why the person's action was not applied and the reason that they entered."""
        incident, trend = await self._read_incident(incident_id, person)
        values = _present_incident(incident, trend, problem=problem, reason=reason)
        before, after = await self._find_neighbours(incident, person)
        values |= {**(await self._read_verdicts(incident)).values, "before": before, "after": after}
        values["snooze"] = await self._store.ask_store(lambda store: store.alert_outbox.find_snooze(incident_id))
        return await self._pages.render(request, "incident.html", 409, person=person, **values)

    async def _act_on_many(self, request: Request, person: Person) -> Response:
        form = await read_form(request)
        require_actor(person, form)
        decision = _read_decision(form)
        if last_value(form, "assignee").strip():
            raise ApiError(400, "invalid_body", f"A person or team is named, and the action is {decision.action}.")
        if decision.action != "resolve" and last_value(form, "fix_version").strip():
            raise ApiError(400, "invalid_body", f"A version of the fix is named, and the action is {decision.action}.")

        async def apply(choice: Choice) -> None:
            await self._apply(choice.incident_id, decision, person, Seen(_read_status(choice.status), choice.version))

        return await self.apply_to_many(request, person, form, decision.action, apply)

    async def apply_to_many(
        self,
        request: Request,
        person: Person,
        form: dict[str, list[str]],
        action: str,
        apply: Callable[[Choice], Awaitable[None]],
    ) -> Response:
        """Call ``apply`` for each incident that was chosen in the list; back to the list, or a page with what was refused."""
        back = read_way_back(form)
        chosen = read_choices(form)
        refused = []
        for choice in chosen:
            try:
                if not INCIDENT_ID.fullmatch(choice.incident_id):
                    raise ApiError(404, "not_found", "There is no such incident.")
                await apply(choice)
            except ApiError as error:
                if error.status not in (404, *REFUSED):
                    raise
                refused.append((choice.incident_id, error.message))
        if refused or not chosen:
            done = len(chosen) - len(refused)
            return await self._pages.render(
                request, "bulk.html", 409, person=person, refused=refused, done=done, back=back, action=action
            )
        return RedirectResponse(back, 303, headers={"cache-control": "no-store"})

    async def _apply(self, incident_id: str, decision: Decision, person: Person, seen: Seen) -> None:
        await self._store.ask_store(
            lambda store: store.ledger.apply_action(
                incident_id,
                decision.action,
                decision.reason,
                person.name,
                person.project,
                decision.until,
                decision.sessions,
                expected=seen.status,
                version=seen.version,
                fix=decision.fix,
            )
        )


def _present_incident(
    incident: "OwnedIncidentDetail", trend: "Trend", *, problem: str = "", reason: str = ""
) -> dict[str, Any]:
    """The values of the template. ``problem``: why the person's action was not applied; ``reason``: the one they entered."""
    examples = incident["examples"]
    affected = incident["affectedSessions"] or incident["openSessions"]
    facets = [
        (title, parameter, charts.compute_shares(incident["sessionsBy"].get(name, {}), affected))
        for title, name, parameter in _FACETS
    ]
    return {
        "incident": incident,
        "example": examples[0] if examples else None,
        "timeline": draw_timeline(examples[0]) if examples else None,
        "trend": charts.draw_trend(trend),
        "facets": [(title, parameter, shares) for title, parameter, shares in facets if shares],
        "signals": charts.compute_shares(incident["signals"], affected),
        "steps": steps_to_markdown(incident),
        "code": incident_to_playwright(incident),
        "main_action": next(
            (name for name in ("confirm", "resolve", "reopen") if name in incident["allowedActions"]), ""
        ),
        "problem": problem,
        "reason": reason,
        "impact": present_impact(incident["impact"]),
        "spans": [(name, words) for name, (words, _) in SPANS.items()],
    }


def _read_decision(form: dict[str, list[str]]) -> Decision:
    """The action of a form. Raises ApiError (400)."""
    action, reason = last_value(form, "action"), last_value(form, "reason").strip()
    if action not in get_args(Action):
        raise ApiError(400, "invalid_body", "The form names no action.")
    if not reason or len(reason) > MAX_REASON or _CONTROL.search(reason):
        raise ApiError(400, "invalid_body", f"A reason is needed: one line of at most {MAX_REASON} characters.")
    if action == "resolve":
        return Decision("resolve", reason, fix=_read_fix(form))
    if action != "suppress":
        return Decision(cast(Action, action), reason)
    return Decision("suppress", reason, _read_until(last_value(form, "until")), _read_sessions(form))


def _read_fix(form: dict[str, list[str]]) -> Fix:
    version, environment = (last_value(form, name).strip() for name in ("fix_version", "fix_environment"))
    try:
        return Fix(version, environment, last_value(form, "next_release") == "yes")
    except FixError as error:
        raise ApiError(400, "invalid_body", f"The fix cannot be stored: {error}.") from None


def read_seen_version(form: dict[str, list[str]]) -> int | None:
    """The version that the form was made from; None if it names none. Raises ApiError (400)."""
    return _read_version(last_value(form, "version"))


def _read_version(text: str) -> int | None:
    if text and not _VERSION.fullmatch(text):
        raise ApiError(400, "invalid_body", "The form does not name the version that you saw.")
    return int(text) if text else None


def read_choices(form: dict[str, list[str]]) -> list[Choice]:
    """The incidents that were chosen in the list. Raises ApiError (400)."""
    chosen = []
    for value in form.get("incident", [])[:_MAX_BULK]:
        incident_id, _, seen = value.partition(":")
        status, _, version = seen.partition(":")
        chosen.append(Choice(incident_id, status, _read_version(version)))
    return chosen


def read_way_back(form: dict[str, list[str]]) -> str:
    """The address of the list that the form came from; never one of another place."""
    back = last_value(form, "back")
    return back if _BACK.fullmatch(back) else "/incidents"


def _read_until(text: str) -> datetime | None:
    if not text:
        return None
    at = parse_moment(f"{text}T00:00:00Z" if re.fullmatch(r"\d{4}-\d\d-\d\d", text) else text)
    if at is None:
        raise ApiError(400, "invalid_body", "The end of the suppression is a date, like 2026-01-31.")
    return at


def _read_sessions(form: dict[str, list[str]]) -> int | None:
    text = last_value(form, "sessions")
    if not text:
        return None
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else 0
    if not 1 <= number <= _MAX_SESSIONS:
        raise ApiError(400, "invalid_body", "The number of further sessions is a whole number of at least 1.")
    return number


def _read_status(text: str) -> Status:
    if text not in STATUSES:
        raise ApiError(400, "invalid_body", "The form does not name the status that you saw.")
    return text


GROUP: Final = RouteGroup(
    IncidentPages,
    (
        Route("post", "/incidents/act", IncidentPages.act_on_many),
        Route("get", "/incidents/{incident_id}", IncidentPages.show_incident),
        Route("post", "/incidents/{incident_id}/act", IncidentPages.act),
    ),
)
