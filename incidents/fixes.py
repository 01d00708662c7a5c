"""Where an incident was fixed: the version, "the next release", the environment; and which sessions can show it again.

Pure (docs/decisions/0139).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from core.errors import PermanentError
from incidents.versions import ReleaseOrder

LONGEST_NAME: Final = 200
"""Characters of a version, an environment or a branch, as of what sessions name."""
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class FixError(PermanentError):
    """A version, environment or branch that cannot be one."""


def check_name(what: str, name: str) -> str:
    """``name`` without spaces around it. Raises FixError if it is too long or has control characters."""
    name = name.strip()
    if len(name) > LONGEST_NAME or _CONTROL.search(name):
        raise FixError(f"the {what} must have at most {LONGEST_NAME} characters, and no control characters")
    return name


@dataclass(frozen=True)
class Fix:
    """Where an incident was fixed.

    ``version``: with the fix; '' if it is not known. ``environment``: the only one that was fixed; '': all.
    ``next_release``: the first release after the resolution has the fix. Raises FixError for names that cannot be such, for a
    version that is both known and the next one, and for an environment alone.
    """

    version: str = ""
    environment: str = ""
    next_release: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "version", check_name("version", self.version))
        object.__setattr__(self, "environment", check_name("environment", self.environment))
        if self.version and self.next_release:
            raise FixError("an incident is fixed in a version or in the next release, not in both")
        if self.environment and not (self.version or self.next_release):
            raise FixError("the environment of a fix goes with its version, or with the next release")

    def __str__(self) -> str:
        """``2.5 (production)``, ``the next release``; '' if nothing is known."""
        where = "the next release" if self.next_release else self.version
        return f"{where} ({self.environment})" if self.environment else where


NO_FIX: Final = Fix()


class SeenVersion(NamedTuple):
    """A version of sessions, in an environment; '' where they name none."""

    environment: str
    version: str


def choose_showing_versions(fix: Fix, seen: Iterable[SeenVersion], order: ReleaseOrder) -> list[SeenVersion]:
    """Those of ``seen`` whose sessions can show that the fix does not hold: in its environment, and not older than its version.

    None of them while the next release is waited for. A version whose order is unknown is left out.
    """
    if fix.next_release:
        return []
    return [
        entry
        for entry in seen
        if fix.environment in ("", entry.environment)
        and order.is_not_older(entry.version, fix.version, entry.environment)
    ]
