"""A visitor with the public key sends more events, sessions or names than a browser does."""

import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from collector.access.visitor_limits import OTHER, OTHER_ROUTE, SenderNames, SessionNames, name_code
from collector.contract import Row, normalise_batch
from tests.attacks.collector import EVENT, INGEST, OPERATOR, Answer, Collector, request, running, wait_until

VISITOR, OTHERS = "127.0.0.66", "127.0.0.77"


def batch(number: int, **changes: Any) -> bytes:
    """So many events of one session."""
    return json.dumps({"events": [{**EVENT, "seq": seq, **changes} for seq in range(number)]}).encode()


def sessions(prefix: str, number: int) -> list[bytes]:
    return [batch(1, sessionId=f"{prefix}-{n}") for n in range(number)]


def stored(collector: Collector) -> list[dict[str, Any]]:
    """The events on the disk, as soon as all are sealed."""
    wait_until(lambda: not list(collector.spool.glob("*.open")))
    lines = [line for file in sorted(collector.spool.glob("*.jsonl")) for line in file.read_bytes().splitlines()]
    return [row for line in lines if "event_type" in (row := msgspec.json.decode(line))]


def refused_by(collector: Collector, limit: str) -> float:
    text = collector.get("/metrics").body.decode()
    return sum(float(n) for n in re.findall(rf'^furrow_refused_total{{limit="{limit}"}} (\S+)$', text, re.MULTILINE))


def is_refused(answer: Answer) -> bool:
    return (answer.status, answer.code) == (429, "rate_limited") and int(answer.headers["retry-after"]) >= 1


def test_one_address_sends_so_many_events_and_the_others_theirs(tmp_path: Path) -> None:
    with running(tmp_path, source_events_per_second=10) as collector:
        statuses = [collector.ask(request(batch(15)), VISITOR).status for _ in range(4)]
        assert statuses[:2] == [202, 202], "a burst of twice the rate"
        assert 429 in statuses[2:]
        assert is_refused(collector.ask(request(batch(100)), VISITOR))
        assert collector.ask(request(batch(15)), OTHERS).status == 202
        assert refused_by(collector, "events") >= 1
        kept = 15 * (statuses.count(202) + 1)
        assert len(stored(collector)) == kept, "what was refused was not kept, and what was accepted is whole"


def test_one_key_sends_so_many_events_from_all_addresses(tmp_path: Path) -> None:
    with running(tmp_path, events_per_second=20, source_events_per_second=20) as collector:
        answers = [collector.ask(request(batch(30)), f"127.0.0.{60 + n}") for n in range(4)]
        assert [answer.status for answer in answers[:2]] == [202, 202]
        assert is_refused(answers[-1])


def test_a_refusal_by_events_needs_no_body(tmp_path: Path) -> None:
    with running(tmp_path, source_events_per_second=1) as collector:
        collector.ask(request(batch(60)), VISITOR)
        client = collector.client(VISITOR)
        client.send(
            request(b"")[: request(b"").index(b"content-length")]
            + b"content-length: 900000\r\n"
            + f"x-api-key: {INGEST}\r\n\r\n".encode()
        )
        assert is_refused(client.answer())


def test_one_address_begins_so_many_sessions_in_an_hour(tmp_path: Path) -> None:
    with running(tmp_path, source_sessions_per_hour=5) as collector:
        answers = [collector.ask(request(body), VISITOR) for body in sessions("flood", 8)]
        assert [answer.status for answer in answers] == [202] * 5 + [429] * 3
        assert 60 < int(answers[-1].headers["retry-after"]) <= 720
        assert collector.ask(request(batch(3, sessionId="flood-2")), VISITOR).status == 202, "a known session goes on"
        assert collector.ask(request(batch(3, sessionId="honest")), OTHERS).status == 202
        assert refused_by(collector, "sessions") == 3
        assert {row["session_id"] for row in stored(collector)} == {*(f"flood-{n}" for n in range(5)), "honest"}


def test_one_batch_does_not_carry_sessions_past_the_limit(tmp_path: Path) -> None:
    with running(tmp_path, source_sessions_per_hour=5) as collector:
        many = json.dumps({"events": [{**EVENT, "sessionId": f"s-{n}"} for n in range(50)]}).encode()
        assert collector.ask(request(many), VISITOR).status == 202, "nothing of a batch is lost"
        answer = collector.ask(request(batch(1, sessionId="one-more")), VISITOR)
        assert is_refused(answer)
        assert int(answer.headers["retry-after"]) > 3600 * 8, "what was beyond the limit is paid for in time"


def test_one_key_begins_so_many_sessions_in_an_hour(tmp_path: Path) -> None:
    with running(tmp_path, sessions_per_hour=5) as collector:
        statuses = [collector.ask(request(body), f"127.0.0.{60 + n}").status for n, body in enumerate(sessions("s", 7))]
        assert statuses == [202] * 5 + [429] * 2


def test_beacons_without_a_key_in_the_header_have_the_same_limits(tmp_path: Path) -> None:
    with running(tmp_path, source_events_per_second=10, source_sessions_per_hour=3) as collector:

        def beacon(number: int, session: str) -> Answer:
            body = json.dumps(
                {"apiKey": INGEST, "events": [{**EVENT, "seq": n, "sessionId": session} for n in range(number)]}
            )
            return collector.ask(request(body.encode(), None, content_type="text/plain"), VISITOR)

        assert [beacon(1, f"s-{n}").status for n in range(5)] == [202, 202, 202, 429, 429]
        statuses = [beacon(15, "s-1").status for _ in range(3)]
        assert statuses[0] == 202
        assert statuses[-1] == 429


def test_a_server_with_an_operator_key_sends_for_many_visitors(tmp_path: Path) -> None:
    limits = {"events_per_second": 10, "source_events_per_second": 10, "sessions_per_hour": 2}
    with running(tmp_path, source_sessions_per_hour=2, session_targets=3, **limits) as collector:
        for number in range(6):
            events = [
                {**EVENT, "sessionId": f"s-{number}-{n}", "target": {"type": "button", "id": f"b{n}x"}}
                for n in range(20)
            ]
            answer = collector.ask(request(json.dumps({"events": events}).encode(), x_operator_key=OPERATOR), VISITOR)
            assert answer.status == 202
        assert collector.metric("furrow_names_folded_total") == 0
        assert collector.ask(request(x_operator_key="guessed"), VISITOR).status == 401


@pytest.mark.parametrize("key", ["", "guessed"])
def test_a_wrong_operator_key_opens_no_way_round(tmp_path: Path, key: str) -> None:
    with running(tmp_path, source_events_per_second=1) as collector:
        statuses = {collector.ask(request(batch(20), x_operator_key=key), VISITOR).status for _ in range(4)}
        assert statuses <= {401, 429}


def test_names_beyond_a_sessions_limit_are_folded_and_counted(tmp_path: Path) -> None:
    word = "".join
    names = [word(chr(97 + int(c)) for c in f"{n:03d}") for n in range(40)]
    with running(tmp_path, session_routes=10, session_targets=20) as collector:
        events = [
            {**EVENT, "route": f"/{name}", "seq": n, "target": {"type": "button", "id": name, "label": name}}
            for n, name in enumerate(names)
        ]
        events += [
            {**EVENT, "eventType": "network", "route": "/aaa", "metadata": {"url": f"/api/{name}", "status": 500}}
            for name in names
        ]
        for start in range(0, len(events), 20):
            body = json.dumps({"events": events[start : start + 20]}).encode()
            assert json.loads(collector.ask(request(body), VISITOR).body) == {"accepted": 20, "rejected": []}
        rows = stored(collector)
        assert len(rows) == 80
        routes = {row["route"] for row in rows if row["event_type"] == "click"}
        assert len(routes) == 11
        assert OTHER_ROUTE in routes
        targets = {(row["target_id"], row.get("target_label", "")) for row in rows if row["event_type"] == "click"}
        assert len(targets) == 21
        assert (OTHER, "") in targets
        urls = {row["url"] for row in rows if row["event_type"] == "network"}
        assert len(urls) == 11
        assert OTHER_ROUTE in urls
        assert collector.metric("furrow_names_folded_total") == 30 + 20 + 30
        # Another session has names of its own.
        fresh = [{**EVENT, "sessionId": "fresh", "route": f"/{name}"} for name in names[20:30]]
        collector.ask(request(json.dumps({"events": fresh}).encode()), OTHERS)
        assert collector.metric("furrow_names_folded_total") == 80


def test_a_person_on_this_machine_has_no_such_limits(tmp_path: Path) -> None:
    with running(tmp_path, source_events_per_second=1, source_sessions_per_hour=1) as collector:
        local = request(batch(50)).replace(b"host: collector", b"host: localhost")
        assert {collector.ask(local).status for _ in range(4)} == {202}
        forwarded = local.replace(b"host: localhost", b"host: localhost\r\nx-forwarded-for: 203.0.113.7")
        assert 429 in {collector.ask(forwarded).status for _ in range(4)}


# ----------------------------------------------------------------------------------------------- the tables


def rows_of(session: str, routes: list[str]) -> list[Row]:
    events = [{**EVENT, "sessionId": session, "route": route} for route in routes]
    return normalise_batch({"events": events}, project="shop", received_ms=1_800_000_000_000, salt=b"s").rows


def test_numbers_and_ids_in_a_name_do_not_make_another_name() -> None:
    table = SessionNames(routes=2, targets=2)
    rows = rows_of(
        "s", [f"/orders/{n}" for n in range(300)] + [f"/carts/{n:08x}-c0de-4c0d-8c0d-c0dec0dec0de" for n in range(300)]
    )
    assert table.fold_names(rows) == {}
    assert {row.route.split("/")[1] for row in rows} == {"orders", "carts"}


def test_a_long_name_is_folded_in_a_moment() -> None:
    """A pattern that tries each place anew would need a day for this."""
    table = SessionNames(routes=2, targets=2)
    rows = rows_of("s", ["/" + "a" * 500]) * 100_000
    assert table.fold_names(rows) == {}
    assert name_code("a" * 2_000_000) != name_code("a" * 2_000_000 + "b")


def test_the_tables_of_sessions_and_names_are_bounded() -> None:
    table = SessionNames(routes=50, targets=50, max_sessions=100, max_names=500)
    words = ["".join(chr(97 + int(c)) for c in f"{n:04d}") for n in range(50)]
    for number in range(1_000):
        table.fold_names(rows_of(f"s{number}", [f"/{word}" for word in words]))
    assert table.size <= 500
    assert len(table) <= 100
    assert table.is_known("shop", "s999")
    assert not table.is_known("shop", "s0")


def test_addresses_are_hashed_with_a_salt_of_the_day() -> None:
    names = SenderNames()
    first = names.hash_sender("203.0.113.9", "2024-01-01")
    assert first == names.hash_sender("203.0.113.9", "2024-01-01")
    assert first != names.hash_sender("203.0.113.8", "2024-01-01")
    assert first != names.hash_sender("203.0.113.9", "2024-01-02")
    assert "203" not in first or len(first) == 16
    assert first != SenderNames().hash_sender("203.0.113.9", "2024-01-01"), "and no other process knows it"
