"""All routes of the collector. A new route module is added here, and described in docs/http-api.md."""

from typing import Any, Final

from collector.pages import (
    assets,
    assignment,
    audit,
    health,
    incident_list,
    near_misses,
    provider_sign_in,
    saved_views,
    session,
    settings,
    sign_in,
    ticket_preview,
)
from collector.pages import exceptions as exception_page
from collector.pages import incident as incident_page
from collector.pages import snoozing as snooze_forms
from collector.pages import verdicts as verdict_forms
from collector.routes import (
    decisions,
    docs,
    events,
    exceptions,
    grouping,
    incidents,
    releases,
    script,
    sessions,
    snoozing,
    status,
    streams,
    verdicts,
    webhooks,
)
from collector.routes.route import RouteGroup

GROUPS: Final[tuple[RouteGroup[Any], ...]] = (
    events.GROUP,
    streams.GROUP,
    script.GROUP,
    sessions.GROUP,
    incidents.GROUP,
    decisions.GROUP,
    verdicts.GROUP,
    snoozing.GROUP,
    exceptions.GROUP,
    grouping.GROUP,
    releases.GROUP,
    webhooks.GROUP,
    status.GROUP,
    provider_sign_in.GROUP,  # before sign_in, whose paths of links would match its own
    sign_in.GROUP,
    incident_list.GROUP,
    saved_views.GROUP,
    incident_page.GROUP,
    assignment.GROUP,
    snooze_forms.GROUP,
    ticket_preview.GROUP,
    verdict_forms.GROUP,
    session.GROUP,
    near_misses.GROUP,
    exception_page.GROUP,
    health.GROUP,
    audit.GROUP,
    settings.GROUP,
    assets.GROUP,
    docs.GROUP,
)
"""In the order of the documentation."""
