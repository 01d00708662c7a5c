"""Dockerfile and compose.yaml, as far as they can be checked without a container engine: what they name exists."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.settings import get_current_settings

from furrow.settings import Settings
from furrow.up import Installation

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
    assert all(re.fullmatch(r"[\w./-]+:\d+\.\d+[\w.-]*", image) for image in images)


def test_the_image_is_not_run_by_root() -> None:
    (user,) = instructions("USER")
    assert user == "furrow"
    assert DOCKERFILE.index("USER furrow") > DOCKERFILE.rindex("RUN ")
    assert all("no-new-privileges:true" in SERVICES[name]["security_opt"] for name in OURS)


def test_what_the_image_copies_exists_and_is_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    sources = [source for line in instructions("COPY") for source in line.split()[:-1]]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in ignored, source


def test_the_image_holds_every_package_that_is_installed() -> None:
    sources = {source for line in instructions("COPY") for source in line.split()[:-1]}
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "bench"}
    assert packages <= sources


@pytest.mark.parametrize("name", OURS)
def test_every_command_exists(name: str) -> None:
    command = SERVICES[name]["command"]
    assert command[:2] == ["python", "-m"]
    assert importlib.util.find_spec(command[2]) is not None
    if command[2] in ("collector", "furrow.prefect_server"):
        assert command[3:] == []
        return
    # The command's own help knows every option that is given.
    words = [word for word in command[3:] if re.fullmatch(r"[a-z]+", word)]
    depth = 1 if command[2] == "furrow.server" else 2
    told = subprocess.run([sys.executable, "-m", command[2], *words[:depth], "--help"], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    options = [word for word in command if word.startswith("--")]
    assert all(option in told.stdout for option in options)


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_one_that_is_read(name: str) -> None:
    known = {f"FURROW_{field.upper()}" for field in Settings.model_fields}
    known |= prefect_variables() | {"PREFECT_HOME", "DO_NOT_TRACK"}
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
                assert re.search(r"\$\{\w+(:\?|:-\})", str(value)), (name, variable)
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
        assert {volume.split(":")[0] for volume in service.get("volumes", [])} <= set(COMPOSE["volumes"])
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_the_lander_and_the_workers_see_the_collectors_spool() -> None:
    mounts = {name: SERVICES[name]["volumes"] for name in ("collector", "lander", "worker")}
    assert mounts["collector"] == mounts["lander"] == mounts["worker"]
    assert {SERVICES[name]["environment"]["FURROW_DATA_DIR"] for name in mounts} == {"/data"}


def test_the_prefect_server_is_kept_small_as_furrow_up_keeps_it(tmp_path: Path) -> None:
    ours = Installation(Settings(data_dir=tmp_path), print).environment()
    compose = SERVICES["prefect"]["environment"]
    names = [name for name in ours if name.startswith("PREFECT_SERVER_") and "API_" not in name]
    assert len(names) >= 4
    assert {name: compose[name] for name in names} == {name: ours[name] for name in names}
