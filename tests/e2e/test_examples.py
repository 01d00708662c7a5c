"""The examples that come with Furrow: what the quick start promises of them, on a running installation."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from furrow import example_files
from tests.e2e.installation import FURROW, Up, environment, until


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    installation = Up(tmp_path_factory.mktemp("examples") / "data")
    installation.start()
    yield installation
    installation.kill_everything()


def furrow(up: Up, elsewhere: Path, *arguments: str) -> str:
    """Standard output of a command that succeeds, called in a directory that holds no example."""
    here = {"FURROW_PORT": str(up.port), "FURROW_PREFECT_PORT": str(up.prefect_port), "FURROW_DATA_DIR": str(up.data)}
    answer = subprocess.run(
        [*FURROW, *arguments],
        capture_output=True,
        text=True,
        env=environment(**here),
        cwd=elsewhere,
        timeout=300,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return answer.stdout


def incidents(up: Up, elsewhere: Path) -> list[dict[str, Any]]:
    return list(json.loads(furrow(up, elsewhere, "incidents", "list", "--json"))["incidents"])


def statuses(up: Up) -> list[str]:
    return [incident["status"] for incident in up.get("/v1/incidents")["incidents"]]


@pytest.mark.long
def test_the_checkout_ends_in_one_confirmed_incident(up: Up, tmp_path: Path) -> None:
    assert "165 accepted, 0 rejected" in furrow(up, tmp_path, "send", "examples/checkout.jsonl")
    until(lambda: statuses(up) == ["confirmed"], 240)
    (incident,) = incidents(up, tmp_path)
    assert incident["primaryFailurePoint"] == "/checkout › button#pay › POST /api/orders → 500"
    assert incident["affectedSessions"] == 4


@pytest.mark.long
def test_the_access_log_ends_in_one_more(up: Up, tmp_path: Path) -> None:
    sent = furrow(up, tmp_path, "send", "examples/access.log", "--format", "combined")
    assert "58 accepted, 0 rejected" in sent
    until(lambda: statuses(up) == ["confirmed", "confirmed"], 240)
    (incident,) = [one for one in incidents(up, tmp_path) if "/contact" in one["routes"]]
    assert "POST /contact → 500" in incident["primaryFailurePoint"]


@pytest.mark.long
def test_sending_them_again_changes_nothing(up: Up, tmp_path: Path) -> None:
    before = [(one["incidentId"], one["affectedSessions"]) for one in incidents(up, tmp_path)]
    furrow(up, tmp_path, "send", "examples/checkout.jsonl")
    furrow(up, tmp_path, "send", "examples/access.log", "--format", "combined")
    until(lambda: up.get("/v1/status")["spoolPending"]["segments"] == 0, 60)
    assert [(one["incidentId"], one["affectedSessions"]) for one in incidents(up, tmp_path)] == before


def test_every_calm_session_of_the_checkout_says_why(tmp_path: Path) -> None:
    """No installation: what a look-alike is called in the file, and the rule that keeps it silent."""
    answer = subprocess.run(
        [*FURROW, "detect", "examples/checkout.jsonl", "--explain"],
        capture_output=True,
        text=True,
        env=environment(),
        cwd=tmp_path,
        check=True,
    )
    lines = [json.loads(line) for line in answer.stdout.splitlines()]
    rules = {line["whyNot"]["sessionId"]: line["whyNot"]["rule"] for line in lines if "whyNot" in line}
    assert len(lines) - len(rules) == 4
    assert rules["shop-a-dead-button"] == "no_negative_feedback"
    assert rules["shop-a-slow-answer-that-came"] == "no_behavioural_signal"
    assert len(rules) == 9


def test_a_file_of_ones_own_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert example_files.find_readable_file("examples/checkout.jsonl") == example_files.DIRECTORY / "checkout.jsonl"
    own = tmp_path / "examples" / "checkout.jsonl"
    own.parent.mkdir()
    own.touch()
    assert example_files.find_readable_file("examples/checkout.jsonl") == Path("examples/checkout.jsonl")


@pytest.mark.parametrize("name", ["examples/none.jsonl", "examples/__init__.py", "examples/../__init__.py", "examples"])
def test_nothing_else_is_an_example(name: str, tmp_path: Path) -> None:
    answer = subprocess.run(
        [*FURROW, "detect", name], capture_output=True, text=True, env=environment(), cwd=tmp_path, check=False
    )
    assert answer.returncode == 2
    assert "does not exist" in answer.stderr
