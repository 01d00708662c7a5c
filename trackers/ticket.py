"""The text of a ticket that an engineer is glad to get (incidents-and-tickets.md), made from an incident's JSON.

What fails, where, for how many; figures and recorded facts alone. Nothing here talks to a tracker, and nothing here is
markup: ``document`` renders and escapes.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any
from urllib.parse import quote

from trackers import document
from trackers.document import Adf, Block, Code, CodeBlock, Document, Heading, Line, Link, Paragraph, items, plain

Json = Mapping[str, Any]

# Jira's limit for a summary is 255.
TITLE_LENGTH = 250
_STEPS = 15
_EXAMPLES = 5
_POINTS = 12
_FACETS = 6
_VALUE = 120
_SENTENCE = 600


@dataclass(frozen=True)
class Ticket:
    """One ticket, the same for every tracker.

    ``labels`` hold no spaces; ``priority`` is P0–P4; ``url`` leads to the incident's page, where there is one;
    ``came_back`` says why a ticket that exists already is told again ('' for a new one).
    """

    incident_id: str
    project: str
    title: str
    labels: tuple[str, ...]
    priority: str
    severity: str
    body: Document
    url: str | None = None
    came_back: str = ""


def to_markdown(ticket: Ticket) -> str:
    """The body for Linear and for the log."""
    return document.to_markdown(ticket.body)


def to_wiki(ticket: Ticket) -> str:
    """The body for Jira Data Center (REST v2)."""
    return document.to_wiki(ticket.body)


def to_adf(ticket: Ticket) -> Adf:
    """The body for Jira Cloud (REST v3)."""
    return document.to_adf(ticket.body)


def news(ticket: Ticket) -> Document:
    """What a ticket that exists already is told when its incident came back: why, the evidence now, and where to look."""
    why = ("This came back: ", ticket.came_back, ".") if ticket.came_back else ("This is open again in Furrow.",)
    told: list[Block] = [Paragraph(why)]
    kept = False
    for block in ticket.body:
        if isinstance(block, Heading):
            kept = block.text in ("Evidence", "Failing request or error")
        if kept:
            told.append(block)
    return (*told, *_more(ticket.url))


def ticket_of(incident: Json, public_url: str | None) -> Ticket:
    """The ticket of an incident (its whole JSON); ``public_url`` is where people reach Furrow's pages, None if nowhere.

    An optional ``routeSessions`` (sessions of the route in the same time) adds the share that is affected.
    """
    url = _page(incident, public_url)
    came_back = _came_back(incident)
    return Ticket(
        incident_id=str(incident["incidentId"]),
        project=str(incident["projectId"]),
        title=_title(incident),
        labels=_labels(incident),
        priority=str(incident["priority"]),
        severity=str(incident["severity"]),
        body=tuple(_body(incident, came_back, url)),
        url=url,
        came_back=came_back,
    )


def _page(incident: Json, public_url: str | None) -> str | None:
    if not public_url:
        return None
    return f"{public_url.rstrip('/')}/incidents/{quote(str(incident['incidentId']), safe='')}"


def _title(incident: Json) -> str:
    title = incident.get("title") or incident.get("primaryFailurePoint") or "Failure"
    return plain(title, TITLE_LENGTH)


def _labels(incident: Json) -> tuple[str, ...]:
    route = incident.get("failurePoint", {}).get("route")
    wanted = ("furrow", _slug(incident["severity"]), _slug(incident["severityType"]), _slug(route) or "root")
    return tuple(dict.fromkeys(label for label in wanted if label))


def _slug(text: object) -> str:
    return re.sub(r"[^a-z0-9]+", "-", str(text or "").lower())[:50].strip("-")


def _came_back(incident: Json) -> str:
    if incident.get("status") != "regressed":
        return ""
    reasons = [entry["reason"] for entry in incident.get("history", ()) if entry["to"] == "regressed"]
    return plain(reasons[-1] if reasons else "came back after it was resolved", _SENTENCE)


def _body(incident: Json, came_back: str, url: str | None) -> Iterable[Block]:
    if came_back:
        yield Paragraph(("Resolved before: ", came_back, "."))
    yield from _tried(incident)
    yield from _evidence(incident)
    yield from _reproduction(incident)
    yield from _failing(incident)
    yield from _examples(incident)
    yield from _confidence(incident)
    yield from _more(url)


def _more(url: str | None) -> Iterable[Block]:
    if url:
        yield Paragraph((Link("Incident in Furrow", url), ": all sessions, timelines and history."))


def _tried(incident: Json) -> Iterable[Block]:
    point = incident.get("failurePoint", {})
    label, target, route = (plain(value, _VALUE) for value in (
        incident.get("label"), point.get("target"), point.get("route")
    ))  # fmt: skip
    yield Heading("What users tried")
    yield Paragraph((*_control(label, target), " on ", Code(route or "/"), "."))
    yield Heading("What happened instead")
    outcome = _outcome(incident)
    failure = Code(plain(point.get("feedback"), _VALUE) or "a failure")
    yield Paragraph((failure, f". {outcome}" if outcome else "."))


def _control(label: str, target: str) -> Line:
    if label and target:
        return (f"Use “{label}” (", Code(target), ")")
    if label:
        return (f"Use “{label}”",)
    return ("Use ", Code(target)) if target else ("Use the page",)


def _outcome(incident: Json) -> str:
    sessions = incident["affectedSessions"]
    ended, overcome = incident.get("endedSessions", 0), incident.get("overcomeSessions", 0)
    parts = [f"The flow ended there in {ended} of {_number(sessions, 'session')}"] if ended else []
    if overcome:
        parts.append(f"{'it' if parts else 'It'} succeeded later in {overcome} of {_number(sessions, 'session')}")
    return "; ".join(parts) + "." if parts else ""


def _evidence(incident: Json) -> Iterable[Block]:
    sessions, users = incident["affectedSessions"], incident["affectedUsers"]
    known = _number(users, "known user") if users else "users not identified"
    lines: list[Line] = [
        (f"{_number(sessions, 'session')}, {known}", *_share(incident)),
        (f"First seen {_minute(incident.get('firstSeen'))}, last seen {_minute(incident.get('lastSeen'))}",),
        (f"Score: highest {incident['highestScore']}, median {incident['medianScore']:g} of 100",),
    ]
    signals = incident.get("signals") or {}
    if signals:
        counted = ", ".join(f"{plain(kind, 40)} in {_number(number, 'session')}" for kind, number in signals.items())
        lines.append((f"Signals: {counted}",))
    yield Heading("Evidence")
    yield from items(lines)


def _share(incident: Json) -> Line:
    total = incident.get("routeSessions")
    if not total or total < incident["affectedSessions"]:
        return ()
    share = 100 * incident["affectedSessions"] / total
    return (f" ({share:.3g} % of the {total} sessions on this route in that time)",)


def _reproduction(incident: Json) -> Iterable[Block]:
    # The first example, on which most sources agree. The shortest of all may be one that a single sender made up.
    examples = incident.get("examples") or ()
    story = _folded(examples[0].get("timeline") or ()) if examples else []
    if not story:
        return
    yield Heading("How to reproduce")
    yield from items((_step(entries) for entries in story[:_STEPS]), numbered=True)
    if len(story) > _STEPS:
        yield Paragraph((f"{_number(len(story) - _STEPS, 'more step')} in the incident's timeline.",))


def _folded(timeline: Sequence[Json]) -> list[list[Json]]:
    """The timeline with what was done again and again as one step."""
    return [list(same) for _, same in groupby(timeline, key=lambda entry: (entry.get("text"), entry.get("route")))]


def _step(entries: Sequence[Json]) -> Line:
    entry = entries[0]
    where = plain(entry.get("route"), _VALUE)
    place: Line = (" on ", Code(where)) if where else ()
    times = f", {len(entries)} times" if len(entries) > 1 else ""
    begin, end = _seconds(entry), _seconds(entries[-1])
    when = f"{begin:.1f} s" if begin == end else f"{begin:.1f}–{end:.1f} s"
    return (plain(entry.get("text") or entry.get("eventType"), 200), *place, f"{times} (at {when})")


def _seconds(entry: Json) -> float:
    return max(0, int(entry.get("offsetMs") or 0)) / 1000


def _failing(incident: Json) -> Iterable[Block]:
    feedback = plain(incident.get("failurePoint", {}).get("feedback"), _SENTENCE)
    by = incident.get("sessionsBy") or {}
    wanted = (("App versions", "appVersions"), ("Browsers", "browsers"), ("Environments", "environments"))
    lines = [_facet(title, by.get(name) or dict.fromkeys(incident.get(name) or ())) for title, name in wanted]
    yield Heading("Failing request or error")
    if feedback:
        yield CodeBlock(feedback)
    yield from items(line for line in lines if line)


def _facet(title: str, values: Mapping[str, int | None]) -> Line:
    if not values:
        return ()
    shown = list(values.items())[:_FACETS]
    line: list[document.Inline] = [f"{title}: "]
    for place, (value, sessions) in enumerate(shown):
        line += [", "] if place else []
        line += [Code(plain(value, 60))] + ([f" ({sessions})"] if sessions else [])
    return (*line, f" and {len(values) - _FACETS} more") if len(values) > _FACETS else tuple(line)


def _examples(incident: Json) -> Iterable[Block]:
    lines: list[Line] = [
        (Code(plain(example["sessionId"], 128)), f", {_minute(example.get('timestamp'))}, score {example['score']}")
        for example in incident.get("examples", ())[:_EXAMPLES]
    ]
    if lines:
        yield Heading("Example sessions")
        yield from items(lines)


def _confidence(incident: Json) -> Iterable[Block]:
    examples = incident.get("examples") or ()
    if not examples:
        return
    yield Heading("Why we are confident")
    if explanation := plain(examples[0].get("explanation"), _SENTENCE):
        yield Paragraph((explanation,))
    points: list[Line] = [
        (f"{int(point['points']):+d} ", plain(point["rule"], _VALUE)) for point in examples[0].get("points", ())
    ]
    yield from items(points[:_POINTS])


def _number(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _minute(at: object) -> str:
    """``2024-01-15 10:00 UTC`` of an RFC 3339 time in UTC."""
    text = plain(at, 40)
    return f"{text[:10]} {text[11:16]} UTC" if re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d", text) else text or "unknown"
