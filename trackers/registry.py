"""The trackers that the settings name."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from core.settings import Settings
from trackers.jira import JiraTracker
from trackers.linear import LinearTracker
from trackers.transport import Reach

TRACKERS: Final = ("jira", "linear")
"""Names of the trackers that there are, in the order in which they get their tickets."""

OF_PROJECTS: Final = {"jira": "jiraProject", "linear": "linearTeam"}
"""Setting of a Furrow project that says where in a tracker its tickets go."""


def make_tracker(
    name: str, settings: Settings, targets: Callable[[str], Mapping[str, str]]
) -> JiraTracker | LinearTracker | None:
    """The tracker ``name`` for the caller alone, who closes it; None when ``settings`` do not configure it.

    ``targets``: for a setting of projects (`OF_PROJECTS`), its value by project. Raises PermanentError when the configuration
    lacks something.
    """
    reach = Reach.from_setting(settings.tracker_private_networks)
    if name == "jira" and settings.jira_url:
        return JiraTracker(
            settings.jira_url,
            settings.jira_user,
            settings.jira_token,
            settings.jira_project,
            settings.jira_kind,
            settings.jira_issue_type,
            targets(OF_PROJECTS[name]),
            reach=reach,
        )
    if name == "linear" and settings.linear_key:
        teams = targets(OF_PROJECTS[name])
        return LinearTracker(settings.linear_key, settings.linear_team, settings.linear_url, teams, reach)
    return None


def values_by_project(setting: str, projects: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, str]:
    """The values of ``setting`` by project, of (id, settings) of each; what is no text is left out."""
    values = ((project, settings.get(setting)) for project, settings in projects)
    return {project: value for project, value in values if isinstance(value, str) and value}
