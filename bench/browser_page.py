"""A page for the browser's benchmark, with furrow.js and without, on a server of its own; and Chromium to visit it."""

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar, Final

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

SCRIPT: Final = Path(__file__).resolve().parent.parent / "browser/dist/furrow.js"
CHROMIUM: Final = Path("/usr/bin/chromium")
DRIVER: Final = Path("/usr/bin/chromedriver")
_PERSON: Final = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/145.0.0.0 Safari/537.36"
"""furrow.js does nothing in a browser that says that a program drives it."""
_FLAGS: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-features=BackForwardCache",
    "--disable-blink-features=AutomationControlled",
    f"--user-agent={_PERSON}",
    "--window-size=1400,1000",
)
_ROWS: Final = "".join(
    f'<li><a href="#item-{row}">Item {row}</a> <button class="btn" data-testid="remove-{row}">Remove</button></li>'
    for row in range(100)
)
_PAGE: Final = f"""<!doctype html><html lang=en><title>Shop</title>%s
<body><main><h1>Shop</h1><button id=buy style="width:200px;height:60px">Buy</button><p id=count>0</p><ul>{_ROWS}</ul></main>
<script>
  let count = 0;
  document.getElementById("buy").addEventListener("click", () => {{
    document.getElementById("count").textContent = ++count;
  }});
  async function askTimes(times) {{
    for (let done = 0; done < times; done++) await (await fetch("/api/answer")).json();
  }}
</script>"""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    received: ClassVar[list[int]]

    def do_GET(self) -> None:
        if self.path == "/furrow.js":
            self._answer(SCRIPT.read_bytes(), "text/javascript")
        elif self.path == "/api/answer":
            self._answer(b'{"ok": true}', "application/json")
        else:
            tag = '<script src="/furrow.js" data-key="bench"></script>' if self.path == "/with" else ""
            self._answer((_PAGE % tag).encode(), "text/html; charset=utf-8")

    def do_POST(self) -> None:
        self.received.append(len(self.rfile.read(int(self.headers.get("content-length") or 0))))
        self._answer(b"{}", "application/json", 202)

    def _answer(self, body: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def serve_pages() -> Iterator[tuple[str, list[int]]]:
    """The address of the pages ``/with`` and ``/without``, and the lengths in bytes of the batches received so far."""
    received: list[int] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("_PageHandler", (_Handler,), {"received": received}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def open_chromium() -> Iterator[Chrome]:
    """Debian's Chromium without a window, with a new profile. Raises FileNotFoundError where it is not installed."""
    for file in (CHROMIUM, DRIVER):
        if not file.exists():
            raise FileNotFoundError(f"{file}: Debian's packages chromium and chromium-driver hold it (make browsers)")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        options = ChromeOptions()
        options.binary_location = str(CHROMIUM)
        for flag in (*_FLAGS, f"--user-data-dir={folder}"):
            options.add_argument(flag)
        plain = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        driver = Chrome(options, Service(str(DRIVER), env=plain))
        driver.set_script_timeout(300)
        try:
            yield driver
        finally:
            driver.quit()
