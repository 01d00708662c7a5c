"""``/audit``: who did what, and who is signed in; for admins."""

import re
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from collector.http_errors import ApiError
from collector.pages.documents import audit_to_markdown
from collector.pages.page import Answer, Pages
from collector.pages.people import (
    Person,
    last_value,
    read_form,
    require_admin,
    require_admin_reader,
)
from collector.pages.session import NAME
from collector.routes.fields import parse_moment
from collector.routes.route import Route, RouteGroup
from collector.services import Services
from core.roles import EVERY_PROJECT, Scope
from incidents.audit import audit_to_json

if TYPE_CHECKING:
    from stores.incidents.audit_log import AuditPlace
    from stores.incidents.page_sessions import OpenPageSession

PAGE_SIZE: Final = 200
_PLACE: Final = re.compile(r"([0-9T:+.\-]{10,40})~([01])~([0-9]{1,18})")
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
_SESSION: Final = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True)
class ShownSession:
    """A session as the page lists it. ``scopes``: where its person may look, with the role there."""

    session_id: int
    name: str
    scopes: tuple[Scope, ...]
    created_at: datetime
    expires_at: datetime


@dataclass(frozen=True)
class AuditQuery:
    """The part of the log that an address asks for."""

    project: str | None
    since: datetime | None
    until: datetime | None
    after: "AuditPlace | None"


class AuditPages:
    """The audit log and the sessions of people."""

    def __init__(self, services: Services) -> None:
        self._pages = Pages(services)
        self._store = services.store

    async def show_audit_log(self, request: Request) -> Response:
        """The newest entries; ``/audit.json`` and ``/audit.md`` are the same for programs."""
        return await self._pages.answer_page(request, partial(self._build_audit_page, request))

    async def end_session(self, request: Request) -> Response:
        """End another person's session."""
        return await self._pages.answer_form(request, partial(self._end_session, request))

    async def _build_audit_page(self, request: Request, person: Person) -> Answer:
        require_admin_reader(person)
        query = _read_query(request, person)
        page = await self._store.ask_store(
            lambda store: store.audit.list_audit_entries(
                query.project, query.since, query.until, query.after, PAGE_SIZE
            )
        )
        entries = [audit_to_json(entry) for entry in page.entries]
        after = _write_place(page.after) if page.after else ""
        kept = {name: request.query_params.get(name, "") for name in ("project", "since", "until")}
        address = urlencode({name: value for name, value in {**kept, "after": after}.items() if value})
        return Answer(
            "audit.html",
            {
                "entries": entries,
                "sessions": await self._list_sessions(person),
                "filters": kept,
                "next_page": f"/audit?{address}" if after else "",
            },
            {"entries": entries, "next": after or None},
            partial(audit_to_markdown, entries),
        )

    async def _list_sessions(self, person: Person) -> list[ShownSession]:
        """The sessions that this admin may end: those that see nothing outside the admin's own project."""
        found = await self._store.ask_store(lambda store: store.people.list_page_sessions())
        shown = (self._present_session(session) for session in found)
        return [
            session
            for session in shown
            if session and all(person.grant.sees_project(scope.project) for scope in session.scopes)
        ]

    def _present_session(self, session: "OpenPageSession") -> ShownSession | None:
        holder = self._pages.people.make_person(session.holder)
        if holder is None:
            return None
        scopes = holder.scopes or (Scope(holder.grant.project, holder.role),)
        return ShownSession(session.session_id, holder.name, scopes, session.created_at, session.expires_at)

    async def _end_session(self, request: Request, person: Person) -> Response:
        form = await read_form(request)
        require_admin(person, form)
        text = last_value(form, "session")
        found = next(
            (
                session
                for session in await self._list_sessions(person)
                if _SESSION.fullmatch(text) and session.session_id == int(text)
            ),
            None,
        )
        if found is None:
            raise ApiError(404, "not_found", "There is no such session, or it has ended.")
        await self._store.ask_store(lambda store: store.people.end_numbered_session(found.session_id))
        for scope in found.scopes:
            await self._pages.people.record_audit(
                person.name, "session.ended", scope.project, found.name, f"was signed in as {scope.role}"
            )
        return RedirectResponse("/audit", 303, headers={"cache-control": "no-store"})


def _read_query(request: Request, person: Person) -> AuditQuery:
    """The filters of the address, within what the person sees. Raises ApiError (400, 404)."""
    asked = request.query_params.get("project") or None
    if asked is not None and not (asked == EVERY_PROJECT or NAME.fullmatch(asked)):
        raise ApiError(400, "invalid_parameter", "`project` is the id of a project, or `*`.")
    if person.project is not None and asked not in (None, person.project):
        raise ApiError(404, "not_found", "There is no such project.")
    return AuditQuery(
        person.project or asked,
        _read_moment(request, "since"),
        _read_moment(request, "until"),
        _read_place(request.query_params.get("after", "")),
    )


def _read_moment(request: Request, name: str) -> datetime | None:
    text = request.query_params.get(name, "")
    at = parse_moment(f"{text}T00:00:00Z" if _DAY.fullmatch(text) else text) if text else None
    if text and at is None:
        raise ApiError(
            400, "invalid_parameter", f"`{name}` is a date like 2026-01-31, or a time like 2026-01-31T10:00:00Z."
        )
    return at


def _write_place(place: "AuditPlace") -> str:
    return f"{place.at.isoformat()}~{place.kind}~{place.id}"


def _read_place(text: str) -> "AuditPlace | None":
    from stores.incidents.audit_log import AuditPlace

    if not text:
        return None
    parts = _PLACE.fullmatch(text)
    try:
        at = datetime.fromisoformat(parts[1]) if parts else None
    except ValueError:
        at = None
    if parts is None or at is None or at.tzinfo is None:
        raise ApiError(400, "invalid_parameter", "`after` is the value of `next` of the page before.")
    return AuditPlace(at, int(parts[2]), int(parts[3]))


GROUP: Final = RouteGroup(
    AuditPages,
    (
        Route("get", "/audit", AuditPages.show_audit_log),
        Route("get", "/audit.json", AuditPages.show_audit_log),
        Route("get", "/audit.md", AuditPages.show_audit_log),
        Route("post", "/audit/sessions/end", AuditPages.end_session),
    ),
)
