"""The examples of docs/browser.md, run as they stand there: in Chromium, with the frameworks they name, behind nginx and Caddy.

Put in are only the collector's address, and the key. React, Vue and Angular come from the lock in tests/browser/frameworks.
"""

import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
import msgspec
import pytest
import uvicorn
from pydantic import SecretStr
from selenium.webdriver import Chrome

from collector.app import create_app
from collector.contract import Row
from collector.spool.segments import list_segments
from tests.browser.conftest import wait_for
from tests.browser.sdk_site import KEY, Site
from tests.deploy.test_proxies import collector as collector_behind_proxy
from tests.deploy.test_proxies import running
from tests.e2e.installation import until
from tests.integration.test_collector import BATCH, config_for
from tests.npm import install_packages
from tests.ports import free_port

pytestmark = pytest.mark.browser

PAGE: Final = Path(__file__).parents[2] / "docs" / "browser.md"
FRAMEWORKS: Final = Path(__file__).parent / "frameworks"
BLOCKS: Final = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
EXAMPLES: Final = {
    # Name: its language, and a text that only it holds.
    "lines": ("html", "integrity="),
    "calls before the script": ("html", '["user", "4711"]'),
    "react": ("jsx", "useMatches"),
    "next script": ("jsx", "next/script"),
    "next route": ("jsx", "next/navigation"),
    "vue": ("js", "router.afterEach"),
    "angular": ("ts", "@angular/router"),
    "consent": ("html", "data-consent"),
    "policy": ("", "script-src 'self'"),
    "policy of nonces": ("", "script-src 'nonce"),
    "nginx": ("nginx", "location"),
    "caddy": ("caddy", "handle"),
    "own address": ("html", '"/fb/furrow.js"'),
    # Run elsewhere: by tests/unit/scripts/test_guides.py, and by test_browser_page.py.
    "commands": ("", "furrow keys create"),
    "batch": ("json", "sentAt"),
}


def example(name: str, collector: str = "") -> str:
    """The block of docs/browser.md, with the address of this collector and its key."""
    language, text = EXAMPLES[name]
    (found,) = [block for kind, block in BLOCKS if kind == language and text in block]
    return str(found).replace("https://collector.example", collector).replace("YOUR-INGEST-KEY", KEY)


def test_every_example_is_run() -> None:
    for kind, block in BLOCKS:
        names = [name for name, (language, text) in EXAMPLES.items() if kind == language and text in block]
        assert len(names) == 1, f"which test runs this example?\n{block}"
    assert len(BLOCKS) == len(EXAMPLES)


class Collector:
    """A real collector, and what it made durable."""

    def __init__(self, address: str, spool: Path) -> None:
        self.address = address
        self._spool = spool

    def rows(self, kind: str = "") -> list[Row]:
        lines = [line for segment in list_segments(self._spool) for line in segment.parts()[0].splitlines()]
        found = [msgspec.json.decode(line, type=Row) for line in lines]
        return [row for row in sorted(found, key=lambda row: (row.ts, row.seq)) if kind in ("", row.event_type)]

    def wait_for_rows(self, kind: str, count: int = 1) -> list[Row]:
        until(lambda: len(self.rows(kind)) >= count, 20)
        return self.rows(kind)


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    config = config_for(tmp_path, ingest_key=SecretStr(KEY), seal_seconds=0.05)
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(create_app(config), log_config=None, access_log=False))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    try:
        yield Collector(f"http://127.0.0.1:{listener.getsockname()[1]}", config.spool_dir)
    finally:
        server.should_exit = True
        thread.join()


def started(page: Chrome) -> bool:
    """Whether furrow.js runs in the page."""
    return bool(page.execute_script("return !!window.furrow && !!furrow.version"))


@pytest.mark.parametrize("line", [0, 1], ids=["current", "pinned"])
def test_the_line(site: Site, collector: Collector, line: int) -> None:
    page = site.show("<button id=pay>Pay</button>", head=example("lines", collector.address).split("\n\n")[line])
    wait_for(page, started)
    site.click("#pay")
    site.leave()
    (click,) = collector.wait_for_rows("click")
    assert (click.target_id, click.route, click.project) == ("pay", "/shop", "default")


def test_calls_before_the_script(site: Site, collector: Collector) -> None:
    head = example("calls before the script") + example("lines", collector.address).split("\n\n")[0]
    wait_for(site.show("<button id=pay>Pay</button>", head=head, path="/orders/99"), started)
    site.click("#pay")
    site.leave()
    (click,) = collector.wait_for_rows("click")
    assert click.route == "/orders/:id"
    assert click.user_hash


def find_storage(page: Chrome) -> list[str]:
    return list(page.execute_script("return [...Object.keys(localStorage), ...Object.keys(sessionStorage)]"))


def test_consent(site: Site, collector: Collector) -> None:
    head, buttons = re.split(r"(?=<button)", example("consent", collector.address), maxsplit=1)
    page = site.show(f"<button id=pay>Pay</button>{buttons}", head=head)
    wait_for(page, started)
    site.click("#pay")
    assert page.execute_script("return furrow.session()") == ""
    assert find_storage(page) == []
    site.click("button[onclick*=true]")
    assert page.execute_script("return furrow.session()")
    site.click("#pay")
    site.leave()
    assert [row.target_id for row in collector.wait_for_rows("click")] == ["pay"]
    # The next page asks again: the script keeps no answer.
    page = site.show(f"<button id=pay>Pay</button>{buttons}", head=head)
    wait_for(page, started)
    assert page.execute_script("return furrow.session()") == ""
    site.click("button[onclick*=false]")
    assert find_storage(page) == []
    wait_for(page, lambda page: page.execute_async_script("indexedDB.databases().then(arguments[0])") == [])


@pytest.mark.parametrize(
    ("policy", "more"),
    [("policy", ""), ("policy of nonces", ""), ("policy", "; require-trusted-types-for 'script'")],
    ids=["hosts", "nonces", "trusted types"],
)
def test_content_security_policies(site: Site, collector: Collector, policy: str, more: str) -> None:
    header = example(policy, collector.address).strip() + more
    line = example("lines", collector.address).split("\n\n")[0]
    if nonce := re.search(r"nonce-(\w+)", header):
        line = line.replace("<script ", f"<script nonce={nonce[1]} ")
    site.browser.get_log("browser")
    headers = {"content-security-policy": header}
    wait_for(site.show("<button id=pay>Pay</button>", head=line, headers=headers), started)
    site.click("#pay")
    site.leave()
    assert [row.target_id for row in collector.wait_for_rows("click")] == ["pay"]
    assert [entry for entry in site.browser.get_log("browser") if "Policy" in entry["message"]] == []


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Bundles one of the applications in tests/browser/frameworks with the examples."""
    install_packages(FRAMEWORKS)
    folder = tmp_path_factory.mktemp("frameworks")
    for file in [*FRAMEWORKS.glob("*.js"), *FRAMEWORKS.glob("*.jsx"), *FRAMEWORKS.glob("*.ts")]:
        shutil.copy(file, folder)
    files = {"next script": "next-layout.jsx", "next route": "next-route.jsx"}
    for name, file in files.items():
        (folder / file).write_text(example(name, "ADDRESS"))

    def build(framework: str) -> str:
        (entry,) = folder.glob(f"{framework}.*")
        suffix = {"next": ".jsx"}.get(framework, entry.suffix)
        for old in folder.glob("furrow-route.*"):
            old.unlink()
        (folder / f"furrow-route{suffix}").write_text(example("react" if framework == "next" else framework))
        flags = ["--bundle", "--jsx=automatic", '--define:process.env.NODE_ENV="production"', "--log-level=warning"]
        aliases = [f"--alias:next/{n}={folder}/next-{n}" for n in ("navigation", "script")]
        command = [str(FRAMEWORKS / "node_modules/.bin/esbuild"), str(entry), *flags, *aliases]
        modules = {"NODE_PATH": str(FRAMEWORKS / "node_modules")}
        ran = subprocess.run(command, env={**os.environ, **modules}, capture_output=True, text=True, timeout=120)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    return build


PLACES: Final = {
    "react": {"order": "/orders/:id", "product": "/shop/:category/:slug", "files": "/files/:*/:*"},
    "next": {"order": "/orders/:id", "product": "/shop/:category/:slug", "files": "/files/:path/:path"},
    "vue": {"order": "/orders/:id", "product": "/shop/:category/:slug", "files": "/files/:path+"},
    "angular": {"order": "/orders/:id", "product": "/shop/:category/:slug", "files": "/files/**"},
}


@pytest.fixture(params=list(PLACES))
def application(site: Site, bundle: Callable[[str], str], request: pytest.FixtureRequest) -> str:
    """A small shop of one page, written with a framework; `site` serves it at each of its addresses."""
    code = bundle(request.param).replace("ADDRESS", site.address)
    line = "" if request.param == "next" else example("lines", site.address).split("\n\n")[0]
    site.api("/app.js", body=code, kind="text/javascript; charset=utf-8")
    site.api("/api/orders", 500)
    app = "<div id=app></div><app-root></app-root>"
    for path in ("/", "/orders/4711", "/nowhere"):
        site.put(path, f"{app}<script src=/app.js></script>", head=f"<base href=/>{line}")
    return str(request.param)


def test_routes_in_frameworks(site: Site, application: str) -> None:
    page = site.browser
    page.get(site.address + "/")
    wait_for(page, started)
    places = PLACES[application]
    for link, count in zip(places, range(1, 4), strict=True):
        wait_for(page, lambda page, link=link: page.find_elements("id", link))
        site.click(f"#{link}")
        site.click("#pay")
        site.wait_for(lambda count=count: site.asked.count("POST /api/orders") == count)
    clicks = [event for event in site.sent("click", 6) if (event.get("target") or {}).get("id") == "pay"]
    assert [event["route"] for event in clicks] == list(places.values())
    assert [event["cause"] for event in site.sent("network", 3)] == [event["eventId"] for event in clicks]


def test_an_address_that_is_opened_has_its_route(site: Site, application: str) -> None:
    site.browser.get(site.address + "/orders/4711")
    wait_for(site.browser, started)
    wait_for(site.browser, lambda page: page.find_elements("id", "pay"))
    site.click("#pay")
    clicks = site.sent("click")
    assert [event["route"] for event in clicks] == ["/orders/:id"]


def test_a_navigation_that_a_guard_stops_names_nothing(site: Site, bundle: Callable[[str], str]) -> None:
    line = example("lines", site.address).split("\n\n")[0]
    site.api("/app.js", body=bundle("vue"), kind="text/javascript; charset=utf-8")
    site.api("/api/orders", 500)
    page = site.show("<div id=app></div><script src=/app.js></script>", head=line, path="/orders/4711")
    wait_for(page, started)
    wait_for(page, lambda page: page.find_elements("id", "members"))
    site.click("#members")
    site.click("#pay")
    assert [event["route"] for event in site.sent("click", 2)] == ["/orders/:id", "/orders/:id"]


def test_a_page_that_no_route_of_react_has(site: Site, bundle: Callable[[str], str]) -> None:
    site.api("/app.js", body=bundle("react"), kind="text/javascript; charset=utf-8")
    line = example("lines", site.address).split("\n\n")[0]
    page = site.show("<div id=app></div><script src=/app.js></script>", head=line, path="/nowhere")
    wait_for(page, started)
    wait_for(page, lambda page: page.find_elements("id", "order"))
    assert {event["route"] for event in site.sent("navigation")} == {"/nowhere"}


@contextmanager
def proxy_of(kind: str, folder: Path, upstream: int, pages: str) -> Iterator[int]:
    """nginx or Caddy with the example, in front of a collector and of a site's pages; yields its port."""
    program = shutil.which(kind, path="/usr/sbin:/usr/bin:/bin")
    if program is None:
        pytest.skip(f"{kind} is not installed (`.ci/run` installs it): its example in docs/browser.md is not run")
    port, file = free_port(), folder / kind
    block = example(kind).replace("127.0.0.1:8080", f"127.0.0.1:{upstream}")
    if kind == "caddy":
        file.write_text(f"{{\n admin off\n}}\nhttp://:{port} {{\n{block}\nreverse_proxy {pages}\n}}\n")
        command = [program, "run", "--config", str(file), "--adapter", "caddyfile"]
    else:
        folder.chmod(0o755)  # its workers are another user
        temporary = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        paths = "".join(f"{name}_temp_path {folder}/{name};" for name in temporary)
        file.write_text(
            f"daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1; events {{}} http {{"
            f"access_log off; {paths} server {{ listen 127.0.0.1:{port};\n{block}\nlocation / {{ proxy_pass {pages}; }} }} }}"
        )
        command = [program, "-c", str(file)]
    home = {name: str(folder) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
    with running(command, port, **home):
        yield port


@pytest.mark.parametrize("kind", ["nginx", "caddy"])
def test_an_address_of_the_sites_own(site: Site, tmp_path: Path, kind: str) -> None:
    line = example("own address").replace(KEY, "test-key")
    site.put("/shop", "<button id=pay>Pay</button>", head=line)
    with (
        collector_behind_proxy(tmp_path) as (sources, upstream),
        proxy_of(kind, tmp_path, upstream, site.address) as port,
    ):
        site.browser.get(f"http://127.0.0.1:{port}/shop")
        wait_for(site.browser, started)
        site.click("#pay")
        site.leave()
        stored = Collector("", tmp_path / "spool")
        assert [row.target_id for row in stored.wait_for_rows("click")] == ["pay"]
        assert set(sources.seen) == {"127.0.0.1"}
        # A visitor of the public site: the address is the visitor's, and the origin that of the site.
        name = f"events.shop.example:{port}"
        headers = {"Host": name, "Origin": f"http://{name}", "X-API-Key": "test-key", "X-Forwarded-For": "203.0.113.9"}
        transport = httpx.HTTPTransport(local_address="127.0.0.7")
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", transport=transport, headers=headers) as client:
            assert client.post("/fb/v1/events", json=BATCH).status_code == 202
            assert sources.seen[-1] == "127.0.0.7"
            sources.seen.clear()
            for path in ("/fb/", "/fb/metrics", "/fb/v1/status", "/fb/v1/incidents", "/fb/docs", "/v1/status"):
                assert client.get(path).status_code == 404
        assert sources.seen == []
