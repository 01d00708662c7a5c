"""GitLab Issues. Declared in `core.tracker_kinds`."""

from collections.abc import Mapping

from core.tracker_kinds import GitLabSettings
from trackers.forge.tracker import ForgeTracker
from trackers.gitlab.api import GitLabApi
from trackers.protocol import RemoteTracker
from trackers.transport import Reach

__all__ = ["GitLabApi", "open_tracker"]


def open_tracker(settings: GitLabSettings, targets: Mapping[str, str], reach: Reach) -> RemoteTracker:
    """The GitLab of ``settings``; ``targets`` are projects by Furrow project.

    Raises PermanentError when the configuration lacks something.
    """
    api = GitLabApi(settings.gitlab_token, settings.gitlab_url, reach)
    return ForgeTracker(api, settings.gitlab_project, targets)
