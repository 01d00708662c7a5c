"""Saved views of the list of incidents: a name for filters, for a person or for everybody."""

from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import parse_qsl, urlencode

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from collector.http_errors import ApiError
from collector.pages.list_address import ListAddress, read_filters
from collector.pages.page import Pages
from collector.pages.people import Person, last_value, read_form, require_own_form
from collector.routes.route import Route, RouteGroup
from collector.services import Services

if TYPE_CHECKING:
    from stores.incidents.saved_views import SavedView

_LONGEST_NAME: Final = 60
_LONGEST_QUERY: Final = 4_000
_MAX_FIELDS: Final = 40


class ShownView(NamedTuple):
    """A view in the list. ``removable``: the person may remove it; ``shared``: everybody sees it."""

    name: str
    link: str
    current: bool
    removable: bool
    shared: bool


def present_views(views: "list[SavedView]", address: ListAddress, person: Person) -> list[ShownView]:
    """The views as the list shows them."""
    here = urlencode(address.without_place())
    return [
        ShownView(
            view.name,
            f"/incidents?{view.query}",
            view.query == here,
            person.may_administer_all if view.owner == "" else True,
            view.owner == "",
        )
        for view in views
    ]


class ViewForms:
    """Saving and removing views."""

    def __init__(self, services: Services) -> None:
        self._pages = Pages(services)
        self._store = services.store

    async def save_view(self, request: Request) -> Response:
        """Save the filters of a list under a name, and show the list."""
        return await self._pages.answer_form(request, partial(self._save_view, request))

    async def remove_view(self, request: Request) -> Response:
        """Remove a view, and show the list."""
        return await self._pages.answer_form(request, partial(self._remove_view, request))

    async def _save_view(self, request: Request, person: Person) -> Response:
        from stores.incidents.saved_views import EVERYBODY, SavedView

        form = await read_form(request)
        require_own_form(person, form)
        name, query = _read_name(form), _read_query(form)
        shared = _read_shared(form, person)
        view = SavedView(EVERYBODY if shared else person.owner, name, query)
        await self._store.ask_store(lambda store: store.views.save_view(view))
        return _show_list(query)

    async def _remove_view(self, request: Request, person: Person) -> Response:
        from stores.incidents.saved_views import EVERYBODY

        form = await read_form(request)
        require_own_form(person, form)
        name = _read_name(form)
        owner = EVERYBODY if _read_shared(form, person) else person.owner
        if not await self._store.ask_store(lambda store: store.views.remove_view(owner, name)):
            raise ApiError(404, "not_found", "There is no such view.")
        return _show_list("")


def _read_name(form: dict[str, list[str]]) -> str:
    name = last_value(form, "name").strip()
    if not name or len(name) > _LONGEST_NAME or not name.isprintable():
        raise ApiError(400, "invalid_body", f"A view has a name of at most {_LONGEST_NAME} characters, on one line.")
    return name


def _read_query(form: dict[str, list[str]]) -> str:
    """The filters of a form, as an address of the list has them. Raises ApiError (400) for others."""
    text = last_value(form, "query")
    try:
        pairs = parse_qsl(text[: _LONGEST_QUERY + 1], max_num_fields=_MAX_FIELDS)
    except ValueError:
        pairs = []
    if len(text) > _LONGEST_QUERY or (text and not pairs):
        raise ApiError(400, "invalid_body", "The form names no filters.")
    return urlencode(read_filters(pairs).without_place())


def _read_shared(form: dict[str, list[str]], person: Person) -> bool:
    shared = last_value(form, "shared") == "on"
    if shared and not person.may_administer_all:
        raise ApiError(403, "forbidden", "Only an admin of all projects changes views of everybody.")
    return shared


def _show_list(query: str) -> Response:
    address = f"/incidents?{query}" if query else "/incidents"
    return RedirectResponse(address, 303, headers={"cache-control": "no-store"})


GROUP: Final = RouteGroup(
    ViewForms,
    (
        Route("post", "/incidents/views", ViewForms.save_view),
        Route("post", "/incidents/views/remove", ViewForms.remove_view),
    ),
)
