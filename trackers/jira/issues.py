"""What is done to issues of Jira that exist: comments, reopening, facts that are brought up to date, second issues."""

import json
import logging
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Final
from urllib.parse import quote

from core.errors import PermanentError
from trackers.document import Document, render_adf, render_wiki
from trackers.jira.answers import Comment, CommentPage, Issue, Transition, TransitionList, status_category
from trackers.jira.client import JiraClient, RefusedRequest
from trackers.protocol import Shown
from trackers.ticket import Ticket, duplicate_comment, ticket_to_adf, ticket_to_wiki

# P0–P4 → Jira Highest…Lowest (incidents-and-tickets.md).
PRIORITIES: Final[Mapping[str, str]] = {"P0": "Highest", "P1": "High", "P2": "Medium", "P3": "Low", "P4": "Lowest"}
PROPERTY: Final = "furrow"
IDENTITY_FIELDS: Final = "labels,summary,priority,description"
"""Fields of `describe_shown`, and the label that a ticket is recognised by."""
_COMMENTS = 50
# The key that comments in Jira have had from the first version on.
_DIGEST_KEY = "told"
_LINK = "Duplicate"
_log = logging.getLogger("furrow.tickets")


def issue_path(key: str) -> str:
    """The path of an issue."""
    return f"issue/{quote(key, safe='')}"


def name_label(incident_id: str) -> str:
    """The label that a ticket is recognised by; an incident's id is "inc_" and its fingerprint in hexadecimal digits."""
    fingerprint = incident_id.removeprefix("inc_")
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,100}", fingerprint):
        fingerprint = sha256(fingerprint.encode()).hexdigest()[:32]
    return f"furrow-{fingerprint}"


def describe_shown(issue: Issue) -> Shown:
    """What an issue shows; read with `IDENTITY_FIELDS`."""
    fields = issue.fields
    if fields is None:
        return Shown()
    text = json.dumps(fields.description, sort_keys=True, ensure_ascii=False)
    return Shown(fields.summary, fields.priority.name if fields.priority else None, sha256(text.encode()).hexdigest())


class IssueEditor:
    """Changes issues of one site. Raises as ``Tracker`` says; MissingResource for an issue that is not there."""

    def __init__(self, client: JiraClient, cloud: bool) -> None:
        self._client, self._cloud = client, cloud

    def describe_ticket(self, ticket: Ticket) -> object:
        """The description of a ticket in the markup of this site."""
        return ticket_to_adf(ticket) if self._cloud else ticket_to_wiki(ticket)

    def read_issue(self, key: str) -> Issue:
        """The issue with its identity and what it shows."""
        return self._client.read(Issue, "read an issue", issue_path(key), fields=IDENTITY_FIELDS, properties=PROPERTY)

    def add_comment(self, key: str, comment_id: str, text: Document) -> None:
        """Comment, unless one of the newest comments has this id."""
        digest = sha256(comment_id.encode()).hexdigest()[:32]
        if digest in self._read_comment_digests(key):
            return
        body = {
            "body": render_adf(text) if self._cloud else render_wiki(text),
            "properties": [{"key": PROPERTY, "value": {_DIGEST_KEY: digest}}],
        }
        self._client.write_only("comment on the issue", f"{issue_path(key)}/comment", body)

    def _read_comment_digests(self, key: str) -> set[object]:
        """The digests of the newest comments; none when the account may not read them."""
        try:
            page = self._client.read(
                CommentPage,
                "read the comments",
                f"{issue_path(key)}/comment",
                expand="properties",
                orderBy="-created",
                maxResults=_COMMENTS,
            )
        except PermanentError as refusal:
            _log.warning("the comments of %s cannot be read: %s", key, refusal)
            return set()
        return {_comment_digest(comment) for comment in page.comments or ()}

    def reopen_issue(self, key: str) -> bool:
        """Move the issue to a status of open work. False: its workflow has no way there."""
        path = f"{issue_path(key)}/transitions"
        answer = self._client.read(TransitionList, "read the transitions", path)
        # "To do" before "in progress"; of those, first the transitions that are called "reopen".
        ways = [way for way in answer.transitions or () if status_category(way.to) in ("new", "indeterminate")]
        ways.sort(key=lambda way: (status_category(way.to) != "new", "reopen" not in way.name.lower()))
        if not ways:
            _log.warning("Jira offers no transition to reopen %s; it has a comment", key)
            return False
        self._client.write_only("open the issue again", path, {"transition": {"id": str(ways[0].id)}})
        return True

    # Facts
    # --------------------------------------------------------------------------------------------------------------

    def update_facts(self, issue: Issue, ticket: Ticket, shown: Shown) -> Shown:
        """See `trackers.protocol.KeepsFacts`; ``issue`` as it is now."""
        now = describe_shown(issue)
        changes: dict[str, object] = {}
        if now.title == shown.title and now.title != ticket.title:
            changes["summary"] = ticket.title
        priority = PRIORITIES.get(ticket.priority)
        if now.priority and now.priority == shown.priority and priority not in (None, now.priority):
            changes["priority"] = {"name": priority}
        if now.digest == shown.digest:
            changes["description"] = self.describe_ticket(ticket)
        if not changes:
            return shown
        self._change_fields(issue.key, changes)
        written = describe_shown(self.read_issue(issue.key))
        return Shown(
            written.title if now.title == shown.title else shown.title,
            written.priority if now.priority == shown.priority else shown.priority,
            written.digest if now.digest == shown.digest else shown.digest,
        )

    def _change_fields(self, key: str, changes: dict[str, object]) -> None:
        try:
            self._client.change("change the issue", issue_path(key), {"fields": changes})
        except RefusedRequest as refusal:
            # A field that is not on the screen for edits does not keep the others from being right.
            others = {name: value for name, value in changes.items() if name not in refusal.fields}
            if not others or len(others) == len(changes):
                raise
            self._client.change("change the issue", issue_path(key), {"fields": others})

    # Second issues
    # --------------------------------------------------------------------------------------------------------------

    def close_twin(self, key: str, kept: str, ticket: Ticket) -> None:
        """See `trackers.protocol.FindsTwins`."""
        path = f"{issue_path(key)}/transitions"
        answer = self._client.read(TransitionList, "read the transitions", path, expand="transitions.fields")
        self.add_comment(key, f"duplicate of {kept}", duplicate_comment(ticket, kept))
        try:
            link = {"type": {"name": _LINK}, "inwardIssue": {"key": key}, "outwardIssue": {"key": kept}}
            self._client.write_only("link the issues", "issueLink", link)
        except PermanentError as refusal:
            # Links may be switched off, or the type has another name; the comment names the other issue.
            _log.warning("%s cannot be linked with %s: %s", key, kept, refusal)
        ways = [way for way in answer.transitions or () if status_category(way.to) == "done"]
        if not ways:
            _log.warning("Jira offers no transition that closes %s; it has a comment", key)
            return
        way = min(ways, key=lambda way: ("duplicate" not in way.name.lower(), "done" not in way.name.lower()))
        self._client.write_only("close the issue", path, _closing_transition(way))


def _closing_transition(way: Transition) -> dict[str, object]:
    """The request for a transition, with the resolution "Duplicate" where its screen offers that."""
    body: dict[str, object] = {"transition": {"id": str(way.id)}}
    resolution = (way.fields or {}).get("resolution")
    names = [value.name for value in (resolution.allowed_values if resolution else None) or ()]
    if _LINK in names:
        body["fields"] = {"resolution": {"name": _LINK}}
    return body


def _comment_digest(comment: Comment) -> object:
    for entry in comment.properties or ():
        if entry.key == PROPERTY and isinstance(entry.value, dict):
            return entry.value.get(_DIGEST_KEY)
    return None
