"""`furrow audit`: export the audit log, directly from the incident store."""

import json
import re
from datetime import datetime
from typing import Annotated, Final

import typer

from core.errors import WrongUse
from furrow.cli.access import open_incident_store
from furrow.cli.common import Commands, DataDir, load_command_settings
from incidents.audit import audit_to_json

_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")


def export_audit_log(
    since: Annotated[
        str,
        typer.Option("--since", help="Only entries at or after this time: RFC 3339 with a time zone, or a date (UTC)."),
    ] = "",
    until: Annotated[str, typer.Option("--until", help="Only entries before this time.")] = "",
    project: Annotated[str, typer.Option("--project", help="Only this project; `*`: what is of no single one.")] = "",
    data_dir: DataDir = None,
) -> None:
    """Print the audit log as JSON lines, the newest entry first.

    An entry has `at`, `actor`, `action`, `projectId`, `subject` and `reason`. The log holds what people did to incidents,
    sign-ins and refusals, and changes of keys and projects.
    """
    first, last = _parse_time("--since", since), _parse_time("--until", until)
    with open_incident_store(load_command_settings(data_dir)) as store:
        for entry in store.audit.iterate_audit_entries(project or None, first, last):
            print(json.dumps(audit_to_json(entry), ensure_ascii=True))


def _parse_time(option: str, text: str) -> datetime | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(f"{text}T00:00:00+00:00" if _DAY.fullmatch(text) else text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise WrongUse(f"{option} must be RFC 3339 with a time zone, or a date like 2026-01-31")
    return at


COMMANDS: Final[Commands] = {"audit": export_audit_log}
"""The commands of this module, by name."""
