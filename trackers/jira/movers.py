"""Who closed an issue of Jira or opened it again: the account of the last change of its status.

It is asked for the few issues that moved: the search for states could send all changes, with the texts of each description.
"""

import logging
from collections.abc import Iterable, Sequence
from typing import Final

from core.errors import PermanentError
from core.metrics import count_degraded
from trackers.gate import AccessRefused
from trackers.jira.answers import ChangeEntry, ChangesPage, LoggedIssue, StatedIssue
from trackers.jira.client import JiraClient
from trackers.jira.issues import issue_path
from trackers.people import to_person_name

_DOING: Final = "read who moved tickets"
_MOST_CHANGES: Final = 1_000
_MOST_ISSUES: Final = 5
"""Issues that Data Center, which has no request for several, is asked about in one reading."""
_log = logging.getLogger("furrow.tickets")


def find_movers(client: JiraClient, cloud: bool, issues: Sequence[StatedIssue]) -> dict[str, str]:
    """The name of who brought each issue to its status, by the issue's id; '' where Jira does not tell.

    A refusal costs the names only: the history of the incident is then without them.
    """
    if not issues:
        return {}
    try:
        changes = _read_cloud(client, issues) if cloud else _read_data_center(client, issues[:_MOST_ISSUES])
    except PermanentError as refusal:
        if isinstance(refusal, AccessRefused) and refusal.everything:
            raise
        count_degraded("jira", "changelog")
        _log.warning("who moved a ticket is not known: %s", refusal)
        return {}
    return {str(issue.id): _find_mover(changes.get(str(issue.id), ()), issue) for issue in issues}


def _read_cloud(client: JiraClient, issues: Sequence[StatedIssue]) -> dict[str, list[ChangeEntry]]:
    body = {"issueIdsOrKeys": [str(issue.id) for issue in issues], "fieldIds": ["status"], "maxResults": _MOST_CHANGES}
    page = client.write(ChangesPage, _DOING, "changelog/bulkfetch", body)
    # The newest changes would be on another page.
    logs = [] if page.next_page_token else page.issue_change_logs or []
    return {str(log.issue_id): log.change_histories or [] for log in logs}


def _read_data_center(client: JiraClient, issues: Sequence[StatedIssue]) -> dict[str, list[ChangeEntry]]:
    found = {}
    for issue in issues:
        answer = client.read(LoggedIssue, _DOING, issue_path(issue.key), expand="changelog", fields="status")
        found[str(issue.id)] = (answer.changelog.histories if answer.changelog else None) or []
    return found


def _find_mover(changes: Iterable[ChangeEntry], issue: StatedIssue) -> str:
    moves = [(entry, item) for entry in changes for item in entry.items or () if item.field == "status"]
    if not moves:
        return ""
    entry, item = moves[-1]
    status = issue.fields.status if issue.fields else None
    # Another status: it was moved once more between the two requests.
    same = status is not None and item.to_string == status.name
    return to_person_name(entry.author.display_name) if same and entry.author else ""
