"""Checks of ``furrow doctor`` on settings and trackers: misspelt variables, differences to the running installation, and
whether the trackers accept tickets."""

from contextlib import closing
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from core.alert_settings import parse_channels
from core.errors import FurrowError, TransientError
from core.metrics import count_degraded
from core.settings import Settings
from core.tracker_kinds import find_tracker_kind
from furrow.installation import misspelt_variables
from furrow.installation.running import RunningSettings
from stores import opening
from trackers.alerts.channel import ChannelContext, open_channel
from trackers.registry import make_tracker, values_by_project
from trackers.ticket_making import check_templates
from trackers.ticket_plan import load_ticket_plan
from trackers.transport import Reach

_SHOWN: Final = 8


class TrackerAnswer(NamedTuple):
    """Result of the check of a tracker: whether it accepts tickets (None: it is not configured), and the reason."""

    accepts_tickets: bool | None
    message: str


def ask_tracker(name: str, settings: Settings, incidents_url: str | None) -> TrackerAnswer:
    """Check whether the tracker ``name`` accepts tickets. Nothing is changed there.

    ``incidents_url``: the incident store, which has the projects' tracker settings; None if it does not run.
    """
    kind = find_tracker_kind(name)
    at = _address_prefix(str(getattr(settings, kind.address))) if kind else ""
    try:
        projects = _read_project_settings(incidents_url)
        tracker = make_tracker(name, settings, lambda setting: values_by_project(setting, projects))
        if tracker is None:
            return TrackerAnswer(None, "not configured; tickets are logged and stay pending")
        with closing(tracker):
            check_templates(load_ticket_plan(settings.ticket_fields))
            return TrackerAnswer(True, f"{at}{tracker.check_access()}")
    except TransientError as error:
        wait = f"; it asks to wait {error.retry_after:,.0f} s" if error.retry_after else ""
        return TrackerAnswer(False, f"{at}{error}{wait}")
    except FurrowError as error:
        return TrackerAnswer(False, f"{at}{error}")


def _address_prefix(url: str) -> str:
    """The address of a tracker and a colon, without a user or a password; '' if ``url`` is not an address."""
    try:
        parts = urlsplit(url.strip())
        place = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
    except ValueError:
        return ""
    return f"{parts.scheme}://{place}{parts.path.rstrip('/')}: " if parts.scheme and place else ""


def describe_differences(running: RunningSettings | None, settings: Settings) -> str:
    """The settings of this shell that differ from those of the running ``furrow up``; '' if none does."""
    found = running.find_differences(settings) if running else []
    more = f" and {len(found) - _SHOWN:,} more" if len(found) > _SHOWN else ""
    return "; ".join(difference.to_message() for difference in found[:_SHOWN]) + more


def list_unknown_variables() -> list[str]:
    """Variables that look like settings but are not, one line each."""
    return [variable.to_message() for variable in misspelt_variables.find_misspelt_variables()]


def check_channels(settings: Settings) -> list[tuple[str, bool, str]]:
    """The channels of alerts: the name, whether its URL is a channel that is allowed, and what it is or what is wrong."""
    context = ChannelContext(Reach.from_setting(settings.tracker_private_networks), settings.alert_slack_url)
    checked = []
    for name, url in parse_channels(settings.alert_urls).items():
        try:
            with closing(open_channel(url, context)) as channel:
                checked.append((name, True, channel.check_address()))
        except FurrowError as error:
            checked.append((name, False, str(error)))
    return checked


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
        count_degraded("doctor", "projects")  # reported by the finding about the incident store
        return []
