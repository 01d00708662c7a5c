"""`furrow keys` and `furrow projects`: manage API keys and projects, directly in the incident store."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from typing_extensions import TypedDict

from core.api_keys import LABEL_LENGTH, PREFIX_LENGTH, generate_api_key
from core.errors import NotConfigured, PermanentError, WrongUse
from core.known_projects import check_project
from core.project_changes import (
    check_project_id,
    choose_origins,
    merge_settings,
    parse_setting_options,
    read_project_file,
)
from core.project_settings import SETTINGS, select_usable_settings
from core.settings import Settings
from furrow.cli.common import (
    AsJson,
    ConfigFile,
    DataDir,
    is_wide,
    load_command_settings,
    out,
    print_facts,
    print_json,
    styled_text,
)
from incidents.model import KeyRecord, ProjectRecord
from stores import opening

if TYPE_CHECKING:
    from stores.incidents.incident_store import IncidentStore

ALL_PROJECTS = "*"
COMMAND_LINE = "command line"
"""Who the audit log names for what is done with access to the database."""

keys = typer.Typer(no_args_is_help=True, help="Create, list and revoke API keys.")
projects = typer.Typer(no_args_is_help=True, help="List and set up projects.")


class ApiKey(TypedDict):
    """A key in JSON. The key itself is not stored."""

    prefix: str
    project: str
    role: str
    label: str
    revoked: bool
    createdAt: str | None
    lastUsedAt: str | None


class Project(TypedDict):
    """A project in JSON."""

    id: str
    origins: list[str]
    settings: Mapping[str, object]


class EngineConfiguration(TypedDict):
    """The engine's configuration that results from the settings of a project."""

    configHash: str
    thresholds: dict[str, int]
    weights: dict[str, int]


class Role(StrEnum):
    """What a key is for: sending events, or one of the roles of people (`core.roles`)."""

    ingest = "ingest"
    viewer = "viewer"
    operator = "operator"
    admin = "admin"


@contextlib.contextmanager
def open_incident_store(settings: Settings) -> "Iterator[IncidentStore]":
    """The incident store in which keys and projects are stored, with its schema up to date.

    Raises NotConfigured for the store ``log``, PermanentError when the embedded Postgres does not run.
    """
    if opening.read_store_mode(settings.incident_store_url) == "log":
        raise NotConfigured("the incident store is `log`, which cannot store keys and projects")
    url = opening.find_running_incident_url(settings)
    if url is None:
        raise PermanentError(f"the embedded Postgres of {settings.data_dir} does not run; start it with `furrow up`")
    store = opening.open_incident_store_at(url)
    try:
        store.migrate()
        yield store
    finally:
        store.close()


@keys.command("create")
def create_key(
    project: Annotated[
        str, typer.Option("--project", help="Project of the key; `*` is all projects, except for an ingest key.")
    ] = "default",
    role: Annotated[
        Role,
        typer.Option(
            "--role",
            help="ingest: send events. viewer: read incidents. operator: also act on them. admin: also edit settings, keys and "
            "projects.",
        ),
    ] = Role.ingest,
    label: Annotated[
        str, typer.Option("--label", help="Name of the key's user, shown in the history of incidents.")
    ] = "",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Create a key and print it.

    Only its hash is stored, so the key cannot be shown again.
    """
    from collector.access.keys import hash_key

    _check_key_scope(project, role)
    if len(label) > LABEL_LENGTH or not label.isprintable():
        raise WrongUse(f"a label has at most {LABEL_LENGTH} characters, on one line")
    key = generate_api_key(role.value)
    with open_incident_store(load_command_settings(data_dir)) as store:
        store.keys.save_api_key(hash_key(key), key[:PREFIX_LENGTH], project, role.value, label)
        note = f"{role.value} key {label}".rstrip()
        store.audit.add_audit_entry(COMMAND_LINE, "key.created", project, key[:PREFIX_LENGTH], note)
    if as_json:
        created = {"key": key, "prefix": key[:PREFIX_LENGTH], "project": project, "role": role.value, "label": label}
        print_json(created)
        return
    out.print(styled_text(key, "bold"), soft_wrap=True)
    print_facts([("project", project), ("role", role.value), ("label", label), ("prefix", key[:PREFIX_LENGTH])])
    out.print("The key is not shown again. The collector accepts it within 15 seconds.", style="dim")


@keys.command("list")
def list_keys(
    project: Annotated[str, typer.Option("--project", help="Only this project.")] = "",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List the keys by their first characters."""
    with open_incident_store(load_command_settings(data_dir)) as store:
        if project != ALL_PROJECTS:
            check_project(project, store.keys.list_known_projects())
        every = store.keys.read_api_keys()
    found = [key for key in every if project in ("", key.project)]
    if as_json:
        print_json([_key_to_json(key) for key in found])
    elif not found:
        out.print("no keys; `furrow keys create` creates one")
    elif is_wide():
        table = Table(
            "prefix", "project", "role", "label", "state", "created", "last used", box=None, header_style="dim"
        )
        for key in found:
            row = (
                key.prefix,
                key.project,
                key.role,
                key.label,
                _describe_key_state(key),
                _format_datetime(key.created_at),
                _format_datetime(key.last_used_at),
            )
            table.add_row(*(styled_text(cell, "dim" if key.revoked else "") for cell in row))
        out.print(table)
    else:
        for key in found:
            out.print(
                styled_text(key.prefix, "bold"),
                styled_text(f"{key.role}, project {key.project}, {_describe_key_state(key)}"),
            )
            out.print(
                styled_text(
                    f"  {key.label or 'no label'}; created {_format_datetime(key.created_at)}, "
                    f"last used {_format_datetime(key.last_used_at)}"
                )
            )


@keys.command("revoke")
def revoke_key(
    prefix: Annotated[str, typer.Argument(help="First characters of the key, as `furrow keys list` shows them.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Revoke a key.

    The collector refuses it within 15 seconds.
    """
    with open_incident_store(load_command_settings(data_dir)) as store:
        count = store.keys.revoke_api_keys(prefix)
        every = store.keys.read_api_keys()
        for key in every if count else ():
            if key.prefix == prefix:
                store.audit.add_audit_entry(
                    COMMAND_LINE, "key.revoked", key.project, prefix, f"{key.role} key {key.label}"
                )
    if all(key.prefix != prefix for key in every):
        raise PermanentError(f"there is no key {prefix!r}; `furrow keys list` shows the first characters of each key")
    if as_json:
        print_json({"prefix": prefix, "revoked": count})
    else:
        out.print(styled_text(f"{prefix} is revoked" if count else f"{prefix} was already revoked"))


@projects.command("list")
def list_projects(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List projects with origins, settings or keys."""
    with open_incident_store(load_command_settings(data_dir)) as store:
        stored, every = store.keys.read_projects(), store.keys.read_api_keys()
    known = {key.project: ProjectRecord(key.project) for key in every if key.project != ALL_PROJECTS}
    known |= {record.id: record for record in stored}
    found = [known[id_] for id_ in sorted(known)]
    if as_json:
        print_json([_project_to_json(record) for record in found])
    for record in () if as_json else found:
        _print_project(record)
    if not found and not as_json:
        out.print("no projects except `default`; `furrow projects set` creates one")


@projects.command("set")
def set_project(
    project: Annotated[str, typer.Argument(help="Id of the project. It is created if it does not exist.")],
    origin: Annotated[
        list[str] | None,
        typer.Option(
            "--origin",
            help="Browser origin that may send events, like https://shop.example or https://*.shop.example (all hosts below); "
            "`null`: pages without an origin. Repeatable. Replaces all origins.",
        ),
    ] = None,
    no_origins: Annotated[
        bool, typer.Option("--no-origins", help="Remove all origins: no browser may send events.")
    ] = False,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--setting",
            help=f"Setting as name=value, with the value as JSON; repeatable. Names: {', '.join(SETTINGS)}. A single threshold "
            "or weight is named like thresholds.rage_clicks or weights.failure.",
        ),
    ] = None,
    unset: Annotated[
        list[str] | None,
        typer.Option("--unset", help="Setting to remove, so that the default of the installation applies; repeatable."),
    ] = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Set a project's origins and settings.

    Origins are those of browsers that may send events. Settings that are not named do not change.

    Example: `furrow projects set shop --origin https://shop.example --setting confirmSessions=5 --setting
    'ignoredRoutes=["/admin/*"]' --setting thresholds.rage_clicks=5`. `--config` applies the values of a file for `furrow
    evaluate --replay` to this project. New thresholds apply to sessions that are analysed from now on; `furrow run backfill`
    analyses the sessions of a time window again.
    """
    check_project_id(project)
    origins = choose_origins(origin or (), no_origins)
    changes = {**read_project_file(project, config), **parse_setting_options(setting or ())}
    with open_incident_store(load_command_settings(data_dir)) as store:
        store.keys.save_project(
            project, origins, merge_settings(_find_project(store, project).settings, changes, unset or ())
        )
        after = _find_project(store, project)
        named = ", ".join([*(["origins"] if origins is not None else []), *changes, *(unset or ())])
        store.audit.add_audit_entry(COMMAND_LINE, "project.changed", project, project, named)
    if as_json:
        print_json(_project_to_json(after))
    else:
        _print_project(after)


@projects.command("show")
def show_project(
    project: Annotated[str, typer.Argument(help="Id of the project.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show a project's origins and settings.

    Also shows the resulting configuration of the engine with its hash. The hash
    identifies the configuration: detections contain it as `configHash`.
    """
    check_project_id(project)
    with open_incident_store(load_command_settings(data_dir)) as store:
        check_project(project, store.keys.list_known_projects())
        found = _find_project(store, project)
    configuration, unusable = _describe_configuration(found)
    if as_json:
        print_json({**_project_to_json(found), **configuration, "unusable": unusable})
        return
    _print_project(found)
    values = {
        **configuration["thresholds"],
        **{f"weights.{rule}": points for rule, points in configuration["weights"].items()},
    }
    print_facts([("  configuration", configuration["configHash"]), ("  invalid, ignored", ", ".join(unusable))])
    print_facts([(f"    {name}", f"{value:,}") for name, value in values.items()])


def _check_key_scope(project: str, role: Role) -> None:
    if project == ALL_PROJECTS:
        if role is Role.ingest:
            raise WrongUse("an ingest key belongs to one project; `*` is only for keys of people")
    else:
        check_project_id(project)


def _find_project(store: "IncidentStore", project: str) -> ProjectRecord:
    return next((record for record in store.keys.read_projects() if record.id == project), ProjectRecord(project))


def _describe_configuration(project: ProjectRecord) -> tuple[EngineConfiguration, list[str]]:
    """The engine's configuration for a project, and the names of invalid settings, which are ignored."""
    from core.engine_settings import build_engine_config
    from ufse.config import THRESHOLDS
    from ufse.declared import load_signals
    from ufse.weights import TEXTS

    load_signals()
    fitting, unusable = select_usable_settings(project.settings)
    config = build_engine_config(fitting)
    thresholds = {name: config[name] for name in THRESHOLDS}
    return {
        "configHash": config.digest,
        "thresholds": thresholds,
        "weights": {rule: config.read_points(rule) for rule in TEXTS},
    }, unusable


def _key_to_json(key: KeyRecord) -> ApiKey:
    return {
        "prefix": key.prefix,
        "project": key.project,
        "role": key.role,
        "label": key.label,
        "revoked": key.revoked,
        "createdAt": _to_iso_time(key.created_at),
        "lastUsedAt": _to_iso_time(key.last_used_at),
    }


def _project_to_json(project: ProjectRecord) -> Project:
    return {"id": project.id, "origins": list(project.origins), "settings": project.settings}


def _print_project(project: ProjectRecord) -> None:
    out.print(styled_text(project.id, "bold"))
    origins = ", ".join(project.origins) or "none: no browser may send events"
    setting_facts = [(f"  {name}", json.dumps(value)) for name, value in sorted(project.settings.items())]
    print_facts([("  origins", origins), *setting_facts])


def _describe_key_state(key: KeyRecord) -> str:
    return "revoked" if key.revoked else "valid"


def _format_datetime(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at else "unknown"


def _to_iso_time(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
