"""What the audit log holds: who did what, and who was refused."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from typing_extensions import TypedDict

AuditAction = Literal[
    "sign_in",
    "sign_in.refused",
    "sign_out",
    "session.ended",
    "link.created",
    "action.refused",
    "key.created",
    "key.revoked",
    "project.changed",
    "tracker.asked",
    "alerts.tested",
    "data.erased",
]
"""What the log itself holds; the history of incidents adds ``incident.STATUS`` and ``incident.note``."""


@dataclass(frozen=True)
class AuditEntry:
    """One entry. ``subject``: what it was done to, an incident, a key's first characters or a person; '' for none."""

    at: datetime
    actor: str
    action: str
    project: str
    subject: str
    reason: str


class AuditRecord(TypedDict):
    """An entry in JSON. Times are RFC 3339 in UTC."""

    at: str
    actor: str
    action: str
    projectId: str
    subject: str
    reason: str


def audit_to_json(entry: AuditEntry) -> AuditRecord:
    """An entry as it is exported."""
    return {
        "at": entry.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "actor": entry.actor,
        "action": entry.action,
        "projectId": entry.project,
        "subject": entry.subject,
        "reason": entry.reason,
    }
