"""The command ``furrow``: registers the commands of the modules in ``furrow.cli`` and turns errors into one line."""

import logging
import os
import sys
from typing import Annotated, NoReturn

import typer
from pydantic import ValidationError

from core.error_messages import describe_error
from core.errors import FurrowError, PermanentError, exit_code
from core.logs import log_unforeseen_error
from core.package import VERSION
from core.private_files import restrict_new_files
from core.settings import wrong_settings
from furrow.cli import (
    access,
    alerts,
    audit,
    bulk,
    data,
    exceptions,
    explain,
    files,
    incidents,
    local,
    owners,
    releases,
    routes,
    runs,
)
from furrow.cli.common import err, out, styled_text, used_settings

app = typer.Typer(
    name="furrow",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,  # locals may hold secrets
    help="""
Detects frustrated users of a web application from its events, and files incidents as tickets.

Start with `furrow demo` (takes two minutes and removes everything at the end) or `furrow up` (starts Furrow on this machine).
Settings are environment variables `FURROW_…` or lines in `.env`; `furrow doctor` checks the installation.

A command exits with 0 if it succeeds. It exits with 2 if no installation could do what it was called for: an unknown option, a
number out of range, an invalid setting, a file of another format. It exits with 1 if it fails for another reason, for example
because the project or the incident does not exist here.
""",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(VERSION)
        raise typer.Exit


@app.callback()
def _accept_global_options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


# In the order of `furrow --help`. A command is added to the table of its module, a group of commands here.
_COMMANDS = (local.COMMANDS, files.COMMANDS, explain.COMMANDS, runs.COMMANDS, data.COMMANDS, audit.COMMANDS)
incidents.app.command("assign")(owners.assign)
incidents.app.command("bulk")(bulk.act_on_many)
_GROUPS = {
    "incidents": incidents.app,
    "exceptions": exceptions.app,
    "releases": releases.app,
    "routes": routes.app,
    "owners": owners.app,
    "alerts": alerts.app,
    "keys": access.keys,
    "projects": access.projects,
}

for commands in _COMMANDS:
    for name, command in commands.items():
        app.command(name)(command)
for name, group in _GROUPS.items():
    app.add_typer(group, name=name)


def main() -> None:
    """Entry point. Every error is printed as one line; the traceback of an unexpected error is written to a file."""
    os.environ.setdefault("DO_NOT_TRACK", "1")
    restrict_new_files()
    logging.basicConfig(level=logging.WARNING)
    try:
        app()
    except ValidationError as error:
        _exit_with_error(wrong_settings(error))
    except (FurrowError, OSError) as error:
        _exit_with_error(error)
    except Exception as error:
        # An unexpected error: the traceback goes to a file.
        _exit_with_error(PermanentError(f"unexpected error; this is a bug in Furrow{_write_error_log(error)}"))


def _write_error_log(error: Exception) -> str:
    """Write the traceback to a log file. The result is the end of the error message, with the file's path."""
    try:
        settings = used_settings()
        log = log_unforeseen_error(error, settings.data_dir if settings else None)
    except OSError:
        return "; the traceback could not be written to a file"
    return f"; the traceback is in {log}"


def _exit_with_error(error: FurrowError | OSError) -> NoReturn:
    err.print(styled_text(f"furrow: {describe_error(error)}", "red"), soft_wrap=True)
    sys.exit(exit_code(error))
