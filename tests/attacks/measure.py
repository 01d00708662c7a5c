"""How honest senders fare beside a flood: ``python -m tests.attacks.measure``.

Thirty sources send a batch of 20 events every 200 ms on connections of their own, for ten seconds, beside each flood.
It prints, and asserts nothing.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.attacks.collector import EVENT, INGEST, ROOT, Collector, head, request, running

SECONDS = 10.0
FLOODS: dict[str, list[tuple[str, int, int, str]]] = {
    "none": [],
    "one source, 40 connections, batches of 1": [("127.0.0.2", 40, 1, "")],
    "one source, 250 connections, batches of 1": [("127.0.0.2", 250, 1, "")],
    "one source, 250 connections, batches of 200": [("127.0.0.2", 250, 200, "")],
    "one source, 40 connections, gzip of 1,000": [("127.0.0.2", 40, 1_000, "gzip")],
    "three sources, 100 connections, batches of 200": [(f"127.0.0.{n}", 100, 200, "") for n in (2, 3, 4)],
    "one source, 40 connections, unknown key": [("127.0.0.2", 40, 1, "unknown")],
    "one source, 1,000 connections, batches of 1": [("127.0.0.2", 1_000, 1, "")],
}


async def _visit(port: int, source: str, data: bytes, times: list[float], statuses: list[str]) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        began = time.monotonic()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
            writer.write(data)
            answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 20)
            statuses.append(answer[9:12].decode())
            writer.close()
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            statuses.append(type(error).__name__)
        times.append(time.monotonic() - began)
        await asyncio.sleep(0.2)


async def _honest(collector: Collector) -> tuple[list[float], list[str], list[float]]:
    data = request(json.dumps({"events": [EVENT] * 20}).encode())
    times: list[float] = []
    statuses: list[str] = []
    health: list[float] = []
    await asyncio.gather(
        *(_visit(collector.port, f"127.0.1.{n}", data, times, statuses) for n in range(30)),
        _visit(collector.port, "127.0.2.1", head("/v1/health", "GET"), health, []),
    )
    return sorted(times), statuses, sorted(health)


def main() -> None:
    """Measure each flood on a collector of its own, with its defaults."""
    for name, floods in FLOODS.items():
        with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as collector:
            going = []
            for source, connections, events, how in floods:
                key = "unknown" if how == "unknown" else INGEST
                command = [sys.executable, "-m", "tests.attacks.flood", str(collector.port), key, source]
                packed = ["gzip"] if how == "gzip" else []
                going.append(subprocess.Popen([*command, str(connections), str(events), *packed], cwd=ROOT))
            try:
                time.sleep(2)
                times, statuses, health = asyncio.run(_honest(collector))
            finally:
                for process in going:
                    process.kill()
                    process.wait()
            accepted = statuses.count("202") / len(statuses)
            others = {status: statuses.count(status) for status in sorted(set(statuses)) if status != "202"}
            p50, p99 = (times[int(len(times) * part)] * 1e3 for part in (0.5, 0.99))
            print(
                f"{name}: {len(times)} requests, {accepted:.1%} accepted {others or ''}, p50 {p50:.0f} ms, "
                f"p99 {p99:.0f} ms, health at most {health[-1] * 1e3:.0f} ms",
                flush=True,
            )


if __name__ == "__main__":
    main()
