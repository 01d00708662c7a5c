"""The form that snoozes an incident: nobody is alerted of it for a while."""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from collector.http_errors import ApiError
from collector.pages.page import Pages
from collector.pages.people import Person, last_value, read_form, read_reason, require_actor
from collector.routes.incidents import read_incident_id
from collector.routes.route import Route, RouteGroup
from collector.services import Services
from collector.store import Incidents
from incidents.model import NotFound

SPANS: Final = {
    "1h": ("an hour", timedelta(hours=1)),
    "4h": ("4 hours", timedelta(hours=4)),
    "1d": ("a day", timedelta(days=1)),
    "7d": ("a week", timedelta(days=7)),
}
"""How long an incident can be snoozed on its page: the value of the form, words, and the span."""
_WAKE: Final = "0"


class SnoozeForms:
    """Snoozing of one incident, and its end."""

    def __init__(self, services: Services) -> None:
        self._pages = Pages(services)
        self._store = services.store

    async def snooze(self, request: Request) -> Response:
        """Snooze an incident, or end it, and show the incident again."""
        return await self._pages.answer_form(request, partial(self._snooze, request))

    async def _snooze(self, request: Request, person: Person) -> Response:
        incident_id = read_incident_id(request)
        form = await read_form(request)
        require_actor(person, form)
        span, reason = last_value(form, "for"), read_reason(form)
        if span not in (*SPANS, _WAKE):
            raise ApiError(400, "invalid_body", "The form does not say for how long.")

        def apply(store: Incidents) -> None:
            if store.incidents.read_incident(incident_id, person.project) is None:
                raise NotFound(f"no incident {incident_id!r}")
            if span == _WAKE:
                store.alert_outbox.wake_incident(incident_id, person.name)
            else:
                until = datetime.now(UTC) + SPANS[span][1]
                store.alert_outbox.snooze_incident(incident_id, until, person.name, reason)

        await self._store.ask_store(apply)
        return RedirectResponse(f"/incidents/{incident_id}", 303, headers={"cache-control": "no-store"})


GROUP: Final = RouteGroup(SnoozeForms, (Route("post", "/incidents/{incident_id}/snooze", SnoozeForms.snooze),))
