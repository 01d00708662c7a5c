"""The last try at a control, where a collector reports failures only: what became of it is unknown (issue 17, C 10a)."""

from typing import Any

import pytest

from tests.unit.ufse.scene import Row, answer, bodies, click, end, error, go, submit, typed
from tests.unit.ufse.verdicts.collectors import fields

SAVE = {"target_type": "button", "target_id": "save", "target_label": "Save"}
HOME = {"target_type": "element", "target_label": "Projects"}
BEFORE = [
    go(0, "/start"),
    click(2, HOME, "/start"),
    go(2.4, "/checkout"),
    *fields(2, t=4),
    click(9, HOME),
    click(9.6, HOME),
]


def failed(t: float, took: float = 0.4, **values: Any) -> list[Row]:
    return [click(t, SAVE), submit(t + 0.01), answer(t + took, 500, took, url="/api/settings", method="PUT", **values)]


def crashed(t: float) -> list[Row]:
    return [click(t, SAVE), error(t + 0.05, "Cannot read properties of undefined (reading 'items')")]


TRIES = [*BEFORE, *failed(12), *failed(17), *failed(22)]
CRASHES = [*BEFORE, *crashed(12), *crashed(17), *crashed(22)]
LATER = [go(1_300, "/start"), go(1_302, "/checkout"), typed(1_305), click(1_310, SAVE), submit(1_310.01)]
AWAY = [click(1_318, HOME), go(1_318.4, "/start")]

FRUSTRATED: dict[str, list[Row]] = {
    "no further try": [*TRIES, click(28, HOME), go(28.4, "/start")],
    "no further crash": [*CRASHES, click(28, HOME), go(28.4, "/start")],
    "the last press is the failing one": TRIES,
    "the last press belongs to a burst": [*TRIES, *(click(28 + 0.3 * n, SAVE) for n in range(5))],
    "the last press is of another control": [*TRIES, click(28, HOME)],
    "the last press came at once after the failed one": [*TRIES[:-3], *failed(22), click(22.7, SAVE)],
    "the last press did not change the page": [*CRASHES, click(28, SAVE, responded=0)],
    "the last press is of a disabled control": [*CRASHES, click(28, SAVE, disabled=1)],
    "failures took long, and the visit ends sooner": [
        *BEFORE,
        *failed(12, 5),
        *failed(20, 5),
        *failed(28, 5),
        click(38, SAVE),
    ],
    "the person is seen to leave at once": [*TRIES, click(28, SAVE), submit(28.01), end(28.6)],
    "the page is opened again at the end": [*TRIES, go(30, "/checkout", "reload")],
    "a later visit fails again": [*TRIES, *LATER, answer(1_310.5, 500, 0.4, url="/api/settings", method="PUT"), *AWAY],
    "a later visit fails first": [*TRIES, go(1_300, "/checkout"), *failed(1_305), click(1_312, SAVE), *AWAY],
    "a later visit does something else": [
        *TRIES,
        go(1_300, "/start"),
        click(1_305, HOME, "/start"),
        go(1_305.3, "/lists"),
    ],
}
CALM: dict[str, list[Row]] = {
    "the visit ends with a try": [*TRIES, typed(26), click(28, SAVE), submit(28.01)],
    "the visit ends with a try after crashes": [*CRASHES, click(28, SAVE)],
    "the visit ends with a try after two crashes": [*BEFORE, *crashed(12), *crashed(17), click(25, SAVE)],
    "the visit goes on for a second": [*TRIES, click(28, SAVE), click(28.8, HOME)],
    "a later visit has a try without a failure": [*TRIES, *LATER, *AWAY],
    "a later visit ends with a try": [*CRASHES, *LATER],
    "a later visit, the third": [
        *TRIES,
        go(1_300, "/start"),
        *[{**r, "ts": r["ts"] + 1_300_000} for r in [*LATER, *AWAY]],
    ],
}


@pytest.mark.parametrize("scene", FRUSTRATED)
def test_it_is_detected(scene: str) -> None:
    assert bodies(FRUSTRATED[scene]), scene


@pytest.mark.parametrize("scene", CALM)
def test_it_stays_silent(scene: str) -> None:
    assert bodies(CALM[scene]) == []


@pytest.mark.parametrize("scene", ["the visit ends with a try", "the visit goes on for a second"])
def test_where_successes_are_reported_the_missing_one_is_evidence(scene: str) -> None:
    seen = [go(0, "/start"), click(1, HOME, "/start"), answer(1.3, 200, url="/api/projects", method="GET")]
    assert bodies([*seen, *CALM[scene][1:]])
