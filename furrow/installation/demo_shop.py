"""The shop of ``furrow demo --browser``: one page with furrow.js and a button whose request always fails."""

import contextlib
import threading
from collections.abc import Iterator
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from core.browser_script import build_script_tag

BROKEN: Final = "/api/orders"
_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'self' {collector}; connect-src 'self' {collector}"
)
_SCRIPT: Final = b"""
const button = document.querySelector("#pay"), answer = document.querySelector("#answer");
button.addEventListener("click", async () => {
  const response = await fetch("/api/orders", { method: "POST" });
  answer.textContent = response.ok ? "Thank you." : "";
});
"""
_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Demo shop</title>
<meta name="viewport" content="width=device-width,initial-scale=1">
<style>
body{{font:18px/1.5 system-ui,sans-serif;max-width:34rem;margin:4rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}}
button{{font:inherit;padding:.6rem 1.4rem;border:0;border-radius:6px;background:#1f6f4a;color:#fff;cursor:pointer}}
aside{{margin-top:3rem;padding:1rem;border:1px solid #ccc;border-radius:6px;font-size:16px}}
</style>
{tag}
</head><body>
<h1>Checkout</h1>
<p>One coffee grinder: 89.00</p>
<p><button id="pay" type="button">Pay now</button> <span id="answer" role="status"></span></p>
<aside>This button is broken: the server answers every order with 500, and the page says nothing. Press it four times, as an
annoyed customer would, and then <b>close this tab</b>. The incident is printed in the terminal about half a minute
later.</aside>
<script src="/shop.js"></script>
</body></html>
"""


@contextlib.contextmanager
def open_shop(collector: str, key: str) -> Iterator[str]:
    """Serve the shop until the context ends; the address of its page. ``collector``: its address without a slash at the end."""
    page = _PAGE.format(tag=build_script_tag(escape(collector), escape(key))).encode()
    policy = _POLICY.format(collector=collector)

    class Shop(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/checkout":
                self._answer(200, page, "text/html; charset=utf-8")
            elif self.path == "/shop.js":
                self._answer(200, _SCRIPT, "text/javascript; charset=utf-8")
            else:
                self._answer(404, b"not found", "text/plain")

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            if self.path == BROKEN:
                self._answer(500, b"{}", "application/json")
            else:
                self._answer(404, b"not found", "text/plain")

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the terminal belongs to the demo."""

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            for name, value in (
                ("content-type", kind),
                ("content-length", str(len(body))),
                ("cache-control", "no-store"),
                ("content-security-policy", policy),
            ):
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    thread = threading.Thread(target=server.serve_forever, name="demo-shop", daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/checkout"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
