"""A running `furrow up` in a subprocess, driven from outside: over HTTP and with signals."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import psutil
from pydantic import SecretStr

from core.kept_secrets import INGEST_KEY, OPERATOR_KEY, PREFECT_AUTH
from furrow.clients.prefect_api import Patient, PrefectApi
from tests.ports import free_port

FURROW = [sys.executable, "-m", "furrow"]
ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 240
SLOWEST = 5
"""How many times slower a busy machine may be before a wait counts as hung."""
PATIENT_SECONDS = 300
"""Longest wait for one answer of a server; it guards against hanging and measures nothing."""
CURL_OF_THE_SEED = (
    '{"events": [{"eventType": "click", "timestamp": "2024-01-15T10:00:00Z", "sessionId": "test-1",'
    ' "route": "/checkout", "target": {"type": "button"}, "metadata": {}}]}'
)


def environment(**extra: str) -> dict[str, str]:
    """This process's environment without what would point the command at something else."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("FURROW_", "PREFECT_", "PROMETHEUS_"))}
    return {**plain, **extra}


class Up:
    """One data directory with its two ports, started and stopped at will."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.port, self.prefect_port = free_port(), free_port()
        self.process: subprocess.Popen[str] | None = None
        self.log = data.parent / f"{data.name}.log"

    @property
    def options(self) -> list[str]:
        ports = ["--port", str(self.port), "--prefect-port", str(self.prefect_port)]
        return ["--data-dir", str(self.data), *ports]

    def start(self, **extra: str) -> None:
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*FURROW, "up", *self.options],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment(**extra),
                text=True,
                start_new_session=True,
            )
        until(lambda: "Furrow is up" in self.log.read_text() or self.process_ended(), START_SECONDS)
        assert not self.process_ended(), self.log.read_text()

    def process_ended(self) -> bool:
        assert self.process is not None
        return self.process.poll() is not None

    def processes(self) -> list[psutil.Process]:
        """Every process of this installation, Postgres included."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                told = " ".join(process.cmdline()) + str(process.environ().get("FURROW_DATA_DIR", ""))
                if str(self.data) in told and process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid():
                    found.append(process)
        return found

    def kill_everything(self) -> None:
        for process in self.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        if self.process is not None:
            self.process.wait()

    def interrupt(self) -> float:
        """Ctrl-C; the seconds until it has ended."""
        assert self.process is not None
        began = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60 * SLOWEST)
        return time.monotonic() - began

    def secret(self, name: str) -> str:
        """What a secret's file of the data directory holds."""
        return (self.data / name).read_text()

    def client(self, key: str = "") -> httpx.Client:
        """A client of the collector; without ``key``, with the operator's development key."""
        headers = {"X-API-Key": key or self.secret(OPERATOR_KEY)}
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=PATIENT_SECONDS)

    def get(self, path: str) -> Any:
        with self.client() as client:
            answer = client.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post_events(self, events: list[dict[str, Any]]) -> dict[str, Any]:
        # The installation's own key: the one that everybody knows is not valid with a public address.
        key = self.secret(INGEST_KEY) if (self.data / INGEST_KEY).exists() else "test-key"
        with self.client(key) as client:
            answer = client.post("/v1/events", json={"events": events})
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    def prefect(self) -> PrefectApi:
        """A client that is more patient than that of the commands: the tests share their machine."""
        return PrefectApi(self.prefect_api, SecretStr(self.secret(PREFECT_AUTH)), PATIENT_SECONDS)

    @property
    def prefect_api(self) -> str:
        return f"http://127.0.0.1:{self.prefect_port}/api"

    def prefect_post(self, path: str, body: dict[str, Any]) -> Any:
        with patient(self.prefect_api, self.secret(PREFECT_AUTH)) as client:
            answer = client.post(path, json=body)
        answer.raise_for_status()
        return answer.json()


def patient(api: str, auth: str) -> httpx.Client:
    """A client of Prefect's API with its authentication string: it repeats a request while the server is too busy.

    The server may receive a request twice: a request that starts a run needs an ``idempotency_key``.
    """
    name, _, password = auth.partition(":")
    return httpx.Client(base_url=api, auth=(name, password), timeout=60, transport=Patient(PATIENT_SECONDS))


def until(done: Callable[[], bool], seconds: float) -> None:
    """Wait for something to become true; an assertion if it does not.

    ``seconds``: the longest that it takes on a machine of its own. It may take ``SLOWEST`` times as long, because other
    tests run beside this one.
    """
    end = time.monotonic() + seconds * SLOWEST
    while not done():
        assert time.monotonic() < end, f"did not happen within {seconds * SLOWEST} s"
        time.sleep(0.25)


def frustrated_session(session_id: str) -> list[dict[str, Any]]:
    """A session of just now: five clicks on "Pay now", each answered by a 500, and the end."""
    start = datetime.now(UTC) - timedelta(seconds=40)

    def event(at: float, kind: str, **rest: Any) -> dict[str, Any]:
        stamp = (start + timedelta(seconds=at)).isoformat()
        return {"eventType": kind, "timestamp": stamp, "sessionId": session_id, "route": "/checkout", **rest}

    events = []
    for n in range(5):
        target = {"type": "button", "id": "pay", "label": "Pay now"}
        events.append(event(5 + n * 0.7, "click", target=target, metadata={"inputMethod": "mouse"}))
        answer = {"method": "POST", "url": "/api/orders", "status": 500, "durationMs": 250}
        events.append(event(5.3 + n * 0.7, "network", metadata=answer))
    return [*events, event(30, "session_end")]
