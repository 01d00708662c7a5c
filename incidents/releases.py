"""Releases of projects, as the other packages see them; plain data."""

from datetime import datetime
from typing import NamedTuple

from typing_extensions import TypedDict


class ReleaseRecord(TypedDict):
    """A version of a project in an environment ('': in all, or not known). Times are RFC 3339 in UTC."""

    projectId: str
    environment: str
    version: str
    branch: str
    releasedAt: str | None
    """As it was told; none: it was only seen."""
    addedBy: str | None
    firstSeen: str | None
    """Receipt of the first session with it; none: nobody has it yet."""


class NewRelease(NamedTuple):
    """A release as an operator tells it. ``environment`` '': all; ``branch`` '': not known."""

    project: str
    version: str
    environment: str = ""
    branch: str = ""
    at: datetime | None = None
