"""The documentation is true: what it names exists, and what exists is named."""

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml
from prometheus_client import REGISTRY

import collector.metrics
import core.metrics
from collector.app import create_app
from collector.config import CollectorConfig
from collector.streams.registry import STREAMS
from core.alert_settings import ALERT_KINDS
from core.settings import ENV_FILE_VARIABLE, SECRETS_VARIABLE
from incidents.audit import AuditAction
from scripts import reference
from ufse.signals.registry import SIGNALS

ROOT = Path(__file__).resolve().parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
# Pages for users speak of what runs now; the changelog speaks of the past.
USER_PAGES = [page for page in PAGES if page.name != "CHANGELOG.md"]
WRAPPED = re.compile(r"""^\s+wrap(?:<[^(]*>)?\([^,]+, (?:"([\w ]+)"|(kind \+ "State"))""", re.M)
"""The functions of the page that a call of `wrap` in the browser's script changes: their names, or those of `STATES`."""
STATES = ("pushState", "replaceState")


def text(name: str) -> str:
    return (ROOT / name).read_text()


def test_the_configuration_page_is_made_from_the_code() -> None:
    page = text("docs/configuration.md")
    assert reference.update_configuration_page(page) == page, "run `make docs`"


def test_the_commands_page_is_made_from_the_code() -> None:
    assert reference.render_commands_page() == text("docs/commands.md"), "run `make docs`"


@pytest.mark.parametrize("page", USER_PAGES, ids=lambda page: page.name)
def test_every_command_that_is_named_exists(page: Path) -> None:
    known = {heading.split()[1] for heading in re.findall(r"^##+ `(furrow [\w-]+)", text("docs/commands.md"), re.M)}
    named = set(re.findall(r"(?:`|bin/|^)furrow ([a-z][\w-]*)", page.read_text(), re.M))
    assert named <= known


@pytest.mark.parametrize("page", USER_PAGES, ids=lambda page: page.name)
def test_every_option_of_a_command_that_is_named_exists(page: Path) -> None:
    parts = re.split(r"^##+ `(furrow [\w -]+)`$", text("docs/commands.md"), flags=re.M)
    known = {name: set(re.findall(r"--[a-z][\w-]+", part)) for name, part in zip(parts[1::2], parts[2::2], strict=True)}
    for line in re.findall(r"(?:`|bin/|^)(furrow [a-z][^`\n|]*)", page.read_text(), re.M):
        called = next((name for name in sorted(known, key=len, reverse=True) if f"{line} ".startswith(f"{name} ")), "")
        options = set(re.findall(r"(?<= )--[a-z][\w-]+", line.partition(" #")[0]))
        assert options <= known.get(called, set()) | {"--help"}, line


@pytest.mark.parametrize("page", USER_PAGES, ids=lambda page: page.name)
def test_every_setting_that_is_named_exists(page: Path) -> None:
    known = set(re.findall(r"`(FURROW_\w+)`", reference.render_settings_table()))
    options = set(re.findall(r"env var: (FURROW_\w+)", text("docs/commands.md")))
    sources = {ENV_FILE_VARIABLE, SECRETS_VARIABLE}
    assert set(re.findall(r"FURROW_[A-Z_]+[A-Z]", page.read_text())) <= known | options | sources


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    shown = page.read_text()
    if page.name == "tickets.md":  # its blocks hold tickets, whose links lead to an invented installation
        shown = re.sub(r"^(`{3,})\w*\n.*?^\1$", "", shown, flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", shown):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", ["ARCHITECTURE.md", "CONTRIBUTING.md"])
def test_every_file_that_successors_are_sent_to_exists(page: str) -> None:
    named = re.findall(r"`((?:\w+/)+[\w.*]*)`", text(page))
    assert len(named) > 10
    for name in named:
        assert list(ROOT.glob(name.replace("NAME", "*"))), name


def test_the_script_tags_have_the_hash_of_the_bundle() -> None:
    page = text("docs/browser.md")
    assert reference.update_browser_page(page) == page, "run `make docs`"


def test_the_functions_that_the_script_wraps_are_named() -> None:
    calls = [call for file in (ROOT / "browser/src").glob("*.ts") for call in WRAPPED.findall(file.read_text())]
    wrapped = {name for quoted, made in calls for name in (quoted.split() if quoted else STATES)}
    assert wrapped >= {"fetch", "send", "attachShadow", "alert", "writeText"}
    part = text("docs/browser.md").split("**Changed functions**")[1].split("\n* ")[0]
    named = {name.rpartition(".")[2] for name in re.findall(r"`([\w.]+)`", part)} - {"XMLHttpRequest"}
    assert named == wrapped


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_that_is_named_exists(page: Path) -> None:
    targets = set(re.findall(r"^(\w+):", text("Makefile"), re.M))
    assert set(re.findall(r"(?:`|^)make (\w+)", page.read_text(), re.M)) <= targets


def test_every_deployment_is_described_and_the_other_way_round() -> None:
    deployments = {one["name"] for one in yaml.safe_load(text("prefect.yaml"))["deployments"]}
    part = text("docs/operating.md").split("## Deployments")[1].split("\n## ")[0]
    assert set(re.findall(r"^### `([\w-]+)`", part, re.M)) == deployments


def test_every_metric_is_described_and_the_other_way_round() -> None:
    assert collector.metrics
    assert core.metrics
    ours = {
        m.name + ("_total" if m.type == "counter" else "") for m in REGISTRY.collect() if m.name.startswith("furrow_")
    }
    assert set(re.findall(r"^\| `(furrow_\w+)`", text("docs/operating.md"), re.M)) == ours


def test_every_endpoint_is_described_and_the_other_way_round(tmp_path: Path) -> None:
    assert described_endpoints() == served_endpoints(tmp_path), (
        "docs/http-api.md has a heading for each: ### `GET /v1/status`"
    )


def test_every_stream_is_named_with_its_largest_body() -> None:
    rows = re.findall(r"^\| \[`(\w+)`\]\(.*\| (\d+) MiB \|$", text("docs/streams.md"), re.M)
    assert {name: int(size) for name, size in rows} == {stream.name: stream.max_bytes >> 20 for stream in STREAMS}


def test_every_action_of_the_audit_log_is_described() -> None:
    part = text("docs/review.md").split("## The audit log")[1].split("\n## ")[0]
    column = "".join(re.findall(r"^(\| `[^|]*\|)", part, re.M))
    history = {"incident.STATUS", "incident.note"}
    assert set(re.findall(r"`([\w.]+)`", column)) == set(get_args(AuditAction)) | history


def test_every_kind_of_alert_is_described() -> None:
    part = text("docs/alerts.md").split("## What people are alerted of")[1].split("\n## ")[0]
    assert tuple(re.findall(r"^\| `(\w+)`", part, re.M)) == ALERT_KINDS


def test_the_contract_states_every_signal() -> None:
    part = text("docs/contracts/detection.md").split("## Signals (only these)")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| \*\*(\w+)\*\*", part, re.M)) == {signal.name for signal in SIGNALS}


def described_endpoints() -> set[str]:
    return set(re.findall(r"^### `((?:GET|POST) /[^`?]+)", text("docs/http-api.md"), re.M))


def served_endpoints(spool_dir: Path) -> set[str]:
    app = create_app(CollectorConfig(spool_dir=spool_dir, user_salt="salt"))  # type: ignore[arg-type]
    return {f"{method.upper()} {path}" for path, methods in app.openapi()["paths"].items() for method in methods}


def test_the_pins_that_prefect_needs() -> None:
    """That the locks hold exact versions, hashes and no address is in test_locks.py."""
    locked = dict(re.findall(r"^([a-z0-9-]+)==([^ ;]+)", text("requirements.lock"), re.M))
    assert locked["prefect"] == "3.8.8"
    assert tuple(map(int, locked["fastapi"].split(".")[:2])) < (0, 151)
    assert tuple(map(int, locked["sqlalchemy"].split(".")[:2])) < (2, 1)
