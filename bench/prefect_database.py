"""Compares databases for Prefect's server with the same load in alternating rounds.

The three servers use SQLite as Prefect opens it, SQLite whose transactions begin as writers (``furrow.prefect_database``),
and Postgres. ``python -m bench prefect-database [--seconds 15] [--rounds 3] [--clients 8]``

Each client does what the worker and the UI do for a run: create a run, submit it, start it, write logs, complete it,
read it, list the last runs. The embedded Postgres cannot serve Prefect: its wheel lacks ``pg_trgm``, which Prefect's migrations
need. Here the tables are created without these indexes, only for the comparison.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psycopg

from bench.measure import machine
from core.settings import Settings
from furrow.installation.up import Installation
from stores.embedded_postgres import EmbeddedPostgres

_START_S = 180.0
_READS = ("read_flow_run", "list_flow_runs")
_TABLES = """
import asyncio
from prefect.server.database import provide_database_interface
from prefect.server.database.orm_models import Base
async def main():
    db = provide_database_interface()
    names = set()
    for table in Base.metadata.tables.values():
        for index in list(table.indexes):
            if index.name.startswith("trgm_") or index.name in names:
                table.indexes.discard(index)
            names.add(index.name)
    engine = await db.engine()
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
asyncio.run(main())
"""


_AUTH = ("bench", "of-prefects-databases")
_LOGIN = {name: ":".join(_AUTH) for name in ("PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING")}


@dataclass
class Server:
    """A Prefect server with its database, and the measurements of its clients: seconds of each call, errors by status."""

    name: str
    port: int
    data: Path
    extra: dict[str, str]
    module: tuple[str, ...] = ("prefect", "server", "start")
    process: subprocess.Popen[bytes] | None = None
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    @property
    def log(self) -> Path:
        return self.data / "server.log"

    def start(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        settings = Settings(data_dir=self.data, prefect_port=self.port)
        environment = {**Installation(settings, print).make_environment(), **_LOGIN, **self.extra}
        environment.pop("PROMETHEUS_MULTIPROC_DIR")
        if "MIGRATE" in "".join(self.extra):
            subprocess.run([sys.executable, "-c", _TABLES], env=environment, check=True)
        with self.log.open("wb") as log:
            command = [sys.executable, "-m", *self.module]
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        end = time.monotonic() + _START_S
        while not _answers(self.api):
            if time.monotonic() > end or self.process.poll() is not None:
                raise SystemExit(f"the server on {self.name} did not start:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.3)

    def stop(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def locked(self) -> int:
        return self.log.read_text(errors="replace").count("database is locked")


def _answers(api: str) -> bool:
    try:
        return httpx.get(f"{api}/health", timeout=2, trust_env=False).is_success
    except httpx.HTTPError:
        return False


class Client:
    """One client of a server; every call is timed by its name."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._http = httpx.Client(base_url=server.api, timeout=60, trust_env=False, auth=_AUTH)

    def post(self, name: str, path: str, body: Any) -> Any:
        return self._timed(name, lambda: self._http.post(path, json=body))

    def get(self, name: str, path: str) -> Any:
        return self._timed(name, lambda: self._http.get(path))

    def _timed(self, name: str, call: Any) -> Any:
        began = time.perf_counter()
        try:
            answer = call()
        except httpx.HTTPError as error:
            self._server.errors[type(error).__name__] += 1
            return None
        self._server.seconds[name].append(time.perf_counter() - began)
        if answer.is_error:
            self._server.errors[str(answer.status_code)] += 1
            return None
        return answer.json() if answer.content else None


def _deployment(server: Server) -> str:
    client = Client(server)
    flow = client.post("set up", "/flows/", {"name": "bench"})
    made = client.post("set up", "/deployments/", {"name": "bench", "flow_id": flow["id"], "concurrency_limit": 1_000})
    return str(made["id"])


def _live(server: Server, deployment: str, until: float) -> None:
    client = Client(server)
    while time.monotonic() < until:
        body = {"state": {"type": "SCHEDULED"}, "idempotency_key": str(uuid.uuid4())}
        run = client.post("create_flow_run", f"/deployments/{deployment}/create_flow_run", body)
        if run is None:
            continue
        for kind in ("PENDING", "RUNNING"):
            client.post("set_state", f"/flow_runs/{run['id']}/set_state", {"state": {"type": kind}})
        now = datetime.now(UTC).isoformat()
        line = {"name": "bench", "level": 20, "message": "x" * 100, "timestamp": now, "flow_run_id": run["id"]}
        client.post("logs", "/logs/", [line] * 10)
        client.post("set_state", f"/flow_runs/{run['id']}/set_state", {"state": {"type": "COMPLETED"}})
        client.get("read_flow_run", f"/flow_runs/{run['id']}")
        client.post("list_flow_runs", "/flow_runs/filter", {"limit": 50, "sort": "START_TIME_DESC"})


def _round(server: Server, deployment: str, seconds: float, clients: int) -> None:
    until = time.monotonic() + seconds
    threads = [threading.Thread(target=_live, args=(server, deployment, until)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _figures(server: Server) -> dict[str, Any]:
    every = [one for name, times in server.seconds.items() if name != "set up" for one in times]
    return {
        "calls": len(every),
        "p50_ms": {name: _ms(times, 50) for name, times in server.seconds.items() if name != "set up"},
        "p95_ms": {name: _ms(times, 95) for name, times in server.seconds.items() if name != "set up"},
        "slowest_ms": {
            name: round(1_000 * max(times), 1) for name, times in server.seconds.items() if name != "set up"
        },
        "p95_of_all_ms": _ms(every, 95),
        "errors": dict(server.errors),
        "locked_in_log": server.locked(),
    }


def _ms(times: list[float], percent: int) -> float:
    return round(1_000 * (statistics.quantiles(times, n=100)[percent - 1] if len(times) > 1 else sum(times)), 1)


def measure(folder: Path, seconds: float, rounds: int, clients: int, port: int) -> dict[str, Any]:
    """The figures of every server; ``port`` and the following ones are used."""
    postgres = EmbeddedPostgres(folder / "pg")
    postgres.start()
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE prefect")
    host = quote(postgres.url.partition("host=")[2], safe="%")
    url = f"postgresql+asyncpg://postgres@/prefect?host={host}"
    postgres_settings = {
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": url,
        "PREFECT_SERVER_DATABASE_MIGRATE_ON_START": "false",
    }
    servers = [
        Server("sqlite", port, folder / "sqlite", {}),
        Server("sqlite, immediate", port + 1, folder / "immediate", {}, ("furrow.prefect_server",)),
        Server("postgres", port + 2, folder / "postgres", postgres_settings),
    ]
    try:
        for server in servers:
            server.start()
        targets = {server.name: _deployment(server) for server in servers}
        for _ in range(rounds):
            for server in servers:
                _round(server, targets[server.name], seconds, clients)
        return {server.name: _figures(server) for server in servers}
    finally:
        for server in servers:
            server.stop()
        postgres.stop()


def main(arguments: list[str]) -> None:
    """Run the benchmark of this module."""
    parser = argparse.ArgumentParser(prog="bench prefect-database", description=__doc__)
    parser.add_argument("--seconds", type=float, default=15, help="of one round of one server")
    parser.add_argument("--rounds", type=int, default=3, help="of each server")
    parser.add_argument("--clients", type=int, default=8, help="at the same time")
    parser.add_argument("--port", type=int, default=14_200, help="the first of three ports")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="furrow-bench-") as folder:
        found = measure(Path(folder), chosen.seconds, chosen.rounds, chosen.clients, chosen.port)
    base = found["sqlite"]["p95_of_all_ms"]
    for name, figures in found.items():
        ratio = figures["p95_of_all_ms"] / base
        print(
            f"{name}: {figures['calls']} calls, p95 {figures['p95_of_all_ms']} ms ({ratio:.2f} of sqlite's)", end=", "
        )
        slowest = max(figures["slowest_ms"].get(name, 0.0) for name in _READS)
        print(f"slowest read {slowest} ms, errors {figures['errors']}, locked {figures['locked_in_log']}")
    print(json.dumps({"machine": machine(), **found}))


if __name__ == "__main__":
    main(sys.argv[1:])
