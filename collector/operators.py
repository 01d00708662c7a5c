"""What operators see: health, figures, incidents (incidents-and-tickets.md, HTTP). Blocking store calls go to
threads."""

import json
import logging
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

import anyio.to_thread
from fastapi import Request, Response

from collector.answers import ApiError, json_response
from collector.config import CollectorConfig
from collector.contract import parse_time
from collector.intake import granted, header_key
from collector.keys import ALL_PROJECTS, Grant, KeyRing, KeySource
from collector.spool import Spool, segments
from furrow.errors import FurrowError, TransientError
from furrow.metrics import degraded

_log = logging.getLogger("collector.operators")
_T = TypeVar("_T")
_INCIDENT_ID = re.compile(r"[A-Za-z0-9_\-]{1,100}")
_MAX_OFFSET = 2**31
_STATUSES = ("draft", "confirmed", "resolved", "regressed", "suppressed")
_SEVERITIES = ("Critical", "High", "Medium", "Low")


class Page(Protocol):
    """One page of incidents as the store gives it."""

    @property
    def incidents(self) -> tuple[dict[str, Any], ...]: ...
    @property
    def total(self) -> int: ...


class IncidentReader(KeySource, Protocol):
    """What the collector asks of the incident store."""

    def incidents(self, query: Any) -> Page: ...
    def incident(self, incident_id: str, project: str | None = None) -> dict[str, Any] | None: ...
    def counts(self) -> dict[str, Any]: ...
    def pending_counts(self, now_ms: int) -> dict[str, int]: ...
    def close(self) -> None: ...


def open_reader(url: str) -> IncidentReader:
    """The incident store at ``url``; connects at the first call. Raises PermanentError for a malformed
    URL."""
    from stores.incident_store import IncidentStore

    return IncidentStore.connect(url)


class Operators:
    """The endpoints behind an operator key, and health."""

    def __init__(
        self, config: CollectorConfig, keys: KeyRing, spool: Spool, store: IncidentReader | None
    ) -> None:
        self._config = config
        self._keys = keys
        self._spool = spool
        self._store = store

    def health(self) -> Response:
        """200 while events can be taken, 503 while not; a store that is away is told but stops nothing."""
        store = "none" if self._store is None else "unreachable" if self._keys.source_fails else "ok"
        spool = "failing" if self._spool.failing else "ok"
        state = "failing" if spool == "failing" else "degraded" if store == "unreachable" else "ok"
        content = {"status": state, "parts": {"spool": spool, "incidentStore": store}}
        return json_response(
            content, 503 if state == "failing" else 200, {"retry-after": "5"} if state == "failing" else None
        )

    async def status(self, request: Request) -> Response:
        """Figures; what cannot be known now is null and named in ``unavailable``."""
        self._operator(request)
        return json_response(await anyio.to_thread.run_sync(self._figures))

    async def incidents(self, request: Request) -> Response:
        """A page of incidents."""
        grant = self._operator(request)
        query = _query(request.query_params.multi_items(), grant)
        page = await self._ask(lambda store: store.incidents(query))
        return json_response(
            {"incidents": page.incidents, "total": page.total, "limit": query.limit, "offset": query.offset}
        )

    async def incident(self, request: Request, incident_id: str) -> Response:
        """One incident; 404 also when it belongs to a project that the key does not see."""
        grant = self._operator(request)
        if not _INCIDENT_ID.fullmatch(incident_id):
            raise ApiError(404, "not_found", "no such incident")
        project = None if grant.project == ALL_PROJECTS else grant.project
        found = await self._ask(lambda store: store.incident(incident_id, project))
        if found is None:
            raise ApiError(404, "not_found", "no such incident")
        return json_response(found)

    def _operator(self, request: Request) -> Grant:
        return granted(self._keys, header_key(request), "operator")

    async def _ask(self, call: Callable[[IncidentReader], _T]) -> _T:
        store = self._store
        if store is None:
            raise ApiError(503, "no_incident_store", "this collector has no incident store", retry_after=60)
        try:
            return await anyio.to_thread.run_sync(lambda: call(store))
        except FurrowError as error:
            degraded("incident_store", "transient" if isinstance(error, TransientError) else "permanent")
            _log.warning("the incident store did not answer: %s", error)
            raise ApiError(
                503, "incident_store_unavailable", "the incident store does not answer", retry_after=5
            ) from None

    def _figures(self) -> dict[str, Any]:
        now_ms = time.time_ns() // 1_000_000
        unavailable = []
        lander = self._lander_status()
        if lander is None:
            unavailable.append("eventStore")
            lander = {}
        counts: Mapping[str, Any] = {}
        queue: Mapping[str, int] = {}
        if self._store is not None:
            try:
                counts, queue = self._store.counts(), self._store.pending_counts(now_ms)
            except FurrowError as error:
                degraded("incident_store", "unavailable")
                _log.warning("the incident store did not answer: %s", error)
        if not counts:
            unavailable.append("incidentStore")
        return {
            "eventsStored": lander.get("eventsStored"),
            "spoolPending": self._spool.pending()._asdict(),
            "deadLetters": self._spool.count_dead_letters(),
            "sessions": {
                "open": sum(queue.values()) if queue else None,
                "complete": lander.get("sessionsComplete"),
            },
            "detections": counts.get("detections"),
            "incidents": counts.get("incidents"),
            "tickets": counts.get("tickets"),
            "deadSessions": counts.get("deadSessions"),
            "lagSeconds": self._lag_seconds(now_ms),
            "lander": lander,
            "unavailable": unavailable,
        }

    def _lag_seconds(self, now_ms: int) -> float:
        """Age (s) of the oldest segment that has not landed; 0 when none waits."""
        waiting = segments(self._config.spool_dir)
        return max(0.0, (now_ms - waiting[0].sealed_ns // 1_000_000) / 1_000) if waiting else 0.0

    def _lander_status(self) -> dict[str, Any] | None:
        if self._config.lander_status is None:
            return None
        try:
            told = json.loads(self._config.lander_status.read_bytes())
        except (OSError, ValueError):
            return None
        return told if isinstance(told, dict) else None


def _query(parameters: list[tuple[str, str]], grant: Grant) -> Any:
    """The store's query. Raises ApiError: 400 for a parameter that does not exist or fit, 404 for a project
    out of sight."""
    from stores.incident_model import IncidentQuery
    from stores.incident_read import MAX_LIMIT, SORTS

    values: dict[str, Any] = {}
    for name, text in parameters:
        match name:
            case "status" | "severity":
                known = _STATUSES if name == "status" else _SEVERITIES
                values[name] = (*values.get(name, ()), *_words(name, text, known))
            case "exported":
                values["exported"] = {"true": True, "false": False, "1": True, "0": False}.get(text.lower())
                if values["exported"] is None:
                    raise _invalid(name, "true or false")
            case "limit":
                values["limit"] = _integer(name, text, 1, MAX_LIMIT)
            case "offset":
                values["offset"] = _integer(name, text, 0, _MAX_OFFSET)
            case "minScore":
                values["min_score"] = _integer(name, text, 0, 100)
            case "since":
                values["since"] = _time(text)
            case "sort":
                if text.removeprefix("-") not in SORTS:
                    raise _invalid(name, f"one of {', '.join(SORTS)}, with - in front for descending")
                values["sort"] = text
            case "project" | "route":
                if "\0" in text:
                    raise _invalid(name, "text")
                values[name] = text
            case _:
                raise ApiError(400, "invalid_parameter", f"there is no parameter `{name[:40]}`")
    if grant.project != ALL_PROJECTS:
        if values.get("project", grant.project) != grant.project:
            raise ApiError(404, "not_found", "no such project")
        values["project"] = grant.project
    return IncidentQuery(**values)


def _words(name: str, text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    by_lower = {word.lower(): word for word in known}
    words = [by_lower.get(part.strip().lower()) for part in text.split(",") if part.strip()]
    if not words or None in words:
        raise _invalid(name, f"one or more of {', '.join(known)}")
    return tuple(word for word in words if word is not None)


def _integer(name: str, text: str, low: int, high: int) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 10 else -1
    if not low <= number <= high:
        raise _invalid(name, f"a whole number from {low} to {high}")
    return number


def _time(text: str) -> datetime:
    ms = parse_time(int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else text)
    if ms is None:
        raise _invalid("since", "RFC 3339 with a zone or epoch milliseconds")
    return datetime.fromtimestamp(ms / 1_000, UTC)


def _invalid(name: str, expected: str) -> ApiError:
    return ApiError(400, "invalid_parameter", f"`{name}` must be {expected}")
