"""Steps: the same names for what a session used as for what failed."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pytest

from furrow.cli.event_files import read_event_table
from tests.corpus.player import KINDS
from tests.corpus.write import sessions as play_sessions
from tests.unit.ufse.scene import PAY, Row, answer, bodies, click, end, event, go, submit, table, typed
from ufse import EVENT_SCHEMA, detect
from ufse.detection import FailurePoint
from ufse.steps import USED_COLUMNS, USED_TYPES, Step, UsedSteps, find_used_steps, identify_step

SAVE = {"target_type": "button", "target_id": "save"}


def uses(events: pa.Table) -> pa.Table:
    """The uses of the sessions of a table, as the event store selects them."""
    rows = events.to_pylist()
    names = {name: n + 1 for n, name in enumerate(sorted({(r["project"], r["session_id"]) for r in rows}))}
    used = [
        {"session": names[r["project"], r["session_id"]], **{n: r[n] for n in ("ts", "seq", *USED_COLUMNS)}}
        for r in rows
        if r["event_type"] in USED_TYPES and not (r["event_type"] == "input" and r["action"] in ("focus", "blur"))
    ]
    return pa.Table.from_pylist(used, schema=_SCHEMA)


_SCHEMA = pa.schema(
    [("session", pa.uint64()), ("ts", pa.int64()), ("seq", pa.int64()), *((n, pa.string()) for n in USED_COLUMNS)]
)


def steps(rows: list[Row]) -> set[int]:
    """The steps of one session."""
    return set(find_used_steps(uses(table(rows))).step.tolist())


def point(route: str, target: str = "", feedback: str = "POST /api/orders → 500") -> FailurePoint:
    return {"route": route, "target": target, "feedback": feedback}


def code(route: str, target: str = "", feedback: str = "POST /api/orders → 500") -> int:
    return identify_step("p", point(route, target, feedback)).code


def test_the_step_of_a_failure_is_that_of_a_session_without_one() -> None:
    failed = [go(0, "/checkout"), *(r for n in range(4) for r in (click(5 + n), answer(5.4 + n, 500))), end(30)]
    (found,) = bodies(failed)
    step = identify_step("p", found["failurePoint"])
    assert step.kind == "control"
    assert step.code in steps(failed)
    assert step.code in steps([go(0, "/checkout"), click(5), answer(5.4, 200), end(9)])
    assert step.code not in steps([go(0, "/checkout"), click(5, SAVE), answer(5.4, 200), end(9)])


def test_two_controls_on_a_route_stay_two_and_so_do_two_routes() -> None:
    assert len({code("/checkout", "button#pay"), code("/checkout", "button#save"), code("/cart", "button#pay")}) == 3
    both = steps([click(1), click(2, SAVE)])
    assert {code("/checkout", "button#pay"), code("/checkout", "button#save")} <= both
    assert code("/cart", "button#pay") not in both


def test_what_failed_does_not_matter_for_a_control() -> None:
    assert code("/checkout", "button#pay") == code("/checkout", "button#pay", "TypeError: x is undefined")


@pytest.mark.parametrize(
    ("feedback", "kind"),
    [
        ("GET /api/orders/:id → 500", "request"),
        ("/api/orders → no answer", "request"),
        ("request → 500", "page"),
        ("page load → slow", "page"),
        ("uncaught error", "page"),
        ("a → b", "page"),
        ("never answered", "page"),
    ],
)
def test_a_page_has_the_step_of_its_request_or_of_itself(feedback: str, kind: str) -> None:
    assert identify_step("p", point("/orders/:id", "", feedback)).kind == kind


def test_ids_are_folded_as_in_failure_points() -> None:
    used = steps([go(0, "/orders/8841"), answer(1, 200, url="/api/orders/8841", method="GET", route="/orders/8841")])
    assert code("/orders/:id", "", "GET /api/orders/:id → 500") in used
    assert code("/orders/:id", "", "page load → slow") in used
    row = {"target_type": "button", "target_id": "row-8841-delete"}
    assert code("/orders/:id", "button#row-:id-delete") in steps([click(1, row, route="/orders/77")])


def test_a_part_of_a_control_is_the_control_where_the_session_shows_it() -> None:
    icon = {"target_type": "svg", "target_selector": "#pay > svg"}
    assert steps([click(1), click(2, icon)]) == steps([click(1)])


def test_submits_and_changes_of_fields_are_uses_and_images_are_none() -> None:
    used = steps([submit(1), typed(2)])
    assert {code("/checkout", "form#checkout-form"), code("/checkout", "input#card")} <= used
    assert len(steps([answer(1, 200, url="/logo.png", method="GET")])) == 1  # the page alone


def test_an_event_without_a_route_has_the_page_before_it() -> None:
    assert code("/checkout", "button#pay") in steps([go(0, "/checkout"), click(1, route="")])


def test_projects_do_not_share_steps_and_sessions_are_kept_apart() -> None:
    rows = [
        {**click(1), "session_id": "a"},
        {**click(1, SAVE), "session_id": "b"},
        {**click(1), "session_id": "a", "project": "q"},
    ]
    found = find_used_steps(uses(table(rows)))
    by_session = {s: set(found.step[found.session == s].tolist()) for s in (1, 2, 3)}
    assert by_session[1] == steps([click(1)])
    assert by_session[2] == steps([click(1, SAVE)])
    assert not by_session[3] & by_session[1]


def test_a_repeated_use_is_one_step_and_nothing_gives_nothing() -> None:
    found = find_used_steps(uses(table([click(n, PAY) for n in range(9)])))
    assert len(found.step) == len(set(found.step.tolist())) == 2  # the page and its button
    empty = find_used_steps(uses(table([event(0, "scroll")])))
    assert isinstance(empty, UsedSteps)
    assert len(empty.session) == 0


def test_any_order_of_equal_times_and_hostile_texts_give_the_same() -> None:
    hostile = {"target_type": "button", "target_label": "\x1f\ud800'; DROP", "target_selector": "a\x00b"}
    rows = [click(1, hostile, route="/\x1fa"), click(1, PAY), answer(1, 200), go(1, "")]
    once = find_used_steps(_with_texts(rows))
    again = find_used_steps(_with_texts(rows[::-1]))
    assert np.array_equal(once.step, again.step)


def _with_texts(rows: list[Row]) -> pa.Table:
    clean = [
        {k: v.encode("utf-8", "replace").decode() if isinstance(v, str) else v for k, v in r.items()} for r in rows
    ]
    return uses(table(clean))


def test_the_hash_does_not_change() -> None:
    # Stored rows hold it: another hash would need them to be counted anew.
    assert identify_step("p", point("/checkout", "button#pay")) == Step("control", -3885384859356373809)


def test_a_session_reached_the_step_of_each_of_its_detections() -> None:
    """On the situations of the corpus, which others wrote than these names."""
    events = _play_corpus()
    names = {key: n + 1 for n, key in enumerate(sorted(set(zip(*(events[n].to_pylist() for n in _KEY), strict=True))))}
    found = find_used_steps(uses(events))
    reached = set(zip(found.session.tolist(), found.step.tolist(), strict=True))
    detections = [d.to_json() for d in detect(events).detections]
    assert len(detections) > 60
    for body in detections:
        step = identify_step(body["projectId"], body["failurePoint"])
        assert (names[body["projectId"], body["sessionId"]], step.code) in reached, body["primaryFailurePoint"]


_KEY = ("project", "session_id")


def _play_corpus() -> pa.Table:
    lines = [event for _, played in play_sessions(KINDS, 1) for _, event in played]
    with TemporaryDirectory() as folder:
        file = Path(folder) / "events.jsonl"
        file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        return read_event_table(file).cast(EVENT_SCHEMA)
