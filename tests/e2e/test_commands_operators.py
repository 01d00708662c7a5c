"""The commands of operators, each as a subprocess from its start to its exit code, on one running installation.

The tests of this file share it and build on each other, in the order in which they stand here.
"""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from furrow.installation.demo_sessions import FRUSTRATED, SILENT, example_sessions
from tests.e2e import wrong_calls
from tests.e2e.installation import FURROW, PATIENT_SECONDS, Up, environment, frustrated_session, until

WINDOW = ["--param", f"start={(datetime.now(UTC) - timedelta(days=1)).isoformat()}", "--param", "end=2100-01-01"]
HOSTILE = "[red]Pay[/red] \u001b[2J\u202enow"


def furrow(*arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    command = [*FURROW, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment(**extra), timeout=300, check=False)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    installation = Up(tmp_path_factory.mktemp("commands") / "data")
    installation.start()
    for n in range(3):
        installation.post_events(labelled_button(frustrated_session(f"s-{n}")))
    yield installation
    installation.kill_everything()


class Made(NamedTuple):
    """Keys of two projects, made at the beginning: the collector reads keys every 15 s, and other tests fill the time."""

    sender: str
    operator: str


@pytest.fixture(scope="module")
def made(up: Up) -> Made:
    def create(*options: str) -> str:
        told = json.loads(succeeded(on(up, "keys", "create", *options, "--json")))
        assert told["key"].startswith(told["prefix"])
        return str(told["key"])

    sender = create("--project", "shop", "--label", "the shop")
    return Made(sender, create("--project", "other", "--role", "operator"))


def post(up: Up, key: str) -> int:
    body = {"events": frustrated_session("of the shop")}
    address = f"http://127.0.0.1:{up.port}/v1/events"
    return httpx.post(address, json=body, headers={"X-API-Key": key}, timeout=PATIENT_SECONDS).status_code


def labelled_button(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for event in events:
        if "target" in event:
            event["target"]["label"] = HOSTILE
    return events


def on(up: Up, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    """A command that finds the installation by its settings, as in a shell where they are exported."""
    here = {"FURROW_PORT": str(up.port), "FURROW_PREFECT_PORT": str(up.prefect_port), "FURROW_DATA_DIR": str(up.data)}
    return furrow(*arguments, **{**here, **extra})


def succeeded(told: subprocess.CompletedProcess[str]) -> str:
    assert told.returncode == 0, told.stdout + told.stderr
    return told.stdout


def refused(told: subprocess.CompletedProcess[str], code: int = 1) -> str:
    """One line on standard error, nothing else, and the exit code."""
    assert told.returncode == code, told.stdout + told.stderr
    assert told.stdout == ""
    assert told.stderr.count("\n") == 1, told.stderr
    assert told.stderr.startswith("furrow: ")
    return told.stderr


def used_wrongly(told: subprocess.CompletedProcess[str]) -> str:
    """The same with 2: no installation accepts the call."""
    return refused(told, 2)


def listed(up: Up, *filters: str) -> list[dict[str, Any]]:
    return list(json.loads(succeeded(on(up, "incidents", "list", "--json", *filters)))["incidents"])


def runs(up: Up, deployment: str) -> list[dict[str, Any]]:
    flow = {"flows": {"name": {"any_": [deployment]}}, "flow_runs": {"state": {"name": {"not_any_": ["Scheduled"]}}}}
    return list(up.prefect_post("/flow_runs/filter", {**flow, "sort": "START_TIME_DESC"}))


@pytest.mark.long
def test_run_starts_a_run_that_prefect_shows_and_prints_what_it_left(up: Up, made: Made) -> None:
    until(lambda: up.get("/v1/status")["eventsStored"] == 33, 60)
    until(lambda: [one["affectedSessions"] for one in up.get("/v1/incidents")["incidents"]] == [3], 120)
    printed = succeeded(on(up, "run", "detect"))
    assert "Pending, and why" in printed
    assert "Completed" in printed.splitlines()[-1]
    (page,) = re.findall(rf"http://127.0.0.1:{up.prefect_port}/runs/flow-run/(\S+)", printed)
    assert page in [one["id"] for one in runs(up, "detect")]


@pytest.mark.long
def test_run_without_waiting(up: Up) -> None:
    told = json.loads(succeeded(on(up, "run", "detect", "--no-wait", "--json")))
    assert told["state"]["type"] == "SCHEDULED"


@pytest.mark.long
def test_run_says_what_is_wrong_with_flow_or_parameters(up: Up) -> None:
    assert "backfill/backfill, detect/detect" in refused(on(up, "run", "nothing"))
    assert "has no parameter 'x'; its parameters: start, end, project, dry_run" in used_wrongly(
        on(up, "run", "backfill", "--param", "x=1")
    )
    assert "'start' is a required property" in used_wrongly(on(up, "run", "backfill", "--param", "end=2100-01-01"))
    assert "name=value" in used_wrongly(on(up, "run", "detect", "--param", "x"))
    assert "Prefect does not answer" in refused(on(up, "run", "detect", "--prefect-port", "9"))


@pytest.mark.long
def test_run_ends_with_1_when_the_run_fails(up: Up) -> None:
    told = on(up, "run", "backfill", "--param", "start=2100-01-02", "--param", "end=2100-01-01")
    assert told.returncode == 1
    assert "the window is empty" in told.stdout
    assert "Failed" in told.stdout


@pytest.mark.long
def test_run_waits_for_a_prefect_that_hangs_for_a_while_and_no_longer_than_it_may(up: Up) -> None:
    (prefect,) = [one for one in up.processes() if "furrow.prefect_server" in one.cmdline()]
    prefect.suspend()
    try:
        told = refused(on(up, "run", "detect", "--timeout", "1"))
        assert f"Prefect does not answer at {up.prefect_api} (no answer in time)" in told
        command = [*FURROW, "run", "detect", "--prefect-port", str(up.prefect_port), "--data-dir", str(up.data)]
        patient = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), text=True
        )
        time.sleep(8)  # in which it asks, and is not answered
        assert patient.poll() is None
    finally:
        prefect.resume()
    printed, errors = patient.communicate(timeout=300)
    assert patient.returncode == 0, errors
    assert "Completed" in printed.splitlines()[-1]
    assert "Traceback" not in errors


@pytest.mark.long
def test_incidents_are_listed_for_people_and_for_scripts(up: Up) -> None:
    (incident,) = listed(up)
    assert (incident["status"], incident["affectedSessions"]) == ("confirmed", 3)
    for width in ("40", "200"):
        printed = succeeded(on(up, "incidents", "list", COLUMNS=width))
        assert incident["incidentId"] in printed
        assert "confirmed" in printed
        assert "1 to 1 of 1" in printed


@pytest.mark.long
@pytest.mark.parametrize("width", ["60", "200"])
def test_text_from_a_browser_does_nothing_to_the_terminal(up: Up, width: str) -> None:
    (incident,) = listed(up)
    assert "\u202e" in incident["title"]  # the engine has taken the escape out, the change of direction is still there
    for arguments in (("list",), ("show", incident["incidentId"])):
        printed = succeeded(on(up, "incidents", *arguments, COLUMNS=width, FORCE_COLOR="1", TERM="xterm-256color"))
        assert "[red]Pay[/red]" in printed.replace("\n", " ")
        assert "\u001b[2J" not in printed
        assert "\u202e" not in printed
    raw = succeeded(on(up, "incidents", "show", incident["incidentId"], "--json"))
    assert raw.isascii()
    assert "\u001b" not in raw


@pytest.mark.long
def test_filters(up: Up) -> None:
    assert len(listed(up, "--status", "draft", "--status", "confirmed", "--min-score", "80", "--not-exported")) == 1
    assert listed(up, "--status", "draft") == []
    for none in ("--exported", "--route=/elsewhere", "--since=2100-01-01T00:00:00Z"):
        assert listed(up, none) == []
    assert "no incidents" in succeeded(on(up, "incidents", "list", "--offset", "5"))
    assert "sort" in used_wrongly(on(up, "incidents", "list", "--sort", "nonsense"))


CLASSES = re.compile(r"Traceback|\b\w+(?:Error|Exception)\b")


@pytest.fixture(scope="module")
def places(up: Up) -> dict[str, str]:
    """The values for the placeholders in ``wrong_calls``."""
    file, toml = (up.data.parent / name for name in ("no-toml-[", "new.toml"))
    file.write_text("[")
    toml.write_text("[thresholds]\nrage_clicks = 9\n")
    return {
        "id": "inc_" + "0" * 32,
        "port": str(up.port),
        "prefect_port": str(up.prefect_port),
        "nowhere": str(up.data.parent / "nowhere"),
        "file": str(file),
        "toml": str(toml),
    }


@pytest.mark.long
@pytest.mark.parametrize("call", wrong_calls.CALLS, ids=lambda call: call.arguments)
def test_each_call_that_cannot_succeed_is_one_line(up: Up, places: dict[str, str], call: wrong_calls.Wrong) -> None:
    told = refused(on(up, *call.arguments.format(**places).split()), call.code)
    assert call.words.format(**places) in told
    assert not CLASSES.search(told)


@pytest.mark.long
@pytest.mark.parametrize("call", wrong_calls.OPTIONS)
def test_each_option_that_cannot_be_ends_with_2(up: Up, places: dict[str, str], call: str) -> None:
    told = on(up, *call.format(**places).split())
    assert (told.returncode, told.stdout) == (2, "")
    assert "Usage" in told.stderr
    assert not CLASSES.search(told.stderr)


@pytest.mark.long
@pytest.mark.parametrize("call", wrong_calls.RUNS, ids=lambda call: call.arguments)
def test_each_run_that_cannot_succeed_says_why_in_its_last_line(
    up: Up, places: dict[str, str], call: wrong_calls.Wrong
) -> None:
    told = on(up, *call.arguments.format(**places).split())
    assert told.returncode == call.code, told.stdout + told.stderr
    assert call.words in told.stdout.splitlines()[-1]
    assert not CLASSES.search(told.stdout + told.stderr)


@pytest.mark.long
def test_erasing_in_a_project_that_does_not_exist_says_so(up: Up) -> None:
    told = on(up, "erase", "--session", "s-0", "--project", "defualt", "--yes")
    assert told.returncode == 1
    assert wrong_calls.NO_PROJECT in told.stderr


@pytest.mark.long
def test_a_public_address_that_is_away_changes_nothing_for_commands_of_this_machine(up: Up) -> None:
    public = {"FURROW_PUBLIC_URL": "https://furrow.nowhere.invalid"}
    assert succeeded(on(up, "incidents", "list", **public))
    assert "no collector answers at http://127.0.0.1:9 (connection refused)" in refused(
        on(up, "incidents", "list", **{**public, "FURROW_PORT": "9"})
    )


@pytest.mark.long
def test_show_tells_the_whole_story(up: Up) -> None:
    printed = succeeded(on(up, "incidents", "show", listed(up)[0]["incidentId"]))
    for part in ("failure point", "Why", "Example session s-", "History (UTC)", "draft → confirmed", "allowed actions"):
        assert part in printed


@pytest.mark.long
def test_acting_on_an_incident_and_its_history(up: Up) -> None:
    id_ = listed(up)[0]["incidentId"]
    assert "resolved" in succeeded(on(up, "incidents", "resolve", id_, "--reason", "fixed in 4.2.1"))
    assert "409" in refused(on(up, "incidents", "resolve", id_, "--reason", "again"))
    assert "confirmed" in succeeded(on(up, "incidents", "reopen", id_, "--reason", "not fixed"))
    told = succeeded(on(up, "incidents", "suppress", id_, "--reason", "a test page", "--sessions", "9", "--json"))
    assert (json.loads(told)["status"], json.loads(told)["suppressedSessions"]) == ("suppressed", 12)
    assert "409" in refused(on(up, "incidents", "confirm", id_, "--reason", "no"))
    succeeded(on(up, "incidents", "reopen", id_, "--reason", "after all"))
    until_then = succeeded(on(up, "incidents", "suppress", id_, "--reason", "x", "--until", "2100-01-01", "--json"))
    assert json.loads(until_then)["suppressedUntil"].startswith("2100-01-01T00:00:00")
    succeeded(on(up, "incidents", "reopen", id_, "--reason", "after all"))
    history = json.loads(succeeded(on(up, "incidents", "show", id_, "--json")))["history"]
    assert [one["reason"] for one in history][2:5] == ["fixed in 4.2.1", "not fixed", "a test page"]


@pytest.mark.long
def test_errors_of_the_api_are_one_line(up: Up) -> None:
    id_ = listed(up)[0]["incidentId"]
    assert "404" in refused(on(up, "incidents", "show", "inc_" + "0" * 32))
    assert "has the form inc_" in used_wrongly(on(up, "incidents", "show", "../status"))
    assert "401" in refused(on(up, "incidents", "list", "--key", "wrong"))
    assert "--reason must not be empty" in used_wrongly(on(up, "incidents", "confirm", id_, "--reason", " "))
    assert "no collector answers" in refused(on(up, "incidents", "list", "--url", "http://127.0.0.1:9"))
    assert "is not a collector" in refused(
        on(up, "incidents", "list", "--url", f"http://127.0.0.1:{up.prefect_port}/api/health?")
    )
    # The development key is for this machine's embedded installation; nothing is guessed for another one.
    assert "operator key is required" in refused(on(up, "incidents", "list", "--url", "http://collector.example"))


@pytest.mark.long
def test_a_dry_backfill_tells_and_a_real_one_does(up: Up) -> None:
    succeeded(on(up, "projects", "set", "default", "--setting", 'ignoredRoutes=["/checkout"]'))
    before = up.get("/v1/incidents")
    printed = succeeded(on(up, "run", "backfill", *WINDOW, "--param", "dry_run=true", COLUMNS="200"))
    assert "detections would be retracted" in printed
    assert "3 retracted" in printed
    assert up.get("/v1/incidents") == before
    succeeded(on(up, "run", "backfill", *WINDOW, "--param", "dry_run=false"))
    assert (listed(up)[0]["affectedSessions"], listed(up)[0]["status"]) == (0, "confirmed")
    succeeded(on(up, "projects", "set", "default", "--unset", "ignoredRoutes"))
    succeeded(on(up, "run", "backfill", *WINDOW, "--param", "dry_run=false"))
    assert listed(up)[0]["affectedSessions"] == 3


@pytest.mark.long
def test_the_deployments_have_a_form(up: Up) -> None:
    (deployment,) = [d for d in up.prefect_post("/deployments/filter", {}) if d["name"] == "backfill"]
    form = deployment["parameter_openapi_schema"]
    assert form["required"] == ["start", "end"]
    assert form["properties"]["start"]["format"] == "date-time"
    assert form["properties"]["dry_run"]["default"] is True
    assert all(one["description"] for one in form["properties"].values())
    assert deployment["schedules"] == []


@pytest.mark.long
def test_export_now_and_what_failed_again(up: Up) -> None:
    assert "LoggedOnly" in succeeded(on(up, "export"))
    told = json.loads(succeeded(on(up, "export", "--retry-failed", "--json")))
    assert told["parameters"] == {"incident_ids": None, "tracker": None, "dry_run": False}
    dry = json.loads(succeeded(on(up, "export", "--retry-failed", "--dry-run", "--json")))
    assert dry["parameters"]["dry_run"] is True
    assert dry["id"] in [one["id"] for one in runs(up, "rerun-failed-exports")]
    shown = json.loads(succeeded(on(up, "export", "--dry-run", "--json")))
    assert shown["parameters"] == {"dry_run": True}
    assert shown["id"] in [one["id"] for one in runs(up, "export")]


@pytest.mark.long
def test_explain_says_why_of_a_session_that_is_stored(up: Up) -> None:
    printed = succeeded(on(up, "explain", "s-1"))
    assert "default / s-1: 1 detection, 0 silent visits" in printed
    assert "rage: 5 clicks" in printed
    assert "\u202e" not in printed
    (told,) = json.loads(succeeded(on(up, "explain", "s-1", "--json")))
    assert (told["sessionId"], told["complete"], told["whyNot"]) == ("s-1", True, [])
    assert told["detections"][0]["confidenceLevel"] == "High"


@pytest.mark.long
def test_explain_finds_the_last_sessions_and_those_that_a_rule_kept_silent(up: Up) -> None:
    quiet = [event for event in frustrated_session("quiet") if event["eventType"] != "click"]
    up.post_events(quiet)
    until(lambda: up.get("/v1/status")["sessions"]["complete"] == 4, 90)
    last = json.loads(succeeded(on(up, "explain", "--last", "10", "--json")))
    assert {one["sessionId"] for one in last} == {"s-0", "s-1", "s-2", "quiet"}
    (silent,) = [one for one in last if one["sessionId"] == "quiet"]
    assert silent["detections"] == []
    rule = silent["whyNot"][0]["rule"]
    printed = succeeded(on(up, "explain", "--rule", rule))
    assert "default / quiet: 0 detections, 1 silent visit" in printed
    assert rule in printed


@pytest.mark.long
def test_explain_says_what_it_cannot_find(up: Up) -> None:
    assert "no events of this session are stored in the project 'default'" in refused(on(up, "explain", "nobody's"))
    assert "there is no project 'sohp'" in refused(on(up, "explain", "s-1", "--project", "sohp"))
    assert "no stored session was kept silent by the rule 'nonsense'; there is: " in refused(
        on(up, "explain", "--rule", "nonsense")
    )
    assert "Prefect does not answer at" in refused(on(up, "explain", "s-1", "--prefect-port", "9"))


@pytest.mark.long
def test_what_does_not_exist_is_one_line(up: Up) -> None:
    told = on(up, "erase", "--session", "nobody's", "--yes")
    assert told.returncode == 1
    assert told.stderr.endswith("furrow: no data of this session is stored in the project 'default'\n")
    assert "there is no project 'nonsense'; the projects are default" in refused(on(up, "projects", "show", "nonsense"))
    told = on(up, "run", "retention", "--param", "days=-1")
    assert told.returncode == 1
    assert "days are 0 (kept for ever) to 36,500, not -1" in told.stdout


@pytest.mark.long
def test_doctor_looks_at_what_runs_and_at_the_stream(up: Up) -> None:
    many = [event | {"sessionId": f"bare-{n}"} for n in range(9) for event in frustrated_session("bare")]
    for event in many:
        event.get("metadata", {}).pop("status", None)
    up.post_events(many)
    other = {"FURROW_PORT": "1", "FURROW_CONFIRM_SESSONS": "9", "FURROW_CONFIRM_USERS": "7"}

    def told() -> str:
        return on(up, "doctor", **other).stdout

    until(lambda: "network events have a status" in told(), 120)
    printed = told()
    assert f"http://127.0.0.1:{up.port}/v1/health" in printed
    assert f"FURROW_PORT (1 here, {up.port} in `furrow up`)" in printed
    assert "FURROW_CONFIRM_USERS (7 here, 2 in `furrow up`)" in printed
    assert "FURROW_CONFIRM_SESSONS is not a setting; did you mean FURROW_CONFIRM_SESSIONS?" in printed
    assert "clicks have `responded`" in printed
    assert (up.data / "running.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.long
def test_a_key_is_shown_to_people_once(up: Up) -> None:
    printed = succeeded(on(up, "keys", "create", "--label", "by hand"))
    key = printed.split()[0]
    assert key.startswith("fi_")
    assert "not shown again" in printed
    assert key not in succeeded(on(up, "keys", "list"))


@pytest.mark.long
def test_a_key_works_until_it_is_revoked(up: Up, made: Made) -> None:
    until(lambda: post(up, made.sender) == 202, 60)
    prefix = made.sender[:11]
    for arguments in (("keys", "list"), ("keys", "list", "--json"), ("keys", "list", "--project", "shop")):
        printed = succeeded(on(up, *arguments))
        assert prefix in printed
        assert made.sender not in printed
    assert made.sender not in (up.data / "spool" / "keys.json").read_text()
    assert prefix not in succeeded(on(up, "keys", "list", "--project", "other"))
    assert "is revoked" in succeeded(on(up, "keys", "revoke", prefix))
    assert "already revoked" in succeeded(on(up, "keys", "revoke", prefix))
    (told,) = json.loads(succeeded(on(up, "keys", "list", "--project", "shop", "--json")))
    assert (told["revoked"], told["role"], told["label"]) == (True, "ingest", "the shop")
    assert "there is no key" in refused(on(up, "keys", "revoke", "fi_nothing"))


@pytest.mark.long
def test_an_operator_key_of_one_project_sees_that_project_alone(up: Up, made: Made) -> None:
    until(lambda: on(up, "incidents", "list", "--key", made.operator).returncode == 0, 60)
    assert json.loads(succeeded(on(up, "incidents", "list", "--key", made.operator, "--json")))["total"] == 0
    id_ = listed(up, "--project", "default")[0]["incidentId"]
    assert "404" in refused(on(up, "incidents", "show", id_, "--key", made.operator))
    assert "404" in refused(on(up, "incidents", "resolve", id_, "--reason", "no", "--key", made.operator))


@pytest.mark.long
def test_keys_that_make_no_sense_are_refused(up: Up) -> None:
    assert "belongs to one project" in used_wrongly(on(up, "keys", "create", "--project", "*"))
    assert "label" in used_wrongly(on(up, "keys", "create", "--label", "two\nlines"))


@pytest.mark.long
def test_projects_are_set_and_listed(up: Up) -> None:
    settings = ["--setting", "confirmSessions=5", "--setting", 'ignoredTargets=["button#chaos*"]']
    succeeded(on(up, "projects", "set", "shop", "--origin", "https://Shop.example:443/", *settings))
    succeeded(on(up, "projects", "set", "shop", "--setting", "confirmUsers=4", "--unset", "confirmSessions"))
    expected = {
        "id": "shop",
        "origins": ["https://shop.example"],
        "settings": {"confirmUsers": 4, "ignoredTargets": ["button#chaos*"]},
    }
    found = {one["id"]: one for one in json.loads(succeeded(on(up, "projects", "list", "--json")))}
    assert found["shop"] == expected
    assert set(found) == {"default", "shop", "other"}
    assert "https://shop.example" in succeeded(on(up, "projects", "list"))
    assert json.loads(succeeded(on(up, "projects", "set", "shop", "--no-origins", "--json")))["origins"] == []


@pytest.mark.long
def test_bad_settings_are_refused(up: Up) -> None:
    for wrong in (["--setting", "confirmSessions=0"], ["--setting", "nonsense=1"], ["--origin", "shop.example"]):
        used_wrongly(on(up, "projects", "set", "refused", *wrong))
    assert all(one["id"] != "refused" for one in json.loads(succeeded(on(up, "projects", "list", "--json"))))


@pytest.mark.long
def test_a_revoked_key_sends_nothing_more(up: Up, made: Made) -> None:
    until(lambda: post(up, made.sender) == 401, 60)


def test_without_a_running_installation_it_is_one_line(tmp_path: Path) -> None:
    told = refused(furrow("keys", "list", "--data-dir", str(tmp_path / "nothing")))
    assert "start it with `furrow up`" in told
    assert list(tmp_path.iterdir()) == []
    assert "`log`" in refused(furrow("projects", "list", FURROW_INCIDENT_STORE_URL="log"))


def test_evaluate(tmp_path: Path) -> None:
    events, labels = tmp_path / "events.jsonl", tmp_path / "labels.jsonl"
    sessions = list(example_sessions())
    events.write_text("".join(json.dumps(event) + "\n" for session in sessions for event in session))
    frustrated, silent = (sum(count for _, count in group) for group in (FRUSTRATED, SILENT))
    found = {json.loads(line)["sessionId"] for line in succeeded(furrow("detect", str(events))).splitlines()}
    ids = list(dict.fromkeys(session[0]["sessionId"] for session in sessions))
    told = [{"sessionId": id_, "frustrated": id_ in found, "kind": "seen" if id_ in found else "calm"} for id_ in ids]
    told[ids.index(sorted(found)[0])] |= {"frustrated": False, "kind": HOSTILE}  # a false alarm
    calm = next(one for one in told if one["kind"] == "calm")
    calm |= {"frustrated": True, "kind": "overlooked"}  # a miss
    labels.write_text("".join(json.dumps(one) + "\n" for one in told))
    figures = json.loads(succeeded(furrow("evaluate", str(events), str(labels), "--json")))
    assert figures["truePositives"] == frustrated - 1
    assert (figures["falsePositives"], figures["falseNegatives"], figures["trueNegatives"]) == (1, 1, silent - 1)
    assert figures["precision"] == figures["recall"] == round((frustrated - 1) / frustrated, 4)
    assert figures["missed"][0]["whyNot"]
    printed = succeeded(furrow("evaluate", str(events), str(labels)))
    for part in (
        "overlooked",
        "Missed (1)",
        "False alarms (1)",
        "[red]Pay[/red]",
        f"precision               {1:.1f}"[:9],
    ):
        assert part in printed
    assert "\u001b[2J" not in printed


def test_evaluate_names_the_label_that_is_none(tmp_path: Path) -> None:
    events, labels = tmp_path / "events.jsonl", tmp_path / "labels.jsonl"
    events.write_text("")
    labels.write_text('{"sessionId": "s", "frustrated": false}\n{"sessionId": "s", "frustrated": "yes"}\n')
    assert "line 2 of the labels: `frustrated`" in refused(furrow("evaluate", str(events), str(labels)))
    labels.write_text("{")
    assert "line 1 of the labels is not JSON" in refused(furrow("evaluate", str(events), str(labels)))


def test_the_version_is_printed() -> None:
    assert succeeded(furrow("--version")).count(".") == 2


@pytest.mark.parametrize("group", ["incidents", "keys", "projects"])
def test_groups_have_help(group: str) -> None:
    assert "Usage" in succeeded(furrow(group, "--help"))
