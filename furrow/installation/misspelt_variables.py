"""Finds variables that look like settings of Furrow but are not, probably because they are misspelt."""

import difflib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from dotenv import dotenv_values

from core import prefect_gate
from core.settings import ENV_FILE_VARIABLE, SECRETS_VARIABLE, Settings

PREFIX: Final = "FURROW_"
_BESIDE: Final = frozenset(
    {"FURROW_KEY", "FURROW_DEVELOPMENT_KEYS", ENV_FILE_VARIABLE, SECRETS_VARIABLE, prefect_gate.VARIABLE}
)
"""Variables that are read but are not fields of the settings."""
_LEAST_LIKENESS: Final = 0.6
_LONGEST: Final = 80


class MisspeltVariable(NamedTuple):
    """A variable that is not read, and the most similar one that is read ('' if none is similar)."""

    name: str
    nearest: str

    def to_message(self) -> str:
        """One line with a suggestion."""
        return f"{self.name} is not a setting" + (f"; did you mean {self.nearest}?" if self.nearest else "")


def known_variables() -> frozenset[str]:
    """All variables that Furrow reads."""
    return frozenset(f"{PREFIX}{name.upper()}" for name in Settings.model_fields) | _BESIDE


def find_misspelt_names(names: Iterable[str]) -> list[MisspeltVariable]:
    """The ``names`` that start like settings but are not. Case is ignored, as when settings are read."""
    readable = known_variables()
    found = sorted({name for name in names if name.upper().startswith(PREFIX) and name.upper() not in readable})
    return [
        MisspeltVariable(_to_printable_name(name), _find_nearest_variable(name.upper(), readable)) for name in found
    ]


def find_misspelt_variables(environment: Mapping[str, str] = os.environ) -> list[MisspeltVariable]:
    """The misspelt variables of this process's environment and of the settings file."""
    file = Settings.model_config.get("env_file")
    names = set(environment)
    if isinstance(file, str | os.PathLike) and Path(file).is_file():
        names |= set(dotenv_values(file, encoding="utf-8"))
    return find_misspelt_names(names)


def _find_nearest_variable(name: str, readable: frozenset[str]) -> str:
    # The common prefix would make all names similar.
    bare = {variable.removeprefix(PREFIX): variable for variable in readable}
    near = difflib.get_close_matches(name.removeprefix(PREFIX), sorted(bare), 1, _LEAST_LIKENESS)
    return bare[near[0]] if near else ""


def _to_printable_name(name: str) -> str:
    return "".join(c if c.isprintable() else " " for c in name)[:_LONGEST]
