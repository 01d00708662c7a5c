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
    out,
    print_facts,
    print_json,
    settings_with,
    text,
)
from furrow.cli.runs import PrefectUrl, Runs, Timeout, address, run_deployment

if TYPE_CHECKING:
    from furrow.installation.backup import Told


_MENTIONS = ("mentions in log files", "logs and artifacts of runs")  # the run that looks for them makes some itself


def add_to(app: typer.Typer) -> None:
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
    from furrow.installation.backup import back_up

    with err.status("backing up"):
        told = back_up(_resolved(data_dir), directory)
    _tell(told, f"backed up to {directory}", as_json)


def restore(
    directory: Annotated[Path, typer.Argument(help="Directory that `furrow backup` wrote.", exists=True)],
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Bring a backup back, into a new data directory (and empty databases, with servers). Then start `furrow up`.

    What was erased after the backup was made comes back with it: repeat those `furrow erase`.
    """
    from furrow.installation.backup import restore as bring_back

    with err.status("restoring"):
        told = bring_back(_resolved(data_dir), directory.absolute())
    _tell(told, f"restored from {directory}", as_json)


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
    hashed = _hashed(user, project, _resolved(data_dir)) if user else None
    if not yes and not typer.confirm(f"Remove this {'user' if user else 'session'} of {project} for good?", err=True):
        raise PermanentError("nothing was removed")
    stored = stored_session(session, project, data_dir) if session else None
    who = "session" if session else "user"

    def nothing(told: dict[str, Any]) -> str:
        removed = sum(count for place, count in told.get("removed", {}).items() if place not in _MENTIONS)
        return "" if removed or "removed" not in told else f"nothing of this {who} is stored in the project {project!r}"

    given = {"project": project, "session_id": stored, "user": hashed}
    run_deployment(
        address(prefect_url, prefect_port, data_dir), "erase/erase", given, timeout, as_json, _erased, nothing
    )


def stored_session(session: str, project: str, data_dir: Path | None) -> str:
    """The session's id as it is stored: hashed where it holds an address or the like (docs/privacy.md)."""
    from collector import privacy

    if privacy.stored_session(project, session, b"") == session:
        return session
    return privacy.stored_session(project, session, _salt(_resolved(data_dir)))


def _hashed(user: str, project: str, settings: Settings) -> str:
    """``uh:`` and the hash under which the user is stored, so that no run of Prefect holds the id."""
    from collector.privacy import HASHED_USER, hash_user

    if HASHED_USER.fullmatch(user):
        return user
    return f"uh:{hash_user(project, user, _salt(settings))}"


def _salt(settings: Settings) -> bytes:
    if (salt := kept_secrets.known_user_salt(settings)) is None:
        raise PermanentError(
            f"{settings.data_dir} holds no user-salt, so the stored hash is unknown: name the collector's --data-dir, set "
            "FURROW_USER_SALT, or give uh: (of a session sh:) and the hash"
        )
    return salt.get_secret_value().encode()


def _erased(api: Runs, run: dict[str, Any]) -> dict[str, Any]:
    state = run["state"]
    ended = {"name": run["name"], "state": state["name"], "message": state.get("message")}
    return {"run": ended, **next(iter(api.results(run["id"])), {})}


def _resolved(data_dir: Path | None) -> Settings:
    settings = settings_with(data_dir)
    return settings.model_copy(update={"data_dir": settings.data_dir.expanduser().resolve()})


def _tell(told: "Told", done: str, as_json: bool) -> None:
    if as_json:
        print_json(asdict(told))
        return
    out.print(text(done, "bold"), soft_wrap=True)
    facts: list[tuple[str, object]] = [(table, f"{count:,} rows") for table, count in told.rows.items()]
    print_facts([*facts, ("other files", f"{told.files:,}"), ("in all", f"{told.size:,} bytes")])
