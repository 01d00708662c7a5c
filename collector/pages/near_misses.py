"""``/near-misses``: visits with a failure that a rule kept silent, by rule."""

from functools import partial
from typing import Final

from fastapi import Request, Response

from collector.http_errors import ApiError
from collector.pages.documents import near_misses_to_markdown
from collector.pages.page import Answer, Pages
from collector.pages.people import Person
from collector.pages.session import NAME
from collector.routes.route import Route, RouteGroup
from collector.services import Services


class NearMissPages:
    """The list of near misses."""

    def __init__(self, services: Services) -> None:
        self._pages = Pages(services)
        self._store = services.store
        self._public_url = services.config.public_url.rstrip("/")

    async def show_near_misses(self, request: Request) -> Response:
        """The newest near misses; ``/near-misses.json`` and ``/near-misses.md`` are the same for programs."""
        return await self._pages.answer_page(request, partial(self._build_near_misses_page, request))

    async def _build_near_misses_page(self, request: Request, person: Person) -> Answer:
        project = request.query_params.get("project") or None
        rule = request.query_params.get("rule") or None
        if any(text is not None and not NAME.fullmatch(text) for text in (project, rule)):
            raise ApiError(400, "invalid_parameter", "`project` and `rule` are text of at most 128 characters.")
        if person.project is not None:
            if project not in (None, person.project):
                raise ApiError(404, "not_found", "There is no such project.")
            project = person.project
        found = await self._store.ask_store(lambda store: store.silences.list_silences(project, rule))
        counts = await self._store.ask_store(lambda store: store.silences.count_silences(project))
        base = self._public_url or str(request.base_url).rstrip("/")
        return Answer(
            "near_misses.html",
            {"silences": found, "counts": counts, "rule": rule or "", "project": project or ""},
            {"counts": counts, "nearMisses": [silence.to_json() for silence in found]},
            partial(near_misses_to_markdown, found, counts, base),
        )


GROUP: Final = RouteGroup(
    NearMissPages,
    (
        Route("get", "/near-misses", NearMissPages.show_near_misses),
        Route("get", "/near-misses.json", NearMissPages.show_near_misses),
        Route("get", "/near-misses.md", NearMissPages.show_near_misses),
    ),
)
