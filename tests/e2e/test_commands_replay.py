"""`furrow evaluate --replay` and what goes with it, as subprocesses on one running installation.

The tests of this file share it and build on each other, in the order in which they stand here.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from furrow.installation.demo_sessions import example_sessions
from tests.e2e.installation import Up, frustrated_session, until
from tests.e2e.test_commands_operators import furrow, on, refused, runs, succeeded, used_wrongly

NO_RAGE = "[thresholds]\nrage_clicks = 9\n[weights]\nblocked = 0\nrepeated = 0\n"


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    installation = Up(tmp_path_factory.mktemp("replay") / "data")
    installation.start()
    for n in range(3):
        installation.post_events(frustrated_session(f"s-{n}"))
    yield installation
    installation.kill_everything()


@pytest.fixture
def new(tmp_path: Path) -> Path:
    file = tmp_path / "new.toml"
    file.write_text(NO_RAGE)
    return file


def replayed(up: Up, *arguments: str) -> dict[str, Any]:
    return dict(json.loads(succeeded(on(up, "evaluate", *arguments, "--json"))))


@pytest.mark.long
def test_a_replay_says_what_would_vanish_and_stores_nothing(up: Up, new: Path) -> None:
    until(lambda: [one["affectedSessions"] for one in up.get("/v1/incidents")["incidents"]] == [3], 120)
    before = up.get("/v1/incidents")
    told = replayed(up, "--replay", "1d", "--config", str(new))
    assert told["run"]["state"] == "Completed"
    assert told["counts"]["detections that would vanish"] == 3
    assert {one["sessionId"] for one in told["vanishes"]} == {"s-0", "s-1", "s-2"}
    assert all(one["rule"] and one["whyNot"] for one in told["vanishes"])
    assert told["run"]["id"] in [one["id"] for one in runs(up, "replay")]
    assert up.get("/v1/incidents") == before


@pytest.mark.long
def test_for_people_it_prints_what_the_run_left(up: Up, new: Path) -> None:
    printed = succeeded(on(up, "evaluate", "--replay", "1d", "--config", str(new), COLUMNS="200"))
    for part in (
        "detections that would vanish",
        "Would vanish",
        "Rules that would stop them",
        "/checkout",
        "Completed",
    ):
        assert part in printed


@pytest.mark.long
def test_of_one_project_alone(up: Up, new: Path) -> None:
    succeeded(on(up, "projects", "set", "shop"))
    told = replayed(up, "--replay", "1d", "--config", str(new), "--project", "shop")
    assert told["counts"]["sessions in the window"] == 0
    assert told["vanishes"] == []


@pytest.mark.long
def test_what_was_tried_is_set_and_shown_with_its_version(up: Up, new: Path) -> None:
    tried = replayed(up, "--replay", "1d", "--config", str(new))["configurations"]
    before = json.loads(succeeded(on(up, "projects", "show", "default", "--json")))
    assert before["configHash"] == tried[0]["present"]
    settings = json.loads(succeeded(on(up, "projects", "set", "default", "--config", str(new), "--json")))["settings"]
    assert settings == {"thresholds": {"rage_clicks": 9}, "weights": {"blocked": 0, "repeated": 0}}
    after = json.loads(succeeded(on(up, "projects", "show", "default", "--json")))
    assert after["configHash"] == tried[0]["new"] != before["configHash"]
    assert (after["thresholds"]["rage_clicks"], after["weights"]["blocked"]) == (9, 0)
    assert after["unusable"] == []
    printed = succeeded(on(up, "projects", "show", "default"))
    assert after["configHash"] in printed
    assert "rage_clicks" in printed
    # What is set already changes nothing any more.
    assert replayed(up, "--replay", "1d", "--config", str(new))["counts"]["detections that would vanish"] == 0


@pytest.mark.long
def test_one_threshold_is_set_by_itself(up: Up) -> None:
    def settings(*options: str) -> Any:
        return json.loads(succeeded(on(up, "projects", "set", "default", *options, "--json")))["settings"]

    assert settings("--setting", "thresholds.rage_gap_ms=900")["thresholds"] == {"rage_clicks": 9, "rage_gap_ms": 900}
    assert settings("--unset", "thresholds.rage_clicks")["thresholds"] == {"rage_gap_ms": 900}
    assert settings("--setting", 'weights={"failure": 31}')["weights"] == {"failure": 31}
    assert settings("--unset", "weights", "--unset", "thresholds.rage_gap_ms") == {}
    for wrong, words in (
        ("thresholds.rage_click=5", "there is rage_clicks"),
        ("thresholds.rage_clicks=0", "from 2 to 1000000"),
        ("thresholds.medium_score=85", "must be less than high_score"),
        ("weights.failure=101", "from 0 to 100"),
        ("other.failure=1", "there is no project setting"),
    ):
        assert words in used_wrongly(on(up, "projects", "set", "default", "--setting", wrong))
    assert json.loads(succeeded(on(up, "projects", "show", "default", "--json")))["settings"] == {}


@pytest.mark.long
def test_the_deployment_has_a_form(up: Up) -> None:
    (deployment,) = [d for d in up.prefect_post("/deployments/filter", {}) if d["name"] == "replay"]
    form = deployment["parameter_openapi_schema"]
    assert form["required"] == ["config"]
    assert form["properties"]["window"]["default"] == "7d"
    assert all(one["description"] for one in form["properties"].values())
    assert deployment["schedules"] == []


@pytest.mark.long
def test_what_the_stored_settings_contradict_ends_with_1(up: Up, new: Path) -> None:
    succeeded(on(up, "projects", "set", "shop", "--setting", "thresholds.high_score=60"))
    new.write_text("[thresholds]\nmedium_score = 70\n")
    told = on(up, "evaluate", "--replay", "1d", "--config", str(new), "--json")
    assert told.returncode == 1
    assert "project 'shop': medium_score (70)" in json.loads(told.stdout)["run"]["message"]


def test_what_is_wrong_is_one_line_and_starts_nothing(new: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.toml"
    bad.write_text("[thresholds]\nrage_click = 5\n")
    config = ("--config", str(new))
    assert "needs --config" in used_wrongly(furrow("evaluate", "--replay", "7d"))
    assert "a window looks like 7d" in used_wrongly(furrow("evaluate", "--replay", "yesterday", *config))
    assert "there is rage_clicks" in refused(furrow("evaluate", "--replay", "7d", "--config", str(bad)))
    assert "pass no files" in used_wrongly(furrow("evaluate", str(new), "--replay", "7d", *config))
    assert "--project requires --replay" in used_wrongly(furrow("evaluate", str(new), str(new), "--project", "shop"))
    assert "pass a file of events" in used_wrongly(furrow("evaluate", str(new)))
    assert "Prefect does not answer" in refused(furrow("evaluate", "--replay", "7d", *config, "--prefect-port", "9"))


def test_files_are_analysed_with_a_configuration_too(tmp_path: Path, new: Path) -> None:
    events, labels = tmp_path / "events.jsonl", tmp_path / "labels.jsonl"
    sessions = list(example_sessions())
    events.write_text("".join(json.dumps(event) + "\n" for session in sessions for event in session))
    plain = [json.loads(line) for line in succeeded(furrow("detect", str(events))).splitlines()]
    labels.write_text("".join(json.dumps({"sessionId": one["sessionId"], "frustrated": True}) + "\n" for one in plain))
    new.write_text('ignored_routes = ["/checkout"]\n')
    told = [json.loads(line) for line in succeeded(furrow("detect", str(events), "--config", str(new))).splitlines()]
    kept = {one["sessionId"] for one in plain if one["failurePoint"]["route"] != "/checkout"}
    assert {one["sessionId"] for one in told} == kept
    assert 0 < len(kept) < len(plain)
    assert {one["configHash"] for one in told}.isdisjoint({one["configHash"] for one in plain})
    figures = json.loads(succeeded(furrow("evaluate", str(events), str(labels), "--config", str(new), "--json")))
    assert figures["truePositives"] == len(kept)
    assert figures["falseNegatives"] == len(plain) - len(kept)
