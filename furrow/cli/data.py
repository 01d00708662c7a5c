"""`furrow backup`, `furrow restore` and `furrow erase`: keeping what is to be kept, and removing what must go."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from core import kept_secrets
from core.errors import PermanentError
from core.settings import Settings
from furrow.cli.common import (
    AsJson,
    DataDir,
    PrefectPort,
    err,
    load_command_settings,
    out,
    print_facts,
    print_json,
    styled_text,
)
from furrow.cli.runs import PrefectUrl, RunsApi, Timeout, find_prefect_address, run_deployment

if TYPE_CHECKING:
    from furrow.installation.backup import BackupSummary


_MENTIONS = ("mentions in log files", "logs and artifacts of runs")  # the run that looks for them makes some itself


def add_commands_to(app: typer.Typer) -> None:
    """Register the commands."""
    for command in (backup, restore, erase):
        app.command()(command)


def backup(
    directory: Annotated[Path, typer.Argument(help="Directory to write; it must not exist.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Back up everything but Prefect's own runs: incidents, tickets, keys, events, spool and dead letters, as files.

    With embedded stores, stop `furrow up` first: they admit one process. With servers it may go on. The backup holds
    personal data and the secret that user ids are hashed with: keep it as safe as the data directory.
    """
    from furrow.installation.backup import write_backup

    with err.status("backing up"):
        summary = write_backup(_load_absolute_settings(data_dir), directory)
    _print_backup_summary(summary, f"backed up to {directory}", as_json)


def restore(
    directory: Annotated[Path, typer.Argument(help="Directory that `furrow backup` wrote.", exists=True)],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Bring a backup back, into a new data directory (and empty databases, with servers). Then start `furrow up`.

    What was erased after the backup was made comes back with it: repeat those `furrow erase`.
    """
    from furrow.installation.backup import restore_backup as bring_back

    with err.status("restoring"):
        summary = bring_back(_load_absolute_settings(data_dir), directory.absolute())
    _print_backup_summary(summary, f"restored from {directory}", as_json)


def erase(
    user: Annotated[
        str, typer.Option("--user", help="User's id as the application knows it; or uh: and the hash that is stored.")
    ] = "",
    session: Annotated[str, typer.Option("--session", help="Id of one client session.")] = "",
    project: Annotated[str, typer.Option("--project", help="Project that it belongs to.")] = "default",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    timeout: Timeout = 1_800,
    data_dir: DataDir = None,
    prefect_port: PrefectPort = None,
    prefect_url: PrefectUrl = "",
    as_json: AsJson = False,
) -> None:
    """Remove a user or a session everywhere: events, detections, timelines, queue, dead letters, spool, logs.

    A user's whole client sessions go, also what was done in them before they logged in. Counts of incidents are those of
    the sessions that remain; tickets are listed, not changed. It runs in the engine, as the deployment `erase`, and is safe
    to repeat. Backups are not changed. Ends with 1 when nothing of them was stored.
    """
    if bool(user) == bool(session):
        raise PermanentError("name one user (--user) or one session (--session)")
    hashed = _hash_user_id(user, project, _load_absolute_settings(data_dir)) if user else None
    if not yes and not typer.confirm(f"Remove this {'user' if user else 'session'} of {project} for good?", err=True):
        raise PermanentError("nothing was removed")
    stored = to_stored_session_id(session, project, data_dir) if session else None
    who = "session" if session else "user"

    def describe_empty_result(result: dict[str, Any]) -> str:
        removed = sum(count for place, count in result.get("removed", {}).items() if place not in _MENTIONS)
        return (
            "" if removed or "removed" not in result else f"nothing of this {who} is stored in the project {project!r}"
        )

    run_parameters = {"project": project, "session_id": stored, "user": hashed}
    run_deployment(
        find_prefect_address(prefect_url, prefect_port, data_dir),
        "erase/erase",
        run_parameters,
        timeout,
        as_json,
        _summarize_erasure,
        describe_empty_result,
    )


def to_stored_session_id(session: str, project: str, data_dir: Path | None) -> str:
    """The session's id as it is stored: hashed where it holds an address or the like (docs/privacy.md)."""
    from collector import privacy

    if privacy.stored_session(project, session, b"") == session:
        return session
    return privacy.stored_session(project, session, _require_user_salt(_load_absolute_settings(data_dir)))


def _hash_user_id(user: str, project: str, settings: Settings) -> str:
    """``uh:`` and the hash under which the user is stored, so that no run of Prefect holds the id."""
    from collector.privacy import HASHED_USER, hash_user

    if HASHED_USER.fullmatch(user):
        return user
    return f"uh:{hash_user(project, user, _require_user_salt(settings))}"


def _require_user_salt(settings: Settings) -> bytes:
    if (salt := kept_secrets.known_user_salt(settings)) is None:
        raise PermanentError(
            f"{settings.data_dir} holds no user-salt, so the stored hash is unknown: name the collector's --data-dir, set "
            "FURROW_USER_SALT, or give uh: (of a session sh:) and the hash"
        )
    return salt.get_secret_value().encode()


def _summarize_erasure(api: RunsApi, run: dict[str, Any]) -> dict[str, Any]:
    state = run["state"]
    ended = {"name": run["name"], "state": state["name"], "message": state.get("message")}
    return {"run": ended, **next(iter(api.read_results(run["id"])), {})}


def _load_absolute_settings(data_dir: Path | None) -> Settings:
    settings = load_command_settings(data_dir)
    return settings.model_copy(update={"data_dir": settings.data_dir.expanduser().resolve()})


def _print_backup_summary(summary: "BackupSummary", done: str, as_json: bool) -> None:
    if as_json:
        print_json(asdict(summary))
        return
    out.print(styled_text(done, "bold"), soft_wrap=True)
    facts: list[tuple[str, object]] = [(table, f"{count:,} rows") for table, count in summary.rows.items()]
    print_facts([*facts, ("other files", f"{summary.files:,}"), ("in all", f"{summary.size:,} bytes")])
