"""Visitors and attackers at a real collector: each sends from an address of its own, and what they sent is landed and analysed
by the real lander and flow."""

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from pydantic import SecretStr

from collector.app import create_app
from collector.config import CollectorConfig
from collector.spool.segments import list_segments
from flows.detect import detect
from lander.loop import Lander
from stores.incidents.incident_store import IncidentQuery, IncidentStore
from tasks import connections

Event = dict[str, Any]
KEY = {"X-API-Key": "test-key"}
OPERATOR = {"X-API-Key": "operator-of-this-site"}
ENOUGH = threading.Event()


class Site:
    """One collector with what lies behind it."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder

    def send(self, events: Sequence[Event], address: str = "127.0.0.1", **headers: str) -> httpx.Response:
        """One batch from ``address``, which is one of this machine's own (127.0.0.0/8)."""
        with self.client(address) as client:
            return client.post("/v1/events", json={"events": list(events)}, headers={**KEY, **headers})

    def client(self, address: str = "127.0.0.1") -> httpx.Client:
        """A client that connects from ``address``."""
        transport = httpx.HTTPTransport(local_address=address)
        return httpx.Client(base_url=self.url, transport=transport, timeout=30)

    def work(self) -> None:
        """Land all that was accepted, and run the detection."""
        spool = self.folder / "spool"
        for _ in range(600):
            if not list(spool.glob("*.open")):
                break
            ENOUGH.wait(0.05)
        Lander(spool, connections.event_store, self.folder / "lander.json").land_all_segments()
        assert list_segments(spool) == []
        state = detect(return_state=True)
        assert state.is_completed(), state.message

    @property
    def store(self) -> IncidentStore:
        """The incident store of the flows."""
        found = connections.incident_store()
        assert isinstance(found, IncidentStore)
        return found

    def incidents(self) -> dict[str, dict[str, Any]]:
        """Every incident, by the path of what fails: ``/api/NAME``."""
        page = self.store.incidents.list_incidents(IncidentQuery(limit=1000)).incidents
        return {one["failurePoint"]["feedback"].split()[1].removeprefix("/api/"): one for one in page}

    def exportable(self) -> list[str]:
        """Names of the problems that the next export would file, in its order."""
        found = self.store.outbox.find_exportable_incidents("jira", 1_000, 70)
        return [one["failurePoint"]["feedback"].split()[1].removeprefix("/api/") for one in found]


@contextmanager
def site(folder: Path, **changes: Any) -> Iterator[Site]:
    """A collector that faces the internet: it listens on all addresses."""
    values = {
        "spool_dir": folder / "spool",
        "user_salt": SecretStr("salt"),
        "operator_key": SecretStr(OPERATOR["X-API-Key"]),
        "embedded": True,
        "seal_seconds": 0.05,
    }
    config = CollectorConfig(**{**values, "host": "0.0.0.0", **changes})
    listener = socket.create_server(("127.0.0.1", 0))
    options = {"log_config": None, "access_log": False, "proxy_headers": False}
    server = uvicorn.Server(uvicorn.Config(create_app(config), **options))  # type: ignore[arg-type]
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield Site(f"http://127.0.0.1:{listener.getsockname()[1]}", folder)
    finally:
        server.should_exit = True
        thread.join()


def name_of(number: int) -> str:
    """A word without digits, which would be folded away."""
    return "problem" + "".join(chr(ord("a") + int(digit)) for digit in str(number))


def frustrated(
    session: str,
    problem: str,
    at: datetime | None = None,
    *,
    user: str = "",
    label: str = "Pay now",
    tries: int = 5,
    end: bool = True,
) -> list[Event]:
    """Clicks on a button whose request fails each time, and the end of the visit; ``at``: now, by default."""
    start = at or datetime.now(UTC) - timedelta(seconds=30)
    route = f"/{problem}"
    events: list[Event] = []

    def add(seconds: float, kind: str, metadata: Event, **more: Any) -> None:
        event = {
            "eventType": kind,
            "timestamp": (start + timedelta(seconds=seconds)).isoformat(timespec="milliseconds"),
            "sessionId": session,
            "route": route,
            "metadata": metadata,
            "idempotencyKey": f"{session}:{problem}:{len(events)}:{seconds}",
            **more,
        }
        events.append(event | ({"userId": user} if user else {}))

    button = {"type": "button", "id": "go", "tagName": "button", "label": label}
    for n in range(tries):
        add(n * 0.7, "click", {"inputMethod": "mouse"}, target=button)
        add(n * 0.7 + 0.3, "network", {"method": "POST", "url": f"/api/{problem}", "status": 500, "durationMs": 200})
    if end:
        add(9, "session_end", {})
    return events


def success(session: str, problem: str, at: datetime) -> list[Event]:
    """The same button, and this time it works: what would take the frustration back."""
    button = {"type": "button", "id": "go", "tagName": "button", "label": "Pay now"}
    common = {"sessionId": session, "route": f"/{problem}"}
    click = {"eventType": "click", "timestamp": at.isoformat(timespec="milliseconds"), "target": button}
    answer = {
        "eventType": "network",
        "timestamp": (at + timedelta(milliseconds=300)).isoformat(timespec="milliseconds"),
        "metadata": {"method": "POST", "url": f"/api/{problem}", "status": 201, "durationMs": 200},
    }
    end = {"eventType": "session_end", "timestamp": (at + timedelta(seconds=8)).isoformat(timespec="milliseconds")}
    return [
        {**common, **click, "metadata": {"inputMethod": "mouse"}},
        {**common, **answer},
        {**common, **end, "metadata": {}},
    ]
