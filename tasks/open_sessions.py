"""Look at the sessions that go on: what fails in them now is known in seconds, not when they are complete.

Only sessions in which something failed, with events since the last look, are asked about; only those whose newest events could
complete a detection, or that have an open one, are read. A look leaves the session in the queue for its analysis.
"""

import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from prefect import task

import ufse
from core.metrics import count_degraded, count_open_detections
from incidents.model import SessionKey
from stores.events import open_sessions
from stores.events.event_history import read_project_history
from stores.events.event_store import EventStore
from stores.incidents.incident_store import AnalysedSession, IncidentStore, OpenResult, PendingSession
from stores.incidents.log_incident_store import LogIncidentStore
from tasks import connections
from tasks.open_alerts import alert_of_open_incidents
from tasks.origins import add_origins
from tasks.project_routes import read_route_rules
from tasks.retrying import POLICY
from tasks.score import Answer, answers_by_session, session_spans
from tasks.stopping import raise_if_stopped
from tasks.thresholds import confirm_rules, engine_configs, read_project_thresholds
from ufse.config import Config
from ufse.open_visits import configure_open_visits, holds_while_open

_log = logging.getLogger("furrow.open_sessions")
_NOTHING: Final = OpenResult()


@dataclass(frozen=True)
class LookResult:
    """One batch of sessions that go on: how many were asked about, how many of them were read and judged, on how many the
    engine failed, how many are left for the next run, what was stored, and of how many incidents people were alerted."""

    asked: int = 0
    judged: int = 0
    failed: int = 0
    left: int = 0
    recorded: OpenResult = _NOTHING
    alerts: int = 0


@task(name="look", **POLICY)
def look_at_open_sessions(limit: int, seconds: float, shard: int = 0, shards: int = 1) -> LookResult:
    """Judge up to ``limit`` sessions of this shard that go on, as far as they have come, and alert people of what they show.

    Judging ends after ``seconds``, whatever is sent: what is left is looked at by the next run.

    In one transaction their open detections are replaced and incidents drafted. A session over which the engine fails keeps
    its open detections; its analysis records the failure. The first shard alerts for all of them.
    """
    store = connections.incident_store()
    if isinstance(store, LogIncidentStore):
        return LookResult()
    pending = store.queue.find_sessions_to_look_at(int(time.time() * 1000), limit, shard, shards)
    result = _look_at_batch(store, pending, time.monotonic() + seconds) if pending else LookResult()
    return replace(result, alerts=alert_of_open_incidents(store) if shard == 0 else 0)


def _look_at_batch(store: IncidentStore, pending: Sequence[PendingSession], until: float) -> LookResult:
    events = connections.event_store()
    thresholds = read_project_thresholds(store)
    configs = configure_open_visits(engine_configs(thresholds))
    wanted = _choose_sessions(pending, events, store, configs)
    answers, left = _judge_sessions(events, wanted, configs, until) if wanted else ({}, set())
    judged = {key: answer for key, answer in answers.items() if not answer.error}
    keys = {_key_of(session) for session in wanted}
    looked = [
        _build_looked_session(session, judged.get(_key_of(session), Answer()))
        for session in pending
        if _key_of(session) not in keys or _key_of(session) in judged
    ]
    unjudged = [
        AnalysedSession(session, ())
        for session in wanted
        if _key_of(session) not in judged and session.session_hash not in left
    ]
    recorded = store.ledger.record_open_detections(
        add_origins(looked, events, store), confirm_rules(thresholds), unjudged
    )
    count_open_detections(found=recorded.found, retracted=recorded.retracted)
    return LookResult(len(pending), len(judged), len(answers) - len(judged), len(left), recorded)


def _choose_sessions(
    pending: Sequence[PendingSession], events: EventStore, store: IncidentStore, configs: Mapping[str, Config]
) -> list[PendingSession]:
    """Those that have an open detection, and those whose newest events could hold one."""
    burst = open_sessions.Burst(
        min(config.rage_clicks for config in configs.values()),
        max((config.rage_clicks - 1) * config.rage_gap_ms for config in configs.values()),
        min(config.rage_reloads for config in configs.values()),
    )
    known = store.detections.find_open_sessions([_key_of(session) for session in pending])
    hashes = [session.session_hash for session in pending if _key_of(session) not in known]
    struggling = open_sessions.find_struggling_sessions(events, hashes, int(time.time() * 1000), burst)
    return [session for session in pending if _key_of(session) in known or session.session_hash in struggling]


def _judge_sessions(
    events: EventStore, wanted: Sequence[PendingSession], configs: Mapping[str, Config], until: float
) -> tuple[dict[SessionKey, Answer], set[int]]:
    """The engine's answers, and the hashes of the sessions that are left when the time is over. Sessions that are too long to
    be looked at are in neither."""
    hashes = [session.session_hash for session in wanted]
    first = events.find_first_receipt(hashes, min(session.received_ms for session in wanted))
    # The same history as for their analysis when they are complete; a look adds nothing to it.
    projects = [session.project for session in wanted]
    history = replace(
        read_project_history(events, projects, int(time.time() * 1000)), routes=read_route_rules(projects)
    )
    found: dict[SessionKey, Answer] = {}
    left: set[int] = set()
    for batch in open_sessions.plan_open_batches(events, hashes, first):
        raise_if_stopped()
        if time.monotonic() > until:
            left.update(batch.hashes)
            continue
        table = events.read_candidate_events(batch.hashes, batch.first_received_ms, batch.last_received_ms)
        answers = answers_by_session(ufse.detect_each(table, configs, why_not=True, history=history))
        spans = session_spans(table)
        for key, first_ms in zip(spans.keys, spans.table["received_ms_min"].to_pylist(), strict=True):
            answers[key].first_ms = first_ms
            if answers[key].error:
                # Its analysis, when it is complete, records the failure and tries again.
                count_degraded("look", "engine_failed")
                _log.warning(
                    "the engine failed over a session that goes on: %s", json.dumps([*key, answers[key].error])
                )
        found.update(answers)
    return found, left


def _build_looked_session(session: PendingSession, answer: Answer) -> AnalysedSession:
    held = tuple(detection for detection in answer.detections if holds_while_open(detection))
    return AnalysedSession(session, held, answer.visits, first_ms=answer.first_ms, rules=tuple(answer.rules))


def _key_of(session: PendingSession) -> SessionKey:
    return session.project, session.session_id
