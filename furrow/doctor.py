"""``furrow doctor``: what is configured, what can be reached, and what to do about it. Changes nothing."""

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import httpx
from prefect.settings import PREFECT_API_URL, temporary_settings

from blocks import documents
from furrow.errors import FurrowError
from furrow.settings import EMBEDDED, LOG, Settings
from stores.event_store import EventStore
from stores.incident_store import IncidentStore
from stores.postgres import EmbeddedPostgres

_FRESH_SECONDS = 60
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True)
class Finding:
    """One part of the installation: its mode, whether it answers (None: not asked), and what to do."""

    part: str
    mode: str
    reachable: bool | None
    detail: str
    advice: str = ""

    @property
    def broken(self) -> bool:
        """Should be there, but is not."""
        return self.reachable is False

    def to_json(self) -> dict[str, Any]:
        """For scripts."""
        return asdict(self)

    def line(self) -> str:
        """For people."""
        sign = {True: "ok  ", False: "DOWN", None: "-   "}[self.reachable]
        return f"{sign} {self.part:<15} {self.mode:<9} {self.detail}" + (
            f"\n       → {self.advice}" if self.advice else ""
        )


def examine(settings: Settings) -> list[Finding]:
    """Look at every part once; none of them is started or changed. Blocks count if the Prefect server answers."""
    prefect_url = f"http://127.0.0.1:{settings.prefect_port}/api"
    prefect = _process("prefect", f"{prefect_url}/health")
    if prefect.reachable:
        with temporary_settings({PREFECT_API_URL: prefect_url}):
            settings = documents.put_blocks_over(settings)
    return [
        _process("collector", f"http://127.0.0.1:{settings.port}/v1/health"),
        prefect,
        _engine(settings),
        _event_store(settings),
        _incident_store(settings),
        _tracker("jira", settings.jira_url, "FURROW_JIRA_URL, FURROW_JIRA_TOKEN and FURROW_JIRA_PROJECT"),
        _tracker("linear", settings.linear_key, "FURROW_LINEAR_KEY and FURROW_LINEAR_TEAM"),
        *_exposure(settings),
    ]


def _process(part: str, url: str) -> Finding:
    try:
        answered = httpx.get(url, timeout=3).is_success
    except httpx.HTTPError:
        answered = False
    advice = "" if answered else "`furrow up` starts it; its log is in the data directory, logs/"
    return Finding(part, "process", answered, url, advice)


def _engine(settings: Settings) -> Finding:
    try:
        told_ms = json.loads(settings.lander_status.read_text())["toldAtMs"]
    except (OSError, ValueError, KeyError):
        return Finding("engine", "process", False, "has not landed anything here yet", "`furrow up` starts it")
    age = time.time() - told_ms / 1000
    alive = age < _FRESH_SECONDS
    return Finding(
        "engine", "process", alive, f"last heard of {age:.0f} s ago", "" if alive else "`furrow up` starts it"
    )


def _event_store(settings: Settings) -> Finding:
    url = settings.event_store_url.get_secret_value()
    if url == EMBEDDED:
        return Finding("event store", "embedded", None, f"chDB in {settings.events_dir}, held by the engine")
    if url == LOG:
        return Finding(
            "event store", "log", None, "events stay in the spool", "set FURROW_EVENT_STORE_URL or the block"
        )
    return _asked(
        "event store", lambda: EventStore(url).ping(), "FURROW_EVENT_STORE_URL or the block furrow-event-store"
    )


def _incident_store(settings: Settings) -> Finding:
    url = settings.incident_store_url.get_secret_value()
    if url == LOG:
        return Finding(
            "incident store", "log", None, "detections are logged", "set FURROW_INCIDENT_STORE_URL or the block"
        )
    if url != EMBEDDED:
        setting = "FURROW_INCIDENT_STORE_URL or the block furrow-incident-store"
        return _asked("incident store", lambda: IncidentStore.connect(url).ping(), setting)
    server = EmbeddedPostgres(settings.postgres_dir)
    running = settings.postgres_dir.exists() and server.running()
    detail = f"PostgreSQL 18 in {settings.postgres_dir}"
    return Finding("incident store", "embedded", running, detail, "" if running else "`furrow up` starts it")


def _asked(part: str, ask: Callable[[], object], setting: str) -> Finding:
    try:
        ask()
    except FurrowError as error:
        return Finding(part, "server", False, str(error), f"check {setting}, and that the server runs")
    return Finding(part, "server", True, "answers")


def _tracker(part: str, configured: object, settings: str) -> Finding:
    if configured:
        return Finding(part, "server", None, "configured")
    advice = f"to file tickets, set {settings}, or the block furrow-{part} in the Prefect UI"
    return Finding(part, "log", None, "tickets are logged and wait", advice)


def _exposure(settings: Settings) -> list[Finding]:
    if settings.host in _LOOPBACK:
        return []
    advice = "set PREFECT_SERVER_API_AUTH_STRING, or bind to 127.0.0.1 behind a proxy that asks who is there"
    if os.environ.get("PREFECT_SERVER_API_AUTH_STRING"):
        return []
    return [Finding("exposure", "warning", None, f"the Prefect UI is open to all who reach {settings.host}", advice)]
