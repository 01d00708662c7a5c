"""The last error of each part of an installation, for ``furrow doctor``: one small file for each part in the data directory.

Several processes write them, each file as a whole, so that no lock is needed. A file that cannot be written is only counted.
"""

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from traceback import walk_tb

from core.error_messages import describe_error
from core.metrics import count_degraded
from core.tracker_kinds import TRACKER_KINDS

LONGEST = 500
"""Characters of an error that are kept."""

_PARTS = (
    ("stores.events.", "event store"),
    ("stores.incidents.", "incident store"),
    ("stores.embedded_postgres", "incident store"),
    *((kind.module, kind.name) for kind in TRACKER_KINDS),
    ("blocks.", "prefect"),
    ("lander.loop", "lander"),
)


@dataclass(frozen=True)
class LastError:
    """The last error of a part, and its time (epoch s)."""

    part: str
    at: float
    message: str

    def format_message(self, now: float) -> str:
        """The error and its age for people; ``now``: epoch s."""
        return f"last error {format_duration(now - self.at)} ago: {self.message}"


def record_last_error(directory: Path, part: str, error: BaseException) -> None:
    """Store the last error of ``part`` in the data directory, if that exists on this machine. Never raises."""
    message = to_single_line(describe_error(error))
    folder = directory / "last-errors"
    file = folder / f"{part.replace(' ', '-')}.json"
    fresh = file.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
    if not directory.is_dir():
        return  # not on this machine
    try:
        folder.mkdir(exist_ok=True)
        fresh.write_text(json.dumps({"part": part, "at": time.time(), "message": message}))
        os.replace(fresh, file)
    except OSError:
        count_degraded("last_errors", "unwritable")


def read_last_errors(directory: Path) -> dict[str, LastError]:
    """The last errors in the data directory, by part; unreadable files are left out."""
    found = {}
    for file in (directory / "last-errors").glob("*.json"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            stored = json.loads(file.read_text())
            last_error = LastError(str(stored["part"]), float(stored["at"]), to_single_line(str(stored["message"])))
            found[last_error.part] = last_error
    return found


def find_failed_part(error: BaseException, otherwise: str) -> str:
    """The part that raised an error, by the innermost module of Furrow in its traceback; ``otherwise`` if none is known."""
    for module in reversed(list(_modules_of_traceback(error))):
        for prefix, part in _PARTS:
            if module.startswith(prefix):
                return part
    return otherwise


def format_duration(seconds: float) -> str:
    """A duration for people: ``40 s``, ``12 min``, ``3 h``, ``5 d``."""
    for unit, size, least in (("d", 86_400, 172_800), ("h", 3_600, 7_200), ("min", 60, 120)):
        if seconds >= least:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def to_single_line(text: str) -> str:
    """``text`` on one line without control characters, cut to LONGEST characters."""
    return "".join(c if c.isprintable() else " " for c in text)[:LONGEST]


def _modules_of_traceback(error: BaseException) -> Iterator[str]:
    for frame, _ in walk_tb(error.__traceback__):
        yield str(frame.f_globals.get("__name__", ""))
