"""`furrow doctor` without an installation: what it asks of trackers, and what it makes of variables and settings."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from core.settings import Settings
from furrow.installation import running
from tests.e2e.installation import FURROW, environment
from tests.fakes import linear
from tests.fakes.jira import TOKEN, USER, FakeJira
from tests.fakes.linear import FakeLinear
from tests.fakes.server import Answer, Fault

pytestmark = pytest.mark.long

Findings = dict[str, dict[str, Any]]


def furrow(*arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    command = [*FURROW, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment(**extra), timeout=120, check=False)


@pytest.fixture
def doctor(tmp_path: Path) -> Callable[..., Findings]:
    def ask(**extra: str) -> Findings:
        told = furrow(
            "doctor", "--json", "--data-dir", str(tmp_path / "data"), "--port", "9", "--prefect-port", "9", **extra
        )
        assert "Traceback" not in told.stderr
        assert TOKEN not in told.stdout + told.stderr
        assert linear.KEY not in told.stdout + told.stderr
        return {one["part"]: one for one in json.loads(told.stdout)}

    return ask


@pytest.fixture
def jira() -> Iterator[FakeJira]:
    with FakeJira() as fake:
        yield fake


def of(jira: FakeJira, **other: str) -> dict[str, str]:
    settings = {"URL": jira.address, "USER": USER, "TOKEN": TOKEN, "PROJECT": jira.project, **other}
    return {f"FURROW_JIRA_{name}": value for name, value in settings.items()}


@pytest.mark.parametrize("kind", ["cloud", "datacenter"])
def test_a_jira_that_would_take_tickets_is_ok_and_unchanged(doctor: Callable[..., Findings], kind: str) -> None:
    with FakeJira(kind) as jira:
        found = doctor(**of(jira, KIND=kind))["jira"]
        assert found["reachable"] is True, found
        assert found["detail"] == f"{jira.address}: project OPS, type Bug, as Furrow Bot"
        assert {request.method for request in jira.requests} == {"GET"}
        assert jira.issues == {}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"TOKEN": "another-token-0123"}, "Jira answered 401: Client must be authenticated"),
        ({"USER": "nobody@example.test"}, "Jira answered 401"),
        ({"PROJECT": "NOPE"}, "project NOPE: Jira answered 404: No project could be found with key 'NOPE'."),
        ({"PROJECT": ""}, "the Jira project is not set"),
        ({"ISSUE_TYPE": "Defect"}, "project OPS has no issue type 'Defect'; it has Bug, Task"),
        ({"KIND": "datacenter"}, "Jira answered 404"),
        ({"URL": "http://127.0.0.1:9"}, "Jira did not answer at http://127.0.0.1:9 (connection refused)"),
        ({"URL": "jira.example"}, "is not of the form https://host"),
        ({"URL": "http://jira.example.com"}, "must begin with https://"),
        ({"URL": "https://10.1.2.3"}, "FURROW_TRACKER_PRIVATE_NETWORKS"),
    ],
)
def test_each_way_in_which_jira_is_misconfigured_is_down_in_its_own_words(
    doctor: Callable[..., Findings], jira: FakeJira, wrong: dict[str, str], words: str
) -> None:
    found = doctor(**of(jira, **wrong))["jira"]
    assert found["reachable"] is False
    assert words in found["detail"]
    assert "FURROW_JIRA_URL" in found["advice"]


def test_what_the_project_of_jira_demands_is_found_before_a_ticket_is(
    doctor: Callable[..., Findings], jira: FakeJira
) -> None:
    jira.may_create = False
    assert "may not create issues" in doctor(**of(jira))["jira"]["detail"]
    jira.may_create = True
    jira.required.add("customfield_7")
    assert "requires fields that Furrow does not fill: Customfield_7" in doctor(**of(jira))["jira"]["detail"]
    jira.required.discard("customfield_7")
    jira.fields.remove("labels")
    assert "the field Labels is not on the screen" in doctor(**of(jira))["jira"]["detail"]


def test_a_jira_that_is_broken_or_sends_elsewhere(doctor: Callable[..., Findings], jira: FakeJira) -> None:
    jira.faults.append(Fault(lambda _: True, Answer(503, {"errorMessages": ["in maintenance"]})))
    assert "Jira answered 503: in maintenance" in doctor(**of(jira))["jira"]["detail"]
    jira.faults.append(Fault(lambda _: True, Answer(302, None, {"location": "https://login.example/"})))
    assert "a redirect to login.example" in doctor(**of(jira))["jira"]["detail"]
    jira.faults.append(Fault(lambda _: True, Answer(200, "<html>a page</html>")))
    assert "something else than JSON" in doctor(**of(jira))["jira"]["detail"]


def test_linear_is_asked_for_its_team(doctor: Callable[..., Findings]) -> None:
    with FakeLinear() as fake:
        settings = {"FURROW_LINEAR_URL": fake.url, "FURROW_LINEAR_KEY": linear.KEY, "FURROW_LINEAR_TEAM": "ENG"}
        found = doctor(**settings)["linear"]
        assert (found["reachable"], found["detail"]) == (True, f"{fake.url}: team ENG")
        assert fake.issues == {}
        found = doctor(**{**settings, "FURROW_LINEAR_TEAM": "NOPE"})["linear"]
        assert found["reachable"] is False
        assert "no team with the key 'NOPE'" in found["detail"]
        found = doctor(**{**settings, "FURROW_LINEAR_KEY": "lin_api_another_0123"})["linear"]
        assert "Linear answered 401: Authentication required" in found["detail"]
        found = doctor(**{**settings, "FURROW_LINEAR_TEAM": ""})["linear"]
        assert "the Linear team is not set" in found["detail"]
        found = doctor(**{**settings, "FURROW_LINEAR_URL": "http://127.0.0.1:9/graphql"})["linear"]
        assert "Linear did not answer at 127.0.0.1 (connection refused)" in found["detail"]


def test_a_variable_that_nothing_reads_is_named_with_the_nearest_one(tmp_path: Path) -> None:
    file = tmp_path / "settings"
    file.write_text("FURROW_LINEAR_TEEM=ENG\nFURROW_CONFIRM_USERS=4\n")
    told = furrow(
        *("doctor", "--data-dir", str(tmp_path / "data"), "--port", "9", "--prefect-port", "9"),
        FURROW_JIRA_TOKN="hunter2",
        FURROW_ZZZZZZZZ="1",
        FURROW_ENV_FILE=str(file),
    )
    assert "FURROW_JIRA_TOKN is not a setting; did you mean FURROW_JIRA_TOKEN?" in told.stdout
    assert "FURROW_LINEAR_TEEM is not a setting; did you mean FURROW_LINEAR_TEAM?" in told.stdout
    assert "FURROW_ZZZZZZZZ is not a setting\n" in told.stdout
    assert "hunter2" not in told.stdout
    assert "FURROW_CONFIRM_USERS" not in told.stdout


def test_the_settings_of_what_runs_count_and_those_that_differ_are_named(tmp_path: Path) -> None:
    # This process stands for a `furrow up` that was started with these settings.
    data = tmp_path / "data"
    data.mkdir()
    running.keep_running_settings(
        Settings(data_dir=data, port=9, prefect_port=9, jira_token="the-token-0123", confirm_users=4)
    )
    told = furrow("doctor", FURROW_DATA_DIR=str(data), FURROW_PORT="19", FURROW_LINEAR_KEY=linear.KEY)
    assert "http://127.0.0.1:9/v1/health" in told.stdout
    assert "FURROW_PORT (19 here, 9 in `furrow up`)" in told.stdout
    assert "FURROW_CONFIRM_USERS (2 here, 4 in `furrow up`)" in told.stdout
    assert "FURROW_LINEAR_KEY (set here, not set in `furrow up`)" in told.stdout
    assert "FURROW_JIRA_TOKEN (not set here, set in `furrow up`)" in told.stdout
    assert "the-token-0123" not in (data / "running.json").read_text()
    assert (data / "running.json").stat().st_mode & 0o777 == 0o600
    same = furrow("doctor", FURROW_DATA_DIR=str(data), FURROW_PORT="9", FURROW_PREFECT_PORT="9", FURROW_CONFIRM_USERS="4",
                  FURROW_JIRA_TOKEN="the-token-0123")  # fmt: skip
    assert "differ" not in same.stdout
    running.forget_running_settings(data)
    assert "http://127.0.0.1:19/v1/health" in furrow("doctor", FURROW_DATA_DIR=str(data), FURROW_PORT="19").stdout


def test_parts_stand_in_columns_and_in_colour(tmp_path: Path) -> None:
    at = ("doctor", "--data-dir", str(tmp_path / "data"), "--port", "9", "--prefect-port", "9")
    lines = furrow(*at).stdout.splitlines()
    parts = [line for line in lines if line[:5].strip()]
    assert len({line.index(word) for line in parts for word in ("process", "embedded") if f" {word} " in line}) == 1
    assert "\x1b[" in furrow(*at, FORCE_COLOR="1", TERM="xterm-256color").stdout
    assert "\x1b[" not in "".join(lines)
