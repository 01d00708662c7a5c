"""Jira Cloud and Data Center. Declared in `core.tracker_kinds`."""

from collections.abc import Mapping

from core.settings import Settings
from trackers.jira.tracker import JiraTracker
from trackers.protocol import RemoteTracker
from trackers.ticket_plan import load_tracker_plan
from trackers.transport import Reach

__all__ = ["JiraTracker", "open_tracker"]


def open_tracker(settings: Settings, targets: Mapping[str, str], reach: Reach) -> RemoteTracker:
    """The Jira site of ``settings``; ``targets`` are keys of Jira projects by Furrow project.

    Raises PermanentError when the configuration lacks something.
    """
    return JiraTracker(
        settings.jira_url,
        settings.jira_user,
        settings.jira_token,
        settings.jira_project,
        settings.jira_kind,
        settings.jira_issue_type,
        targets,
        reach=reach,
        plan=load_tracker_plan(settings, "jira"),
    )
