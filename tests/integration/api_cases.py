"""A running collector beside a real incident store with three projects, for the tests of the operators' API."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from pydantic import SecretStr

from collector.access.keys import hash_key
from collector.app import create_app
from collector.config import CollectorConfig
from stores.incidents.incident_store import AnalysedSession, Cursor, IncidentStore, TouchedSession
from tests.integration.incident_store_cases import detection

_PATIENCE_SECONDS = 60.0

ALL = {"X-API-Key": "all-operator"}
SHOP = {"X-API-Key": "shop-operator"}
BLOG = {"X-API-Key": "blog-operator"}
SHOP_SENDER = {"X-API-Key": "shop-sender"}
BLOG_SENDER = {"X-API-Key": "blog-sender"}

EVENT = {
    "eventType": "click",
    "timestamp": "2024-01-15T10:00:00Z",
    "sessionId": "s1",
    "route": "/checkout",
    "target": {"type": "button"},
    "metadata": {},
}

# Pay is clicked four times in two seconds and fails each time; then the customer leaves.
STRUGGLE: list[dict[str, Any]] = [
    {"eventType": "navigation", "timestamp": "2024-01-15T10:00:00Z", "route": "/checkout",
     "metadata": {"navigationType": "link"}},
    *(
        event
        for second in range(4)
        for event in (
            {"eventType": "click", "timestamp": f"2024-01-15T10:00:0{5 + second}.000Z", "route": "/checkout",
             "target": {"type": "button", "id": "pay", "label": "Pay now"}, "metadata": {}},
            {"eventType": "network", "timestamp": f"2024-01-15T10:00:0{5 + second}.300Z", "route": "/checkout",
             "metadata": {"status": 500, "method": "POST", "url": "/api/orders", "durationMs": 250}},
        )
    ),
    {"eventType": "session_end", "timestamp": "2024-01-15T10:00:20Z", "route": "/checkout"},
]  # fmt: skip


def whole_detection(session: str, project: str) -> dict[str, Any]:
    """Detection JSON with everything that the engine tells; its id is the same in all projects."""
    made = detection(session, project=project)
    (step,) = made["timeline"]
    return {
        **made,
        "detectionId": session.ljust(32, "0"),
        "timeline": [{**step, "route": "/checkout", "target": "button#pay"}],
        "context": {**made["context"], "userAgent": "", "truncated": False},
    }


def fill(url: str) -> IncidentStore:
    """A migrated store: keys of `shop`, `blog` and of all projects; the same two sessions failing in both projects, and a
    third one in `shop`, whose incident is confirmed."""
    store = IncidentStore.connect(url)
    store.migrate()
    for project, sessions in (("shop", ("s1", "s2", "s3")), ("blog", ("s1", "s2"))):
        found = {session: whole_detection(session, project) for session in sessions}
        store.queue.enqueue_sessions([TouchedSession(project, s, n, 0, 0) for n, s in enumerate(sessions)], Cursor())
        waiting = [one for one in store.queue.find_due_sessions(1, 100) if one.project == project]
        store.ledger.record_detections([AnalysedSession(one, (found[one.session_id],), 1) for one in waiting])
        store.keys.save_api_key(
            hash_key(f"{project}-operator"), f"{project}-o", project, "operator", f"{project} on call"
        )
        store.keys.save_api_key(hash_key(f"{project}-sender"), f"{project}-s", project, "ingest")
    store.keys.save_api_key(hash_key("all-operator"), "all-op", "*", "operator")
    store.keys.save_project("shop", ["https://shop.example"])
    store.keys.save_project("blog", ["https://blog.example"])
    return store


@contextmanager
def serving(directory: Path, url: str, **changes: Any) -> Iterator[httpx.Client]:
    """A collector on a port of its own, in a thread, and a client for it; its keys are there."""
    config = CollectorConfig(
        **{
            "spool_dir": directory / "spool",
            "user_salt": SecretStr("salt"),
            "incident_store_url": SecretStr(url),
            "keys_refresh_seconds": 0.1,
            "seal_seconds": 0.05,
            "guesses_per_second": 10_000.0,
            **changes,
        }
    )
    # With the protocol named, as the collector's own listener: asyncio then turns Nagle's algorithm off.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    server = uvicorn.Server(uvicorn.Config(create_app(config), log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        base = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with httpx.Client(base_url=base, trust_env=False, timeout=60) as client:
            until(lambda: client.get("/v1/health").json()["parts"]["incidentStore"] == "ok")
            until(lambda: not config.api or client.get("/v1/status", headers=ALL).status_code == 200)
            yield client
    finally:
        server.should_exit = True
        thread.join()


def until(what: Callable[[], bool]) -> None:
    """Wait for something that happens in the background; fails after a minute."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while not what():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def code(answer: httpx.Response) -> str:
    """The error's code; asserts that the answer has the one shape of errors."""
    error = answer.json()
    assert set(error) == {"error"}, error
    assert set(error["error"]) == {"code", "message"}
    assert answer.headers["content-type"] == "application/json"
    return str(error["error"]["code"])
