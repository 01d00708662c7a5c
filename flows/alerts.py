"""Alert people of incidents."""

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from blocks.documents import effective_settings
from core.alert_settings import parse_channels
from tasks.alerts import SentAlerts, describe_waiting_alerts, find_alerts, send_alerts
from tasks.channel_tests import answer_channel_test
from tasks.report import Report, describe_failure


@flow(name="alerts")
@describe_failure
def alerts() -> State[Any]:
    """Send what channels are owed: alerts, digests, and changes of messages. Safe to run again at any time."""
    report = Report("alerts")
    if tested := report.run_step(answer_channel_test):
        report.counts["channels that took a test"] = tested
    found = report.run_step(find_alerts)
    if found is None:
        return report.finish_run()
    report.counts["occasions found by a search"] = found.findings
    report.counts["digests for channels"] = found.digests
    report.counts["alerts for channels"] = found.rows
    failed = []
    for channel in parse_channels(effective_settings().alert_urls):
        if (sent := report.run_step(send_alerts, channel)) is not None:
            _report_sent(report, sent)
            failed += [channel] if sent.error is not None else []
    if (unsent := report.run_step(describe_waiting_alerts, failed)) is not None:
        for error in unsent.errors:
            report.record_failure("alerts that wait", error)
        report.pending += unsent.unnamed
    return report.finish_run()


def _report_sent(report: Report, sent: SentAlerts) -> None:
    report.counts["alerts sent"] += sent.alerts
    report.counts["messages sent"] += sent.messages
    report.counts["messages changed"] += sent.changed
    if sent.error is not None:
        report.record_failure(f"alerts to {sent.channel}", sent.error)
        if sent.left:
            report.pending.append(f"alerts to {sent.channel}: {sent.left} more wait for the next run")
