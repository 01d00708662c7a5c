"""`furrow keys` and `furrow projects`: who may send and see what, kept in the incident store and asked there directly."""

import contextlib
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer
from rich.table import Table

from core.errors import NotConfigured, PermanentError
from core.project_settings import PARTED, SETTINGS, find_setting_problem, is_project_id, select_usable_settings
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
PREFIX_LENGTH = 11
_LABEL_LENGTH = 100

keys = typer.Typer(no_args_is_help=True, help="Create, list and revoke API keys.")
projects = typer.Typer(no_args_is_help=True, help="List projects, and set their origins and thresholds.")


class Role(StrEnum):
    """What a key may do: send events, or see incidents and act on them."""

    ingest = "ingest"
    operator = "operator"


@contextlib.contextmanager
def open_incident_store(settings: Settings) -> "Iterator[IncidentStore]":
    """The incident store that the collector reads keys from, migrated.

    Raises NotConfigured in the mode ``log``, PermanentError when the embedded one does not run.
    """
    if opening.read_store_mode(settings.incident_store_url) == "log":
        raise NotConfigured("the incident store is `log`: there is no place for keys and projects")
    url = opening.find_running_incident_url(settings)
    if url is None:
        raise PermanentError(f"the embedded Postgres of {settings.data_dir} does not run; `furrow up` starts it")
    store = opening.open_incident_store_at(url)
    try:
        store.migrate()
        yield store
    finally:
        store.close()


@keys.command("create")
def create_key(
    project: Annotated[
        str, typer.Option("--project", help="Project that it belongs to; `*`, for an operator, is all of them.")
    ] = "default",
    role: Annotated[Role, typer.Option("--role", help="ingest: send events. operator: see and act.")] = Role.ingest,
    label: Annotated[str, typer.Option("--label", help="What it is for; stands in the history for who uses it.")] = "",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Create a key and show it, this once: what is stored is its hash."""
    from collector.access.keys import hash_key

    _check_key_scope(project, role)
    if len(label) > _LABEL_LENGTH or not label.isprintable():
        raise PermanentError(f"a label is up to {_LABEL_LENGTH} characters on one line")
    key = generate_api_key(role)
    with open_incident_store(load_command_settings(data_dir)) as store:
        store.keys.save_api_key(hash_key(key), key[:PREFIX_LENGTH], project, role.value, label)
    if as_json:
        created = {"key": key, "prefix": key[:PREFIX_LENGTH], "project": project, "role": role.value, "label": label}
        print_json(created)
        return
    out.print(styled_text(key, "bold"), soft_wrap=True)
    print_facts([("project", project), ("role", role.value), ("label", label), ("prefix", key[:PREFIX_LENGTH])])
    out.print("It is not shown again. The collector knows it within 15 seconds.", style="dim")


@keys.command("list")
def list_keys(
    project: Annotated[str, typer.Option("--project", help="Of this project only.")] = "",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List keys by their first characters; the keys themselves are known to nobody."""
    with open_incident_store(load_command_settings(data_dir)) as store:
        every = store.keys.read_api_keys()
    found = [key for key in every if project in ("", key.project)]
    if as_json:
        print_json([_key_to_json(key) for key in found])
    elif not found:
        out.print("no keys; `furrow keys create` makes one")
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
    prefix: Annotated[str, typer.Argument(help="Its first characters, as `furrow keys list` shows them.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Revoke a key: the collector refuses it within 15 seconds."""
    with open_incident_store(load_command_settings(data_dir)) as store:
        count = store.keys.revoke_api_keys(prefix)
        every = store.keys.read_api_keys()
    if all(key.prefix != prefix for key in every):
        raise PermanentError(f"there is no key {prefix!r}; `furrow keys list` shows the first characters of each")
    if as_json:
        print_json({"prefix": prefix, "revoked": count})
    else:
        out.print(styled_text(f"{prefix} is revoked" if count else f"{prefix} was revoked already"))


@projects.command("list")
def list_projects(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the projects that were given origins or settings, or that a key belongs to."""
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
        out.print("no projects but `default`; `furrow projects set` makes one")


@projects.command("set")
def set_project(
    project: Annotated[str, typer.Argument(help="Id of the project; it is made if there is none.")],
    origin: Annotated[
        list[str] | None,
        typer.Option(
            "--origin", help="Browser origin that may send, like https://shop.example; repeatable, replaces all."
        ),
    ] = None,
    no_origins: Annotated[bool, typer.Option("--no-origins", help="No browser may send.")] = False,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--setting",
            help=f"name=value, value as JSON; repeatable. Names: {', '.join(SETTINGS)}; one threshold or weight is "
            "thresholds.rage_clicks or weights.failure.",
        ),
    ] = None,
    unset: Annotated[
        list[str] | None, typer.Option("--unset", help="Setting that follows the installation again; repeatable.")
    ] = None,
    config: ConfigFile = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Set a project's browser origins and its thresholds; what is not named stays as it is.

    Example: `furrow projects set shop --origin https://shop.example --setting confirmSessions=5 --setting
    'ignoredRoutes=["/admin/*"]' --setting thresholds.rage_clicks=5`. `--config` sets what a file for `furrow evaluate
    --replay` says for this project. New thresholds hold for sessions analysed from now on; `furrow run backfill` analyses
    those of a window again.
    """
    _check_project_id(project)
    origins = _choose_origins(origin or (), no_origins)
    changes = {**_read_project_file(project, config), **_parse_setting_options(setting or ())}
    with open_incident_store(load_command_settings(data_dir)) as store:
        store.keys.save_project(
            project, origins, _merge_settings(_find_project(store, project).settings, changes, unset or ())
        )
        after = _find_project(store, project)
    if as_json:
        print_json(_project_to_json(after))
    else:
        _print_project(after)


@projects.command("show")
def show_project(
    project: Annotated[str, typer.Argument(help="Id of the project; `default` is the one of `test-key`.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show a project's origins and settings, and the engine's configuration that results, with its hash.

    The hash is the version of the configuration: detections carry it as `configHash`.
    """
    _check_project_id(project)
    with open_incident_store(load_command_settings(data_dir)) as store:
        every = store.keys.read_api_keys()
        known = {
            "default",
            *(record.id for record in store.keys.read_projects()),
            *(record.project for record in every),
        } - {ALL_PROJECTS}
        found = _find_project(store, project)
    if project not in known:
        raise PermanentError(f"there is no project {project!r}; there is {', '.join(sorted(known))}")
    configuration, unusable = _describe_configuration(found)
    if as_json:
        print_json({**_project_to_json(found), **configuration, "unusable": unusable})
        return
    _print_project(found)
    values = {
        **configuration["thresholds"],
        **{f"weights.{rule}": points for rule, points in configuration["weights"].items()},
    }
    print_facts([("  configuration", configuration["configHash"]), ("  unusable, not used", ", ".join(unusable))])
    print_facts([(f"    {name}", f"{value:,}") for name, value in values.items()])


def generate_api_key(role: Role) -> str:
    """A key: what it is for (fi: ingest, fo: operator), then 256 random bits; its first 11 characters name it."""
    return f"{'fi' if role is Role.ingest else 'fo'}_{secrets.token_urlsafe(32)}"


def _check_key_scope(project: str, role: Role) -> None:
    if project == ALL_PROJECTS:
        if role is Role.ingest:
            raise PermanentError("a key that sends events belongs to one project; `*` is for operators")
    else:
        _check_project_id(project)


def _check_project_id(project: str) -> None:
    if not is_project_id(project):
        raise PermanentError("a project's id is up to 64 letters, digits, and _ . - after the first character")


def _choose_origins(origin_options: "list[str] | tuple[()]", no_origins: bool) -> list[str] | None:
    if origin_options and no_origins:
        raise PermanentError("give --origin or --no-origins, not both")
    if not origin_options:
        return [] if no_origins else None
    return list(dict.fromkeys(normalize_origin(origin) for origin in origin_options))


def normalize_origin(origin: str) -> str:
    """An origin as browsers send it (scheme, host, port if it is not the usual one). Raises PermanentError."""
    if origin == "*":
        return origin
    wrong = PermanentError(f"an origin looks like https://shop.example or http://localhost:3000, not like {origin!r}")
    try:
        parts = urlsplit(origin)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise wrong from None
    rest = (parts.path.strip("/"), parts.query, parts.fragment, parts.username, parts.password)
    if (
        parts.scheme not in ("http", "https")
        or not host
        or any(rest)
        or not origin.isascii()
        or not origin.isprintable()
    ):
        raise wrong
    name = f"[{host}]" if ":" in host else host
    usual = port is None or port == {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{name}" if usual else f"{parts.scheme}://{name}:{port}"


def _parse_setting_options(setting_options: "list[str] | tuple[()]") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for assignment in setting_options:
        name, _, value = assignment.partition("=")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _read_project_file(project: str, file: Path | None) -> dict[str, Any]:
    """What a file for the engine says for this project, as settings: each threshold and weight by itself."""
    if file is None:
        return {}
    from core.engine_settings import read_engine_settings, to_stored_names

    found: dict[str, Any] = {}
    for name, value in to_stored_names(read_engine_settings(file)[0].project_sections(project)).items():
        found |= (
            {f"{name}.{part}": part_value for part, part_value in value.items()} if name in PARTED else {name: value}
        )
    return found


def _merge_settings(stored: Mapping[str, Any], changes: Mapping[str, Any], unset: Sequence[str]) -> dict[str, Any]:
    """The settings with what is given and without what is unset. Raises PermanentError when one of them cannot be."""
    merged = {name: dict(value) if isinstance(value, dict) else value for name, value in stored.items()}
    for name in unset:
        whole, _, part = name.partition(".")
        if not part:
            merged.pop(name, None)
        elif isinstance(merged.get(whole), dict):
            merged[whole].pop(part, None)
    for name, value in changes.items():
        whole, _, part = name.partition(".")
        if part and whole in PARTED:
            parts = merged.get(whole)
            merged[whole] = {**(parts if isinstance(parts, dict) else {}), part: value}
        else:
            merged[name] = value
    changed = {name if name in merged else name.partition(".")[0] for name in (*unset, *changes)}
    for name in changed & set(merged):
        if wrong := find_setting_problem(name, merged[name]):
            raise PermanentError(wrong)
    return {name: value for name, value in merged.items() if value != {} or name not in PARTED}


def _find_project(store: "IncidentStore", project: str) -> ProjectRecord:
    return next((record for record in store.keys.read_projects() if record.id == project), ProjectRecord(project))


def _describe_configuration(project: ProjectRecord) -> tuple[dict[str, Any], list[str]]:
    """What the engine goes by, and the names of the settings that do not fit."""
    from dataclasses import asdict

    from core.engine_settings import build_engine_config
    from ufse.config import THRESHOLDS

    fitting, unusable = select_usable_settings(project.settings)
    config = build_engine_config(fitting)
    thresholds = {name: getattr(config, name) for name in THRESHOLDS}
    return {"configHash": config.digest, "thresholds": thresholds, "weights": asdict(config.weights)}, unusable


def _key_to_json(key: KeyRecord) -> dict[str, Any]:
    return {
        "prefix": key.prefix,
        "project": key.project,
        "role": key.role,
        "label": key.label,
        "revoked": key.revoked,
        "createdAt": _to_iso_time(key.created_at),
        "lastUsedAt": _to_iso_time(key.last_used_at),
    }


def _project_to_json(project: ProjectRecord) -> dict[str, Any]:
    return {"id": project.id, "origins": list(project.origins), "settings": project.settings}


def _print_project(project: ProjectRecord) -> None:
    out.print(styled_text(project.id, "bold"))
    origins = ", ".join(project.origins) or "none: no browser may send"
    setting_facts = [(f"  {name}", json.dumps(value)) for name, value in sorted(project.settings.items())]
    print_facts([("  origins", origins), *setting_facts])


def _describe_key_state(key: KeyRecord) -> str:
    return "revoked" if key.revoked else "valid"


def _format_datetime(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at else "unknown"


def _to_iso_time(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
