"""The variables of templates for tickets: facts of an incident, and the sections of the built-in text."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from incidents.incident import IncidentDetail
from trackers.document import Document, Heading, to_plain_line
from trackers.ticket import Ticket, list_steps
from trackers.ticket_plan import describe_incident


@dataclass(frozen=True)
class Blocks:
    """A section of the built-in text, for a line of its own."""

    document: Document


VARIABLES: Final[Mapping[str, str]] = {
    "title": "the built-in title",
    "incident": "the incident's id",
    "page": "address of the incident's page",
    "application": "the Furrow project",
    "severity": "Critical, High, Medium or Low",
    "kind": "kind of the failure, like Bug",
    "priority": "P0 to P4",
    "status": "confirmed, regressed, …",
    "failure": "what failed, like `POST /api/orders → 500`",
    "endpoint": "the request that failed, like `POST /api/orders`; what failed, if it was no request",
    "route": "the page",
    "control": "the control, like `button#pay`",
    "label": "the control's text",
    "sessions": "affected sessions",
    "users": "affected users that are known",
    "ended": "sessions in which the flow ended there",
    "overcome": "sessions in which it succeeded later",
    "reached": "sessions that reached the step; none while it is not counted",
    "hit": "those of them that were hit; none while it is not counted",
    "share": "their share in percent, one decimal; none while it is not counted",
    "first_seen": "time of the first session, RFC 3339",
    "last_seen": "time of the last session, RFC 3339",
    "highest_score": "highest score",
    "median_score": "median score",
    "signals": "list of `name`, `sessions`",
    "versions": "list of `name`, `sessions`: versions of the application",
    "browsers": "list of `name`, `sessions`",
    "environments": "list of `name`, `sessions`",
    "steps": "list of texts: the steps to reproduce, one line each, with their times",
    "examples": "list of `session`, `at`, `score`",
    "explanation": "why the first example was detected",
    "labels": "list of Furrow's labels",
    "came_back": "why it was reopened, '' if it was not",
    "replaces": "key of its former ticket that was deleted, '' without one",
    "text": "section: the whole built-in text",
    "tried": "section: What users tried",
    "happened": "section: What happened instead",
    "evidence": "section: Evidence",
    "reproduction": "section: How to reproduce",
    "request": "section: Failing request or error",
    "sessions_section": "section: Example sessions",
    "reasons": "section: Why it was detected",
}
"""Every variable and its meaning."""
_SECTIONS: Final = {
    "tried": "What users tried",
    "happened": "What happened instead",
    "evidence": "Evidence",
    "reproduction": "How to reproduce",
    "request": "Failing request or error",
    "sessions_section": "Example sessions",
    "reasons": "Why it was detected",
}
_VALUE: Final = 300
_SENTENCE: Final = 600
_MOST: Final = 50


def describe_ticket(ticket: Ticket, incident: IncidentDetail) -> dict[str, object]:
    """The value of each variable. Texts are one line without control characters; numbers are numbers."""
    return {
        **_describe_texts(ticket, incident),
        **_describe_numbers(incident),
        **_describe_lists(ticket, incident),
        "text": Blocks(ticket.body),
        **{name: Blocks(_section(ticket, heading)) for name, heading in _SECTIONS.items()},
    }


def _describe_texts(ticket: Ticket, incident: IncidentDetail) -> dict[str, object]:
    point = incident["failurePoint"]
    example = incident["examples"][0] if incident["examples"] else None
    return {
        "title": ticket.title,
        "incident": ticket.incident_id,
        "page": ticket.url or "",
        "application": _plain(ticket.project),
        "severity": _plain(ticket.severity),
        "kind": _plain(incident["severityType"]),
        "priority": _plain(ticket.priority),
        "status": _plain(incident["status"]),
        "failure": _plain(point["feedback"]),
        "endpoint": _plain(describe_incident(incident)["endpoint"][0]),
        "route": _plain(point["route"]),
        "control": _plain(point["target"]),
        "label": _plain(incident["label"]),
        "first_seen": _plain(incident["firstSeen"]),
        "last_seen": _plain(incident["lastSeen"]),
        "explanation": to_plain_line(example["explanation"], _SENTENCE) if example else "",
        "came_back": ticket.came_back,
        "replaces": _plain(ticket.replaces),
    }


def _describe_numbers(incident: IncidentDetail) -> dict[str, object]:
    rate = incident["reached"]
    counted = rate if rate and rate["reached"] else None
    return {
        "sessions": incident["affectedSessions"],
        "users": incident["affectedUsers"],
        "ended": incident["endedSessions"],
        "overcome": incident["overcomeSessions"],
        "reached": counted["reached"] if counted else None,
        "hit": counted["hit"] if counted else None,
        "share": round(100 * counted["hit"] / counted["reached"], 1) if counted else None,
        "highest_score": incident["highestScore"],
        "median_score": incident["medianScore"],
    }


def _describe_lists(ticket: Ticket, incident: IncidentDetail) -> dict[str, object]:
    by = incident["sessionsBy"]
    return {
        "signals": _counts(incident["signals"], ()),
        "versions": _counts(by.get("appVersions", {}), incident["appVersions"]),
        "browsers": _counts(by.get("browsers", {}), incident["browsers"]),
        "environments": _counts(by.get("environments", {}), incident["environments"]),
        "steps": list_steps(incident),
        "examples": [
            {"session": _plain(entry["sessionId"]), "at": _plain(entry["timestamp"]), "score": entry["score"]}
            for entry in incident["examples"][:_MOST]
        ],
        "labels": list(ticket.labels),
    }


def _plain(value: object) -> str:
    return to_plain_line(value, _VALUE)


def _counts(counts: Mapping[str, int], names: Iterable[str]) -> list[dict[str, object]]:
    """Names with their sessions, most first as they are stored; names without counts have none."""
    known: Mapping[str, int | None] = counts or dict.fromkeys(names)
    return [{"name": _plain(name), "sessions": number} for name, number in list(known.items())[:_MOST]]


def _section(ticket: Ticket, heading: str) -> Document:
    """The blocks under a heading of the built-in text, with it; the link at the end belongs to none."""
    blocks = ticket.body[:-1] if ticket.url else ticket.body
    start = next((place for place, block in enumerate(blocks) if block == Heading(heading)), None)
    if start is None:
        return ()
    after = (place for place in range(start + 1, len(blocks)) if isinstance(blocks[place], Heading))
    return blocks[start : next(after, len(blocks))]
