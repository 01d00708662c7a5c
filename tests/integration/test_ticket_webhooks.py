"""Webhooks of trackers on a real socket: what they name is read soon, and nothing else happens."""

import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from prefect.client.schemas.objects import State
from prometheus_client import REGISTRY
from pydantic import SecretStr

from collector.access.keys import hash_key
from flows.read_back import read_back
from stores.incidents.ticket_states import TicketStates
from tasks import read_back as tasks_read_back
from tests.fakes import linear as fake_linear
from tests.fakes.linear import FakeLinear
from tests.fakes.server import Answer, Fault, Request
from tests.integration.api_cases import code, serving
from tests.integration.incident_store_cases import incident, incident_id
from tests.integration.test_export import (
    artifact,
    confirmed,
    installation,
    jira,
    linear,
    run,
    setting,
    store,
    ticket_of,
)
from tests.integration.test_export_faults import sql
from tests.integration.test_ticket_states import (
    again,
    finish,
    github,
    gitlab,
    is_open,
    is_reading,
    last_line,
    site,
    status,
)

__all__ = ["github", "gitlab", "installation", "jira", "linear", "setting", "site"]

SECRETS = {name: f"{name}-secret-0123456789" for name in ("jira", "linear", "github", "gitlab")}
HEADERS = {
    "jira": "X-Hub-Signature",
    "linear": "Linear-Signature",
    "github": "X-Hub-Signature-256",
    "gitlab": "X-Gitlab-Token",
}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fakes find a change at once."""
    monkeypatch.setattr(tasks_read_back, "SETTLE_S", 0.0)


@pytest.fixture
def client(installation: None, tmp_path: Path, postgres_url: str) -> Iterator[httpx.Client]:
    store().keys.save_api_key(hash_key("all-operator"), "all-op", "*", "operator")
    secrets = {name: SecretStr(secret) for name, secret in SECRETS.items()}
    with serving(tmp_path, postgres_url, webhook_secrets=secrets) as made:
        yield made


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def sign(tracker: str, body: bytes, secret: str = "") -> dict[str, str]:
    """The headers with which this tracker sends ``body``."""
    secret = secret or SECRETS[tracker]
    if tracker == "gitlab":
        return {HEADERS[tracker]: secret}
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {HEADERS[tracker]: digest if tracker == "linear" else f"sha256={digest}"}


def build_body(tracker: str, key: str, **more: Any) -> bytes:
    """What this tracker sends when the ticket changed."""
    if tracker == "jira":
        content: dict[str, Any] = {"timestamp": now_ms(), "webhookEvent": "jira:issue_updated", "issue": {"key": key}}
    elif tracker == "linear":
        data = {"id": "00000000-0000-4000-8000-000000000000", "identifier": key, "title": "Pay now <b>"}
        content = {"action": "update", "type": "Issue", "data": data, "webhookTimestamp": now_ms()}
    else:
        path, number = key.split("#")
        if tracker == "github":
            content = {"action": "closed", "issue": {"number": int(number)}, "repository": {"full_name": path}}
        else:
            attributes = {"iid": int(number), "action": "close"}
            content = {
                "object_kind": "issue",
                "object_attributes": attributes,
                "project": {"path_with_namespace": path},
            }
    return json.dumps({**content, **more}).encode()


def send(client: httpx.Client, tracker: str, body: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
    headers = {"Content-Type": "application/json", **(sign(tracker, body) if headers is None else headers)}
    return client.post(f"/v1/webhooks/{tracker}", content=body, headers=headers)


def hint(client: httpx.Client, site: Any, key: str) -> int:
    """The tracker says that the ticket changed. Returns how many tickets that named."""
    answer = send(client, site.name, build_body(site.name, key))
    assert answer.status_code == 200, answer.text
    assert answer.json()["success"] is True
    return int(answer.json()["tickets"])


def run_read_back() -> State[Any]:
    return read_back(return_state=True)


def hints() -> list[str]:
    """The keys of the tickets that are named and not read."""
    return [key for (key,) in sql("SELECT ticket_key FROM outbox WHERE hinted_at IS NOT NULL ORDER BY 1")]


def metric(tracker: str, outcome: str) -> float:
    return REGISTRY.get_sample_value("furrow_webhooks_total", {"tracker": tracker, "outcome": outcome}) or 0.0


def count_readings(site: Any) -> int:
    return sum(is_reading(request) for request in site.requests)


def file_ticket(site: Any) -> str:
    """An incident with a ticket whose state was read: polling reads it again in four minutes."""
    confirmed("pay")
    assert run().name == "Completed"
    return str(ticket_of()["key"])


# What a webhook leads to
# ----------------------------------------------------------------------------------------------------------------------


def test_what_a_webhook_names_is_read_and_moves_its_incident_once(site: Any, client: httpx.Client) -> None:
    key = file_ticket(site)
    finish(site, key)
    assert run().name == "Completed"
    assert status() == "confirmed"  # it is polled later
    assert hint(client, site, key) == 1
    assert hints() == [key]
    assert run_read_back().name == "Completed"
    assert (status(), hints()) == ("resolved", [])
    actor, reason = last_line()
    assert (actor, reason.startswith(f"ticket {key} at {site.name} is ")) == (site.name, True)
    assert "incidents resolved by their tickets | 1" in artifact("read-back")
    before = incident(store())["history"]
    # The same webhook again, and later the usual reading.
    assert hint(client, site, key) == 1
    run_read_back()
    sql("UPDATE outbox SET read_after = NULL")
    run()
    assert incident(store())["history"] == before


def test_a_webhook_is_believed_nothing(site: Any, client: httpx.Client) -> None:
    key = file_ticket(site)
    lies = {"issue": {"key": key, "fields": {"status": {"statusCategory": {"key": "done"}}}}}
    if site.name == "linear":
        lies = {"data": {"identifier": key, "state": {"type": "completed"}, "completedAt": "2024-01-01T00:00:00Z"}}
    if site.name in ("github", "gitlab"):
        number = int(key.split("#")[1])
        closed = {"state": "closed", "state_reason": "completed"}
        lies = {
            "issue": {"number": number, **closed},
            "object_attributes": {"iid": number, "action": "close", **closed},
        }
    assert send(client, site.name, build_body(site.name, key, **lies)).json()["tickets"] == 1
    run_read_back()
    assert status() == "confirmed"


def test_doubled_and_reordered_webhooks_end_where_the_ticket_is(site: Any, client: httpx.Client) -> None:
    key = file_ticket(site)
    old = build_body(site.name, key)
    finish(site, key)
    for _ in range(20):
        hint(client, site, key)
    readings = count_readings(site)
    run_read_back()
    assert count_readings(site) == readings + 1
    site.reopen(key)
    hint(client, site, key)
    assert send(client, site.name, old).status_code == 200
    run_read_back()
    assert status() == "confirmed"
    assert count_readings(site) == readings + 2


def test_without_a_webhook_no_ticket_is_read(site: Any, client: httpx.Client) -> None:
    key = file_ticket(site)
    readings = count_readings(site)
    finish(site, key)
    state = run_read_back()
    assert (state.name, state.message) == ("Completed", "no webhook named a ticket")
    assert count_readings(site) == readings
    assert status() == "confirmed"


def deliver_each_change(site: Any, client: httpx.Client, key: str) -> list[int]:
    """The tracker sends a webhook for each write from now on, also for Furrow's own."""
    delivered: list[int] = []
    handle: Callable[[Request], Answer] = site.handle

    def handle_and_deliver(request: Request) -> Answer:
        answer = handle(request)
        writes = "mutation" in request.text if request.path == "/graphql" else not is_search(request)
        if writes and request.method != "GET" and answer.status < 300:
            delivered.append(hint(client, site, key))
        return answer

    def is_search(request: Request) -> bool:
        return "/search" in request.path

    site.handle = handle_and_deliver
    return delivered


def test_a_webhook_of_furrows_own_change_moves_nothing(site: Any, client: httpx.Client) -> None:
    """It came back, and Furrow opens the ticket again: the tracker says so."""
    key = file_ticket(site)
    finish(site, key)
    hint(client, site, key)
    run_read_back()
    assert status() == "resolved"
    again("later")
    before = [entry["to"] for entry in incident(store())["history"]]
    delivered = deliver_each_change(site, client, key)
    run()
    assert is_open(site, key)
    assert delivered
    requests = len(delivered)
    sql("UPDATE outbox SET hinted_at = now()")
    for _ in range(3):
        run_read_back()
    assert status() == "regressed"
    assert [entry["to"] for entry in incident(store())["history"]][: len(before)] == before
    assert not [entry for entry in incident(store())["history"][len(before) :] if entry["actor"] == site.name]
    assert len(delivered) == requests  # and reading writes nothing


def test_a_reading_from_before_furrow_wrote_is_left_to_the_next(
    site: Any, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`export` opens the ticket again between the answer of the tracker and its storing."""
    key = file_ticket(site)
    finish(site, key)
    hint(client, site, key)
    run_read_back()
    assert status() == "resolved"
    record = TicketStates.record_reading
    met: list[str] = []

    def export_first(self: TicketStates, *values: Any) -> Any:
        if not met:
            met.append(status())
            again("later")
            run()
        return record(self, *values)

    monkeypatch.setattr(TicketStates, "record_reading", export_first)
    site.assign(key, "Ann")  # a change, so that it is read
    hint(client, site, key)
    run_read_back()
    assert met == ["resolved"]
    (meaning,) = sql("SELECT remote_meaning FROM outbox")
    assert (status(), meaning) == ("regressed", ("open",))


def test_of_two_runs_that_read_a_ticket_the_last_counts(
    site: Any, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody opens the ticket again and `export` reads that, before `read-back` stores that it was closed."""
    key = file_ticket(site)
    finish(site, key)
    hint(client, site, key)
    record = TicketStates.record_reading
    met: list[str] = []

    def export_first(self: TicketStates, *values: Any) -> Any:
        if not met:
            met.append(status())
            site.reopen(key)
            sql("UPDATE outbox SET read_after = NULL")
            run()
        return record(self, *values)

    monkeypatch.setattr(TicketStates, "record_reading", export_first)
    before = incident(store())["history"]
    run_read_back()
    assert met == ["confirmed"]
    assert incident(store())["history"] == before


# The tracker does not answer
# ----------------------------------------------------------------------------------------------------------------------


def test_a_tracker_that_is_away_is_read_at_the_next_polling(site: Any, client: httpx.Client) -> None:
    key = file_ticket(site)
    finish(site, key)
    hint(client, site, key)
    site.faults = [Fault(is_reading, answer=Answer(500, {}), times=9)]
    counted = (
        REGISTRY.get_sample_value("furrow_degraded_total", {"component": "read_back", "reason": "TransientError"}) or 0
    )
    assert run_read_back().name == "Completed"
    assert status() == "confirmed"
    assert "the next export reads" in artifact("read-back")
    value = REGISTRY.get_sample_value("furrow_degraded_total", {"component": "read_back", "reason": "TransientError"})
    assert value == counted + 1
    site.faults = []
    sql("UPDATE outbox SET read_after = now()")  # four minutes later
    run()
    assert status() == "resolved"
    assert [entry["to"] for entry in incident(store())["history"]].count("resolved") == 1


def test_while_a_tracker_asks_for_a_pause_hints_wait(site: Any, client: httpx.Client) -> None:
    key = file_ticket(site)
    finish(site, key)
    hint(client, site, key)
    store().gates.close_gate(site.name, 3600, "slow down")
    readings = count_readings(site)
    run_read_back()
    assert (count_readings(site), hints()) == (readings, [key])
    sql("DELETE FROM tracker_gates")
    run_read_back()
    assert status() == "resolved"


def test_named_tickets_of_a_tracker_that_is_not_used_any_more_make_no_report(
    linear: FakeLinear, client: httpx.Client, setting: Any
) -> None:
    """The run is due each minute, and each report is stored."""
    key = file_ticket(linear)
    hint(client, linear, key)
    setting(linear_key="")
    state = run_read_back()
    assert (state.name, state.message) == ("Completed", "no webhook named a ticket of a tracker that is configured")
    setting(linear_key=fake_linear.KEY)
    finish(linear, key)
    run_read_back()
    assert status() == "resolved"


def test_a_named_ticket_is_read_when_the_search_has_settled(
    site: Any, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks_read_back, "SETTLE_S", 3600.0)
    key = file_ticket(site)
    finish(site, key)
    hint(client, site, key)
    run_read_back()
    assert (status(), hints()) == ("confirmed", [key])
    sql("UPDATE outbox SET hinted_at = hinted_at - interval '2 hours'")
    run_read_back()
    assert status() == "resolved"


def test_a_flood_of_valid_webhooks_is_read_within_the_limits_of_a_run(
    linear: FakeLinear, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks_read_back, "BATCH", 2)
    failures = [f"pay{number}" for number in range(11)]
    confirmed(*failures)
    run()
    keys = [issue["identifier"] for issue in linear.issues.values()]
    for _ in range(5):
        for key in keys:
            hint(client, linear, key)
    readings = count_readings(linear)
    run_read_back()
    assert count_readings(linear) == readings + 4
    assert len(hints()) == 11 - 8
    run_read_back()
    assert hints() == []
    assert count_readings(linear) == readings + 6


# Who may send
# ----------------------------------------------------------------------------------------------------------------------


KEYS = {"jira": "OPS-1", "linear": "ENG-1", "github": "acme/shop#7", "gitlab": "acme/web/shop#7"}


def add_ticket(tracker: str, key: str) -> None:
    confirmed("pay")
    sql(
        "INSERT INTO outbox (incident_id, tracker, state, ticket_key, filed_at) VALUES (%s, %s, 'filed', %s, now())",
        incident_id(), tracker, key,
    )  # fmt: skip


@pytest.mark.parametrize("tracker", SECRETS)
def test_only_the_trackers_signature_opens(tracker: str, client: httpx.Client) -> None:
    add_ticket(tracker, KEYS[tracker])
    body = build_body(tracker, KEYS[tracker])
    refused = metric(tracker, "refused")
    right = sign(tracker, body)
    ((name, value),) = right.items()
    wrong = [
        {}, {name: ""}, {name: value[:-1]}, {name: value + "0"}, sign(tracker, body, "another secret, also long"),
        {"Authorization": f"Bearer {SECRETS[tracker]}"}, {name: "sha1=" + value[-40:]}, {name: "\u00e9" * 64},
    ]  # fmt: skip
    for headers in wrong:
        sent = {key: text.encode() for key, text in headers.items()}
        answer = send(client, tracker, body, sent)  # type: ignore[arg-type]
        assert (answer.status_code, code(answer)) == (401, "invalid_signature"), headers
        assert SECRETS[tracker] not in answer.text
    twice = [("Content-Type", "application/json"), (name, value), (name, value)]
    assert client.post(f"/v1/webhooks/{tracker}", content=body, headers=twice).status_code == 401
    changed = body.replace(b"{", b"{ ", 1)
    if tracker != "gitlab":  # it sends its secret, and signs nothing
        assert send(client, tracker, changed, right).status_code == 401
    assert hints() == []
    assert metric(tracker, "refused") >= refused + len(wrong) + 1
    noted = metric(tracker, "noted")
    assert send(client, tracker, body).json() == {"success": True, "tickets": 1}
    assert hints() == [KEYS[tracker]]
    assert metric(tracker, "noted") == noted + 1


@pytest.mark.parametrize("tracker", SECRETS)
def test_tickets_of_others_are_counted_and_not_stored(tracker: str, client: httpx.Client) -> None:
    add_ticket(tracker, KEYS[tracker])
    before, unknown = sql("SELECT * FROM outbox"), metric(tracker, "unknown")
    for body in (
        build_body(tracker, KEYS[tracker] + "9"),
        json.dumps({"webhookTimestamp": now_ms(), "x": None}).encode(),
    ):
        assert send(client, tracker, body).json() == {"success": True, "tickets": 0}
    # The ticket of another tracker with the same key.
    sql("UPDATE outbox SET tracker = 'webhook'")
    assert send(client, tracker, build_body(tracker, KEYS[tracker])).json()["tickets"] == 0
    assert metric(tracker, "unknown") == unknown + 3
    sql("UPDATE outbox SET tracker = %s", tracker)
    assert sql("SELECT * FROM outbox") == before


def test_linear_names_tickets_by_the_ids_that_furrow_made(linear: FakeLinear, client: httpx.Client) -> None:
    file_ticket(linear)
    (made,) = linear.issues
    body = json.dumps({"type": "Comment", "data": {"issueId": made}, "webhookTimestamp": now_ms()}).encode()
    assert send(client, "linear", body).json()["tickets"] == 1


def test_an_old_webhook_of_linear_is_refused(client: httpx.Client) -> None:
    add_ticket("linear", "ENG-1")
    late = metric("linear", "late")
    for at in (now_ms() - 61_000, now_ms() + 120_000, None):
        answer = send(client, "linear", build_body("linear", "ENG-1", webhookTimestamp=at))
        assert (answer.status_code, code(answer)) == (401, "webhook_too_old")
    assert (metric("linear", "late"), hints()) == (late + 3, [])


def test_what_is_no_webhook(client: httpx.Client) -> None:
    unreadable = metric("jira", "unreadable")
    for body in (b"", b"payload=%7B%7D", b"[]", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"a": 1e999, "b": NaN}'):
        answer = send(client, "jira", body)
        assert (answer.status_code, code(answer)) == (400, "invalid_body"), body[:20]
    assert metric("jira", "unreadable") == unreadable + 7
    large = b'{"x": "' + b"x" * (1 << 20) + b'"}'
    assert code(send(client, "jira", large)) == "too_large"
    zipped = {**sign("jira", b"x"), "Content-Encoding": "gzip"}
    assert send(client, "jira", b"x", zipped).status_code == 415
    assert client.post("/v1/webhooks/asana", content=b"{}").status_code == 404
    assert client.post("/v1/webhooks/webhook", content=b"{}").status_code == 404
    assert client.get("/v1/webhooks/jira").status_code == 405


def test_without_a_secret_no_webhook_is_taken(installation: None, tmp_path: Path, postgres_url: str) -> None:
    store().keys.save_api_key(hash_key("all-operator"), "all-op", "*", "operator")
    with serving(tmp_path, postgres_url, webhook_secrets={"linear": SecretStr(SECRETS["linear"])}) as client:
        body = build_body("jira", "OPS-1")
        for headers in ({}, sign("jira", body), sign("jira", body, "x")):
            answer = send(client, "jira", body, headers)
            assert (answer.status_code, code(answer)) == (404, "webhook_not_configured")
            assert "FURROW_JIRA_WEBHOOK_SECRET" in answer.json()["error"]["message"]
        assert send(client, "linear", build_body("linear", "ENG-1")).status_code == 200


def test_a_collector_for_events_alone_takes_webhooks(installation: None, tmp_path: Path, postgres_url: str) -> None:
    add_ticket("jira", "OPS-1")
    secrets = {"jira": SecretStr(SECRETS["jira"])}
    with serving(tmp_path, postgres_url, api=False, webhook_secrets=secrets) as client:
        assert send(client, "jira", build_body("jira", "ops-1")).json()["tickets"] == 1
        assert client.get("/v1/incidents").status_code == 404


def test_while_the_store_is_away_the_tracker_is_asked_to_send_again(client: httpx.Client) -> None:
    add_ticket("jira", "OPS-1")
    body, away = build_body("jira", "OPS-1"), metric("jira", "unavailable")
    sql("ALTER TABLE outbox RENAME TO outbox_away")
    answer = send(client, "jira", body)
    assert (answer.status_code, code(answer)) == (503, "incident_store_unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    assert metric("jira", "unavailable") == away + 1
    assert send(client, "jira", body, sign("jira", body, "another secret, also long")).status_code == 401
    sql("ALTER TABLE outbox_away RENAME TO outbox")
    assert send(client, "jira", body).json()["tickets"] == 1
    assert hints() == ["OPS-1"]


def test_no_secret_is_shown(
    client: httpx.Client, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    for tracker in SECRETS:
        send(client, tracker, build_body(tracker, KEYS[tracker]))
        send(client, tracker, b"x", sign(tracker, b"y", "another secret, also long"))
    shown = "".join([*capfd.readouterr(), caplog.text, client.get("/metrics").text, client.get("/openapi.json").text])
    assert "secret-0123456789" not in shown


def test_a_ticket_that_is_to_be_told_something_is_read_afterwards(site: Any, client: httpx.Client) -> None:
    key = file_ticket(site)
    finish(site, key, datetime.now(UTC))
    hint(client, site, key)
    sql("UPDATE incidents SET generation = generation + 1")
    readings = count_readings(site)
    assert run_read_back().message == "no webhook named a ticket"
    assert (count_readings(site), hints()) == (readings, [key])
    sql("UPDATE incidents SET generation = generation - 1")
    run_read_back()
    assert status() == "resolved"
