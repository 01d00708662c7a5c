"""`furrow backup`, `furrow restore` and `furrow erase`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from core import kept_secrets
from core.errors import PermanentError, WrongUse
from core.known_projects import check_project
from core.plurals import format_count
from core.settings import Settings
from furrow.cli.common import (
    AsJson,
    Commands,
    DataDir,
    PrefectPort,
    err,
    load_command_settings,
    out,
    print_facts,
    print_json,
    styled_text,
)
from furrow.cli.runs import PrefectUrl, RunResult, Timeout, find_prefect_address, run_deployment, summarize_ended_run

if TYPE_CHECKING:
    from furrow.installation.backup import BackupSummary


_MENTIONS = ("mentions in log files", "logs and artifacts of runs")  # the run itself writes some of these


def backup(
    directory: Annotated[Path, typer.Argument(help="Directory to create.")],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Write a backup to a directory.

    It contains incidents, tickets, keys, events, the spool and dead letters. Not included: runs in Prefect.

    With embedded stores, stop `furrow up` first: only one process can open them. With database servers, `furrow up` may keep
    running. The backup contains personal data, keys, and the secret that user ids are hashed with: protect it like the data
    directory.
    """
    from furrow.installation.backup import write_backup

    with err.status("backing up"):
        summary = write_backup(_load_absolute_settings(data_dir), directory)
    _print_backup_summary(summary, f"backed up to {directory}", as_json)


def restore(
    directory: Annotated[Path, typer.Argument(help="Directory written by `furrow backup`.", exists=True)],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Restore a backup.

    It is restored into a new data directory and, with database servers, into empty databases. Then start `furrow up`.

    Data that was erased after the backup was made is restored too: run those `furrow erase` commands again.
    """
    from furrow.installation.backup import restore_backup as bring_back

    with err.status("restoring"):
        summary = bring_back(_load_absolute_settings(data_dir), directory.absolute())
    _print_backup_summary(summary, f"restored from {directory}", as_json)


def erase(
    user: Annotated[
        str, typer.Option("--user", help="Id of the user in your application; or uh: followed by the stored hash.")
    ] = "",
    session: Annotated[str, typer.Option("--session", help="Id of a client session.")] = "",
    project: Annotated[str, typer.Option("--project", help="Project of the user or session.")] = "default",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    timeout: Timeout = 1_800,
    data_dir: DataDir = None,
    prefect_port: PrefectPort = None,
    prefect_url: PrefectUrl = "",
    as_json: AsJson = False,
) -> None:
    """Erase all data of a user or a session.

    This includes events, detections, timelines, the queue, dead letters, the spool and logs.

    For a user, whole client sessions are erased, including events from before the user logged in. The counts of incidents are
    then those of the remaining sessions. Tickets are listed but not changed; backups are not changed. The command starts a
    run of the deployment `erase` and can be repeated safely. Exits with 1 if nothing was stored.
    """
    if bool(user) == bool(session):
        raise WrongUse("pass either --user or --session")
    hashed = _hash_user_id(user, project, _load_absolute_settings(data_dir)) if user else None
    if not yes and not typer.confirm(
        f"Erase this {'user' if user else 'session'} of project {project} permanently?", err=True
    ):
        raise PermanentError("nothing was erased")
    stored = to_stored_session_id(session, project, data_dir) if session else None
    who = "session" if session else "user"

    def describe_empty_result(result: RunResult) -> str:
        removed = result.get("removed")
        if not isinstance(removed, dict) or any(n for place, n in removed.items() if place not in _MENTIONS):
            return ""
        known = result.get("projects")
        check_project(project, known if isinstance(known, list) and known else [project])
        return f"no data of this {who} is stored in the project {project!r}"

    run_parameters = {"project": project, "session_id": stored, "user": hashed}
    run_deployment(
        find_prefect_address(prefect_url, prefect_port, data_dir),
        "erase/erase",
        run_parameters,
        timeout,
        as_json,
        summarize_ended_run,
        describe_empty_result,
    )


def to_stored_session_id(session: str, project: str, data_dir: Path | None) -> str:
    """The session's id as it is stored: hashed if it contains personal data such as an address (docs/privacy.md)."""
    from collector import privacy

    if privacy.stored_session(project, session, b"") == session:
        return session
    return privacy.stored_session(project, session, _require_user_salt(_load_absolute_settings(data_dir)))


def _hash_user_id(user: str, project: str, settings: Settings) -> str:
    """``uh:`` followed by the stored hash of the user, so that the id does not appear in a run's parameters."""
    from collector.privacy import HASHED_USER, hash_user

    if HASHED_USER.fullmatch(user):
        return user
    return f"uh:{hash_user(project, user, _require_user_salt(settings))}"


def _require_user_salt(settings: Settings) -> bytes:
    if (salt := kept_secrets.known_user_salt(settings)) is None:
        raise PermanentError(
            f"{settings.data_dir} contains no user-salt, so the stored hash is unknown: set --data-dir to the collector's data "
            "directory, set FURROW_USER_SALT, or pass the stored hash (uh:… of a user, sh:… of a session)"
        )
    return salt.get_secret_value().encode()


def _load_absolute_settings(data_dir: Path | None) -> Settings:
    settings = load_command_settings(data_dir)
    return settings.model_copy(update={"data_dir": settings.data_dir.expanduser().resolve()})


def _print_backup_summary(summary: "BackupSummary", done: str, as_json: bool) -> None:
    if as_json:
        print_json(asdict(summary))
        return
    out.print(styled_text(done, "bold"), soft_wrap=True)
    facts: list[tuple[str, object]] = [(table, format_count(count, "row")) for table, count in summary.rows.items()]
    print_facts([*facts, ("other files", f"{summary.files:,}"), ("in all", f"{summary.size:,} bytes")])


COMMANDS: Final[Commands] = {"backup": backup, "restore": restore, "erase": erase}
"""The commands of this module, by name."""
