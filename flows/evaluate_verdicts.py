"""Measure detection on the sessions about which people decided."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from tasks.projects import check_run_project
from tasks.report import Report, describe_failure, escape_markdown
from tasks.verdict_evaluation import Precision, VerdictEvaluation, evaluate_verdicts, publish_evaluation


@flow(name="evaluate-verdicts")
@describe_failure
def measure_verdicts(project: str | None = None) -> State[Any]:
    """Analyse the sessions with a verdict again, with the engine and the exceptions of now, and compare. Stores nothing.

    `furrow evaluate --verdicts` starts this and shows the whole answer.

    Args:
        project: Only verdicts of this project; empty for all.
    """
    report = Report("evaluate-verdicts")
    found = report.run_step(evaluate_verdicts, project or None) if check_run_project(report, project) else None
    if found is not None:
        _report_evaluation(report, found)
        publish_evaluation(found)
    return report.finish_run()


def _report_evaluation(report: Report, found: VerdictEvaluation) -> None:
    report.counts["sessions with a verdict, analysed again"] = found["judged"]
    report.counts["sessions about which people disagree, left out"] = found["disputed"]
    report.counts["sessions whose events are no longer stored, left out"] = found["withoutEvents"]
    report.counts["sessions that the engine failed over, left out"] = found["failed"]
    report.counts["sessions without frustration that have no detection any more"] = found["silenced"]
    report.counts["sessions with frustration that have no detection any more"] = found["missed"]
    report.add_lines("Precision", [format_precision(found["overall"])])
    groups = {"By project": found["byProject"], "By signal": found["bySignal"], "By rule": found["byRule"]}
    for title, entries in groups.items():
        report.add_lines(title, [format_precision(entry) for entry in entries])


def format_precision(entry: Precision) -> str:
    """``rage: 12 of 14 detections with frustration, 0.857 (0.601 to 0.960)``, as Markdown."""
    name = escape_markdown(entry["name"])
    if entry["precision"] is None:
        return f"{name}: no detection on a session with a verdict"
    interval = f"{entry['precision']:.3f} ({entry['low']:.3f} to {entry['high']:.3f})"
    return f"{name}: {entry['frustrated']:,} of {entry['detected']:,} detections with frustration, {interval}"
