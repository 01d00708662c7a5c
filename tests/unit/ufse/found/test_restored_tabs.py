"""Tabs that a browser restores one after the other, about a second apart (case A1 of issue 17)."""

import pytest

from tests.unit.ufse.scene import Row, answer, bodies, click, error, go

LINK = {"target_type": "link", "target_label": "Next"}


def tab(t: float, route: str, how: str = "reload") -> list[Row]:
    """A page that loads, and whose own request fails."""
    return [
        go(t, route, how),
        answer(t + 0.4, 503, 0.1, "/api/session", "GET", route=route),
        error(t + 0.41, "TypeError: Failed to fetch", "promise", route=route),
    ]


def restore(*pages: str, gap: float = 1.1) -> list[Row]:
    return [row for i, page in enumerate(pages) for row in tab(1 + gap * i, page)]


CALM: dict[str, list[Row]] = {
    "six tabs": restore("/a", "/b", "/c", "/b", "/d", "/b"),
    "three tabs": restore("/a", "/b", "/a", "/b"),
    "slowly": restore("/a", "/b", "/c", "/b", "/d", "/b", gap=3),
    "after a page": [go(0, "/home"), *restore("/a", "/b", "/c", "/b", "/d", "/b")],
}
FRUSTRATED: dict[str, list[Row]] = {
    "one page, again and again": [
        go(0, "/b"),
        click(0.5, LINK, "/b"),
        *restore("/b", "/b", "/b", "/b", gap=4),
        go(25, "/c", "link"),
    ],
}


@pytest.mark.parametrize("name", CALM)
def test_it_stays_silent(name: str) -> None:
    assert bodies(CALM[name]) == []


@pytest.mark.parametrize("name", FRUSTRATED)
def test_it_is_detected(name: str) -> None:
    assert len(bodies(FRUSTRATED[name])) == 1
