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
from trackers.document import (
    Adf,
    Block,
    Code,
    CodeBlock,
    Document,
    Heading,
    Line,
    Link,
    Paragraph,
    make_list,
    to_plain_line,
)

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


def ticket_to_markdown(ticket: Ticket) -> str:
    """The body for Linear and for the log."""
    return document.render_markdown(ticket.body)


def ticket_to_wiki(ticket: Ticket) -> str:
    """The body for Jira Data Center (REST v2)."""
    return document.render_wiki(ticket.body)


def ticket_to_adf(ticket: Ticket) -> Adf:
    """The body for Jira Cloud (REST v3)."""
    return document.render_adf(ticket.body)


def recurrence_comment(ticket: Ticket) -> Document:
    """What a ticket that exists already is told when its incident came back: why, the evidence now, and where to look."""
    why = ("This came back: ", ticket.came_back, ".") if ticket.came_back else ("This is open again in Furrow.",)
    content: list[Block] = [Paragraph(why)]
    kept = False
    for block in ticket.body:
        if isinstance(block, Heading):
            kept = block.text in ("Evidence", "Failing request or error")
        if kept:
            content.append(block)
    return (*content, *_link_section(ticket.url))


def build_ticket(incident: Json, public_url: str | None) -> Ticket:
    """The ticket of an incident (its whole JSON); ``public_url`` is where people reach Furrow's pages, None if nowhere.

    An optional ``routeSessions`` (sessions of the route in the same time) adds the share that is affected.
    """
    url = _incident_page_url(incident, public_url)
    came_back = _recurrence_reason(incident)
    return Ticket(
        incident_id=str(incident["incidentId"]),
        project=str(incident["projectId"]),
        title=_ticket_title(incident),
        labels=_ticket_labels(incident),
        priority=str(incident["priority"]),
        severity=str(incident["severity"]),
        body=tuple(_ticket_body(incident, came_back, url)),
        url=url,
        came_back=came_back,
    )


def _incident_page_url(incident: Json, public_url: str | None) -> str | None:
    if not public_url:
        return None
    return f"{public_url.rstrip('/')}/incidents/{quote(str(incident['incidentId']), safe='')}"


def _ticket_title(incident: Json) -> str:
    title = incident.get("title") or incident.get("primaryFailurePoint") or "Failure"
    return to_plain_line(title, TITLE_LENGTH)


def _ticket_labels(incident: Json) -> tuple[str, ...]:
    route = incident.get("failurePoint", {}).get("route")
    wanted = (
        "furrow",
        _label_slug(incident["severity"]),
        _label_slug(incident["severityType"]),
        _label_slug(route) or "root",
    )
    return tuple(dict.fromkeys(label for label in wanted if label))


def _label_slug(text: object) -> str:
    return re.sub(r"[^a-z0-9]+", "-", str(text or "").lower())[:50].strip("-")


def _recurrence_reason(incident: Json) -> str:
    if incident.get("status") != "regressed":
        return ""
    reasons = [entry["reason"] for entry in incident.get("history", ()) if entry["to"] == "regressed"]
    return to_plain_line(reasons[-1] if reasons else "came back after it was resolved", _SENTENCE)


def _ticket_body(incident: Json, came_back: str, url: str | None) -> Iterable[Block]:
    if came_back:
        yield Paragraph(("Resolved before: ", came_back, "."))
    yield from _attempt_section(incident)
    yield from _evidence_section(incident)
    yield from _reproduction_section(incident)
    yield from _failure_section(incident)
    yield from _example_section(incident)
    yield from _confidence_section(incident)
    yield from _link_section(url)


def _link_section(url: str | None) -> Iterable[Block]:
    if url:
        yield Paragraph((Link("Incident in Furrow", url), ": all sessions, timelines and history."))


def _attempt_section(incident: Json) -> Iterable[Block]:
    point = incident.get("failurePoint", {})
    label, target, route = (to_plain_line(value, _VALUE) for value in (
        incident.get("label"), point.get("target"), point.get("route")
    ))  # fmt: skip
    yield Heading("What users tried")
    yield Paragraph((*_control_text(label, target), " on ", Code(route or "/"), "."))
    yield Heading("What happened instead")
    outcome = _outcome_sentence(incident)
    failure = Code(to_plain_line(point.get("feedback"), _VALUE) or "a failure")
    yield Paragraph((failure, f". {outcome}" if outcome else "."))


def _control_text(label: str, target: str) -> Line:
    if label and target:
        return (f"Use “{label}” (", Code(target), ")")
    if label:
        return (f"Use “{label}”",)
    return ("Use ", Code(target)) if target else ("Use the page",)


def _outcome_sentence(incident: Json) -> str:
    sessions = incident["affectedSessions"]
    ended, overcome = incident.get("endedSessions", 0), incident.get("overcomeSessions", 0)
    parts = [f"The flow ended there in {ended} of {_count_with_noun(sessions, 'session')}"] if ended else []
    if overcome:
        parts.append(
            f"{'it' if parts else 'It'} succeeded later in {overcome} of {_count_with_noun(sessions, 'session')}"
        )
    return "; ".join(parts) + "." if parts else ""


def _evidence_section(incident: Json) -> Iterable[Block]:
    sessions, users = incident["affectedSessions"], incident["affectedUsers"]
    known = _count_with_noun(users, "known user") if users else "users not identified"
    lines: list[Line] = [
        (f"{_count_with_noun(sessions, 'session')}, {known}", *_route_share(incident)),
        (
            f"First seen {_format_minute(incident.get('firstSeen'))}, last seen {_format_minute(incident.get('lastSeen'))}",
        ),
        (f"Score: highest {incident['highestScore']}, median {incident['medianScore']:g} of 100",),
    ]
    signals = incident.get("signals") or {}
    if signals:
        counted = ", ".join(
            f"{to_plain_line(kind, 40)} in {_count_with_noun(number, 'session')}" for kind, number in signals.items()
        )
        lines.append((f"Signals: {counted}",))
    yield Heading("Evidence")
    yield from make_list(lines)


def _route_share(incident: Json) -> Line:
    total = incident.get("routeSessions")
    if not total or total < incident["affectedSessions"]:
        return ()
    share = 100 * incident["affectedSessions"] / total
    return (f" ({share:.3g} % of the {total} sessions on this route in that time)",)


def _reproduction_section(incident: Json) -> Iterable[Block]:
    # The first example, on which most sources agree. The shortest of all may be one that a single sender made up.
    examples = incident.get("examples") or ()
    story = _fold_repeats(examples[0].get("timeline") or ()) if examples else []
    if not story:
        return
    yield Heading("How to reproduce")
    yield from make_list((_step_line(entries) for entries in story[:_STEPS]), numbered=True)
    if len(story) > _STEPS:
        yield Paragraph((f"{_count_with_noun(len(story) - _STEPS, 'more step')} in the incident's timeline.",))


def _fold_repeats(timeline: Sequence[Json]) -> list[list[Json]]:
    """The timeline with what was done again and again as one step."""
    return [list(same) for _, same in groupby(timeline, key=lambda entry: (entry.get("text"), entry.get("route")))]


def _step_line(entries: Sequence[Json]) -> Line:
    entry = entries[0]
    where = to_plain_line(entry.get("route"), _VALUE)
    place: Line = (" on ", Code(where)) if where else ()
    times = f", {len(entries)} times" if len(entries) > 1 else ""
    begin, end = _offset_seconds(entry), _offset_seconds(entries[-1])
    when = f"{begin:.1f} s" if begin == end else f"{begin:.1f}–{end:.1f} s"
    return (to_plain_line(entry.get("text") or entry.get("eventType"), 200), *place, f"{times} (at {when})")


def _offset_seconds(entry: Json) -> float:
    return max(0, int(entry.get("offsetMs") or 0)) / 1000


def _failure_section(incident: Json) -> Iterable[Block]:
    feedback = to_plain_line(incident.get("failurePoint", {}).get("feedback"), _SENTENCE)
    by = incident.get("sessionsBy") or {}
    wanted = (("App versions", "appVersions"), ("Browsers", "browsers"), ("Environments", "environments"))
    lines = [_facet_line(title, by.get(name) or dict.fromkeys(incident.get(name) or ())) for title, name in wanted]
    yield Heading("Failing request or error")
    if feedback:
        yield CodeBlock(feedback)
    yield from make_list(line for line in lines if line)


def _facet_line(title: str, values: Mapping[str, int | None]) -> Line:
    if not values:
        return ()
    shown = list(values.items())[:_FACETS]
    line: list[document.Inline] = [f"{title}: "]
    for place, (value, sessions) in enumerate(shown):
        line += [", "] if place else []
        line += [Code(to_plain_line(value, 60))] + ([f" ({sessions})"] if sessions else [])
    return (*line, f" and {len(values) - _FACETS} more") if len(values) > _FACETS else tuple(line)


def _example_section(incident: Json) -> Iterable[Block]:
    lines: list[Line] = [
        (
            Code(to_plain_line(example["sessionId"], 128)),
            f", {_format_minute(example.get('timestamp'))}, score {example['score']}",
        )
        for example in incident.get("examples", ())[:_EXAMPLES]
    ]
    if lines:
        yield Heading("Example sessions")
        yield from make_list(lines)


def _confidence_section(incident: Json) -> Iterable[Block]:
    examples = incident.get("examples") or ()
    if not examples:
        return
    yield Heading("Why we are confident")
    if explanation := to_plain_line(examples[0].get("explanation"), _SENTENCE):
        yield Paragraph((explanation,))
    points: list[Line] = [
        (f"{int(point['points']):+d} ", to_plain_line(point["rule"], _VALUE)) for point in examples[0].get("points", ())
    ]
    yield from make_list(points[:_POINTS])


def _count_with_noun(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _format_minute(at: object) -> str:
    """``2024-01-15 10:00 UTC`` of an RFC 3339 time in UTC."""
    text = to_plain_line(at, 40)
    return f"{text[:10]} {text[11:16]} UTC" if re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d", text) else text or "unknown"
