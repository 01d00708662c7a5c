"""Floods of new incidents: release incidents that independent sources have shown, and warn about the others."""

from collections.abc import Sequence
from typing import Final

from prefect import task
from prefect.events import emit_event

from blocks.documents import effective_settings
from core.metrics import count_degraded
from stores.incidents.incident_store import Flood
from stores.incidents.log_incident_store import LogIncidentStore
from tasks import connections
from tasks.lag import RESOURCE
from tasks.report import escape_markdown
from tasks.retrying import POLICY
from tasks.thresholds import confirm_rules, read_project_thresholds

EXCEEDED: Final = "furrow.incidents.flood"
"""Event of Prefect: a project has more new incidents than its budget, and new ones are held back. The automation for it is in
furrow/engine/automations.py."""


@task(name="review floods", **POLICY)
def review_floods() -> list[Flood]:
    """Release incidents that independent sources have shown; returns the floods that continue or have held incidents."""
    store = connections.incident_store()
    if isinstance(store, LogIncidentStore):
        return []
    found = [flood for flood in store.floods.list_floods() if flood.held or flood.lasts]
    if any(flood.held for flood in found) and store.floods.release_flood_incidents(
        confirm_rules(read_project_thresholds(store))
    ):
        found = [flood for flood in store.floods.list_floods() if flood.held or flood.lasts]
    return found


def flood_lines(floods: Sequence[Flood]) -> list[str]:
    """One Markdown line for each flood, for the artifact of a run."""
    return [f"**{escape_markdown(flood.project)}**: {escape_markdown(describe_flood(flood))}" for flood in floods]


def describe_flood(flood: Flood) -> str:
    """What happened, and what to do, for people."""
    seen = (
        f"{flood.incidents:,} new incidents from {flood.since:%Y-%m-%d %H:%M} to {flood.until:%H:%M} UTC, more than the"
        f" {flood.budget:,} an hour that this project may have"
    )
    if not flood.held:
        return f"{seen}; new ones are held back from export until independent sources show them"
    return (
        f"{seen}; {flood.held:,} are held back from export: look at them with `furrow incidents list --held`, confirm what is"
        " real (`furrow incidents release` lets all of a project through)"
    )


def warn_of_floods(floods: Sequence[Flood]) -> None:
    """Emit the event for each project with a continuing flood. Prefect warns at most every 30 minutes."""
    place = effective_settings().data_dir.resolve().name
    for flood in floods:
        if not flood.lasts:
            continue
        try:
            emit_event(
                event=EXCEEDED,
                resource={"prefect.resource.id": f"{RESOURCE}.{place}", "prefect.resource.name": place},
                payload={"message": f"project {flood.project}: {describe_flood(flood)}", "held": flood.held},
            )
        except Exception:
            # The artifact and `furrow doctor` report it, too; a run must not fail because of its warning.
            count_degraded("flood", "event")
