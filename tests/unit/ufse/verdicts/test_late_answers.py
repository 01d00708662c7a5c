"""Late answers belong to the action that was waiting (docs/decisions/0067)."""

import pytest

from tests.unit.ufse.scene import PAY, Row, answer, click, event, go, submit
from tests.unit.ufse.verdicts.collectors import COLLECTORS, count_detections, fields, pair_with_collectors

UP = {"target_type": "button", "target_id": "upload", "target_label": "Upload"}


def up(t: float) -> Row:
    return click(t, UP, "/files")


def an(
    t: float, status: int, took: float = 0.4, url: str = "/api/upload", method: str = "POST", **values: object
) -> Row:
    return answer(t, status, took, url, method, **{"route": "/files", **values})


def poll(since: int, until: int) -> list[Row]:
    return [an(t, 200, 0.1, "/api/notifications", "GET") for t in range(since, until, 10)]


CALM: dict[str, list[Row]] = {
    "poll fails after clicks": sorted(
        [
            go(0, "/files"),
            up(5),
            an(5.6, 200, 0.5),
            *[an(t, 500, 0.2, "/api/notifications", "GET") for t in range(12, 90, 10)],
            up(25),
            an(25.6, 200, 0.5),
            up(45),
            an(45.6, 200, 0.5),
            go(95, "/home"),
        ],
        key=lambda r: r["ts"],
    ),
    "autosave fails 15 s after": [
        go(0, "/files"),
        up(5),
        an(5.6, 200, 0.5),
        an(20, 500, 0.2, "/api/autosave", "PUT"),
        up(30),
        an(30.6, 200, 0.5),
        an(45, 500, 0.2, "/api/autosave", "PUT"),
        up(55),
        an(55.6, 200, 0.5),
        an(70, 500, 0.2, "/api/autosave", "PUT"),
        go(75, "/home"),
    ],
    "heartbeat after mixed clicks": [
        go(0, "/files"),
        up(5),
        an(16, 500, 0.2, "/api/beat"),
        click(20, PAY, "/files"),
        an(31, 500, 0.2, "/api/beat"),
        up(40),
        an(52, 500, 0.2, "/api/beat"),
        go(75, "/home"),
    ],
    "late succeeded in the end": [
        go(0, "/files"),
        up(5),
        an(17, 500, 0.5),
        up(25),
        an(36, 500, 0.5),
        up(45),
        an(60, 201, 0.5),
        go(70, "/home"),
    ],
    "one late failure": [
        go(0, "/files"),
        up(5),
        an(17, 500, 0.5),
        event(30, "scroll", "/files", direction="down", depth=30),
    ],
    "reading, timer after one click type": [
        go(0, "/news"),
        click(5, UP, "/news"),
        an(15, 500, 0.2, "/api/ad", "POST", route="/news"),
        an(25, 500, 0.2, "/api/ad", "POST", route="/news"),
        click(30, UP, "/news"),
        an(35, 500, 0.2, "/api/ad", "POST", route="/news"),
        an(45, 500, 0.2, "/api/ad", "POST", route="/news"),
        go(60, "/home"),
    ],
}
STRUGGLES: dict[str, list[Row]] = {
    "file picker 12 s, x3 fails": [
        go(0, "/files"),
        up(5),
        an(17, 413, 0.5),
        up(25),
        an(36, 413, 0.5),
        up(45),
        an(60, 413, 0.5),
        go(70, "/home"),
    ],
    "file picker, 500 x3 with polls": sorted(
        [
            go(0, "/files"),
            up(5),
            an(17, 500, 0.5),
            up(25),
            an(36, 500, 0.5),
            up(45),
            an(60, 500, 0.5),
            go(70, "/home"),
            *poll(3, 69),
        ],
        key=lambda r: r["ts"],
    ),
    "file picker, hidden/visible between": [
        go(0, "/files"),
        up(5),
        event(5.5, "visibility", "/files", state="hidden"),
        event(16, "visibility", "/files", state="visible"),
        an(17, 500, 0.5),
        up(25),
        event(25.5, "visibility", "/files", state="hidden"),
        event(35, "visibility", "/files", state="visible"),
        an(36, 500, 0.5),
        up(45),
        an(60, 500, 0.5),
        go(70, "/home"),
    ],
    "first upload works, later fail twice": [
        go(0, "/files"),
        up(5),
        an(5.9, 200, 0.5),
        up(25),
        an(38, 500, 0.5),
        up(45),
        an(60, 500, 0.5),
        go(70, "/home"),
    ],
    "504 no duration 20s x2": [
        go(0, "/reports"),
        click(5, UP, "/reports"),
        an(27, 504, -0.001, "/api/export", route="/reports"),
        click(35, UP, "/reports"),
        an(57, 504, -0.001, "/api/export", route="/reports"),
        click(65, UP, "/reports"),
        an(87, 504, -0.001, "/api/export", route="/reports"),
        go(92, "/home"),
    ],
    "typing unrecorded: click on Search field button": [
        go(0, "/find"),
        *[
            x
            for i in range(3)
            for x in (
                click(5 + 20 * i, {"target_type": "button", "target_id": "open-search"}, "/find"),
                an(14 + 20 * i, 500, 0.5, "/api/search", route="/find"),
            )
        ],
        go(70, "/home"),
    ],
    "captcha 3rd party fails after each submit": [
        go(0, "/checkout"),
        *fields(3),
        *[
            x
            for i in range(3)
            for x in (submit(15 + 25 * i), an(21 + 25 * i, 503, 4, "/captcha/verify", route="/checkout", third_party=1))
        ],
        go(90, "/home"),
    ],
    "captcha 3rd party asks late": [
        go(0, "/checkout"),
        *fields(3),
        *[
            x
            for i in range(3)
            for x in (
                submit(15 + 25 * i),
                an(21 + 25 * i, 503, 0.4, "/captcha/verify", route="/checkout", third_party=1),
            )
        ],
        go(90, "/home"),
    ],
}
NOT_SEEN_TO_FAIL = (
    ("file picker 12 s, x3 fails", "failures only"),
    ("file picker 12 s, x3 fails", "types only"),
    ("file picker, 500 x3 with polls", "failures only"),
    ("file picker, 500 x3 with polls", "no durations"),
    ("file picker, 500 x3 with polls", "types only"),
    ("file picker, hidden/visible between", "failures only"),
    ("file picker, hidden/visible between", "types only"),
    ("first upload works, later fail twice", "failures only"),
    ("first upload works, later fail twice", "types only"),
    ("504 no duration 20s x2", "failures only"),
    ("504 no duration 20s x2", "types only"),
    ("typing unrecorded: click on Search field button", "failures only"),
    ("typing unrecorded: click on Search field button", "types only"),
    ("captcha 3rd party fails after each submit", "failures only"),
    ("captcha 3rd party fails after each submit", "types only"),
    ("captcha 3rd party asks late", "failures only"),
    ("captcha 3rd party asks late", "types only"),
)
"""What these collectors report is not enough for a detection."""
for scenes in (CALM, STRUGGLES):
    for rows in scenes.values():
        rows.insert(1, answer(0.5, 200, 0.3, "/api/page", "GET", route=rows[0]["route"]))


@pytest.mark.parametrize(("scene", "collector"), pair_with_collectors(CALM))
def test_it_stays_silent(scene: str, collector: str) -> None:
    assert count_detections(CALM[scene], COLLECTORS[collector]) == 0


@pytest.mark.parametrize(("scene", "collector"), pair_with_collectors(STRUGGLES, *NOT_SEEN_TO_FAIL))
def test_it_is_detected(scene: str, collector: str) -> None:
    assert count_detections(STRUGGLES[scene], COLLECTORS[collector]) > 0
