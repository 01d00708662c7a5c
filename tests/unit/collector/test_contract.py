"""Every rule of the event contract at its boundary (events.md), and hostile input that must never do more
than be rejected."""

import gzip
import json
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector import contract
from collector.contract import (
    MAX_EVENTS,
    Batch,
    InvalidBatch,
    Row,
    decode_body,
    normalise_batch,
    parse_time,
    read_events,
    to_arrow,
)
from tests.tables import build_table
from ufse.clocks import TOLERANCE_MS
from ufse.columns import EVENT_SCHEMA, UNKNOWN_POSITION

NOW = 1_705_312_800_000  # 2024-01-15T10:00:00Z
HOUR = 3_600_000
SEED_EVENT = {
    "eventType": "click",
    "timestamp": "2024-01-15T10:00:00Z",
    "sessionId": "test-1",
    "route": "/checkout",
    "target": {"type": "button"},
    "metadata": {},
}


def send(*events: Any, received_ms: int = NOW, project: str = "p", agent: str = "", **batch: Any) -> Batch:
    body = json.dumps({"events": list(events), **batch}).encode()
    return normalise_batch(
        decode_body(body), project=project, received_ms=received_ms, salt=b"salt", http_user_agent=agent
    )


def event(**changes: Any) -> dict[str, Any]:
    return {**SEED_EVENT, **changes}


def row(**changes: Any) -> Row:
    batch = send(event(**changes))
    assert batch.rejects == []
    return batch.rows[0]


def reject(**changes: Any) -> tuple[str, str]:
    batch = send(event(**changes))
    assert batch.rows == []
    assert batch.rejects[0].index == 0
    return batch.rejects[0].field, batch.rejects[0].reason


def test_the_row_has_the_columns_that_the_stores_and_the_engine_share() -> None:
    assert Row.__struct_fields__ == tuple(EVENT_SCHEMA.names)
    line = json.loads(send(SEED_EVENT).encode_rows())
    assert list(line) == EVENT_SCHEMA.names


def test_the_seeds_event_is_accepted_and_what_it_does_not_say_is_unknown() -> None:
    stored = row()
    assert (stored.project, stored.session_id, stored.event_type, stored.ts) == ("p", "test-1", "click", NOW)
    assert (stored.route, stored.target_type, stored.metadata) == ("/checkout", "button", "{}")
    assert (stored.disabled, stored.loading, stored.selection, stored.responded) == (-1, -1, -1, -1)
    assert (stored.x, stored.y, stored.click_count, stored.seq) == (
        UNKNOWN_POSITION,
        UNKNOWN_POSITION,
        -1,
        -1,
    )
    assert (stored.user_hash, stored.status, stored.duration_ms, stored.user_agent) == ("", -1, -1, "")


def test_one_bad_event_never_rejects_its_batch() -> None:
    batch = send(SEED_EVENT, event(eventType="tap"), 7, None, event(route=5), event(sessionId="test-2"))
    assert [stored.session_id for stored in batch.rows] == ["test-1", "test-2"]
    assert [(r.index, r.field) for r in batch.rejects] == [(1, "eventType"), (2, ""), (3, ""), (4, "route")]
    assert len(batch.dead_letters) == 4


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"1", b'"x"', b"\xff\xfe", b"NaN", b'{"events": NaN}', b"[" * 100_000]
)
def test_a_body_that_is_not_the_json_is_one_error(body: bytes) -> None:
    with pytest.raises(InvalidBatch) as caught:
        normalise_batch(decode_body(body), project="p", received_ms=NOW, salt=b"")
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "batch",
    [
        {},
        {"events": []},
        {"events": {}},
        {"events": None},
        {"events": [SEED_EVENT], "sentAt": "now"},
        {"events": [SEED_EVENT], "sentAt": True},
        {"events": [SEED_EVENT], "appVersion": 3},
    ],
)
def test_a_batch_that_breaks_the_contract_is_refused_as_a_whole(batch: dict[str, Any]) -> None:
    with pytest.raises(InvalidBatch) as caught:
        normalise_batch(batch, project="p", received_ms=NOW, salt=b"")
    assert caught.value.status == 400


def test_a_batch_holds_at_most_a_thousand_events() -> None:
    assert len(send(*[SEED_EVENT] * MAX_EVENTS).rows) == MAX_EVENTS
    with pytest.raises(InvalidBatch) as caught:
        send(*[SEED_EVENT] * (MAX_EVENTS + 1))
    assert caught.value.status == 413


@pytest.mark.parametrize(
    ("sent", "ms"),
    [
        ("2024-01-15T10:00:00Z", NOW),
        ("2024-01-15t10:00:00z", NOW),
        ("2024-01-15 10:00:00Z", NOW),
        ("2024-01-15T10:00:00.1Z", NOW + 100),
        ("2024-01-15T10:00:00.123Z", NOW + 123),
        ("2024-01-15T10:00:00.123999999Z", NOW + 123),
        ("2024-01-15T11:30:00.5+01:30", NOW + 500),
        ("2024-01-15T05:00:00-05:00", NOW),
        ("2024-01-15T09:59:60Z", NOW),
        ("1970-01-01T00:00:00Z", 0),
        (NOW, NOW),
        (NOW + 0.9, NOW),
        (0, 0),
    ],
)
def test_timestamps_are_rfc_3339_or_epoch_milliseconds(sent: object, ms: int) -> None:
    assert row(timestamp=sent).ts == ms


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "",
        "2024-01-15",
        "2024-01-15T10:00:00",
        "2024-01-15T10:00Z",
        "2024-01-15T10:00:00,5Z",
        "2024-01-15T10:00:00.Z",
        "2024-02-30T10:00:00Z",
        "2024-01-15T24:00:00Z",
        "2024-01-15T10:00:61Z",
        "2024-01-15T10:00:00+25:00",
        "20240115T100000Z",
        "٢٠٢٤-01-15T10:00:00Z",
        "2024-01-15T10:00:00.１２３Z",
        "1705312800000",
        True,
        [],
        -1,
        "1969-12-31T23:59:59Z",
        NOW // 1_000,  # seconds: an hour of them read as milliseconds would make every session look frantic
        10**30,
    ],
)
def test_other_timestamps_are_rejected(sent: object) -> None:
    assert reject(timestamp=sent)[0] == "timestamp"


def test_the_future_begins_an_hour_after_receipt() -> None:
    assert row(timestamp=NOW + HOUR).ts == NOW + HOUR
    field, reason = reject(timestamp=NOW + HOUR + 1)
    assert (field, "1 h in the future" in reason) == ("timestamp", True)


@pytest.mark.parametrize(("skew", "corrected"), [(5_000, 0), (5_001, 5_001), (-5_000, 0), (-5_001, -5_001)])
def test_a_skew_of_more_than_five_seconds_is_corrected(skew: int, corrected: int) -> None:
    batch = send(SEED_EVENT, sentAt=NOW - skew)
    assert batch.rows[0].ts == NOW + corrected


@pytest.mark.parametrize("skew", [-90_000, -5_000, 0, 5_000, 90_000])
def test_the_clients_own_times_are_kept(skew: int) -> None:
    stored = send(SEED_EVENT, sentAt=NOW - skew).rows[0]
    assert (stored.client_ts, stored.sent_ms) == (NOW, NOW - skew)
    assert send(SEED_EVENT).rows[0].sent_ms == -1


def test_the_tolerance_is_the_engines() -> None:
    assert contract.SKEW_TOLERANCE_MS == TOLERANCE_MS


def test_the_future_is_judged_after_the_correction() -> None:
    ahead = NOW + 48 * HOUR
    assert send(event(timestamp=ahead), sentAt=ahead).rows[0].ts == NOW
    behind = send(event(timestamp=NOW + HOUR), sentAt=NOW - 6_000)
    assert [r.field for r in behind.rejects] == ["timestamp"]


def test_old_events_are_welcome() -> None:
    assert row(timestamp="1996-01-01T00:00:00Z").received_ms == NOW


@pytest.mark.parametrize("good", ["x", "x" * 128, "a b", "ünïcødé"])
def test_session_ids_of_1_to_128_printable_characters(good: str) -> None:
    assert row(sessionId=good).session_id == good


@pytest.mark.parametrize("bad", [None, "", "x" * 129, "a\nb", "a\x00", "\u202eabc", 5, {}])
def test_other_session_ids_are_rejected(bad: object) -> None:
    assert reject(sessionId=bad)[0] == "sessionId"


def test_the_route_is_a_path_of_at_most_512_characters_without_its_query() -> None:
    assert row(route="/a?x=1#y").route == "/a"
    assert row(route="/" + "a" * 511).route == "/" + "a" * 511
    assert row(route="/" + "a" * 511 + "?" + "q" * 900).route == "/" + "a" * 511
    wrong: list[Any] = [5, ["/a"], "/" + "a" * 512]
    for bad in wrong:
        assert reject(route=bad)[0] == "route"
    assert (row(route=None).route, row(route="").route) == ("", "")


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("a" * 80, "a" * 80),
        ("a" * 81, "a" * 80),
        ("Order now " + "x" * 71, "Order now " + "x" * 70),
        ("a" * 5_000, "a" * 80),
        ("送" * 300, "送" * 80),
        ("a" * 79 + "e\u0301" + "b", "a" * 79),
        ("a" * 79 + "\U0001f44d\U0001f3fd" + "b", "a" * 79),
        ("a" * 78 + "\U0001f468\u200d\U0001f469" + "b", "a" * 78),
        ("a" * 78 + "❤\ufe0f" + "b", "a" * 78 + "❤\ufe0f"),
        ("\u0301" * 300, "\u0301" * 56),
    ],
)
def test_a_label_is_cut_to_80_characters_between_characters(sent: str, stored: str) -> None:
    assert row(target={"label": sent}).target_label == stored


def test_no_half_of_a_secret_is_left_by_the_cut_of_a_label() -> None:
    for lead in range(60, 84):
        label = row(target={"label": "a" * lead + " bob@example.com 4111 1111 1111 1111 " + "b" * 600}).target_label
        assert "bob" not in label
        assert "4111" not in label


def test_a_target_is_an_object_and_its_odd_parts_are_unknown() -> None:
    stored = row(target={"type": "button", "id": 7, "selector": {"a": 1}, "tagName": None, "label": False, "x": 1})
    assert (stored.target_type, stored.target_id, stored.target_selector) == ("button", "7", "")
    assert (stored.target_tag, stored.target_label) == ("", "")
    assert row(target=None).target_type == ""
    wrong: list[Any] = ["button", 5, []]
    for bad in wrong:
        assert reject(target=bad)[0] == "target"


def test_metadata_is_flat_but_for_positions() -> None:
    assert json.loads(row(metadata={"a": 1, "b": None, "pos": {"x": 1, "y": 2.5}}).metadata) == {
        "a": 1,
        "b": None,
        "pos": {"x": 1, "y": 2.5},
    }
    assert reject(metadata={"a": {"z": 1}})[0] == "metadata.a"
    assert reject(metadata={"a": {"x": {"x": 1}}})[0] == "metadata.a"
    assert reject(metadata={"a": [1]})[0] == "metadata.a"
    assert reject(metadata=[])[0] == "metadata"
    assert row(metadata=None).metadata == "{}"


@pytest.mark.parametrize("character", ["a", "é", "\x01", '"'])
def test_metadata_has_at_most_8_kib_of_json(character: str) -> None:
    unit = len(json.dumps(character, ensure_ascii=False).encode()) - 2
    room = 8192 - len(b'{"m":""}')
    most = character * (room // unit) + "a" * (room % unit)
    assert row(metadata={"m": most}).project == "p"
    assert reject(metadata={"m": most + "a"})[0] == "metadata"


def test_many_small_metadata_keys_count_too() -> None:
    assert reject(metadata={f"k{i}": i for i in range(1_000)})[0] == "metadata"


def test_known_keys_of_the_wrong_type_stay_in_the_metadata_and_leave_the_column_unknown() -> None:
    odd = {
        "x": "left",
        "clickCount": 1.5e12,
        "disabled": "yes",
        "loading": 1,
        "responded": None,
        "inputMethod": "gaze",
    }
    stored = row(metadata=odd)
    assert (stored.x, stored.click_count, stored.disabled, stored.loading) == (UNKNOWN_POSITION, -1, -1, -1)
    assert (stored.responded, stored.input_method) == (-1, "")
    assert json.loads(stored.metadata) == odd


@pytest.mark.parametrize(
    ("kind", "key", "column", "sent", "known"),
    [
        ("network", "status", "status", "500", 500),
        ("network", "status", "status", " 500 ", 500),
        ("network", "status", "status", "500.0", 500),
        ("network_error", "status", "status", "0", 0),
        ("network", "durationMs", "duration_ms", "2150.7", 2150),
        ("network", "durationMs", "duration_ms", "2.15e3", 2150),
        ("network", "aborted", "aborted", "true", 1),
        ("network", "thirdParty", "third_party", "False", 0),
        ("performance", "durationMs", "duration_ms", "9000", 9000),
        ("click", "x", "x", "-12", -12),
        ("click", "clientY", "y", "7", 7),
        ("click", "clickCount", "click_count", "2", 2),
        ("click", "disabled", "disabled", "TRUE", 1),
        ("click", "loading", "loading", "true", 1),
        ("click", "selection", "selection", " true ", 1),
        ("click", "responded", "responded", "false", 0),
        ("click", "inputMethod", "input_method", "Touch", "touch"),
        ("scroll", "depth", "depth", "55", 55),
        ("scroll", "direction", "direction", "UP", "up"),
        ("form_submit", "valid", "valid", "false", 0),
        ("navigation", "external", "external", "true", 1),
        ("navigation", "download", "download", "true", 1),
        ("navigation", "navigationType", "nav_type", "Reload", "reload"),
        ("error", "errorType", "error_type", "JavaScript", "javascript"),
        ("error", "thirdParty", "third_party", "true", 1),
        ("loading", "state", "state", "Start", "start"),
        ("visibility", "state", "state", "HIDDEN", "hidden"),
    ],
)
def test_what_is_written_as_text_is_read(kind: str, key: str, column: str, sent: str, known: object) -> None:
    stored = row(eventType=kind, metadata={key: sent})
    assert getattr(stored, column) == known
    assert json.loads(stored.metadata) == {key: sent}


@pytest.mark.parametrize(
    "sent",
    ["", " ", "abc", "5xx", "500 Internal", "0x1f4", "5_00", "٥٠٠", "NaN", "inf", "1e999", "9" * 40, "-1", "1000"],
)
def test_what_is_no_status_stays_unknown(sent: str) -> None:
    assert row(eventType="network", metadata={"status": sent}).status == -1


@pytest.mark.parametrize("sent", ["", "yes", "1", "0", "t", "truee", 1, 0, None, {"x": 1}])
def test_what_is_no_truth_value_stays_unknown(sent: object) -> None:
    assert row(eventType="network", metadata={"aborted": sent}).aborted == -1


@pytest.mark.parametrize("bad", ["1", True, -1, 1.5, 2**63, {}])
def test_seq_is_a_counter(bad: object) -> None:
    assert reject(seq=bad)[0] == "seq"
    assert row(seq=2**63 - 1).seq == 2**63 - 1
    assert row(seq=0).seq == 0
    assert row(seq=3.0).seq == 3


def test_user_ids_are_hashed_per_project() -> None:
    hashed = row(userId="user-1").user_hash
    assert len(hashed) == 32
    assert row(userId=7).user_hash == row(userId="7").user_hash
    assert send(event(userId="user-1"), project="q").rows[0].user_hash != hashed
    assert row(userId=f"uh:{hashed}").user_hash == hashed
    assert (row(userId=None).user_hash, row(userId="").user_hash) == ("", "")
    wrong: list[Any] = [True, {}, 1.5]
    for bad in wrong:
        assert reject(userId=bad)[0] == "userId"
    assert b"user-1" not in send(event(userId="user-1")).encode_rows()


def test_the_event_wins_over_the_batch_and_the_batch_over_the_http_header() -> None:
    batch = send(
        event(appVersion="2", userAgent="own"),
        SEED_EVENT,
        appVersion="1",
        environment="prod",
        sdkVersion="9",
        agent="Mozilla/5.0 (X11)",
    )
    own, inherited = batch.rows
    assert (own.app_version, own.environment, own.sdk_version, own.user_agent) == ("2", "prod", "9", "own")
    assert (inherited.app_version, inherited.user_agent) == ("1", "Mozilla/5.0 (X11)")
    assert send(SEED_EVENT, userAgent="b", agent="Mozilla/5.0").rows[0].user_agent == "b"


@pytest.mark.parametrize("agent", ["curl/8.5.0", "python-httpx/0.28", ""])
def test_the_name_of_a_program_that_only_delivers_is_not_the_visitors(agent: str) -> None:
    assert send(SEED_EVENT, agent=agent).rows[0].user_agent == ""


# --------------------------------------------------------------------------------------------------- identity


def test_identical_events_of_a_batch_are_as_many_events_and_a_resend_adds_none() -> None:
    first, again = send(*[SEED_EVENT] * 4), send(*[SEED_EVENT] * 4)
    ids = [stored.event_id for stored in first.rows]
    assert len(set(ids)) == 4
    assert ids == [stored.event_id for stored in again.rows]


def test_identity_is_of_the_event_as_sent_not_of_the_corrected_one() -> None:
    plain, skewed = send(SEED_EVENT), send(SEED_EVENT, sentAt=NOW - 60_000)
    assert plain.rows[0].ts != skewed.rows[0].ts
    assert plain.rows[0].event_id == skewed.rows[0].event_id
    reordered = send(dict(reversed(SEED_EVENT.items())))
    assert reordered.rows[0].event_id == plain.rows[0].event_id


def test_identity_depends_on_project_session_and_every_key() -> None:
    ids = {
        row().event_id,
        send(SEED_EVENT, project="q").rows[0].event_id,
        row(sessionId="test-2").event_id,
        row(unknownKey=1).event_id,
        row(metadata={"a": 1}).event_id,
        row(idempotencyKey="k").event_id,
        row(idempotencyKey="l").event_id,
        row(idempotencyKey="k", sessionId="test-2").event_id,
        send(event(idempotencyKey="k"), project="q").rows[0].event_id,
    }
    assert len(ids) == 9
    assert all(len(i) == 36 and i.count("-") == 4 for i in ids)


def test_a_key_is_the_whole_identity_and_an_empty_one_is_none() -> None:
    assert row(idempotencyKey="k", route="/a").event_id == row(idempotencyKey="k", route="/b").event_id
    assert len({stored.event_id for stored in send(*[event(idempotencyKey="")] * 3).rows}) == 3
    assert reject(idempotencyKey=5)[0] == "idempotencyKey"


# ------------------------------------------------------------------------------------------------ event types


@pytest.mark.parametrize(
    ("sent", "metadata", "expected"),
    [
        ("click", {"clientX": 3.7, "clientY": -2}, {"event_type": "click", "x": 3, "y": -2}),
        ("click", {"x": 1, "clientX": 9, "clickCount": 2}, {"x": 1, "click_count": 2}),
        ("click", {"x": None, "clientX": 9}, {"x": 9, "y": UNKNOWN_POSITION}),
        (
            "click",
            {"inputMethod": "touch", "disabled": True, "loading": False},
            {"input_method": "touch", "disabled": 1},
        ),
        ("click", {"selection": False, "responded": True}, {"selection": 0, "responded": 1}),
        ("input_focus", {}, {"event_type": "input", "action": "focus"}),
        ("input_blur", {}, {"event_type": "input", "action": "blur"}),
        ("input", {"action": "change", "fieldType": "email"}, {"action": "change", "field_type": "email"}),
        ("scroll", {"depth": 100, "direction": "up"}, {"depth": 100, "direction": "up"}),
        ("scroll", {"depth": 101, "direction": "left"}, {"depth": -1, "direction": ""}),
        ("hover", {}, {"event_type": "hover"}),
        ("form_submit", {"valid": False}, {"valid": 0}),
        (
            "route_change",
            {"from": "/a?b", "navigationType": "push", "external": False, "download": True},
            {"event_type": "navigation", "nav_from": "/a", "nav_type": "push", "external": 0, "download": 1},
        ),
        (
            "unhandled_rejection",
            {"message": "m"},
            {"event_type": "error", "error_type": "promise", "message": "m"},
        ),
        (
            "error",
            {"errorType": "resource", "source": "https://a.b/c.js?d", "thirdParty": True},
            {"error_type": "resource", "source": "https://a.b/c.js", "third_party": 1},
        ),
        ("network_error", {}, {"event_type": "network", "status": 0}),
        ("network_error", {"status": 503}, {"status": 503}),
        ("network_error", {"status": "404"}, {"status": 404}),
        ("network_error", {"status": "lost"}, {"status": -1}),
        ("network_success", {}, {"status": 200}),
        ("network", {}, {"status": -1, "duration_ms": -1, "aborted": -1}),
        (
            "network",
            {"status": 0, "method": "post", "url": "https://a.b/api?x", "durationMs": 12.9, "aborted": True},
            {"status": 0, "method": "POST", "url": "/api", "duration_ms": 12, "aborted": 1},
        ),
        ("slow_response", {"durationMs": 4000}, {"event_type": "performance", "perf_kind": "slow_response"}),
        ("long_task", {}, {"perf_kind": "long_task", "duration_ms": -1}),
        ("performance", {"kind": "page_load", "durationMs": 1}, {"perf_kind": "page_load", "duration_ms": 1}),
        ("loading", {"state": "start"}, {"state": "start"}),
        ("visibility", {"state": "hidden"}, {"state": "hidden"}),
        ("visibility", {"state": "start"}, {"state": ""}),
        ("session_end", {"state": "start"}, {"event_type": "session_end", "state": ""}),
    ],
)
def test_types_and_aliases_fill_their_columns(sent: str, metadata: dict[str, Any], expected: dict[str, Any]) -> None:
    stored = row(eventType=sent, metadata=metadata)
    assert {name: getattr(stored, name) for name in expected} == expected


@pytest.mark.parametrize("sent", [None, "", "Click", "tap", 5, [], {}])
def test_an_unknown_type_is_rejected(sent: object) -> None:
    assert reject(eventType=sent)[0] == "eventType"


# ----------------------------------------------------------------------------------------------- dead letters


def test_a_dead_letter_is_masked_and_its_replay_is_harmless() -> None:
    bad = event(
        eventType="tap",
        userId="user-1",
        route="/a?token=s",
        target={"label": "bob@example.com"},
        metadata={"message": "card 4111 1111 1111 1111"},
    )
    letters = [json.loads(line) for line in send(bad, bad).dead_letters]
    text = json.dumps(letters)
    for secret in ("user-1", "token=s", "bob@example.com", "4111"):
        assert secret not in text
    assert [letter["field"] for letter in letters] == ["eventType", "eventType"]
    assert letters[0]["at"] == "2024-01-15T10:00:00.000Z"
    assert letters[0]["project"] == "p"
    assert len({letter["event"]["idempotencyKey"] for letter in letters}) == 2
    mended = {**letters[0]["event"], "eventType": "click"}
    replayed, twice = send(mended).rows[0], send(mended).rows[0]
    assert replayed.event_id == twice.event_id
    assert replayed.user_hash == row(userId="user-1").user_hash


def test_a_dead_letter_is_capped() -> None:
    (letter,) = send(event(eventType="tap", blob=["x" * 500_000])).dead_letters
    assert len(letter) < 70_000
    assert json.loads(letter)["event"]["truncated"] is True
    assert json.loads(letter)["event"]["route"] == "/checkout"
    assert (
        json.loads(letter)["event"]["cut"][-1]
        == f"{len(json.dumps({'blob': ['x' * 500_000]})) - 1} bytes of other fields"
    )
    (large,) = send(event(eventType="tap", metadata={"note": "x" * 70_000})).dead_letters
    assert json.loads(large)["event"]["cut"][0] == "70011 bytes of metadata"
    (bare,) = send("x" * 500_000).dead_letters
    assert len(bare) < 70_000


# ------------------------------------------------------------------------------------------------------ files


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz"])
def test_a_file_of_events_becomes_a_table(tmp_path: Path, suffix: str) -> None:
    lines = [json.dumps(event(sessionId=f"s{i}", timestamp=NOW + i)).encode() for i in range(3)]
    content = b"\xef\xbb\xbf" + lines[0] + b"\r\n\n" + lines[1] + b"\nnot json\n" + b'{"eventType": "tap"}\n' + lines[2]
    path = tmp_path / f"events.{suffix}"
    path.write_bytes(gzip.compress(content) if suffix.endswith("gz") else content)
    table, rejects = read_events(path)
    assert table.schema == EVENT_SCHEMA
    assert table["session_id"].to_pylist() == ["s0", "s1", "s2"]
    assert table["received_ms"].to_pylist() == table["ts"].to_pylist() == [NOW, NOW + 1, NOW + 2]
    assert [(r.index, r.field) for r in rejects] == [(3, ""), (4, "eventType")]


def test_an_empty_file_is_an_empty_table(tmp_path: Path) -> None:
    path = tmp_path / "empty"
    path.write_bytes(b"")
    table, rejects = read_events(path)
    assert (table.num_rows, table.schema, rejects) == (0, EVENT_SCHEMA, [])


def test_a_damaged_gzip_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.gz"
    path.write_bytes(gzip.compress(b"{}" * 10_000)[:-9])
    with pytest.raises(ValueError, match="cut off or damaged"):
        read_events(path)


def test_the_far_future_in_a_file_is_history_too(tmp_path: Path) -> None:
    table, rejects = build_table([event(timestamp="2124-01-15T10:00:00Z")])
    assert (table.num_rows, rejects) == (1, [])


def test_a_table_says_what_the_rows_say() -> None:
    events = [event(seq=i, metadata={"x": i}, userId=f"u{i}") for i in range(5)] + [event(eventType="network_error")]
    batch = send(*events)
    table = pa.Table.from_batches([to_arrow(batch.rows)])
    assert table.to_pylist() == [msgspec.to_builtins(stored) for stored in batch.rows]


# ---------------------------------------------------------------------------------------------------- hostile


def test_half_of_a_surrogate_pair_does_not_reject_the_batch() -> None:
    # What JSON.stringify writes for a label that was cut in the middle of an emoji.
    body = b'{"events": [%s, {"eventType":"click","timestamp":1,"sessionId":"s","route":"/","target":%s}]}'
    batch = normalise_batch(
        decode_body(body % (json.dumps(SEED_EVENT).encode(), b'{"label":"a\\ud83d"}')),
        project="p",
        received_ms=NOW,
        salt=b"",
    )
    assert [stored.target_label for stored in batch.rows] == ["", "a?"]


@pytest.mark.parametrize("number", [b"1e999", b"-1e999", b"9" * 400, b"1" + b"0" * 30])
def test_a_number_beyond_all_types_is_one_events_fault(number: bytes) -> None:
    body = b'{"events": [%s, {"eventType":"click","timestamp":%s,"sessionId":"s","route":"/"}]}'
    batch = normalise_batch(
        decode_body(body % (json.dumps(SEED_EVENT).encode(), number)), project="p", received_ms=NOW, salt=b""
    )
    assert (len(batch.rows), [r.field for r in batch.rejects]) == (1, ["timestamp"])


def damaged(part: bytes) -> bytes:
    first, last = json.dumps(SEED_EVENT).encode(), json.dumps({**SEED_EVENT, "sessionId": "last"}).encode()
    event = b'{"eventType":"click","timestamp":1,"sessionId":"s","route":"/",%s}' % part
    return b'{"events":[%s,%s,%s]}' % (first, event, last)


@pytest.mark.parametrize(
    ("part", "field"),
    [
        (b'"metadata":{"x":NaN}', "metadata.x"),
        (b'"metadata":{"a":1,"ratio":Infinity}', "metadata.ratio"),
        (b'"metadata":{"pos":{"x":-Infinity,"y":1}}', "metadata.pos"),
        (b'"seq":NaN', "seq"),
        (b'"target":{"label":"10 \xe2\x82"}', "target.label"),
        (b'"target":{"label":"\xf0\x9f\x98"}', "target.label"),
        (b'"metadata":{"message":"caf\xe9"}', "metadata.message"),
        (b'"metadata":{"k\xff":1}', "metadata.k\ufffd"),
        (b'"userId":"\xc0\x80"', "userId"),
        (b'"unknown":"\xff"', ""),
        (b'"unknown\xff":1', ""),
        (b'"x":[NaN]', ""),
    ],
)
def test_a_damaged_event_is_rejected_alone_and_can_be_sent_again(part: bytes, field: str) -> None:
    batch = normalise_batch(decode_body(damaged(part)), project="p", received_ms=NOW, salt=b"")
    assert [stored.session_id for stored in batch.rows] == ["test-1", "last"]
    assert [(r.index, r.field) for r in batch.rejects] == [(1, field)]
    (letter,) = batch.dead_letters
    again = send(json.loads(letter)["event"])
    assert (len(again.rows), again.rejects) == (1, [])


@pytest.mark.parametrize("event", [b"NaN", b'"\xff"', b"[Infinity]"])
def test_a_damaged_value_that_is_no_event_is_rejected_alone(event: bytes) -> None:
    body = b'{"events":[%s,%s]}' % (json.dumps(SEED_EVENT).encode(), event)
    batch = normalise_batch(decode_body(body), project="p", received_ms=NOW, salt=b"")
    assert (len(batch.rows), [r.index for r in batch.rejects]) == (1, [1])


@pytest.mark.parametrize(
    "body",
    [
        b'{"events":[{}],"sentAt":NaN}',
        b'{"events":[{}],"userAgent":"\xff"}',
        b'{"events":[NaN',
        b'{"events":"NaN"',
        b"\xff\xfe{\x00}",
        b'{"events":[NaN],"x":' + b"[" * 100_000,
    ],
)
def test_damage_outside_of_the_events_refuses_the_body(body: bytes) -> None:
    with pytest.raises(InvalidBatch) as caught:
        decode_body(body)
    assert (caught.value.status, caught.value.code) == (400, "invalid_json")


def test_a_damaged_event_of_a_named_session_is_kept_with_it() -> None:
    body = decode_body(b'{"events":[{"eventType":"click","timestamp":1,"route":"/","seq":NaN}]}')
    batch = normalise_batch(body, project="p", received_ms=NOW, salt=b"", session_id="mine")
    assert json.loads(batch.dead_letters[0])["event"]["sessionId"] == "mine"


def test_whole_events_beside_a_damaged_one_are_what_they_are_alone() -> None:
    both = normalise_batch(decode_body(damaged(b'"seq":NaN')), project="p", received_ms=NOW, salt=b"")
    alone = send(SEED_EVENT, {**SEED_EVENT, "sessionId": "last"}, project="p")
    assert [stored.event_id for stored in both.rows] == [stored.event_id for stored in alone.rows]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    "eventType",
    "timestamp",
    "sessionId",
    "route",
    "target",
    "metadata",
    "seq",
    "userId",
    "idempotencyKey",
    "userAgent",
]


@given(st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=5), json_values, max_size=6), st.data())
def test_any_event_is_a_row_that_fits_or_a_reject_with_a_dead_letter(
    changes: dict[str, Any], data: st.DataObject
) -> None:
    kinds = st.sampled_from(["click", "input", "scroll", "navigation", "error", "network", "performance", "loading"])
    sent = {**SEED_EVENT, "eventType": data.draw(kinds), **changes}
    batch = normalise_batch({"events": [sent]}, project="p", received_ms=NOW, salt=b"")
    assert len(batch.rows) + len(batch.rejects) == 1
    assert len(batch.dead_letters) == len(batch.rejects)
    for line in (batch.encode_rows(), *batch.dead_letters):
        assert line == b"" or line.endswith(b"\n")
        assert line.count(b"\n") == (1 if line else 0)
    if batch.rows:
        msgspec.json.decode(batch.encode_rows(), type=Row)
        table, _ = build_table([sent])
        assert table.num_rows == 1, "every value fits the column's type"


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "x",
                "y",
                "clientX",
                "clickCount",
                "disabled",
                "responded",
                "action",
                "fieldType",
                "depth",
                "valid",
                "from",
                "navigationType",
                "message",
                "source",
                "status",
                "method",
                "url",
                "durationMs",
                "kind",
                "state",
                "thirdParty",
            ]
        ),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=30),
    ),
    st.sampled_from(
        [
            "click",
            "input_focus",
            "scroll",
            "form_submit",
            "route_change",
            "unhandled_rejection",
            "network_error",
            "long_task",
        ]
    ),
)
def test_any_metadata_is_kept_and_fits(metadata: dict[str, Any], kind: str) -> None:
    table, rejects = build_table([event(eventType=kind, metadata=metadata)])
    assert rejects == []
    assert set(json.loads(table["metadata"][0].as_py())) == set(metadata)


@given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_decoded_or_refused(body: bytes) -> None:
    try:
        batch = normalise_batch(decode_body(body), project="p", received_ms=NOW, salt=b"")
    except InvalidBatch:
        return
    assert len(batch.rows) + len(batch.rejects) == len(json.loads(body)["events"])


@given(st.datetimes(timezones=st.timezones()))
def test_every_rfc_3339_time_is_understood(moment: Any) -> None:
    offset = moment.utcoffset()
    if offset.total_seconds() % 60 == 0 and moment.year >= 1971:
        assert (
            parse_time(moment.isoformat())
            == int((moment - moment.replace(microsecond=0)).microseconds // 1000)
            + int(moment.replace(microsecond=0).timestamp()) * 1_000
        )


def test_an_unknown_position_is_the_engines() -> None:
    assert contract.UNKNOWN_POSITION == UNKNOWN_POSITION


def test_events_of_one_session_take_its_id_and_cannot_name_another() -> None:
    nameless = {name: value for name, value in SEED_EVENT.items() if name != "sessionId"}
    sent = [nameless, event(sessionId=""), event(sessionId="s-1"), event(sessionId="s-2"), 5]
    batch = normalise_batch({"events": sent}, project="p", received_ms=NOW, salt=b"s", session_id="s-1")
    assert {row.session_id for row in batch.rows} == {"s-1"}
    assert [(reject.index, reject.field) for reject in batch.rejects] == [(3, "sessionId"), (4, "")]
    assert len({row.event_id for row in batch.rows}) == 3, "identical events are told apart by their number"
