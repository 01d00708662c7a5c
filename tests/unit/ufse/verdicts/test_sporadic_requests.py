"""Failures that follow some presses of a burst and not others are not the control's answer (issue 17, A5)."""

import pytest

from tests.unit.ufse.scene import Row, answer, bodies, click, end, go, why

PIN = {"target_type": "button", "target_id": "pin-note", "target_label": "Pin"}
BOARD = "/board/4"


def pins(count: int, start: float = 10.0, gap: float = 0.3) -> list[Row]:
    return [click(start + gap * i, PIN, BOARD) for i in range(count)]


def saved(*times: float, status: int = 500, url: str = "/api/note/draft") -> list[Row]:
    """A draft that is saved in the background, and fails."""
    return [answer(t, status, 0.15, url, "PUT", route=BOARD) for t in times]


SHOWN = [go(0, BOARD)]
CALM: dict[str, list[Row]] = {
    "a draft is saved now and then": [*SHOWN, *pins(24), *saved(11.72, 13.25, 14.73, 16.24), end(40, BOARD)],
    "with different failures": [
        *SHOWN,
        *pins(24),
        *saved(11.72, 14.73, status=409),
        *saved(13.25, 16.24, status=503),
        end(40, BOARD),
    ],
    "in two bursts": [*SHOWN, *pins(14), *saved(11.72, 13.25), *pins(14, 20), *saved(21.72, 23.25), end(40, BOARD)],
    "a beacon without the mark of a third party": [
        *SHOWN,
        *pins(20),
        *saved(11.72, 13.25, 14.73, status=0, url="/collect"),
        end(40, BOARD),
    ],
}
FRUSTRATED: dict[str, list[Row]] = {
    "each press fails": [
        *SHOWN,
        *pins(8, gap=0.6),
        *[row for i in range(8) for row in saved(10.25 + 0.6 * i)],
        end(30, BOARD),
    ],
    "the first press fails, the button is locked": [
        *SHOWN,
        *pins(7),
        *saved(10.25),
        *pins(7, 15),
        *saved(15.25),
        end(30, BOARD),
    ],
    "angry bursts without a request between": [
        *SHOWN,
        *pins(1),
        *saved(10.25),
        *pins(6, 13),
        *pins(1, 17),
        *saved(17.25),
        *pins(6, 20),
        *pins(1, 24),
        *saved(24.25),
        end(40, BOARD),
    ],
    "presses while the answer is out": [
        *SHOWN,
        *pins(9),
        answer(14, 504, 3.9, "/api/pins", route=BOARD),
        *pins(9, 16),
        answer(20, 504, 3.9, "/api/pins", route=BOARD),
        end(40, BOARD),
    ],
}


@pytest.mark.parametrize("scene", CALM)
def test_it_stays_silent(scene: str) -> None:
    assert bodies(CALM[scene]) == []


@pytest.mark.parametrize("scene", FRUSTRATED)
def test_it_is_detected(scene: str) -> None:
    assert len(bodies(FRUSTRATED[scene])) == 1, why(FRUSTRATED[scene])
