"""``furrow doctor``: checks each part of an installation and gives advice. Changes nothing."""

import json
import shutil
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace

import httpx
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings
from pydantic import SecretStr

from blocks import documents
from collector.streams.figures import read_status
from collector.streams.registry import STREAMS
from collector.streams.stream import Stream
from core.errors import FurrowError, PermanentError, TransientError
from core.kept_secrets import known_prefect_auth
from core.last_errors import format_duration
from core.plurals import format_count
from core.settings import Settings
from core.tracker_kinds import TRACKER_KINDS, TrackerKind
from furrow.clients.prefect_api import PrefectApi
from furrow.doctor import configuration, exposure
from furrow.doctor import work as doctor_work
from furrow.doctor.owners import check_owners_file
from furrow.installation.running import RunningSettings
from furrow.installation.running import read_running_settings as read_running
from furrow.installation.up import LEAST_FREE_BYTES
from stores import opening

_FRESH_SECONDS = 60


@dataclass(frozen=True)
class Finding:
    """The result of one check. Its fields are the keys of ``furrow doctor --json``.

    ``mode``: how the part runs. ``reachable``: whether it works; None if that is not checked. ``figures``: counts of pending
    work, for scripts; only of the part `work`.
    """

    part: str
    mode: str
    reachable: bool | None
    detail: str
    advice: str = ""
    last_error: str = ""
    figures: doctor_work.PublishedFigures | None = None

    @property
    def is_broken(self) -> bool:
        """Whether it is configured but does not work."""
        return self.reachable is False

    @property
    def status_word(self) -> str:
        """``ok``, ``DOWN`` or ``-``."""
        return {True: "ok", False: "DOWN", None: "-"}[self.reachable]

    def extra_lines(self) -> list[str]:
        """The lines printed below the finding: advice and last error."""
        return ([f"→ {self.advice}"] if self.advice else []) + ([self.last_error] if self.last_error else [])


def examine_installation(settings: Settings, command_line_fields: Collection[str] = ()) -> list[Finding]:
    """Check every part once; nothing is started or changed.

    ``settings`` are those of this shell. If ``furrow up`` runs, its settings are used instead, except for the
    ``command_line_fields``, which were set by options. Values in Prefect's blocks are used if the Prefect server answers.
    """
    running = read_running(settings.data_dir)
    differing = configuration.describe_differences(running, settings)
    if running:
        command_line_values = {name: getattr(settings, name) for name in command_line_fields}
        settings = running.apply_to_settings(settings).model_copy(update=command_line_values)
    prefect_url = settings.prefect_api_url
    auth = known_prefect_auth(settings, prefect_url)
    prefect = _check_prefect(prefect_url, auth)
    if prefect.reachable:
        login = {PREFECT_API_AUTH_STRING: auth.get_secret_value()} if auth else {}
        with temporary_settings({PREFECT_API_URL: prefect_url, **login}):
            settings = documents.apply_blocks(settings)
    findings = [
        _check_process("collector", f"http://127.0.0.1:{settings.port}/v1/health"),
        prefect,
        _check_engine(settings),
        _check_event_store(settings),
        _check_incident_store(settings),
        *(_check_tracker(kind, settings, running) for kind in TRACKER_KINDS),
        *_report_owners(settings),
        *_check_channels(settings, running),
        _check_disk_space(settings),
        *_report_settings(differing),
        *_report_work(settings),
        *_report_stream(settings),
        *report_sdk_streams(settings, STREAMS),
        *_report_warnings(prefect_url if prefect.reachable else "", auth),
        *_report_exposures(settings, prefect_url if prefect.reachable else "", auth),
    ]
    errors = doctor_work.collect_last_errors(settings)
    parts = {finding.part for finding in findings}
    findings_with_errors = [replace(finding, last_error=errors.get(finding.part, "")) for finding in findings]
    # Errors of steps that belong to no part get findings of their own.
    return findings_with_errors + [
        Finding(part, "step", None, error) for part, error in sorted(errors.items()) if part not in parts
    ]


def _report_work(settings: Settings) -> list[Finding]:
    work = doctor_work.collect_work_figures(settings)
    late = "processing is behind: look for parts that are DOWN, and at the last errors" if work.is_late else ""
    if work.is_late and work.lag.is_detect_overdue:
        late = f"{late}; `detect` does not complete: check in the Prefect UI whether its deployment is paused or unscheduled"
    found = [
        Finding("lander", "engine", None, work.format_landing()),
        Finding("work", "figures", None, work.format_summary(), late, figures=work.to_json()),
    ]
    if aside := work.format_set_aside():
        advice = "docs/operating.md explains how to inspect and replay them"
        found.append(Finding("set aside", "figures", None, aside, advice))
    return found


def _check_prefect(url: str, auth: SecretStr | None) -> Finding:
    found = _check_process("prefect", f"{url}/health")
    if not found.reachable:
        return found
    try:
        with PrefectApi(url, auth) as prefect:
            prefect.list_recent_runs(1)
    except PermanentError as error:
        return replace(found, reachable=False, advice=str(error))
    except TransientError as error:
        return replace(found, reachable=False, advice=f"{error}; see logs/prefect.log")
    return found


def _report_warnings(prefect_url: str, auth: SecretStr | None) -> list[Finding]:
    try:
        recent_warnings = doctor_work.list_recent_warnings(prefect_url, auth) if prefect_url else []
    except FurrowError:
        return []
    return [Finding("warnings", "last day", None, "; ".join(recent_warnings))] if recent_warnings else []


def _check_process(part: str, url: str) -> Finding:
    try:
        answered = httpx.get(url, timeout=3).is_success
    except httpx.HTTPError:
        answered = False
    advice = "" if answered else "start it with `furrow up`; its log is in logs/ in the data directory"
    return Finding(part, "process", answered, url, advice)


def _check_engine(settings: Settings) -> Finding:
    last_report_ms = _read_last_report_ms(settings)
    if not last_report_ms:
        return Finding("engine", "process", False, "has not stored any events yet", "start it with `furrow up`")
    age = time.time() - last_report_ms / 1000
    alive = age < _FRESH_SECONDS
    return Finding(
        "engine", "process", alive, f"last status {age:.0f} s ago", "" if alive else "start it with `furrow up`"
    )


def _read_last_report_ms(settings: Settings) -> int:
    try:
        return int(json.loads(settings.lander_status.read_text())["toldAtMs"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _check_event_store(settings: Settings) -> Finding:
    mode = opening.read_store_mode(settings.event_store_url)
    if mode == "embedded":
        detail = f"chDB in {settings.events_dir}, opened by the engine"
        # No other process can open it, so the engine's last error is what is known.
        if doctor_work.find_newer_error(settings, "event store", _read_last_report_ms(settings)):
            return Finding("event store", "embedded", False, detail, "see the last error and logs/engine.log")
        return Finding("event store", "embedded", None, detail)
    if mode == "log":
        return Finding(
            "event store",
            "log",
            None,
            "events stay in the spool",
            "set FURROW_EVENT_STORE_URL or the block furrow-event-store",
        )
    setting = "FURROW_EVENT_STORE_URL or the block furrow-event-store"
    return _check_server("event store", lambda: opening.open_event_store(settings).check_schema(), setting)


def _check_incident_store(settings: Settings) -> Finding:
    mode = opening.read_store_mode(settings.incident_store_url)
    if mode == "log":
        return Finding(
            "incident store",
            "log",
            None,
            "detections are only logged",
            "set FURROW_INCIDENT_STORE_URL or the block furrow-incident-store",
        )
    url = opening.find_running_incident_url(settings)
    if mode == "server":
        setting = "FURROW_INCIDENT_STORE_URL or the block furrow-incident-store"
        return _check_server("incident store", lambda: _check_incident_schema(url), setting)
    detail = f"PostgreSQL 18 in {settings.postgres_dir}"
    try:
        _check_incident_schema(url)
    except FurrowError as error:
        log = settings.postgres_dir / "server.log"
        return Finding("incident store", "embedded", False, str(error), f"see {log}")
    return Finding("incident store", "embedded", url is not None, detail, "" if url else "start it with `furrow up`")


def _check_incident_schema(url: str | None) -> None:
    if url is not None:
        opening.open_incident_store_at(url).check_schema()


def _check_server(part: str, ask: Callable[[], object], setting: str) -> Finding:
    try:
        ask()
    except FurrowError as error:
        return Finding(part, "server", False, str(error), f"check {setting} and whether the server runs")
    return Finding(part, "server", True, "answers")


def _check_tracker(kind: TrackerKind, settings: Settings, running: RunningSettings | None) -> Finding:
    part, secret = kind.name, kind.secret
    # A token alone does not configure a tracker that needs an address, too.
    is_configured = kind.switch == secret or kind.is_configured(settings)
    if is_configured and running and secret in running.hashes and getattr(settings, secret) is None:
        detail = "configured for `furrow up`; not checked, because its token is not set in this shell"
        return Finding(
            part,
            "server",
            None,
            detail,
            f"set FURROW_{secret.upper()} in this shell too, and run `furrow doctor` again",
        )
    asked = configuration.ask_tracker(part, settings, opening.find_running_incident_url(settings))
    if asked.accepts_tickets is None:
        return Finding(part, "log", None, asked.message, kind.setup_advice)
    advice = "" if asked.accepts_tickets else kind.repair_advice
    return Finding(part, "server", asked.accepts_tickets, asked.message, advice)


def _report_owners(settings: Settings) -> list[Finding]:
    found = check_owners_file(settings)
    advice = (
        "" if found is None or found.is_right else "`furrow owners check` names each line; docs/owners.md explains them"
    )
    return [] if found is None else [Finding("owners", "file", found.is_right, found.detail, advice)]


def _check_channels(settings: Settings, running: RunningSettings | None) -> list[Finding]:
    """The channels of alerts: whether each is one. Nothing is sent."""
    if settings.alert_urls is None and running and "alert_urls" in running.hashes:
        detail = "configured for `furrow up`; not checked, because the URLs are not set in this shell"
        return [Finding("alerts", "channel", None, detail, "set FURROW_ALERT_URLS in this shell too, and run it again")]
    found = configuration.check_channels(settings)
    advice = "check FURROW_ALERT_URLS (docs/alerts.md); `furrow alerts test` sends a test"
    return [
        Finding(f"alerts {name}", "channel", None if fine else False, words, "" if fine else advice)
        for name, fine, words in found
    ]


def _report_settings(differing: str) -> list[Finding]:
    found = []
    if differing:
        advice = "this command checks the running installation; restart `furrow up` to apply other settings"
        found.append(
            Finding("settings", "differ", None, f"different from those of the running `furrow up`: {differing}", advice)
        )
    return found + [Finding("settings", "ignored", None, line) for line in configuration.list_unknown_variables()]


def _report_stream(settings: Settings) -> list[Finding]:
    summary = doctor_work.read_stream_summary(settings)
    found = [
        Finding(
            "stream",
            "lacks",
            None,
            line,
            "docs/browser.md describes the script that sends it, docs/contracts/events.md each field",
        )
        for line in summary.coverage.describe_gaps()
    ]
    if summary.bots:
        visits = format_count(summary.bots, "visit")
        advice = "your own tests in a headless browser count as bots too, see docs/browser.md"
        found.append(Finding("stream", "bots", None, f"no detections in {visits} of bots with errors", advice))
    return found


def report_sdk_streams(settings: Settings, streams: Iterable[Stream]) -> list[Finding]:
    """A finding for each stream of another SDK that has ever sent something."""
    found = []
    for status in read_status(settings.spool_dir, streams):
        seconds = status["lastEventSecondsAgo"]
        last = "no event yet" if seconds is None else f"last event {format_duration(seconds)} ago"
        events = format_count(status["eventsToday"], "event")
        detail = f"{last}; today (UTC) {events} in {format_count(status['requestsToday'], 'request')}"
        rejects = sorted(status["rejectsToday"].items(), key=lambda pair: (-pair[1], pair[0]))
        if rejects:
            detail += ", rejected: " + ", ".join(f"{name} {count:,}" for name, count in rejects)
        if status["lacks"]:
            detail += f"; does not report: {', '.join(status['lacks'])}"
        advice = "docs/streams.md explains how rejected items are inspected" if rejects else ""
        found.append(Finding("stream", status["name"], None, detail, advice))
    return found


def _check_disk_space(settings: Settings) -> Finding:
    folder = next(path for path in (settings.data_dir, *settings.data_dir.absolute().parents) if path.is_dir())
    free = shutil.disk_usage(folder).free
    enough = free >= LEAST_FREE_BYTES
    advice = "" if enough else f"free at least {LEAST_FREE_BYTES >> 20} MiB; below that `furrow up` does not start"
    return Finding("disk", "local", enough, f"{free >> 20:,} MiB free for {settings.data_dir}", advice)


def _report_exposures(settings: Settings, prefect_url: str, auth: SecretStr | None) -> list[Finding]:
    incidents_url = opening.find_running_incident_url(settings)
    found = exposure.find_exposures(settings, incidents_url, prefect_url, login=auth)
    return [Finding("exposure", "warning", None, exposed.what, exposed.advice) for exposed in found]
