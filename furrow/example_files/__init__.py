"""Files to send for a first try: ``checkout.jsonl`` (events of browsers) and ``access.log`` (combined format).

They are part of the package: ``furrow send examples/checkout.jsonl`` works wherever Furrow is installed, in whichever
directory it is called. Their times are old on purpose: a session's age changes nothing.
"""

import os
from pathlib import Path
from typing import Final

import typer

DIRECTORY: Final = Path(__file__).parent
"""Directory that holds the examples."""
_PREFIX: Final = "examples"
_SUFFIXES: Final = frozenset({".jsonl", ".log"})


def find_readable_file(name: str) -> Path:
    """The readable file ``name``; ``examples/NAME`` is one of this package where the working directory has none.

    For arguments of commands. Raises typer.BadParameter that says what is wrong with ``name``.
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
    """Names of the examples, in order."""
    return sorted(path.name for path in DIRECTORY.iterdir() if path.suffix in _SUFFIXES)
