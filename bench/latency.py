"""The time from a session's end, and from the third failed try, to its incident.

``python -m bench latency [--minutes 3] [--rate 500] [--burst 20]`` starts ``furrow up`` in a temporary directory, with the
default schedule and embedded stores, and sends it live traffic over HTTP: client sessions of 40 events over 40 s, one in ten
frustrated (six clicks, 3 s apart, on a button whose requests fail; three such sessions in a row have a button of their own),
``rate`` events/s; then also ``burst`` times as much for some seconds: whole sessions at once, as clients send them after being
offline. It measures the time from ``session_end`` until the detection is visible in Postgres, in parts:

* ``sent``: until the collector received it (its ``received_ms``; a 202 follows when it is on disk);
* ``landed``: from there until the segment is in ClickHouse, which happens while it waits to be
* ``due``: complete 15 s after the last receipt (docs: Sessions);
* ``waited``: from there until the run that stored it starts (every 30 s, one at a time);
* ``run``: from that start until it is visible.

While the sessions go on, it measures the time from the answer of the third failed try

* ``open``: until the session's open detection is visible (or its detection, if the session was complete before);
* ``draft``: of the last of three sessions with one failure, until their incident is visible as a draft.

Runs that overlap, and runs that start late, are counted.

It takes ``--minutes`` and about three minutes more, and is not part of ``make bench``. The last line is JSON; all times are
seconds.
"""

import argparse
import heapq
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
import numpy as np
import psycopg
from clickhouse_connect import get_client

from bench.measure import machine
from collector.contract import MAX_EVENTS
from core.kept_secrets import PREFECT_AUTH
from stores.embedded_postgres import EmbeddedPostgres

PER_SESSION: Final = 40
SECONDS: Final = 40.0
"""Duration of a session, s."""
FRUSTRATED: Final = 10
"""One session in this many is frustrated."""
GROUP: Final = 3
"""Frustrated sessions in a row with the same failure; each has a sender of its own, so that all count."""
FIRST_TRY: Final = 20.0
"""First click of a frustrated session, s after its begin."""
TRY_GAP: Final = 3.0
ANSWER: Final = 0.3
"""Time from a click to its answer, s."""
THIRD_FAILURE: Final = FIRST_TRY + 2 * TRY_GAP + ANSWER
GRACE_MS: Final = 15_000
BURST_SECONDS: Final = 5.0
AFTER_SECONDS: Final = 30.0
"""Duration of the normal traffic after the burst, s."""
_DRAIN_SECONDS: Final = 240.0
_LATE_SECONDS: Final = 15.0  # after this delay Prefect reports a run as late
_POLL_SECONDS: Final = 0.25
_TICK_SECONDS: Final = 0.1
_KEY: Final = "bench-latency-ingest-key"  # the known key is refused behind a proxy

Event = dict[str, Any]
Make = Callable[[str, float, bool], Iterator[tuple[float, Event]]]
"""(name, begin in epoch s, whether it is frustrated) → (epoch s, event), in order, of one session of `SECONDS`."""


@dataclass
class Traffic:
    """What was sent: the end (epoch s) of every frustrated session, the third failed try of those that were sent as they
    happened, and how the collector answered."""

    ends: dict[str, float] = field(default_factory=dict)
    tried: dict[str, float] = field(default_factory=dict)
    burst_at: float = 0.0
    burst_took: float = 0.0
    events: int = 0
    requests: int = 0
    bytes: int = 0
    retried: int = 0


class Sender:
    """Sends traffic to one collector over several connections."""

    def __init__(self, url: str, rate: float, make: Make | None = None, senders: int = 1) -> None:
        """``make``: the events of one session; by default those of the module's docstring. ``senders``: addresses from which
        they seem to come, for a collector that trusts its proxy."""
        self.traffic = Traffic()
        self._senders = senders
        self._make = make or _events
        self._rate = rate
        self._number = 0
        self._line: list[tuple[float, int, Event]] = []
        self._pool = ThreadPoolExecutor(8, thread_name_prefix="send")
        self._going: list[Future[None]] = []
        self._client = httpx.Client(
            base_url=url,
            headers={"x-api-key": _KEY if senders > 1 else "test-key", "content-type": "application/json"},
            timeout=60,
            trust_env=False,
        )

    def steady(self, seconds: float) -> None:
        """Sessions that begin evenly; their events are sent when they happen."""
        begin = now = time.time()
        begun = 0
        while now - begin < seconds:
            while begun <= (now - begin) * self._rate / PER_SESSION:
                self._begin("steady", begin + begun * PER_SESSION / self._rate)
                begun += 1
            self._send_until(now)
            time.sleep(_TICK_SECONDS)
            now = time.time()

    def burst(self, times: float) -> None:
        """Send whole sessions that end now, at ``times`` the rate, for some seconds, in addition to the normal traffic."""
        self.traffic.burst_at = begin = time.time()
        whole = int(times * self._rate * BURST_SECONDS / PER_SESSION)
        for n in range(whole):
            due = begin + n * BURST_SECONDS / whole
            if (ahead := due - time.time()) > 0:
                self._send_until(time.time())
                time.sleep(min(ahead, _TICK_SECONDS))
            self._send([event for _, event in self._session("burst", time.time() - SECONDS)])
        for one in self._going:
            one.result()
        self.traffic.burst_took = time.time() - begin

    def finish(self) -> None:
        """Send the rest of the sessions that began, in real time, and wait for the answers."""
        while self._line:
            self._send_until(time.time())
            time.sleep(_TICK_SECONDS)
        self._pool.shutdown()
        for one in self._going:
            one.result()
        self._client.close()

    def _begin(self, kind: str, at: float) -> None:
        for when, event in self._session(kind, at):
            heapq.heappush(self._line, (when, id(event), event))

    def _session(self, kind: str, at: float) -> list[tuple[float, Event]]:
        self._number += 1
        name = f"{kind}-{self._number}"
        bad = self._number % FRUSTRATED == 0
        if bad:
            self.traffic.ends[name] = at + SECONDS
            if kind == "steady":
                self.traffic.tried[name] = at + THIRD_FAILURE
        return list(self._make(name, at, bad))

    def _send_until(self, now: float) -> None:
        batch: list[Event] = []
        while self._line and self._line[0][0] <= now:
            batch.append(heapq.heappop(self._line)[2])
        self._send(batch)

    def _send(self, batch: list[Event]) -> None:
        by_sender: dict[int, list[Event]] = {}
        for event in batch:
            by_sender.setdefault(_session_number(event["sessionId"]) // FRUSTRATED % self._senders, []).append(event)
        for sender, events in by_sender.items():
            for start in range(0, len(events), MAX_EVENTS):
                self._post(events[start : start + MAX_EVENTS], sender)

    def _post(self, events: list[Event], sender: int) -> None:
        self.traffic.events += len(events)
        self._going = [one for one in self._going if not one.done() or one.result()]
        body = msgspec.json.encode({"events": events})
        self.traffic.requests += 1
        self.traffic.bytes += len(body)
        self._going.append(self._pool.submit(self._deliver, body, sender))

    def _deliver(self, body: bytes, sender: int) -> None:
        address = {"x-forwarded-for": f"198.51.100.{sender + 1}"}
        while True:
            answer = self._client.post("/v1/events", content=body, headers=address)
            if answer.status_code == 202:
                rejected = answer.json()["rejected"]
                assert not rejected, rejected
                return
            assert answer.status_code in (429, 503), answer.text
            self.traffic.retried += 1
            time.sleep(float(answer.headers.get("retry-after", "1")))


def _events(session: str, at: float, bad: bool) -> Iterator[tuple[float, Event]]:
    """(epoch s, event) of one session: browsing, then a payment in six attempts, each with its request, and the end."""

    def event(offset: float, kind: str, **rest: Any) -> tuple[float, Event]:
        stamp = datetime.fromtimestamp(at + offset, UTC).isoformat()
        return at + offset, {"eventType": kind, "timestamp": stamp, "sessionId": session, **rest}

    yield event(0, "navigation", route="/shop", metadata={"to": "/shop"})
    for n in range(PER_SESSION - 14):
        yield event(1 + n * 0.7, "scroll", route="/shop", metadata={"depth": n * 3, "direction": "down"})
    for n in range(6):
        # Calm: other controls, and the requests succeed.
        begin, where = FIRST_TRY + n * TRY_GAP, failure_of(session)
        target = {
            "type": "button",
            "id": f"pay-{where}" if bad else f"step-{n}",
            "label": "Pay" if bad else f"Step {n}",
        }
        url = f"/api/orders/{where}" if bad else "/api/orders"
        answer = {"method": "POST", "url": url, "status": 500 if bad else 200, "durationMs": 200}
        yield event(begin, "click", route="/checkout", target=target, metadata={"inputMethod": "mouse"})
        yield event(begin + ANSWER, "network", route="/checkout", metadata=answer)
    yield event(SECONDS, "session_end", route="/checkout")


def failure_of(session: str) -> str:
    """The name of what fails in a frustrated session: letters, so that it is not taken for an id."""
    kind, number = session.split("-")[0], _session_number(session) // (FRUSTRATED * GROUP)
    return kind if kind != "steady" else "".join(chr(ord("a") + int(digit)) for digit in str(number))


def _session_number(session: str) -> int:
    return int(session.rsplit("-", 1)[1])


class Watcher(threading.Thread):
    """Records when each session's detection, its open one, and each draft become visible in Postgres (epoch s)."""

    def __init__(self, url: str) -> None:
        super().__init__(name="watch", daemon=True)
        self.seen: dict[str, float] = {}
        self.open: dict[str, float] = {}
        self.drafts: dict[str, float] = {}
        self._url = url
        self._over = threading.Event()

    def run(self) -> None:
        """Start polling, four times a second."""
        with psycopg.connect(self._url, autocommit=True) as connection:
            while not self._over.wait(_POLL_SECONDS):
                rows = connection.execute("SELECT DISTINCT session_id FROM detections").fetchall()
                now = time.time()
                for (session,) in rows:
                    self.seen.setdefault(session, now)
                    self.open.setdefault(session, now)
                for (session,) in connection.execute("SELECT session_id FROM open_detections").fetchall():
                    self.open.setdefault(session, now)
                for (target,) in connection.execute("SELECT failure_point ->> 'target' FROM incidents").fetchall():
                    self.drafts.setdefault(str(target).rpartition("-")[2], now)

    def wait(self, sessions: set[str], seconds: float) -> None:
        """Wait until all of them are visible, or until the time is over."""
        end = time.monotonic() + seconds
        while not sessions <= self.seen.keys() and time.monotonic() < end and self.is_alive():
            time.sleep(1)

    def stop(self) -> None:
        """Stop polling."""
        self._over.set()
        self.join()


@dataclass(frozen=True)
class Run:
    """One run of ``detect``: times in epoch s, and the name of its last state."""

    expected: float
    start: float
    end: float
    state: str


class Up:
    """``furrow up`` in a temporary directory. Use as a context manager."""

    def __init__(self, directory: Path, **settings: str) -> None:
        """``settings``: further variables of its environment."""
        self._settings = settings
        self.data = directory / "data"
        self._log = directory / "up.log"
        ports = _free_port(), _free_port()
        self.url, self.prefect = (f"http://127.0.0.1:{port}" for port in ports)
        self._command = [sys.executable, "-m", "furrow", "up", "--data-dir", str(self.data), "--port", str(ports[0]),
                         "--prefect-port", str(ports[1])]  # fmt: skip

    def __enter__(self) -> "Up":
        ours = {k: v for k, v in os.environ.items() if not k.startswith(("FURROW_", "PREFECT_", "PROMETHEUS_"))}
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                self._command,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=ours | self._settings,
                start_new_session=True,
            )
        end = time.monotonic() + 240
        while "Furrow is up" not in self._log.read_text():
            if self._process.poll() is not None or time.monotonic() > end:
                self.__exit__()
                raise SystemExit(f"furrow up did not start: {self._log.read_text()[-2000:]}")
            time.sleep(0.5)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    @property
    def pid(self) -> int:
        """Process id of ``furrow up``."""
        return self._process.pid

    def _login(self) -> tuple[str, str]:
        name, _, password = (self.data / PREFECT_AUTH).read_text().partition(":")
        return name, password

    def runs(self) -> list[Run]:
        """Every run of ``detect`` that began, in that order."""
        found: list[dict[str, Any]] = []
        which = {"flows": {"name": {"any_": ["detect"]}}, "flow_runs": {"state": {"type": {"not_any_": ["SCHEDULED"]}}}}
        while True:
            asked = {**which, "limit": 200, "offset": len(found), "sort": "EXPECTED_START_TIME_ASC"}
            page = httpx.post(
                f"{self.prefect}/api/flow_runs/filter", json=asked, timeout=60, trust_env=False, auth=self._login()
            ).json()
            found += page
            if len(page) < 200:
                break
        runs = [
            Run(
                _epoch(one["expected_start_time"]),
                _epoch(one["start_time"]),
                _epoch(one["end_time"]),
                one["state_name"],
            )
            for one in found
            if one["start_time"] and one["end_time"]
        ]
        return sorted(runs, key=lambda run: run.start)


def measure(minutes: float, rate: float, times: float) -> dict[str, Any]:
    """Start, send, wait, and collect the figures."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        # Each session's events come from one of a few addresses, as the collector learns from its proxy.
        with Up(Path(directory), FURROW_TRUSTED_PROXIES="127.0.0.1", FURROW_INGEST_KEY=_KEY) as up:
            sender = Sender(up.url, rate, senders=GROUP)
            watcher = Watcher(EmbeddedPostgres(up.data / "postgres").url)
            watcher.start()
            sender.steady(minutes * 60)
            sender.burst(times)
            sender.steady(AFTER_SECONDS)
            sender.finish()
            watcher.wait(set(sender.traffic.ends), _DRAIN_SECONDS)
            watcher.stop()
            runs = up.runs()
        received, landed = _stored(up.data)
    return _figures(sender.traffic, watcher.seen, runs, received, landed) | {
        "tries": _try_figures(sender.traffic, watcher)
    }


def _stored(data: Path) -> tuple[dict[str, float], dict[str, float]]:
    """When each session's last event was received, and when it had landed (epoch s); asked when the engine has stopped."""
    client = get_client(interface="chdb", path=str((data / "clickhouse").resolve()), database="furrow")
    rows = client.query(
        "SELECT session_id, max(received_ms) / 1e3, toUnixTimestamp64Micro(max(landed_at)) / 1e6 FROM events GROUP BY 1"
    ).result_rows
    client.close()
    return {row[0]: row[1] for row in rows}, {row[0]: row[2] for row in rows}


def _figures(
    traffic: Traffic,
    seen: dict[str, float],
    runs: list[Run],
    received: dict[str, float],
    landed: dict[str, float],
) -> dict[str, Any]:
    parts: dict[str, dict[str, list[float]]] = {"steady": {}, "burst": {}}
    for session, ended in traffic.ends.items():
        if session not in seen:
            continue
        here = parts["burst" if ended >= traffic.burst_at else "steady"]
        due = received[session] + GRACE_MS / 1000
        began = max((run.start for run in runs if due <= run.start <= seen[session]), default=due)
        for name, seconds in (
            ("whole", seen[session] - ended),
            ("sent", received[session] - ended),
            ("landed", landed[session] - received[session]),
            ("due", due - received[session]),
            ("waited", began - due),
            ("run", seen[session] - began),
        ):
            here.setdefault(name, []).append(seconds)
    delays = [run.start - run.expected for run in runs]
    return {
        "machine": machine(),
        "events": traffic.events,
        "frustrated": len(traffic.ends),
        "missing": len(traffic.ends.keys() - seen.keys()),
        "extra": len(seen.keys() - traffic.ends.keys()),
        "burst_took_s": round(traffic.burst_took, 1),
        "retried": traffic.retried,
        **{name: {part: _percentiles(values) for part, values in here.items()} for name, here in parts.items()},
        "runs": {
            "number": len(runs),
            "states": dict(Counter(run.state for run in runs)),
            "overlaps": sum(after.start < before.end for before, after in pairwise(runs)),
            "late": sum(delay > _LATE_SECONDS for delay in delays),
            "delay": _percentiles(delays),
            "took": _percentiles([run.end - run.start for run in runs]),
        },
    }


def _try_figures(traffic: Traffic, watcher: Watcher) -> dict[str, dict[str, float]]:
    """Seconds from the third failed try to the session's open detection, and of each whole group's last one to the draft."""
    groups: dict[str, list[float]] = {}
    for session, tried in traffic.tried.items():
        groups.setdefault(failure_of(session), []).append(tried)
    last = {name: max(tried) for name, tried in groups.items() if len(tried) == GROUP}
    return {
        "open": _percentiles([watcher.open[name] - at for name, at in traffic.tried.items() if name in watcher.open]),
        "draft": _percentiles([watcher.drafts[name] - at for name, at in last.items() if name in watcher.drafts]),
        "missing": {
            "open": len(traffic.tried.keys() - watcher.open.keys()),
            "draft": len(last.keys() - watcher.drafts.keys()),
        },
    }


def _percentiles(values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    told = np.percentile(values, [50, 95, 99, 100])
    return {
        "n": len(values),
        **{name: round(float(v), 2) for name, v in zip(("p50", "p95", "p99", "max"), told, strict=True)},
    }


def _show(figures: dict[str, Any], say: Callable[[str], None]) -> None:
    for load in ("steady", "burst"):
        say(f"{load}: seconds from a session's end to its incident")
        for part, told in figures[load].items():
            say(f"  {part:<7} " + "  ".join(f"{name} {value:>7}" for name, value in told.items()))
    say("seconds from the third failed try")
    for part in ("open", "draft"):
        say(f"  {part:<7} " + "  ".join(f"{name} {value:>7}" for name, value in figures["tries"][part].items()))
    say(f"runs: {figures['runs']}")
    if figures["missing"]:
        say(f"{figures['missing']} of {figures['frustrated']} sessions had no incident in time")


def _epoch(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main(words: list[str]) -> None:
    """Run the benchmark of this module."""
    parser = argparse.ArgumentParser(prog="bench latency")
    parser.add_argument("--minutes", type=float, default=3.0, help="steady traffic before the burst")
    parser.add_argument("--rate", type=float, default=500.0, help="events a second")
    parser.add_argument("--burst", type=float, default=20.0, help="times the rate, for 5 s")
    chosen = parser.parse_args(words)
    figures = measure(chosen.minutes, chosen.rate, chosen.burst)
    _show(figures, print)
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1:])
