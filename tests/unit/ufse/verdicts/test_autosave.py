"""A field that is left by a click sends what it sends anyway: that click did not ask for it (docs/decisions/0153)."""

import pytest

from tests.unit.ufse.scene import Row, answer, bodies, click, end, go
from tests.unit.ufse.verdicts.collectors import field

BOLD = {"target_type": "button", "target_id": "bold", "target_label": "Bold"}
PAGE = "/doc/7/edit"


def save(t: float, status: int, **values: object) -> Row:
    return answer(t, status, 0.1, **{"url": "/api/doc/7", "method": "PUT", "route": PAGE, **values})


def write(t: float, status: int, **values: object) -> list[Row]:
    """A change of the text, and the save that it causes."""
    return [field(t, "text", PAGE), save(t + 0.6, status, **values)]


def leave(t: float, status: int, after: float = 0.0, target: Row = BOLD, **values: object) -> list[Row]:
    """The text is left by a click ``after`` seconds after its change."""
    return [field(t, "text", PAGE), click(t + after, target, PAGE), save(t + 0.6, status, **values)]


def edit(status: int = 503, after: float = 0.0, target: Row = BOLD, typed: int = 4, **values: object) -> list[Row]:
    """``typed`` changes, and three that end with a click on the toolbar and a failed save."""
    return [
        go(0, PAGE),
        *[r for i in range(typed) for r in write(4 + 9 * i, 200 if i % 2 else 503, **values)],
        *[r for i in range(3) for r in leave(50 + 9 * i, status, after, target, **values)],
        end(76, PAGE),
    ]


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"status": 409},
        {"status": 0},
        {"after": 0.04},
        {"method": "POST", "url": "/rpc/sync"},
        {"target": {"target_type": "button", "target_id": "", "target_label": "太字"}},
        {"target": {"target_type": "button", "target_id": "", "target_label": "Fett"}},
    ],
)
def test_what_a_field_saves_by_itself_is_not_asked_by_the_click_that_left_it(values: dict[str, object]) -> None:
    assert bodies(edit(**values)) == []  # type: ignore[arg-type]


def test_a_click_later_asks_for_its_request() -> None:
    assert len(bodies(edit(after=0.4))) == 1


def test_without_typing_alone_the_click_asks_for_it() -> None:
    assert len(bodies(edit(typed=0))) == 1


def test_a_button_pressed_again_without_a_change_asks_for_it() -> None:
    again = [r for t in (80, 84, 88) for r in (click(t, BOLD, PAGE), save(t + 0.3, 503))]
    assert len(bodies([*edit()[:-1], *again, end(95, PAGE)])) == 1
