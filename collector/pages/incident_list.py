"""``/incidents``: the list, with its filters in the address."""

from asyncio import gather
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, get_args
from urllib.parse import urlencode

from fastapi import Request, Response

from collector.access.keys import DEFAULT_PROJECT
from collector.http_errors import ApiError
from collector.pages import charts
from collector.pages.documents import incidents_to_markdown
from collector.pages.list_address import PLAIN_FILTERS, ListAddress, read_filters
from collector.pages.page import Answer, Pages
from collector.pages.people import Person
from collector.pages.saved_views import present_views
from collector.routes.cursors import read_cursor, write_cursor
from collector.routes.owned import add_owners, prepare_owners
from collector.routes.query import parse_incident_query
from collector.routes.route import Route, RouteGroup
from collector.services import Services
from collector.store import Incidents
from core.browser_script import build_script_tag
from incidents.lifecycle import STATUSES, Severity, Status
from incidents.model import IncidentQuery

if TYPE_CHECKING:
    from collections.abc import Sequence

    from incidents.incident import OwnedIncident
    from stores.incidents.incident_review import CursorPage
    from stores.incidents.saved_views import SavedView

PAGE_SIZE: Final = 40
"""About two screens; each incident takes half a millisecond."""
_NO_KEY: Final = "YOUR-INGEST-KEY"
OPEN_STATUSES: Final[tuple[Status, ...]] = ("draft", "confirmed", "regressed")
"""What needs a person: the list shows these unless another status is asked for."""
_TABS: Final = ("open", *STATUSES, "all")
_ORDERS: Final = ("lastSeen", "firstSeen", "affectedSessions", "affectedUsers", "highestScore", "severity")
"""What the list can be sorted by."""


class IncidentListPages:
    """The list of incidents."""

    def __init__(self, services: Services) -> None:
        self._pages = Pages(services)
        self._store = services.store
        self._owners = services.owners
        self._public_url = services.config.public_url.rstrip("/")
        ingest = services.config.development_ingest_key
        self._ingest_key = ingest.get_secret_value() if ingest else _NO_KEY

    async def show_list(self, request: Request) -> Response:
        """The list; ``/incidents.json`` and ``/incidents.md`` are the same for programs."""
        return await self._pages.answer_page(request, partial(self._build_list_page, request))

    async def _build_list_page(self, request: Request, person: Person) -> Answer:
        address = read_filters(request.query_params.multi_items())
        query = _build_query(address, person)
        after = read_cursor(address.get("after"), query.sort, "after")
        rules = self._owners.read_rules()

        def read_page(store: Incidents) -> "CursorPage":
            prepare_owners(store, query, rules)
            return store.review.list_page(query, after, charts.SPARK_DAYS)

        def read_choices(store: Incidents) -> "tuple[list[str], list[SavedView]]":
            return store.keys.list_known_projects(), store.views.list_views(person.owner)

        page, (projects, views) = await gather(self._store.ask_store(read_page), self._store.ask_store(read_choices))
        owned = add_owners(page.incidents, rules)
        base = self._public_url or str(request.base_url).rstrip("/")
        next_page = write_cursor(page.after)
        values = {
            **_present_list(page, owned, address, query),
            "projects": [project for project in projects if person.grant.sees_project(project)],
            "next_page": f"{address.link(after=next_page)}" if next_page else "",
            "script_tag": build_script_tag(
                base, self._ingest_key if person.grant.sees_project(DEFAULT_PROJECT) else _NO_KEY
            ),
            "views": present_views(views, address, person),
            "query": urlencode(address.without_place()),
            "is_empty": not page.counts and not address.has_filters,
        }
        fragment = request.headers.get("hx-target") == "list"
        return Answer(
            "_list.html" if fragment else "incidents.html",
            values,
            {
                "incidents": [{**incident, "activity": page.activity[incident["incidentId"]]} for incident in owned],
                "counts": {status: page.counts.get(status, 0) for status in STATUSES},
                "next": next_page or None,
            },
            partial(incidents_to_markdown, page.incidents, base, "Incidents"),
        )


def _build_query(address: ListAddress, person: Person) -> IncidentQuery:
    """The query for the store. Raises ApiError (400, 404)."""
    parameters = [
        (name, value)
        for name, value in address.values
        if name in PLAIN_FILTERS and not (name == "status" and value in _TABS)
    ]
    query = parse_incident_query(parameters, person.grant)
    sort = address.get("sort") or "-lastSeen"
    if sort.removeprefix("-") not in _ORDERS:
        raise ApiError(400, "invalid_parameter", f"The list is sorted by one of {', '.join(_ORDERS)}.")
    status = address.get("status")
    chosen: tuple[Status, ...] = query.status
    if status in ("", "open"):
        chosen = OPEN_STATUSES
    elif status == "all":
        chosen = ()
    elif status in STATUSES:
        chosen = tuple(known for known in STATUSES if known == status)
    return replace(
        query,
        status=chosen,
        words=address.get("q") or None,
        version=address.get("version") or None,
        environment=address.get("environment") or None,
        browser=address.get("browser") or None,
        sort=sort,
        limit=PAGE_SIZE,
    )


def _present_list(
    page: "CursorPage", owned: "Sequence[OwnedIncident]", address: ListAddress, query: IncidentQuery
) -> dict[str, Any]:
    status = address.get("status") or "open"
    counts: dict[str, int] = {
        "open": sum(page.counts.get(known, 0) for known in OPEN_STATUSES),
        "all": sum(page.counts.values()),
    }
    counts |= {known: page.counts.get(known, 0) for known in STATUSES}
    rows = [(incident, charts.draw_sparkline(page.activity[incident["incidentId"]])) for incident in owned]
    total = sum(page.counts.get(known, 0) for known in query.status) if query.status else counts["all"]
    return {
        "rows": rows,
        "address": address,
        "tabs": [
            (name, counts[name], address.link(status="" if name == "open" else name), name == status) for name in _TABS
        ],
        "status": status,
        "severities": get_args(Severity),
        "total": total,
        "sort": query.sort,
    }


GROUP: Final = RouteGroup(
    IncidentListPages,
    (
        Route("get", "/incidents", IncidentListPages.show_list),
        Route("get", "/incidents.json", IncidentListPages.show_list),
        Route("get", "/incidents.md", IncidentListPages.show_list),
    ),
)
