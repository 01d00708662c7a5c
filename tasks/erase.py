"""Erase a person everywhere, so that no data of theirs comes back.

The order matters. First, accepted events must have landed; otherwise a segment would bring them back. Then the sessions are
found, before the data that identifies them is deleted. Then they are deleted, events first, so that later runs do not see
them; and again after earlier runs have ended, because these may have written what they had read. Files and texts are last,
when nothing writes the names any more.
"""

import logging
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypedDict

from prefect import task
from prefect.artifacts import Artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterState, FlowRunFilterStateType
from prefect.client.schemas.objects import StateType
from prefect.context import FlowRunContext

from collector.spool import erasure
from collector.spool.erasure import Person
from core.errors import NotConfigured, PermanentError, TransientError
from core.metrics import count_degraded
from core.plurals import format_count
from core.settings import Settings
from stores.events import event_erasure
from stores.incidents import incident_erasure
from stores.incidents.log_incident_store import LogIncidentStore
from tasks import connections
from tasks.masking import MARK, Names, mask_file, mask_prefect_database
from tasks.retrying import POLICY
from tasks.stopping import raise_if_stopped
from tasks.thresholds import confirm_rules, read_project_thresholds

LANDING_SECONDS = 180.0
RUNS_SECONDS = 900.0
_POLL_SECONDS: Final = 0.5
_RECOUNT_SECONDS: Final = 3_600.0  # longer than ClickHouse takes to delete rows
_LOGS_ARRIVE_SECONDS: Final = 3.0  # a run's log lines reach Prefect up to 2 s late
_PAGE: Final = 200
_ACTOR: Final = "flow erase"
"""The flow does not know who started it: a person with the command, or in Prefect's UI."""
_log = logging.getLogger("furrow.erase")


@task(name="wait until the spool has landed")
def wait_until_landed() -> None:
    """Wait until every event that was accepted before now is in the event store (or set aside).

    Raises TransientError if that takes longer than ``LANDING_SECONDS``. Does nothing with the event store ``log``.
    """
    spool = Settings().spool_dir
    before = erasure.list_waiting_segments(spool)
    end = time.monotonic() + LANDING_SECONDS
    # An open segment is renamed when it is sealed: segments that are sealed a little later belong to the earlier ones, too.
    before |= _wait_until_sealed(spool, before)
    while (left := before & erasure.list_waiting_segments(spool)) and _is_landing():
        raise_if_stopped()
        if time.monotonic() > end:
            raise TransientError(f"{len(left)} spool segments have not landed yet; run it again when they have")
        time.sleep(_POLL_SECONDS)


@task(name="find the sessions", **POLICY)
def find_person(project: str, session_id: str | None, user_hash: str) -> Person:
    """The person: the named session, or every client session in which the user appears."""
    sessions = {session_id} if session_id else set()
    if user_hash:
        sessions |= erasure.find_user_sessions(Settings().spool_dir, project, user_hash)
        incidents = connections.incident_store()
        if not isinstance(incidents, LogIncidentStore):
            sessions |= incidents.erasure.find_user_sessions(project, user_hash)
        try:
            sessions |= event_erasure.find_user_sessions(connections.event_store(), project, user_hash)
        except NotConfigured:
            _log.info("the event store is log-only: the spool was searched instead")
    _log.info("%d sessions are to be erased", len(sessions))
    return Person(project, frozenset(sessions), user_hash)


@task(name="erase events", **POLICY)
def erase_events(person: Person) -> Counter[str]:
    """Delete the events and the session rows; with a log-only event store, delete the events in the spool."""
    try:
        store = connections.event_store()
    except NotConfigured:
        return Counter({"events in the spool": erasure.erase_segments(Settings().spool_dir, person)})
    sessions = sorted(person.sessions)
    counted = event_erasure.find_counted_steps(store, person.project, sessions)
    # Before the rows are gone, for they alone show what has to be counted anew; if this run ends early, the later one does it.
    _put_counts_in_line(counted, delay_s=_RECOUNT_SECONDS)
    gone = event_erasure.erase_session_events(store, person.project, sessions)
    _put_counts_in_line(counted)
    return Counter({"events": gone.events, "analysed sessions": gone.sessions})


def _put_counts_in_line(counted: event_erasure.CountedSteps, delay_s: float = 0) -> None:
    """Have the counts of sessions that reached these steps made anew (tasks/impact.py)."""
    incidents = connections.incident_store()
    if counted.slots and not isinstance(incidents, LogIncidentStore):
        incidents.reach.recount_slots(sorted(counted.slots), sorted(counted.steps), delay_s)


@task(name="erase detections", **POLICY)
def erase_detections(person: Person) -> incident_erasure.ErasedIncidentData:
    """Delete detections with their timelines, queued and failed sessions; recount the incidents."""
    store = connections.incident_store()
    if isinstance(store, LogIncidentStore) or not (person.sessions or person.user_hash):
        return incident_erasure.ErasedIncidentData()
    return store.erasure.erase_sessions(
        person.project, sorted(person.sessions), person.user_hash, confirm_rules(read_project_thresholds(store))
    )


@task(name="wait for the runs that began before", **POLICY)
def wait_for_runs() -> None:
    """Wait until the active runs have ended, because they may hold erased data.

    Raises PermanentError if that takes longer than ``RUNS_SECONDS``.
    """
    before = _active_run_ids()
    end = time.monotonic() + RUNS_SECONDS
    while left := before & _active_run_ids():
        raise_if_stopped()
        if time.monotonic() > end:
            raise PermanentError(f"{format_count(len(left), 'earlier run')} still active; run it again later")
        time.sleep(_POLL_SECONDS)


@task(name="erase from files", **POLICY)
def erase_files(person: Person) -> Counter[str]:
    """Delete the person from dead letters and the spool's quarantine."""
    spool = Settings().spool_dir
    return Counter(
        {
            "dead letters": erasure.erase_dead_letters(spool, person),
            "events in the quarantine": erasure.erase_quarantine(spool, person),
        }
    )


@task(name="erase from logs", **POLICY)
def erase_names(person: Person) -> Counter[str]:
    """Replace the ids in log files and in Prefect's logs, artifacts and parameters, including those of this run."""
    time.sleep(_LOGS_ARRIVE_SECONDS)
    settings = Settings()
    names = Names(person.sessions, [person.user_hash])
    prefect = settings.prefect_dir / "prefect.db"
    rows = mask_prefect_database(prefect, names)
    if not prefect.exists():
        _forget_parameters()
    logs = sum(mask_file(path, names) for path in _list_log_files(settings))
    return Counter({"mentions in log files": logs, "logs and artifacts of runs": rows})


class ErasedTicket(TypedDict):
    """A ticket that may name an erased session."""

    incidentId: str
    tracker: str
    key: str
    url: str | None


@task(name="note the erasure", **POLICY)
def note_erasure(project: str, what: str, summary: "ErasureSummary", complete: bool) -> None:
    """Add the erasure to the audit log, without a name: ``what`` is `a session` or `a user`."""
    store = connections.incident_store()
    if isinstance(store, LogIncidentStore):
        return
    removed = ", ".join(f"{count:,} {place}" for place, count in summary["removed"].items() if count)
    reason = f"removed: {removed or 'nothing'}" + ("" if complete else "; not complete")
    store.audit.add_audit_entry(_ACTOR, "data.erased", project, what, reason)


class ErasureSummary(TypedDict):
    """What an erasure removed: numbers by place, incidents, and tickets to look at."""

    removed: dict[str, int]
    incidentsCountedAgain: int
    incidentsWithNobodyLeft: int
    tickets: list[ErasedTicket]


class ErasureResult(ErasureSummary):
    """The result for programs; ``projects``: those that exist; ``complete``: every step was done."""

    sessions: int
    projects: list[str]
    complete: bool


def summarize_erasure(
    erased: Sequence[Counter[str]], found: Sequence[incident_erasure.ErasedIncidentData]
) -> ErasureSummary:
    """The totals by place, and the tickets of these incidents."""
    counts: Counter[str] = Counter()
    for counter in erased:
        counts.update(counter)
    for entry in found:
        counts.update(
            {
                "detections": entry.detections,
                "sessions in line": entry.pending,
                "sessions given up": entry.dead,
                "verdicts": entry.verdicts,
                "exceptions": entry.exemptions,
            }
        )
    tickets = {(t.tracker, t.key): t for entry in found for t in entry.tickets}
    first = found[0] if found else incident_erasure.ErasedIncidentData()
    return {
        "removed": dict(counts),
        "incidentsCountedAgain": first.incidents,
        "incidentsWithNobodyLeft": first.emptied,
        "tickets": [
            {"incidentId": t.incident_id, "tracker": t.tracker, "key": t.key, "url": t.url} for t in tickets.values()
        ],
    }


def publish_erasure(result: ErasureResult) -> None:
    """Attach the result to the run, for ``furrow erase --json``."""
    try:
        Artifact(type="json", data=dict(result), description="The result, for programs").create()
    except Exception:
        # The artifact for people holds the same.
        count_degraded("erase", "artifact")
        _log.exception("the result of this run could not be written")


def _is_landing() -> bool:
    try:
        connections.event_store()
    except NotConfigured:
        return False
    return True


def _wait_until_sealed(spool: Path, before: set[str]) -> set[str]:
    """The segments after the open ones have been sealed, or after 10 s; a collector seals after 1 s."""
    opened = {name for name in before if name.endswith(".open")}
    end = time.monotonic() + 10
    while opened & (now := erasure.list_waiting_segments(spool)) and time.monotonic() < end:
        raise_if_stopped()
        time.sleep(_POLL_SECONDS)
    return now if opened else set()


def _active_run_ids() -> set[str]:
    going = FlowRunFilterStateType(any_=[StateType.RUNNING, StateType.CANCELLING])
    which = FlowRunFilter(state=FlowRunFilterState(type=going))
    context = FlowRunContext.get()
    own = context.flow_run.id if context and context.flow_run else None
    with get_client(sync_client=True) as client:
        return {str(run.id) for run in client.read_flow_runs(flow_run_filter=which, limit=_PAGE) if run.id != own}


def _forget_parameters() -> None:
    context = FlowRunContext.get()
    if context and context.flow_run:
        with get_client(sync_client=True) as client:
            client.update_flow_run(context.flow_run.id, parameters=dict.fromkeys(context.flow_run.parameters, MARK))


def _list_log_files(settings: Settings) -> list[Path]:
    paths = [path for folder in ("logs", "last-errors") for path in sorted((settings.data_dir / folder).glob("*"))]
    return [*paths, settings.postgres_dir / "server.log"]
