"""incidents → tickets as Prefect runs it: real Postgres, the fake trackers, and everything that can break in between."""

import logging
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import psycopg
import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.utilities.callables import parameter_schema

from blocks import documents
from flows.export import export
from flows.rerun_failed_exports import rerun_failed_exports
from stores.embedded_postgres import EmbeddedPostgres
from stores.incidents.incident_store import ConfirmRule, IncidentStore
from tasks import connections, stopping
from tasks import export as tasks_export
from tasks.waiting import describe_waiting_tickets
from tests.fakes import github as fake_github
from tests.fakes import gitlab as fake_gitlab
from tests.fakes import jira as fake_jira
from tests.fakes import linear as fake_linear
from tests.fakes import webhook as fake_webhook
from tests.fakes.jira import FakeJira
from tests.fakes.linear import FakeLinear, rate_limited
from tests.fakes.server import Answer, Fake, Fault, Request
from tests.integration.incident_store_cases import MONDAY, detection, history, incident, incident_id, record
from trackers.forge import tracker as forge_module
from trackers.jira import JiraTracker
from trackers.jira import tracker as jira_module

ROOT = Path(__file__).parents[2]
AT_ONCE = ConfirmRule(min_sessions=1)


@pytest.fixture
def setting(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Change settings (``FURROW_*``, lower case, without the prefix) for this test alone."""

    def change(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"FURROW_{name.upper()}", value)
        documents.forget_blocks()

    return change


@pytest.fixture(autouse=True)
def installation(prefect: None, postgres_url: str, setting: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("jira_url", "linear_key", "github_token", "gitlab_token", "webhook_url"):
        monkeypatch.delenv(f"FURROW_{name.upper()}", raising=False)
    setting(incident_store_url=postgres_url, public_url="https://furrow.test")
    # The order of things is what is tested here, not how long the pauses are.
    for module in (jira_module, forge_module):
        monkeypatch.setattr(module, "LAG", (0.0, 0.0))
    for task in (
        tasks_export.connect_tracker, tasks_export.claim_incident, tasks_export.file_ticket,
        tasks_export.record_filed, tasks_export.record_failed, tasks_export.find_failed_exports,
    ):  # fmt: skip
        monkeypatch.setattr(task, "retry_delay_seconds", [0.0, 0.0, 0.0])
        monkeypatch.setattr(task, "retry_jitter_factor", None)
    yield
    connections.close_connections()
    documents.forget_blocks()


@pytest.fixture
def jira(setting: Any) -> Iterator[FakeJira]:
    with FakeJira("cloud") as fake:
        setting(jira_url=fake.address, jira_user=fake_jira.USER, jira_token=fake_jira.TOKEN, jira_project="OPS")
        yield fake
    assert fake.violations == []


@pytest.fixture
def linear(setting: Any) -> Iterator[FakeLinear]:
    with FakeLinear() as fake:
        setting(linear_url=fake.url, linear_key=fake_linear.KEY, linear_team="ENG")
        yield fake
    assert fake.violations == []


@pytest.fixture(params=["jira", "linear"])
def tracker(request: pytest.FixtureRequest) -> Any:
    """Either tracker, configured alone."""
    return request.getfixturevalue(request.param)


def is_create(request: Request) -> bool:
    linear = request.path == "/graphql" and fake_linear.is_create(request)
    forge = fake_github.is_create(request) or fake_gitlab.is_create(request)
    return linear or forge or fake_jira.is_create(request) or fake_webhook.is_create(request)


def store() -> IncidentStore:
    found = connections.incident_store()
    assert isinstance(found, IncidentStore)
    return found


def confirmed(*failures: str, project: str = "shop") -> None:
    """One confirmed incident a failure point, one stored after the other."""
    for failure in failures:
        record(store(), detection(failure, failure, project=project), rule=AT_ONCE, project=project)


def run() -> State[Any]:
    return export(return_state=True)


def rerun(**parameters: Any) -> State[Any]:
    return rerun_failed_exports(return_state=True, **parameters)


def ticket_of(failure: str = "pay") -> dict[str, Any]:
    (ticket,) = incident(store(), failure)["tickets"]
    return dict(ticket)


def artifact(key: str = "export") -> str:
    with get_client(sync_client=True) as client:
        answer = client.request("POST", "/artifacts/latest/filter", json={"artifacts": {"key": {"any_": [key]}}})
    return str(answer.json()[0]["data"])


def end_leases() -> None:
    """Let the time pass after which a claimed row belongs to nobody."""
    with psycopg.connect(connections.effective_settings().incident_store_url.get_secret_value()) as connection:
        connection.execute("UPDATE outbox SET lease_until = now() - interval '1 second' WHERE state = 'claimed'")


# When all is well
# -------------------------------------------------------------------------------------------------------------------


def test_every_confirmed_incident_gets_one_ticket_at_every_tracker(jira: FakeJira, linear: FakeLinear) -> None:
    confirmed("pay", "login")
    state = run()
    assert (state.name, state.is_completed()) == ("Completed", True), state.message
    assert len(jira.issues) == len(linear.issues) == 2
    tickets = {ticket["tracker"]: ticket for ticket in incident(store(), "pay")["tickets"]}
    assert {name: ticket["state"] for name, ticket in tickets.items()} == {"jira": "filed", "linear": "filed"}
    assert tickets["jira"]["url"] == f"{jira.address}/browse/{tickets['jira']['key']}"
    told = artifact()
    assert f"[{tickets['jira']['key'].replace('-', '-')}](<{tickets['jira']['url']}>)" in told
    assert "https://linear.app/acme/issue/" in told
    assert run().name == "Completed"
    assert len(jira.issues) == len(linear.issues) == 2


def test_the_identity_is_stored_before_the_tracker_is_called(linear: FakeLinear) -> None:
    confirmed("pay")
    seen: list[Any] = []

    def look() -> None:
        url = connections.effective_settings().incident_store_url.get_secret_value()
        with psycopg.connect(url) as connection:
            seen.extend(connection.execute("SELECT client_id::text FROM outbox WHERE tracker = 'linear'").fetchall())

    linear.faults = [Fault(is_create, before=look)]
    run()
    assert seen == [(issue["id"],) for issue in linear.issues.values()]


def test_without_a_tracker_tickets_are_logged_and_filed_later(
    setting: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    confirmed("pay")
    with caplog.at_level(logging.INFO, "furrow"):
        assert (run().name, run().name) == ("LoggedOnly", "LoggedOnly")
    assert len([one for one in caplog.records if "not filed, only logged" in one.getMessage()]) == 1
    assert incident(store())["exported"] is False
    with FakeJira() as jira:
        setting(jira_url=jira.address, jira_user=fake_jira.USER, jira_token=fake_jira.TOKEN, jira_project="OPS")
        assert run().name == "Completed"
        assert len(jira.issues) == 1


def test_what_came_back_is_told_to_its_ticket(tracker: Any) -> None:
    confirmed("pay")
    run()
    key = ticket_of()["key"]
    tracker.finish(key)
    store().ledger.apply_action(incident_id(), "resolve", "deployed", "eve", at=MONDAY + timedelta(hours=1))
    record(store(), detection("later", "pay", at=MONDAY + timedelta(hours=2)), rule=AT_ONCE)
    state = run()
    assert state.name == "Completed", state.message
    assert len(tracker.issues) == 1
    assert history(store(), incident_id())[-1][2].endswith("updated")
    assert "tickets updated | 1" in artifact()


def test_the_rate_of_a_project_holds(jira: FakeJira, setting: Any) -> None:
    setting(export_rate="2")
    confirmed("a", "b", "c")
    run()
    run()
    assert len(jira.issues) == 2


def test_a_run_files_so_many_and_the_next_one_goes_on(jira: FakeJira, setting: Any) -> None:
    setting(export_limit="2")
    confirmed("a", "b", "c")
    run()
    assert len(jira.issues) == 2
    run()
    assert len(jira.issues) == 3


def test_a_project_with_a_tracker_of_its_own(jira: FakeJira) -> None:
    jira.projects = {"OPS", "WEB"}
    store().keys.save_project("blog", settings={"jiraProject": "WEB"})
    confirmed("pay")
    confirmed("pay", project="blog")
    run()
    assert sorted(jira.issues) == ["OPS-1", "WEB-1"]


# One incident, one ticket
# -------------------------------------------------------------------------------------------------------------------


def test_a_lost_answer_makes_one_ticket(tracker: Any) -> None:
    tracker.lag = 10**6  # Jira's search never shows it
    confirmed("pay")
    tracker.faults = [Fault(is_create, lost=True)]
    assert run().name == "Completed"  # the second attempt of the same run finds it
    assert len(tracker.issues) == 1
    assert ticket_of()["state"] == "filed"


def test_a_lost_answer_and_then_no_tracker_makes_one_ticket(tracker: Any) -> None:
    tracker.lag = 10**6
    confirmed("pay")
    tracker.faults = [Fault(is_create, lost=True, after=lambda: broken(tracker))]
    state = run()
    assert (state.name, state.is_failed()) == ("Degraded", True)
    assert ticket_of()["state"] == "retry"
    tracker.faults = []
    state = run()
    assert state.name == "Completed", state.message
    assert len(tracker.issues) == 1
    assert (ticket_of()["state"], ticket_of()["attempts"]) == ("filed", 2)


def broken(tracker: Fake) -> None:
    """From now on the tracker answers nothing but 503."""
    with tracker.guard:
        tracker.faults = [Fault(lambda _: True, Answer(503, {}), times=10**6)]


def test_a_crash_between_created_and_recorded_makes_one_ticket(
    tracker: Any, stoppable_postgres: EmbeddedPostgres, setting: Any
) -> None:
    """Postgres dies when the ticket is made and before its key is stored; the process forgets everything."""
    tracker.lag = 10**6
    setting(incident_store_url=stoppable_postgres.url)
    confirmed("pay")
    tracker.faults = [Fault(is_create, after=stoppable_postgres.stop)]
    state = run()
    assert (state.name, state.is_failed()) == ("Degraded", True)
    assert "could not be recorded" in artifact()
    connections.close_connections()
    stoppable_postgres.start()
    assert run().name == "Completed"  # the lease still holds: nothing is tried twice at once
    assert ticket_of()["state"] == "claimed"
    end_leases()
    assert run().name == "Completed"
    assert len(tracker.issues) == 1
    assert (ticket_of()["state"], ticket_of()["key"]) == ("filed", ticket_key(tracker))


def ticket_key(tracker: Any) -> str:
    (issue,) = tracker.issues.values()
    return str(issue.get("key") or issue["identifier"])


_EXPORTER = """
import sys
from tasks import connections
from tasks.export import _file_or_find_ticket, claim_incident, record_filed
leased, tracker = claim_incident.fn(sys.argv[1]), connections.open_tracker(sys.argv[1])
record_filed.fn(leased.claim.incident["incidentId"], sys.argv[1], _file_or_find_ticket(tracker, leased))
"""


def test_an_exporter_that_is_killed_after_the_call_leaves_one_ticket(tracker: Any) -> None:
    tracker.lag = 10**6
    confirmed("pay")
    killed = subprocess.Popen([sys.executable, "-c", _EXPORTER, tracker.name], cwd=ROOT)
    tracker.faults = [Fault(is_create, after=killed.kill)]  # the ticket is made, nobody hears of it
    assert killed.wait(120) == -signal.SIGKILL
    assert ticket_of()["state"] == "claimed"
    end_leases()
    assert run().name == "Completed"
    assert len(tracker.issues) == 1
    assert (ticket_of()["state"], ticket_of()["key"]) == ("filed", ticket_key(tracker))


def test_two_exporters_at_once_make_one_ticket_each_incident(tracker: Any) -> None:
    failures = [f"f{number}" for number in range(6)]
    confirmed(*failures)
    both = Barrier(2)
    # Each exporter's first call waits for the other's: both are in the middle of a ticket at the same time.
    tracker.faults = [Fault(is_create, before=lambda: both.wait(60), times=2)]
    with ThreadPoolExecutor(2) as pool:
        states = list(pool.map(lambda _: run().name, range(2)))
    assert states == ["Completed", "Completed"]
    assert len(tracker.issues) == 6
    assert {ticket_of(failure)["state"] for failure in failures} == {"filed"}
    assert len({ticket_of(failure)["key"] for failure in failures}) == 6


def test_nothing_is_created_when_the_lease_is_nearly_over(jira: FakeJira, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exporter that was held up must not file what another one may have taken over."""
    confirmed("pay")
    with monkeypatch.context() as patch:
        patch.setattr(tasks_export, "LAST_START_S", -1.0)
        assert run().name == "Degraded"
    assert jira.requests == []
    assert run().name == "Completed"
    assert len(jira.issues) == 1


# When something is away
# -------------------------------------------------------------------------------------------------------------------


def test_a_tracker_that_is_away_ends_degraded_and_its_return_files_everything_once(
    tracker: Any, caplog: pytest.LogCaptureFixture
) -> None:
    confirmed("pay", "login")
    tracker.stop()
    with caplog.at_level(logging.INFO, "furrow.tickets"):
        states = [run(), run()]
    assert [(state.name, state.is_failed()) for state in states] == [("Degraded", True)] * 2
    assert "did not answer" in (states[0].message or "")
    logged = [one.getMessage() for one in caplog.records if "| title:" in one.getMessage()]
    assert len(logged) == 1  # in full, once
    tracker.start()
    assert run().name == "Completed"
    assert len(tracker.issues) == 2
    assert run().name == "Completed"
    assert len(tracker.issues) == 2


def test_one_tracker_that_is_away_does_not_keep_the_other(jira: FakeJira, linear: FakeLinear) -> None:
    confirmed("pay")
    jira.stop()
    assert run().name == "Degraded"
    assert len(linear.issues) == 1
    jira.start()
    assert run().name == "Completed"
    assert (len(jira.issues), len(linear.issues)) == (1, 1)


def test_a_short_passing_failure_is_retried_within_the_run(tracker: Any) -> None:
    confirmed("pay")
    tracker.faults = [Fault(is_create, Answer(502, {}), times=3)]
    state = run()
    assert state.name == "Completed", state.message
    assert len(tracker.issues) == 1


@pytest.mark.parametrize("seconds", [0.01, 3_600])
def test_a_rate_limit_is_obeyed(tracker: Any, seconds: float) -> None:
    confirmed("pay", "login")
    before = datetime.now(UTC)
    headers = {"Retry-After": f"{seconds:g}"}
    answer = rate_limited(**headers) if isinstance(tracker, FakeLinear) else Answer(429, {}, headers)
    tracker.faults = [Fault(is_create, answer)]
    state = run()
    if seconds < 1:
        assert state.name == "Completed", state.message
        assert len(tracker.issues) == 2
        return
    assert state.name == "Degraded"
    assert tracker.issues == {}
    assert sum(is_create(request) for request in tracker.requests) == 1  # and the other ticket was not even tried
    with psycopg.connect(connections.effective_settings().incident_store_url.get_secret_value()) as connection:
        (row,) = connection.execute("SELECT state, retry_at FROM outbox").fetchall()
    assert row[0] == "retry"
    assert row[1] >= before + timedelta(seconds=seconds)


def test_postgres_away_ends_degraded_and_its_return_files_everything_once(
    jira: FakeJira, stoppable_postgres: EmbeddedPostgres, setting: Any
) -> None:
    setting(incident_store_url=stoppable_postgres.url)
    confirmed("pay")
    stoppable_postgres.stop()
    state = run()
    assert (state.name, state.is_failed()) == ("Degraded", True)
    assert jira.requests == []
    stoppable_postgres.start()
    assert run().name == "Completed"
    assert run().name == "Completed"
    assert len(jira.issues) == 1


def test_a_log_only_incident_store_has_nothing_to_export(jira: FakeJira, setting: Any) -> None:
    setting(incident_store_url="log")
    assert run().name == "LoggedOnly"
    assert jira.requests == []


def test_a_run_that_is_asked_to_stop_stops_between_tickets(jira: FakeJira) -> None:
    confirmed("pay", "login")
    jira.faults = [Fault(is_create, after=stopping.request_stop_of_all)]
    try:
        assert run().is_cancelled()
    finally:
        stopping._all.clear()
    assert len(jira.issues) == 1
    assert run().is_completed()
    assert len(jira.issues) == 2


def test_half_a_configuration_is_a_failure_and_says_what_lacks(setting: Any, linear: FakeLinear) -> None:
    confirmed("pay")
    setting(jira_url="https://jira.test")
    state = run()
    assert state.name == "Degraded"
    assert "the Jira token is not set" in (state.message or "")
    assert len(linear.issues) == 1


def test_a_fault_in_the_program_fails_one_ticket_and_not_the_others(
    jira: FakeJira, monkeypatch: pytest.MonkeyPatch
) -> None:
    confirmed("pay", "login")
    original = JiraTracker.file_ticket

    def fail_over_one(self: JiraTracker, ticket: Any, client_id: Any) -> Any:
        if ticket.incident_id == incident_id("pay"):
            raise KeyError("poison")
        return original(self, ticket, client_id)

    monkeypatch.setattr(JiraTracker, "file_ticket", fail_over_one)
    assert run().name == "Degraded"
    assert (ticket_of("pay")["state"], ticket_of("login")["state"]) == ("export_failed", "filed")
    assert "an unexpected error in tasks.export" in ticket_of("pay")["lastError"]


# Refusals, and rerunning them
# -------------------------------------------------------------------------------------------------------------------


def refuse(jira: FakeJira, *failures: str) -> None:
    jira.projects = set()
    confirmed(*failures)
    assert run().name == "Degraded"
    jira.projects = {"OPS"}


def test_a_refusal_is_kept_with_the_trackers_words_and_not_repeated(jira: FakeJira) -> None:
    refuse(jira, "pay", "login")
    assert ticket_of()["state"] == "export_failed"
    assert "project: valid project is required" in ticket_of()["lastError"]
    assert "valid project is required" in artifact()
    before = len(jira.requests)
    state = run()  # the project is the tracker's matter: the run stays red until the settings change
    assert (state.name, "valid project is required" in (state.message or "")) == ("Degraded", True)
    assert len(jira.requests) == before


def test_all_failed_exports_are_rerun_by_hand(jira: FakeJira) -> None:
    refuse(jira, "pay", "login")
    state = rerun()
    assert state.name == "Completed", state.message
    assert len(jira.issues) == 2
    told = artifact("rerun-failed-exports")
    for failure in ("pay", "login"):
        assert incident_id(failure) in told
        assert f"]({ticket_of(failure)['url']}" in told.replace("<", "")
    rerun()
    assert len(jira.issues) == 2


def test_only_the_named_ones_are_rerun_and_the_others_are_explained(jira: FakeJira) -> None:
    refuse(jira, "pay", "login", "gone")
    store().ledger.apply_action(incident_id("gone"), "suppress", "", "eve")
    confirmed("filed")
    run()
    ids = [incident_id("pay"), incident_id("gone"), incident_id("filed"), "inc_<script>"]
    assert rerun(incident_ids=ids).name == "Completed"
    assert (ticket_of("pay")["state"], ticket_of("login")["state"]) == ("filed", "export_failed")
    told = artifact("rerun-failed-exports")
    assert "the incident is suppressed" in told
    assert "no export is marked export_failed (filed at jira)" in told.replace("\\", "")
    assert "there is no such incident" in told
    assert incident_id("login") not in told


def test_a_rerun_may_be_restricted_to_one_tracker(jira: FakeJira, linear: FakeLinear) -> None:
    linear.faults = [Fault(is_create, Answer(400, {"errors": [{"message": "no"}]}))]
    refuse(jira, "pay")
    rerun(tracker="linear")
    assert (len(jira.issues), len(linear.issues)) == (0, 1)
    rerun(tracker="jira")
    assert (len(jira.issues), len(linear.issues)) == (1, 1)


def test_a_dry_run_shows_everything_and_calls_nothing(jira: FakeJira, caplog: pytest.LogCaptureFixture) -> None:
    refuse(jira, "pay")
    before, row = len(jira.requests), ticket_of()
    with caplog.at_level(logging.INFO, "furrow.tickets"):
        assert rerun(dry_run=True).name == "Completed"
    assert len(jira.requests) == before
    assert ticket_of() == row
    told = artifact("rerun-failed-exports")
    assert "would file" in told
    assert incident_id() in told
    assert "valid project is required" in told
    assert any("| title:" in one.getMessage() for one in caplog.records)


def test_a_rerun_that_is_refused_again_keeps_the_new_words(jira: FakeJira) -> None:
    refuse(jira, "pay")
    jira.issue_types = set()
    assert rerun().name == "Degraded"
    assert "issuetype" in ticket_of()["lastError"]
    assert ticket_of()["state"] == "export_failed"


def test_a_rerun_without_its_tracker_is_logged_only(jira: FakeJira, setting: Any) -> None:
    refuse(jira, "pay")
    setting(jira_url="")
    assert rerun().name == "LoggedOnly"
    assert ticket_of()["state"] == "export_failed"


def test_a_rerun_with_the_tracker_away_leaves_the_rest_as_it_was(jira: FakeJira) -> None:
    refuse(jira, "pay", "login")
    jira.stop()
    assert rerun().name == "Degraded"
    assert sorted(ticket_of(failure)["state"] for failure in ("pay", "login")) == ["export_failed", "retry"]
    jira.start()
    assert rerun().name == "Completed"
    assert run().name == "Completed"
    assert len(jira.issues) == 2


def test_a_rerun_without_postgres_ends_degraded(
    jira: FakeJira, stoppable_postgres: EmbeddedPostgres, setting: Any
) -> None:
    setting(incident_store_url=stoppable_postgres.url)
    refuse(jira, "pay")
    stoppable_postgres.stop()
    assert rerun().name == "Degraded"
    stoppable_postgres.start()
    assert rerun().name == "Completed"
    assert len(jira.issues) == 1


def test_the_deployment_is_started_by_hand_and_explains_its_parameters() -> None:
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))["deployments"]
    (found,) = [one for one in deployments if one["name"] == "rerun-failed-exports"]
    assert found["entrypoint"] == f"{rerun_failed_exports.fn.__module__}.{rerun_failed_exports.fn.__name__}"
    assert found["schedules"] == []
    form = parameter_schema(rerun_failed_exports).model_dump()["properties"]
    assert set(form) == set(found["parameters"]) == {"incident_ids", "tracker", "dry_run"}
    assert all(one["description"] for one in form.values())
    assert rerun_failed_exports.validate_parameters(found["parameters"]) == found["parameters"]


# What people see
# -------------------------------------------------------------------------------------------------------------------


def test_nothing_in_the_artifact_does_anything_but_the_link(jira: FakeJira) -> None:
    evil = "[x](https://evil.test) <img src=x onerror=alert(1)> @everyone"
    confirmed("pay")
    with psycopg.connect(connections.effective_settings().incident_store_url.get_secret_value()) as connection:
        connection.execute("UPDATE incidents SET title = %s", (evil,))
    jira.faults = [Fault(is_create, Answer(400, {"errorMessages": [f"no: {evil}\n# heading"]}))]
    run()
    told = artifact()
    assert "<img" not in told
    assert "](https://evil" not in told
    assert not re.search(r"^# heading", told, re.MULTILINE)
    assert rerun().name == "Completed"
    links = re.findall(r"(?<!\\)\]\(<?([^)>]+)", artifact("rerun-failed-exports"))
    assert links == [f"{jira.address}/browse/OPS-1", f"https://furrow.test/incidents/{incident(store())['incidentId']}"]


def test_secrets_are_nowhere(tracker: Any, caplog: pytest.LogCaptureFixture) -> None:
    secrets = (fake_jira.TOKEN, fake_linear.KEY)
    said = {"errorMessages": [" ".join(secrets)], "errors": [{"message": " ".join(secrets)}]}
    tracker.faults = [Fault(is_create, Answer(400, said))]
    confirmed("pay")
    with caplog.at_level(logging.DEBUG):
        state = run()
    assert state.name == "Degraded"
    own = fake_linear.KEY if isinstance(tracker, FakeLinear) else fake_jira.TOKEN
    everything = caplog.text + artifact() + (state.message or "") + str(incident(store()))
    assert own not in everything


# Tickets that wait, and how to file them earlier
# -------------------------------------------------------------------------------------------------------------------


def test_what_is_put_off_is_told_with_its_time_and_can_be_hastened(tracker: Any) -> None:
    confirmed("pay")
    tracker.stop()
    for _ in range(3):  # the third one waits for a minute
        run()
    (line,) = describe_waiting_tickets.fn()
    assert re.match(
        rf"{tracker.name}: 1 ticket postponed until \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC \(in \d+ (s|min)\)", line
    )
    assert "did not answer" in line
    assert line.endswith("`furrow export --now` retries at once")
    tracker.start()
    assert run().name == "Completed"
    assert tracker.issues == {}
    assert export(hasten=True, return_state=True).name == "Completed"
    assert len(tracker.issues) == 1
    assert describe_waiting_tickets.fn() == []


def test_what_is_refused_is_told_with_the_trackers_words(jira: FakeJira) -> None:
    confirmed("pay", "login")
    said = {"errorMessages": [], "errors": {"components": "Component is required."}}
    jira.faults = [Fault(fake_jira.is_create, Answer(400, said), times=2)]
    run()
    (line,) = describe_waiting_tickets.fn()
    assert line.startswith("jira: 2 tickets refused (")
    assert "Component is required" in line
    assert line.endswith("fix the cause, then file them with `furrow export --retry-failed`")


def test_a_run_answers_whether_a_tracker_takes_tickets(jira: FakeJira) -> None:
    for name in ("jira", "linear"):
        store().checks.ask_about_tracker(name, "Ann")
    run()
    found = {check.tracker: check for check in store().checks.list_checks()}
    assert found["jira"].accepts is True
    assert "OPS" in found["jira"].answer
    assert found["linear"].accepts is None
    assert store().checks.list_unanswered() == []
    jira.projects = set()
    store().checks.ask_about_tracker("jira", "Ann")
    export(dry_run=True, return_state=True)
    assert store().checks.list_unanswered() == ["jira"]
    run()
    (refused,) = [check for check in store().checks.list_checks() if check.tracker == "jira"]
    assert refused.accepts is False
    assert "OPS" in refused.answer
    assert fake_jira.TOKEN not in refused.answer
