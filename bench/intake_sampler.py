"""Runs a collector of the current directory, and samples its main thread by CPU time: ``intake_sampler.py OUTPUT -``.

Every 2 ms of CPU the innermost function that belongs to a stage is counted; the counts are written as JSON when the collector
ends. The other thread of a collector, the spool's writer, runs outside of the interpreter's lock, in the kernel, and is counted
as "write and fsync" by its own CPU time.
"""

import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType

_STAGES = (
    ("identity", ("collector/contract/identity",)),
    ("JSON decoding", ("collector/contract/bodies", "collector/contract/decoding")),
    ("masking", ("collector/privacy/",)),
    ("JSON encoding", ("collector/contract/rows",)),
    ("validation and columns", ("collector/contract/",)),
    ("spool", ("collector/spool/",)),
    ("receipts", ("collector/senders/receipts", "collector/senders/session_senders")),
    ("keys, rates, turns", ("collector/access/", "collector/senders/source", "transport/limits", "transport/turns")),
    ("HTTP", ("collector/transport/", "/h11/", "/uvicorn/", "core/hosts")),
    ("framework", ("/fastapi/", "/starlette/", "/anyio/")),
    ("endpoint", ("collector/routes/", "collector/http_errors", "collector/app")),
    ("event loop", ("/asyncio/", "/uvloop/", "collector/__main__")),
)
_INTERVAL_SECONDS = 0.002


def main(output: Path, arguments: list[str]) -> int:
    sys.path.insert(0, os.getcwd())
    from collector.__main__ import main as run_collector

    counts: Counter[str] = Counter()
    names: dict[str, str] = {}

    def find_stage(file: str) -> str:
        found = names.get(file)
        if found is None:
            found = next((stage for stage, parts in _STAGES if any(part in file for part in parts)), "")
            names[file] = found
        return found

    def count_sample(_number: int, frame: FrameType | None) -> None:
        while frame is not None:
            if stage := find_stage(frame.f_code.co_filename):
                counts[stage] += 1
                return
            frame = frame.f_back
        counts["other"] += 1

    def arm() -> None:
        # After the start: imports are no stage.
        time.sleep(0.5)
        signal.setitimer(signal.ITIMER_PROF, _INTERVAL_SECONDS, _INTERVAL_SECONDS)

    signal.signal(signal.SIGPROF, count_sample)
    threading.Thread(target=arm, daemon=True).start()
    try:
        return run_collector(arguments)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        output.write_text(json.dumps(counts))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
