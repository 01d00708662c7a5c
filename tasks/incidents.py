"""Incidents as lines of a run's artifact."""

from collections.abc import Sequence

from prefect import task

from tasks import connections
from tasks.report import code, escape
from tasks.retrying import POLICY

_MOST = 50


@task(name="describe incidents", **POLICY)
def describe(incident_ids: Sequence[str]) -> list[str]:
    """One Markdown line for each of the first incidents: status, title and id."""
    store = connections.incident_store()
    lines = []
    for incident_id in incident_ids[:_MOST]:
        if incident := store.incident(incident_id):
            lines.append(f"**{escape(incident['status'])}** {escape(incident['title'])} ({code(incident_id)})")
    return lines
