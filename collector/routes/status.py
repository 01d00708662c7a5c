"""Health, figures and metrics of the collector."""

import ipaddress
import json
from collections.abc import Mapping
from typing import Any, Final, Literal

import anyio
import anyio.to_thread
from fastapi import Request, Response
from pydantic import JsonValue
from typing_extensions import TypedDict

from collector import metrics
from collector.access.callers import visible_project
from collector.access.keys import ALL_PROJECTS
from collector.http_errors import ApiError, Error, json_response
from collector.lag import DETECTED, Lag, Progress, compute_lag, load_progress
from collector.routes.route import Operation, Route, RouteGroup
from collector.services import Services
from collector.spool.disk_probe import DiskProbe
from collector.streams.figures import StreamStatus, read_status


class HealthParts(TypedDict):
    """The parts that health checks."""

    spool: Literal["ok", "failing"]
    incidentStore: Literal["ok", "unreachable", "none"]


class Health(TypedDict):
    """`degraded`: events are accepted, but the incident store does not answer; `failing`: no event is accepted."""

    status: Literal["ok", "degraded", "failing"]
    parts: HealthParts


class SpoolPending(TypedDict):
    """The data that waits to land."""

    segments: int
    events: int
    bytes: int


class SessionFigures(TypedDict):
    """Client sessions that may continue, and complete sessions."""

    open: int | None
    complete: int | None


class IncidentFigures(TypedDict):
    """Incidents by status."""

    draft: int
    confirmed: int
    resolved: int
    regressed: int
    suppressed: int


class InstallationStatus(TypedDict):
    """Figures. A figure is null when it is not known now, or when the key is for one project and the figure is of the
    whole installation: the spool, the dead letters, the lander and the event store."""

    project: str | None
    """The key's project; null: the figures are of all projects."""
    eventsStored: int | None
    spoolPending: SpoolPending | None
    deadLetters: int | None
    deadLettersNotKept: int | None
    """Rejected events of the last 30 days that were beyond the limit of the dead letters: counted, not kept."""
    sessions: SessionFigures
    detections: int | None
    openDetections: int | None
    """Detections in sessions that go on."""
    incidents: IncidentFigures | None
    tickets: dict[str, int] | None
    """Rows of the ticket ledger by state."""
    unknownTicketStates: int | None
    """Tickets in a state of their tracker that neither Furrow nor the project setting ``ticketStates`` names."""
    held: int | None
    """Incidents that a flood of new incidents holds back from export."""
    deadSessions: int | None
    lagSeconds: float | None
    """How long the oldest work has waited to land, to be read by `detect`, or to be analysed."""
    detectSecondsAgo: float | None
    """How long ago `detect` completed last; null: never, as far as is known."""
    lander: dict[str, JsonValue] | None
    streams: list[StreamStatus] | None
    """Streams of other SDKs that have sent something; the figures are of all projects, and seconds old."""
    unavailable: list[Literal["eventStore", "incidentStore"]]


class StatusEndpoints:
    """Health for everyone, figures for operators, metrics for this machine and for operators of all projects."""

    def __init__(self, services: Services) -> None:
        self._config = services.config
        self._keys = services.keys
        self._gate = services.gate
        self._sources = services.sources
        self._spool = services.spool
        self._letters = services.letters
        self._stream_counts = services.stream_counts
        self._store = services.store
        self._one_at_a_time = anyio.CapacityLimiter(1)
        self._disk = DiskProbe(services.spool)

    async def show_health(self, _: Request) -> Response:
        """200 while events can be accepted, else 503. An incident store that does not answer is reported, but events are
        accepted.

        The disk is tested by a small write, at most every few seconds (`DiskProbe`).
        """
        failing = bool(await self._disk.find_failure())
        parts: HealthParts = {
            "spool": "failing" if failing else "ok",
            "incidentStore": (
                "none" if not self._store.is_configured else "unreachable" if self._keys.source_fails else "ok"
            ),
        }
        degraded = parts["incidentStore"] == "unreachable"
        health: Health = {"status": "failing" if failing else "degraded" if degraded else "ok", "parts": parts}
        if not failing:
            return json_response(health)
        error: Error = {"error": {"code": "not_durable", "message": "events cannot be made durable now"}}
        return json_response({**health, **error}, 503, {"retry-after": "5"})

    async def show_status(self, request: Request) -> Response:
        """Figures; what cannot be known now is null and named in ``unavailable``.

        A key of one project gets that project's figures only. Those of the spool, the dead letters and the event store
        are of all projects together, so that they are null.
        """
        grant = self._gate.require_reader(request)
        return json_response(await self.read_status(visible_project(grant)))

    async def read_status(self, project: str | None) -> InstallationStatus:
        """The figures of one project, or (None) of the whole installation."""
        counts = await self._read_store_counts(project)
        content: InstallationStatus = {
            "project": project,
            "eventsStored": None,
            "spoolPending": None,
            "deadLetters": None,
            "deadLettersNotKept": None,
            "sessions": {"open": counts.get("pendingSessions"), "complete": None},
            "detections": counts.get("detections"),
            "openDetections": counts.get("openDetections"),
            "incidents": counts.get("incidents"),
            "tickets": counts.get("tickets"),
            "unknownTicketStates": counts.get("unknownTicketStates"),
            "held": counts.get("held"),
            "deadSessions": counts.get("deadSessions"),
            "lagSeconds": None,
            "detectSecondsAgo": None,
            "lander": None,
            "streams": None,
            "unavailable": [] if counts else ["incidentStore"],
        }
        if project is None:
            progress = _progress_from_counts(counts)
            await anyio.to_thread.run_sync(
                self._add_installation_figures, content, progress, limiter=self._one_at_a_time
            )
        return content

    async def show_metrics(self, request: Request) -> Response:
        """Prometheus metrics of all projects together."""
        if not self._is_from_this_machine(request) and self._gate.require_reader(request).project != ALL_PROJECTS:
            raise ApiError(403, "forbidden", "metrics are of all projects; this key is for one project")
        metrics.LAG_SECONDS.set(self._current_lag(None).longest_wait_seconds)
        return Response(metrics.render_metrics(), media_type="text/plain; version=0.0.4")

    def _is_from_this_machine(self, request: Request) -> bool:
        # Where a proxy is trusted, a request without a forwarding header may come from anybody behind it. A request through
        # a proxy that is not trusted has the proxy's address, which may be this machine's.
        if self._config.trusted_proxies or not self._sources.is_direct_request(request):
            return False
        try:
            return request.client is not None and ipaddress.ip_address(request.client.host).is_loopback
        except ValueError:
            return False

    async def _read_store_counts(self, project: str | None) -> Mapping[str, Any]:
        if not self._store.is_configured:
            return {}
        try:
            return await self._store.ask_store(lambda store: store.incidents.read_store_counts(project))
        except ApiError:  # ask_store has counted and logged it
            return {}

    def _add_installation_figures(self, content: InstallationStatus, progress: Progress | None) -> None:
        lander = self._read_lander_status()
        if lander is None:
            content["unavailable"].insert(0, "eventStore")
            lander = {}
        content["eventsStored"] = lander.get("eventsStored")
        content["sessions"]["complete"] = lander.get("sessionsComplete")
        content["lander"] = {name: value for name, value in lander.items() if name not in ("landings", "coverage")}
        content["streams"] = read_status(self._config.spool_dir, self._stream_counts.streams)
        pending = self._spool.count_pending()
        content["spoolPending"] = {"segments": pending.segments, "events": pending.events, "bytes": pending.bytes}
        content["deadLetters"] = self._spool.count_dead_letters()
        content["deadLettersNotKept"] = self._letters.count_not_kept()
        lag = self._current_lag(progress)
        content["lagSeconds"] = round(lag.longest_wait_seconds, 3)
        content["detectSecondsAgo"] = None if lag.detect_s is None else round(lag.detect_s, 3)

    def _current_lag(self, progress: Progress | None) -> Lag:
        """The lag now. ``progress``: None: the last known progress is used."""
        status = self._config.lander_status
        if progress is None and status is not None:
            progress = load_progress(status.parent)
        return compute_lag(self._config.spool_dir, status, progress)

    def _read_lander_status(self) -> Mapping[str, Any] | None:
        if self._config.lander_status is None:
            return None
        try:
            stored_status = json.loads(self._config.lander_status.read_bytes())
        except (OSError, ValueError):
            return None
        return stored_status if isinstance(stored_status, dict) else None


def _progress_from_counts(counts: Mapping[str, Any]) -> Progress | None:
    if "cursors" not in counts:
        return None
    cursors = counts["cursors"]
    return Progress(cursors.get("detect", 0), cursors.get(DETECTED, 0), counts.get("oldestDueMs", 0))


GROUP: Final = RouteGroup(
    StatusEndpoints,
    (
        Route(
            "get",
            "/v1/status",
            StatusEndpoints.show_status,
            Operation(
                tag="Operation",
                summary="Figures",
                text="Of the whole installation, or of the key's project.",
                answer=InstallationStatus,
                errors=(401, 403),
            ),
        ),
        Route(
            "get",
            "/v1/health",
            StatusEndpoints.show_health,
            Operation(
                tag="Operation",
                summary="Health",
                text="200 while events are accepted, else 503.",
                answer=Health,
                errors=(503,),
                needs_key=False,
                answers_despite=frozenset({503}),
            ),
            intake=True,
        ),
        Route("get", "/metrics", StatusEndpoints.show_metrics),
    ),
)
