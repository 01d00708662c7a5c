"""Formats of addresses, numbers and secrets, sent as a stranger would: what must be masked is stored nowhere, and what
identifies nobody stays readable."""

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from collector.contract import Batch, decode_body, normalise_batch
from tests.integration.test_collector import KEY, config_for, lines, serving

DATA = Path(__file__).parents[1] / "data" / "privacy"
NOW = 1_705_312_800_000


class Format(NamedTuple):
    """A row of the corpus (tests/data/privacy/README.md)."""

    kind: str
    input: str
    expected: str
    secret: str
    why: str


FORMATS = [
    Format(**json.loads(line))
    for name in ("rules", "stranger")
    for line in (DATA / f"{name}.jsonl").read_text().splitlines()
]
# A few hex digits may be in a hash by chance.
SECRETS = [
    row for row in FORMATS if row.secret and row.kind == "text" and not re.fullmatch(r"[0-9a-f]{1,5}", row.secret)
]
# A digit run stays in a name and a version, because two targets must not become one; these are masked as texts only.
RUNS_ONLY = {"id 123456789", "SSN: 123456789", "00491701234567"}
OPAQUE_ONLY = {"Invalid session 8fJk3LmN0pQrStUvWxYz12345aBcDeF"}  # a session id is opaque itself


def event_of(row: Format, number: int) -> dict[str, Any]:
    """An event that carries the row's input in the field of its kind."""
    event: dict[str, Any] = {"eventType": "error", "timestamp": NOW + number, "sessionId": f"s-{number}", "route": "/x"}
    if row.kind == "text":
        event["metadata"] = {"message": row.input}
    elif row.kind == "path":
        event["route"] = row.input
    elif row.kind == "source":
        event["metadata"] = {"source": row.input}
    elif row.kind == "name":
        event["target"] = {"selector": row.input}
    elif row.kind == "version":
        event["appVersion"] = row.input
    elif row.kind == "session":
        event["sessionId"] = row.input
    else:
        event["metadata"] = {row.kind.removeprefix("key:"): row.input}
    return event


def stored_in(line: dict[str, Any], row: Format) -> str:
    """What a stored line holds of it."""
    columns = {
        "text": "message",
        "path": "route",
        "source": "source",
        "name": "target_selector",
        "version": "app_version",
    }
    if row.kind == "session":
        session = str(line["session_id"])
        return "sh:" if session.startswith("sh:") else session
    if row.kind.startswith("key:"):
        return str(json.loads(line["metadata"])[row.kind.removeprefix("key:")])
    return str(line[columns[row.kind]])


def normalised(*events: Any) -> Batch:
    body = json.dumps({"events": list(events)}).encode()
    return normalise_batch(decode_body(body), project="p", received_ms=NOW + 10**6, salt=b"salt")


def test_the_corpus_has_both_directions() -> None:
    assert len(FORMATS) >= 350
    assert len(SECRETS) >= 130
    assert sum(not row.secret for row in FORMATS) >= 120
    assert len({(row.kind, row.input) for row in FORMATS}) == len(FORMATS)
    for row in FORMATS:
        assert (row.secret not in row.expected) if row.secret else (row.input == row.expected), row


@pytest.mark.parametrize("row", FORMATS, ids=[f"{row.kind}: {row.why}" for row in FORMATS])
def test_a_format_is_stored_as_the_corpus_says(row: Format) -> None:
    batch = normalised(event_of(row, 0))
    assert batch.rejects == []
    (line,) = batch.encode_rows().splitlines()
    assert stored_in(json.loads(line), row) == row.expected
    assert not row.secret or escaped(row.secret) not in line.decode()


def escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


def test_what_a_real_collector_stores_is_what_the_corpus_says(tmp_path: Path) -> None:
    config = config_for(tmp_path)
    body = json.dumps({"events": [event_of(row, number) for number, row in enumerate(FORMATS)]})
    with serving(config) as client:
        answer = client.post("/v1/events", content=body, headers=KEY)
    assert answer.json() == {"accepted": len(FORMATS), "rejected": []}
    stored = [stored_in(line, row) for line, row in zip(lines(config.spool_dir), FORMATS, strict=True)]
    assert stored == [row.expected for row in FORMATS]


EVERYWHERE: list[dict[str, Any]] = [
    {"route": "/a/{}/b"},
    {"sessionId": "{}"},
    {"userId": "{}"},
    {"idempotencyKey": "{}"},
    {"appVersion": "{}"},
    {"environment": "{}"},
    {"sdkVersion": "{}"},
    {"userAgent": "{}"},
    *({"target": {part: "{}"}} for part in ("type", "id", "selector", "tagName", "label")),
    *(
        {"metadata": {key: "{}"}}
        for key in ("message", "note", "from", "url", "source", "fieldType", "method", "orderId")
    ),
    {"metadata": {"{}": 1}},
    {"metadata": {"position": {"x": "{}", "y": 1}}},
    {"eventType": "network", "metadata": {"url": "{}", "method": "{}"}},
    {"eventType": "navigation", "metadata": {"from": "{}"}},
    {"eventType": "input", "metadata": {"fieldType": "{}"}},
]
REJECTED: list[dict[str, Any]] = [
    {"eventType": "{}"},
    {"timestamp": "{}"},
    {"sessionId": ["{}"]},
    {"route": ["{}"]},
    {"metadata": {"{}": {"deep": {"deeper": ["{}"]}}}},
    {"metadata": "{}"},
    {"target": "{}"},
    {"seq": "{}"},
    {"userId": ["{}"]},
    {"{}": "{}", "seq": -1},
]


def filled(shape: Any, text: str) -> Any:
    """``shape`` with ``text`` for each ``{}``."""
    if isinstance(shape, dict):
        return {filled(key, text): filled(value, text) for key, value in shape.items()}
    if isinstance(shape, list):
        return [filled(value, text) for value in shape]
    return shape.replace("{}", text) if isinstance(shape, str) else shape


def may_stay(row: Format, shape: dict[str, Any]) -> bool:
    """What docs/privacy.md excepts: digit runs in names, and what four numbers with dots mean in a version."""
    field = next(iter(shape))
    if row.input in OPAQUE_ONLY and field == "sessionId":
        return isinstance(shape[field], str)
    named = (
        field not in ("route", "metadata")
        or "orderId" in shape.get("metadata", {})
        or "fieldType" in shape.get("metadata", {})
    )
    if row.input in RUNS_ONLY:
        return named
    if field in ("appVersion", "sdkVersion"):
        return "198.51" in row.secret or "203.0" in row.secret
    return False


@pytest.mark.parametrize("shape", [*EVERYWHERE, *REJECTED], ids=lambda shape: json.dumps(shape)[:60])
def test_no_secret_is_stored_in_any_field(shape: dict[str, Any]) -> None:
    base = {"eventType": "error", "timestamp": NOW, "sessionId": "s", "route": "/x"}
    leaks = []
    for row in SECRETS:
        if may_stay(row, shape):
            continue
        batch = normalised({**base, **filled(shape, row.input)})
        written = (
            batch.encode_rows()
            + b"".join(batch.dead_letters)
            + json.dumps([r.to_json() for r in batch.rejects]).encode()
        )
        if escaped(row.secret) in written.decode():
            leaks.append((row.input, written.decode()[:600]))
    assert leaks == []


def test_no_secret_is_in_a_file_or_an_answer_of_a_real_collector(tmp_path: Path) -> None:
    config = config_for(tmp_path, requests_per_second=10_000)
    with serving(config) as client:
        for row in SECRETS:
            base = {"eventType": "error", "timestamp": NOW, "sessionId": "s", "route": "/x"}
            shapes = [shape for shape in [*EVERYWHERE, *REJECTED] if not may_stay(row, shape)]
            body = json.dumps({"events": [{**base, **filled(shape, row.input)} for shape in shapes]})
            answer = client.post("/v1/events", content=body, headers=KEY)
            assert answer.status_code == 202
            assert escaped(row.secret) not in answer.text
    files = "".join(path.read_text() for path in config.spool_dir.rglob("*") if path.is_file())
    # Without the hashes of sources: their digits are random, and hold any six digits by chance.
    written = re.sub(r'"source_(?:today|before)":\d+', "", files)
    for row in SECRETS:
        others = " ".join(other.expected for other in SECRETS if other is not row)
        is_excepted = (
            len(row.secret) < 5 or row.input in RUNS_ONLY | OPAQUE_ONLY or row.secret.startswith(("198.51", "203.0"))
        )
        if not is_excepted and row.secret not in others:
            assert escaped(row.secret) not in written, row


def test_two_sessions_with_addresses_stay_two() -> None:
    base = {"eventType": "click", "timestamp": NOW, "route": "/x"}
    one, two, again = normalised(*({**base, "sessionId": f"{name}@example.com"} for name in ("bob", "eve", "bob"))).rows
    assert one.session_id != two.session_id
    assert one.session_id == again.session_id
    replayed = normalised({**base, "sessionId": one.session_id}).rows[0]
    assert replayed.session_id == one.session_id


def test_a_hex_id_that_passes_an_account_numbers_check_stays() -> None:
    event = {"eventType": "click", "timestamp": NOW, "route": "/x", "sessionId": "ee64ff11721da6b7ccc9"}
    assert normalised(event).rows[0].session_id == event["sessionId"]
