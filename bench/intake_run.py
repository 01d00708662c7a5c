"""One run of ``python -m bench intake``: a collector, a lander and ``wrk`` in processes of their own."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import psutil  # type: ignore[import-untyped]
from clickhouse_connect import get_client

from bench.intake_events import MARK, make_bodies

_KEY: Final = "bench-key-0123456789"
_FREE: Final = 1e9  # a rate that limits nothing: the benchmark is one address with one key
_BODIES: Final = 64
_DRAIN_SECONDS: Final = 120.0
_SAMPLER: Final = Path(__file__).with_name("intake_sampler.py")

_LANDER: Final = """
import signal, sys
from pathlib import Path
from lander.loop import Lander
from stores.opening import build_embedded_events_url, open_event_store_at
data = Path(sys.argv[1])
store = open_event_store_at(build_embedded_events_url(data / "clickhouse"))
store.migrate()
lander = Lander(data / "spool", lambda: store, data / "lander.json")
signal.signal(signal.SIGTERM, lambda *_: lander.stop())
print("ready", flush=True)
lander.land_until_stopped()
lander.land_all_segments()
"""

_SCRIPT: Final = """
local bodies = {}
local from = 0
local at = 0
for body in io.lines("BODIES") do
  local parts, start = {}, 1
  while true do
    local a, b = string.find(body, "MARK", start, true)
    if a == nil then break end
    parts[#parts + 1] = string.sub(body, start, a - 1)
    parts[#parts + 1] = ""
    start = b + 1
  end
  parts[#parts + 1] = string.sub(body, start)
  bodies[#bodies + 1] = parts
end
local threads = 0
function setup(thread) thread:set("number", threads); threads = threads + 1 end
local head = {["Content-Type"] = "application/json", ["X-API-Key"] = "KEY",
  ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36",
  ["Origin"] = "http://127.0.0.1:8000"}
function request()
  at = at + 1
  local parts = bodies[at % #bodies + 1]
  local session = "s-" .. number .. "-" .. at
  for i = 2, #parts, 2 do parts[i] = session end
  return wrk.format("POST", "/v1/events", head, table.concat(parts))
end
function done(summary, latency)
  print(string.format("RESULT %d %d %d %d %d %d", summary.requests, summary.duration,
    summary.errors.status, summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
"""


@dataclass(frozen=True)
class Measured:
    """One round: events/s durable and landed, µs of CPU an event by process, latencies of requests (ms), the memory of the
    collector's processes (PSS, MiB)."""

    durable: float
    landed: float
    cpu_us: dict[str, float]
    latency_ms: dict[str, float]
    memory_mb: float


def measure_intake(
    checkout: Path, batch: int, seconds: float, connections: int, processes: int | None = None
) -> Measured:
    """One round with the collector and the lander of ``checkout``. Raises SystemExit when an event is lost or refused."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        data = Path(directory)
        with _run_lander(checkout, data) as lander, _run_collector(checkout, data, processes) as (collector, url):
            _run_wrk(data, url, batch, 1.0, connections)  # warm: caches, the first segment
            _wait_until_landed(data / "spool")
            before = _cpu_of(collector), _cpu_of(lander)
            began = time.monotonic()
            sent, cpu = _run_wrk(data, url, batch, seconds, connections)
            memory = _memory_of(collector)
            _wait_until_landed(data / "spool")
            whole = time.monotonic() - began
            events = round(sent["requests"]) * batch
            used = {"collector": _cpu_of(collector) - before[0], "lander": _cpu_of(lander) - before[1], "wrk": cpu}
        _check_landed(data, events)
    return Measured(
        durable=events / sent["seconds"],
        landed=events / whole,
        cpu_us={name: took / events * 1e6 for name, took in used.items()},
        latency_ms={"p50": sent["p50_ms"], "p99": sent["p99_ms"]},
        memory_mb=memory,
    )


def sample_stages(checkout: Path, batch: int, seconds: float, connections: int) -> dict[str, float]:
    """The share of each stage in the CPU time of one collector process."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        data = Path(directory)
        with _run_collector(checkout, data, 1, sampled=True) as (_, url):
            _run_wrk(data, url, batch, seconds, connections)
        counts: dict[str, int] = json.loads((data / "stages.json").read_text())
    total = max(1, sum(counts.values()))
    return {name: round(n / total, 3) for name, n in sorted(counts.items(), key=lambda part: -part[1])}


@contextmanager
def _run_collector(
    checkout: Path, data: Path, processes: int | None, *, sampled: bool = False
) -> Iterator[tuple[psutil.Process, str]]:
    config: dict[str, Any] = {
        "spool_dir": str(data / "spool"),
        "user_salt": "salt",
        "ingest_key": _KEY,
        "port": 0,
        "embedded": True,  # its pages of this machine may send: the load has an origin, as a browser's
        "requests_per_second": _FREE,
        "source_bytes_per_second": _FREE,
    }
    if processes is not None and _has_setting(checkout, "processes"):
        config |= {"processes": processes, "api": processes == 1}
    command = ["-m", "collector", "-"] if not sampled else [str(_SAMPLER), str(data / "stages.json"), "-"]
    process = subprocess.Popen(
        [_python_of(checkout), *command],
        cwd=checkout,
        env=_environment(checkout),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=(data / "collector.log").open("w"),
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(config))
    process.stdin.close()
    found = re.search(r"http://\S+", process.stdout.readline())
    if found is None:
        raise SystemExit(f"the collector of {checkout} did not start: {(data / 'collector.log').read_text()[-2000:]}")
    try:
        yield psutil.Process(process.pid), found[0]
    finally:
        _end(process)


@contextmanager
def _run_lander(checkout: Path, data: Path) -> Iterator[psutil.Process]:
    process = subprocess.Popen(
        [_python_of(checkout), "-c", _LANDER, str(data)],
        cwd=checkout,
        env=_environment(checkout),
        stdout=subprocess.PIPE,
        stderr=(data / "lander.log").open("w"),
        text=True,
    )
    assert process.stdout is not None
    if process.stdout.readline().strip() != "ready":
        raise SystemExit(f"the lander of {checkout} did not start: {(data / 'lander.log').read_text()[-2000:]}")
    try:
        yield psutil.Process(process.pid)
    finally:
        _end(process)


def _end(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _run_wrk(data: Path, url: str, batch: int, seconds: float, connections: int) -> tuple[dict[str, float], float]:
    """What wrk reports, and its CPU seconds. Raises SystemExit for any other answer than 202."""
    bodies = data / f"bodies-{time.monotonic_ns()}"
    bodies.write_text("\n".join(make_bodies(_BODIES, batch)))
    script = _SCRIPT.replace("BODIES", str(bodies)).replace("MARK", MARK).replace("KEY", _KEY)
    # Each run has sessions of its own.
    script = script.replace('"s-"', f'"{time.monotonic_ns():x}-"')
    (data / "load.lua").write_text(script)
    command = ["wrk", "-t", "1", "-c", str(connections), "-d", f"{max(1, round(seconds))}s", "--timeout", "20s"]
    before = os.times()
    ran = subprocess.run(
        [*command, "-s", str(data / "load.lua"), url], check=True, capture_output=True, text=True, timeout=seconds + 120
    )
    after = os.times()
    found = re.search(r"RESULT (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)", ran.stdout)
    if found is None:
        raise SystemExit(f"wrk reports nothing: {ran.stdout}{ran.stderr}")
    requests, took, refused, failed, p50, p99 = map(int, found.groups())
    if refused or failed or not requests:
        raise SystemExit(f"{refused} of {requests} requests were refused, {failed} failed: {ran.stdout}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return {"requests": requests, "seconds": took / 1e6, "p50_ms": p50 / 1e3, "p99_ms": p99 / 1e3}, cpu


def _wait_until_landed(spool: Path) -> None:
    end = time.monotonic() + _DRAIN_SECONDS
    while any(_holds_events(path) for path in spool.iterdir()):
        if time.monotonic() > end:
            raise SystemExit("events of the spool did not land in time")
        time.sleep(0.02)


def _holds_events(path: Path) -> bool:
    return path.suffix in (".open", ".jsonl") and path.exists()


def _check_landed(data: Path, events: int) -> None:
    client = get_client(interface="chdb", path=str((data / "clickhouse").resolve()), database="furrow")
    rows, distinct = client.query("SELECT count(), uniqExact(session_id, event_id) FROM events").result_rows[0]
    client.close()
    # wrk counts answers; requests whose answer came after its end were accepted, too.
    if rows < events or distinct != rows:
        raise SystemExit(f"{events} events were accepted, {rows} rows landed, {distinct} of them distinct")


def _cpu_of(process: psutil.Process) -> float:
    spent = 0.0
    for one in (process, *process.children(recursive=True)):
        times = one.cpu_times()
        spent += times.user + times.system
    return spent


def _memory_of(process: psutil.Process) -> float:
    found = [one.memory_full_info() for one in (process, *process.children(recursive=True))]
    return cast("float", sum(getattr(one, "pss", one.rss) for one in found) / (1 << 20))


def _python_of(checkout: Path) -> str:
    own = checkout / ".venv" / "bin" / "python"
    return str(own) if own.exists() else sys.executable


def _environment(checkout: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FURROW_", "PREFECT_", "PROMETHEUS_"))}
    return kept | {"PYTHONPATH": str(checkout)}


def _has_setting(checkout: Path, name: str) -> bool:
    return f"    {name}: " in (checkout / "collector" / "config.py").read_text()
