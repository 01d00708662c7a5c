"""What a page of docs/streams lets a user write, run with the real SDK in a real browser: a shop, the vendor and Furrow.

The code is the page's, as it stands; only what the page leaves open is filled in. The browser finds every host name on one
server of this machine: a small shop, a stand-in for the vendors' back ends, and a collector.
"""

import json
import re
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar, Final
from urllib.parse import parse_qsl, urlsplit

from collector.streams.stream import SentBody
from tests.attacks.collector import INGEST
from tests.npm import install_packages
from tests.streams.recordings import inflate

RECORD: Final = Path(__file__).parent / "record"
DOCS: Final = Path(__file__).parents[2] / "docs/streams"
SHOP, FURROW = "shop.example", "furrow.example"
_NAMES: Final = (
    "*.example",
    "browser-intake-datadoghq.com",
    "*.sentry.io",
    "*.posthog.com",
    "*.amplitude.com",
)
"""Ours, and those that the vendors' SDKs know."""
_FILLED_IN: Final = {
    'dsn: "https://…"': 'dsn: "https://any@o1.ingest.sentry.io/1"',
    "// … as before": 'applicationId: "any", clientToken: "pub0", service: "shop",',
    '"phc_…"': '"phc_any"',
}
_POSTHOG_CONFIG: Final = {
    "token": "phc_any",
    "hasFeatureFlags": False,
    "supportedCompression": ["gzip", "gzip-js"],
    "autocapture_opt_out": False,
    "autocaptureExceptions": True,
    "capturePerformance": {"network_timing": True, "web_vitals": False},
    "sessionRecording": {"endpoint": "/s/", "consoleLogRecordingEnabled": False, "networkPayloadCapture": None},
}
"""PostHog's own settings of a project that records sessions."""
_PAGE: Final = """<!doctype html><html lang=en><title>Shop</title><script src=/sdk.js></script>
<h1>Checkout</h1><button id=pay type=button>Pay</button><p id=state></p>
<script>
  document.getElementById("pay").addEventListener("click", async () => {
    const answer = await fetch("/api/orders", { method: "POST", body: "{}" })
    if (answer.ok) document.getElementById("state").textContent = "Ordered"
  })
</script></html>"""


def require_packages() -> None:
    """Installs the SDKs, at the versions of their package-lock.json."""
    install_packages(RECORD)


def read_snippets(page: str, *, furrow: str = f"https://{FURROW}", key: str = INGEST) -> list[str]:
    """The pieces of JavaScript of ``docs/streams/<page>.md``, in their order, with the open places filled in."""
    found = re.findall(r"^```js\n(.*?)^```$", (DOCS / f"{page}.md").read_text(), re.MULTILINE | re.DOTALL)
    return [fill_in(code, furrow, key) for code in found]


def fill_in(code: str, furrow: str = f"https://{FURROW}", key: str = INGEST) -> str:
    """``code`` with an address of Furrow, an ingest key, and accounts of vendors where it leaves them open."""
    here = {"https://FURROW/": f"{furrow}/", '"FURROW"': f'"{furrow.partition("://")[2]}"', "/KEY": f"/{key}"}
    for gap, content in (here | _FILLED_IN).items():
        code = code.replace(gap, content)
    return code


def bundle(code: str) -> bytes:
    """``code`` with the packages that it imports, as one script for a page. Raises CalledProcessError."""
    command = [str(RECORD / "node_modules/.bin/esbuild"), "--bundle", "--loader=js", "--log-level=error"]
    return subprocess.run(command, input=code.encode(), cwd=RECORD, check=True, stdout=subprocess.PIPE).stdout


@dataclass
class Web:
    """All that the browser can reach. ``script``: what the shop's page loads. ``vendor``: each POST that a vendor got."""

    collector_port: int
    port: int = 0
    script: bytes = b""
    vendor: list[tuple[str, SentBody]] = field(default_factory=list)
    furrow: list[tuple[str, int]] = field(default_factory=list)
    """Path and answer of each POST that Furrow got."""

    @property
    def flags(self) -> tuple[str, ...]:
        """Flags of Chromium, so that it finds these names here, and no other anywhere."""
        rules = [f"MAP {name} 127.0.0.1:{self.port}" for name in _NAMES]
        return (f"--host-resolver-rules={', '.join(rules)}, MAP * ~NOTFOUND", "--ignore-certificate-errors")

    def list_vendor_bodies(self) -> list[tuple[str, SentBody]]:
        """Host and body of what the vendors got, inflated."""
        return [(host, inflate(sent)) for host, sent in self.vendor]


class _Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    web: ClassVar[Web]

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        host = self.headers.get("host", "").partition(":")[0]
        with suppress(BrokenPipeError, ConnectionResetError, ssl.SSLError):  # the page was left
            if host == SHOP:
                self._serve_shop()
            elif host == FURROW:
                self._pass_on(body)
            else:
                self._serve_vendor(host, body)

    do_POST = do_OPTIONS = do_GET

    def _serve_shop(self) -> None:
        path = urlsplit(self.path).path
        if path == "/sdk.js":
            self._send(200, self.web.script, "text/javascript")
        elif path == "/api/orders":
            self._send(500, b"{}", "application/json")
        else:
            self._send(200, _PAGE.encode() if path == "/checkout" else b"Bye", "text/html")

    def _pass_on(self, body: bytes) -> None:
        """To the collector, unchanged but for the names of hosts: without a database it knows no projects, and allows pages of
        this machine only."""
        here = f"127.0.0.1:{self.web.collector_port}"
        link = HTTPConnection(here)
        try:
            link.request(self.command, self.path, body, dict(self.headers) | {"Host": here, "Origin": f"http://{here}"})
            answer = link.getresponse()
            content = answer.read()
        finally:
            link.close()
        if self.command == "POST":
            self.web.furrow.append((self.path, answer.status))
        headers = {name.lower(): value for name, value in answer.getheaders()}
        allowed = {name: value for name, value in headers.items() if name.startswith("access-control-")}
        if "access-control-allow-origin" in allowed:
            allowed["access-control-allow-origin"] = self.headers["Origin"]
        self._send(answer.status, content, headers.get("content-type", ""), allowed)

    def _serve_vendor(self, host: str, body: bytes) -> None:
        where = urlsplit(self.path)
        if self.command == "POST":
            media_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
            query = dict(parse_qsl(where.query, keep_blank_values=True))
            self.web.vendor.append((host, SentBody(body, where.path.lstrip("/"), query, media_type)))
        origin = self.headers.get("origin", "*")
        allowed = {
            "access-control-allow-origin": origin,
            "access-control-allow-credentials": "true",
            "access-control-allow-headers": self.headers.get("access-control-request-headers", "*"),
            "access-control-allow-methods": "GET, POST",
        }
        content, kind = b"{}", "application/json"
        if host.endswith("posthog.com"):
            content, kind = _answer_as_posthog(where.path)
        elif host.endswith("amplitude.com"):
            content = b'{"code":200,"events_ingested":1,"payload_size_bytes":1,"server_upload_time":1}'
        self._send(200, content, kind, allowed)

    def _send(self, status: int, content: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        pass


def _answer_as_posthog(path: str) -> tuple[bytes, str]:
    """PostHog's settings, and the scripts that posthog-js loads when they are needed, from its own package."""
    name = path.rpartition("/")[2]
    script = RECORD / "node_modules/posthog-js/dist" / name
    if "/static/" in path and script.is_file():
        return script.read_bytes(), "text/javascript"
    if path.endswith("/config"):
        return json.dumps(_POSTHOG_CONFIG).encode(), "application/json"
    if path.startswith("/flags"):
        return b'{"flags":{},"featureFlags":{}}', "application/json"
    return (b"", "text/javascript") if name.endswith(".js") else (b'{"status":1}', "application/json")


@contextmanager
def serve_web(folder: Path, collector_port: int) -> Iterator[Web]:
    """One server with a certificate of its own, for every name. ``folder`` takes the certificate."""
    web = Web(collector_port)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*_make_certificate(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OneServer", (_Server,), {"web": web}))
    server.daemon_threads = True
    # The handshake is the thread's of the connection: one that never comes holds up no other.
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    web.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _make_certificate(folder: Path) -> tuple[Path, Path]:
    made, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subject = ["-days", "1", "-subj", f"/CN={SHOP}", "-keyout", str(key), "-out", str(made)]
    subprocess.run([*command, *subject], check=True, capture_output=True)
    return made, key
