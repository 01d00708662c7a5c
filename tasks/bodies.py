"""The declared types for JSON that the engine and the incident store return."""

from collections.abc import Mapping
from typing import cast

from incidents.incident import Incident, IncidentDetail
from ufse.detection import Detection, WhyNot


def as_detection(body: Mapping[str, object]) -> Detection:
    """A detection of the engine."""
    return cast(Detection, body)


def as_why_not(body: Mapping[str, object]) -> WhyNot:
    """The engine's reason for a silent visit."""
    return cast(WhyNot, body)


def as_incident(body: Mapping[str, object]) -> Incident:
    """An incident of the store."""
    return cast(Incident, body)


def as_incident_detail(body: Mapping[str, object]) -> IncidentDetail:
    """An incident of the store with its history and examples."""
    return cast(IncidentDetail, body)
