"""What `furrow doctor` says about what is open to others: each case, and that a closed installation has none."""

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from core.settings import Settings
from furrow.doctor.exposure import Exposure, find_exposures
from stores.incidents.incident_store import IncidentStore
from tests.ports import free_port

Served = tuple[int, Any]


class Answers:
    """A server of this machine: what it answers on each path, and with which keys and logins it was asked."""

    def __init__(self, answer: Callable[[str, str, str], Served]) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                key, login = self.headers.get("X-API-Key", ""), self.headers.get("Authorization", "")
                status, body = answer(self.path, key, login)
                content = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_GET

            def log_message(self, *_: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port: int = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[str, str, str], Served]], Answers]]:
    servers: list[Answers] = []

    def start(answer: Callable[[str, str, str], Served]) -> Answers:
        servers.append(Answers(answer))
        return servers[-1]

    yield start
    for one in servers:
        one.close()


@pytest.fixture
def closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """An installation of which nothing is open, in a working directory without a file of settings."""
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    return Settings(data_dir=data, port=free_port(), _env_file=None)  # type: ignore[call-arg]


def whats(found: list[Exposure]) -> str:
    assert all(one.advice for one in found)
    return "\n".join(one.what for one in found)


def test_a_closed_installation_has_none(closed: Settings) -> None:
    assert find_exposures(closed, None) == []
    keys = {"operator_key": SecretStr("k" * 32), "ingest_key": SecretStr("i" * 32)}
    tracker = {
        "jira_url": "https://127.0.0.1:8443",
        "linear_key": SecretStr("x"),
        "linear_url": "https://8.8.8.8/graphql",
    }
    assert find_exposures(closed.model_copy(update=keys | tracker), None) == []


def test_a_collector_for_all_networks(closed: Settings, serve: Any) -> None:
    known = serve(lambda path, key, _: (400 if "events" in path else 200, {}))
    found = whats(find_exposures(closed.model_copy(update={"host": "0.0.0.0", "port": known.port}), None))
    assert "the collector listens on 0.0.0.0" in found
    assert "the API for operators can be reached" in found
    assert "accepts the publicly known key test-key to send events" in found
    assert "accepts the publicly known key test-operator-key to read incidents" in found
    refuses = serve(lambda path, key, _: (401, {}))
    found = whats(
        find_exposures(
            closed.model_copy(update={"host": "0.0.0.0", "port": refuses.port, "events_api_only": True}), None
        )
    )
    assert "publicly known" not in found
    assert "API for operators" not in found


def test_prefect_for_all_networks(closed: Settings) -> None:
    opened = closed.model_copy(update={"host": "0.0.0.0", "prefect_host": "0.0.0.0"})
    assert "Prefect's UI and API listen on 0.0.0.0:4200" in whats(find_exposures(opened, None))


def test_prefect_without_a_password(closed: Settings, serve: Any) -> None:
    def without(path: str, _key: str, login: str) -> Served:
        return 200, {"server": {"analytics_enabled": True}} if "settings" in path else "3.8.8"

    found = whats(find_exposures(closed, None, serve(without).api))
    assert "Prefect's API needs no password" in found
    assert "analytics" in found


def test_prefect_with_a_password(closed: Settings, serve: Any) -> None:
    def with_one(path: str, _key: str, login: str) -> Served:
        return (200, {"server": {"analytics_enabled": False}}) if login.startswith("Basic ") else (401, {})

    server = serve(with_one)
    assert find_exposures(closed, None, server.api, SecretStr("furrow:secret")) == []
    assert find_exposures(closed, None, server.api) == []


def test_files_that_others_can_read(closed: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (closed.data_dir / "user-salt").write_text("salt")
    (closed.data_dir / "user-salt").chmod(0o644)
    assert f"other users can read {closed.data_dir / 'user-salt'}" in whats(find_exposures(closed, None))
    closed.data_dir.chmod(0o755)
    assert f"other users can read {closed.data_dir} and 1 more" in whats(find_exposures(closed, None))
    closed.data_dir.chmod(0o700)
    (closed.data_dir / "user-salt").chmod(0o600)
    (tmp_path / ".env").write_text("FURROW_JIRA_TOKEN=x\n")
    (tmp_path / ".env").chmod(0o644)
    assert "other users can read the settings in .env" in whats(find_exposures(closed, None))
    (tmp_path / ".env").chmod(0o600)
    assert find_exposures(closed, None) == []


@pytest.mark.parametrize(
    ("setting", "url", "said"),
    [
        ("event_store_url", "clickhouse://furrow:f3c9a1@db.example:8123/furrow", ["the event store at db.example is not"]),
        ("event_store_url", "clickhouses://furrow:f3c9a1@db.example/furrow", []),
        ("event_store_url", "clickhouses://default@db.example/furrow", ["no password"]),
        ("event_store_url", "clickhouse://furrow:f3c9a1@localhost/furrow", []),
        ("incident_store_url", "postgresql://furrow:f3c9a1@db.example/furrow", ["the incident store at db.example is not"]),
        ("incident_store_url", "postgresql://furrow:f3c9a1@db.example/furrow?sslmode=prefer", ["is not encrypted"]),
        ("incident_store_url", "postgresql://furrow:f3c9a1@db.example/furrow?sslmode=verify-full", []),
        ("incident_store_url", "postgresql://postgres:postgres@db.example/x?sslmode=require", ["a common one"]),
        ("incident_store_url", "postgresql://furrow:Furrow@127.0.0.1/furrow", ["a common one"]),
        ("incident_store_url", "postgresql://postgres@/postgres?host=%2Ftmp%2Fsocket", []),
    ],
)  # fmt: skip
def test_stores_without_encryption_or_with_a_common_password(
    setting: str, url: str, said: list[str], closed: Settings
) -> None:
    found = find_exposures(closed.model_copy(update={setting: SecretStr(url)}), None)
    assert len(found) == len(said)
    assert all(one in whats(found) for one in said)
    assert "f3c9a1" not in str(found)


def test_trackers_that_cannot_be_spoken_to(closed: Settings) -> None:
    plain = closed.model_copy(update={"jira_url": "http://jira.example.com"})
    assert "Jira cannot get tickets: the address of Jira must begin with https://" in whats(find_exposures(plain, None))
    inside = closed.model_copy(update={"linear_key": SecretStr("x"), "linear_url": "https://10.1.2.3/graphql"})
    assert "FURROW_TRACKER_PRIVATE_NETWORKS" in whats(find_exposures(inside, None))
    assert find_exposures(inside.model_copy(update={"tracker_private_networks": "10.0.0.0/8"}), None) == []


def test_short_keys(closed: Settings) -> None:
    found = whats(
        find_exposures(closed.model_copy(update={"operator_key": SecretStr("abc"), "ingest_key": SecretStr("d")}), None)
    )
    assert "FURROW_OPERATOR_KEY" in found
    assert "FURROW_INGEST_KEY" in found
    assert "abc" not in found


def test_a_proxy_that_is_not_trusted(closed: Settings) -> None:
    behind = closed.model_copy(update={"public_url": "https://furrow.example.com"})
    assert "https://furrow.example.com is served by a proxy that is not trusted" in whats(find_exposures(behind, None))
    assert find_exposures(behind.model_copy(update={"trusted_proxies": "127.0.0.1"}), None) == []
    assert find_exposures(closed.model_copy(update={"public_url": "http://127.0.0.1:8080"}), None) == []


def test_a_project_that_takes_events_of_any_page(closed: Settings, postgres_url: str) -> None:
    store = IncidentStore.connect(postgres_url)
    store.migrate()
    store.keys.save_project("shop", ["https://shop.example"])
    assert find_exposures(closed, postgres_url) == []
    store.keys.save_project("blog", ["*"])
    store.close()
    assert "pages of any website may send events to the project 'blog'" in whats(find_exposures(closed, postgres_url))
