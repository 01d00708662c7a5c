"""Clicks that were running when a request began (``during``): causes, and the clicks of an aggregated one."""

import json
import random
from typing import Any

import pyarrow as pa
import pytest

from collector.contract import decode_body, normalise_batch
from tests.unit.ufse.scene import Row, answer, bodies, click, error, go, table
from ufse import DEFAULT, detect
from ufse.aggregated import read_running_clicks
from ufse.sessions import order_events

HELP = {"target_type": "button", "target_id": "help"}


def joined(start: float = 10, own_id: str = "r", **values: Any) -> Row:
    """Rage as Datadog sends it: one click, of which is known that it stands for at least three."""
    return click(start, **{"own_id": own_id, "clicks": 3, "span_ms": -1, "verdict": "rage", **values})


def read(rows: list[Row]) -> pa.Table:
    return read_running_clicks(table(rows))


def count(rows: list[Row], own_id: str = "r") -> int:
    found = read(rows)
    return int(found["clicks"].to_pylist()[found["own_id"].to_pylist().index(own_id)])


def test_clicks_that_were_never_sent_count() -> None:
    """The first click is older than the joined one, the later ones are newer."""
    rows = [joined(), answer(10.9, 500, took=0.1, during="k4 k3 k2 r k1")]
    assert count(rows) == 4
    rows = [joined(span_ms=831), answer(12.2, 500, took=2.15, during="k4 k3 k2 r k1")]
    assert [s["count"] for b in bodies(rows) for s in b["triggeringSignals"] if s["type"] == "rage"] == [4]
    assert bodies([joined(span_ms=831), answer(12.2, 500, took=2.15, during="k2 r k1")]) == []


@pytest.mark.parametrize(
    ("lists", "found"),
    [
        (["r k1"], 3),
        (["k2 r k1", "k3 k2 r k1", "k5 k4 k3 k2 r k1"], 5),
        (["k5 r", "k4 r", "k3 r", "k2 r"], 5),
        (["k2 r k1", "k2 r k1"], 3),
        (["", "x y z"], 3),
        (["g2 s k4 k3 k2 r k1"], 4),
        (["k9 k8 s k4 k3 k2 r k1"], 4),
        (["k6 q k5 k4 k3 k2 r k1"], 4),
        ([" ".join(f"k{n}" for n in range(500)) + " r k"], 100),
    ],
)
def test_lists_of_several_batches(lists: list[str], found: int) -> None:
    """``s`` was sent alone, its companion ``g2`` never; ``q`` is the next joined one, its first click ``k5``."""
    rows = [joined(), click(12, HELP, own_id="s"), joined(13, "q")]
    rows += [answer(14 + i, 500, during=text) for i, text in enumerate(lists)]
    assert count(rows) == found


def test_only_joined_clicks_get_a_count() -> None:
    found = read([click(10, own_id="a"), click(11, own_id="b", verdict="rage"), answer(12, 500, during="z y x b a")])
    assert set(found["clicks"].to_pylist()) == {-1}


def test_ids_of_another_session_or_project_say_nothing() -> None:
    for key in ("session_id", "project"):
        other = {**answer(11, 500, during="k5 k4 k3 k2 r k1"), key: "other"}
        assert count([joined(), other]) == 3
        assert "r" not in read([joined(), other])["cause"].to_pylist()


def test_a_span_that_the_clicks_cannot_have_is_unknown() -> None:
    found = read([joined(span_ms=8_000), answer(12, 500, during="k4 k3 k2 r k1")])
    assert found["span_ms"].to_pylist()[0] == -1
    found = read([joined(span_ms=2_900), answer(12, 500, during="k4 k3 k2 r k1")])
    assert found["span_ms"].to_pylist()[0] == 2_900


def test_the_newest_click_that_was_sent_is_the_cause() -> None:
    """By time the request belongs to nothing: it began 4 s after the click, on a busy machine."""
    rows = [click(10 + 0.4 * i, own_id=f"c{i}") for i in range(4)]
    late = answer(16.2, 500, took=1)
    assert bodies([*rows, late]) == []
    assert len(bodies([*rows, {**late, "during": "g c3 c2 c1 c0"}])) == 1
    assert read([*rows, {**late, "during": "g c3 c2"}])["cause"].to_pylist()[-1] == "c3"
    assert read([*rows, {**late, "during": "g h"}])["cause"].to_pylist()[-1] == ""
    assert read([*rows, {**late, "during": "c3", "cause": "c1"}])["cause"].to_pylist()[-1] == "c1"


def test_any_order_of_the_rows_gives_the_same() -> None:
    rows = [go(1, "/checkout"), joined(), click(12, HELP, own_id="s"), joined(13, "q")]
    rows += [answer(12 + i, 500, during=t) for i, t in enumerate(["k2 r k1", "k4 k3 k2 r k1", "q2 q q1 s k4 r"])]
    rows += [error(11, during="k3 k2 r k1")]
    rows = [{**row, "event_id": f"{i:032x}"} for i, row in enumerate(rows)]
    seen = set()
    for seed in range(12):
        random.Random(seed).shuffle(rows)
        seen.add(repr([d.to_json() for d in detect(table([*rows, *rows[: seed % 4]])).detections]))
    assert len(seen) == 1


def test_tables_without_the_column_or_without_lists_are_left_alone() -> None:
    rows = table([click(10, own_id="a"), answer(11, 500)])
    assert detect(rows).detections == detect(rows.drop_columns(["during"])).detections
    assert read_running_clicks(rows) is rows


@pytest.mark.parametrize("text", [" ", "  r  ", "r r r r", "\x1f r", "🙂 r"])
def test_odd_lists_raise_nothing(text: str) -> None:
    assert count([joined(), answer(11, 500, during=text)]) == 3
    order_events(table([joined(), answer(11, 500, during=text)]), DEFAULT)


def test_a_page_and_its_document_are_one_navigation() -> None:
    """The SDK reports the page when it opens and the answer of its document later, with the same id."""
    rows = [go(1, "/checkout"), click(10, own_id="a")]
    page = go(10.1, "/orders", own_id="v", nav_from="/checkout")
    failed = go(10.1, "/orders", own_id="v", status=503, url="/orders")
    ordered = order_events(table([*rows, failed, page]), DEFAULT)
    assert len(ordered.row) == 3
    kept = ordered.table.take(pa.array(ordered.row)).to_pylist()[-1]
    assert (kept["status"], kept["url"], kept["nav_from"]) == (503, "/orders", "/checkout")
    assert len(order_events(table([*rows, failed]), DEFAULT).row) == 3
    assert len(order_events(table([*rows, failed, {**page, "own_id": "w"}]), DEFAULT).row) == 4
    assert len(order_events(table([*rows, failed, {**page, "session_id": "t"}]), DEFAULT).row) == 4


@pytest.mark.parametrize(
    ("sent", "stored"),
    [("a b", "a b"), ("  a   b ", "a b"), (7, ""), ("x" * 5_000, ""), ("y" * 129 + " b", "b"), (None, "")],
)
def test_the_contract_takes_lists_of_ids(sent: Any, stored: str) -> None:
    event = {"eventType": "network", "timestamp": 1_700_000_000_000, "sessionId": "s", "metadata": {"during": sent}}
    batch = decode_body(json.dumps({"events": [event]}).encode())
    result = normalise_batch(batch, project="p", received_ms=1_700_000_000_000, salt=b"s")
    assert result.rows[0].during == stored
