"""Prefect's API as a way into the engine, against a running `furrow up`: from strangers, from pages of other origins, and from
somebody who has the authentication string.

The tests of this file share one installation and build on each other, in the order in which they stand here.
"""

import json
import stat
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from core.kept_secrets import INGEST_KEY, OPERATOR_KEY, PREFECT_AUTH
from tests.e2e.installation import (
    CURL_OF_THE_SEED,
    FURROW,
    ROOT,
    Up,
    environment,
    free_port,
    frustrated_session,
    patient,
    until,
)
from tests.e2e.test_commands_operators import on, succeeded

pytestmark = pytest.mark.long

EVIL = "https://evil.example"
SHELL = "prefect.deployments.steps.run_shell_script"
SOCKETS = (
    "/events/in",
    "/events/out",
    "/logs/out",
    "/work_pools/furrow/workers/connect",
    "/task_runs/subscriptions/scheduled",
)
Json = dict[str, Any]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    installation = Up(tmp_path_factory.mktemp("doors") / "data")
    installation.start()
    yield installation
    installation.kill_everything()


@pytest.fixture(scope="module")
def trace(up: Up) -> Path:
    """The directory in which each attack would leave a file."""
    folder = up.data.parent / "written-by-attacks"
    folder.mkdir()
    return folder


def login(up: Up) -> tuple[str, str]:
    name, _, password = up.secret(PREFECT_AUTH).partition(":")
    return name, password


@dataclass(frozen=True)
class Api:
    """Prefect's API as an attacker uses it."""

    client: httpx.Client

    def post(self, path: str, body: Json) -> Json:
        answer = self.client.post(path, json=body)
        assert answer.is_success, answer.text
        return dict(answer.json())

    def patch(self, path: str, body: Json) -> None:
        answer = self.client.patch(path, json=body)
        assert answer.is_success, answer.text

    def get(self, path: str) -> Json:
        answer = self.client.get(path)
        assert answer.is_success, answer.text
        return dict(answer.json())

    def deployment(self, name: str, **said: Any) -> str:
        """A deployment of a flow of the same name in the engine's pool."""
        flow = self.post("/flows/", {"name": name})
        return str(
            self.post("/deployments/", {"name": name, "flow_id": flow["id"], "work_pool_name": "furrow", **said})["id"]
        )

    def change(self, name: str, **said: Any) -> str:
        """Change a deployment of ours in place."""
        found = str(self.get(f"/deployments/name/{name}/{name}")["id"])
        self.patch(f"/deployments/{found}", said)
        return found

    def run(self, deployment: str, **said: Any) -> str:
        body = {"state": {"type": "SCHEDULED"}, "idempotency_key": str(uuid.uuid4()), **said}
        return str(self.post(f"/deployments/{deployment}/create_flow_run", body)["id"])

    def ended(self, run: str) -> Json:
        """The run's final state."""
        final = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
        until(lambda: self.get(f"/flow_runs/{run}")["state"]["type"] in final, 90)
        return dict(self.get(f"/flow_runs/{run}")["state"])


@pytest.fixture(scope="module")
def api(up: Up) -> Iterator[Api]:
    with patient(up.prefect_api, up.secret(PREFECT_AUTH)) as client:
        yield Api(client)


def touching(file: Path) -> list[Json]:
    return [{SHELL: {"script": f"touch {file}"}}]


# ------------------------------------------------------------------------------------------------ without the string


@pytest.mark.parametrize("headers", [{}, {"Origin": EVIL}, {"Origin": "http://localhost:3000"}, {"Origin": "null"}])
@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Basic",
        "Basic !",
        "Basic ZnVycm93Og==",
        "Basic w7x4Og==",
        "Bearer x",
        "basic ZnVycm93OnRlc3Q=",
        "Basic " + "A" * 5000,
    ],
)
def test_nothing_is_made_without_the_string(up: Up, trace: Path, headers: Json, authorization: str) -> None:
    sent = {**headers, **({"Authorization": authorization} if authorization else {})}
    body = {"name": "evil", "pull_steps": touching(trace / "stranger")}
    with httpx.Client(base_url=up.prefect_api, headers=sent) as client:
        for path in (
            "/flows/",
            "/deployments/",
            "/flow_runs/",
            "/block_documents/filter",
            "/automations/",
            "/admin/settings",
        ):
            answer = client.post(path, json=body)
            assert (answer.status_code, "access-control-allow-origin" in answer.headers) == (401, False), path
        assert client.get("/block_types/slug/furrow-jira/block_documents").status_code == 401
        assert client.get("/admin/settings").status_code == 401
        assert client.options("/flows/", headers={"Access-Control-Request-Method": "POST"}).status_code == 401
        for page in ("/docs", "/openapi.json", "/api/docs", "/api/openapi.json"):
            assert client.get(f"http://127.0.0.1:{up.prefect_port}{page}").status_code == 401
    assert list(trace.iterdir()) == []


def test_health_is_for_everyone(up: Up) -> None:
    assert httpx.get(f"{up.prefect_api}/health").json() is True
    assert httpx.post(f"{up.prefect_api}/health").status_code == 401
    assert httpx.get(f"{up.prefect_api}/variables/name/health").status_code == 401


def test_a_page_of_another_origin_is_refused_even_with_the_string(up: Up) -> None:
    for origin in (
        EVIL,
        "null",
        "http://localhost:3000",
        f"http://localhost:{up.port}",
        f"ftp://127.0.0.1:{up.prefect_port}",
    ):
        answer = httpx.post(f"{up.prefect_api}/flows/count", json={}, auth=login(up), headers={"Origin": origin})
        assert answer.status_code == 403, origin
    own = {"Origin": f"http://localhost:{up.prefect_port}", "Host": f"localhost:{up.prefect_port}"}
    assert httpx.post(f"{up.prefect_api}/flows/count", json={}, auth=login(up), headers=own).is_success


@pytest.mark.parametrize("path", SOCKETS)
def test_websockets_want_the_string_and_an_own_origin(up: Up, path: str) -> None:
    url = up.prefect_api.replace("http", "ws", 1) + path
    with pytest.raises(InvalidStatus):
        connect(url)
    wrong: list[Json] = [{"type": "auth", "token": token} for token in ("", "furrow:wrong", None, 7, "\u00fc")]
    for first in [*wrong, {"type": "subscribe", "keys": []}]:
        with connect(url, subprotocols=[Subprotocol("prefect")]) as socket:
            socket.send(json.dumps(first))
            with pytest.raises(ConnectionClosed):
                socket.recv(timeout=20)
    with pytest.raises(InvalidStatus, match="403"):
        connect(url, subprotocols=[Subprotocol("prefect")], origin=Origin(EVIL))
    with connect(url, subprotocols=[Subprotocol("prefect")]) as socket:
        socket.send(json.dumps({"type": "auth", "token": up.secret(PREFECT_AUTH)}))
        assert json.loads(socket.recv(timeout=20))["type"] == "auth_success"


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "localhost.evil.example", "a@b.c"]
)
def test_a_name_that_was_pointed_here_is_not_answered(up: Up, host: str) -> None:
    for port, path in ((up.port, "/v1/health"), (up.prefect_port, "/api/health"), (up.prefect_port, "/")):
        headers = {"Host": host.format(port=port), "Origin": f"http://{host.format(port=port)}"}
        assert httpx.get(f"http://127.0.0.1:{port}{path}", headers=headers).status_code == 400
        assert httpx.options(f"http://127.0.0.1:{port}{path}", headers=headers).status_code == 400
    rebound = {
        "Host": host.format(port=up.port),
        "Origin": f"http://{host.format(port=up.port)}",
        "X-API-Key": "test-key",
    }
    answer = httpx.post(f"http://127.0.0.1:{up.port}/v1/events", content=CURL_OF_THE_SEED, headers=rebound)
    assert answer.status_code == 400


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:1", "127.0.0.1", "[::1]:8080", "10.0.0.7", "collector", "a.b.svc.cluster.local"]
)
def test_names_that_no_stranger_can_have_are_answered(up: Up, host: str) -> None:
    for port, path in ((up.port, "/v1/health"), (up.prefect_port, "/api/health")):
        assert httpx.get(f"http://127.0.0.1:{port}{path}", headers={"Host": host}).status_code == 200


def test_the_collector_takes_from_pages_of_this_machine_alone(up: Up) -> None:
    url = f"http://127.0.0.1:{up.port}/v1/events"
    for origin in (
        EVIL,
        "null",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example:3000",
        "http://10.0.0.7",
    ):
        for key in ("test-key", up.secret(INGEST_KEY)):
            headers = {"X-API-Key": key, "Origin": origin}
            answer = httpx.post(url, content=CURL_OF_THE_SEED, headers=headers)
            assert (answer.status_code, "access-control-allow-origin" in answer.headers) == (403, False)
            beacon = json.dumps({**json.loads(CURL_OF_THE_SEED), "apiKey": key})
            plain = {"Origin": origin, "Content-Type": "text/plain"}
            assert httpx.post(url, content=beacon, headers=plain).status_code == 403
        preflight = httpx.options(url, headers={"Origin": origin, "Access-Control-Request-Method": "POST"})
        assert (preflight.status_code, "access-control-allow-origin" in preflight.headers) == (403, False)
    page = {"X-API-Key": "test-key", "Origin": "http://localhost:3000"}
    assert httpx.post(url, content=CURL_OF_THE_SEED, headers=page).status_code == 202


def test_the_key_that_everyone_knows_reads_nothing(up: Up) -> None:
    for path in ("/v1/incidents", "/v1/status"):
        for key, status in (("test-key", 403), ("test-operator-key", 401), (up.secret(INGEST_KEY), 403)):
            with up.client(key) as client:
                assert client.get(path).status_code == status
        assert up.get(path)


# --------------------------------------------------------------------------------------------------- with the string


def test_foreign_deployments_are_refused(up: Up, api: Api, trace: Path) -> None:
    script = trace.parent / "script.py"
    script.write_text(f"import pathlib\npathlib.Path({str(trace / 'file')!r}).touch()\ndef main(): pass\n")
    command = {"parameters": {"command": f"touch {trace / 'command'}"}, "enforce_parameter_schema": False}
    attacks = {
        "pull": {"entrypoint": "flows.detect.detect", "pull_steps": touching(trace / "pull")},
        "colon": {"entrypoint": "os:system", **command},
        "dots": {"entrypoint": "os.system", **command},
        "popen": {"entrypoint": "subprocess.getoutput", "parameters": {"cmd": f"touch {trace / 'popen'}"}},
        "file": {"entrypoint": f"{script}:main"},
        "path": {"entrypoint": "script.py:main", "path": str(script.parent)},
        "ours": {"entrypoint": "flows.detect.detect"},
    }
    runs = {name: api.run(api.deployment(f"evil-{name}", **said)) for name, said in attacks.items()}
    # Of the name of one of ours, and of the flow of one of ours.
    flow = api.get("/deployments/name/detect/detect")["flow_id"]
    twin = {"name": "detect2", "flow_id": flow, "work_pool_name": "furrow", "pull_steps": touching(trace / "twin")}
    runs["twin"] = api.run(str(api.post("/deployments/", twin)["id"]))
    other = {**twin, "name": "detect", "flow_id": api.post("/flows/", {"name": "evil"})["id"]}
    runs["namesake"] = api.run(str(api.post("/deployments/", other)["id"]))
    for name, run in runs.items():
        state = api.ended(run)
        assert (state["type"], state["name"]) == ("CRASHED", "Refused"), (name, state)
        assert "Furrow has no deployment" in state["message"]
    body = {"flow_id": flow, "work_pool_name": "furrow", "state": {"type": "SCHEDULED"}}
    loose = api.post("/flow_runs/", {**body, "idempotency_key": str(uuid.uuid4())})
    assert "no deployment" in api.ended(str(loose["id"]))["message"]
    assert list(trace.iterdir()) == []
    with up.client() as client:
        refusals = [
            line for line in client.get("/metrics").text.splitlines() if line.startswith("furrow_runs_refused_total")
        ]
    assert float(refusals[0].split()[-1]) == len(runs) + 1
    found = {one["part"]: one for one in json.loads(on(up, "doctor", "--json").stdout)}
    assert "last error" in found["refused runs"]["detail"]
    assert "is refused: Furrow has no deployment evil-pull/evil-pull" in (up.data / "logs" / "engine.log").read_text()


def test_detection_goes_on_meanwhile(up: Up) -> None:
    up.post_events(frustrated_session("after-the-attacks"))
    until(lambda: up.get("/v1/incidents")["total"] == 1, 120)
    assert "Completed" in succeeded(on(up, "run", "detect"))


def test_a_template_of_the_pool_and_variables_of_a_run_change_nothing(up: Up, api: Api, trace: Path) -> None:
    pool = api.get("/work_pools/furrow")
    command = f"touch {trace / 'template'}"
    template = {
        "job_configuration": {
            "command": command,
            "env": {"PREFECT__FLOW_ENTRYPOINT": "os.system"},
            "name": "{{ evil }}",
        },
        "variables": {
            "type": "object",
            "properties": {"evil": {"type": "string", "default": "{{ prefect.blocks.x.y }}"}},
        },
    }
    api.patch("/work_pools/furrow", {"base_job_template": template})
    until(lambda: api.get("/work_pools/furrow")["base_job_template"] == template, 30)
    retention = str(api.get("/deployments/name/retention/retention")["id"])
    assert api.ended(api.run(retention))["type"] == "COMPLETED"
    api.patch("/work_pools/furrow", {"base_job_template": pool["base_job_template"]})
    for said in ({"command": command}, {"env": {"PREFECT__FLOW_ENTRYPOINT": "os.system"}}):
        refused = api.run(retention, job_variables=said)
        assert "job variables" in api.ended(refused)["message"]
        # The one slot of the deployment is free again.
        assert api.ended(api.run(retention))["type"] == "COMPLETED"
    assert list(trace.iterdir()) == []


def test_parameters_must_fit(api: Api, trace: Path) -> None:
    for name, given, why in (
        ("retention", {"command": "touch x"}, "retention has no parameter command"),
        ("erase", {"project": {"not": "text"}}, "do not fit"),
        ("backfill", {"start": "; touch x", "end": None}, "do not fit"),
    ):
        deployment = api.change(name, enforce_parameter_schema=False)
        state = api.ended(api.run(deployment, parameters=given, enforce_parameter_schema=False))
        assert (state["name"], why in state["message"]) == ("Refused", True), state
    assert list(trace.iterdir()) == []


def test_changed_deployments_of_ours_are_refused(up: Up, api: Api, trace: Path) -> None:
    script = trace.parent / "flow.py"
    script.write_text(f"import pathlib\npathlib.Path({str(trace / 'changed-file')!r}).touch()\ndef main(): pass\n")
    local = api.get("/block_types/slug/local-file-system")
    schema = api.client.post(
        "/block_schemas/filter", json={"block_schemas": {"block_type_id": {"any_": [local["id"]]}}}
    ).json()
    block = {
        "name": "evil",
        "block_type_id": local["id"],
        "block_schema_id": schema[0]["id"],
        "data": {"basepath": str(trace.parent)},
    }
    storage = api.post("/block_documents/", block)["id"]
    changes: list[tuple[str, Json, str]] = [
        ("detect", {"pull_steps": touching(trace / "detect")}, "pull steps"),
        ("export", {"entrypoint": "os.system", "parameters": {"command": f"touch {trace / 'export'}"}}, "os.system"),
        ("backfill", {"entrypoint": f"{script}:main", "path": str(script.parent)}, "entrypoint"),
        ("replay", {"storage_document_id": storage}, "storage block"),
        ("retention", {"job_variables": {"command": f"touch {trace / 'retention'}"}}, "job variables"),
        ("erase", {"infrastructure_document_id": storage}, "infrastructure block"),
        ("rerun-failed-exports", {"path": str(script.parent)}, "path"),
    ]
    runs = {name: api.run(api.change(name, enforce_parameter_schema=False, **said)) for name, said, _ in changes}
    for name, _, why in changes:
        state = api.ended(runs[name])
        assert (state["type"], state["name"]) == ("CRASHED", "Refused"), (name, state)
        assert why in state["message"]
        assert "`furrow up`" in state["message"]
    assert list(trace.iterdir()) == []


def test_after_a_restart_the_string_is_the_same_and_the_deployments_are_ours_again(up: Up, trace: Path) -> None:
    names = (PREFECT_AUTH, INGEST_KEY, OPERATOR_KEY)
    before = [up.secret(name) for name in names]
    up.interrupt()
    up.start()
    assert [up.secret(name) for name in names] == before
    with up.prefect() as prefect:
        for name in ("detect", "export", "retention", "rerun-failed-exports"):
            run = prefect.start_run(f"{name}/{name}", wait_seconds=90)
            assert run["state"]["type"] == "COMPLETED", (name, run["state"])
    assert "are restored: " in " ".join(up.log.read_text().split())
    assert list(trace.iterdir()) == []


# --------------------------------------------------------------------------------------------------------- our own use


def test_every_command_knows_the_string(up: Up, tmp_path: Path) -> None:
    config = tmp_path / "new.toml"
    config.write_text("[thresholds]\nrage_clicks = 9\n")
    for arguments in (
        ("doctor",),
        ("run", "detect"),
        ("export",),
        ("export", "--retry-failed"),
        ("evaluate", "--replay", "1d", "--config", str(config)),
        ("incidents", "list"),
    ):
        told = on(up, *arguments)
        assert (told.returncode, "(401)" in told.stdout + told.stderr) == (0, False), told.stdout + told.stderr
    nobody = on(up, "erase", "--session", "nobody", "--yes")
    assert (nobody.returncode, "(401)" in nobody.stdout + nobody.stderr) == (1, False), "asked, and nothing was found"
    events = tmp_path / "events.jsonl"
    events.write_text("".join(json.dumps(event) + "\n" for event in frustrated_session("sent")))
    assert "11 accepted" in succeeded(on(up, "send", str(events)))
    assert succeeded(on(up, "prefect-login")).strip() == up.secret(PREFECT_AUTH)


def test_without_the_string_a_command_says_so(up: Up, tmp_path: Path) -> None:
    for extra in ({"FURROW_DATA_DIR": str(tmp_path)}, {"FURROW_PREFECT_AUTH": "furrow:not-the-string"}):
        told = on(up, "run", "detect", **extra)
        assert told.returncode == 1
        assert f"Prefect at {up.prefect_api} refused (401)" in told.stderr
        found = {one["part"]: one for one in json.loads(on(up, "doctor", "--json", **extra).stdout)}
        assert (found["prefect"]["reachable"], "401" in found["prefect"]["advice"]) == (False, True)


def test_the_string_is_not_sent_to_another_server(up: Up, httpserver: Any) -> None:
    httpserver.expect_request("/api/deployments/name/detect/detect").respond_with_data("", 404)
    httpserver.expect_request("/api/deployments/filter").respond_with_json([])
    httpserver.expect_request("/api/flows/filter").respond_with_json([])
    assert on(up, "run", "detect", "--prefect-url", httpserver.url_for("/api")).returncode == 1
    assert len(httpserver.log) == 3
    assert all("authorization" not in request.headers for request, _ in httpserver.log)


def test_secrets_are_private_and_shown_nowhere(up: Up) -> None:
    names = (PREFECT_AUTH, INGEST_KEY, OPERATOR_KEY)
    assert [stat.S_IMODE((up.data / name).stat().st_mode) for name in names] == [0o600] * 3
    auth = up.secret(PREFECT_AUTH)
    password = auth.partition(":")[2].encode()
    assert len(password) >= 43
    for file in [up.log, *up.data.rglob("*")]:
        if file.is_file() and file.name != PREFECT_AUTH:
            with suppress(FileNotFoundError):  # segments come and go
                assert password not in file.read_bytes(), file
    for process in up.processes():
        with suppress(psutil.NoSuchProcess):
            assert auth not in " ".join(process.cmdline())
            if process.cmdline()[-2:] == ["furrow.installation.child", "collector"]:
                assert auth not in "".join(process.environ().values())


def test_no_prefect_server_starts_without_authentication() -> None:
    port = free_port()
    for auth in ("", "short:one"):
        told = subprocess.run(
            [sys.executable, "-m", "furrow.prefect_server"],
            env=environment(
                PREFECT_SERVER_API_HOST="0.0.0.0",
                PREFECT_SERVER_API_PORT=str(port),
                PREFECT_SERVER_API_AUTH_STRING=auth,
            ),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (told.returncode, told.stderr.count("\n")) == (3, 1)
        assert "needs authentication" in told.stderr
    refused = subprocess.run(
        [*FURROW, "up"],
        env=environment(FURROW_PREFECT_AUTH="short"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert refused.returncode == 2
    assert "FURROW_PREFECT_AUTH" in refused.stderr
    assert "Traceback" not in refused.stderr
