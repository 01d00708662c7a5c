"""A window of past events and another configuration of the engine → which detections would appear, vanish or change."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from prefect import flow
from prefect.client.schemas.objects import State

from core.engine_settings import checked
from core.errors import FurrowError
from core.time_window import parse_window
from tasks.backfill import Window
from tasks.replay import (
    WOULD,
    Configurations,
    Differences,
    compare_configurations,
    configurations,
    events_of,
    leave,
    result,
    sessions_of,
)
from tasks.report import Report, code, escape

_SHOWN = 20


@flow(name="replay")
def replay(config: dict[str, Any], window: str = "7d", project: str | None = None) -> State[Any]:
    """Try another configuration of the engine on stored sessions: which detections would appear, vanish or change.

    Nothing is stored but this run's artifacts; a backfill with changed settings of the projects is what changes detections.

    Args:
        config: What would be set: thresholds, weights, ignored_routes, ignored_targets; under projects, the same by project.
        window: Time of the events: the last 7d, 24h, 90m; or 2026-01-01..2026-01-08, the end not included (UTC).
        project: Only sessions of this project; empty for all.
    """
    checked(config, "config")
    span = Window(*parse_window(window, datetime.now(UTC)), project)
    report = Report("replay")
    found = Differences()
    tried = report.attempt(configurations, config)
    sessions = report.attempt(sessions_of, span) if tried is not None else None
    if tried is None or sessions is None:
        return report.finish()
    same = sum(count for name, count in sessions.complete.items() if not tried.differs(name))
    report.counts["sessions in the window"] = sum(sessions.complete.values()) + len(sessions.open)
    report.counts["sessions that may still go on, left out"] = len(sessions.open)
    report.counts["sessions whose configuration stays the same"] = same
    if not _compare(report, events_of(span, sessions, tried), tried, found):
        report.pending.append("the rest of the window was not looked at")
    _tell(report, tried, found)
    leave(result(span, tried, report.counts, found))
    return report.finish()


def _compare(report: Report, batches: Iterator[pa.Table], tried: Configurations, found: Differences) -> bool:
    """Add up what differs, batch by batch; whether that is all of them."""
    try:
        for events in batches:
            more = report.attempt(compare_configurations, events, tried)
            if more is None:
                return False
            found.merge(more)
    except FurrowError as error:
        # Not tried again: it began in the middle of a window. What was compared before holds.
        report.fail("read the sessions", error)
        return False
    return True


def _tell(report: Report, tried: Configurations, found: Differences) -> None:
    report.counts["sessions with possible feedback, compared"] = found.sessions
    report.counts["sessions that the engine failed over, left out"] = found.failed
    report.counts["detections now"] = found.now
    report.counts["detections with the new configuration"] = found.then
    for kind, would in WOULD.items():
        report.counts[f"detections that would {would}"] = found.kinds[kind]
    rules = [f"{escape(rule)}: {count:,}" for rule, count in found.rules.most_common()]
    report.items("Rules that would stop them", rules)
    for kind, would in WOULD.items():
        shown, total = found.of_kind(kind)[:_SHOWN], found.kinds[kind]
        lines = [one.line() for one in shown] or ["None."]
        title = f"Would {would}" if len(shown) == total else f"Would {would}, {len(shown)} of {total:,}"
        report.items(title, lines)
    points = found.by_point()
    lines = [_point(*one) for one in points[:_SHOWN]]
    more = f", {len(lines)} of {len(points):,}" if len(points) > len(lines) else ""
    report.items(f"By failure point{more}", lines)
    digests = tried.digests()
    lines = [
        f"{escape(one['project'] or 'all others')}: {code(one['present'])} → {code(one['new'])}" for one in digests
    ]
    report.items("Configurations by project, now and new", lines)


def _point(project: str, point: str, counts: Mapping[str, int]) -> str:
    told = ", ".join(f"{counts[kind]:,} would {would}" for kind, would in WOULD.items() if counts[kind])
    return f"{escape(point)} ({escape(project)}): {told}"
