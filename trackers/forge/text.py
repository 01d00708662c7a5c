"""Tickets as Markdown of a forge: nothing in them mentions, refers, closes or commands, and each carries its identity.

A forge looks for mentions and references in the *rendered* text, where an escape does not show any more. So an invisible
character goes between the mark and what it marks, in sentences and titles. In code, forges look for nothing. GitLab carries out
lines that begin with a slash and a word, before anything is rendered.
"""

import re
from dataclasses import replace
from hashlib import sha256
from typing import Final

from trackers.document import CodeBlock, Document, Heading, Inline, Items, Line, Link, Paragraph, render_markdown
from trackers.ticket import TITLE_LENGTH, Ticket

# A zero-width non-joiner: `to_plain_line` keeps it, and neither forge reads over it.
_JOINER: Final = "\u200c"
# "#12", "!12", "$12", "%milestone", "~label", "&12", "^alert#12", "*iteration:", "[vulnerability:12]".
_MARKS: Final = re.compile(r"(?<=[#!$%~^&*\[])(?=[\w\"'])")
_KEYS: Final = re.compile(r"(?<![^\W_])([A-Z][A-Z0-9_]*|[Gg][Hh])-(?=\d)")
# Each part that is left is shorter than the shortest abbreviation of a commit.
_COMMIT: Final = re.compile(r"(?<![^\W_])[0-9a-fA-F]{7,}(?![^\W_])")
_COMMIT_PART: Final = 6
_SCHEME: Final = re.compile(r"(?<=:)(?=//)|(?<=\bwww)(?=\.)", re.IGNORECASE)
_COMMAND: Final = re.compile(r"^(\s*)(?=/\w)", re.MULTILINE)
_IDENTITY: Final = re.compile(r"<!-- (furrow-[A-Za-z0-9_-]{1,100}) -->(?:\r?\n|\Z)")


def defuse_text(text: str) -> str:
    """``text`` without references: to issues, merge requests, commits, labels, milestones and pages."""
    text = _MARKS.sub(_JOINER, text)
    text = _KEYS.sub(rf"\1{_JOINER}-", text)
    text = _COMMIT.sub(_split_commit, text)
    return _SCHEME.sub(_JOINER, text)


def _split_commit(found: re.Match[str]) -> str:
    return _JOINER.join(found[0][place : place + _COMMIT_PART] for place in range(0, len(found[0]), _COMMIT_PART))


def defuse_title(title: str) -> str:
    """A title of at most `TITLE_LENGTH` characters without references; GitLab looks for them in titles, too."""
    text = _COMMAND.sub(rf"\1{_JOINER}", defuse_text(title))
    return text if len(text) <= TITLE_LENGTH else text[: TITLE_LENGTH - 1].rstrip() + "…"


def render_with_identity(document: Document, identity: str) -> str:
    """The document as Markdown; its first line holds ``identity`` and is not shown."""
    return f"<!-- {identity} -->\n{render_for_forge(document)}"


def render_for_forge(document: Document) -> str:
    """The document as Markdown without references and commands."""
    text = render_markdown(tuple(_defuse_block(block) for block in document))
    return _COMMAND.sub(rf"\1{_JOINER}", text)


def read_identity(text: str | None) -> str:
    """The identity in the first line of a text that `render_with_identity` made; '' without one.

    Only the first line counts: what comes from a browser can stand in each other line.
    """
    found = _IDENTITY.match(text or "")
    return found[1] if found else ""


def ticket_identity(ticket: Ticket) -> str:
    """What a ticket is recognised by: ``furrow-`` and the incident's fingerprint, also after a merge."""
    return make_identity(ticket.known_as)


def make_identity(known_as: str) -> str:
    """What the ticket with this identity of its own (`Ticket.known_as`) is recognised by."""
    fingerprint = known_as.removeprefix("inc_")
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,80}", fingerprint):
        fingerprint = sha256(fingerprint.encode()).hexdigest()[:32]
    return f"furrow-{fingerprint}"


def comment_identity(identity: str, comment_id: str) -> str:
    """What a comment is recognised by, so that the same report is written once."""
    return f"{identity}-{sha256(comment_id.encode()).hexdigest()[:16]}"


def _defuse_block(block: Heading | Paragraph | Items | CodeBlock) -> Heading | Paragraph | Items | CodeBlock:
    match block:
        case Heading(text):
            return Heading(defuse_text(text))
        case Paragraph(line):
            return Paragraph(_defuse_line(line))
        case Items(lines):
            return replace(block, lines=tuple(_defuse_line(line) for line in lines))
        case CodeBlock():
            return block


def _defuse_line(line: Line) -> Line:
    return tuple(_defuse_inline(inline) for inline in _joined(line))


def _joined(line: Line) -> Line:
    """The line with adjacent texts as one, so that no reference arises where two of them meet."""
    joined: list[Inline] = []
    for inline in line:
        if isinstance(inline, str) and joined and isinstance(joined[-1], str):
            joined[-1] += inline
        else:
            joined.append(inline)
    return tuple(joined)


def _defuse_inline(inline: Inline) -> Inline:
    match inline:
        case str():
            return defuse_text(inline)
        case Link(text, url):
            return Link(defuse_text(text), url)
        case _:
            return inline
