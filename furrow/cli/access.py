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
from core.project_settings import PARTED, SETTINGS, is_project, problem, usable
from core.settings import EMBEDDED, LOG, Settings
from furrow.cli.common import (
    AsJson,
    ConfigFile,
    DataDir,
    is_wide,
    out,
    print_facts,
    print_json,
    settings_with,
    text,
)
from incidents.model import KeyRecord, ProjectRecord

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
def incident_store(settings: Settings) -> "Iterator[IncidentStore]":
    """The incident store that the collector reads keys from, migrated.

    Raises NotConfigured in the mode ``log``, PermanentError when the embedded one does not run.
    """
    from stores.incidents.incident_store import IncidentStore

    url = settings.incident_store_url.get_secret_value()
    if url == LOG:
        raise NotConfigured("the incident store is `log`: there is no place for keys and projects")
    if url == EMBEDDED:
        url = _embedded_url(settings)
    store = IncidentStore.connect(url)
    try:
        store.migrate()
        yield store
    finally:
        store.close()


def _embedded_url(settings: Settings) -> str:
    from stores.embedded_postgres import EmbeddedPostgres

    server = EmbeddedPostgres(settings.postgres_dir)
    if not (settings.postgres_dir.exists() and server.running()):
        raise PermanentError(f"the embedded Postgres of {settings.data_dir} does not run; `furrow up` starts it")
    return server.url


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

    _check_scope(project, role)
    if len(label) > _LABEL_LENGTH or not label.isprintable():
        raise PermanentError(f"a label is up to {_LABEL_LENGTH} characters on one line")
    key = new_key(role)
    with incident_store(settings_with(data_dir)) as store:
        store.put_key(hash_key(key), key[:PREFIX_LENGTH], project, role.value, label)
    if as_json:
        told = {"key": key, "prefix": key[:PREFIX_LENGTH], "project": project, "role": role.value, "label": label}
        print_json(told)
        return
    out.print(text(key, "bold"), soft_wrap=True)
    print_facts([("project", project), ("role", role.value), ("label", label), ("prefix", key[:PREFIX_LENGTH])])
    out.print("It is not shown again. The collector knows it within 15 seconds.", style="dim")


@keys.command("list")
def list_keys(
    project: Annotated[str, typer.Option("--project", help="Of this project only.")] = "",
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List keys by their first characters; the keys themselves are known to nobody."""
    with incident_store(settings_with(data_dir)) as store:
        every = store.keys()
    found = [one for one in every if project in ("", one.project)]
    if as_json:
        print_json([_key_json(one) for one in found])
    elif not found:
        out.print("no keys; `furrow keys create` makes one")
    elif is_wide():
        table = Table(
            "prefix", "project", "role", "label", "state", "created", "last used", box=None, header_style="dim"
        )
        for one in found:
            row = (
                one.prefix,
                one.project,
                one.role,
                one.label,
                _state(one),
                _day(one.created_at),
                _day(one.last_used_at),
            )
            table.add_row(*(text(cell, "dim" if one.revoked else "") for cell in row))
        out.print(table)
    else:
        for one in found:
            out.print(text(one.prefix, "bold"), text(f"{one.role}, project {one.project}, {_state(one)}"))
            out.print(
                text(f"  {one.label or 'no label'}; created {_day(one.created_at)}, last used {_day(one.last_used_at)}")
            )


@keys.command("revoke")
def revoke_key(
    prefix: Annotated[str, typer.Argument(help="Its first characters, as `furrow keys list` shows them.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Revoke a key: the collector refuses it within 15 seconds."""
    with incident_store(settings_with(data_dir)) as store:
        count = store.revoke_key(prefix)
        every = store.keys()
    if all(one.prefix != prefix for one in every):
        raise PermanentError(f"there is no key {prefix!r}; `furrow keys list` shows the first characters of each")
    if as_json:
        print_json({"prefix": prefix, "revoked": count})
    else:
        out.print(text(f"{prefix} is revoked" if count else f"{prefix} was revoked already"))


@projects.command("list")
def list_projects(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the projects that were given origins or settings, or that a key belongs to."""
    with incident_store(settings_with(data_dir)) as store:
        stored, every = store.projects(), store.keys()
    known = {key.project: ProjectRecord(key.project) for key in every if key.project != ALL_PROJECTS}
    known |= {one.id: one for one in stored}
    found = [known[id_] for id_ in sorted(known)]
    if as_json:
        print_json([_project_json(one) for one in found])
    for one in () if as_json else found:
        _print_project(one)
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
    _check_project(project)
    origins = _origins(origin or (), no_origins)
    given = {**_of_file(project, config), **_settings(setting or ())}
    with incident_store(settings_with(data_dir)) as store:
        store.put_project(project, origins, _merged(_found(store, project).settings, given, unset or ()))
        after = _found(store, project)
    if as_json:
        print_json(_project_json(after))
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
    _check_project(project)
    with incident_store(settings_with(data_dir)) as store:
        every = store.keys()
        known = {"default", *(one.id for one in store.projects()), *(one.project for one in every)} - {ALL_PROJECTS}
        found = _found(store, project)
    if project not in known:
        raise PermanentError(f"there is no project {project!r}; there is {', '.join(sorted(known))}")
    told, unusable = _configuration(found)
    if as_json:
        print_json({**_project_json(found), **told, "unusable": unusable})
        return
    _print_project(found)
    values = {**told["thresholds"], **{f"weights.{rule}": points for rule, points in told["weights"].items()}}
    print_facts([("  configuration", told["configHash"]), ("  unusable, not used", ", ".join(unusable))])
    print_facts([(f"    {name}", f"{value:,}") for name, value in values.items()])


def new_key(role: Role) -> str:
    """A key: what it is for (fi: ingest, fo: operator), then 256 random bits; its first 11 characters name it."""
    return f"{'fi' if role is Role.ingest else 'fo'}_{secrets.token_urlsafe(32)}"


def _check_scope(project: str, role: Role) -> None:
    if project == ALL_PROJECTS:
        if role is Role.ingest:
            raise PermanentError("a key that sends events belongs to one project; `*` is for operators")
    else:
        _check_project(project)


def _check_project(project: str) -> None:
    if not is_project(project):
        raise PermanentError("a project's id is up to 64 letters, digits, and _ . - after the first character")


def _origins(given: "list[str] | tuple[()]", none: bool) -> list[str] | None:
    if given and none:
        raise PermanentError("give --origin or --no-origins, not both")
    if not given:
        return [] if none else None
    return list(dict.fromkeys(checked_origin(one) for one in given))


def checked_origin(origin: str) -> str:
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


def _settings(given: "list[str] | tuple[()]") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in given:
        name, _, value = one.partition("=")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def _of_file(project: str, file: Path | None) -> dict[str, Any]:
    """What a file for the engine says for this project, as settings: each threshold and weight by itself."""
    if file is None:
        return {}
    from core.engine_settings import as_stored, read_toml

    found: dict[str, Any] = {}
    for name, value in as_stored(read_toml(file)[0].of(project)).items():
        found |= {f"{name}.{part}": one for part, one in value.items()} if name in PARTED else {name: value}
    return found


def _merged(stored: Mapping[str, Any], given: Mapping[str, Any], unset: Sequence[str]) -> dict[str, Any]:
    """The settings with what is given and without what is unset. Raises PermanentError when one of them cannot be."""
    merged = {name: dict(value) if isinstance(value, dict) else value for name, value in stored.items()}
    for name in unset:
        whole, _, part = name.partition(".")
        if not part:
            merged.pop(name, None)
        elif isinstance(merged.get(whole), dict):
            merged[whole].pop(part, None)
    for name, value in given.items():
        whole, _, part = name.partition(".")
        if part and whole in PARTED:
            parts = merged.get(whole)
            merged[whole] = {**(parts if isinstance(parts, dict) else {}), part: value}
        else:
            merged[name] = value
    changed = {name if name in merged else name.partition(".")[0] for name in (*unset, *given)}
    for name in changed & set(merged):
        if wrong := problem(name, merged[name]):
            raise PermanentError(wrong)
    return {name: value for name, value in merged.items() if value != {} or name not in PARTED}


def _found(store: "IncidentStore", project: str) -> ProjectRecord:
    return next((one for one in store.projects() if one.id == project), ProjectRecord(project))


def _configuration(project: ProjectRecord) -> tuple[dict[str, Any], list[str]]:
    """What the engine goes by, and the names of the settings that do not fit."""
    from dataclasses import asdict

    from core.engine_settings import config_of
    from ufse.config import THRESHOLDS

    fitting, unusable = usable(project.settings)
    config = config_of(fitting)
    thresholds = {name: getattr(config, name) for name in THRESHOLDS}
    return {"configHash": config.digest, "thresholds": thresholds, "weights": asdict(config.weights)}, unusable


def _key_json(key: KeyRecord) -> dict[str, Any]:
    return {
        "prefix": key.prefix,
        "project": key.project,
        "role": key.role,
        "label": key.label,
        "revoked": key.revoked,
        "createdAt": _iso(key.created_at),
        "lastUsedAt": _iso(key.last_used_at),
    }


def _project_json(project: ProjectRecord) -> dict[str, Any]:
    return {"id": project.id, "origins": list(project.origins), "settings": project.settings}


def _print_project(project: ProjectRecord) -> None:
    out.print(text(project.id, "bold"))
    origins = ", ".join(project.origins) or "none: no browser may send"
    told = [(f"  {name}", json.dumps(value)) for name, value in sorted(project.settings.items())]
    print_facts([("  origins", origins), *told])


def _state(key: KeyRecord) -> str:
    return "revoked" if key.revoked else "valid"


def _day(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at else "unknown"


def _iso(at: datetime | None) -> str | None:
    return at.isoformat() if at else None
