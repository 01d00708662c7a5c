"""deploy/nginx and deploy/caddy as they are, in front of a real collector: TLS, what is reachable, and whose address counts.

Only ports, names of files and names of hosts are put in; where nginx or Caddy is not installed, its tests are skipped.
"""

import hashlib
import hmac
import json
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import uvicorn
from pydantic import SecretStr
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from collector.app import create_app
from collector.contract import MAX_BODY_BYTES
from collector.senders.source import SourceReader
from core.browser_script import installed_browser_script
from core.networks import parse_networks
from tests.integration.test_collector import BATCH, KEY, config_for
from tests.ports import free_port
from trackers.ticket_webhooks import WEBHOOK_KINDS, WebhookKind

DEPLOY = Path(__file__).parents[2] / "deploy"
FORGED = ["203.0.113.9", "127.0.0.1", "203.0.113.9, 127.0.0.1", "127.0.0.1, 203.0.113.9", "unknown", "::1"]
TRUSTED = "127.0.0.1"
NAMES = ("events.shop.example", "furrow.internal.example")
SECRET = "a-secret-of-webhooks"


class Sources:
    """Notes the source of each request that reaches the collector, as the collector reads it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._reader = SourceReader(parse_networks(TRUSTED))
        self.seen: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.seen.append(self._reader.find_request_source(HTTPConnection(scope)))
        await self._app(scope, receive, send)


class Front:
    """A proxy with a collector behind it: ``client`` speaks to the proxy under a name, from an address of this machine."""

    def __init__(self, sources: Sources, scheme: str, port: int) -> None:
        self.sources = sources
        self._scheme = scheme
        self._port = port

    @contextmanager
    def client(self, name: str, address: str = "127.0.0.7") -> Iterator[httpx.Client]:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        transport = httpx.HTTPTransport(local_address=address, verify=context)
        base = f"{self._scheme}://127.0.0.1:{self._port}"
        with httpx.Client(base_url=base, headers={"host": name}, transport=transport, timeout=20) as made:
            yield made


@contextmanager
def collector(directory: Path) -> Iterator[tuple[Sources, int]]:
    secrets = {kind.tracker: SecretStr(SECRET) for kind in WEBHOOK_KINDS}
    config = config_for(directory, trusted_proxies=TRUSTED, allowed_hosts=NAMES, webhook_secrets=secrets)
    sources = Sources(create_app(config))
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(sources, log_config=None, access_log=False, proxy_headers=False))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield sources, listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def running(command: list[str], port: int, **environment: str) -> Iterator[None]:
    with subprocess.Popen(command, env={"PATH": "/usr/bin:/bin", **environment}) as process:
        try:
            _until(lambda: process.poll() is not None or _listens(port))
            assert process.poll() is None
            yield
        finally:
            process.terminate()
            process.wait(20)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not done():
        assert time.monotonic() < end
        time.sleep(0.1)


def certificate(directory: Path) -> tuple[Path, Path]:
    made, key = directory / "cert.pem", directory / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subject = ["-days", "1", "-subj", "/CN=events.shop.example", "-keyout", str(key), "-out", str(made)]
    subprocess.run([*command, *subject], check=True, capture_output=True)
    return made, key


def nginx_configuration(directory: Path, upstream: int, tls: int, plain: int) -> Path:
    """The shipped files, below ``directory`` instead of /etc, in the frame that a distribution's nginx.conf gives."""
    made, key = certificate(directory)
    include = directory / "furrow-proxy.conf"
    include.write_text((DEPLOY / "nginx/furrow-proxy.conf").read_text())
    text = (DEPLOY / "nginx/furrow.conf").read_text()
    text = text.replace("/etc/nginx/furrow-proxy.conf", str(include)).replace("127.0.0.1:8080", f"127.0.0.1:{upstream}")
    text = re.sub(r"ssl_certificate_key .*;", f"ssl_certificate_key {key};", text)
    text = re.sub(r"ssl_certificate  .*;", f"ssl_certificate {made};", text)
    text = text.replace("/var/log/nginx", str(directory)).replace("listen 80;", f"listen 127.0.0.1:{plain};")
    text = text.replace("listen 443 ", f"listen 127.0.0.1:{tls} ")
    text = re.sub(r"^ *listen \[::\].*\n", "", text, flags=re.M)
    paths = "".join(
        f"{name}_temp_path {directory}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file = directory / "nginx.conf"
    file.write_text(
        f"daemon off; pid {directory}/nginx.pid; error_log {directory}/error.log; worker_processes 1;"
        f"events {{}} http {{ access_log off; {paths}\n{text}\n}}\n"
    )
    return file


@pytest.fixture(scope="module")
def nginx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin:/bin")
    if program is None:
        pytest.skip("nginx is not installed (apt-get install nginx-light): its file is then not tried")
    directory = tmp_path_factory.mktemp("nginx")
    directory.chmod(0o755)  # its workers are another user
    tls, plain = free_port(), free_port()
    with collector(directory) as (sources, upstream):
        file = nginx_configuration(directory, upstream, tls, plain)
        subprocess.run([program, "-t", "-c", str(file)], check=True, capture_output=True)
        with running([program, "-c", str(file)], tls):
            yield Front(sources, "https", tls)


@pytest.fixture(scope="module")
def caddy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    program = shutil.which("caddy")
    if program is None:
        pytest.skip("Caddy is not installed (apt-get install caddy): its file is then not tried")
    directory = tmp_path_factory.mktemp("caddy")
    port = free_port()
    home = {"HOME": str(directory), "XDG_DATA_HOME": str(directory), "XDG_CONFIG_HOME": str(directory)}
    shipped = DEPLOY / "caddy/Caddyfile"
    check = [program, "validate", "--config", str(shipped), "--adapter", "caddyfile"]
    subprocess.run(check, check=True, capture_output=True, env={"PATH": "/usr/bin:/bin", **home})
    with collector(directory) as (sources, upstream):
        text = shipped.read_text().replace("127.0.0.1:8080", f"127.0.0.1:{upstream}")
        # Without TLS: Caddy would ask a certificate authority of the internet for these names.
        text = re.sub(r"^([\w.]+\.example) \{", rf"http://\1:{port} {{", text, flags=re.M)
        text = text.replace("{\n\tservers {", "{\n\tadmin off\n\tservers {", 1)
        file = directory / "Caddyfile"
        file.write_text(text)
        with running([program, "run", "--config", str(file), "--adapter", "caddyfile"], port, **home):
            yield Front(sources, "http", port)


@pytest.fixture(params=["nginx", "caddy"])
def front(request: pytest.FixtureRequest) -> Front:
    made: Front = request.getfixturevalue(request.param)
    made.sources.seen.clear()
    return made


@pytest.mark.parametrize("forged", FORGED)
def test_a_forged_forwarded_for_does_not_change_the_source(front: Front, forged: str) -> None:
    headers = {**KEY, "X-Forwarded-For": forged, "X-Real-IP": "127.0.0.1", "Forwarded": f'for="{forged}"'}
    with front.client("events.shop.example") as client:
        assert client.post("/v1/events", json=BATCH, headers=headers).status_code == 202
    assert front.sources.seen == ["127.0.0.7"]


def test_two_headers_do_not_change_it_either(front: Front) -> None:
    headers = [*KEY.items(), ("X-Forwarded-For", "203.0.113.9"), ("x-forwarded-for", "127.0.0.1")]
    with front.client("events.shop.example", "127.0.0.8") as client:
        assert client.post("/v1/events", json=BATCH, headers=headers).status_code == 202
    assert front.sources.seen == ["127.0.0.8"]


@pytest.mark.parametrize(
    "path", ["/metrics", "/v1/incidents", "/v1/status", "/docs", "/openapi.json", "/", "/v1/events/"]
)
def test_pages_reach_nothing_but_events(front: Front, path: str) -> None:
    with front.client("events.shop.example") as client:
        assert client.get("/v1/health").status_code == 200
        assert client.get(path, headers={"X-API-Key": "test-operator-key"}).status_code == 404
    assert len(front.sources.seen) == 1


def test_pages_load_the_script(front: Front) -> None:
    script = installed_browser_script()
    assert script is not None
    with front.client("events.shop.example") as client:
        for path in ("/furrow.js", f"/{script.versioned_name}"):
            answer = client.get(path)
            assert (answer.status_code, answer.content) == (200, script.plain)
        assert client.get("/furrow-.js/../v1/status").status_code == 404


def sign(kind: WebhookKind, body: bytes) -> dict[str, str]:
    digest = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    return {"Content-Type": "application/json", kind.header: SECRET if kind.prefix is None else kind.prefix + digest}


@pytest.mark.parametrize("kind", WEBHOOK_KINDS, ids=lambda kind: kind.tracker)
def test_webhooks_of_trackers_reach_the_collector(front: Front, kind: WebhookKind) -> None:
    """They name no ticket, so that no store is asked; the body is as long as the collector takes one."""
    body = json.dumps({"webhookTimestamp": time.time_ns() // 1_000_000}).encode().ljust(MAX_BODY_BYTES)
    with front.client("events.shop.example") as client:
        answer = client.post(f"/v1/webhooks/{kind.tracker}", content=body, headers=sign(kind, body))
        assert (answer.status_code, answer.json()) == (200, {"success": True, "tickets": 0})
        answer = client.post(f"/v1/webhooks/{kind.tracker}", content=body, headers=sign(kind, body[:-1]))
        assert answer.status_code == (200 if kind.prefix is None else 401)
    assert front.sources.seen == ["127.0.0.7"] * 2


@pytest.mark.parametrize(
    "path",
    ["/v1/webhooks", "/v1/webhooks/", "/v1/webhooks/other", "/v1/webhooks/jira/", "/v1/webhooks/jira/../../status"],
)
def test_nothing_beside_the_webhooks_of_trackers_is_reached(front: Front, path: str) -> None:
    with front.client("events.shop.example") as client:
        assert client.post(path, json={}).status_code == 404
    assert front.sources.seen == []


def test_operators_are_let_in_from_their_network_alone(front: Front) -> None:
    with front.client("furrow.internal.example") as client:
        assert client.get("/v1/status").status_code == 403
    assert front.sources.seen == []


def test_a_body_over_the_limit_does_not_reach_the_collector(front: Front) -> None:
    # The status alone: Caddy may close the connection before the answer's body is sent, as the request's is not read.
    content = b" " * (3 << 20)
    with (
        front.client("events.shop.example") as client,
        client.stream("POST", "/v1/events", content=content, headers=KEY) as answer,
    ):
        assert answer.status_code in (413, 502)
