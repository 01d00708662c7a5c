"""What a field asks while a person fills it in, and does not find: an answer like any other, and no failure."""

import pytest

from tests.unit.ufse.scene import Row, answer, bodies, click, end, event, go, typed, why

NAME = {"target_type": "input", "target_id": "name"}
NOTE = {"target_type": "textarea", "target_id": "note"}
CREATE = {"target_type": "button", "target_id": "create", "target_label": "Create"}
FREE = "/api/names/blue"


def asked(t: float, status: int = 404, method: str = "GET") -> Row:
    """The page asks whether there is something of the name that was typed."""
    return answer(t, status, took=0.02, url=FREE, method=method)


def named(how: Row, *looked_up: Row) -> list[Row]:
    """A person names a thing, and goes on to the next field; ``how``: what the page takes for the end of typing."""
    return [go(1, "/things"), click(4, NAME, "/things"), typed(6, "/things", NAME), how, *looked_up]


def pressed(status: int, took: float = 0.1) -> list[Row]:
    """Four presses of the button within 1.2 s."""
    times = [12 + 0.4 * n for n in range(4)]
    rows = [click(t, CREATE, "/things") for t in times]
    return rows + [answer(t + took, status, took, url="/api/things") for t in times]


BY_CLICK = click(6, NOTE, "/things")
BY_FOCUS = event(6, "input", "/things", action="focus", **NOTE)


@pytest.mark.parametrize("how", [BY_CLICK, BY_FOCUS, typed(6, "/things", NAME)])
def test_a_name_that_nobody_has_yet_is_no_failure(how: Row) -> None:
    rows = [*named(how, asked(6.5)), end(20, "/things")]
    assert bodies(rows) == []
    assert why(rows) == "no_negative_feedback"


def test_the_request_that_failed_is_the_failure_and_not_the_lookup_before_it() -> None:
    (body,) = bodies([*named(BY_CLICK, asked(6.5)), *pressed(500), end(20, "/things")])
    assert body["failurePoint"]["target"] == "button#create"
    assert body["failurePoint"]["feedback"] == "POST /api/things → 500"


def test_impatience_with_a_slow_answer_after_a_lookup_is_no_incident() -> None:
    """The first press made the thing; the others are refused because it is there."""
    slow = pressed(409, took=6)
    slow[4] = answer(18, 201, 6, url="/api/things")
    assert bodies([*named(BY_CLICK, asked(6.5)), *slow, end(24, "/things")]) == []


@pytest.mark.parametrize(("status", "method"), [(500, "GET"), (403, "GET"), (404, "POST")])
def test_other_answers_to_a_field_are_evidence(status: int, method: str) -> None:
    rows = [*named(BY_CLICK, asked(6.5, status, method)), go(20, "/home"), end(30, "/home")]
    assert why(rows) == "below_high"


def test_a_button_that_finds_nothing_is_refused() -> None:
    rows = named(BY_CLICK)
    for t in (10, 14, 18):
        rows += [click(t, CREATE, "/things"), asked(t + 0.3)]
    (body,) = bodies([*rows, end(20, "/things")])
    assert body["failurePoint"]["target"] == "button#create"
