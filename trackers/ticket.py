"""The ticket of an incident: title, labels and text, the same for every tracker (docs/contracts/incidents-and-tickets.md).

The text says what fails, where and for how many people, with figures and recorded facts only. It is a document without markup;
`trackers.document` renders and escapes it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from urllib.parse import quote

from incidents.incident import IncidentDetail
from trackers import document
from trackers.document import (
    AdfNode,
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
from ufse.detection import TimelineEntry

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

    ``labels`` hold no spaces. ``priority`` is P0–P4. ``url`` is the address of the incident's page, None if it has none.
    ``came_back`` is the reason why a resolved incident was reopened; '' for other incidents.
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


def ticket_to_adf(ticket: Ticket) -> AdfNode:
    """The body for Jira Cloud (REST v3)."""
    return document.render_adf(ticket.body)


def build_reproduction(incident: IncidentDetail) -> Document:
    """The steps to reproduce the failure; empty without an example session."""
    return tuple(_reproduction_section(incident))


def recurrence_comment(ticket: Ticket) -> Document:
    """The comment on an existing ticket when its incident is reopened: the reason, the evidence now, and the link."""
    reason = (
        f"The incident is open again. Reason: {ticket.came_back}."
        if ticket.came_back
        else "The incident is open again."
    )
    content: list[Block] = [Paragraph((reason,))]
    kept = False
    for block in ticket.body:
        if isinstance(block, Heading):
            kept = block.text in ("Evidence", "Failing request or error")
        if kept:
            content.append(block)
    return (*content, *_link_section(ticket.url))


def build_ticket(incident: IncidentDetail, public_url: str | None) -> Ticket:
    """The ticket of an incident; ``public_url`` is the address of Furrow's pages, None for a ticket without a link."""
    url = _incident_page_url(incident, public_url)
    came_back = _recurrence_reason(incident)
    return Ticket(
        incident_id=incident["incidentId"],
        project=incident["projectId"],
        title=_ticket_title(incident),
        labels=_ticket_labels(incident),
        priority=incident["priority"],
        severity=incident["severity"],
        body=tuple(_ticket_body(incident, came_back, url)),
        url=url,
        came_back=came_back,
    )


def _incident_page_url(incident: IncidentDetail, public_url: str | None) -> str | None:
    if not public_url:
        return None
    return f"{public_url.rstrip('/')}/incidents/{quote(incident['incidentId'], safe='')}"


def _ticket_title(incident: IncidentDetail) -> str:
    return to_plain_line(incident["title"] or incident["primaryFailurePoint"] or "Failure", TITLE_LENGTH)


def _ticket_labels(incident: IncidentDetail) -> tuple[str, ...]:
    wanted = (
        "furrow",
        _label_slug(incident["severity"]),
        _label_slug(incident["severityType"]),
        _label_slug(incident["failurePoint"]["route"]) or "root",
    )
    return tuple(dict.fromkeys(label for label in wanted if label))


def _label_slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower())[:50].strip("-")


def _recurrence_reason(incident: IncidentDetail) -> str:
    if incident["status"] != "regressed":
        return ""
    reasons = [entry["reason"] for entry in incident["history"] if entry["to"] == "regressed"]
    return to_plain_line(reasons[-1] if reasons else "the failure came back after it was resolved", _SENTENCE)


def _ticket_body(incident: IncidentDetail, came_back: str, url: str | None) -> Iterable[Block]:
    if came_back:
        yield Paragraph((f"This incident was resolved before. Reason for reopening: {came_back}.",))
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


def _attempt_section(incident: IncidentDetail) -> Iterable[Block]:
    point = incident["failurePoint"]
    label, target, route = (
        to_plain_line(text, _VALUE) for text in (incident["label"], point["target"], point["route"])
    )
    yield Heading("What users tried")
    yield Paragraph((*_control_text(label, target), " on ", Code(route or "/"), "."))
    yield Heading("What happened instead")
    outcome = _outcome_sentence(incident)
    failure = Code(to_plain_line(point["feedback"], _VALUE) or "a failure")
    yield Paragraph((failure, f". {outcome}" if outcome else "."))


def _control_text(label: str, target: str) -> Line:
    if label and target:
        return (f"Use “{label}” (", Code(target), ")")
    if label:
        return (f"Use “{label}”",)
    return ("Use ", Code(target)) if target else ("Use the page",)


def _outcome_sentence(incident: IncidentDetail) -> str:
    sessions = incident["affectedSessions"]
    ended, overcome = incident["endedSessions"], incident["overcomeSessions"]
    parts = [f"The flow ended there in {ended} of {_count_with_noun(sessions, 'session')}"] if ended else []
    if overcome:
        parts.append(
            f"{'it' if parts else 'It'} succeeded later in {overcome} of {_count_with_noun(sessions, 'session')}"
        )
    return "; ".join(parts) + "." if parts else ""


def _evidence_section(incident: IncidentDetail) -> Iterable[Block]:
    sessions, users = incident["affectedSessions"], incident["affectedUsers"]
    known = _count_with_noun(users, "known user") if users else "users not identified"
    lines: list[Line] = [
        (f"{_count_with_noun(sessions, 'session')}, {known}",),
        (f"First seen {_format_minute(incident['firstSeen'])}, last seen {_format_minute(incident['lastSeen'])}",),
        (f"Score: highest {incident['highestScore']}, median {incident['medianScore']:g} of 100",),
    ]
    if signals := incident["signals"]:
        counted = ", ".join(
            f"{to_plain_line(kind, 40)} in {_count_with_noun(number, 'session')}" for kind, number in signals.items()
        )
        lines.append((f"Signals: {counted}",))
    yield Heading("Evidence")
    yield from make_list(lines)


def _reproduction_section(incident: IncidentDetail) -> Iterable[Block]:
    # The first example is the one on which most sources agree. A single sender could forge the shortest.
    examples = incident["examples"]
    story = _fold_repeats(examples[0]["timeline"]) if examples else []
    if not story:
        return
    yield Heading("How to reproduce")
    yield from make_list((_step_line(entries) for entries in story[:_STEPS]), numbered=True)
    if len(story) > _STEPS:
        yield Paragraph((f"{_count_with_noun(len(story) - _STEPS, 'more step')} in the incident's timeline.",))


def _fold_repeats(timeline: Sequence[TimelineEntry]) -> list[list[TimelineEntry]]:
    """The timeline with repetitions of the same entry as one step. Stored entries may be older than a key of theirs."""
    return [list(same) for _, same in groupby(timeline, key=lambda entry: (entry.get("text"), entry.get("route")))]


def _step_line(entries: Sequence[TimelineEntry]) -> Line:
    entry = entries[0]
    where = to_plain_line(entry.get("route"), _VALUE)
    place: Line = (" on ", Code(where)) if where else ()
    times = f", {len(entries)} times" if len(entries) > 1 else ""
    begin, end = _offset_seconds(entry), _offset_seconds(entries[-1])
    when = f"{begin:.1f} s" if begin == end else f"{begin:.1f}–{end:.1f} s"
    return (to_plain_line(entry.get("text") or entry.get("eventType"), 200), *place, f"{times} (at {when})")


def _offset_seconds(entry: TimelineEntry) -> float:
    return max(0, entry.get("offsetMs") or 0) / 1000


def _failure_section(incident: IncidentDetail) -> Iterable[Block]:
    feedback = to_plain_line(incident["failurePoint"]["feedback"], _SENTENCE)
    by = incident["sessionsBy"]
    facets = (
        ("App versions", "appVersions", incident["appVersions"]),
        ("Browsers", "browsers", incident["browsers"]),
        ("Environments", "environments", incident["environments"]),
    )
    lines = [_facet_line(title, by.get(name) or dict.fromkeys(values)) for title, name, values in facets]
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


def _example_section(incident: IncidentDetail) -> Iterable[Block]:
    lines: list[Line] = [
        (
            Code(to_plain_line(example["sessionId"], 128)),
            f", {_format_minute(example['timestamp'])}, score {example['score']}",
        )
        for example in incident["examples"][:_EXAMPLES]
    ]
    if lines:
        yield Heading("Example sessions")
        yield from make_list(lines)


def _confidence_section(incident: IncidentDetail) -> Iterable[Block]:
    if not incident["examples"]:
        return
    example = incident["examples"][0]
    yield Heading("Why it was detected")
    if explanation := to_plain_line(example["explanation"], _SENTENCE):
        yield Paragraph((explanation,))
    points: list[Line] = [
        (f"{point['points']:+d} ", to_plain_line(point["rule"], _VALUE)) for point in example["points"]
    ]
    yield from make_list(points[:_POINTS])


def _count_with_noun(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _format_minute(at: str | None) -> str:
    """``2024-01-15 10:00 UTC`` of an RFC 3339 time in UTC."""
    text = to_plain_line(at, 40)
    return f"{text[:10]} {text[11:16]} UTC" if re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d", text) else text or "unknown"
