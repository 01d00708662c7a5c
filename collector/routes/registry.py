"""All routes of the collector. A new route module is added here, and described in docs/http-api.md."""

from typing import Any, Final

from collector.pages import assets, health, incident_list, near_misses, session, sign_in
from collector.pages import incident as incident_page
from collector.routes import docs, events, grouping, incidents, script, sessions, status, streams
from collector.routes.route import RouteGroup

GROUPS: Final[tuple[RouteGroup[Any], ...]] = (
    events.GROUP,
    streams.GROUP,
    script.GROUP,
    sessions.GROUP,
    incidents.GROUP,
    grouping.GROUP,
    status.GROUP,
    sign_in.GROUP,
    incident_list.GROUP,
    incident_page.GROUP,
    session.GROUP,
    near_misses.GROUP,
    health.GROUP,
    assets.GROUP,
    docs.GROUP,
)
"""In the order of the documentation."""
