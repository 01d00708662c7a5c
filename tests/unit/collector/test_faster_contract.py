"""The faster contract says of every event what the earlier one said: the same row, the same identity, the same reason."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.contract import Row, SpoolRow, normalise_batch
from collector.contract.rows import Rejected, Source
from tests.unit.collector.reference.events import TYPES, event_to_row
from tests.unit.collector.reference.identity import Identity

NOW = 1_705_312_800_000

_texts = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        [
            "", "true", " False ", "500", " 2150.5 ", "1e3", "1e400", "Mouse", "push", "RELOAD", "javascript", "rage", "up",
            "start", "hidden", "focus", "a@b.example", "4111 1111 1111 1111", "/shop?q=1#x", "/#/orders/7?x", "//host/p",
            "https://x.example/app.js?v=1", "x" * 300, "y" * 600, "z" * 2_100, "GET", "é👩‍👩‍👧" * 30, "\x00", "\u200d", "s-1",
        ]
    ),
)  # fmt: skip
_scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.integers(-3, 1_000),
    st.floats(allow_nan=False, allow_infinity=False),
    _texts,
)
_positions = st.dictionaries(st.sampled_from(["x", "y", "z"]), _scalars, max_size=2)
_values = st.one_of(_scalars, _scalars, _positions, st.lists(_scalars, max_size=2))
_metadata_keys = st.sampled_from(
    [
        "x", "y", "clientX", "clientY", "clickCount", "inputMethod", "disabled", "loading", "selection", "responded", "count",
        "spanMs", "verdict", "action", "fieldType", "depth", "direction", "valid", "from", "navigationType", "external",
        "download", "errorType", "message", "source", "thirdParty", "frame", "status", "method", "url", "durationMs",
        "aborted", "bodyError", "kind", "state", "eventId", "cause", "verdictFor", "prerendered", "password", "note",
    ]
)  # fmt: skip
_metadata = st.one_of(
    _scalars, st.dictionaries(st.one_of(_metadata_keys, _metadata_keys, st.text(max_size=8)), _values, max_size=10)
)
_targets = st.one_of(
    _scalars,
    st.dictionaries(st.sampled_from(["type", "id", "selector", "tagName", "label", "other"]), _values, max_size=6),
)
_times = st.one_of(
    _scalars,
    st.integers(NOW - 10**9, NOW + 4_000_000),
    st.sampled_from(
        ["2024-01-15T10:00:00Z", "2024-01-15T10:00:00.123Z", "2024-02-30T10:00:00.123Z", "2024-01-15T12:00:00+02:00"]
    ),
)
_VALID_TIME = st.just("2024-01-15T09:59:59.001Z")


def _mostly(valid: st.SearchStrategy[Any], other: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(valid, valid, valid, valid, other)


_fields = {
    "timestamp": _mostly(_VALID_TIME, _times),
    "sessionId": _mostly(st.sampled_from(["s-1", "s-2", "a@b.example"]), _scalars),
    "eventType": _mostly(st.sampled_from(sorted(TYPES)), _scalars),
}
_optional = {
    "route": _mostly(st.sampled_from(["/", "/shop", "/#/orders/7"]), _scalars),
    "target": _mostly(_targets.filter(lambda value: isinstance(value, dict)), _targets),
    "metadata": _mostly(_metadata.filter(lambda value: isinstance(value, dict)), _metadata),
    "seq": _mostly(st.integers(0, 9), _scalars),
    "userId": _mostly(st.sampled_from(["u-1", 7]), _scalars),
    "idempotencyKey": _mostly(st.just("k-1"), _scalars),
    "eventId": _values,
    "cause": _values,
    "verdictFor": _values,
    "userAgent": _values,
    "appVersion": _values,
    "environment": _values,
    "sdkVersion": _values,
    "anything": _values,
}
_events = _mostly(st.fixed_dictionaries(_fields, optional=_optional), _values)
_batches = st.fixed_dictionaries(
    {"events": st.lists(_events, min_size=1, max_size=6)},
    optional={
        "sentAt": st.sampled_from([NOW, NOW - 60_000, None]),
        "appVersion": st.sampled_from(["1.2.3.4", None]),
        "environment": st.sampled_from(["production", None]),
        "userAgent": st.sampled_from(["Mozilla/5.0 (X11)", None]),
    },
)


@settings(max_examples=400, deadline=None)
@given(batch=_batches, repeat=st.booleans())
def test_rows_identities_and_reasons_are_those_of_the_earlier_contract(batch: dict[str, Any], repeat: bool) -> None:
    if repeat:  # equal events of one batch are several events
        batch = {**batch, "events": batch["events"] * 2}
    # As the collector receives it: text that cannot be JSON is not sent.
    batch = msgspec.json.decode(msgspec.json.encode(batch))
    settings_of_request: dict[str, Any] = {
        "project": "shop",
        "received_ms": NOW,
        "salt": b"salt",
        "http_user_agent": "Mozilla/5.0",
    }
    result = normalise_batch(batch, **settings_of_request)
    sparse = normalise_batch(batch, **settings_of_request, row_type=SpoolRow)
    rows, rejects = _reference(batch, _source_of(batch))
    assert [msgspec.structs.astuple(row) for row in result.rows] == [msgspec.structs.astuple(row) for row in rows]
    assert result.encode_rows() == msgspec.json.Encoder().encode_lines(rows)
    assert [(one.index, one.field, one.reason) for one in result.rejects] == rejects
    assert result.dead_letters == sparse.dead_letters
    # What a sparse line omits is the row's own default.
    again = [msgspec.json.decode(line, type=Row) for line in sparse.encode_rows().splitlines()]
    assert again == result.rows


def _source_of(batch: dict[str, Any]) -> Source:
    sent = batch.get("sentAt")
    skew = 0 if sent is None or abs(NOW - sent) <= 5_000 else NOW - sent
    return Source(
        project="shop",
        received_ms=NOW,
        salt=b"salt",
        skew_ms=skew,
        sent_ms=-1 if sent is None else sent,
        app_version=batch.get("appVersion") or "",
        environment=batch.get("environment") or "",
        user_agent=batch.get("userAgent") or "Mozilla/5.0",
    )


def _reference(batch: dict[str, Any], source: Source) -> tuple[list[Row], list[tuple[int, str, str]]]:
    identity = Identity("shop", b"salt")
    rows, rejects = [], []
    for index, event in enumerate(batch["events"]):
        try:
            rows.append(event_to_row(event, source, identity))
        except Rejected as rejected:
            rejects.append((index, rejected.field, rejected.reason))
            key = event.get("idempotencyKey") if isinstance(event, dict) else None
            if isinstance(event, dict) and not (isinstance(key, str) and key):
                identity.identify_by_content(event)  # a dead letter has an identity, too
    return rows, rejects
