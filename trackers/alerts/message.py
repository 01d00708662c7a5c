"""The text of an alert, of a group of alerts and of a digest; and the same text in the form that a channel takes.

Titles of incidents come from browsers. They are one line without invisible characters, no address in them becomes a link,
nobody is mentioned by them, and they are escaped for the form: HTML, Markdown, or Slack's rich text, in which text is never
markup.
"""

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from core.plurals import format_count
from incidents.alerts import DIGEST, AlertRow
from trackers.document import Link, Paragraph, make_list, render_markdown, to_plain_line

MOST_ITEMS: Final = 20
"""Alerts of one message that are shown; the others are counted."""
_TITLE_LENGTH: Final = 200
_TEXT_LENGTH: Final = 300
_WORD_JOINER: Final = "\u2060"
_ADDRESS: Final = re.compile(r"(?:https?|ftps?|mailto|xmpp|tel)(?=:)|www(?=\.)|@(?!\u2060)|<(?=\S)", re.IGNORECASE)
_MARKUP: Final = str.maketrans(dict.fromkeys("<>&*_`()#|~\\", " "))
_REPEATED: Final = (
    "This may be a repetition: the sender was interrupted before it knew whether the first message had arrived."
)
_QUIET: Final = "This came in the quiet hours."
_STATES: Final = {
    "resolved": "Resolved",
    "fixed": "Resolved, and the fix is confirmed",
    "suppressed": "Suppressed",
    "draft": "Draft",
}
_SECTIONS: Final = (
    ("worst", "The five worst"),
    ("new", "New"),
    ("back", "Came back"),
    ("proven", "Fixed and proven"),
    ("resolved", "Resolved"),
)


@dataclass(frozen=True)
class Item:
    """A line, and the address of the incident that it is about."""

    text: str
    url: str = ""


@dataclass(frozen=True)
class Section:
    """Items below a heading; '' for none."""

    heading: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Message:
    """A message before it takes the form of a channel. ``message_id``: of its alerts; a repetition has the same one."""

    title: str
    notes: tuple[str, ...]
    sections: tuple[Section, ...]
    message_id: str = ""


def build_message(rows: Sequence[AlertRow], pages_url: str, message_id: str = "") -> Message:
    """The message of these rows: one alert, a group of alerts, or a digest."""
    notes = []
    if any(row.doubtful for row in rows):
        notes.append(_REPEATED)
    if any(row.quiet for row in rows):
        notes.append(_QUIET)
    if len(rows) == 1 and rows[0].kind == DIGEST:
        return _build_digest(rows[0], pages_url, tuple(notes), message_id)
    items = [_build_item(row, pages_url) for row in rows]
    shown = tuple(items[:MOST_ITEMS])
    if len(items) > MOST_ITEMS:
        shown += (Item(f"and {len(items) - MOST_ITEMS} more", f"{pages_url}/incidents"),)
    projects = sorted({row.project for row in rows})
    where = projects[0] if len(projects) == 1 else format_count(len(projects), "project")
    title = f"[{where}] {items[0].text}" if len(rows) == 1 else f"[{where}] {format_count(len(rows), 'alert')}"
    return Message(to_inert_line(title, _TITLE_LENGTH), tuple(notes), (Section("", shown),), message_id)


def build_test_message(channel: str) -> Message:
    """What ``furrow alerts test`` sends."""
    return Message(
        "Furrow: a test",
        (),
        (Section("", (Item(f"The channel {channel} gets alerts of Furrow."),)),),
        f"test-{channel}",
    )


def to_inert_line(text: object, limit: int = _TEXT_LENGTH) -> str:
    """``text`` on one line that links to nothing and mentions nobody, in any channel."""
    return _ADDRESS.sub(lambda found: found[0] + _WORD_JOINER, to_plain_line(text, limit))


def _build_item(row: AlertRow, pages_url: str) -> Item:
    incident = row.incident
    if incident is None:
        return Item(f"{row.project}: the digest of {row.occasion}")
    state = _STATES.get(incident.state, "")
    begin = f"{state}. " if state and not (state == "Draft" and row.kind in ("open", "user")) else ""
    text = f"{begin}{_describe_kind(row)}: {incident.title} ({incident.severity})"
    return Item(to_inert_line(text), _incident_url(pages_url, incident.incident_id))


def _describe_kind(row: AlertRow) -> str:
    facts = row.facts
    match row.kind:
        case "confirmed":
            return "New incident"
        case "regressed":
            return "Came back"
        case "growing":
            return f"Growing, {format_count(int(facts['sessions']), 'session')} in an hour where {facts['usual']:g} are usual"
        case "share":
            return (
                f"Hits {facts['hit']} of {format_count(int(facts['reached']), 'session')} that reached this step within "
                f"24 hours, at least {facts['low']:g} %"
            )
        case "user":
            return f"One user was hit in {format_count(int(facts['sessions']), 'session')} within 7 days"
        case _:
            return "People fail at this moment"


def _build_digest(row: AlertRow, pages_url: str, notes: tuple[str, ...], message_id: str) -> Message:
    sections = []
    for name, heading in _SECTIONS:
        if entries := row.facts.get(name):
            items = [_build_digest_item(entry, pages_url) for entry in entries]
            sections.append(Section(heading, tuple(items)))
    if not sections:
        sections = [Section("", (Item("Nothing new: no incident showed itself, was fixed or came back."),))]
    span = f"{str(row.facts['since'])[:10]} to {str(row.facts['until'])[:10]}"
    return Message(to_inert_line(f"[{row.project}] Digest, {span}"), notes, tuple(sections), message_id)


def _build_digest_item(entry: Mapping[str, Any], pages_url: str) -> Item:
    recent = f", {format_count(int(entry['recent']), 'session')} in this time" if "recent" in entry else ""
    text = to_inert_line(entry["title"], _TITLE_LENGTH) + f" ({entry['severity']}{recent})"
    return Item(text, _incident_url(pages_url, str(entry["id"])))


def _incident_url(pages_url: str, incident_id: str) -> str:
    return f"{pages_url}/incidents/{quote(incident_id, safe='')}"


# Forms
# ----------------------------------------------------------------------------------------------------------------------


def render_plain(message: Message) -> str:
    """The body as plain text."""
    parts = list(message.notes)
    for section in message.sections:
        lines = [section.heading] if section.heading else []
        lines += [f"* {item.text}" + (f"\n  {item.url}" if item.url else "") for item in section.items]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def render_html(message: Message) -> str:
    """The body as HTML, without scripts, styles and pictures."""
    parts = [f"<p>{html.escape(note)}</p>" for note in message.notes]
    for section in message.sections:
        if section.heading:
            parts.append(f"<h3>{html.escape(section.heading)}</h3>")
        items = (
            f"<li>{html.escape(item.text)}"
            + (f' <a href="{html.escape(item.url)}">Open</a>' if item.url else "")
            + "</li>"
            for item in section.items
        )
        parts.append(f"<ul>{''.join(items)}</ul>")
    return "".join(parts)


def render_marked(message: Message) -> str:
    """The body as Markdown."""
    blocks: list[Any] = [Paragraph((note,)) for note in message.notes]
    for section in message.sections:
        if section.heading:
            blocks.append(Paragraph((section.heading,)))
        blocks += make_list(
            [(item.text, " ", Link("Open", item.url)) if item.url else (item.text,) for item in section.items]
        )
    return render_markdown(tuple(blocks))


def strip_markup(title: str) -> str:
    """A title without the characters that are markup somewhere: channels put it into HTML and Markdown as it is."""
    return " ".join(title.translate(_MARKUP).split())


def render_slack(message: Message) -> dict[str, Any]:
    """The arguments ``text`` and ``blocks`` of Slack: rich text, in which text is neither markup nor a mention."""
    parts: list[dict[str, Any]] = [_slack_section([{"type": "text", "text": message.title, "style": {"bold": True}}])]
    parts += [_slack_section([{"type": "text", "text": note}]) for note in message.notes]
    for section in message.sections:
        if section.heading:
            parts.append(_slack_section([{"type": "text", "text": section.heading}]))
        items = [_slack_section(_slack_item(item)) for item in section.items]
        parts.append({"type": "rich_text_list", "style": "bullet", "elements": items})
    return {
        "text": message.title.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"),
        "blocks": [{"type": "rich_text", "elements": parts}],
    }


def _slack_item(item: Item) -> list[dict[str, Any]]:
    link = [{"type": "text", "text": " "}, {"type": "link", "url": item.url, "text": "Open"}] if item.url else []
    return [{"type": "text", "text": item.text}, *link]


def _slack_section(elements: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"type": "rich_text_section", "elements": list(elements)}
