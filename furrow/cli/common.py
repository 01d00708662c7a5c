"""What the commands share: consoles, options, and texts that cannot act on the terminal they are shown on."""

import json
import sys
import unicodedata
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

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Directory that holds everything; default: FURROW_DATA_DIR or .furrow."),
]
Port = Annotated[int | None, typer.Option("--port", min=1, max=65535, help="Port of the collector; default 8080.")]
PrefectPort = Annotated[
    int | None,
    typer.Option("--prefect-port", min=1, max=65535, help="Port of the Prefect server and UI; default 4200."),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help="TOML file with thresholds, weights and ignore lists.", exists=True, dir_okay=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="For scripts.")]

_used: list[Settings] = []

WIDE = 110
"""Columns from which a table holds what a narrower terminal gets as lines."""


def load_command_settings(
    data_dir: Path | None = None, port: int | None = None, prefect_port: int | None = None
) -> Settings:
    """The settings with what the command line says put over them."""
    options = {"data_dir": data_dir, "port": port, "prefect_port": prefect_port}
    settings = Settings().model_copy(update={name: value for name, value in options.items() if value is not None})
    _used[:] = [settings]
    return settings


def used_settings() -> Settings | None:
    """The settings that the command of this process works with; None before it asked for them."""
    return _used[0] if _used else None


def print_progress(message: str) -> None:
    """Progress, for people: on standard error, so that standard output can be read by a program."""
    err.print(Text.assemble(("furrow: ", "dim"), message))


def sanitize_line(value: object) -> str:
    """``value`` as text on one line that a terminal only shows: no control characters, no change of direction."""
    return "".join(_sanitize_character(c) for c in str(value))


def sanitize_lines(value: object) -> str:
    """As ``plain``, but line breaks stay."""
    return "\n".join(sanitize_line(line) for line in str(value).splitlines())


def styled_text(value: object, style: str = "") -> Text:
    """``plain`` text for a console: never markup."""
    return Text(sanitize_line(value), style=style)


def _sanitize_character(character: str) -> str:
    if character.isprintable():
        return character
    return " " if unicodedata.category(character) in ("Cc", "Zs", "Zl", "Zp") else "\N{REPLACEMENT CHARACTER}"


def print_json(value: Any) -> None:
    """One JSON document; ASCII, so that no text in it acts on a terminal."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def print_markdown(markdown: str) -> None:
    """A run's artifact: rendered, with links as text."""
    out.print(Markdown(sanitize_lines(markdown), hyperlinks=False))


def print_facts(facts: list[tuple[str, object]]) -> None:
    """Names and values, one pair a line; empty values are left out."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        if value not in (None, "", [], {}):
            table.add_row(name, styled_text(value))
    out.print(table)


def is_wide() -> bool:
    """Whether there is room for wide tables."""
    return out.width >= WIDE


def format_minute(stamp: object) -> str:
    """A time of the API (RFC 3339) in a form for tables, UTC, to the minute."""
    return sanitize_line(stamp)[:16].replace("T", " ") if stamp else "-"


def format_count(count: int, singular: str, plural: str = "") -> str:
    """``1 event``, ``2 events``, ``1,000 events``; ``many``: where it is not the singular with an s."""
    return f"{count:,} {singular if count == 1 else plural or f'{singular}s'}"
