"""The text of alerts, and hostile titles in each form."""

from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from incidents.alerts import AlertedIncident, AlertRow
from trackers.alerts.message import (
    MOST_ITEMS,
    build_message,
    render_html,
    render_marked,
    render_plain,
    render_slack,
    strip_markup,
)
from trackers.alerts.schemes import list_secret_parts

PAGES = "https://furrow.test"
HOSTILE = '<!channel> <@U123> @everyone <b>x</b> [x](http://evil.test) *b* www.evil.test "q" \u202egnp'


def alert(kind: str = "confirmed", title: str = "It fails", status: Any = "confirmed", **changes: Any) -> AlertRow:
    incident = AlertedIncident("inc_1", title, status, "High", 12, 9, 0, changes.pop("fixed", False))
    values: dict[str, Any] = {
        "alert_id": uuid4(), "project": "shop", "kind": kind, "occasion": "1", "channel": "ops", "facts": {}, "quiet": False,
        "incident": incident, "doubtful": False, "attempts": 1, "token": uuid4(),
    }  # fmt: skip
    return AlertRow(**{**values, **changes})


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (alert(), "New incident: It fails (High)"),
        (alert("regressed", status="regressed"), "Came back: It fails (High)"),
        (
            alert("growing", facts={"sessions": 48, "usual": 3.2}),
            "Growing, 48 sessions in an hour where 3.2 are usual: It fails (High)",
        ),
        (
            alert("share", facts={"hit": 9, "reached": 60, "low": 8.1}),
            "Hits 9 of 60 sessions that reached this step within 24 hours, at least 8.1 %: It fails (High)",
        ),
        (alert("user", facts={"sessions": 5}), "One user was hit in 5 sessions within 7 days: It fails (High)"),
        (alert("open", status="draft"), "People fail at this moment: It fails (High)"),
        (alert(status="resolved"), "Resolved. New incident: It fails (High)"),
        (alert(status="resolved", fixed=True), "Resolved, and the fix is confirmed. New incident: It fails (High)"),
    ],
)
def test_each_kind_in_words(row: AlertRow, text: str) -> None:
    message = build_message([row], PAGES)
    assert message.title == f"[shop] {text}"
    assert message.sections[0].items[0].text == text
    assert message.sections[0].items[0].url == "https://furrow.test/incidents/inc_1"


def test_a_group_names_how_many_and_shows_the_first_ones() -> None:
    rows = [alert(title=f"t{number}") for number in range(MOST_ITEMS + 5)]
    message = build_message(rows, PAGES)
    assert message.title == "[shop] 25 alerts"
    assert len(message.sections[0].items) == MOST_ITEMS + 1
    assert message.sections[0].items[-1].text == "and 5 more"
    assert build_message([alert(), alert(project="blog")], PAGES).title == "[2 projects] 2 alerts"


def test_hostile_titles_are_inert_in_each_form() -> None:
    message = build_message([alert(title=HOSTILE)], PAGES)
    for text in (message.title, render_plain(message)):
        assert "@everyone" not in text
        assert "<@" not in text
        assert "<!" not in text
        assert "http://evil" not in text
        assert "www.evil" not in text
        assert "\u202e" not in text
    assert "<b>" not in render_html(message)
    assert "<!channel>" not in render_html(message)
    assert render_html(message).count("<a ") == 1
    marked = render_marked(message)
    assert "](http://evil" not in marked
    assert "<b>" not in marked.replace("\\<", "")
    assert not set("<>&*_`()#|~\\") & set(strip_markup(message.title))


def test_in_slack_text_is_never_markup() -> None:
    body = render_slack(build_message([alert(title=HOSTILE)], PAGES))
    (block,) = body["blocks"]
    kinds = {part["type"] for section in block["elements"] for part in _leaves(section)}
    assert kinds == {"text", "link"}
    assert "<" not in body["text"]
    assert "&lt;\u2060!channel&gt;" in body["text"]


def _leaves(node: dict[str, Any]) -> list[dict[str, Any]]:
    return [leaf for part in node["elements"] for leaf in (_leaves(part) if "elements" in part else [part])]


def test_a_digest() -> None:
    entry = {"id": "inc_1", "title": "It fails", "severity": "High", "sessions": 12}
    facts = {
        "since": "2026-01-05T09:00:00Z", "until": "2026-01-12T09:00:00Z", "worst": [{**entry, "recent": 1}], "new": [],
        "back": [entry], "resolved": [], "proven": [{**entry, "title": HOSTILE}],
    }  # fmt: skip
    message = build_message([alert("digest", incident=None, facts=facts)], PAGES)
    assert message.title == "[shop] Digest, 2026-01-05 to 2026-01-12"
    assert [section.heading for section in message.sections] == ["The five worst", "Came back", "Fixed and proven"]
    assert message.sections[0].items[0].text == "It fails (High, 1 session in this time)"
    assert "@everyone" not in render_plain(message)
    empty = build_message(
        [alert("digest", incident=None, facts=facts | {"worst": [], "back": [], "proven": []})], PAGES
    )
    assert "Nothing new" in render_plain(empty)


def test_a_secret_is_known_as_it_is_written_and_as_it_is_meant() -> None:
    parts = list_secret_parts(SecretStr("mailtos://furrow:p%40ss%2Fword@mail.example.com?to=a@example.com"))
    assert {"p%40ss%2Fword", "p@ss/word"} <= set(parts)
