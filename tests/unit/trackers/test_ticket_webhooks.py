"""Signatures of webhooks as the trackers' documentation shows them, and which tickets bodies name."""

from typing import Any
from uuid import UUID

import pytest

from trackers.ticket_webhooks import (
    LONGEST_AGE_MS,
    WEBHOOK_KINDS,
    NamedTickets,
    WebhookKind,
    find_webhook_kind,
)

SECRET = "It's a Secret to Everybody"
NOW = 1_700_000_000_000


def kind(tracker: str) -> WebhookKind:
    found = find_webhook_kind(tracker)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("tracker", "secret", "body", "header"),
    [
        # Atlassian's and GitHub's documentation, RFC 4231 (case 2).
        ("jira", SECRET, b"Hello World!", "sha256=a4771c39fbe90f317c7824e83ddef3caae9cb3d976c214ace1f2937e133263c9"),
        ("github", SECRET, b"Hello, World!", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"),
        (
            "linear",
            "Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        ("gitlab", SECRET, b"anything", SECRET),
    ],
)
def test_the_signature_of_the_documentation_is_genuine_and_no_other(
    tracker: str, secret: str, body: bytes, header: str
) -> None:
    found = kind(tracker)
    assert found.has_form(header)
    assert found.is_genuine(header.encode(), body, secret)
    assert not found.is_genuine(header.encode(), body, secret + "x")
    assert not found.is_genuine(header[:-1].encode() + b"\xff", body, secret)
    assert not found.is_genuine(header[:-1].encode(), body, secret)
    if found.prefix is not None:
        assert not found.is_genuine(header.encode(), body + b" ", secret)


@pytest.mark.parametrize(
    ("tracker", "header"),
    [
        ("jira", "sha1=" + "a" * 40),
        ("jira", "a" * 64),
        ("jira", "sha256=" + "a" * 63),
        ("github", "sha256=" + "g" * 64),
        ("github", ""),
        ("linear", "sha256=" + "a" * 64),
        ("linear", "a" * 65),
        ("gitlab", ""),
        ("gitlab", "a" * 1_000),
    ],
)
def test_what_cannot_be_a_signature_is_known_without_the_body(tracker: str, header: str) -> None:
    assert not kind(tracker).has_form(header)


def test_a_webhook_of_linear_is_taken_for_a_minute() -> None:
    linear = kind("linear")
    for age in (0, LONGEST_AGE_MS, -LONGEST_AGE_MS):
        assert linear.is_fresh({"webhookTimestamp": NOW - age}, NOW)
    for wrong in (NOW - LONGEST_AGE_MS - 1, NOW + LONGEST_AGE_MS + 1, NOW / 1000, "now", None, True, [], float("nan")):
        assert not linear.is_fresh({"webhookTimestamp": wrong}, NOW), wrong
    assert not linear.is_fresh({}, NOW)
    assert kind("jira").is_fresh({}, NOW)


ISSUE_ID = "0f0e0d0c-1111-4222-8333-444455556666"


@pytest.mark.parametrize(
    ("tracker", "body", "keys", "ids"),
    [
        ("jira", {"webhookEvent": "jira:issue_updated", "issue": {"key": "OPS-12"}}, ["OPS-12"], []),
        ("jira", {"webhookEvent": "comment_created", "issue": {"key": "ops-12"}}, ["OPS-12"], []),
        (
            "jira",
            {"issue": {"key": "WEB-3"}, "changelog": {"items": [{"field": "Key", "fromString": "OPS-12"}, None]}},
            ["WEB-3", "OPS-12"],
            [],
        ),
        ("jira", {"webhookEvent": "sprint_started", "sprint": {}}, [], []),
        (
            "linear",
            {"type": "Issue", "action": "update", "data": {"id": ISSUE_ID, "identifier": "ENG-4"}},
            ["ENG-4"],
            [ISSUE_ID],
        ),
        ("linear", {"type": "Comment", "data": {"id": "c", "issueId": ISSUE_ID}}, [], [ISSUE_ID]),
        ("linear", {"type": "Comment", "data": {"id": ISSUE_ID, "issue": {"identifier": "ENG-4"}}}, ["ENG-4"], []),
        ("linear", {"type": "Project", "data": {"id": ISSUE_ID}}, [], []),
        (
            "github",
            {"action": "closed", "issue": {"number": 7}, "repository": {"full_name": "acme/shop"}},
            ["acme/shop#7"],
            [],
        ),
        ("github", {"zen": "Design for failure.", "repository": {"full_name": "acme/shop"}}, [], []),
        (
            "gitlab",
            {
                "object_kind": "issue",
                "object_attributes": {"iid": 7, "id": 99},
                "project": {"path_with_namespace": "acme/web/shop"},
            },
            ["acme/web/shop#7"],
            [],
        ),
        (
            "gitlab",
            {
                "object_kind": "note",
                "object_attributes": {"iid": 1},
                "issue": {"iid": 7},
                "project": {"path_with_namespace": "acme/shop"},
            },
            ["acme/shop#7"],
            [],
        ),
    ],
)
def test_a_body_names_its_tickets(tracker: str, body: dict[str, Any], keys: list[str], ids: list[str]) -> None:
    assert kind(tracker).find_tickets(body) == NamedTickets(tuple(keys), tuple(UUID(id_) for id_ in ids))


_HOSTILE: list[Any] = [
    None, True, 0, -1, 1.5, "", "OPS-1\x00", "OPS-1' OR 1=1", "A" * 10_000 + "-1", "../../x", [], ["OPS-1"],
    {"key": {"key": "OPS-1"}}, 10**18, "\u0000", "OPS-\u0661", "0f0e0d0c-1111",
]  # fmt: skip


@pytest.mark.parametrize("found", WEBHOOK_KINDS, ids=lambda found: found.tracker)
@pytest.mark.parametrize("value", _HOSTILE, ids=lambda value: repr(value)[:20])
def test_hostile_values_name_nothing(found: WebhookKind, value: Any) -> None:
    fields = {
        "key": value, "identifier": value, "id": value, "issueId": value, "number": value, "iid": value,
        "full_name": value, "path_with_namespace": value, "field": value, "fromString": value, "items": [value],
    }  # fmt: skip
    nested = dict.fromkeys(("issue", "repository", "project", "object_attributes", "changelog", "data"), fields)
    for body in (
        {"type": "Issue", "object_kind": "issue", **nested},
        {"type": "Issue", "object_kind": "issue", **dict.fromkeys(nested, value)},
        {**nested, "changelog": {"items": [{"field": "Key", "fromString": value}] * 1_000}},
    ):
        assert found.find_tickets(body) == NamedTickets()
