"""What ``furrow doctor`` finds about settings and trackers: misspelt variables, differences to what runs, and whether the
trackers would take tickets."""

from contextlib import closing
from typing import Final, NamedTuple

from core.errors import FurrowError
from core.metrics import degraded
from core.settings import Settings
from furrow.installation import misspelt_variables
from furrow.installation.running import Running
from stores.incidents.incident_store import IncidentStore
from trackers.checks import check
from trackers.registry import by_project, tracker_of

_SHOWN: Final = 8

ADVICE: Final = {
    "jira": "to file tickets, set FURROW_JIRA_URL, FURROW_JIRA_TOKEN and FURROW_JIRA_PROJECT, or the block furrow-jira in the "
    "Prefect UI",
    "linear": "to file tickets, set FURROW_LINEAR_KEY and FURROW_LINEAR_TEAM, or the block furrow-linear in the Prefect UI",
}
MEND: Final = {
    "jira": "check FURROW_JIRA_URL, _USER, _TOKEN, _PROJECT and _ISSUE_TYPE, or the block furrow-jira",
    "linear": "check FURROW_LINEAR_KEY and FURROW_LINEAR_TEAM, or the block furrow-linear",
}


class Asked(NamedTuple):
    """What a tracker said: whether it would take tickets (None: it is not configured), and in which words."""

    takes: bool | None
    words: str


def ask_tracker(name: str, settings: Settings, incidents_url: str | None) -> Asked:
    """Ask the tracker ``name`` whether it would take tickets; nothing is changed there.

    ``incidents_url``: the incident store, which knows where each project's tickets go; None when it cannot be asked.
    """
    try:
        projects = _projects(incidents_url)
        tracker = tracker_of(name, settings, lambda setting: by_project(setting, projects))
        if tracker is None:
            return Asked(None, "tickets are logged and wait")
        with closing(tracker):
            return Asked(True, check(tracker))
    except FurrowError as error:
        return Asked(False, str(error))


def differing(running: Running | None, settings: Settings) -> str:
    """Which settings of this shell are not those that ``furrow up`` runs with; '' if all are."""
    found = running.differences(settings) if running else []
    more = f" and {len(found) - _SHOWN:,} more" if len(found) > _SHOWN else ""
    return "; ".join(one.told() for one in found[:_SHOWN]) + more


def unheard() -> list[str]:
    """Variables that look like settings and are none, one line each."""
    return [one.told() for one in misspelt_variables.here()]


def _projects(incidents_url: str | None) -> list[tuple[str, dict[str, object]]]:
    if incidents_url is None:
        return []
    try:
        store = IncidentStore.connect(incidents_url)
        try:
            return [(one.id, dict(one.settings)) for one in store.projects()]
        finally:
            store.close()
    except FurrowError:
        degraded("doctor", "projects")  # the finding about the incident store says so
        return []
