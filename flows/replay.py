"""Replay a window of past events with another configuration: which detections would appear, vanish or change."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
from prefect import flow
from prefect.client.schemas.objects import State

from core.engine_settings import parse_engine_settings
from core.errors import FurrowError
from core.time_window import parse_window
from tasks.backfill import Window
from tasks.projects import check_run_project
from tasks.replay import (
    WOULD,
    Configurations,
    Differences,
    build_configurations,
    build_replay_result,
    compare_configurations,
    find_replay_sessions,
    publish_replay_result,
    read_replay_events,
)
from tasks.report import Report, code_span, describe_failure, escape_markdown

_SHOWN = 20


@flow(name="replay")
@describe_failure
def replay(config: dict[str, Any], window: str = "7d", project: str | None = None) -> State[Any]:
    """Try another configuration of the engine on stored sessions: which detections would appear, vanish or change.

    Only this run's artifacts are stored. To change detections, change the settings and run a backfill.

    Args:
        config: The sections thresholds, weights, ignored_routes, ignored_targets; under projects, the same by project.
        window: Time of the events: the last 7d, 24h, 90m; or 2026-01-01..2026-01-08 without the end (UTC).
        project: Only sessions of this project; empty for all.
    """
    parse_engine_settings(config, "config")
    span = Window(*parse_window(window, datetime.now(UTC)), project)
    report = Report("replay")
    found = Differences()
    tried = report.run_step(build_configurations, config) if check_run_project(report, span.project) else None
    sessions = report.run_step(find_replay_sessions, span) if tried is not None else None
    if tried is None or sessions is None:
        return report.finish_run()
    same = sum(count for name, count in sessions.complete.items() if not tried.has_new_config(name))
    report.counts["sessions in the window"] = sum(sessions.complete.values()) + len(sessions.open)
    report.counts["sessions that may still go on, left out"] = len(sessions.open)
    report.counts["sessions whose configuration stays the same"] = same
    if not _compare_batches(report, read_replay_events(span, sessions, tried), tried, found):
        report.pending.append("the rest of the window was not compared")
    _report_differences(report, tried, found)
    publish_replay_result(build_replay_result(span, tried, report.counts, found))
    return report.finish_run()


def _compare_batches(report: Report, batches: Iterator[pa.Table], tried: Configurations, found: Differences) -> bool:
    """Add up what differs, batch by batch; whether that is all of them."""
    try:
        for events in batches:
            more = report.run_step(compare_configurations, events, tried)
            if more is None:
                return False
            found.merge_batch(more)
    except FurrowError as error:
        # Not retried: it would start in the middle of a window. Earlier comparisons are valid.
        report.record_failure("read the sessions", error)
        return False
    return True


def _report_differences(report: Report, tried: Configurations, found: Differences) -> None:
    report.counts["sessions with possible feedback, compared"] = found.sessions
    report.counts["sessions that the engine failed over, left out"] = found.failed
    report.counts["detections now"] = found.now
    report.counts["detections with the new configuration"] = found.then
    for kind, would in WOULD.items():
        report.counts[f"detections that would {would}"] = found.kinds[kind]
    rules = [f"{escape_markdown(rule)}: {count:,}" for rule, count in found.rules.most_common()]
    report.add_lines("Rules that would stop them", rules)
    for kind, would in WOULD.items():
        shown, total = found.examples_of_kind(kind)[:_SHOWN], found.kinds[kind]
        lines = [difference.markdown_line() for difference in shown] or ["None."]
        title = f"Would {would}" if len(shown) == total else f"Would {would}, {len(shown)} of {total:,}"
        report.add_lines(title, lines)
    points = found.points_by_frequency()
    lines = [_format_failure_point(*counted) for counted in points[:_SHOWN]]
    more = f", {len(lines)} of {len(points):,}" if len(points) > len(lines) else ""
    report.add_lines(f"By failure point{more}", lines)
    digests = tried.config_digests()
    lines = [
        f"{escape_markdown(digest['project'] or 'all others')}: {code_span(digest['present'])} → {code_span(digest['new'])}"
        for digest in digests
    ]
    report.add_lines("Configurations by project, now and new", lines)


def _format_failure_point(project: str, point: str, counts: Mapping[str, int]) -> str:
    summary = ", ".join(f"{counts[kind]:,} would {would}" for kind, would in WOULD.items() if counts[kind])
    return f"{escape_markdown(point)} ({escape_markdown(project)}): {summary}"
