"""A tracker is added with two source files: its package, and its declaration in core/tracker_kinds.py.

The test does it in a copy of the tree and asks everything that lists trackers.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL

from core.tracker_kinds import TRACKER_NAMES
from stores.incidents.incident_store import ConfirmRule, IncidentStore
from tests.fakes.server import Answer, Fake, Request
from tests.integration.incident_store_cases import detection, incident, record

ROOT = Path(__file__).parents[2]
PACKAGES = (
    *("furrow", "flows", "lander", "tasks", "blocks", "collector", "stores", "trackers", "incidents", "core", "ufse"),
    *("schema", "scripts"),
)
TOKEN = "toy-token-0123456789"
DECLARATION = '''
class ToySettings(BaseModel):
    """Settings of the toy."""

    toy_url: Annotated[str, OnlyFor(ENGINE)] = Field("", description="Address of the toy.")
    toy_token: Annotated[SecretStr | None, OnlyFor(ENGINE)] = Field(None, description="Token of the toy.")
    toy_board: Annotated[str, OnlyFor(ENGINE)] = Field("main", description="Board that tickets go to.")


TOY: Final = TrackerKind(
    name="toy",
    title="Toy",
    module="trackers.toy",
    settings=ToySettings,
    switch="toy_url",
    secret="toy_token",
    address="toy_url",
    target=TargetSetting("toyBoard", "board of the toy that its tickets go to", "a board's name"),
    block_description="The toy.",
    block_fields=(
        BlockField("url", "toy_url", "Address.", "URL"),
        BlockField("token", "toy_token", "Token."),
        BlockField("board", "toy_board", "Board."),
    ),
    setup_settings="FURROW_TOY_URL",
    repair_settings="FURROW_TOY_URL and FURROW_TOY_TOKEN",
)


'''
EDITS = (
    (r"^# The registry:", DECLARATION.lstrip("\n") + "# The registry:"),
    (r"^(TRACKER_KINDS: Final = \(.*)\)$", r"\1, TOY)"),
    (r"^class TrackerSettings\(", r"\g<0>ToySettings, "),
)
"""Lines of core/tracker_kinds.py as regular expressions, which match with more trackers too, and the lines with the toy."""
SURFACES = """
import json
from prefect.utilities.callables import parameter_schema
import blocks
from core.last_errors import find_failed_part
from core.settings import Settings
from flows.rerun_failed_exports import rerun_failed_exports
from furrow.installation.part_environment import select_part_environment
from scripts import reference
variables = {"FURROW_TOY_URL": "u", "FURROW_TOY_TOKEN": "t"}
parts = ("collector", "prefect", "engine", "furrow.installation.prepare")
block = blocks.tracker_block("toy")(mode="server", url="https://toy.test", token="hidden", board="b")
applied = block.apply_to_settings(Settings())
print(json.dumps({
    "slugs": [block.get_block_type_slug() for block in blocks.ALL],
    "applied": [applied.toy_url, str(applied.toy_token), applied.toy_board],
    "choices": rerun_failed_exports.parameters.properties["tracker"]["anyOf"][0]["enum"],
    "parts": [part for part in parts if set(variables) <= set(select_part_environment(part, variables))],
    "settings": reference.render_settings_table(),
    "blocks": reference.render_blocks_tables(),
    "projects": reference.render_projects_table(),
}))
"""
EXPORT = """
from flows.export import export
from tasks import connections
state = export(return_state=True)
connections.close_connections()
print(state.name)
"""


class FakeToy(Fake):
    """The toy's server."""

    name = "toy"

    def handle(self, request: Request) -> Answer:
        if request.headers.get("authorization") != TOKEN:
            return Answer(401, {})
        if request.method == "GET":
            return Answer(200, {"boards": ["main"]})
        return Answer(200, {"key": f"TOY-{request.json['board']}"})


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the tree in which the toy is a tracker."""
    for name in PACKAGES:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "trackers" / "toy").mkdir()
    shutil.copy(ROOT / "tests" / "data" / "toy_tracker.py", tmp_path / "trackers" / "toy" / "__init__.py")
    file = tmp_path / "core" / "tracker_kinds.py"
    text = file.read_text()
    for line, with_toy in EDITS:
        text, count = re.subn(line, with_toy, text, flags=re.M)
        assert count == 1, line
    file.write_text(text)
    return tmp_path


@pytest.fixture
def toy() -> Iterator[FakeToy]:
    with FakeToy() as fake:
        yield fake


def run(tree: Path, *arguments: str, **variables: str) -> str:
    """Standard output of Python in the tree."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("FURROW_")}
    environment = {**plain, "PYTHONPATH": str(tree), "FURROW_ENV_FILE": "", **variables}
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


def test_a_new_tracker_appears_wherever_trackers_are_listed(tree: Path) -> None:
    found = json.loads(run(tree, "-c", SURFACES))
    assert found["slugs"][-len(TRACKER_NAMES) - 1 :] == [*(f"furrow-{name}" for name in TRACKER_NAMES), "furrow-toy"]
    assert found["applied"] == ["https://toy.test", "**********", "b"]
    assert found["choices"] == [*TRACKER_NAMES, "toy"]
    assert found["parts"] == ["engine"]
    assert "| `FURROW_TOY_BOARD` | `main` | Board that tickets go to. |" in found["settings"]
    assert "### Furrow Toy (`furrow-toy`)\n\nThe toy." in found["blocks"]
    assert "| `toyBoard` | board of the toy that its tickets go to | a board's name |" in found["projects"]


def test_doctor_checks_a_new_tracker(tree: Path, toy: FakeToy) -> None:
    options = ("doctor", "--json", "--data-dir", str(tree / "data"), "--port", "9", "--prefect-port", "9")

    def finding(**variables: str) -> dict[str, object]:
        parts = {entry["part"]: entry for entry in json.loads(run(tree, "-m", "furrow", *options, **variables))}
        return {name: parts["toy"][name] for name in ("mode", "reachable", "detail", "advice")}

    assert finding() == {
        "mode": "log",
        "reachable": None,
        "detail": "not configured; tickets are logged and stay pending",
        "advice": "to file tickets, set FURROW_TOY_URL, or the block furrow-toy in the Prefect UI",
    }
    configured = {"FURROW_TOY_URL": toy.address, "FURROW_TOY_TOKEN": TOKEN}
    assert finding(**configured) == {
        "mode": "server",
        "reachable": True,
        "detail": f"{toy.address}: board main",
        "advice": "",
    }
    refused = finding(**(configured | {"FURROW_TOY_TOKEN": "another-token"}))
    assert (refused["reachable"], refused["detail"]) == (False, f"{toy.address}: the toy answered 401")
    assert refused["advice"] == "check FURROW_TOY_URL and FURROW_TOY_TOKEN, or the block furrow-toy"


def test_export_files_tickets_in_a_new_tracker(tree: Path, toy: FakeToy, postgres_url: str, prefect: None) -> None:
    store = IncidentStore.connect(postgres_url)
    store.migrate()
    try:
        for project in ("shop", "bank"):
            record(store, detection(project, "pay", project=project), rule=ConfirmRule(min_sessions=1), project=project)
        store.keys.save_project("bank", settings={"toyBoard": "vault"})
        variables = {
            "FURROW_INCIDENT_STORE_URL": postgres_url,
            "FURROW_TOY_URL": toy.address,
            "FURROW_TOY_TOKEN": TOKEN,
            "PREFECT_API_URL": str(PREFECT_API_URL.value()),
        }
        assert run(tree, "-c", EXPORT, **variables).endswith("Completed\n")
        assert sorted(request.json["board"] for request in toy.requests) == ["main", "vault"]
        (ticket,) = incident(store, "pay", project="bank")["tickets"]
        assert (ticket["tracker"], ticket["state"], ticket["key"]) == ("toy", "filed", "TOY-vault")
    finally:
        store.close()
