"""Every limit in docs/http-api.md is the code's."""

from pathlib import Path

import pytest

from collector.contract import limits, normalise_batch

PAGE = (Path(__file__).parents[3] / "docs" / "http-api.md").read_text()


@pytest.mark.parametrize(
    ("field", "limit"),
    [
        ("body", limits.MAX_BODY_BYTES),
        ("body", limits.MAX_EVENTS),
        ("`timestamp`", limits.MAX_TIMESTAMP),
        ("`sessionId`", limits.MAX_SESSION_ID),
        ("`route`", limits.MAX_ROUTE),
        ("`target.label`", limits.MAX_LABEL),
        ("`userId`", limits.MAX_USER_ID),
        ("`idempotencyKey`", limits.MAX_IDEMPOTENCY_KEY),
        ("`metadata`", limits.MAX_METADATA_BYTES),
        ("`target.type`", limits.MAX_NAME),
        ("columns of", limits.MAX_TEXT),
        ("metadata key", limits.MAX_FIELD_SHOWN),
        ("dead letter", limits.MAX_DEAD_LETTER_BYTES),
    ],
)
def test_the_page_names_the_limit(field: str, limit: int) -> None:
    table = PAGE.split("| field | limit | over it |")[1]
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {field}")][:1]
    assert f"{limit:,}" in line


@pytest.mark.parametrize(
    ("field", "limit"), [("userId", limits.MAX_USER_ID), ("idempotencyKey", limits.MAX_IDEMPOTENCY_KEY)]
)
def test_one_character_more_is_rejected_alone(field: str, limit: int) -> None:
    event = {"eventType": "click", "timestamp": 1, "sessionId": "s", "route": "/x"}
    events = [{**event, field: "k" * limit}, {**event, field: "k" * (limit + 1)}]
    batch = normalise_batch({"events": events}, project="p", received_ms=10**12, salt=b"")
    assert len(batch.rows) == 1
    assert [(reject.index, reject.field) for reject in batch.rejects] == [(1, field)]


def test_a_position_counts_to_the_size_of_the_metadata() -> None:
    event = {
        "eventType": "click",
        "timestamp": 1,
        "sessionId": "s",
        "route": "/x",
        "metadata": {"a": {"x": "k" * 9_000}},
    }
    batch = normalise_batch({"events": [event]}, project="p", received_ms=10**12, salt=b"")
    assert [reject.field for reject in batch.rejects] == ["metadata"]
