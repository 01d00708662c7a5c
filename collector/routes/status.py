"""Health, figures and metrics: whether the collector does its work, and what it has done."""

import ipaddress
import json
from collections.abc import Mapping
from typing import Any

import anyio
import anyio.to_thread
from fastapi import Request, Response

from collector import metrics
from collector.access.callers import Gate, visible_project
from collector.access.keys import ALL_PROJECTS, KeyRing
from collector.config import CollectorConfig
from collector.http_errors import ApiError, json_response
from collector.lag import DETECTED, Lag, Progress, compute_lag, load_progress
from collector.senders.source import SourceReader
from collector.spool.dead_letters import LetterBudget
from collector.spool.disk_probe import DiskProbe
from collector.spool.spool import Spool
from collector.store import StoreCalls


class OperatorEndpoints:
    """Health for everyone, figures for operators, metrics for this machine and for operators of all projects."""

    def __init__(
        self,
        config: CollectorConfig,
        keys: KeyRing,
        gate: Gate,
        sources: SourceReader,
        spool: Spool,
        letters: LetterBudget,
        store: StoreCalls,
    ) -> None:
        self._config = config
        self._keys = keys
        self._gate = gate
        self._sources = sources
        self._spool = spool
        self._letters = letters
        self._store = store
        self._one_at_a_time = anyio.CapacityLimiter(1)
        self._disk = DiskProbe(spool)

    async def show_health(self) -> Response:
        """200 while events can be taken, 503 while not; a store that is away is told but stops nothing.

        The disk is tried by a small write, at most every few seconds (`DiskProbe`).
        """
        store = "none" if not self._store.is_configured else "unreachable" if self._keys.source_fails else "ok"
        failing = bool(await self._disk.find_failure())
        state = "failing" if failing else "degraded" if store == "unreachable" else "ok"
        content = {"status": state, "parts": {"spool": "failing" if failing else "ok", "incidentStore": store}}
        if not failing:
            return json_response(content)
        error = {"code": "not_durable", "message": "nothing can be made durable now"}
        return json_response({**content, "error": error}, 503, {"retry-after": "5"})

    async def show_status(self, request: Request) -> Response:
        """Figures; what cannot be known now is null and named in ``unavailable``.

        A key of one project is told that project's alone: the spool, the dead letters and the event store know no
        project, so that those are null.
        """
        grant = self._gate.require_operator(request)
        project = visible_project(grant)
        counts = await self._read_store_counts(project)
        content = {
            "project": project,
            "eventsStored": None,
            "spoolPending": None,
            "deadLetters": None,
            "deadLettersNotKept": None,
            "sessions": {"open": counts.get("pendingSessions"), "complete": None},
            "detections": counts.get("detections"),
            "incidents": counts.get("incidents"),
            "tickets": counts.get("tickets"),
            "held": counts.get("held"),
            "deadSessions": counts.get("deadSessions"),
            "lagSeconds": None,
            "detectSecondsAgo": None,
            "lander": None,
            "unavailable": [] if counts else ["incidentStore"],
        }
        if project is None:
            progress = _progress_from_counts(counts)
            await anyio.to_thread.run_sync(
                self._add_installation_figures, content, progress, limiter=self._one_at_a_time
            )
        return json_response(content)

    def show_metrics(self, request: Request) -> Response:
        """Prometheus metrics of all projects together."""
        if not self._is_from_this_machine(request) and self._gate.require_operator(request).project != ALL_PROJECTS:
            raise ApiError(403, "forbidden", "metrics are of all projects; this key is for one")
        metrics.LAG_SECONDS.set(self._current_lag(None).longest_wait_seconds)
        return Response(metrics.render_metrics(), media_type="text/plain; version=0.0.4")

    def _is_from_this_machine(self, request: Request) -> bool:
        # Where a proxy is trusted, a request without a forwarding header may be anybody's whom that proxy did not name; and
        # what came through one that is not trusted has its address, which may be this machine's.
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
        except ApiError:  # counted and logged there
            return {}

    def _add_installation_figures(self, content: dict[str, Any], progress: Progress | None) -> None:
        lander = self._read_lander_status()
        if lander is None:
            content["unavailable"].insert(0, "eventStore")
            lander = {}
        content["eventsStored"] = lander.get("eventsStored")
        content["sessions"]["complete"] = lander.get("sessionsComplete")
        content["lander"] = {name: value for name, value in lander.items() if name not in ("landings", "coverage")}
        content["spoolPending"] = self._spool.count_pending()._asdict()
        content["deadLetters"] = self._spool.count_dead_letters()
        content["deadLettersNotKept"] = self._letters.count_not_kept()
        lag = self._current_lag(progress)
        content["lagSeconds"] = round(lag.longest_wait_seconds, 3)
        content["detectSecondsAgo"] = None if lag.detect_s is None else round(lag.detect_s, 3)

    def _current_lag(self, progress: Progress | None) -> Lag:
        """How far the work is behind. ``progress``: None while the incident store is not asked: as it was known last."""
        status = self._config.lander_status
        if progress is None and status is not None:
            progress = load_progress(status.parent)
        return compute_lag(self._config.spool_dir, status, progress)

    def _read_lander_status(self) -> dict[str, Any] | None:
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
