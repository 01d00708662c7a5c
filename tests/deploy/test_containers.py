"""Dockerfile and compose.yaml, as far as they can be checked without a container engine: what they name exists."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.settings import get_current_settings

from core.settings import SECRETS_VARIABLE, Settings
from furrow.installation.up import Installation

ROOT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = sorted(name for name, service in SERVICES.items() if "build" in service)
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def instructions(name: str) -> list[str]:
    joined = DOCKERFILE.replace("\\\n", " ")
    return [line.removeprefix(name).strip() for line in joined.splitlines() if line.startswith(f"{name} ")]


def test_every_image_is_pinned() -> None:
    images = [service["image"] for name, service in SERVICES.items() if name not in OURS] + instructions("FROM")
    assert len(images) == 3
    # The digest is what counts; the tag says to people what it is.
    assert all(re.fullmatch(r"[\w./-]+:\d+\.\d+[\w.-]*@sha256:[0-9a-f]{64}", image) for image in images)


def test_the_image_is_not_run_by_root() -> None:
    (user,) = instructions("USER")
    assert user == "furrow"
    assert DOCKERFILE.index("USER furrow") > DOCKERFILE.rindex("RUN ")


def test_every_container_is_confined() -> None:
    for name, service in SERVICES.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert "cap_add" not in service, name
        assert "privileged" not in service, name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        uid, gid = service["user"].split(":")
        assert int(uid) > 0, name
        assert int(gid) > 0, name
        assert any(place.split(":")[0] == "/tmp" for place in service["tmpfs"]), name
    assert "--uid 10001" in DOCKERFILE
    assert all(SERVICES[name]["user"] == "10001:10001" for name in OURS)


def reached_by(name: str) -> set[str]:
    networks = set(SERVICES[name]["networks"])
    return {other for other, service in SERVICES.items() if networks & set(service["networks"])} - {name}


def test_the_collector_reaches_postgres_and_nothing_else() -> None:
    assert reached_by("collector") == {"postgres"}
    assert [name for name, service in SERVICES.items() if "edge" in service["networks"]] == ["collector"]


def test_stores_reach_nothing_outside() -> None:
    internal = {name for name, network in COMPOSE["networks"].items() if network.get("internal")}
    assert set(COMPOSE["networks"]) - internal == {"edge", "out"}
    for name in ("clickhouse", "postgres", "lander", "deploy"):
        assert set(SERVICES[name]["networks"]) <= internal
    # Who is published needs a network that is not internal.
    assert all(set(service["networks"]) - internal for service in SERVICES.values() if "ports" in service)


def secrets_of(name: str) -> set[str]:
    return {secret["source"] for secret in SERVICES[name].get("secrets", [])}


def test_each_container_gets_its_own_secrets_alone() -> None:
    stores = {"furrow_event_store_url", "furrow_incident_store_url"}
    trackers = {
        "furrow_jira_token", "furrow_linear_key", "furrow_github_token", "furrow_gitlab_token", "furrow_webhook_secret",
    }  # fmt: skip
    assert {name: secrets_of(name) for name in SERVICES} == {
        "clickhouse": {"clickhouse_password"},
        "postgres": {"postgres_superuser_password", "postgres_password"},
        "prefect": set(),
        "deploy": stores,
        "collector": {
            "furrow_incident_store_url",
            "furrow_oidc_client_secret",
            "furrow_user_salt",
            "furrow_jira_webhook_secret",
            "furrow_linear_webhook_secret",
            "furrow_github_webhook_secret",
            "furrow_gitlab_webhook_secret",
        },
        "lander": stores,
        "worker": stores | trackers | {"furrow_alert_urls"},
    }
    assert set(COMPOSE["secrets"]) == {one for name in SERVICES for one in secrets_of(name)}
    for name, service in SERVICES.items():
        uid, gid = service["user"].split(":")
        for secret in service.get("secrets", []):
            assert (secret["uid"], secret["gid"], secret["mode"]) == (uid, gid, 0o400), name


def test_a_secret_is_read_from_its_file(tmp_path: Path) -> None:
    ours = {name.removeprefix("furrow_") for name in COMPOSE["secrets"] if name.startswith("furrow_")}
    assert ours == {name for name in ours if name in Settings.model_fields}
    marks = {name: f"{name}-of-the-file" for name in ours} | {"alert_urls": "ops=json://localhost/of-the-file"}
    for name in ours:
        (tmp_path / f"furrow_{name}").write_text(f"{marks[name]}\n")
    program = (
        "import json; from core.settings import Settings; s = Settings()\n"
        f"print(json.dumps({{n: getattr(s, n).get_secret_value() for n in {sorted(ours)!r}}}))"
    )
    environment = {"PYTHONPATH": str(ROOT), "FURROW_SECRETS_DIR": str(tmp_path), "FURROW_ENV_FILE": ""}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert json.loads(done.stdout) == marks, done.stderr


def test_the_example_of_the_environment_holds_all_that_is_read() -> None:
    lines = (ROOT / "containers" / "env.example").read_text().splitlines()
    told = {line.split("=")[0] for line in lines if line and not line.startswith("#")}
    text = (ROOT / "compose.yaml").read_text()
    assert {one["environment"] for one in COMPOSE["secrets"].values()} <= told
    assert set(re.findall(r"\$\{(\w+)", text)) - {"DETECT_SHARDS"} <= told
    for line in lines:
        if re.match(r"\w*(PASSWORD|TOKEN|SALT|AUTH|KEY)=", line):
            assert line.endswith("="), "an example holds no secret"


def test_what_the_image_copies_exists_and_is_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    sources = [source for line in instructions("COPY") for source in line.split()[:-1]]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in ignored, source


def test_the_image_holds_every_package_that_is_installed() -> None:
    sources = {source for line in instructions("COPY") for source in line.split()[:-1]}
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py") if not path.parent.is_symlink()} - {
        "tests",
        "bench",
        "scripts",
    }
    assert packages <= sources


@pytest.mark.parametrize("name", OURS)
def test_every_command_exists(name: str) -> None:
    command = SERVICES[name]["command"]
    assert command[:2] == ["python", "-m"]
    assert importlib.util.find_spec(command[2]) is not None
    if command[2] in ("collector", "furrow.prefect_server"):
        assert command[3:] == []
        return
    assert command[2] == "furrow.server", "Prefect's own worker runs what its API says"
    # The command's own help knows every option that is given.
    told = subprocess.run([sys.executable, "-m", *command[2:4], "--help"], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    options = [word for word in command if word.startswith("--")]
    assert all(option in told.stdout for option in options)


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_one_that_is_read(name: str) -> None:
    known = {f"FURROW_{field.upper()}" for field in Settings.model_fields}
    known |= prefect_variables() | {"PREFECT_HOME", "DO_NOT_TRACK", SECRETS_VARIABLE}
    given = set(SERVICES[name]["environment"])
    assert given <= known
    assert {part.split("=")[0] for line in instructions("ENV") for part in line.split()} - known == {
        "PYTHONUNBUFFERED",
        "PYTHONDONTWRITEBYTECODE",
        "PIP_NO_CACHE_DIR",
        "PIP_DISABLE_PIP_VERSION_CHECK",
    }


def prefect_variables() -> set[str]:
    found: set[str] = set()

    def walk(model: Any, prefix: str) -> None:
        for field in type(model).model_fields:
            value = getattr(model, field)
            if hasattr(type(value), "model_fields"):
                walk(value, f"{prefix}{field.upper()}_")
            else:
                found.add(f"{prefix}{field.upper()}")

    walk(get_current_settings(), "PREFECT_")
    return found


def test_no_secret_is_written_down() -> None:
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if re.search(r"PASSWORD|TOKEN|SALT|AUTH|_KEY$|STORE_URL", variable):
                # Prefect alone cannot read a file.
                in_file = variable.endswith("_FILE") and str(value).startswith("/run/secrets/")
                assert in_file or (variable.endswith("AUTH_STRING") and str(value).startswith("${PREFECT_AUTH:?")), name
    assert not re.search(r"PASSWORD|TOKEN|SALT|SECRET", DOCKERFILE)


def test_what_runs_on_has_a_health_check() -> None:
    lasting = [name for name, service in SERVICES.items() if service["restart"] == "unless-stopped"]
    assert sorted(lasting) == sorted(set(SERVICES) - {"deploy"})
    assert all(SERVICES[name]["healthcheck"]["test"] for name in lasting)


def test_what_is_depended_on_and_mounted_exists() -> None:
    for service in SERVICES.values():
        assert set(service.get("depends_on", {})) <= set(SERVICES)
        for other, how in service.get("depends_on", {}).items():
            healthy = how["condition"] == "service_healthy"
            assert healthy == ("healthcheck" in SERVICES[other])
        for source in (volume.split(":")[0] for volume in service.get("volumes", [])):
            assert source in COMPOSE["volumes"] or (ROOT / source).is_file()
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_the_lander_and_the_workers_see_the_collectors_spool() -> None:
    mounts = {name: SERVICES[name]["volumes"] for name in ("collector", "lander", "worker")}
    assert mounts["collector"] == mounts["lander"] == mounts["worker"]
    assert {SERVICES[name]["environment"]["FURROW_DATA_DIR"] for name in mounts} == {"/data"}


def test_the_prefect_server_is_kept_small_as_furrow_up_keeps_it(tmp_path: Path) -> None:
    ours = Installation(Settings(data_dir=tmp_path), print).make_environment()
    compose = SERVICES["prefect"]["environment"]
    names = [name for name in ours if name.startswith("PREFECT_SERVER_") and "API_" not in name]
    assert len(names) >= 4
    where = "PREFECT_SERVER_UI_STATIC_DIRECTORY"  # below each one's own data directory
    assert compose[where] == ours[where].replace(str(tmp_path), "/data")
    assert {name: compose[name] for name in names if name != where} == {
        name: ours[name] for name in names if name != where
    }
