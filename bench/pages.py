"""How long a page takes, and how large it is: ``python -m bench pages [--incidents 10000] [--detections 1000000]``.

It starts an embedded Postgres, fills it (bench/incident_rows.py), starts the collector as ``furrow up`` does, and requests each
page and each list of the HTTP API many times over one connection, one request after another, signed in as an operator. Pages
are asked for in turns, so that a slow moment of the machine meets all of them. Printed for each: p50 and p95 in milliseconds on
the clock, milliseconds of CPU that a request takes in the collector and in Postgres (which other programs on the machine hardly
change; Linux only), and the bytes that were sent (gzip). ``--directory`` keeps the filled store for the next run.

The last line is JSON.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

import httpx
import numpy as np
from rich.console import Console
from rich.table import Table

from bench.incident_rows import Size, fill_incident_store, name_incident, name_project
from bench.measure import machine, read_cpu_ns, read_postgres_cpu_ns
from core.private_files import restrict_new_files
from stores.embedded_postgres import EmbeddedPostgres
from stores.incidents.incident_store import IncidentStore

KEY: Final = "bench-pages-operator-key"
_DEPTH: Final = 100
"""Pages of the list after which a deep page begins."""
_PATIENCE_S: Final = 60
_OWNERS: Final = """\
/area-0/ # nobody
/area-1/ # nobody
/area-7/ @area-7
* @web
"""


@dataclass(frozen=True)
class PageFigures:
    """Milliseconds on the clock, mean milliseconds of CPU (None: not known), and bytes as sent, of one address."""

    name: str
    p50_ms: float
    p95_ms: float
    collector_cpu_ms: float | None
    postgres_cpu_ms: float | None
    sent_bytes: int


@dataclass(frozen=True)
class ServedStore:
    """A collector over a filled store, and a client that is signed in. ``url``: of the store; the rest are process ids."""

    url: str
    client: httpx.Client
    collector: int
    postgres: int

    def read_clocks(self) -> tuple[int, int, int]:
        """Nanoseconds: on the clock, of CPU of the collector, and of CPU of Postgres (0 on other systems than Linux)."""
        return time.perf_counter_ns(), read_cpu_ns(self.collector), read_postgres_cpu_ns(self.postgres)


def list_addresses(size: Size, client: httpx.Client) -> dict[str, str]:
    """What is requested: name → address."""
    largest, middle = name_incident(0), name_incident(size.incidents // 10)
    example = client.get(f"/v1/incidents/{largest}").raise_for_status().json()["examples"][0]["sessionId"]
    deep = _follow_pages(client, _DEPTH)
    filters = {
        "all": {"status": "all"},
        "by sessions": {"status": "all", "sort": "-affectedSessions"},
        "by severity": {"sort": "-severity"},
        "search, rare": {"status": "all", "q": "checkout-12"},
        "search, nothing": {"status": "all", "q": "no such words"},
        "search, common": {"q": "api"},
        "version": {"version": "2.4.1"},
        "browser": {"status": "all", "browser": "Firefox"},
        "environment": {"environment": "staging", "sort": "-affectedUsers"},
        "project, exported": {"project": "shop", "exported": "true", "status": "confirmed"},
        "not exported": {"exported": "false", "status": "all"},
        "owner, few": {"status": "all", "owner": "@area-7"},
        "owner, many": {"status": "all", "owner": "@web"},
        "no owner": {"status": "all", "owned": "false"},
        "route": {"status": "all", "route": "/area-7/page-7"},
        "score, severity": {"minScore": "95", "severity": "Critical,High"},
    }
    return {
        "incidents": "/incidents",
        **{f"incidents: {name}": f"/incidents?{urlencode(values)}" for name, values in filters.items()},
        "incidents: deep page": deep,
        "incident: largest": f"/incidents/{largest}",
        "incident: middle": f"/incidents/{middle}",
        "session": f"/session?{urlencode({'project': name_project(0), 'id': example})}",
        "near misses": "/near-misses",
        "near misses: project, rule": "/near-misses?project=shop&rule=low",
        "health": "/health",
        "API: incidents": "/v1/incidents",
        "API: incidents, offset 9,000": "/v1/incidents?offset=9000",
        "API: incidents, limit 1,000": "/v1/incidents?limit=1000",
        "API: incident": f"/v1/incidents/{largest}",
        "API: status": "/v1/status",
    }


def _follow_pages(client: httpx.Client, depth: int) -> str:
    """The address of the page ``depth`` pages after the first one, or of the last one before."""
    address = "/incidents?status=all"
    for _ in range(depth):
        following = client.get(address.replace("/incidents?", "/incidents.json?")).json()["next"]
        if not following:
            break
        address = f"/incidents?{urlencode({'status': 'all', 'after': following})}"
    return address


def measure_pages(store: ServedStore, addresses: dict[str, str], rounds: int) -> list[PageFigures]:
    """Request each address ``rounds`` times, in turns."""
    took: dict[str, list[tuple[float, ...]]] = {name: [] for name in addresses}
    sizes: dict[str, int] = {}
    for number in range(rounds + 1):
        for name, address in addresses.items():
            before = store.read_clocks()
            with store.client.stream("GET", address) as answer:
                sent = sum(len(part) for part in answer.iter_raw())
            after = store.read_clocks()
            if answer.status_code != httpx.codes.OK:
                raise SystemExit(f"{address} was answered {answer.status_code}")
            sizes[name] = sent
            if number:  # the first request opens connections and compiles templates
                took[name].append(tuple((b - a) / 1e6 for a, b in zip(before, after, strict=True)))
    return [_build_figures(name, np.array(values), sizes[name]) for name, values in took.items()]


def _build_figures(name: str, values: np.ndarray, sent: int) -> PageFigures:
    p50, p95 = np.percentile(values[:, 0], [50, 95])
    cpu = values[:, 1:].mean(axis=0)
    known = [round(float(part), 1) if values[:, n + 1].any() else None for n, part in enumerate(cpu)]
    return PageFigures(name, round(float(p50), 1), round(float(p95), 1), known[0], known[1], sent)


@contextmanager
def serve_filled_store(directory: Path, size: Size) -> Iterator[ServedStore]:
    """A collector over a filled store."""
    with open_filled_store(directory, size) as url, _serve_collector(directory, url) as (client, collector):
        postmaster = int((directory / "postgres" / "postmaster.pid").read_text().split()[0])
        yield ServedStore(url, client, collector, postmaster)


@contextmanager
def open_filled_store(directory: Path, size: Size) -> Iterator[str]:
    """An embedded Postgres with rows of ``size``; one that is there already is used as it is. Yields its URL."""
    postgres = EmbeddedPostgres(directory / "postgres")
    postgres.start()
    try:
        store = IncidentStore.connect(postgres.url)
        store.migrate()
        if not sum(store.incidents.read_store_counts()["incidents"].values()):
            fill_incident_store(postgres.url, size)
        store.close()
        yield postgres.url
    finally:
        postgres.stop()


@contextmanager
def _serve_collector(directory: Path, url: str) -> Iterator[tuple[httpx.Client, int]]:
    owners = directory / "OWNERS"
    owners.write_text(_OWNERS, encoding="utf-8")
    config = {
        "owners_file": str(owners),
        "spool_dir": str(directory / "spool"),
        "user_salt": "bench",
        "port": 0,
        "incident_store_url": url,
        "operator_key": KEY,
        "requests_per_second": 1e6,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "collector", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin
    assert process.stdout
    try:
        process.stdin.write(json.dumps(config))
        process.stdin.close()
        base = process.stdout.readline().split()[-1]
        headers = {"X-API-Key": KEY, "accept-encoding": "gzip"}
        with httpx.Client(base_url=base, headers=headers, trust_env=False, timeout=_PATIENCE_S) as client:
            _sign_in(client)
            yield client, process.pid
    finally:
        process.terminate()
        process.wait()


def _sign_in(client: httpx.Client) -> None:
    """Programs get JSON with the key in a header; pages are for people with a cookie."""
    until = time.monotonic() + _PATIENCE_S
    while client.get("/v1/status").status_code != httpx.codes.OK:
        if time.monotonic() > until:
            raise SystemExit("the collector did not read the incident store")
        time.sleep(0.2)
    answer = client.post(
        "/sign-in", data={"key": KEY, "target": "/incidents"}, headers={"origin": str(client.base_url)}
    )
    if answer.status_code != httpx.codes.SEE_OTHER:
        raise SystemExit(f"signing in was answered {answer.status_code}")


def measure(size: Size, rounds: int, directory: str | None = None) -> dict[str, Any]:
    """Fill, serve, request."""
    restrict_new_files()
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as fresh,
        serve_filled_store(Path(directory or fresh), size) as store,
    ):
        pages = measure_pages(store, list_addresses(size, store.client), rounds)
    return {"machine": machine(), "size": asdict(size), "pages": [asdict(page) for page in pages]}


def show_table(figures: dict[str, Any]) -> Table:
    """The figures as a table."""
    size = figures["size"]
    table = Table(title=f"Pages with {size['incidents']:,} incidents and {size['detections']:,} detections")
    table.add_column("page")
    for name in ("p50 ms", "p95 ms", "CPU ms", "of it Postgres", "kB sent"):
        table.add_column(name, justify="right")
    for page in figures["pages"]:
        parts = [page[f"{part}_cpu_ms"] for part in ("collector", "postgres")]
        cpu = ["?", "?"] if None in parts else [f"{sum(parts):.1f}", f"{parts[1]:.1f}"]
        table.add_row(
            page["name"], f"{page['p50_ms']:.1f}", f"{page['p95_ms']:.1f}", *cpu, f"{page['sent_bytes'] / 1e3:.1f}"
        )
    return table


def main(words: list[str]) -> None:
    """Run the benchmark with the arguments of the command line."""
    parser = argparse.ArgumentParser(prog="bench pages")
    parser.add_argument("--incidents", type=int, default=10_000)
    parser.add_argument("--detections", type=int, default=1_000_000)
    parser.add_argument("--silences", type=int, default=200_000, help="near misses")
    parser.add_argument("--rounds", type=int, default=40, help="requests of each page")
    parser.add_argument("--directory", help="directory to keep the filled store for the next run")
    chosen = parser.parse_args(words)
    figures = measure(Size(chosen.incidents, chosen.detections, chosen.silences), chosen.rounds, chosen.directory)
    Console(width=120, highlight=False).print(show_table(figures))
    print(json.dumps(figures))
