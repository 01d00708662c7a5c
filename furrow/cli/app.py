"""The command ``furrow``. Thin: the commands live in ``furrow.cli``, one file a group, and are put together here."""

import logging
import os
import sys
from typing import Annotated, NoReturn

import typer
from pydantic import ValidationError

from core.errors import FurrowError, WrongUse
from core.logs import log_unforeseen_error
from core.package import VERSION
from core.private_files import restrict_new_files
from furrow.cli import access, data, explain, files, incidents, local, runs
from furrow.cli.common import err, out, styled_text, used_settings

_WRONG_USE = 2  # as typer ends with it

app = typer.Typer(
    name="furrow",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,  # locals may hold secrets
    help="""
Finds the moments at which people's brows furrow in front of a web application, and turns them into tickets.

Start with `furrow demo` (two minutes, leaves nothing behind) or `furrow up` (the real thing, on this machine).
Every setting is an environment variable `FURROW_…` or a line in `.env`; `furrow doctor` shows what is configured.
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


local.add_commands_to(app)
files.add_commands_to(app)
explain.add_commands_to(app)
app.add_typer(incidents.app, name="incidents")
runs.add_commands_to(app)
data.add_commands_to(app)
app.add_typer(access.keys, name="keys")
app.add_typer(access.projects, name="projects")


def main() -> None:
    """Entry point: every error is one line; a traceback goes to a file."""
    os.environ.setdefault("DO_NOT_TRACK", "1")
    restrict_new_files()
    logging.basicConfig(level=logging.WARNING)
    try:
        app()
    except WrongUse as error:
        _exit_with_error(str(error), _WRONG_USE)
    except FurrowError as error:
        _exit_with_error(str(error))
    except ValidationError as error:
        # The settings: named as people set them, and without the values, which may be secrets.
        _exit_with_error(
            "; ".join(f"FURROW_{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
        )
    except OSError as error:
        _exit_with_error(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")
    except Exception as error:
        # What nobody foresaw: its traceback is for whoever mends it, and goes to a file.
        _exit_with_error(f"this command stopped over an error of Furrow's own{_write_error_log(error)}")


def _write_error_log(error: Exception) -> str:
    """Write the error and the way to it into a log; which one, in words."""
    try:
        settings = used_settings()
        log = log_unforeseen_error(error, settings.data_dir if settings else None)
    except OSError:
        return "; no file could be written that says more"
    return f"; what happened is in {log}"


def _exit_with_error(message: str, code: int = 1) -> NoReturn:
    err.print(styled_text(f"furrow: {message}", "red"), soft_wrap=True)
    sys.exit(code)
