"""``/settings``: projects, origins, keys, thresholds, ignored routes and controls; what the environment sets is shown only."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

import anyio.to_thread
from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from collector.access.keys import ALL_PROJECTS, DEFAULT_PROJECT, hash_key
from collector.http_errors import ApiError
from collector.pages import settings_forms
from collector.pages.page import Answer, Pages
from collector.pages.people import Person, last_value, read_form, require_admin
from collector.pages.settings_forms import Form
from collector.pages.settings_view import (
    SettingsView,
    list_elsewhere,
    list_environment,
    list_trackers,
    mark_project,
    present_sections,
    settings_to_json,
    settings_to_markdown,
)
from collector.routes.route import Route, RouteGroup
from collector.services import Services
from core.api_keys import PREFIX_LENGTH, generate_api_key
from core.browser_script import build_script_tag
from core.project_settings import is_project_id

if TYPE_CHECKING:
    from incidents.model import ProjectRecord

Edit = Callable[[Request, Person, Form], Awaitable[Response]]


class SettingsPages:
    """The page of settings, and what an administrator changes there. Every change is checked and noted on the server."""

    def __init__(self, services: Services) -> None:
        self._pages = Pages(services)
        self._store = services.store
        self._config = services.config
        self._public_url = services.config.public_url.rstrip("/")

    async def show_settings(self, request: Request) -> Response:
        """The settings of a project; ``/settings.json`` and ``/settings.md`` are the same for programs."""
        return await self._pages.answer_page(request, partial(self._build_settings_page, request))

    async def create_project(self, request: Request) -> Response:
        """Create a project."""
        return await self._answer_edit(request, self._create_project)

    async def change_origins(self, request: Request) -> Response:
        """Replace the origins of a project."""
        return await self._answer_edit(request, self._change_origins)

    async def change_values(self, request: Request) -> Response:
        """Change the settings of one section."""
        return await self._answer_edit(request, self._change_values)

    async def create_key(self, request: Request) -> Response:
        """Create a key and show it, once."""
        return await self._answer_edit(request, self._create_key)

    async def revoke_key(self, request: Request) -> Response:
        """Revoke a key."""
        return await self._answer_edit(request, self._revoke_key)

    async def check_tracker(self, request: Request) -> Response:
        """Ask whether a tracker takes tickets; the next run of `export` answers."""
        return await self._answer_edit(request, self._check_tracker)

    async def test_alerts(self, request: Request) -> Response:
        """Ask for a test to each channel of alerts; the next run of `alerts` sends it."""
        return await self._answer_edit(request, self._test_alerts)

    async def _answer_edit(self, request: Request, edit: Edit) -> Response:
        async def act(person: Person) -> Response:
            form = await read_form(request)
            require_admin(person, form)
            return await edit(request, person, form)

        return await self._pages.answer_form(request, act)

    async def _build_settings_page(self, request: Request, person: Person) -> Answer:
        view = await self._read_view(request.query_params.get("project") or "", person)
        return Answer(
            "settings.html",
            {"view": view, "saved": request.query_params.get("saved") == "1"},
            settings_to_json(view),
            partial(settings_to_markdown, view),
        )

    async def _read_view(self, project: str, person: Person) -> SettingsView:
        if project and not is_project_id(project):
            raise ApiError(400, "invalid_parameter", "`project` is the id of a project.")
        known = await self._store.ask_store(lambda store: store.keys.list_known_projects())
        seen = [name for name in known if person.grant.sees_project(name)]
        project = project or person.project or DEFAULT_PROJECT
        if project not in seen:
            if not person.grant.sees_project(project) or project != person.project:
                raise ApiError(404, "not_found", "There is no such project.")
            seen.append(project)
        record = await self._read_project(project)
        # The engine's declarations are imported at the first call: a collector whose settings nobody opens does without them.
        sections, unusable = await anyio.to_thread.run_sync(present_sections, record, self._config)
        keys = await self._store.ask_store(lambda store: store.keys.read_api_keys())
        changes = await self._store.ask_store(lambda store: store.edits.list_changes(person.project))
        everywhere = person.project is None
        checks = await self._store.ask_store(lambda store: store.checks.list_checks()) if everywhere else []
        return SettingsView(
            project,
            seen,
            record,
            sections,
            unusable,
            [key for key in keys if key.project == project or (everywhere and key.project == ALL_PROJECTS)],
            self._list_configured_keys() if everywhere else [],
            list_environment(self._config) if everywhere else [],
            list_elsewhere() if everywhere else [],
            changes,
            list_trackers(checks) if everywhere else [],
            await self._store.ask_store(lambda store: store.channel_tests.read_test()) if everywhere else None,
        )

    def _list_configured_keys(self) -> list[tuple[str, str]]:
        config = self._config
        found = (
            ("ingest", "FURROW_INGEST_KEY", config.ingest_key),
            ("operator", "FURROW_OPERATOR_KEY", config.operator_key),
            ("ingest", "the data directory (development key)", config.development_ingest_key),
            ("admin", "the data directory (development key)", config.development_operator_key),
        )
        return [(role, place) for role, place, key in found if key]

    async def _read_project(self, project: str) -> "ProjectRecord":
        from incidents.model import ProjectRecord

        records = await self._store.ask_store(lambda store: store.keys.read_projects())
        return next((record for record in records if record.id == project), ProjectRecord(project))

    async def _read_seen_project(self, person: Person, form: Form) -> "ProjectRecord":
        """The project of a form, as the person saw it. Raises ApiError: 400, 403, 404, 409 when it was changed since."""
        project = settings_forms.read_project(form)
        _require_admin_of(person, project)
        if project not in await self._store.ask_store(lambda store: store.keys.list_known_projects()):
            raise ApiError(404, "not_found", "There is no such project.")
        record = await self._read_project(project)
        if last_value(form, "seen") != mark_project(record):
            raise ApiError(
                409,
                "changed_meanwhile",
                "Somebody changed this project after your page was loaded, and your change was not applied. Go back, reload "
                "the page, and change it again.",
            )
        return record

    async def _create_project(self, _: Request, person: Person, form: Form) -> Response:
        project = settings_forms.read_project(form)
        _require_admin_of(person, ALL_PROJECTS)
        if project in await self._store.ask_store(lambda store: store.keys.list_known_projects()):
            raise ApiError(409, "conflict", f"There is a project {project} already.")
        record = await self._read_project(project)
        await self._store.ask_store(
            lambda store: store.edits.change_project(record, [], {}, person.name, f"created the project {project}")
        )
        return _show_saved(project, "keys")

    async def _change_origins(self, _: Request, person: Person, form: Form) -> Response:
        record = await self._read_seen_project(person, form)
        origins = settings_forms.read_origins(form)
        if origins != record.origins:
            words = f"origins: {', '.join(origins) or 'none'}"[:1_000]
            await self._store.ask_store(
                lambda store: store.edits.change_project(record, origins, record.settings, person.name, words)
            )
        return _show_saved(record.id, "origins")

    async def _change_values(self, _: Request, person: Person, form: Form) -> Response:
        record = await self._read_seen_project(person, form)
        merged, words = await anyio.to_thread.run_sync(settings_forms.change_settings, form, record)
        if words:
            await self._store.ask_store(
                lambda store: store.edits.change_project(record, record.origins, merged, person.name, words[:2_000])
            )
        return _show_saved(record.id, last_value(form, "section"))

    async def _create_key(self, request: Request, person: Person, form: Form) -> Response:
        from stores.incidents.setting_edits import NewKey

        project, role, label = settings_forms.read_new_key(form)
        _require_admin_of(person, project)
        known = await self._store.ask_store(lambda store: store.keys.list_known_projects())
        if project not in (ALL_PROJECTS, *known):
            raise ApiError(404, "not_found", "There is no such project.")
        key = generate_api_key(role)
        record = NewKey(hash_key(key), key[:PREFIX_LENGTH], project, role, label)
        await self._store.ask_store(lambda store: store.edits.create_key(record, person.name))
        base = self._public_url or str(request.base_url).rstrip("/")
        return await self._pages.render(
            request,
            "new_key.html",
            person=person,
            key=key,
            record=record,
            back=f"/settings?{urlencode({'project': DEFAULT_PROJECT if project == ALL_PROJECTS else project})}#keys",
            script_tag=build_script_tag(base, key) if role == "ingest" else "",
        )

    async def _revoke_key(self, _: Request, person: Person, form: Form) -> Response:
        prefix, project = settings_forms.read_revoked_key(form)
        _require_admin_of(person, project)
        if not await self._store.ask_store(lambda store: store.edits.revoke_key(prefix, project, person.name)):
            raise ApiError(404, "not_found", "No valid key begins with these characters.")
        shown = last_value(form, "project")
        return _show_saved(shown if is_project_id(shown) else DEFAULT_PROJECT, "keys")

    async def _check_tracker(self, _: Request, person: Person, form: Form) -> Response:
        tracker = settings_forms.read_tracker(form)
        _require_admin_of(person, ALL_PROJECTS)
        await self._store.ask_store(lambda store: store.checks.ask_about_tracker(tracker, person.name))
        return _show_engine(form)

    async def _test_alerts(self, _: Request, person: Person, form: Form) -> Response:
        _require_admin_of(person, ALL_PROJECTS)
        await self._store.ask_store(lambda store: store.channel_tests.ask_for_test(person.name))
        return _show_engine(form)


def _require_admin_of(person: Person, project: str) -> None:
    """Check that the person is an admin of ``project`` (``*``: of all). Raises ApiError (403)."""
    if not person.administers(project):
        of = "all projects" if project == ALL_PROJECTS else "this project"
        raise ApiError(403, "forbidden", f"Only an admin of {of} changes this.")


def _show_engine(form: Form) -> Response:
    shown = last_value(form, "project")
    address = f"/settings?{urlencode({'project': shown if is_project_id(shown) else DEFAULT_PROJECT})}#engine"
    return RedirectResponse(address, 303, headers={"cache-control": "no-store"})


def _show_saved(project: str, section: str) -> Response:
    address = f"/settings?{urlencode({'project': project, 'saved': 1})}#{section}"
    return RedirectResponse(address, 303, headers={"cache-control": "no-store"})


GROUP: Final = RouteGroup(
    SettingsPages,
    (
        Route("get", "/settings", SettingsPages.show_settings),
        Route("get", "/settings.json", SettingsPages.show_settings),
        Route("get", "/settings.md", SettingsPages.show_settings),
        Route("post", "/settings/projects", SettingsPages.create_project),
        Route("post", "/settings/origins", SettingsPages.change_origins),
        Route("post", "/settings/values", SettingsPages.change_values),
        Route("post", "/settings/keys", SettingsPages.create_key),
        Route("post", "/settings/keys/revoke", SettingsPages.revoke_key),
        Route("post", "/settings/trackers/check", SettingsPages.check_tracker),
        Route("post", "/settings/alerts/test", SettingsPages.test_alerts),
    ),
)
