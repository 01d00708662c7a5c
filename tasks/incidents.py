"""Incidents as lines of a run's artifact."""

from collections.abc import Sequence

from prefect import task

from blocks.documents import effective_settings
from stores.incidents.log_incident_store import LogIncidentStore
from tasks import connections
from tasks.report import escape_markdown, incident_link
from tasks.retrying import POLICY

_MOST = 50


@task(name="describe incidents", **POLICY)
def describe_incidents(incident_ids: Sequence[str]) -> list[str]:
    """One Markdown line for each of the first incidents: status, title, and id with a link to its page."""
    store = connections.incident_store()
    if isinstance(store, LogIncidentStore):
        return []
    pages_url = effective_settings().pages_url
    lines = []
    for incident_id in incident_ids[:_MOST]:
        if incident := store.incidents.read_incident(incident_id):
            link = incident_link(incident_id, pages_url)
            lines.append(f"**{escape_markdown(incident['status'])}** {escape_markdown(incident['title'])} ({link})")
    return lines
