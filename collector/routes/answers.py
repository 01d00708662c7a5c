"""Answers made of what the engine and the incident rules declare.

This module is imported only when the OpenAPI document is built: a collector
starts, and takes events, without the engine.
"""

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

from collector.contract import RejectedEvent
from incidents.incident import OwnedIncident
from ufse.detection import IdentifiedDetection, WhyNot


class IncidentPage(TypedDict):
    """One page of incidents."""

    incidents: list[OwnedIncident]
    total: int
    """How many match, on all pages."""
    limit: int
    offset: int
    next: str | None
    """`cursor` of the page that follows; null on the last one."""


class Analysis(TypedDict):
    """The result of the engine for one session; nothing of it is stored."""

    count: Annotated[int, Field(ge=0)]
    """How many incidents."""
    incidents: list[IdentifiedDetection]
    whyNot: list[WhyNot]
    rejected: list[RejectedEvent]
