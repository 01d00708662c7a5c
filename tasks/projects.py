"""Checks whether the project that a run was started for exists: for an unknown project, an empty result would look right."""

import logging

from prefect import task

from core.errors import NotConfigured
from core.known_projects import check_project
from stores.events import event_explain
from stores.incidents.log_incident_store import LogIncidentStore
from tasks import connections
from tasks.report import Report
from tasks.retrying import POLICY

_log = logging.getLogger("furrow.projects")


@task(name="known projects", **POLICY)
def find_known_projects(project: str) -> list[str]:
    """The projects that exist; none if the incident store is log-only.

    The events are searched only if the incident store does not have ``project``. They count because incidents of a lost
    incident store can be made again from them.
    """
    store = connections.incident_store()
    if isinstance(store, LogIncidentStore):
        return []
    known = store.keys.list_known_projects()
    if project not in known:
        try:
            known = sorted({*known, *event_explain.list_event_projects(connections.event_store())})
        except NotConfigured:
            _log.info("the event store is log-only: only the projects of the incident store are known")
    return known


def check_run_project(report: Report, project: str | None) -> bool:
    """Whether the run may go on; '' and None stand for all projects. False, and recorded, if the stores do not answer.

    Raises PermanentError for a project that does not exist.
    """
    if not project:
        return True
    known = report.run_step(find_known_projects, project)
    if known:
        check_project(project, known)
    return known is not None
