"""incidents → alerts: real Postgres, receivers on a real socket, kills of a real process, and all else that can break."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from prefect.client.schemas.objects import State

from blocks import documents
from core.settings import Settings
from flows.alerts import alerts
from flows.retention import retention
from furrow.doctor.configuration import check_channels
from incidents.lifecycle import ConfirmRule
from stores.incidents import alert_outbox
from stores.incidents.alert_search import SearchLimits
from stores.incidents.incident_store import IncidentStore, SessionOrigin
from tasks import alerts as tasks_alerts
from tasks import connections
from tasks.alerts import find_alerts, send_alerts
from tasks.channel_tests import answer_channel_test
from tests.fakes.channels import FakeMail, FakeSlack, FakeWebhook
from tests.fakes.server import Answer, Fault
from tests.integration.incident_store_cases import detection, history, incident_id, record
from tests.integration.test_export import artifact

ROOT = Path(__file__).parents[2]
AT_ONCE = ConfirmRule(min_sessions=1)
HOUR = timedelta(hours=1)
REPEATED = "This may be a repetition"


@pytest.fixture
def setting(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Change settings (``FURROW_*``, lower case, without the prefix) for this test alone."""

    def change(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"FURROW_{name.upper()}", value)
        documents.forget_blocks()

    return change


@pytest.fixture(autouse=True)
def installation(postgres_url: str, setting: Any, tmp_path: Path) -> Iterator[None]:
    setting(incident_store_url=postgres_url, public_url="https://furrow.test", data_dir=str(tmp_path))
    yield
    connections.close_connections()
    documents.forget_blocks()


@pytest.fixture
def store(postgres_url: str) -> Iterator[IncidentStore]:
    store = IncidentStore.connect(postgres_url)
    store.migrate()
    yield store
    store.close()


@pytest.fixture
def hook(setting: Any) -> Iterator[FakeWebhook]:
    with FakeWebhook() as fake:
        setting(alert_urls=f"ops={fake.channel}")
        yield fake
    assert fake.violations == []


@pytest.fixture
def slack(setting: Any) -> Iterator[FakeSlack]:
    with FakeSlack() as fake:
        setting(alert_urls=f"chat={fake.channel}", alert_slack_url=fake.api)
        yield fake
    assert fake.violations == []


def now() -> datetime:
    return datetime.now(UTC)


def confirm(store: IncidentStore, failure: str = "pay", project: str = "shop", **changes: Any) -> str:
    """An incident that its first session confirms."""
    record(
        store, detection(f"s-{failure}", failure, project=project, at=now(), **changes), rule=AT_ONCE, project=project
    )
    return incident_id(failure, project)


def run(channel: str = "ops") -> tasks_alerts.SentAlerts:
    """What one run does, without Prefect."""
    find_alerts.fn()
    return send_alerts.fn(channel)


def hasten(url: str) -> None:
    """Leases and waits are over."""
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE alerts SET lease_until = now() - interval '1 s' WHERE lease_until IS NOT NULL")
        connection.execute("UPDATE alerts SET retry_at = NULL WHERE state = 'waiting'")


def states(url: str) -> list[tuple[str, str]]:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT kind, state FROM alerts ORDER BY created_at, kind").fetchall()


# Occasions
# ----------------------------------------------------------------------------------------------------------------------


def test_a_new_incident_and_its_return_are_alerted_of_once(store: IncidentStore, hook: FakeWebhook) -> None:
    id_ = confirm(store)
    for _ in range(3):
        run()
    store.ledger.apply_action(id_, "resolve", "fixed in 2.5", "a person")
    record(store, detection("s-2", at=now() + 2 * HOUR), rule=AT_ONCE, received=now() + 2 * HOUR)
    for _ in range(3):
        run()
    assert [text.splitlines()[0] for text in hook.texts] == [
        '[shop] New incident: POST /api/orders → 500 on "Pay now" (/checkout): 1 session blocked (Medium)',
        '[shop] Came back: POST /api/orders → 500 on "Pay now" (/checkout): 2 sessions blocked (Medium)',
    ]
    assert f"https://furrow.test/incidents/{id_}" in hook.texts[0]


def test_a_draft_is_no_news_and_a_reopened_incident_neither(store: IncidentStore, hook: FakeWebhook) -> None:
    record(store, detection("s-1", at=now()))
    run()
    assert hook.messages == []
    id_ = confirm(store, "other")
    run()
    store.ledger.apply_action(id_, "resolve", "fixed", "a person")
    store.ledger.apply_action(id_, "reopen", "not fixed", "a person")
    run()
    assert len(hook.messages) == 1


def test_a_return_that_was_resolved_before_the_run_is_told_as_both(store: IncidentStore, hook: FakeWebhook) -> None:
    id_ = confirm(store)
    run()
    store.ledger.apply_action(id_, "resolve", "fixed in 2.5", "a person")
    record(store, detection("s-2", at=now() + 2 * HOUR), rule=AT_ONCE, received=now() + 2 * HOUR)
    store.ledger.apply_action(id_, "resolve", "fixed in 2.6", "a person")
    for _ in range(2):
        run()
    assert [text.splitlines()[0][:34] for text in hook.texts[1:]] == ["[shop] Resolved. Came back: POST /"]


@pytest.mark.parametrize(("action", "again"), [("resolve", False), ("suppress", False), ("suppress", True)])
def test_what_was_decided_before_the_run_is_no_news(
    store: IncidentStore, hook: FakeWebhook, action: Any, again: bool
) -> None:
    id_ = confirm(store)
    if again:
        run()
        store.ledger.apply_action(id_, "resolve", "fixed in 2.5", "a person")
        record(store, detection("s-2", at=now() + 2 * HOUR), rule=AT_ONCE, received=now() + 2 * HOUR)
    store.ledger.apply_action(id_, action, "seen", "a person")
    run()
    assert len(hook.messages) == again


def test_what_came_before_there_was_a_channel_is_never_sent(store: IncidentStore, setting: Any) -> None:
    confirm(store)
    find_alerts.fn()
    with FakeWebhook() as hook:
        setting(alert_urls=f"ops={hook.channel}")
        run()
        assert hook.messages == []
        confirm(store, "other")
        run()
        assert len(hook.messages) == 1


def test_a_flood_is_held_until_it_is_released(store: IncidentStore, hook: FakeWebhook, postgres_url: str) -> None:
    id_ = confirm(store)
    with psycopg.connect(postgres_url) as connection:
        connection.execute(
            "INSERT INTO floods SELECT 'shop', now() - interval '1 hour', now() + interval '1 hour', 1, 1"
        )
    run()
    assert hook.messages == []
    with psycopg.connect(postgres_url) as connection:
        connection.execute("UPDATE incidents SET released_at = now() WHERE incident_id = %s", (id_,))
    run()
    assert len(hook.messages) == 1


# Kills and failures
# ----------------------------------------------------------------------------------------------------------------------

_KILLED = """
import os, signal, sys
sys.path.insert(0, {root!r})
from tasks import alerts
from stores.incidents.alert_outbox import AlertOutbox
from trackers.alerts.apprise_channel import AppriseChannel
from trackers.alerts.slack import SlackBot

def kill(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def around(owner, name, after):
    method = getattr(owner, name)
    def wrapped(*arguments, **options):
        result = method(*arguments, **options) if after else None
        kill()
        return result
    setattr(owner, name, wrapped)

step = sys.argv[1]
name, moment = step.split("/")
for owner in (alerts.IncidentStore, AlertOutbox, AppriseChannel, SlackBot):
    if hasattr(owner, name):
        around(owner, name, moment == "after")
alerts.find_alerts.fn()
alerts.send_alerts.fn(sys.argv[2])
"""
# Whether the channel has the message when the process dies, and whether the next one says that it may be a repetition.
STEPS = {
    "spread_occasions/before": (0, False),
    "spread_occasions/after": (0, False),
    "claim_alerts/before": (0, False),
    "claim_alerts/after": (0, False),
    "begin_sending/before": (0, False),
    "begin_sending/after": (0, True),
    "send_message/before": (0, True),
    "send_message/after": (1, True),
    "record_sent/before": (1, True),
    "record_sent/after": (1, False),
}


def kill_at(step: str, channel: str) -> None:
    script = _KILLED.format(root=str(ROOT))
    ended = subprocess.run([sys.executable, "-c", script, step, channel], cwd=ROOT, capture_output=True, timeout=120)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()


@pytest.mark.parametrize("step", STEPS)
def test_a_kill_at_each_step_leaves_one_message_or_one_with_a_note(
    step: str, store: IncidentStore, hook: FakeWebhook, postgres_url: str
) -> None:
    confirm(store)
    kill_at(step, "ops")
    had, noted = STEPS[step]
    assert len(hook.messages) == had
    run()  # the lease holds: nobody sends it a second time while the first may be on its way
    assert len(hook.messages) == (
        1 if step in ("spread_occasions/before", "spread_occasions/after", "claim_alerts/before") else had
    )
    hasten(postgres_url)
    for _ in range(3):
        run()
    assert states(postgres_url) == [("confirmed", "sent")]
    assert len(hook.messages) == had + (step != "record_sent/after")
    assert [REPEATED in text for text in hook.texts] == [False] * had + ([noted] if step != "record_sent/after" else [])
    assert len({message["messageId"] for message in hook.messages}) == 1


def test_what_waits_for_a_channel_that_was_taken_out_is_told_and_degrades_nothing(
    store: IncidentStore, hook: FakeWebhook, postgres_url: str, prefect: None, setting: Any
) -> None:
    hook.stop()
    confirm(store)
    assert alerts(return_state=True).name == "Degraded"
    setting(alert_urls="")
    assert alerts(return_state=True).name == "Completed"
    assert "does not name this channel any more" in artifact("alerts")
    # Named again, it gets what waited.
    setting(alert_urls=f"ops={hook.channel}")
    hook.start()
    hasten(postgres_url)
    assert alerts(return_state=True).name == "Completed"
    assert states(postgres_url) == [("confirmed", "sent")]


def test_a_receiver_that_is_down_blocks_nothing_and_gets_all_when_it_is_back(
    store: IncidentStore, hook: FakeWebhook, postgres_url: str, prefect: None, setting: Any
) -> None:
    hook.stop()
    confirm(store)
    state: State[Any] = alerts(return_state=True)
    assert state.name == "Degraded"
    assert "secret-of-the-hook" not in str(state.message)
    # It waits, so that the channel is not asked again at once; the run says so.
    state = alerts(return_state=True)
    assert state.name == "Degraded"
    assert "1 alert waiting" in str(state.message)
    confirm(store, "other")
    hook.start()
    hasten(postgres_url)
    state = alerts(return_state=True)
    assert state.name == "Completed"
    assert len(hook.messages) == 2
    assert not any(REPEATED in text for text in hook.texts)
    assert alerts(return_state=True).name == "Completed"
    assert len(hook.messages) == 2


def test_a_lost_answer_is_sent_once_more_with_a_note(
    store: IncidentStore, hook: FakeWebhook, postgres_url: str
) -> None:
    hook.faults.append(Fault(lambda _: True, lost=True))
    confirm(store)
    assert run().error is not None
    hasten(postgres_url)
    run()
    assert [REPEATED in text for text in hook.texts] == [False, True]
    assert hook.messages[0]["messageId"] == hook.messages[1]["messageId"]


def test_a_group_whose_answer_was_lost_is_sent_again_as_it_was(
    store: IncidentStore, hook: FakeWebhook, postgres_url: str, setting: Any
) -> None:
    setting(alert_group="2")
    hook.faults.append(Fault(lambda _: True, lost=True))
    ids = {confirm(store, f"a{number}") for number in range(3)}
    run()
    later = [confirm(store, f"b{number}") for number in range(3)]
    hasten(postgres_url)
    run()
    first, again, others = hook.messages
    assert first["messageId"] == again["messageId"] != others["messageId"]
    for message in (first, again):
        assert {id_ for id_ in (*ids, *later) if id_ in message["message"]} == ids
    assert not any(id_ in others["message"] for id_ in ids)
    assert [REPEATED in text for text in hook.texts] == [False, True, False]


def test_alerts_that_never_arrived_are_grouped_anew_under_another_id(
    store: IncidentStore, hook: FakeWebhook, postgres_url: str, setting: Any
) -> None:
    """Each set of alerts has its id, so that a receiver that drops repetitions loses none."""
    setting(alert_group="2")
    hook.faults += [Fault(lambda _: True, Answer(503, {})) for _ in range(2)]
    ids = [confirm(store, f"a{number}") for number in range(3)]
    for _ in range(2):  # the same set, and the same id
        assert run().error is not None
        hasten(postgres_url)
    refused = {request.json["messageId"] for request in hook.requests}
    assert len(refused) == 1
    store.alert_outbox.snooze_incident(ids[0], now() + HOUR, "eve")
    run()
    sent = [message["messageId"] for message in hook.messages]
    assert len(set(sent) | refused) == 3


def test_a_refusal_is_repeated_later_without_a_note(store: IncidentStore, hook: FakeWebhook, postgres_url: str) -> None:
    hook.faults.append(Fault(lambda _: True, Answer(429, {}, {"Retry-After": "600"})))
    confirm(store)
    assert "429" in str(run().error)
    with psycopg.connect(postgres_url) as connection:
        row = connection.execute("SELECT retry_at - now() FROM alerts").fetchone()
    assert row is not None
    assert timedelta(seconds=500) < row[0] <= timedelta(seconds=600)
    hasten(postgres_url)
    run()
    assert [REPEATED in text for text in hook.texts] == [False]


@pytest.mark.parametrize(("status", "noted"), [(500, True), (502, True), (504, True), (503, False), (400, False)])
@pytest.mark.parametrize("channel", ["ops", "chat"])
def test_a_failure_behind_which_the_message_may_have_arrived_is_repeated_with_a_note(
    channel: str, status: int, noted: bool, store: IncidentStore, hook: FakeWebhook, setting: Any, postgres_url: str
) -> None:
    with FakeSlack() as slack:
        setting(alert_urls=f"ops={hook.channel} chat={slack.channel}", alert_slack_url=slack.api)
        fake: FakeWebhook | FakeSlack = hook if channel == "ops" else slack
        fake.faults.append(Fault(lambda _: True, Answer(status, {})))
        confirm(store)
        assert str(status) in str(run(channel).error)
        hasten(postgres_url)
        run(channel)
        assert [REPEATED in text for text in fake.texts] == [noted]


def test_a_redirect_is_not_followed(store: IncidentStore, hook: FakeWebhook) -> None:
    with FakeWebhook() as other:
        hook.faults.append(
            Fault(lambda _: True, Answer(307, None, {"Location": f"{other.address}/hook/secret-of-the-hook"}))
        )
        confirm(store)
        assert "307" in str(run().error)
        assert other.requests == []


def test_two_runs_at_once_send_each_alert_once(store: IncidentStore, hook: FakeWebhook) -> None:
    for number in range(3):
        confirm(store, f"f{number}")
    find_alerts.fn()
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tasks.alerts import send_alerts; send_alerts.fn('ops')"
    )
    runs = [subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, env=dict(os.environ)) for _ in range(3)]
    assert [process.wait(120) for process in runs] == [0, 0, 0]
    assert len(hook.messages) == 3


# Text and addresses
# ----------------------------------------------------------------------------------------------------------------------

HOSTILE = "<!channel> @here <script>alert(1)</script> [x](http://evil.test) *b* http://evil.test"


def test_hostile_text_pings_and_links_nobody(store: IncidentStore, hook: FakeWebhook) -> None:
    context = {"userHash": "", "environment": "", "appVersion": "", "label": HOSTILE[:60]}
    confirm(store, context=context)
    run()
    assert "@here" not in hook.texts[0]
    assert "http://evil" not in hook.texts[0]


def test_a_mail_is_html_without_the_markup_of_others(store: IncidentStore, setting: Any) -> None:
    with FakeMail() as mail:
        setting(alert_urls=f"mail={mail.channel}")
        confirm(store, context={"userHash": "", "environment": "", "appVersion": "", "label": HOSTILE[:60]})
        assert run("mail").error is None
    (message,) = mail.messages
    assert message["To"] == "team@example.com"
    assert str(message["Subject"]).startswith("[shop] New incident")
    body = message.get_body(("html",))
    assert body is not None
    text = body.get_content()
    assert "<script" not in text
    assert text.count("<a ") == 1
    assert 'href="https://furrow.test/incidents/' in text


def test_slack_gets_text_that_is_no_markup(store: IncidentStore, slack: FakeSlack) -> None:
    context = {"userHash": "", "environment": "", "appVersion": "", "label": "<!channel> @here"}
    confirm(store, context=context)
    run("chat")
    (body,) = slack.shown.values()
    assert {block["type"] for block in body["blocks"]} == {"rich_text"}
    assert "<!channel>" not in body["text"]
    assert "@here" not in "".join(slack.texts)
    assert (body["parse"], body["link_names"], body["unfurl_links"]) == ("none", False, False)


def test_a_webhook_of_slack(store: IncidentStore, slack: FakeSlack, setting: Any) -> None:
    setting(alert_urls="chat=slack://TAAAAAAAA/BBBBBBBBB/cccccccccccccccccccc")
    confirm(store)
    run("chat")
    assert len(slack.texts) == 1
    assert "New incident" in slack.texts[0]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("json://10.1.2.3/hook", "not encrypted"),
        ("jsons://10.1.2.3:9/hook", "not an address of the internet"),
        ("mailtos://user:pass@10.1.2.3:9?to=a@example.com&from=b@example.com", "not an address of the internet"),
        ("syslog://", "on this machine"),
        ("nonsense://x", "knows no channel"),
        ("slack://xoxb-1-2-secretsecret", "one channel for each"),
    ],
)
def test_addresses_that_are_not_allowed(url: str, words: str, store: IncidentStore, setting: Any) -> None:
    setting(alert_urls=f"ops={url}")
    confirm(store)
    error = str(run().error)
    assert words in error
    assert "pass" not in error
    assert "secretsecret" not in error


def test_a_private_network_that_is_named_is_allowed(store: IncidentStore, setting: Any) -> None:
    setting(alert_urls="ops=jsons://127.1.2.3:9/hook", tracker_private_networks="10.0.0.0/8")
    confirm(store)
    assert "not allowed" not in str(run().error)


def test_no_part_of_a_url_is_in_what_is_stored(store: IncidentStore, hook: FakeWebhook, postgres_url: str) -> None:
    hook.stop()
    confirm(store)
    run()
    with psycopg.connect(postgres_url) as connection:
        rows = connection.execute("SELECT a::text FROM alerts a").fetchall()
    assert "secret-of-the-hook" not in str(rows)
    assert "waiting" in str(rows)


# Searches
# ----------------------------------------------------------------------------------------------------------------------


def limits(**changes: Any) -> list[SearchLimits]:
    values = {
        "project": "shop", "per_source": 2, "growth_sessions": None, "growth_factor": 5.0, "share_percent": None,
        "user_times": None,
    }  # fmt: skip
    return [SearchLimits(**{**values, **changes})]


def occasions(url: str, kind: str) -> list[tuple[str, dict[str, Any]]]:
    with psycopg.connect(url) as connection:
        return connection.execute(
            "SELECT incident_id, facts FROM alert_occasions WHERE kind = %s ORDER BY at, incident_id", (kind,)
        ).fetchall()


def show(store: IncidentStore, failure: str, hour: datetime, sessions: int, **changes: Any) -> None:
    """So many sessions of the incident were received within this hour, each from a source of its own."""
    found = [
        detection(f"{failure}-{hour.isoformat()}-{n}", failure, at=hour + timedelta(seconds=n + 1), **changes)
        for n in range(sessions)
    ]
    if found:
        record(store, *found, rule=AT_ONCE, received=None)


def begin_at(url: str, failure: str, at: datetime) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE incidents SET created_at = %s WHERE incident_id = %s", (at, incident_id(failure)))


def test_growth_is_many_times_what_is_usual_for_the_incident(store: IncidentStore, postgres_url: str) -> None:
    end = now().replace(minute=0, second=0, microsecond=0) - 30 * HOUR
    for back in range(2, 50):
        show(store, "busy", end - back * HOUR, 3)  # 3 an hour
    begin_at(postgres_url, "busy", end - 49 * HOUR)
    wanted = limits(growth_sessions=10, growth_factor=5.0)
    show(store, "busy", end - HOUR, 14)
    assert store.alert_search.note_findings(wanted, end) == 0
    show(store, "busy", end - HOUR + timedelta(minutes=30), 1)
    assert store.alert_search.note_findings(wanted, end) == 1
    ((id_, facts),) = occasions(postgres_url, "growing")
    assert id_ == incident_id("busy")
    assert facts == {"sessions": 15, "usual": 3.0}
    # Once within a day, however often it is searched for.
    assert store.alert_search.note_findings(wanted, end) == 0
    show(store, "busy", end, 60)
    assert store.alert_search.note_findings(wanted, end + HOUR) == 0
    show(store, "busy", end + 24 * HOUR, 60)
    assert store.alert_search.note_findings(wanted, end + 25 * HOUR) == 1


def test_a_quiet_incident_needs_the_minimum(store: IncidentStore, postgres_url: str) -> None:
    end = now().replace(minute=0, second=0, microsecond=0)
    show(store, "rare", end - 40 * HOUR, 1)
    begin_at(postgres_url, "rare", end - 40 * HOUR)
    show(store, "rare", end - HOUR, 9)
    assert store.alert_search.note_findings(limits(growth_sessions=10), end) == 0
    assert store.alert_search.note_findings(limits(growth_sessions=9), end) == 1


def test_a_new_incident_is_compared_with_the_others(store: IncidentStore, postgres_url: str) -> None:
    end = now().replace(minute=0, second=0, microsecond=0)
    show(store, "new", end - HOUR, 20)
    begin_at(postgres_url, "new", end - HOUR)
    assert store.alert_search.note_findings(limits(growth_sessions=10), end) == 0  # nothing to compare with
    for back in range(2, 170):
        show(store, "old", end - back * HOUR, 5)
    begin_at(postgres_url, "old", end - 400 * HOUR)
    assert store.alert_search.note_findings(limits(growth_sessions=10, growth_factor=5.0), end) == 0  # 5 are usual
    assert store.alert_search.note_findings(limits(growth_sessions=10, growth_factor=4.0), end) == 1
    assert [id_ for id_, _ in occasions(postgres_url, "growing")] == [incident_id("new")]


def test_one_source_makes_no_growth(store: IncidentStore, postgres_url: str) -> None:
    end = now().replace(minute=0, second=0, microsecond=0)
    show(store, "one", end - 40 * HOUR, 1)
    begin_at(postgres_url, "one", end - 40 * HOUR)
    found = [detection(f"one-{n}", "one", at=end - HOUR + timedelta(seconds=n + 1)) for n in range(30)]
    record(store, *found, rule=AT_ONCE, origins={f"one-{n}": SessionOrigin(7 | 1 << 62, None) for n in range(30)})
    assert store.alert_search.note_findings(limits(growth_sessions=10), end) == 0


@pytest.mark.parametrize(("reached", "hit", "found"), [(60, 6, 0), (60, 9, 1), (4, 4, 0)])
def test_the_share_counts_by_the_lower_bound(
    reached: int, hit: int, found: int, store: IncidentStore, postgres_url: str
) -> None:
    id_ = confirm(store)
    with psycopg.connect(postgres_url) as connection:
        connection.execute(
            "INSERT INTO incident_reach VALUES (%s, %s, false, false, '', '', %s, %s), (%s, %s, false, false, '', '', 9, 9)",
            (
                id_,
                int((now() - HOUR).timestamp() * 1000),
                reached,
                hit,
                id_,
                int((now() - 30 * HOUR).timestamp() * 1000),
            ),
        )
    assert store.alert_search.note_findings(limits(share_percent=7.5)) == found
    assert store.alert_search.note_findings(limits(share_percent=7.5)) == 0
    assert [facts["hit"] for _, facts in occasions(postgres_url, "share")] == [hit] * found


def test_one_user_hit_again_and_again(store: IncidentStore, postgres_url: str) -> None:
    user = "a" * 32
    record(store, *[detection(f"s-{n}", at=now() - n * HOUR, user=user) for n in range(4)])
    record(store, *[detection(f"t-{n}", at=now(), user="b" * 32) for n in range(2)])
    assert store.alert_search.note_findings(limits(user_times=5)) == 0
    assert store.alert_search.note_findings(limits(user_times=4)) == 1
    assert store.alert_search.note_findings(limits(user_times=4)) == 0
    ((_, facts),) = occasions(postgres_url, "user")
    assert facts == {"sessions": 4}
    with psycopg.connect(postgres_url) as connection:
        rows = connection.execute("SELECT o::text FROM alert_occasions o").fetchall()
    assert user not in str(rows)  # it is erased with the user


def test_kinds_are_chosen_by_project(store: IncidentStore, hook: FakeWebhook) -> None:
    store.keys.save_project("shop", settings={"alertKinds": ["regressed"]})
    confirm(store)
    confirm(store, project="blog")
    run()
    assert [text.splitlines()[0][:6] for text in hook.texts] == ["[blog]"]


def test_channels_of_a_project_and_of_an_owner(store: IncidentStore, setting: Any, tmp_path: Path) -> None:
    owners = tmp_path / "OWNERS"
    with FakeWebhook() as first, FakeWebhook() as second, FakeWebhook() as third:
        setting(alert_urls=f"ops={first.channel} blog={second.channel} pay={third.channel}", owners_file=str(owners))
        store.keys.save_project("blog", settings={"alertChannels": ["blog"]})
        store.keys.save_project("shop", settings={"alertChannels": ["ops"], "alertOwners": {"team-pay": ["pay"]}})
        owners.write_text("[shop]\ncontrol:*pay @team-pay @eve\n")
        confirm(store)
        confirm(store, "other")
        confirm(store, project="blog")
        for name in ("ops", "blog", "pay"):
            run(name)
        assert [len(fake.messages) for fake in (first, second, third)] == [1, 1, 1]
        assert "[blog]" in second.texts[0]
        assert incident_id("pay") in third.texts[0]


def test_the_channel_of_a_person_who_was_assigned_wins_over_that_of_the_rules(
    store: IncidentStore, setting: Any, tmp_path: Path
) -> None:
    owners = tmp_path / "OWNERS"
    owners.write_text("[shop]\n* @team-pay\n")
    with FakeWebhook() as first, FakeWebhook() as second:
        setting(alert_urls=f"pay={first.channel} ann={second.channel}", owners_file=str(owners))
        store.keys.save_project("shop", settings={"alertOwners": {"team-pay": ["pay"], "ann": ["ann"]}})
        store.ledger.assign_incident(confirm(store), "ann", "", "eve")
        confirm(store, "other")
        for name in ("pay", "ann"):
            run(name)
        assert [incident_id("other") in text for text in first.texts] == [True]
        assert [incident_id("pay") in text for text in second.texts] == [True]


def test_owners_of_many_incidents_cost_no_query_each(store: IncidentStore, hook: FakeWebhook) -> None:
    store.keys.save_project("shop", settings={"alertOwners": {"team-pay": ["ops"]}})
    find_alerts.fn()

    def count_reads(*failures: str) -> int:
        for failure in failures:
            confirm(store, failure)
        read: list[str] = []

        def note(*event: Any) -> None:
            read.extend([event[2]] if event[2].lstrip().startswith("SELECT") else [])

        sa.event.listen(sa.Engine, "before_cursor_execute", note)
        try:
            assert find_alerts.fn().rows == len(failures)
        finally:
            sa.event.remove(sa.Engine, "before_cursor_execute", note)
        return len(read)

    assert count_reads("first") == count_reads(*(f"more-{number}" for number in range(7)))


# Groups, snoozing, quiet hours, digests
# ----------------------------------------------------------------------------------------------------------------------


def test_many_alerts_of_a_run_are_one_message(store: IncidentStore, hook: FakeWebhook, setting: Any) -> None:
    for number in range(3):
        confirm(store, f"a{number}")
    run()
    assert len(hook.messages) == 3
    for number in range(30):
        confirm(store, f"b{number}")
    run()
    assert len(hook.messages) == 4
    assert hook.texts[3].startswith("[shop] 30 alerts")
    assert "and 10 more" in hook.texts[3]


def test_a_snoozed_incident_alerts_nobody(store: IncidentStore, hook: FakeWebhook, postgres_url: str) -> None:
    id_ = confirm(store)
    store.alert_outbox.snooze_incident(id_, now() + HOUR, "eve", "we know")
    run()
    assert hook.messages == []
    assert states(postgres_url) == [("confirmed", "snoozed")]
    assert store.alert_outbox.wake_incident(id_, "eve")
    store.ledger.apply_action(id_, "resolve", "fixed", "eve")
    record(store, detection("s-2", at=now() + 2 * HOUR), rule=AT_ONCE)
    run()
    assert ["Came back" in text for text in hook.texts] == [True]


def test_snoozing_reaches_what_waits(store: IncidentStore, hook: FakeWebhook, postgres_url: str) -> None:
    hook.stop()
    id_ = confirm(store)
    run()
    store.alert_outbox.snooze_incident(id_, now() + HOUR, "eve")
    hook.start()
    hasten(postgres_url)
    run()
    assert hook.messages == []


def clock_span(start: timedelta, end: timedelta) -> str:
    return f"{now() + start:%H:%M}-{now() + end:%H:%M}"


def test_quiet_hours_end_with_one_message(store: IncidentStore, hook: FakeWebhook, setting: Any) -> None:
    setting(alert_quiet_hours=clock_span(-HOUR, HOUR))
    confirm(store)
    confirm(store, "other")
    run()
    assert hook.messages == []
    setting(alert_quiet_hours=clock_span(2 * HOUR, 3 * HOUR))
    confirm(store, "now")
    run()
    assert [text.splitlines()[0][:15] for text in hook.texts] == ["[shop] 2 alerts", "[shop] New inci"]
    assert "quiet hours" in hook.texts[0]


def test_a_digest_is_sent_once(store: IncidentStore, hook: FakeWebhook, setting: Any, postgres_url: str) -> None:
    setting(alert_kinds="regressed", alert_digest=f"daily {now() - timedelta(minutes=2):%H:%M}")
    for number in range(7):
        confirm(store, f"f{number}", endedFlow=number == 3)
    back = confirm(store, "back")
    store.ledger.apply_action(back, "resolve", "fixed", "eve")
    fixed = confirm(store, "fixed")
    store.ledger.apply_action(fixed, "resolve", "fixed", "eve")
    with psycopg.connect(postgres_url) as connection:
        connection.execute("INSERT INTO incident_steps VALUES (%s, 1, 'action', 1, now(), now())", (fixed,))
    record(store, detection("s-2", "back", at=now() + 2 * HOUR), rule=AT_ONCE)
    for _ in range(3):
        run()
    digests = [text for text in hook.texts if "Digest" in text]
    assert len(digests) == 1
    parts = {part.splitlines()[0]: part for part in digests[0].split("\n\n")}
    worst = next(part for name, part in parts.items() if "The five worst" in part)
    assert worst.count("/incidents/") == 5
    # The most severe first: one came back with two sessions, one ended the flow of its session; the others did not.
    assert [part.split("\n")[0] for part in worst.split("/incidents/")[1:3]] == [back, incident_id("f3")]
    assert back in parts["Came back"]
    assert fixed in parts["Fixed and proven"]


# Changing messages
# ----------------------------------------------------------------------------------------------------------------------


def test_slack_shows_the_state_of_now(store: IncidentStore, slack: FakeSlack, postgres_url: str) -> None:
    id_ = confirm(store)
    run("chat")
    assert "Resolved" not in slack.texts[0]
    store.ledger.apply_action(id_, "resolve", "fixed", "eve")
    for _ in range(3):
        run("chat")
    assert (slack.posts, slack.updates) == (1, 1)
    assert "Resolved. New incident" in slack.texts[0]
    with psycopg.connect(postgres_url) as connection:
        connection.execute("INSERT INTO incident_steps VALUES (%s, 1, 'action', 1, now(), now())", (id_,))
    run("chat")
    assert "the fix is confirmed" in slack.texts[0]


def test_a_change_that_fails_is_made_later(store: IncidentStore, slack: FakeSlack) -> None:
    id_ = confirm(store)
    run("chat")
    store.ledger.apply_action(id_, "suppress", "noise", "eve")
    slack.faults.append(Fault(lambda request: request.path.endswith("update"), Answer(503, {})))
    assert run("chat").error is not None
    assert run("chat").changed == 1
    assert "Suppressed" in slack.texts[0]


def test_a_message_that_a_person_deleted_stays_deleted(store: IncidentStore, slack: FakeSlack) -> None:
    id_ = confirm(store)
    run("chat")
    slack.shown.clear()
    store.ledger.apply_action(id_, "resolve", "fixed", "eve")
    assert run("chat").error is None
    run("chat")
    assert slack.shown == {}
    assert len([request for request in slack.requests if request.path.endswith("update")]) == 1


def test_a_refusal_of_slack_is_in_its_words(store: IncidentStore, slack: FakeSlack, setting: Any) -> None:
    setting(alert_urls="chat=slack://xoxb-0-0-anothertoken/ops")
    confirm(store)
    error = str(run("chat").error)
    assert "invalid_auth" in error
    assert "anothertoken" not in error


# Forgetting, and what reading costs
# ----------------------------------------------------------------------------------------------------------------------


def test_old_alerts_are_forgotten_and_never_told_again(
    store: IncidentStore, hook: FakeWebhook, postgres_url: str, prefect: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stores.incidents.alert_outbox._FORGET_BATCH", 2)
    for number in range(5):
        confirm(store, f"old-{number}")
    snoozed = confirm(store, "snoozed")
    store.alert_outbox.snooze_incident(snoozed, now() + HOUR, "eve")
    kept = confirm(store, "kept")
    run()
    hook.stop()
    confirm(store, "waiting")
    run()
    with psycopg.connect(postgres_url) as connection:
        connection.execute("UPDATE alerts SET created_at = now() - interval '91 days'")
        connection.execute("UPDATE alerts SET sent_at = now() - interval '91 days' WHERE sent_at IS NOT NULL")
        # It waited for long: it was sent not long ago, and its message may still change.
        connection.execute("UPDATE alerts SET sent_at = now() - interval '89 days' WHERE incident_id = %s", (kept,))
        connection.execute(
            "INSERT INTO alert_occasions (incident_id, kind, occasion, at, spread_at) VALUES "
            "(%(id)s, 'growing', 'old', now() - interval '91 days', now()), "
            "(%(id)s, 'growing', 'new', now() - interval '89 days', now()), "
            "(%(id)s, 'share', '1', now() - interval '91 days', now())",
            {"id": kept},
        )
    assert retention(return_state=True).name == "Completed"
    with psycopg.connect(postgres_url) as connection:
        left = connection.execute("SELECT incident_id, state FROM alerts ORDER BY state").fetchall()
        known = connection.execute("SELECT kind, occasion FROM alert_occasions WHERE kind <> 'confirmed' ORDER BY 1, 2")
        assert known.fetchall() == [("growing", "new"), ("share", "1")]
    assert left == [(kept, "sent"), (incident_id("waiting"), "waiting")]
    hook.start()
    hasten(postgres_url)
    for _ in range(2):
        run()
    assert len(hook.messages) == 2
    assert incident_id("waiting") in hook.texts[1]
    assert incident_id("old-0") not in hook.texts[1]


def test_snoozes_that_ended_long_ago_are_forgotten(
    store: IncidentStore, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stores.incidents.alert_outbox._FORGET_BATCH", 2)
    ended = {confirm(store, f"ended-{number}"): now() - 91 * 24 * HOUR for number in range(3)}
    recent, running = confirm(store, "recent"), confirm(store, "running")
    for id_, until in {**ended, recent: now() - 89 * 24 * HOUR, running: now() + HOUR}.items():
        store.alert_outbox.snooze_incident(id_, until, "eve")
    with psycopg.connect(postgres_url) as connection:
        # When somebody said so does not count: a snooze may be longer than what is kept.
        connection.execute("UPDATE alert_snoozes SET at = now() - interval '200 days'")
    assert retention(return_state=True).name == "Completed"
    with psycopg.connect(postgres_url) as connection:
        left = {row[0] for row in connection.execute("SELECT incident_id FROM alert_snoozes").fetchall()}
    assert left == {recent, running}
    assert [snooze.incident_id for snooze in store.alert_outbox.list_snoozes()] == [running]


@pytest.mark.parametrize("name", ["_OF_MESSAGES", "_LIST", "_FORGET_ALERTS"])
def test_many_alerts_are_read_by_an_index(store: IncidentStore, name: str) -> None:
    id_ = confirm(store)
    values: dict[str, Any] = {"ids": ["00000000-0000-4000-8000-000000000000"], "days": 90, "number": 5_000}
    values |= {"project": None, "waiting": False, "limit": 50}
    with store._database.open_transaction() as connection:
        connection.execute(
            sa.text("""
                INSERT INTO alerts (project, incident_id, kind, occasion, channel, state, message_id, created_at, sent_at)
                SELECT 'shop', :id, 'growing', n, 'ops', 'sent', gen_random_uuid(), now() - n * interval '6 minutes', now()
                FROM generate_series(1, 20000) n
            """),
            {"id": id_},
        )
        connection.execute(sa.text("ANALYZE alerts"))
        statement = getattr(alert_outbox, name)
        wanted = {key: value for key, value in values.items() if key in statement.compile().params}
        plan = "\n".join(connection.execute(sa.text(f"EXPLAIN {statement.text}"), wanted).scalars())
    assert "Seq Scan on alerts" not in plan


# Commands
# ----------------------------------------------------------------------------------------------------------------------


def test_the_commands(store: IncidentStore, hook: FakeWebhook, setting: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    id_ = confirm(store)

    def call(*arguments: str, code: int = 0) -> str:
        ended = subprocess.run(
            [sys.executable, "-m", "furrow", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ended.returncode == code, ended.stderr
        return ended.stdout + ended.stderr

    assert "ops: sent" in call("alerts", "test")
    assert hook.texts[0].startswith("Furrow: a test")
    assert "no channel other; it has ops" in call("alerts", "test", "--channel", "other", code=1)
    assert "is snoozed until" in call("alerts", "snooze", id_, "--for", "4h", "--reason", "we know")
    assert "is no span of time" in call("alerts", "snooze", id_, "--for", "soon", code=2)
    run()
    listed = json.loads(call("alerts", "list", "--json"))
    assert [(alert["kind"], alert["state"]) for alert in listed["alerts"]] == [("confirmed", "snoozed")]
    assert [snooze["incidentId"] for snooze in listed["snoozed"]] == [id_]
    assert "no longer snoozed" in call("alerts", "snooze", id_, "--for", "0")
    hook.stop()
    assert "secret-of-the-hook" not in call("alerts", "test", code=1)
    hook.start()


def test_a_test_that_a_page_asks_for_is_sent_once_and_answered(
    store: IncidentStore, hook: FakeWebhook, setting: Any
) -> None:
    assert answer_channel_test.fn() == 0
    assert hook.messages == []
    store.channel_tests.ask_for_test("ann")
    setting(alert_urls=f"ops={hook.channel} closed=json://127.0.0.1:9/hook-token odd=nothing://x")
    assert answer_channel_test.fn() == 1
    assert answer_channel_test.fn() == 0
    assert [text.splitlines()[0] for text in hook.texts] == ["Furrow: a test"]
    test = store.channel_tests.read_test()
    assert test is not None
    assert [answer[:2] for answer in test.answers] == [("ops", True), ("closed", False), ("odd", False)]
    assert [bool(answer.answer) for answer in test.answers] == [False, True, True]
    assert "hook-token" not in str(test)
    store.channel_tests.ask_for_test("ben")
    store.channel_tests.record_answers(test, test.answers)  # of the test before: they come too late
    again = store.channel_tests.read_test()
    assert again is not None
    assert (again.asked_by, again.answered_at, again.answers) == ("ben", None, ())


def test_a_channel_that_refuses_a_test_is_an_answer_and_alerts_go_on(
    store: IncidentStore, hook: FakeWebhook, prefect: None
) -> None:
    confirm(store)
    store.channel_tests.ask_for_test("ann")
    hook.faults.append(Fault(lambda _: True, Answer(500)))
    state: State[Any] = alerts(return_state=True)
    assert state.name == "Completed"
    assert len(hook.messages) == 1
    assert "[shop] New incident" in hook.texts[0]
    test = store.channel_tests.read_test()
    assert test is not None
    assert [(answer.sent, "500" in answer.answer) for answer in test.answers] == [(False, True)]


def test_who_snoozed_an_incident_is_in_its_history(store: IncidentStore) -> None:
    id_ = confirm(store)
    store.alert_outbox.snooze_incident(id_, now() + HOUR, "eve", "we know")
    snooze = store.alert_outbox.find_snooze(id_)
    assert snooze is not None
    assert (snooze.actor, snooze.reason) == ("eve", "we know")
    assert store.alert_outbox.wake_incident(id_, "ann")
    assert not store.alert_outbox.wake_incident(id_, "ann")
    assert not store.alert_outbox.wake_incident("inc_unknown", "ann")
    assert store.alert_outbox.find_snooze(id_) is None
    store.alert_outbox.snooze_incident(id_, now() - HOUR, "eve")
    (first, second, third) = history(store, id_)[-3:]
    assert (first[1], second[1], third[1]) == ("confirmed",) * 3
    assert first[2].startswith("alerts snoozed until ")
    assert first[2].endswith(" UTC: we know")
    assert (second[2], third[2]) == ("alerts no longer snoozed",) * 2


def test_doctor_names_channels_that_are_none(setting: Any) -> None:
    setting(
        alert_urls="ops=nonsense://secretsecret mail=mailtos://u:p@mail.example.com?to=a@example.com chat=slack://xoxb-1-2-abc/ops"
    )
    found = {name: (fine, words) for name, fine, words in check_channels(Settings())}
    assert found["ops"][0] is False
    assert "knows no channel" in found["ops"][1]
    assert "secretsecret" not in str(found)
    assert (found["mail"][0], found["chat"]) == (True, (True, "Slack, a bot"))
