"""Failures of others that fall into a series of quick presses are chance; failures of the pressed control are not (A 5)."""

import pytest

from tests.unit.ufse.scene import Row, answer, click, end, go
from tests.unit.ufse.verdicts.collectors import COLLECTORS, count_detections

NEXT = {"target_type": "button", "target_id": "b-3", "target_label": "Weiter blättern"}
EMOJI = {"target_type": "button", "target_id": "smile", "target_label": "☺"}
PAGE = "/board"
TIMED = ("rich", "failures only")


def press(target: Row, count: int = 14, gap: float = 0.3, since: float = 5.0) -> list[Row]:
    """A series of quick presses."""
    return [click(since + i * gap, target, PAGE) for i in range(count)]


def fail_at(
    times: tuple[float, ...], url: str, method: str = "PUT", status: int = 503, took: float = 0.05
) -> list[Row]:
    """Failures that begin shortly before the times."""
    return [answer(t, status, took, url, method, route=PAGE) for t in times]


def frame_scene(*rows: list[Row]) -> list[Row]:
    middle = sorted((r for part in rows for r in part), key=lambda r: r["ts"])
    return [go(0, PAGE), *middle, go(30, "/home"), end(40, "/home")]


CALM: dict[str, list[Row]] = {
    "an autosave fails twice": frame_scene(press(NEXT), fail_at((6.1, 7.6), "/api/drafts/current")),
    "an autosave fails in each second": frame_scene(
        press(EMOJI, 20), fail_at((6.1, 7.0, 8.2, 9.1, 10.3), "/rest/autosave", status=500)
    ),
    "a suggestion is blocked": frame_scene(press(NEXT, 10), fail_at((6.1, 7.3), "/api/suggest", "GET", 0)),
    "presence fails with changing answers": frame_scene(
        press(EMOJI), fail_at((6.0,), "/presence", "POST", 409), fail_at((7.8,), "/presence", "POST", 500)
    ),
    "two series": frame_scene(
        press(NEXT, 8), press(NEXT, 8, since=12.0), fail_at((6.1, 13.0), "/v2/state", "PATCH", 500)
    ),
}
STRUGGLES: dict[str, list[Row]] = {
    "each press fails": frame_scene(
        press(NEXT, 8), [r for i in range(8) for r in fail_at((5.1 + 0.3 * i,), "/api/page")]
    ),
    "the first press fails, then a series": frame_scene(
        press(NEXT, 1, since=3.0), press(NEXT, 10), fail_at((3.2, 5.1, 6.0), "/api/save")
    ),
    "tries with pauses fail": frame_scene(
        press(NEXT, 6, 2.0), [r for i in range(6) for r in fail_at((5.2 + 2.0 * i,), "/api/save", took=0.15)]
    ),
}


@pytest.mark.parametrize("collector", TIMED)
@pytest.mark.parametrize("scene", CALM)
def test_it_stays_silent(scene: str, collector: str) -> None:
    assert count_detections(CALM[scene], COLLECTORS[collector]) == 0


@pytest.mark.parametrize("collector", TIMED)
@pytest.mark.parametrize("scene", STRUGGLES)
def test_it_is_detected(scene: str, collector: str) -> None:
    assert count_detections(STRUGGLES[scene], COLLECTORS[collector]) > 0
