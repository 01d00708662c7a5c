"""Visits: gaps, order, late events, monsters, copies."""

import random

import pytest

from tests.unit.ufse.scene import T0, Row, answer, bodies, click, event, run, table
from ufse import DEFAULT, Config, sessionize
from ufse.sessions import CLICK, NAVIGATION, NETWORK, order_events

MINUTE = 60
HOUR = 3600


def visits(rows: list[Row], config: Config | None = None) -> list[tuple[float, float, int, int, bool]]:
    """(start, end, events, late, truncated) of each visit, in seconds after T0."""
    v = sessionize(table(rows), config or Config())
    columns = zip(v.start_ms, v.end_ms, v.events, v.late_events, v.truncated, strict=True)
    return [((int(a) - T0) / 1000, (int(b) - T0) / 1000, int(n), int(late), bool(t)) for a, b, n, late, t in columns]


def received(row: Row, t: float) -> Row:
    return {**row, "received_ms": T0 + round(t * 1000)}


@pytest.mark.parametrize(("gap", "count"), [(15 * MINUTE, 1), (15 * MINUTE + 0.001, 2)])
def test_a_gap_of_more_than_15_min_ends_a_visit(gap: float, count: int) -> None:
    assert len(visits([click(0), click(gap)])) == count


def test_a_visit_id_is_that_of_its_project_session_and_start() -> None:
    def ids(rows: list[Row]) -> list[str]:
        return sessionize(table(rows)).visit_id

    assert ids([click(0)]) == ids([click(0), click(5)])
    assert ids([click(0)]) != ids([click(1)])
    assert ids([click(0)]) != ids([click(0, session_id="t")])
    assert ids([click(0)]) != ids([click(0, project="q")])


def test_an_empty_table() -> None:
    assert visits([]) == []
    assert run([]).detections == []


def test_copies_are_dropped_and_the_one_received_first_stays() -> None:
    row = {**click(0), "event_id": "00000000-0000-0000-0000-000000000001"}
    again = {**received(row, 50), "route": "/copy"}
    assert visits([again, row, row]) == [(0, 0, 1, 0, False)]


def test_the_same_event_id_in_two_sessions_is_two_events() -> None:
    row = {**click(0), "event_id": "x"}
    assert len(visits([row, {**row, "session_id": "t"}])) == 2


def test_event_ids_of_any_length() -> None:
    rows = [{**click(i), "event_id": "e" * (i % 7 + 1) + str(i)} for i in range(50)]
    assert visits([*rows, rows[3], rows[4]]) == [(0, 49, 50, 0, False)]


def test_late_after_75_min_of_receipt_silence() -> None:
    for silence, late in ((75 * MINUTE, 0), (75 * MINUTE + 1, 1)):
        rows = [click(0), click(10), received(click(5), 10 + silence)]
        assert visits(rows)[0][2:4] == (3 - late, late)


def test_late_within_15_min_of_a_visit_on_either_side() -> None:
    base = [click(HOUR), click(HOUR + 60)]
    for t in (HOUR - 14 * MINUTE, HOUR + 60 + 15 * MINUTE):
        assert visits([*base, received(click(t), 5 * HOUR)]) == [(HOUR, HOUR + 60, 2, 1, False)]


def test_a_tab_left_open_overnight_begins_a_new_visit() -> None:
    assert [v[2:4] for v in visits([click(0), click(10), click(10 * HOUR), click(10 * HOUR + 5)])] == [
        (2, 0),
        (2, 0),
    ]


def test_an_old_log_sent_in_one_go_is_one_epoch() -> None:
    rows = [received(click(day * 86_400 - 9 * 365 * 86_400), day * 0.01) for day in range(5)]
    assert [v[3] for v in visits(rows)] == [0] * 5


def test_a_late_event_beyond_every_visit_begins_one_of_its_own() -> None:
    rows = [click(10 * HOUR), received(click(HOUR), 20 * HOUR)]
    assert [v[:4] for v in visits(rows)] == [(HOUR, HOUR, 1, 0), (10 * HOUR, 10 * HOUR, 1, 0)]


def test_the_neighbour_of_a_late_event_is_judged_by_the_visit_alone() -> None:
    rows = [click(0), *(received(click(t), 4 * HOUR) for t in (10 * MINUTE, 20 * MINUTE))]
    assert [v[:4] for v in visits(rows)] == [(0, 0, 1, 1), (20 * MINUTE, 20 * MINUTE, 1, 0)]


def test_a_late_event_is_counted_and_not_analysed() -> None:
    rage = [click(10 + 0.4 * i) for i in range(5)]
    assert bodies([*rage, answer(10.5, 500, took=0.45)])
    assert bodies([*rage, received(answer(10.5, 500, took=0.45), 3 * HOUR)]) == []


def test_an_event_within_the_silence_bridges_a_gap() -> None:
    assert len(visits([click(0), click(20 * MINUTE)])) == 2
    assert len(visits([click(0), click(20 * MINUTE), received(click(10 * MINUTE), 40 * MINUTE)])) == 1


def test_monsters_are_truncated_not_split() -> None:
    rows = [click(i * 0.1) for i in range(10_001)]
    assert visits(rows) == [(0, 1000, 10_001, 0, True)]
    assert visits(rows[:-1])[0][4] is False
    long = [click(10 * MINUTE * i) for i in range(74)]
    assert [v[2:] for v in visits(long)] == [(74, 0, True)]
    assert visits(long[:-1])[0][4] is False


def test_what_a_monster_does_beyond_the_cap_is_not_analysed() -> None:
    rage = [click(10 + 0.4 * i) for i in range(5)]
    failed = answer(10.5, 500, took=0.45)
    config = Config(max_visit_events=5)
    small = Config(max_visit_events=3)
    assert bodies([*rage, failed, click(60)], config)[0]["context"]["truncated"] is True
    assert bodies([click(1), *rage, failed], small) == []


def test_ties_are_ordered_by_seq_then_kind_then_identity() -> None:
    rows = [
        event(5, "navigation", "/b", nav_type="push"),
        event(5, "network", status=500, duration_ms=0),
        event(5, "click", target_type="button", target_id="pay"),
    ]

    def order(rows: list[Row]) -> list[int]:
        return [int(k) for k in order_events(table(rows), Config()).kind]

    assert order(rows) == [CLICK, NETWORK, NAVIGATION]
    numbered = [{**r, "seq": i} for i, r in enumerate(rows)]
    random.Random(1).shuffle(numbered)
    assert order(numbered) == [NAVIGATION, NETWORK, CLICK]


def test_ids_that_differ_in_the_middle_alone_are_no_copies() -> None:
    rows = [{**click(i), "event_id": f"same-beginning-{i:08d}-same-ending"} for i in range(20)]
    assert len(order_events(table([*rows, rows[3]]), DEFAULT).row) == 20
