"""Count how many sessions reached the steps of incidents, and how many the incidents hit (docs/impact.md).

A run counts the client sessions that were recorded since the last count, and the incidents that are new or fixed since then.
What was recorded within the last few minutes may wait: most of the cost is of the count, not of the sessions. If it fails,
nothing is counted and all of it stays in line for the next run.
"""

import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import numpy as np
import pyarrow as pa
from prefect import task

from core.errors import NotConfigured
from stores.events.event_store import EventStore
from stores.events.session_steps import (
    NEVER_MS,
    STEP_COLUMNS,
    Buckets,
    WatchedIncident,
    count_reached,
    read_counted_sessions,
    read_sessions,
    read_used_steps,
    record_session_steps,
)
from stores.incidents.incident_detection import parse_browser_name
from stores.incidents.incident_reach import (
    MOST_BATCHES,
    IncidentStep,
    ReachCount,
    ReachLedger,
    SessionHit,
    WaitingBatch,
    compute_incident_code,
)
from stores.incidents.incident_store import IncidentStore
from stores.incidents.log_incident_store import LogIncidentStore
from tasks import connections
from tasks.retrying import POLICY
from tasks.seen_versions import note_seen_versions
from tasks.stopping import raise_if_stopped
from ufse.agents import is_machine_agent
from ufse.steps import UsedSteps, identify_step

SESSIONS: Final = 20_000
"""Client sessions from which on no further recorded batch is counted with them (own choice)."""
NEW_INCIDENTS: Final = 500
"""New incidents that are counted at once: one query over the stored steps (own choice)."""


@dataclass
class CountedReach:
    """What one call counted: client sessions, incidents counted for the first time or since a new fix, fixes confirmed now.

    ``left``: client sessions that still wait. ``busy``: another run counts at the moment.
    """

    sessions: int = 0
    incidents: int = 0
    confirmed: list[str] = field(default_factory=list)
    left: int = 0
    busy: bool = False


@task(name="count impact", **POLICY)
def count_impact(seconds: float, wait_s: float = 0) -> CountedReach:
    """Count what waits, part by part; each is committed. Begins no further one after ``seconds``.

    Counts nothing as long as all sessions that wait have waited less than ``wait_s`` seconds and are few. With a store that is
    log-only there is nothing to count.
    """
    incidents, done, until = connections.incident_store(), CountedReach(), time.monotonic() + seconds
    if isinstance(incidents, LogIncidentStore):
        return done
    try:
        events = connections.event_store()
    except NotConfigured:
        return done  # the steps that need events say so
    if incidents.reach.may_wait(wait_s, SESSIONS):
        return done
    while _count_part(events, incidents, done) and time.monotonic() < until:
        raise_if_stopped()
    done.left = incidents.reach.count_waiting_sessions()
    return done


def _count_part(events: EventStore, incidents: IncidentStore, done: CountedReach) -> bool:
    """Count some waiting batches and new incidents in one transaction. Returns whether more may wait."""
    with incidents.reach.open_count() as count:
        if count is None:
            done.busy = True
            return False
        waiting = count.take_waiting(SESSIONS)
        changed = _record_batches(events, incidents.reach, count, waiting)
        new = _begin_new_incidents(count)
        _count_incidents(events, count, new, None)
        begun = {step.incident_id for step in new}
        old = [step for step in count.find_incidents_of_steps(sorted(changed.steps)) if step.incident_id not in begun]
        _count_incidents(events, count, old, Buckets.of_slots(sorted(changed.slots), count.horizon_ms))
        confirmed = count.note_confirmed_fixes([step.incident_id for step in (*new, *old)])
        count.remove_waiting(waiting)
    sessions = sum(len(batch.hashes) for batch in waiting)
    done.sessions += sessions
    done.incidents += len(new)
    done.confirmed += confirmed
    # As `take_waiting` weighs them: one more for each batch.
    return sessions + len(waiting) >= SESSIONS or len(waiting) == MOST_BATCHES or len(new) == NEW_INCIDENTS


@dataclass
class _Changed:
    """The slots and steps of which sessions changed."""

    slots: set[int] = field(default_factory=set)
    steps: set[int] = field(default_factory=set)


def _record_batches(
    events: EventStore, ledger: ReachLedger, count: ReachCount, waiting: Sequence[WaitingBatch]
) -> _Changed:
    """Write which steps the sessions of these batches reached. Returns where counts change."""
    changed = _Changed()
    for batch in waiting:
        changed.slots.update(batch.slots)
        changed.steps.update(batch.steps)
    hashes = sorted({session for batch in waiting for session in batch.hashes})
    if not hashes:
        return changed
    first = min(batch.first_received_ms for batch in waiting if batch.hashes)
    before = read_counted_sessions(events, hashes, first)
    sessions = read_sessions(events, hashes, first)
    used = read_used_steps(events, sessions, first)
    rows = build_step_rows(sessions, used, count.find_hits(_list_session_keys(sessions)), time.time_ns() // 1000)
    rows = pa.concat_tables([rows, _build_empty_rows(before, rows)])
    _keep_lost_steps(ledger, before, rows)
    note_seen_versions(events, count.versions, sessions, rows)
    record_session_steps(events, rows)
    for table in (before, rows):
        changed.slots.update(table["slot_ms"].to_pylist())
        changed.steps.update(_list_distinct_steps(table))
    return changed


def _keep_lost_steps(ledger: ReachLedger, before: pa.Table, rows: pa.Table) -> None:
    """Put the steps in line that the sessions no longer reach: a run that fails after this has overwritten what shows them."""
    lost = _list_distinct_steps(before) - _list_distinct_steps(rows)
    if lost:
        ledger.recount_slots(sorted(set(before["slot_ms"].to_pylist())), sorted(lost))


def _list_distinct_steps(table: pa.Table) -> set[int]:
    return set(table["steps"].combine_chunks().flatten().unique().to_pylist())


def _list_session_keys(sessions: pa.Table) -> list[tuple[str, str]]:
    return list(zip(sessions["project"].to_pylist(), sessions["session_id"].to_pylist(), strict=True))


def build_step_rows(sessions: pa.Table, used: UsedSteps, hits: Iterable[SessionHit], counted_us: int) -> pa.Table:
    """Rows of ``STEP_COLUMNS``, one for each of the ``sessions`` (``read_sessions``) of a person.

    A session also reached the steps of what hit it.
    """
    agents = sessions["user_agent"].to_pylist()
    machine = {agent: is_machine_agent(agent) for agent in set(agents) if agent}
    people = np.array([not machine.get(agent, False) for agent in agents], dtype=np.bool_)
    steps = _list_steps(sessions["session_hash"].to_numpy(), used)
    codes: dict[int, list[int]] = defaultdict(list)
    place = {key: n for n, key in enumerate(_list_session_keys(sessions))}
    for hit in hits:
        n = place[hit.key]
        codes[n].append(compute_incident_code(hit.incident_id))
        step = identify_step(hit.key[0], hit.failure_point).code
        if step not in steps[n]:
            steps[n] = [*steps[n], step]
    browsers = {agent: parse_browser_name(agent) for agent in set(agents)}
    columns = {
        **{name: sessions[name] for name in STEP_COLUMNS.names[:6]},
        "browser": [browsers[agent] for agent in agents],
        "steps": pa.array(steps, pa.list_(pa.int64())),
        "hits": pa.array([codes[n] for n in range(len(agents))], pa.list_(pa.int64())),
        "counted_us": [counted_us] * len(agents),
    }
    return pa.Table.from_pydict(columns).cast(STEP_COLUMNS).filter(pa.array(people))


def _list_steps(hashes: np.ndarray, used: UsedSteps) -> list[list[int]]:
    """The steps of each session of ``hashes``, which are ascending."""
    low, high = np.searchsorted(used.session, hashes), np.searchsorted(used.session, hashes, side="right")
    steps = used.step.tolist()
    return [steps[a:b] for a, b in zip(low.tolist(), high.tolist(), strict=True)]


def _build_empty_rows(before: pa.Table, rows: pa.Table) -> pa.Table:
    """Rows without steps in place of those that ``rows`` do not replace: their session began in another slot, or is gone."""
    kept = set(zip(rows["slot_ms"].to_pylist(), rows["session_hash"].to_pylist(), strict=True))
    gone = [row for row in before.to_pylist() if (row["slot_ms"], row["session_hash"]) not in kept]
    now = time.time_ns() // 1000
    nothing = {"project": "", "started_ms": 0, "app_version": "", "environment": "", "browser": ""}
    return pa.Table.from_pylist(
        [{**nothing, **row, "steps": [], "hits": [], "counted_us": now} for row in gone], schema=STEP_COLUMNS
    )


def _begin_new_incidents(count: ReachCount) -> list[IncidentStep]:
    """The incidents that are not counted yet, or not since their last fix, with their steps."""
    steps = []
    for incident in count.list_uncounted_incidents(NEW_INCIDENTS):
        step = identify_step(incident.project, incident.failure_point)
        code = compute_incident_code(incident.incident_id)
        steps.append(
            IncidentStep(
                incident.incident_id, code, step.code, incident.fixed_at, step.kind, incident.project, incident.fix
            )
        )
    if steps:
        count.set_steps(steps)
    return steps


def _count_incidents(
    events: EventStore, count: ReachCount, steps: Sequence[IncidentStep], buckets: Buckets | None
) -> None:
    """Replace the counts of these incidents in these buckets, or (None) in all."""
    if not steps:
        return
    id_of = {step.code: step.incident_id for step in steps}
    showing = count.versions.choose_showing_versions(
        {step.incident_id: (step.project, step.fix) for step in steps if step.fixed_at and str(step.fix)}
    )
    watched = [
        WatchedIncident(step.code, step.step, _to_ms(step.fixed_at), showing.get(step.incident_id)) for step in steps
    ]
    found = count_reached(events, watched, count.horizon_ms, buckets)
    slots, days = (None, []) if buckets is None else buckets
    count.replace_counts(id_of, found, slots, days)


def _to_ms(at: datetime | None) -> int:
    return NEVER_MS if at is None else round(at.timestamp() * 1000)
