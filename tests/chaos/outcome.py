"""What a run leaves behind, as plain values: everything that must be equal whatever happened on the way."""

import re
from dataclasses import dataclass, field
from typing import Any

import psycopg

from stores.incidents.incident_store import IncidentQuery, IncidentStore
from tests.fakes.jira import FakeJira
from tests.fakes.linear import FakeLinear

_SHOWN = 3
_INCIDENT = re.compile(r"inc_[0-9a-f]+")


@dataclass
class Outcome:
    """``events``: (project, session, event id, time); the others by their ids. ``problems``: what must not be at all."""

    events: set[Any] = field(default_factory=set)
    sessions: dict[Any, Any] = field(default_factory=dict)
    detections: dict[Any, Any] = field(default_factory=dict)
    incidents: dict[str, Any] = field(default_factory=dict)
    tickets: dict[Any, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def differences(self, undisturbed: "Outcome") -> list[str]:
        """What differs, in a few words each; nothing when both are equal."""
        found = [*self.problems]
        lacking, extra = undisturbed.events - self.events, self.events - undisturbed.events
        found += [f"{len(lacking)} events lost, as {sorted(lacking)[0]}"] if lacking else []
        found += [f"{len(extra)} events invented, as {sorted(extra)[0]}"] if extra else []
        for what in ("sessions", "detections", "incidents", "tickets"):
            found += _differing(what, getattr(self, what), getattr(undisturbed, what))
        return found


def _differing(what: str, mine: dict[Any, Any], theirs: dict[Any, Any]) -> list[str]:
    lines = [f"{what}: {key} lacks" for key in sorted(theirs.keys() - mine.keys(), key=str)]
    lines += [
        f"{what}: {key} should not be: {str(mine[key])[:200]}" for key in sorted(mine.keys() - theirs.keys(), key=str)
    ]
    for key in sorted(mine.keys() & theirs.keys(), key=str):
        if mine[key] != theirs[key]:
            lines.append(f"{what}: {key}: {_first_difference(mine[key], theirs[key])}")
    return [*lines[:_SHOWN], *([f"{what}: and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else [])]


def _first_difference(mine: Any, theirs: Any) -> str:
    if isinstance(mine, dict) and isinstance(theirs, dict):
        names = [name for name in {**theirs, **mine} if mine.get(name) != theirs.get(name)]
        return "; ".join(
            f"{name} {str(mine.get(name))[:120]} instead of {str(theirs.get(name))[:120]}" for name in names[:3]
        )
    return f"{str(mine)[:150]} instead of {str(theirs)[:150]}"


_KEPT = (
    "project", "status", "title", "affectedSessions", "affectedUsers", "severity", "priority", "firstSeen", "lastSeen",
    "highestScore",
)  # fmt: skip


def incident_outcome(url: str, store: IncidentStore, jira: FakeJira, linear: FakeLinear) -> Outcome:
    """The incident store's and the trackers' side."""
    outcome = Outcome()
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT project, detection_id, session_id, visit_id, incident_id, score, body "
            "FROM detections WHERE retracted_at IS NULL"
        ).fetchall()
        outbox = connection.execute("SELECT incident_id, tracker, state, ticket_key FROM outbox").fetchall()
        (waiting,) = connection.execute("SELECT count(*) FROM pending_sessions").fetchone() or (0,)
        (dead,) = connection.execute("SELECT count(*) FROM dead_sessions").fetchone() or (0,)
    outcome.detections = {(row[0], row[1]): {"row": row[2:6], "body": row[6]} for row in rows}
    for incident in store.incidents.list_incidents(IncidentQuery(limit=1000)).incidents:
        if incident["affectedSessions"]:
            outcome.incidents[incident["incidentId"]] = {name: incident.get(name) for name in _KEPT}
    outcome.tickets = _tickets(jira, linear)
    recorded = {(tracker, id_): [key] for id_, tracker, state, key in outbox if key and state == "filed"}
    keys = {where: [key for key, _ in made] for where, made in outcome.tickets.items()}
    if recorded != keys:
        outcome.problems.append(f"the outbox says {recorded}, the trackers have {keys}")
    outcome.tickets = {where: len(made) for where, made in outcome.tickets.items()}
    if waiting or dead:
        outcome.problems.append(f"{waiting} sessions are still in line, {dead} are dead")
    outcome.problems += [f"{fake.name}: {wrong}" for fake in (jira, linear) for wrong in fake.violations[:2]]
    return outcome


def _tickets(jira: FakeJira, linear: FakeLinear) -> dict[Any, list[tuple[str, str]]]:
    """(tracker, incident id) → the tickets about it."""
    found: dict[Any, list[tuple[str, str]]] = {}
    for key, issue in jira.issues.items():
        found.setdefault(("jira", _about(str(issue["properties"]) + str(issue["fields"]))), []).append((key, ""))
    for issue in linear.issues.values():
        found.setdefault(("linear", _about(issue["description"])), []).append((issue["identifier"], ""))
    return found


def _about(text: str) -> str:
    match = _INCIDENT.search(text)
    return match[0] if match else "no incident"
