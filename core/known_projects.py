"""The error for a project that does not exist, with the nearest name and the projects that exist."""

import difflib
from collections.abc import Collection
from typing import Final

from core.errors import PermanentError

_MAX_LISTED: Final = 20
_MAX_NAME_LENGTH: Final = 64
"""Characters of a project's name that the error shows; no project has a longer name."""


def check_project(project: str | None, known: Collection[str]) -> None:
    """Raise PermanentError unless ``project`` is in ``known``; '' and None stand for all projects."""
    if not project or project in known:
        return
    name = project[:_MAX_NAME_LENGTH]
    names = sorted(known)
    nearest = difflib.get_close_matches(name, names, 1)
    introduction = f"did you mean {nearest[0]!r}? The projects are" if nearest else "the projects are"
    more = f" and {len(names) - _MAX_LISTED:,} more" if len(names) > _MAX_LISTED else ""
    raise PermanentError(f"there is no project {name!r}; {introduction} {', '.join(names[:_MAX_LISTED])}{more}")
