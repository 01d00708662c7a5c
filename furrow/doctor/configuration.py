"""What ``furrow doctor`` finds about settings and trackers: misspelt variables, differences to what runs, and whether the
trackers would take tickets."""

from contextlib import closing
from typing import Final, NamedTuple

from core.errors import FurrowError
from core.metrics import count_degraded
from core.settings import Settings
from furrow.installation import misspelt_variables
from furrow.installation.running import RunningSettings
from stores import opening
from trackers.checks import check_tracker
from trackers.registry import make_tracker, values_by_project

_SHOWN: Final = 8

SETUP_ADVICE: Final = {
    "jira": "to file tickets, set FURROW_JIRA_URL, FURROW_JIRA_TOKEN and FURROW_JIRA_PROJECT, or the block furrow-jira in the "
    "Prefect UI",
    "linear": "to file tickets, set FURROW_LINEAR_KEY and FURROW_LINEAR_TEAM, or the block furrow-linear in the Prefect UI",
}
REPAIR_ADVICE: Final = {
    "jira": "check FURROW_JIRA_URL, _USER, _TOKEN, _PROJECT and _ISSUE_TYPE, or the block furrow-jira",
    "linear": "check FURROW_LINEAR_KEY and FURROW_LINEAR_TEAM, or the block furrow-linear",
}


class TrackerAnswer(NamedTuple):
    """What a tracker said: whether it would take tickets (None: it is not configured), and in which words."""

    accepts_tickets: bool | None
    message: str


def ask_tracker(name: str, settings: Settings, incidents_url: str | None) -> TrackerAnswer:
    """Ask the tracker ``name`` whether it would take tickets; nothing is changed there.

    ``incidents_url``: the incident store, which knows where each project's tickets go; None when it cannot be asked.
    """
    try:
        projects = _read_project_settings(incidents_url)
        tracker = make_tracker(name, settings, lambda setting: values_by_project(setting, projects))
        if tracker is None:
            return TrackerAnswer(None, "tickets are logged and wait")
        with closing(tracker):
            return TrackerAnswer(True, check_tracker(tracker))
    except FurrowError as error:
        return TrackerAnswer(False, str(error))


def describe_differences(running: RunningSettings | None, settings: Settings) -> str:
    """Which settings of this shell are not those that ``furrow up`` runs with; '' if all are."""
    found = running.find_differences(settings) if running else []
    more = f" and {len(found) - _SHOWN:,} more" if len(found) > _SHOWN else ""
    return "; ".join(difference.to_message() for difference in found[:_SHOWN]) + more


def list_unknown_variables() -> list[str]:
    """Variables that look like settings and are none, one line each."""
    return [variable.to_message() for variable in misspelt_variables.find_misspelt_variables()]


def _read_project_settings(incidents_url: str | None) -> list[tuple[str, dict[str, object]]]:
    if incidents_url is None:
        return []
    try:
        store = opening.open_incident_store_at(incidents_url)
        try:
            return [(project.id, dict(project.settings)) for project in store.keys.read_projects()]
        finally:
            store.close()
    except FurrowError:
        count_degraded("doctor", "projects")  # the finding about the incident store says so
        return []
