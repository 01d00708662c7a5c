"""Shared by the commands: consoles, options, and output without control characters."""

import json
import sys
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

from core.settings import Settings

out = Console(highlight=False, emoji=False)
err = Console(stderr=True, highlight=False, emoji=False)

Commands = Mapping[str, Callable[..., None]]
"""Commands of a module by name, for the table of ``furrow.cli.app``. Typer reads their signatures."""

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Data directory; default: FURROW_DATA_DIR, or .furrow."),
]
Port = Annotated[int | None, typer.Option("--port", min=1, max=65535, help="Port of the collector; default 8080.")]
PrefectPort = Annotated[
    int | None,
    typer.Option("--prefect-port", min=1, max=65535, help="Port of the Prefect server and UI; default 4200."),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        help="TOML file with thresholds, weights and ignore lists (docs/configuration.md).",
        exists=True,
        dir_okay=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_used: list[Settings] = []

WIDE = 110
"""Columns of a terminal from which lists are shown as tables."""


def load_command_settings(
    data_dir: Path | None = None, port: int | None = None, prefect_port: int | None = None
) -> Settings:
    """The settings, overridden by the options of the command line."""
    options = {"data_dir": data_dir, "port": port, "prefect_port": prefect_port}
    settings = Settings().model_copy(update={name: value for name, value in options.items() if value is not None})
    _used[:] = [settings]
    return settings


def used_settings() -> Settings | None:
    """The settings that the command of this process has loaded; None before it loads them."""
    return _used[0] if _used else None


def print_progress(message: str) -> None:
    """Print a progress message to standard error, so that standard output can be parsed."""
    err.print(Text.assemble(("furrow: ", "dim"), message))


def sanitize_line(value: object) -> str:
    """``value`` as one line of text without control characters and bidirectional controls."""
    return "".join(_sanitize_character(c) for c in str(value))


def sanitize_lines(value: object) -> str:
    """As `sanitize_line`, but keeps line breaks."""
    return "\n".join(sanitize_line(line) for line in str(value).splitlines())


def styled_text(value: object, style: str = "") -> Text:
    """Sanitized text for a console; it is not parsed as markup."""
    return Text(sanitize_line(value), style=style)


def _sanitize_character(character: str) -> str:
    if character.isprintable():
        return character
    return " " if unicodedata.category(character) in ("Cc", "Zs", "Zl", "Zp") else "\N{REPLACEMENT CHARACTER}"


def print_json(value: Any) -> None:
    """Print one JSON document; in ASCII, so that it contains no control characters."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def print_markdown(markdown: str) -> None:
    """Print the Markdown of a run's artifact, rendered, with links as text."""
    out.print(Markdown(sanitize_lines(markdown), hyperlinks=False))


def print_facts(facts: list[tuple[str, object]]) -> None:
    """Print names and values, one pair per line; empty values are left out."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        if value not in (None, "", [], {}):
            table.add_row(name, styled_text(value))
    out.print(table)


def is_wide() -> bool:
    """Whether the terminal has at least `WIDE` columns."""
    return out.width >= WIDE


def format_minute(stamp: object) -> str:
    """A time of the API (RFC 3339, UTC) to the minute, for tables."""
    return sanitize_line(stamp)[:16].replace("T", " ") if stamp else "-"
