"""Rows of a list are one kind of control where the same failure answers each of them."""

from collections.abc import Callable

import pytest

from tests.unit.ufse.scene import Row, answer, bodies, click, end, go

ROWS: dict[str, Callable[[int], Row]] = {
    "ids of one digit": lambda n: {"target_type": "link", "target_id": f"order-{n}", "target_label": ""},
    "long ids": lambda n: {"target_type": "link", "target_id": f"order-{8840 + n}", "target_label": ""},
    "numbered labels": lambda n: {"target_type": "link", "target_id": "", "target_label": f"Order {n}"},
    "labels": lambda n: {
        "target_type": "link",
        "target_id": "",
        "target_label": ("Alba", "Bora", "Cima", "Duna", "Ebro")[n],
    },
    "places": lambda n: {
        "target_type": "button",
        "target_id": "",
        "target_label": "",
        "target_selector": f"tr:nth-child({n}) .open",
    },
}


def open_rows(make: Callable[[int], Row], how: str, count: int, status: int = 500, last: int = 0) -> list[Row]:
    """A list, and each of its rows: clicked, opened as ``how`` ('' for no navigation), answered, and back."""
    rows = [go(1, "/orders"), answer(1.4, 200, url="/api/orders", method="GET", route="/orders")]
    for n in range(1, count + 1):
        t, page = 8.0 * n, f"/orders/{n}" if how else "/orders"
        rows += [click(t, make(n), route="/orders")]
        rows += [go(t + 0.1, page, how)] if how else []
        answered = last if last and n == count else status
        rows += [answer(t + 0.5, answered, url=f"/api/orders/{n}", method="GET", route=page)]
        rows += [go(t + 5, "/orders", "back_forward")] if how else []
        rows += [answer(t + 5.4, 200, url="/api/orders", method="GET", route="/orders")] if how else []
    return [*rows, end(8.0 * count + 20, "/orders")]


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("how", ["push", "link", ""])
def test_row_after_row_that_cannot_be_opened_is_found(kind: str, how: str) -> None:
    (body,) = bodies(open_rows(ROWS[kind], how, 4))
    assert "blocked" in {s["type"] for s in body["triggeringSignals"]}
    assert body["failurePoint"]["feedback"] == "GET /api/orders/:id → 500"


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("how", ["push", "link"])
def test_two_bad_rows_are_no_failing_list(kind: str, how: str) -> None:
    assert not any(
        "blocked" in {s["type"] for s in b["triggeringSignals"]} for b in bodies(open_rows(ROWS[kind], how, 2))
    )


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("how", ["push", "link", ""])
def test_rows_that_open_are_silent(kind: str, how: str) -> None:
    assert bodies(open_rows(ROWS[kind], how, 4, status=200)) == []


@pytest.mark.parametrize("kind", ROWS)
@pytest.mark.parametrize("how", ["", "push"])
def test_the_row_that_opens_at_last_repairs_them(kind: str, how: str) -> None:
    assert bodies(open_rows(ROWS[kind], how, 4, last=200)) == []


def test_a_beacon_after_each_row_is_background() -> None:
    rows = []
    for n in range(1, 5):
        rows += [click(8 * n, ROWS["ids of one digit"](n), route="/orders")]
        rows += [answer(8 * n + 0.3, 500, url="/collect", route="/orders")]
    assert bodies([*rows, end(60, "/orders")]) == []


def test_a_beacon_whose_address_names_the_page_is_background() -> None:
    rows = []
    for n in range(1, 5):
        rows += [click(8 * n, ROWS["labels"](n), route="/orders")]
        rows += [answer(8 * n + 0.3, 500, url=f"/collect/{n % 2}", route="/orders")]
    assert bodies([*rows, end(60, "/orders")]) == []


def test_rows_whose_deletion_fails_are_found() -> None:
    rows = []
    for n in range(1, 5):
        rows += [
            click(
                8 * n, {"target_type": "button", "target_id": f"delete-{n}", "target_label": "Delete"}, route="/orders"
            )
        ]
        rows += [answer(8 * n + 0.3, 500, url=f"/api/orders/{n}", method="DELETE", route="/orders")]
    (body,) = bodies([*rows, end(60, "/orders")])
    assert "rage" not in {s["type"] for s in body["triggeringSignals"]}


@pytest.mark.parametrize(("count", "found"), [(3, True), (2, False)])
def test_three_controls_make_a_list(count: int, found: bool) -> None:
    rows = [e for e in open_rows(ROWS["numbered labels"], "", count) if e["event_type"] != "session_end"]
    assert any("blocked" in {s["type"] for s in b["triggeringSignals"]} for b in bodies(rows)) is found
