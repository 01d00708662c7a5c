"""Names of people in what programs wrote about their work: log files, and Prefect's database of runs, logs and artifacts.

A name is replaced where it stands by itself, not as a part of a longer word; the lines stay. Log files keep their length,
because processes go on writing to them.
"""

import contextlib
import json
import mmap
import os
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from furrow.errors import TransientError

MARK = "(erased)"
_LOCK_SECONDS = 60
_AT_ONCE = 100  # names in one condition
# An artifact's content is also in the event that tells of it.
_ARTIFACTS = (
    ("artifact", "data"),
    ("artifact", "description"),
    ("artifact_collection", "data"),
    ("artifact_collection", "description"),
    ("events", "payload"),
)
_MARKDOWN = "\\`*_{}[]()#!|~"
_WORD = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-")


def spellings(names: Iterable[str]) -> list[str]:
    """Each name as it is written plainly, in JSON, in a JSON text inside JSON, and in Markdown; the longest first."""
    found: set[str] = set()
    for name in names:
        escaped = {json.dumps(name, ensure_ascii=ascii_)[1:-1] for ascii_ in (True, False)}
        twice = {json.dumps(one, ensure_ascii=ascii_)[1:-1] for one in escaped for ascii_ in (True, False)}
        markdown = "".join(f"\\{c}" if c in _MARKDOWN else c for c in name)
        found |= {name, markdown, json.dumps(markdown)[1:-1], *escaped, *twice}
    return sorted((one for one in found if one), key=lambda one: (-len(one), one))


def mask_file(path: Path, names: Sequence[str]) -> int:
    """Overwrite the names (``spellings``) in a file, each by as many ``x``; how many there were. 0 if it is not there."""
    with contextlib.suppress(FileNotFoundError), path.open("r+b") as file:
        if os.fstat(file.fileno()).st_size:
            with mmap.mmap(file.fileno(), 0) as content:
                return sum(_overwrite(content, name.encode("utf-8", "surrogatepass")) for name in names)
    return 0


def mask_text(text: str, names: Sequence[str]) -> str:
    """``text`` with every name replaced by ``MARK``."""
    for name in names:
        if name in text:
            text = _replaced(text, name)
    return text


def mask_prefect(path: Path, names: Sequence[str], ids: Sequence[str]) -> int:
    """Replace the names in Prefect's SQLite database, while its server uses it; how many rows were changed.

    ``names`` (``spellings``) in the texts of logs and artifacts; ``ids`` where one is the whole value of a run's parameter.
    What else Prefect keeps is made of names of flows and settings, which a session's id might happen to equal. Raises
    TransientError when it stays locked.
    """
    if not path.exists():
        return 0
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=_LOCK_SECONDS)) as database:
            count = _mask_column(database, "log", "message", names, lambda text: mask_text(text, names))
            for table, column in _ARTIFACTS:
                count += _mask_column(database, table, column, names, lambda text: _mask_json(text, names))
            wanted = frozenset(ids)
            return count + _mask_column(database, "flow_run", "parameters", names, lambda t: _mask_values(t, wanted))
    except sqlite3.OperationalError as error:
        raise TransientError(f"Prefect's database cannot be written to: {error}") from error


_ONLY = {"events": "event LIKE 'prefect.artifact%'"}


def _overwrite(content: mmap.mmap, name: bytes) -> int:
    count = at = 0
    while (at := content.find(name, at)) >= 0:
        end = at + len(name)
        if _stands_alone(content[at - 1 : at] if at else b"", content[end : end + 1], name):
            content[at:end] = b"x" * len(name)
            count += 1
        at = end
    return count


def _replaced(text: str, name: str) -> str:
    parts: list[str] = []
    start = 0
    raw = name.encode("utf-8", "surrogatepass")
    while (at := text.find(name, start)) >= 0:
        end = at + len(name)
        before, after = text[max(0, at - 1) : at], text[end : end + 1]
        alone = _stands_alone(before.encode("utf-8", "replace"), after.encode("utf-8", "replace"), raw)
        parts += [text[start:at], MARK if alone else name]
        start = end
    return "".join([*parts, text[start:]])


def _stands_alone(before: bytes, after: bytes, name: bytes) -> bool:
    return not (
        (before and before[-1] in _WORD and name[0] in _WORD) or (after and after[0] in _WORD and name[-1] in _WORD)
    )


def _mask_json(text: str, names: Sequence[str]) -> str:
    """A JSON document with the names in its strings replaced, its form kept; a text that is none as text."""
    try:
        value = json.loads(text)
    except ValueError:
        return mask_text(text, names)
    return json.dumps(_mapped(value, lambda one: mask_text(one, names)))


def _mask_values(text: str, ids: frozenset[str]) -> str:
    return json.dumps(_mapped(json.loads(text), lambda one: MARK if one in ids else one))


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [_mapped(one, change) for one in value]
    if isinstance(value, dict):
        return {key: _mapped(one, change) for key, one in value.items()}
    return value


def _mask_column(
    database: sqlite3.Connection, table: str, column: str, names: Sequence[str], masked: Callable[[str], str]
) -> int:
    # Found first, without a lock; then each changed by itself, so that Prefect's server is not kept waiting.
    found: dict[int, str] = {}
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        condition = " OR ".join([f"instr({column}, ?)"] * len(some))
        rows = database.execute(
            f"SELECT rowid, {column} FROM {table} WHERE {_ONLY.get(table, 'true')} AND ({condition})", some
        )
        found |= {rowid: text for rowid, text in rows if isinstance(text, str)}
    changed = 0
    for rowid, text in found.items():
        fresh = masked(text)
        if _differs(text, fresh):
            with database:
                statement = f"UPDATE {table} SET {column} = ? WHERE rowid = ? AND {column} = ?"
                changed += database.execute(statement, (fresh, rowid, text)).rowcount
    return changed


def _differs(before: str, after: str) -> bool:
    try:
        return bool(json.loads(before) != json.loads(after))
    except ValueError:
        return before != after
