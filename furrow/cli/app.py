"""The command ``furrow``. Thin: the commands live in ``furrow.cli``, one file a group, and are put together here."""

import logging
import os
import sys
from typing import Annotated, NoReturn

import typer
from pydantic import ValidationError

from core.errors import FurrowError, WrongUse
from core.logs import log_unforeseen
from core.package import VERSION
from core.private_files import write_for_us_alone
from furrow.cli import access, data, explain, files, incidents, local, runs
from furrow.cli.common import err, out, text, used_settings

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
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


local.add_to(app)
files.add_to(app)
explain.add_to(app)
app.add_typer(incidents.app, name="incidents")
runs.add_to(app)
data.add_to(app)
app.add_typer(access.keys, name="keys")
app.add_typer(access.projects, name="projects")


def main() -> None:
    """Entry point: every error is one line; a traceback goes to a file."""
    os.environ.setdefault("DO_NOT_TRACK", "1")
    write_for_us_alone()
    logging.basicConfig(level=logging.WARNING)
    try:
        app()
    except WrongUse as error:
        _fail(str(error), _WRONG_USE)
    except FurrowError as error:
        _fail(str(error))
    except ValidationError as error:
        # The settings: named as people set them, and without the values, which may be secrets.
        _fail("; ".join(f"FURROW_{'.'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()))
    except OSError as error:
        _fail(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")
    except Exception as error:
        # What nobody foresaw: its traceback is for whoever mends it, and goes to a file.
        _fail(f"this command stopped over an error of Furrow's own{_kept(error)}")


def _kept(error: Exception) -> str:
    """Write the error and the way to it into a log; which one, in words."""
    try:
        settings = used_settings()
        log = log_unforeseen(error, settings.data_dir if settings else None)
    except OSError:
        return "; no file could be written that says more"
    return f"; what happened is in {log}"


def _fail(message: str, code: int = 1) -> NoReturn:
    err.print(text(f"furrow: {message}", "red"), soft_wrap=True)
    sys.exit(code)
