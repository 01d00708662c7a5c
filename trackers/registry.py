"""Opens the trackers that are declared in `core.tracker_kinds`."""

from collections.abc import Callable, Iterable, Mapping
from pkgutil import resolve_name

from core.settings import Settings
from core.tracker_kinds import TrackerKind, find_tracker_kind
from trackers.protocol import RemoteTracker
from trackers.transport import Reach

Targets = Mapping[str, str]
"""Where in a tracker tickets go, by Furrow project: the key of a project or team."""
TrackerOpener = Callable[[Settings, Targets, Reach], RemoteTracker]
"""The function ``open_tracker`` of a tracker's package. Raises PermanentError when the configuration lacks something."""


def make_tracker(name: str, settings: Settings, targets: Callable[[str], Targets]) -> RemoteTracker | None:
    """Open the tracker ``name``; the caller closes it. None when ``settings`` do not configure it.

    ``targets`` returns the values of a project setting (``jiraProject``) by project. Raises PermanentError when the
    configuration lacks something.
    """
    kind = find_tracker_kind(name)
    if kind is None or not kind.is_configured(settings):
        return None
    reach = Reach.from_setting(settings.tracker_private_networks)
    return load_opener(kind)(settings, targets(kind.target.name), reach)


def load_opener(kind: TrackerKind) -> TrackerOpener:
    """The function that opens a tracker of this kind. Its package is imported only now: clients of trackers load slowly."""
    opener: TrackerOpener = resolve_name(f"{kind.module}:open_tracker")
    return opener


def values_by_project(setting: str, projects: Iterable[tuple[str, Mapping[str, object]]]) -> dict[str, str]:
    """The values of ``setting`` by project, from (id, settings) of each; values that are not text are left out."""
    values = ((project, settings.get(setting)) for project, settings in projects)
    return {project: value for project, value in values if isinstance(value, str) and value}
