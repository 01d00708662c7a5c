"""Pages as Markdown, for tickets, chats and programs. The document model escapes every text (`trackers.document`).

The ticket's modules are imported when a page is asked for: the collector starts without them.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from collector.pages.html import session_address
from collector.pages.session_part import SessionPart

if TYPE_CHECKING:
    from collector.exemptions import Overview
    from incidents.audit import AuditRecord
    from incidents.incident import Incident, IncidentDetail
    from incidents.verdicts import ExemptionRecord
    from stores.incidents.incident_review import DeadSession, SessionView, WaitingExport
    from stores.incidents.silences import Silence
    from trackers.document import Block, Line


def incident_to_markdown(incident: "IncidentDetail", base: str) -> str:
    """An incident with everything that its ticket has, its status and its history. ``base``: the address of the pages."""
    from trackers import ticket
    from trackers.document import Code, Heading, Paragraph, make_list, render_markdown, to_plain_line

    built = ticket.build_ticket(incident, base)
    facts = (
        f"{incident['severity']}, {incident['status']}, project ",
        Code(to_plain_line(incident["projectId"], 100)),
        ", ",
        Code(incident["incidentId"]),
        ".",
    )
    history: list[Line] = [
        (
            f"{entry['at']} {to_plain_line(entry['actor'], 100)}: "
            f"{entry['from'] or 'new'} → {entry['to']}, {to_plain_line(entry['reason'], 600)}",
        )
        for entry in incident["history"]
    ]
    tickets: list[Line] = [
        (f"{entry['tracker']}: {to_plain_line(entry['key'] or 'not filed', 100)}, {entry['state']}",)
        for entry in incident["tickets"]
    ]
    blocks: list[Block] = [Heading(built.title), Paragraph(facts), *built.body]
    if tickets:
        blocks += [Heading("Tickets"), *make_list(tickets)]
    blocks += [Heading("History"), *make_list(history)]
    return render_markdown(tuple(blocks))


def steps_to_markdown(incident: "IncidentDetail") -> str:
    """The steps to reproduce an incident; '' without an example session."""
    from trackers import ticket
    from trackers.document import render_markdown

    return render_markdown(ticket.build_reproduction(incident))


def incidents_to_markdown(incidents: "Sequence[Incident]", base: str, title: str) -> str:
    """A list of incidents."""
    from trackers.document import Code, Heading, Link, Paragraph, make_list, render_markdown, to_plain_line

    lines: list[Line] = [
        (
            Link(
                to_plain_line(incident["title"], 250) or incident["incidentId"],
                f"{base}/incidents/{incident['incidentId']}",
            ),
            f": {incident['severity']}, {incident['status']}, {incident['affectedSessions']} sessions, "
            f"{incident['affectedUsers']} users, last seen {incident['lastSeen'] or 'unknown'}, project ",
            Code(to_plain_line(incident["projectId"], 100)),
        )
        for incident in incidents
    ]
    listed = make_list(lines) if lines else (Paragraph(("No incident matches.",)),)
    return render_markdown((Heading(title), *listed))


def session_to_markdown(project: str, session_id: str, view: "SessionView", base: str, part: SessionPart) -> str:
    """One client session: its detections, why it was not flagged, and its events; without these the detections' timelines."""
    from trackers.document import Code, Heading, Link, Paragraph, make_list, render_markdown, to_plain_line

    blocks: list[Block] = [
        Heading(f"Session {to_plain_line(session_id, 128)}"),
        Paragraph(("Project ", Code(to_plain_line(project, 128)), f", {view.queue or 'analysed'}.")),
    ]
    for found in view.detections:
        link = Link(to_plain_line(found.title, 250) or found.incident_id, f"{base}/incidents/{found.incident_id}")
        steps: list[Line] = [
            (f"{(entry.get('offsetMs') or 0) / 1000:.1f} s: ", to_plain_line(entry.get("text") or "", 300))
            for entry in (() if part.window else found.example["timeline"])
        ]
        blocks += [Heading("Flagged"), Paragraph((link, f", score {found.example['score']}"))]
        blocks += [Paragraph((to_plain_line(found.example["explanation"], 600),)), *make_list(steps)]
    silent: list[Line] = [
        (Code(to_plain_line(silence.rule, 100)), f": {to_plain_line(silence.text, 600)}") for silence in view.silences
    ]
    if silent:
        blocks += [Heading("Not flagged"), *make_list(silent)]
    if part.window is None:
        blocks += [Paragraph((f"The stored events cannot be read: {part.problem}.",))]
        return render_markdown(tuple(blocks))
    window = part.window
    first, last = window.start + 1, window.start + len(window.events)
    events: list[Line] = [
        (f"{(event.at_ms - part.zero_ms) / 1000:.1f} s: ", to_plain_line(event.text, 300)) for event in window.events
    ]
    blocks += [Heading(f"Events {first:,} to {last:,} of {window.total:,}"), *make_list(events)] if events else []
    return render_markdown(tuple(blocks))


def near_misses_to_markdown(silences: "Sequence[Silence]", counts: "Mapping[str, int]", base: str) -> str:
    """Near misses: how many by rule, and the newest."""
    from trackers.document import Code, Heading, Link, Paragraph, make_list, render_markdown, to_plain_line

    by_rule: list[Line] = [(Code(to_plain_line(rule, 100)), f": {number}") for rule, number in counts.items()]
    lines: list[Line] = [
        (
            Link(to_plain_line(silence.session_id, 128), base + session_address(silence.project, silence.session_id)),
            ", ",
            Code(to_plain_line(silence.rule, 100)),
            f": {to_plain_line(silence.text, 600)}",
        )
        for silence in silences
    ]
    blocks: list[Block] = [Heading("Near misses"), *make_list(by_rule)] if by_rule else [Heading("Near misses")]
    blocks += make_list(lines) if lines else [Paragraph(("None are stored.",))]
    return render_markdown(tuple(blocks))


def audit_to_markdown(entries: "Sequence[AuditRecord]") -> str:
    """Entries of the audit log."""
    from trackers.document import Code, Heading, Paragraph, make_list, render_markdown, to_plain_line

    lines: list[Line] = [
        (
            f"{entry['at']} {to_plain_line(entry['actor'], 120)}: ",
            Code(entry["action"]),
            f", project {to_plain_line(entry['projectId'], 128)}",
            f", {to_plain_line(entry['subject'], 200)}" if entry["subject"] else "",
            f": {to_plain_line(entry['reason'], 600)}" if entry["reason"] else "",
        )
        for entry in entries
    ]
    blocks: list[Block] = [Heading("Audit")]
    blocks += make_list(lines) if lines else [Paragraph(("No entries.",))]
    return render_markdown(tuple(blocks))


def exceptions_to_markdown(overview: "Overview", records: "Sequence[ExemptionRecord]", base: str) -> str:
    """What verdicts have in common, what they propose, and the exceptions of projects."""
    from trackers.document import Code, Heading, Link, Paragraph, make_list, render_markdown, to_plain_line

    facts = (
        f"{overview.sessions} sessions with a verdict: {overview.frustrated} with frustration, "
        f"{overview.sessions - overview.frustrated} without; {overview.disputed} disputed."
    )
    common: list[Line] = [
        (f"{name}: ", Code(to_plain_line(value, 300)), f", {number}")
        for name, values in overview.common.items()
        for value, number in values
    ]
    proposed: list[Line] = [
        (Code(to_plain_line(entry.exemption.describe(), 600)), f": {entry.sessions} sessions agree")
        for entry in overview.proposals
    ]
    kept: list[Line] = [
        (
            Code(to_plain_line(entry["text"], 600)),
            f": {entry['state']}, project ",
            Code(to_plain_line(entry["projectId"], 100)),
            _write_trial(entry),
        )
        for entry in records
    ]
    blocks: list[Block] = [Heading("Exceptions"), Paragraph((Link("Exceptions", f"{base}/exceptions"), ". ", facts))]
    for title, lines in (("In common", common), ("Proposed", proposed), ("Kept", kept)):
        blocks += [Heading(title), *make_list(lines)] if lines else []
    return render_markdown(tuple(blocks))


def _write_trial(record: "ExemptionRecord") -> str:
    found = record["result"]
    if found is None:
        return ""
    return (
        f", would silence {found['silenced']} of {found['analysed']} sessions, {found['confirmedByPerson']} of them "
        f"confirmed by a person; {found['incidentsBelow']} incidents would fall below confirmation"
    )


def health_to_markdown(
    figures: "Sequence[tuple[str, object]]",
    findings: "Sequence[str]",
    exports: "Sequence[WaitingExport]",
    dead: "Sequence[DeadSession]",
) -> str:
    """The health of the installation."""
    from trackers.document import Code, Heading, Paragraph, make_list, render_markdown, to_plain_line

    noted: list[Line] = [(finding,) for finding in findings]
    shown: list[Line] = [(f"{name}: {'unknown' if value is None else value}",) for name, value in figures]
    waiting: list[Line] = [
        (
            f"{to_plain_line(export.title, 250)} at {export.ticket['tracker']}: {export.ticket['state']}",
            f", {to_plain_line(export.ticket['lastError'], 600)}" if export.ticket["lastError"] else "",
        )
        for export in exports
    ]
    failed: list[Line] = [
        (Code(to_plain_line(session.session_id, 128)), f": {to_plain_line(session.reason, 600)}") for session in dead
    ]
    blocks: list[Block] = [Heading("Health")]
    blocks += make_list(noted) if noted else [Paragraph(("Nothing needs a person.",))]
    blocks += [Heading("Figures"), *make_list(shown)]
    if waiting:
        blocks += [Heading("Tickets that are not filed"), *make_list(waiting)]
    if failed:
        blocks += [Heading("Sessions that could not be analysed"), *make_list(failed)]
    return render_markdown(tuple(blocks))
