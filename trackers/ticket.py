"""The ticket of an incident: title, labels and text, the same for every tracker (docs/contracts/incidents-and-tickets.md).

The text says what fails, where and for how many people, with figures and recorded facts only. It is a document without markup;
`trackers.document` renders and escapes it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby
from typing import cast
from urllib.parse import quote

from incidents.impact import Share, describe_proof, describe_share
from incidents.incident import IncidentDetail, OwnedIncidentDetail
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
_LONGEST_ROUND = 4
_EXAMPLES = 5
_POINTS = 12
_FACETS = 6
_VALUE = 120
_SENTENCE = 600


@dataclass(frozen=True)
class Ticket:
    """One ticket, the same for every tracker.

    ``labels`` hold no spaces. ``priority`` is P0–P4. ``url`` is the address of the incident's page, None if it has none.
    ``came_back`` is the reason why a resolved incident was reopened; '' for others. ``generation``: how often it was.
    ``reopens``: a report that it came back opens it again. ``sessions``: affected ones. ``proof``: the counts that confirm its
    fix, '' without them. ``replaces``: the key of its former ticket, which was deleted in the tracker, or (``follows``)
    closed; '' without one. ``identity``: what it is known by in its tracker; '': the incident's id. ``fields``: further fields
    by name, as the tracker's package reads them; ``owner_fields``: those of them (in lower case) that the file of owners gave.
    ``text``: the text of a template, which takes the place of ``body`` in the tracker.
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
    reopens: bool = True
    generation: int = 0
    sessions: int = 0
    proof: str = ""
    replaces: str = ""
    fields: Mapping[str, object] = field(default_factory=dict)
    text: Document | None = None
    follows: bool = False
    identity: str = ""
    owner_fields: frozenset[str] = frozenset()

    @property
    def known_as(self) -> str:
        """What it is known by in its tracker."""
        return self.identity or self.incident_id

    @property
    def recurrence_id(self) -> str:
        """What tells one recurrence from another: its comment is written once. Two may have the same reason in words."""
        return f"{self.incident_id}\0{self.generation}\0{self.came_back}"


def ticket_to_markdown(ticket: Ticket) -> str:
    """The body for Linear and for the log."""
    return document.render_markdown(ticket.text or ticket.body)


def ticket_to_wiki(ticket: Ticket) -> str:
    """The body for Jira Data Center (REST v2)."""
    return document.render_wiki(ticket.text or ticket.body)


def ticket_to_adf(ticket: Ticket) -> AdfNode:
    """The body for Jira Cloud (REST v3)."""
    return document.render_adf(ticket.text or ticket.body)


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
    return (
        Paragraph((reason,)),
        *_sections(ticket, "Evidence", "Failing request or error"),
        *_link_section(ticket.url),
    )


def growth_comment(ticket: Ticket, before: int) -> Document:
    """The comment on a ticket whose incident affects many more sessions than the ``before`` that were last reported."""
    reason = f"{_count_with_noun(ticket.sessions, 'session')} affected now, {before} when this was last reported here."
    return (Paragraph((reason,)), *_sections(ticket, "Evidence"), *_link_section(ticket.url))


def proof_comment(ticket: Ticket) -> Document:
    """The comment that the fix is confirmed, with the counts."""
    return (Paragraph((f"{ticket.proof[:1].upper()}{ticket.proof[1:]}.",)), *_link_section(ticket.url))


def duplicate_comment(ticket: Ticket, kept: str) -> Document:
    """The comment on a second issue of a ticket; ``kept`` is the key of the one that stays."""
    reason = f"This is a second issue of the same incident; {kept} stays."
    return (Paragraph((reason,)), *_link_section(ticket.url))


def _sections(ticket: Ticket, *headings: str) -> Iterable[Block]:
    kept = False
    for block in ticket.body:
        if isinstance(block, Heading):
            kept = block.text in headings
        if kept:
            yield block


def build_ticket(incident: IncidentDetail, public_url: str | None, replaces: str = "", follows: bool = False) -> Ticket:
    """The ticket of an incident; ``public_url`` is the address of Furrow's pages, None for a ticket without a link.

    ``replaces``: the key of its former ticket, which was deleted, or (``follows``) closed.
    """
    url = _incident_page_url(incident, public_url)
    came_back = _recurrence_reason(incident)
    return Ticket(
        incident_id=incident["incidentId"],
        project=incident["projectId"],
        title=_ticket_title(incident),
        labels=_ticket_labels(incident),
        priority=incident["priority"],
        severity=incident["severity"],
        body=tuple(_ticket_body(incident, came_back, url, _describe_former(replaces, follows))),
        url=url,
        came_back=came_back,
        generation=incident.get("generation", 0),
        sessions=incident["affectedSessions"],
        proof=_fix_proof(incident),
        replaces=replaces,
        follows=follows,
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
    # Lines without a change of status (a ticket was filed, an export failed) are in the history of a regressed incident, too.
    left = [entry for entry in incident["history"] if entry["from"] == "resolved"]
    if incident["status"] == "regressed":
        reasons = [entry["reason"] for entry in left if entry["to"] == "regressed"]
        return to_plain_line(reasons[-1] if reasons else "the failure came back after it was resolved", _SENTENCE)
    if incident["status"] == "confirmed" and left and left[-1]["to"] == "confirmed":
        return to_plain_line(f"reopened by {left[-1]['actor']}: {left[-1]['reason']}", _SENTENCE)
    return ""


def _fix_proof(incident: IncidentDetail) -> str:
    fix = incident["impact"]["fix"] if incident["impact"] else None
    if fix is None or not fix["confirmed"] or incident["status"] != "resolved":
        return ""
    return describe_proof(Share(fix["before"]["reached"], fix["before"]["hit"]), Share(fix["reached"], fix["hit"]))


def _describe_former(key: str, follows: bool) -> str:
    if not key:
        return ""
    key = to_plain_line(key, _VALUE)
    return f"This follows {key}, which was closed." if follows else f"This replaces {key}, which was deleted here."


def _ticket_body(incident: IncidentDetail, came_back: str, url: str | None, replaces: str) -> Iterable[Block]:
    if replaces:
        yield Paragraph((replaces,))
    if came_back:
        yield Paragraph((f"This incident was resolved before. Reason for reopening: {came_back}.",))
    yield from _attempt_section(incident)
    yield from _evidence_section(incident)
    yield from _reproduction_section(incident)
    yield from _failure_section(incident)
    yield from _example_section(incident)
    yield from _confidence_section(incident)
    yield from _owner_section(incident)
    yield from _link_section(url)


def _owner_section(incident: IncidentDetail) -> Iterable[Block]:
    """Who owns it and what decided so, where the caller found that out (`incidents.owners`)."""
    owner = cast(OwnedIncidentDetail, incident).get("owner")
    if owner:
        names = ", ".join(to_plain_line(name, _VALUE) for name in owner["names"][:_FACETS])
        yield Paragraph((f"Owner: {names} (", to_plain_line(owner["reason"], _SENTENCE), ")."))


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
        *_share_lines(incident),
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


def _share_lines(incident: IncidentDetail) -> Iterable[Line]:
    """The share of the sessions that reached the step; no line while it is not counted."""
    rate = incident["reached"]
    if rate and rate["reached"]:
        yield (f"Share: {describe_share(Share(rate['reached'], rate['hit']))}",)


def list_steps(incident: IncidentDetail) -> list[str]:
    """The steps to reproduce the failure as texts, one line each."""
    return ["".join(part if isinstance(part, str) else part.text for part in line) for line in _step_lines(incident)]


def _fold_story(incident: IncidentDetail) -> list[list[TimelineEntry]]:
    # The first example is the one on which most sources agree. A single sender could forge the shortest.
    examples = incident["examples"]
    return _fold_repeats(examples[0]["timeline"]) if examples else []


def _step_lines(incident: IncidentDetail) -> list[Line]:
    story = _fold_story(incident)
    start = min((_offset_seconds(entry) for entry in story[0]), default=0.0) if story else 0.0
    return [_step_line(entries, start) for entries in story[:_STEPS]]


def _reproduction_section(incident: IncidentDetail) -> Iterable[Block]:
    story = _fold_story(incident)
    if not story:
        return
    yield Heading("How to reproduce")
    yield from make_list(_step_lines(incident), numbered=True)
    if len(story) > _STEPS:
        yield Paragraph((f"{_count_with_noun(len(story) - _STEPS, 'more step')} in the incident's timeline.",))


def _fold_repeats(timeline: Sequence[TimelineEntry]) -> list[list[TimelineEntry]]:
    """One item for each step: its entries. What people did again and again, also in turn (a click and its answer), is one step.

    Stored entries may be older than a key of theirs.
    """
    runs = [list(same) for _, same in groupby(timeline, key=_step_name)]
    names = [_step_name(run[0]) for run in runs]
    steps: list[list[TimelineEntry]] = []
    place = 0
    while place < len(runs):
        found = {period: _count_rounds(names, place, period) for period in range(2, _LONGEST_ROUND + 1)}
        period = max(found, key=lambda period: period * found[period] if found[period] > 1 else 0)
        if found[period] == 1:
            period = 1
        end = place + period * found.get(period, 1)
        steps += [list(chain.from_iterable(runs[place + turn : end : period])) for turn in range(period)]
        place = end
    return steps


def _step_name(entry: TimelineEntry) -> tuple[str | None, str | None]:
    return entry.get("text"), entry.get("route")


def _count_rounds(names: Sequence[object], start: int, period: int) -> int:
    """How often the ``period`` names at ``start`` follow each other; at least 1."""
    block, rounds = names[start : start + period], 1
    while len(block) == period and names[start + rounds * period : start + (rounds + 1) * period] == block:
        rounds += 1
    return rounds


def _step_line(entries: Sequence[TimelineEntry], start: float) -> Line:
    """One line; times are seconds since ``start``, the offset of the first step."""
    entry = entries[0]
    where = to_plain_line(entry.get("route"), _VALUE)
    place: Line = (" on ", Code(where)) if where else ()
    times = f", {len(entries)} times" if len(entries) > 1 else ""
    begin, end = _offset_seconds(entry) - start, _offset_seconds(entries[-1]) - start
    when = f"{begin:.1f} s" if f"{begin:.1f}" == f"{end:.1f}" else f"{begin:.1f}–{end:.1f} s"
    return (to_plain_line(entry.get("text") or entry.get("eventType"), 200), *place, f"{times} (at {when})")


def _offset_seconds(entry: TimelineEntry) -> float:
    """Seconds from the first signal; negative for the steps before it."""
    return (entry.get("offsetMs") or 0) / 1000


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
