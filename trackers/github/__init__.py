"""GitHub Issues. Declared in `core.tracker_kinds`."""

from collections.abc import Mapping

from core.tracker_kinds import GitHubSettings
from trackers.forge.tracker import ForgeTracker
from trackers.github.api import GitHubApi
from trackers.protocol import RemoteTracker
from trackers.transport import Reach

__all__ = ["GitHubApi", "open_tracker"]


def open_tracker(settings: GitHubSettings, targets: Mapping[str, str], reach: Reach) -> RemoteTracker:
    """The GitHub of ``settings``; ``targets`` are repositories by Furrow project.

    Raises PermanentError when the configuration lacks something.
    """
    api = GitHubApi(settings.github_token, settings.github_url, reach)
    return ForgeTracker(api, settings.github_repository, targets)
