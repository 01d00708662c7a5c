"""Example files to send: ``checkout.jsonl`` (events of browsers) and ``access.log`` (combined format).

They are part of the package, so ``furrow send examples/checkout.jsonl`` works in every directory. Their events are old; the
age of a session does not matter.
"""

import os
from pathlib import Path
from typing import Final

import typer

DIRECTORY: Final = Path(__file__).parent
"""Directory of the example files."""
_PREFIX: Final = "examples"
_SUFFIXES: Final = frozenset({".jsonl", ".log"})


def find_readable_file(name: str) -> Path:
    """The path of the file ``name``. ``examples/NAME`` is an example file if the working directory has no such file.

    Parses arguments of commands. Raises typer.BadParameter if the file does not exist or cannot be read.
    """
    path = Path(name)
    if not path.exists() and path.parent == Path(_PREFIX) and path.name in list_example_names():
        path = DIRECTORY / path.name
    if not path.exists():
        raise typer.BadParameter(f"File '{name}' does not exist.")
    if path.is_dir():
        raise typer.BadParameter(f"File '{name}' is a directory.")
    if not os.access(path, os.R_OK):
        raise typer.BadParameter(f"File '{name}' is not readable.")
    return path


def list_example_names() -> list[str]:
    """Names of the example files, sorted."""
    return sorted(path.name for path in DIRECTORY.iterdir() if path.suffix in _SUFFIXES)
