"""A control that exports, prints or shares sends the fields that were filled in for it (docs/decisions/0157)."""

import pytest

from tests.unit.ufse.scene import Row, answer, bodies, click, end, error, event, go, why
from tests.unit.ufse.verdicts.collectors import field, fields

PAGE = "/reports/sales"
EXPORT = {"target_type": "button", "target_id": "export-csv", "target_label": "Download CSV"}
SHARE = {"target_type": "button", "target_id": "share-save", "target_label": "Save share"}
PRINT = {"target_type": "button", "target_id": "", "target_label": "Print labels"}
CANCEL = {"target_type": "button", "target_id": "cancel-order", "target_label": "Cancel"}
LINK = {"target_type": "link", "target_id": "export-csv", "target_label": "Download CSV"}


def fail(t: float, target: Row, status: int = 500) -> list[Row]:
    """A press that the server fails at once."""
    return [click(t, target, PAGE), answer(t + 0.6, status, 0.5, "/api/query", route=PAGE)]


FILLED = [go(0, PAGE), *fields(2, PAGE)]
LEFT: dict[str, list[Row]] = {
    "an export of a period": [*FILLED, *fail(12, EXPORT), end(20, PAGE)],
    "a share that is filled in": [*FILLED, *fail(12, SHARE, 429), end(20, PAGE)],
    "labels with two choices": [*FILLED, *fail(12, PRINT, 503), event(24, "visibility", PAGE, state="hidden")],
    "its chunk is missing": [
        *FILLED,
        click(12, EXPORT, PAGE),
        error(12.1, "/static/js/914.chunk.js", "resource", route=PAGE),
        error(12.12, "ChunkLoadError: Loading chunk 914 failed.", "promise", route=PAGE),
        end(20, PAGE),
    ],
    "left for another page": [*FILLED, *fail(12, EXPORT), go(24, "/", "link")],
}
CALM: dict[str, list[Row]] = {
    "nothing was filled in": [go(0, PAGE), *fail(12, EXPORT), end(20, PAGE)],
    "one field": [go(0, PAGE), *fields(1, PAGE), *fail(12, EXPORT), end(20, PAGE)],
    "the end of the visit was not seen": [*FILLED, *fail(12, EXPORT)],
    "the visit ended at once": [*FILLED, *fail(12, EXPORT), end(12.7, PAGE)],
    "a button that cancels": [*FILLED, *fail(12, CANCEL), end(20, PAGE)],
    "a link": [*FILLED, *fail(12, LINK), end(20, PAGE)],
    "it came at the second try": [
        *FILLED,
        *fail(12, EXPORT),
        click(18, EXPORT, PAGE),
        answer(18.6, 200, 0.5, "/api/query", route=PAGE),
        end(30, PAGE),
    ],
    "the fields were sent before": [
        go(0, PAGE),
        *fields(2, PAGE),
        click(9, {"target_type": "button", "target_id": "apply", "target_label": "Apply"}, PAGE),
        answer(9.4, 200, 0.3, "/api/filter", route=PAGE),
        go(9.5, PAGE + "/list", "push"),
        click(20, EXPORT, PAGE + "/list"),
        answer(20.6, 500, 0.5, "/api/query", route=PAGE + "/list"),
        end(30, PAGE + "/list"),
    ],
}


@pytest.mark.parametrize("scene", LEFT)
def test_who_filled_it_in_and_left_is_frustrated(scene: str) -> None:
    assert len(bodies(LEFT[scene])) == 1, why(LEFT[scene])


@pytest.mark.parametrize("scene", CALM)
def test_it_stays_silent(scene: str) -> None:
    assert bodies(CALM[scene]) == []


@pytest.mark.parametrize(
    "message", ["Request failed with status code 500", "TypeError: Failed to fetch", "Serverfehler"]
)
def test_the_failed_request_is_named_and_not_its_rejection(message: str) -> None:
    """The order of events of one instant is no order: the rejection may stand before its request."""
    told = error(12.6, message, "promise", route=PAGE, seq=1)
    request = {**answer(12.6, 500, 0.5, "/api/query", route=PAGE), "seq": 2}
    rows = [go(0, PAGE), field(3, "from", PAGE), click(12, EXPORT, PAGE), told, request]
    rows += [*fail(18, EXPORT), *fail(25, EXPORT), end(40, PAGE)]
    found = bodies(rows)
    assert len(found) == 1, why(rows)
    assert found[0]["primaryFailurePoint"].endswith("POST /api/query → 500")


def test_an_error_without_a_named_request_is_named_itself() -> None:
    told = error(12.6, "TypeError: rows is undefined", "promise", route=PAGE, seq=1)
    request = {**answer(12.6, 500, 0.5, "", "", route=PAGE), "seq": 2}
    rows = [go(0, PAGE), click(12, EXPORT, PAGE), told, request, *fail(18, EXPORT), *fail(25, EXPORT), end(40, PAGE)]
    found = bodies(rows)
    assert len(found) == 1, why(rows)
    assert "rows is undefined" in found[0]["primaryFailurePoint"]
