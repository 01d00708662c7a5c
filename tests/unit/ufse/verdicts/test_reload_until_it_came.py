"""A page that was reloaded until it came whole is achieved (docs/decisions/0065)."""

import pytest

from tests.unit.ufse.scene import Row, answer, click, end, error, event, go, typed
from tests.unit.ufse.verdicts.collectors import COLLECTORS, count_detections, pair_with_collectors

ROW = {"target_type": "button", "target_id": "details", "target_label": "Details"}


def an(t: float, status: int, took: float = 0.4, url: str = "/api/report", method: str = "GET") -> Row:
    return answer(t, status, took, url, method, route="/reports")


def rl(t: float, route: str = "/reports") -> Row:
    return go(t, route, "reload")


def crash(t: float) -> Row:
    return error(t, route="/reports")


bad = [go(0, "/reports"), an(0.6, 500), rl(4.2), an(4.8, 500), rl(11), an(11.6, 500), rl(17)]


CALM: dict[str, list[Row]] = {
    "500x3 reload, last 200, used": [*bad, an(17.6, 200), click(25, ROW, "/reports"), go(60, "/home")],
    "500x3 reload, no answer seen, used": [
        *bad,
        click(25, ROW, "/reports"),
        an(25.4, 200, 0.3, "/api/rows"),
        end(60, "/reports"),
    ],
    "500x3 reload, no answer seen, scrolled 20s": [
        *bad,
        event(22, "scroll", "/reports", direction="down", depth=30),
        event(38, "scroll", "/reports", direction="down", depth=60),
        go(41, "/home"),
    ],
    "500x3 reload, nothing seen, left after 15s": [*bad, go(33, "/home")],
    "crash x3 reload, last whole, used": [
        go(0, "/reports"),
        crash(0.6),
        rl(4.2),
        crash(4.8),
        rl(11),
        crash(11.6),
        rl(17),
        click(25, ROW, "/reports"),
        go(60, "/home"),
    ],
    "chunk x3": [
        go(0, "/reports"),
        error(0.6, "ChunkLoadError: Loading chunk 7 failed", route="/reports"),
        rl(4.2),
        error(4.8, "ChunkLoadError: Loading chunk 7 failed", route="/reports"),
        rl(11),
        error(11.6, "ChunkLoadError: Loading chunk 7 failed", route="/reports"),
        rl(17),
        typed(24, "/reports"),
        end(60, "/reports"),
    ],
    "document itself 502 x3": [
        go(0, "/reports"),
        an(0.1, 502, 0.1, "/reports"),
        rl(4.2),
        an(4.3, 502, 0.1, "/reports"),
        rl(11),
        an(11.1, 502, 0.1, "/reports"),
        rl(17),
        an(17.1, 200, 0.1, "/reports"),
        end(50, "/reports"),
    ],
    "via link opened reload": [
        click(0, {"target_type": "link", "target_id": "nav"}, "/home"),
        go(0.1, "/reports"),
        an(0.6, 500),
        rl(4.2),
        an(4.8, 500),
        rl(11),
        an(11.6, 500),
        rl(17),
        click(25, ROW, "/reports"),
        go(60, "/home"),
    ],
    "nav_type unknown after reloads": [
        *bad[:-1],
        go(17, "/reports", "reload"),
        an(17.6, 200, url="/api/other"),
        click(26, ROW, "/reports"),
        an(26.4, 200, 0.3, "/api/rows"),
    ],
}
STRUGGLES: dict[str, list[Row]] = {
    "all fail": [*bad, an(17.6, 500), go(25, "/home")],
    "last left after 2 s": [*bad, go(19, "/home")],
    "last fails, click dead": [*bad, an(17.6, 500), click(25, ROW, "/reports"), go(60, "/home")],
    "pay fails, page reloads fine": [
        go(0, "/checkout"),
        click(5),
        answer(5.5, 500, 0.4),
        rl(10, "/checkout"),
        click(15),
        answer(15.5, 500, 0.4),
        rl(20, "/checkout"),
        click(25),
        answer(25.5, 500, 0.4),
        rl(28, "/checkout"),
        click(45),
        answer(45.5, 500, 0.4),
        go(60, "/home"),
    ],
    "pay fails x, reloads fine stays": [
        go(0, "/checkout"),
        click(5),
        answer(5.5, 500, 0.4),
        click(8),
        answer(8.5, 500, 0.4),
        rl(12, "/checkout"),
        rl(15, "/checkout"),
        rl(18, "/checkout"),
        go(60, "/home"),
    ],
    "whole once then fails on and on": [
        *bad,
        an(17.6, 200),
        click(30, ROW, "/reports"),
        rl(40),
        an(40.6, 500),
        rl(43.6),
        an(44.2, 500),
        rl(50),
        an(50.6, 500),
        go(55, "/home"),
    ],
}


@pytest.mark.parametrize(("scene", "collector"), pair_with_collectors(CALM))
def test_it_stays_silent(scene: str, collector: str) -> None:
    assert count_detections(CALM[scene], COLLECTORS[collector]) == 0


@pytest.mark.parametrize(("scene", "collector"), pair_with_collectors(STRUGGLES))
def test_it_is_detected(scene: str, collector: str) -> None:
    assert count_detections(STRUGGLES[scene], COLLECTORS[collector]) > 0
