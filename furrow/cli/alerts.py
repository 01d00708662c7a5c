"""`furrow alerts`: try channels, list what was sent and what waits, and snooze incidents."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.table import Table

from core.alert_settings import parse_channels
from core.errors import FurrowError, NotConfigured, PermanentError, WrongUse
from furrow.cli.access import COMMAND_LINE, open_incident_store
from furrow.cli.common import AsJson, DataDir, format_minute, load_command_settings, out, print_json, styled_text
from incidents.alerts import ListedAlert

app = typer.Typer(no_args_is_help=True, help="Try the channels of alerts, list alerts, and snooze incidents.")

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@app.command("test")
def send_tests(
    channel: Annotated[str | None, typer.Option("--channel", help="Name of the channel; all, if not given.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Send a test message to the channels of FURROW_ALERT_URLS.

    Exits with 1 if a channel does not take it.
    """
    from tasks.alerts import send_test_alert

    settings = load_command_settings(data_dir)
    known = list(parse_channels(settings.alert_urls))
    if not known:
        raise NotConfigured("there is no channel: FURROW_ALERT_URLS is not set")
    if channel is not None and channel not in known:
        raise PermanentError(f"FURROW_ALERT_URLS has no channel {channel}; it has {', '.join(known)}")
    failed = []
    for name in [channel] if channel else known:
        try:
            send_test_alert(name, settings)
            out.print(styled_text(f"{name}: sent"))
        except FurrowError as error:
            failed.append(name)
            out.print(styled_text(f"{name}: {error}"))
    if failed:
        raise PermanentError(f"no test was sent to {', '.join(failed)}")


@app.command("list")
def list_alerts(
    project: Annotated[str | None, typer.Option("--project", help="Only this project's.")] = None,
    waiting: Annotated[bool, typer.Option("--waiting", help="Only those that were not sent.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many, the newest first.")] = 50,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """List alerts: what was sent, what waits and why, and which incidents are snoozed."""
    with open_incident_store(load_command_settings(data_dir)) as store:
        alerts = store.alert_outbox.list_alerts(project, limit, waiting)
        snoozes = store.alert_outbox.list_snoozes()
    if as_json:
        asleep = [
            {"incidentId": z.incident_id, "until": _format_time(z.until), "by": z.actor, "reason": z.reason}
            for z in snoozes
        ]
        print_json({"alerts": [_build_alert_json(alert) for alert in alerts], "snoozed": asleep})
        return
    table = Table("when", "project", "incident", "kind", "channel", "state", "why it waits")
    for alert in alerts:
        state = (
            alert.state if alert.retry_at is None else f"waiting until {format_minute(_format_time(alert.retry_at))}"
        )
        cells = (alert.project, alert.incident_id or "-", alert.kind, alert.channel, state, alert.last_error or "")
        table.add_row(format_minute(_format_time(alert.created_at)), *map(styled_text, cells))
    out.print(table if alerts else "no alerts")
    for snooze in snoozes:
        out.print(styled_text(f"snoozed until {format_minute(_format_time(snooze.until))}: {snooze.incident_id}"))


@app.command("snooze")
def snooze_incident(
    incident_id: Annotated[str, typer.Argument(help="Id of the incident.")],
    span: Annotated[str, typer.Option("--for", help="How long, like 90m, 4h or 7d; 0 ends it.")] = "1d",
    reason: Annotated[str, typer.Option("--reason", help="Why; kept with it.")] = "",
    data_dir: DataDir = None,
) -> None:
    """Alert nobody of an incident for some time. Its ticket, its counts and digests go on."""
    length = _parse_span(span)
    with open_incident_store(load_command_settings(data_dir)) as store:
        if not length:
            awake = store.alert_outbox.wake_incident(incident_id, COMMAND_LINE)
            out.print(styled_text(f"{incident_id} is no longer snoozed" if awake else f"{incident_id} is not snoozed"))
            return
        until = datetime.now(UTC) + length
        store.alert_outbox.snooze_incident(incident_id, until, COMMAND_LINE, reason)
    out.print(styled_text(f"{incident_id} is snoozed until {format_minute(_format_time(until))} UTC"))


def _parse_span(text: str) -> timedelta:
    number, unit = text[:-1], text[-1:]
    if text == "0":
        return timedelta(0)
    if unit not in _UNITS or not number.isdecimal() or len(number) > 4:
        raise WrongUse(f"{text!r} is no span of time; it is like 90m, 4h or 7d")
    return timedelta(**{_UNITS[unit]: int(number)})


def _build_alert_json(alert: ListedAlert) -> dict[str, object]:
    return {
        "project": alert.project,
        "incidentId": alert.incident_id,
        "kind": alert.kind,
        "channel": alert.channel,
        "state": alert.state,
        "createdAt": _format_time(alert.created_at),
        "sentAt": alert.sent_at and _format_time(alert.sent_at),
        "retryAt": alert.retry_at and _format_time(alert.retry_at),
        "attempts": alert.attempts,
        "lastError": alert.last_error,
    }


def _format_time(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
