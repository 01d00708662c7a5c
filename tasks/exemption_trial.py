"""Replay a proposed exception over stored sessions, before a person decides about it. It changes nothing but its result."""

import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

import pyarrow as pa
from prefect import task

import ufse
from core.errors import NotConfigured
from core.metrics import count_degraded
from incidents.lifecycle import EXPORTABLE, ConfirmRule
from incidents.verdicts import IncidentTrial, TrialResult, settle_sessions
from stores.events.event_history import read_project_history
from stores.incidents.exemption_ledger import StoredExemption
from stores.incidents.incident_store import IncidentStore
from stores.incidents.log_incident_store import LogIncidentStore
from tasks import connections
from tasks.backfill import Window
from tasks.replay import Configurations, find_replay_sessions, read_replay_events
from tasks.retrying import POLICY
from tasks.stopping import raise_if_stopped
from tasks.thresholds import confirm_rules, engine_configs, read_project_thresholds
from ufse.config import DEFAULT

TRIAL_DAYS: Final = 14
"""Days of stored events that a replay covers: as long as near misses are kept."""
TRIAL_SECONDS: Final = 30.0
"""Time after which a replay begins no further batch. The result then says that it is not complete."""
_SHOWN_INCIDENTS: Final = 50
_log = logging.getLogger("furrow.exceptions")

SessionPoint = tuple[str, str]
"""A session id and the fingerprint of a failure point."""


@dataclass
class Compared:
    """What sessions show without and with an exception."""

    analysed: int = 0
    failed: int = 0
    vanished: set[SessionPoint] = field(default_factory=set)
    appeared: set[SessionPoint] = field(default_factory=set)
    complete: bool = True


@task(name="try exceptions", **POLICY)
def try_exemptions(seconds: float = TRIAL_SECONDS) -> str | None:
    """Replay the exception that waits longest. Returns what was found, in words; None when none waits.

    What fails stays in line: the next run begins anew. With a store that is log-only there is nothing to try.
    """
    store = connections.incident_store()
    if isinstance(store, LogIncidentStore):
        return None
    asked = store.exemptions.find_asked_exemption()
    if asked is None:
        return None
    try:
        exemption = asked.build()
    except ValueError as error:
        count_degraded("exceptions", "unusable")
        _log.warning("the exception %s is unusable: %s", asked.exemption_id, error)
        store.exemptions.reject_unusable(asked, f"this version of Furrow cannot read it: {error}")
        return f"{asked.exemption_id} cannot be read and is rejected"
    try:
        connections.event_store()
    except NotConfigured:
        return None  # the steps that need events say so
    overrides = read_project_thresholds(store)
    present = engine_configs(overrides)
    own = present.get(asked.project, present.get("", DEFAULT))
    new = replace(own, exemptions=(*own.exemptions, exemption))
    end = datetime.now(UTC)
    window = Window(end - timedelta(days=TRIAL_DAYS), end, asked.project)
    compared = _replay_window(window, Configurations(present, {**present, asked.project: new}), seconds)
    rules = confirm_rules(overrides)
    result = _build_result(store, window, compared, rules.get(asked.project, rules[""]))
    saved = store.exemptions.save_trial_result(asked, result)
    return (
        _describe_trial(asked, exemption.describe(), result) if saved else f"{asked.exemption_id} was decided meanwhile"
    )


def _replay_window(window: Window, tried: Configurations, seconds: float) -> Compared:
    compared, until = Compared(), time.monotonic() + seconds
    sessions = find_replay_sessions.fn(window)
    for events in read_replay_events(window, sessions, tried):
        raise_if_stopped()
        if time.monotonic() > until:
            compared.complete = False
            break
        if events.num_rows:
            _compare_batch(events, tried, compared)
    return compared


def _compare_batch(events: pa.Table, tried: Configurations, compared: Compared) -> None:
    projects = events["project"].cast(pa.string()).unique().to_pylist()
    history = read_project_history(connections.event_store(), projects, time.time_ns() // 1_000_000)
    now, then = (ufse.detect_each(events, config, history=history) for config in (tried.present, tried.new))
    failed = {error["sessionId"] for answer in (now, then) for error in answer.errors}
    before, after = (_find_points(answer, failed) for answer in (now, then))
    compared.analysed += events.group_by(["project", "session_id"]).aggregate([]).num_rows - len(failed)
    compared.failed += len(failed)
    compared.vanished |= before - after
    compared.appeared |= after - before


def _find_points(answer: ufse.Result, failed: set[str]) -> set[SessionPoint]:
    bodies = (detection.to_json() for detection in answer.detections)
    return {(body["sessionId"], body["fingerprint"]) for body in bodies if body["sessionId"] not in failed}


def _build_result(store: IncidentStore, window: Window, compared: Compared, rule: ConfirmRule) -> TrialResult:
    silenced = {session for session, _ in compared.vanished}
    judged: dict[str, set[bool]] = defaultdict(set)
    for verdict in settle_sessions(store.verdicts.list_verdicts(window.project))[0]:
        judged[verdict.session_id].add(verdict.frustrated)
    incidents = _list_incidents(store, sorted(compared.vanished), rule)
    return {
        "start": window.start.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "end": window.end.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "analysed": compared.analysed,
        "complete": compared.complete,
        "failed": compared.failed,
        "silenced": len(silenced),
        "appeared": len({session for session, _ in compared.appeared}),
        "confirmedByPerson": sum(True in judged.get(session, ()) for session in silenced),
        "refutedByPerson": sum(judged.get(session) == {False} for session in silenced),
        "incidents": incidents[:_SHOWN_INCIDENTS],
        "incidentsBelow": sum(incident["below"] for incident in incidents),
    }


def _list_incidents(store: IncidentStore, vanished: Sequence[SessionPoint], rule: ConfirmRule) -> list[IncidentTrial]:
    """The stored incidents of these failure points. Sessions that are not stored there (yet) count for none."""
    left = store.exemptions.count_left([(f"inc_{fingerprint}", session) for session, fingerprint in vanished])
    return [
        {
            "incidentId": incident.incident_id,
            "title": incident.title,
            "status": incident.status,
            "silenced": incident.silenced,
            "left": incident.sessions_left,
            "below": incident.status in EXPORTABLE
            and incident.sessions_left < rule.min_sessions
            and incident.users_left < rule.min_users,
        }
        for incident in left
        if incident.silenced
    ]


def _describe_trial(asked: StoredExemption, text: str, result: TrialResult) -> str:
    return (
        f"{asked.project}: “{text}” would silence {result['silenced']:,} of {result['analysed']:,} sessions, "
        f"{result['confirmedByPerson']:,} of them confirmed by a person; {result['incidentsBelow']:,} incidents would fall "
        "below confirmation"
    )
