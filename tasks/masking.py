"""Masking of session ids and user hashes in log files and in Prefect's database of runs, logs and artifacts.

Senders choose session ids; an id may be ``INFO``, ``a`` or ``500``. An id is therefore replaced only where it is a whole value
in quotation marks (``"INFO"``, ``'INFO'``, `` `INFO` ``, ``{{INFO}}`` of Jira's markup, a key in an error of Postgres); Furrow
always writes ids so. The hash of a user is replaced everywhere. Lines stay, and log files keep their length, because processes
continue to write to them.
"""

import contextlib
import json
import mmap
import os
import re
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from core.errors import TransientError

MARK = "(erased)"
_LOCK_SECONDS = 60
_AT_ONCE = 100  # names in one condition
# Prefect's event about an artifact contains the artifact.
_ARTIFACTS = (
    ("artifact", "data"),
    ("artifact", "description"),
    ("artifact_collection", "data"),
    ("artifact_collection", "description"),
    ("events", "payload"),
)
_NAMES_PER_PATTERN = 100  # in one pattern


class Names:
    """The names to replace: session ids and user hashes."""

    def __init__(self, sessions: Iterable[str], hashes: Iterable[str] = ()) -> None:
        self.sessions = frozenset(name for name in sessions if name)
        self.hashes = frozenset(user_hash for user_hash in hashes if user_hash)
        self.values = self.sessions | self.hashes | {f"uh:{user_hash}" for user_hash in self.hashes}
        """Each name as it is written when it is a whole value."""
        every = sorted(self.sessions)
        some = (every[start : start + _NAMES_PER_PATTERN] for start in range(0, len(every), _NAMES_PER_PATTERN))
        texts = [_quoted_pattern("|".join(map(_spelling_pattern, names))) for names in some]
        texts += [rf"(?<![\w-])(?:uh:)?(?P<hash>{re.escape(user_hash)})(?![\w-])" for user_hash in sorted(self.hashes)]
        self._patterns = [re.compile(text) for text in texts]
        # A file may contain invalid UTF-8; the names are valid.
        self._in_bytes = [re.compile(text.encode("utf-8", "surrogatepass")) for text in texts]

    def replace_in_text(self, text: str) -> str:
        """``text`` with every name replaced by ``MARK``."""
        for pattern in self._patterns:
            text = pattern.sub(_replace_with_mark, text)
        return text

    def overwrite_in_content(self, content: mmap.mmap) -> int:
        """Overwrite every name in ``content`` by ``x`` of the same length; returns the number of names."""
        spans = [found.span(found.lastgroup or 0) for pattern in self._in_bytes for found in pattern.finditer(content)]
        for start, end in spans:
            content[start:end] = b"x" * (end - start)
        return len(spans)

    def search_parts(self) -> list[str]:
        """For each name, its longest part that is always spelled the same; '' without one."""
        return sorted({max(re.findall(r"[A-Za-z0-9]*", name), key=len) for name in self.sessions | self.hashes})


def _quoted_pattern(name: str) -> str:
    """A pattern for ``name`` where it is a whole value."""
    return (
        rf"""(?P<mark>["'`])\s?(?P<value>{name})(?=\s?\\*(?P=mark))"""  # in JSON inside JSON the mark is escaped itself
        rf"""|\{{\{{(?P<wiki>{name})(?=\}}\}})"""
        rf"""|(?:=|contains )\((?:[^()\n]*, )?(?P<key>{name})(?=, |\))"""
    )


def _spelling_pattern(name: str) -> str:
    """A pattern for all spellings of a name: plain, in JSON (also nested), Markdown, wiki markup."""
    if not any(character.isprintable() and character not in " `" for character in name):
        return re.escape(name)
    return "".join(_character_pattern(character) for character in name)


def _character_pattern(character: str) -> str:
    if character.isascii() and character.isalnum():
        return character
    codes = "".join(rf"\\+u(?i:{unit.hex()})" for unit in _utf16_units(character))
    ways = [re.escape(character), codes, f"&#{ord(character)};"]
    if character < " ":
        ways += [rf"\\+{json.dumps(character)[-2]}", " "]
    # Tickets add an invisible character after an at sign and collapse spaces; artifacts omit characters that cannot be in a
    # line of code.
    behind = (
        "(?:\u2060|\\\\+u2060)?"
        if character == "@"
        else "?"
        if character in " `" or not character.isprintable()
        else ""
    )
    return rf"\\*(?:{'|'.join(ways)}){behind}"


def _utf16_units(character: str) -> list[bytes]:
    units = character.encode("utf-16-be", "surrogatepass")
    return [units[at : at + 2] for at in range(0, len(units), 2)]


def _replace_with_mark(found: re.Match[str]) -> str:
    start, end = (at - found.start() for at in found.span(found.lastgroup or 0))
    return f"{found[0][:start]}{MARK}{found[0][end:]}"


def mask_file(path: Path, names: Names) -> int:
    """Overwrite the names in a file by ``x`` of the same length; returns the number of names, 0 without the file."""
    with contextlib.suppress(FileNotFoundError), path.open("r+b") as file:
        if os.fstat(file.fileno()).st_size:
            with mmap.mmap(file.fileno(), 0) as content:
                return names.overwrite_in_content(content)
    return 0


def mask_prefect_database(path: Path, names: Names) -> int:
    """Replace the names in Prefect's SQLite database while its server uses it; returns the number of changed rows.

    Names are replaced in the texts of logs and artifacts, and where a name is the whole value of an artifact or of a parameter
    of a run. The other tables contain only names of flows and settings. Raises TransientError if the database stays locked.
    """
    if not path.exists():
        return 0
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=_LOCK_SECONDS)) as database:
            count = _mask_column(database, "log", "message", names, names.replace_in_text)
            for table, column in _ARTIFACTS:
                count += _mask_column(database, table, column, names, lambda text: _mask_json(text, names))
            return count + _mask_column(database, "flow_run", "parameters", names, lambda t: _mask_values(t, names))
    except sqlite3.OperationalError as error:
        raise TransientError(f"Prefect's database cannot be written to: {error}") from error


_ONLY = {"events": "event LIKE 'prefect.artifact%'"}


def _mask_json(text: str, names: Names) -> str:
    """``text`` with the names replaced: in the strings of a JSON document, or in a text that is no JSON."""
    try:
        value = json.loads(text)
    except ValueError:
        return names.replace_in_text(text)
    return json.dumps(
        _map_strings(value, lambda string: MARK if string in names.values else names.replace_in_text(string))
    )


def _mask_values(text: str, names: Names) -> str:
    return json.dumps(_map_strings(json.loads(text), lambda string: MARK if string in names.values else string))


def _map_strings(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_map_strings(item, change) for item in value]
    if isinstance(value, dict):
        return {key: _map_strings(item, change) for key, item in value.items()}
    return value


def _mask_column(
    database: sqlite3.Connection, table: str, column: str, names: Names, masked: Callable[[str], str]
) -> int:
    # Rows are first found without a lock, then changed one by one, so that Prefect's server never waits for long.
    found: dict[int, str] = {}
    parts = names.search_parts()
    for start in range(0, len(parts), _AT_ONCE):
        some = parts[start : start + _AT_ONCE]
        condition = " OR ".join([f"instr({column}, ?)"] * len(some))
        rows = database.execute(
            f"SELECT rowid, {column} FROM {table} WHERE {_ONLY.get(table, 'true')} AND ({condition})", some
        )
        found |= {rowid: text for rowid, text in rows if isinstance(text, str)}
    changed = 0
    for rowid, text in found.items():
        fresh = masked(text)
        if _is_different(text, fresh):
            with database:
                statement = f"UPDATE {table} SET {column} = ? WHERE rowid = ? AND {column} = ?"
                changed += database.execute(statement, (fresh, rowid, text)).rowcount
    return changed


def _is_different(before: str, after: str) -> bool:
    try:
        return bool(json.loads(before) != json.loads(after))
    except ValueError:
        return before != after
