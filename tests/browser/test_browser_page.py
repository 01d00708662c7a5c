"""The batch in docs/browser.md is what Chromium sends: ``python -m tests.browser.test_browser_page`` writes it."""

import gzip
import json
import re
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest

from core.browser_script import installed_browser_script
from furrow.installation.demo_shop import open_shop
from tests.browser.test_browser_demo import press_and_leave

pytestmark = pytest.mark.browser
PAGE: Final = Path(__file__).parents[2] / "docs" / "browser.md"
BLOCK: Final = re.compile(r"(<!-- made by `python -m tests.browser.test_browser_page` -->\n).*?(<!-- end -->)", re.S)
Batch = dict[str, Any]
START_MS: Final = 1_800_000_000_000
REPLACED: Final = {"sessionId": "5f1c…", "idempotencyKey": "b7e2…"}


@contextmanager
def recording() -> Iterator[tuple[str, list[Batch]]]:
    """A collector that keeps the bodies as they were sent; its address and the batches."""
    script = installed_browser_script()
    assert script is not None
    batches: list[Batch] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(200, script.plain, "text/javascript")

        def do_OPTIONS(self) -> None:
            self._answer(204, b"", "text/plain")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            batches.append(json.loads(body))
            self._answer(202, b"{}", "application/json")

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            headers = {"content-type": kind, "content-length": str(len(body)), "access-control-allow-origin": "*"}
            headers["access-control-allow-headers"] = "content-type, x-api-key, content-encoding"
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", batches
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def record_visit(folder: Path) -> Batch:
    """All events of the demo's visit in one batch, with ids and times replaced."""
    with recording() as (collector, batches), open_shop(collector, "YOUR-INGEST-KEY") as address:
        press_and_leave(address, folder)
    events = {event["idempotencyKey"]: event for batch in batches for event in batch["events"]}
    ordered = sorted(events.values(), key=lambda event: (event["timestamp"], event["seq"]))
    first = ordered[0]["timestamp"]
    numbers: dict[str, str] = {}
    for event in ordered:
        event["timestamp"] += START_MS - first
        event |= {name: value for name, value in REPLACED.items() if name in event}
        for name in ("eventId", "cause", "verdictFor"):
            if name in event:
                event[name] = numbers.setdefault(event[name], f"e{len(numbers) + 1}")
    last = {key: value for key, value in batches[-1].items() if key not in ("events", "apiKey")}
    return {**last, "sentAt": ordered[-1]["timestamp"], "events": ordered}


def shapes(batch: Batch) -> set[str]:
    """Which keys each type of event has, and those of the batch."""
    found = {f"batch.{key}" for key in batch}
    for event in batch["events"]:
        kind = event["eventType"]
        found |= {f"{kind}.{key}" for key in event}
        found |= {f"{kind}.{part}.{key}" for part in ("metadata", "target") for key in event.get(part) or {}}
    return found


def printed_batch() -> Batch:
    block = BLOCK.search(PAGE.read_text())
    assert block is not None
    found: Batch = json.loads(block[0].partition("```json\n")[2].partition("```")[0])
    return found


def test_the_page_shows_every_key_that_is_sent(tmp_path: Path) -> None:
    # What depends on the moment (a long task, whether an answer was seen) may be absent in one of the two.
    sent, shown = shapes(record_visit(tmp_path)), shapes(printed_batch())
    unstable = re.compile(
        r"^(performance|verdict|batch\.(dropped|faults))\b|\.(responded|verdictFor|pageId|durationMs)$"
    )
    assert {key for key in sent ^ shown if not unstable.search(key)} == set()


def test_nothing_of_the_page_is_sent_but_names_of_controls(tmp_path: Path) -> None:
    text = json.dumps(record_visit(tmp_path))
    assert "coffee grinder" not in text
    assert "annoyed customer" not in text
    assert "Pay now" in text


def _write_batch() -> None:
    with tempfile.TemporaryDirectory() as folder:
        batch = record_visit(Path(folder))
    events = ",\n    ".join(json.dumps(event, ensure_ascii=False) for event in batch.pop("events"))
    head = json.dumps(batch, ensure_ascii=False)[1:-1]
    block = f'```json\n{{{head},\n  "events": [\n    {events}\n  ]}}\n```\n'
    PAGE.write_text(BLOCK.sub(lambda found: found[1] + block + found[2], PAGE.read_text()))


if __name__ == "__main__":
    _write_batch()
