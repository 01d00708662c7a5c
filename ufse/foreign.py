"""Errors that are not the page's own: of browser extensions, in-app browsers and injected scripts, by a list.

The list is ``ufse/data/foreign_errors.toml``; each of its entries names its source. An error belongs to others by its
message, by the address of its script, or by the first frame of its stack, which is the code that threw it. The list is one
means; what it does not know is recognised by its behaviour (``ufse.harmless_errors``, ``ufse.background``).
"""

import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ufse.arrays import Bools, Ints
from ufse.event_columns import EventColumns
from ufse.memo import memoize_texts

STACK_KEYS: Final = ("stack", "stackTrace", "stacktrace", "stack_trace", "frame", "frames", "filename")
"""Keys of an error's metadata that hold its stack, its first frame or its file."""
_STACK: Final = re.compile(r'"(?:' + "|".join(STACK_KEYS) + r')"\s*:\s*"((?:[^"\\]|\\.)+)"')
_LONGEST: Final = 2_000
"""Characters of a stack that are read: its first frames."""
_ADDRESS: Final = re.compile(r"(?:[a-z][a-z0-9+.-]*://|webkit-masked-url:)[^\s)\"']*", re.I)
_FILE: Final = re.compile(r"\.(?:js|mjs|cjs|ts|jsx|tsx|html?|php|aspx?|jsp|vue|svelte)\b|(?:^|[\s(@])/\S+:\d", re.I)
_NO_FILE: Final = re.compile(r"<anonymous>:\d|\beval code\b|debugger eval|user-?script", re.I)


class _Patterns(NamedTuple):
    message: re.Pattern[str]
    source: re.Pattern[str]


@cache
def _read_patterns() -> _Patterns:
    """The list as two patterns, for lower-case texts."""
    families = tomllib.loads((files("ufse") / "data" / "foreign_errors.toml").read_text("utf-8"))["family"]
    parts = sorted({part for family in families for part in family["message"]})
    places = sorted({place for family in families for place in family["source"]})
    begins = [re.escape(place) for place in places if not place.startswith("*")]
    holds = [re.escape(place[1:]) for place in places if place.startswith("*")]
    source = f"^(?:{'|'.join(begins)})|(?:{'|'.join(holds)})"
    return _Patterns(re.compile("|".join(map(re.escape, parts))), re.compile(source))


def is_foreign_error(message: str, source: str) -> bool:
    """Whether the list names this message, or the address of this script."""
    patterns = _read_patterns()
    return bool(patterns.message.search(message.lower()) or patterns.source.search(source.strip().lower()))


@memoize_texts
def is_foreign_stack(stack: str) -> bool:
    """Whether the code that threw, the first frame of a stack that names a file, is on the list; or no frame names a file."""
    address = _ADDRESS.search(stack)
    file = _FILE.search(stack)
    if address is None or (file is not None and file.start() < address.start()):
        return file is None and bool(_NO_FILE.search(stack))
    return bool(_read_patterns().source.search(address[0].lower()))


@memoize_texts
def _has_foreign_stack(metadata: str) -> bool:
    """Whether metadata as stored (JSON) hold a foreign stack; the first of its keys counts."""
    found = _STACK.search(metadata)
    return found is not None and is_foreign_stack(found[1][:_LONGEST].replace("\\n", "\n").replace("\\/", "/"))


def find_foreign_stacks(source: EventColumns, rows: Ints) -> Bools:
    """Per error event in ``rows``: whether its metadata hold a stack that begins in foreign code."""
    found = np.zeros(len(rows), dtype=np.bool_)
    column = source.table["metadata"].take(pa.array(source.row[rows])).cast(pa.string())
    at = np.flatnonzero(
        pc.match_substring_regex(column, _STACK.pattern).fill_null(False).to_numpy(zero_copy_only=False)
    )
    if len(at):
        code, texts = source.read_codes("metadata", rows[at])
        found[at] = np.array([_has_foreign_stack(text) for text in texts])[code]
    return found
