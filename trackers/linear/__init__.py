"""Linear. Declared in `core.tracker_kinds`."""

from collections.abc import Mapping

from core.settings import Settings
from trackers.linear.tracker import LinearTracker
from trackers.protocol import RemoteTracker
from trackers.ticket_plan import load_tracker_plan
from trackers.transport import Reach

__all__ = ["LinearTracker", "open_tracker"]


def open_tracker(settings: Settings, targets: Mapping[str, str], reach: Reach) -> RemoteTracker:
    """The Linear workspace of ``settings``; ``targets`` are keys of teams by Furrow project.

    Raises PermanentError when the configuration lacks something.
    """
    plan = load_tracker_plan(settings, "linear")
    return LinearTracker(settings.linear_key, settings.linear_team, settings.linear_url, targets, reach, plan)
