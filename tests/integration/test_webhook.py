"""The webhook against a receiver that checks signatures and does each thing once, and the receiver of the documentation."""

import base64
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from pydantic import SecretStr

from core.errors import PermanentError, TransientError
from tests.fakes.server import Answer, Fault
from tests.fakes.webhook import SECRET, FakeWebhook, is_create
from tests.integration.forge_cases import Waits, regressed, ticket
from trackers.gate import AccessRefused, use_gate
from trackers.protocol import FindsTwins, KeepsFacts
from trackers.ticket import growth_comment, proof_comment
from trackers.webhook import WebhookTracker
from trackers.webhook.signing import Signer

PAGE = Path(__file__).parents[2] / "docs" / "trackers.md"


@pytest.fixture
def site() -> Iterator[FakeWebhook]:
    with FakeWebhook() as fake:
        yield fake
    assert fake.violations == []


@pytest.fixture
def tracker(site: FakeWebhook) -> Iterator[WebhookTracker]:
    made = connect(site.url)
    yield made
    made.close()


def connect(url: str, topic: str = "", **topics: str) -> WebhookTracker:
    return WebhookTracker(SecretStr(SECRET), url, topic, topics)


def only(site: FakeWebhook) -> dict[str, Any]:
    (event,) = site.events.values()
    return event


def test_the_signature_is_that_of_the_standard() -> None:
    """The example of standard-webhooks/standard-webhooks, spec/standard-webhooks.md, and its libraries' tests."""
    signer = Signer(SecretStr("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
    signed = signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signed["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    "secret", ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "whsec_!", "whsec_c2hvcnQ=", "whsec_" + "A" * 200]
)
def test_a_secret_of_another_form_is_refused_and_not_repeated(secret: str) -> None:
    with pytest.raises(PermanentError, match="webhook secret is not") as refusal:
        Signer(SecretStr(secret))
    assert not secret.removeprefix("whsec_") or secret not in str(refusal.value)


def test_a_ticket_is_an_event(site: FakeWebhook) -> None:
    client_id = uuid4()
    tracker = connect(site.url, "web", bank="money")
    filed = tracker.file_ticket(ticket(), client_id)
    assert (filed.key, filed.url) == ("T-1", "https://tickets.test/T-1")
    event = only(site)
    assert (event["id"], event["type"]) == (str(client_id), "dev.furrow.incident.created")
    assert event["subject"] == event["data"]["incident"]["id"] == ticket().incident_id
    assert event["data"]["incident"]["affectedSessions"] == 37
    assert event["data"]["labels"] == ["furrow", "high", "bug", "checkout"]
    assert "## What users tried" in event["data"]["text"]
    assert event["data"]["topic"] == "web"
    tracker.file_ticket(ticket(projectId="bank"), uuid4())
    assert list(site.events.values())[1]["data"]["topic"] == "money"
    tracker.close()


def test_a_receiver_need_not_answer_anything() -> None:
    with FakeWebhook(answers=False) as site:
        client_id = uuid4()
        filed = connect(site.url).file_ticket(ticket(), client_id)
        assert (filed.key, filed.url) == (str(client_id), ticket().url)


@pytest.mark.parametrize(
    ("answer", "key", "url"),
    [
        ({"key": "OPS-1", "url": "javascript:alert(1)"}, "OPS-1", None),
        ({"key": "OPS-1", "url": "https://me:pw@x.test/"}, "OPS-1", None),
        ({"key": "OPS-1", "url": "https://x.test/)](https://y"}, "OPS-1", None),
        ({"key": "<b>", "url": "https://x.test/1"}, None, "https://x.test/1"),
        ({"key": 7}, None, None),
        ("<html>", None, None),
    ],
)
def test_what_a_receiver_answers_is_not_believed(
    site: FakeWebhook, tracker: WebhookTracker, answer: Any, key: str | None, url: str | None
) -> None:
    site.faults = [Fault(is_create, Answer(200, answer))]
    client_id = uuid4()
    filed = tracker.file_ticket(ticket(), client_id)
    assert (filed.key, filed.url) == (key or str(client_id), url or ticket().url)


def test_a_lost_answer_makes_no_second_ticket(site: FakeWebhook, tracker: WebhookTracker) -> None:
    client_id = uuid4()
    site.faults = [Fault(is_create, lost=True)]
    with pytest.raises(TransientError, match="the webhook did not answer"):
        tracker.file_ticket(ticket(), client_id)
    assert tracker.find_ticket(ticket(), client_id) is None
    assert tracker.file_ticket(ticket(), client_id).key == "T-1"
    assert (len(site.issues), len(site.events), site.repeats) == (1, 1, 1)


def test_each_thing_is_told_once(site: FakeWebhook, tracker: WebhookTracker) -> None:
    assert isinstance(tracker, KeepsFacts)
    assert not isinstance(tracker, FindsTwins)
    shown = tracker.file_ticket(ticket(), uuid4()).shown
    assert shown is not None
    assert tracker.update_facts("T-1", ticket(), shown) == shown
    grown = ticket(affectedSessions=90)
    for _ in range(2):
        now = tracker.update_facts("T-1", grown, shown)
        tracker.add_note("T-1", f"growth\0{grown.recurrence_id}\0" + "37", growth_comment(grown, 37))
        tracker.add_note("T-1", f"proof\0{grown.recurrence_id}", proof_comment(grown))
        tracker.report_recurrence("T-1", regressed())
    assert tracker.update_facts("T-1", grown, now) == now
    assert site.types() == ["created", "updated", "grown", "fix_confirmed", "reopened"]
    events = list(site.events.values())
    assert all(UUID(event["id"]).version == 4 for event in events)
    assert {event["subject"] for event in events} == {ticket().incident_id}
    assert all(event["data"]["ticket"] == "T-1" for event in events[1:])
    assert events[1]["data"]["incident"]["affectedSessions"] == 90
    assert events[4]["data"]["reason"] == "4 sessions that started after the fix"
    again = ticket(status="regressed", history=[{"from": "resolved", "to": "regressed", "reason": "x"}], generation=2)
    tracker.report_recurrence("T-1", again)
    assert len(site.events) == 6


def test_each_attempt_is_signed_anew(
    site: FakeWebhook, tracker: WebhookTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    times = iter([now - 60, now])
    monkeypatch.setattr("trackers.webhook.tracker.time", SimpleNamespace(time=lambda: next(times)))
    site.faults = [Fault(is_create, Answer(429, {}, {"Retry-After": "3"}))]
    gate = Waits()
    with use_gate(gate):
        assert tracker.file_ticket(ticket(), uuid4()).key == "T-1"
    sent = [request.headers for request in site.requests]
    assert gate.closed == [3]
    assert sent[0]["webhook-id"] == sent[1]["webhook-id"]
    assert int(sent[1]["webhook-timestamp"]) - int(sent[0]["webhook-timestamp"]) == 60


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (Answer(401, {"message": "no such secret"}), AccessRefused, "the webhook answered 401: no such secret"),
        (Answer(404, "gone"), AccessRefused, "the webhook answered 404"),
        (Answer(410, "gone"), AccessRefused, "the webhook answered 410"),
        (Answer(422, {"error": "no such topic"}), PermanentError, "422: no such topic"),
        (Answer(503, ""), TransientError, "the webhook answered 503"),
        (Answer(302, None, {"Location": "https://x.test/"}), PermanentError, "a redirect to x.test"),
    ],
    ids=lambda one: str(one.status) if isinstance(one, Answer) else "",
)
def test_refusals_are_in_its_own_words(
    site: FakeWebhook, tracker: WebhookTracker, answer: Answer, kind: type[Exception], words: str
) -> None:
    site.faults = [Fault(is_create, answer)]
    with pytest.raises(kind, match=re.escape(words)) as refusal:
        tracker.file_ticket(ticket(), uuid4())
    assert SECRET not in str(refusal.value)


def test_access_is_checked_without_an_event(site: FakeWebhook) -> None:
    tracker = connect(site.url, "web")
    assert tracker.check_access() == "signed events, topic web"
    site.faults = [Fault(lambda _: True, Answer(405, ""))]
    assert tracker.check_access() == "signed events, topic web"
    assert not site.events
    with pytest.raises(PermanentError, match="the webhook answered 404"):
        connect(f"{site.address}/elsewhere").check_access()
    with pytest.raises(PermanentError, match="is no topic"):
        connect(site.url, "a b").check_access()


def test_an_address_holds_no_secret() -> None:
    with pytest.raises(PermanentError, match="has a query") as refusal:
        connect("https://x.invalid/?sig=hunter2")
    assert "hunter2" not in str(refusal.value)


def test_text_of_browsers_refers_to_nothing(site: FakeWebhook, tracker: WebhookTracker) -> None:
    point = {"route": "/x", "target": "fixes #12 <script>", "feedback": "@everyone /close"}
    tracker.file_ticket(ticket(label="closes #12", failurePoint=point), uuid4())
    text = only(site)["data"]["text"]
    assert "closes #12" not in text
    assert "@everyone" not in text


# The receiver of the documentation
# ----------------------------------------------------------------------------------------------------------------------


@contextmanager
def receiver(directory: Path) -> Iterator[tuple[str, Path]]:
    """The address of the receiver that docs/trackers.md shows, and the file with its output."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (directory / "receiver.py").write_text(code)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {"PATH": os.environ["PATH"], "FURROW_WEBHOOK_SECRET": SECRET, "PORT": str(port)}
    output = directory / "output"
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, str(directory / "receiver.py")], env=environment, stdout=file, stderr=subprocess.DEVNULL
        )
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/", output
    finally:
        process.kill()
        process.wait()


def test_the_receiver_of_the_documentation_works(tmp_path: Path) -> None:
    with receiver(tmp_path) as (url, output):
        tracker, client_id = connect(url), uuid4()
        assert tracker.check_access() == "signed events"
        assert [tracker.file_ticket(ticket(), client_id).key for _ in range(2)] == ["TICKET-1", "TICKET-1"]
        tracker.report_recurrence("TICKET-1", regressed())
        stranger = WebhookTracker(SecretStr("whsec_" + base64.b64encode(b"x" * 32).decode()), url, "", {})
        with pytest.raises(AccessRefused, match="401"):
            stranger.file_ticket(ticket(), uuid4())
        signed = Signer(SecretStr(SECRET)).sign("old", int(time.time()) - 600, b"{}")
        assert httpx.post(url, content=b"{}", headers=dict(signed)).status_code == 401
        lines = output.read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["dev.furrow.incident.created", "dev.furrow.incident.reopened"]
