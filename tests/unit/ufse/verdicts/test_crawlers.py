"""Crawlers that declare no agent are silent (docs/decisions/0067)."""

import pytest

from tests.unit.ufse.scene import Row, answer, click, go, run
from tests.unit.ufse.verdicts.collectors import COLLECTORS, count_detections, pair_with_collectors


def nt(t: float, status: int, url: str, route: str) -> Row:
    return answer(t, status, 0.2, url, "GET", route=route)


CALM: dict[str, list[Row]] = {
    "crawler many pages, retry failing": [
        x
        for i in range(20)
        for x in (
            go(i * 0.7, "/catalog" if i % 4 else f"/c/x{i}", "reload" if i % 4 else "link"),
            nt(i * 0.7 + 0.2, 500, "/catalog", "/catalog"),
        )
    ],
    "crawler types: link revisit": [
        x
        for i in range(16)
        for x in (
            go(i * 1.1, ["/a", "/b", "/c"][i % 3], "link"),
            nt(i * 1.1 + 0.2, 503, ["/a", "/b", "/c"][i % 3], ["/a", "/b", "/c"][i % 3]),
        )
    ],
    "crawler 30 pages 500 all": [
        x
        for i in range(30)
        for x in (
            go(i * 0.5, f"/s/{'abcdefghijklmnopqrstuvwxyzABCD'[i]}", "link"),
            nt(i * 0.5 + 0.2, 500, f"/s/{i}", f"/s/{'abcdefghijklmnopqrstuvwxyzABCD'[i]}"),
        )
    ],
    "crawler unknown nav types reload": [
        x for i in range(12) for x in (go(i * 0.9, "/catalog", ""), nt(i * 0.9 + 0.2, 500, "/catalog", "/catalog"))
    ],
}


def visit_pages(gaps: list[float], pages: list[str], failing: str, status: int = 404) -> list[Row]:
    """Pages opened one after the other, ``gaps`` seconds apart; those whose address has ``failing`` in it fail."""
    rows, t = [], 0.0
    for i, gap in enumerate(gaps):
        page = pages[i % len(pages)]
        rows += [go(t, page), *([nt(t, status, page, page)] if failing in page else [])]
        t += gap
    return rows


EVEN = [5.8, 5.3, 5.7, 5.9, 4.8, 5.5, 5.2, 5.9, 4.9, 5.6, 5.1, 5.7]
OLD = ["/list", "/list/old-1", "/terms", "/list/old-1", "/help", "/list/old-1"]
CALM |= {
    "crawler at 5 s a page": visit_pages(EVEN, OLD, "old"),
    "crawler at 2 s a page": visit_pages([x / 3 + 0.3 for x in EVEN], OLD, "old"),
    "crawler at 8 s a page, errors": visit_pages([x * 1.4 for x in EVEN], OLD, "old", 500),
    "crawler with an exact delay": visit_pages([4.0] * 12, OLD, "old", 503),
    "crawler of many pages, 500 on one kind": visit_pages(EVEN, [f"/p/{i % 4}" for i in range(12)], "/p/1", 500),
}
STRUGGLES: dict[str, list[Row]] = {
    "person reload x4 in 12 s": [
        x
        for i in (0, 1.1, 1.7, 3)
        for x in (go(i * 4, "/catalog", "reload" if i else "link"), nt(i * 4 + 0.2, 500, "/catalog", "/catalog"))
    ]
    + [go(20, "/home")],
    "person reload x6 fast": [go(0, "/home"), nt(0.3, 200, "/home", "/home"), go(9, "/catalog")]
    + [
        x
        for i in (0, 1, 1.7, 3, 4.1, 5)
        for x in (
            go(10 + i * 1.3, "/catalog", "reload" if i else "link"),
            nt(10 + i * 1.3 + 0.2, 500, "/catalog", "/catalog"),
        )
    ]
    + [go(30, "/home")],
    "clicker fast": [
        go(0, "/checkout"),
        *[x for i in range(5) for x in (click(5 + 0.9 * i), answer(5.4 + 0.9 * i, 500, 0.3))],
        go(20, "/home"),
    ],
    "person who reads some pages and reloads one": [
        *visit_pages([2.0, 9.0, 4.0, 6.0], ["/home", "/list", "/help"], "none"),
        go(21, "/catalog"),
        nt(21.2, 500, "/catalog", "/catalog"),
        *[
            x
            for t in (25.0, 26.1, 28.0, 33.0, 35.5)
            for x in (go(t, "/catalog", "reload"), nt(t + 0.2, 500, "/catalog", "/catalog"))
        ],
        go(40, "/home"),
    ],
    "person with an even pace and clicks": [
        *visit_pages(EVEN, ["/home", "/list", "/help", *["/checkout"] * 9], "none"),
        *[x for i in range(4) for x in (click(66 + 2 * i), answer(66.4 + 2 * i, 500, 0.3))],
        go(90, "/home"),
    ],
    "log person reload 5 x": [
        x
        for i in (0, 0.9, 2.2, 3, 4.4)
        for x in (go(i * 5, "/catalog", ""), nt(i * 5 + 0.2, 500, "/catalog", "/catalog"))
    ],
}


def test_the_reason_is_the_pace() -> None:
    found = run(CALM["crawler many pages, retry failing"]).why_not[0].to_json()
    assert (found["rule"], found["text"]) == (
        "bot",
        "Pages were opened faster than they can be read, without any input.",
    )


@pytest.mark.parametrize(("scene", "collector"), pair_with_collectors(CALM))
def test_it_stays_silent(scene: str, collector: str) -> None:
    assert count_detections(CALM[scene], COLLECTORS[collector]) == 0


@pytest.mark.parametrize(("scene", "collector"), pair_with_collectors(STRUGGLES))
def test_it_is_detected(scene: str, collector: str) -> None:
    assert count_detections(STRUGGLES[scene], COLLECTORS[collector]) > 0
