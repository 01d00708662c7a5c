"""Forms that a page answers: the page failed by its own status, and no request is reported (issue 17, figures)."""

import pytest

from tests.unit.ufse.scene import T0, Row, answer, bodies, click, go, submit, typed, why

ADD = {"target_type": "button", "target_label": "Put into cart"}
NEXT = {"target_type": "link", "target_label": "Lamps"}
NOTE = {"target_type": "textarea", "target_id": "note"}


def failed(t: float, route: str, status: int = 500) -> Row:
    """A page that failed, as the contract stores it: the status of the navigation, and the address of its document."""
    return go(t, route, "", status=status, url=route)


def add(t: float, route: str = "/lamps/7") -> list[Row]:
    return [click(t, ADD, route), submit(t + 0.02, route)]


def tried(*times: float, page: str = "/cart/add/7", route: str = "/lamps/7") -> list[Row]:
    """Tries that each end on a failed page, from which the person goes back."""
    return [row for t in times for row in (*add(t, route), failed(t + 0.6, page), go(t + 2.5, route, ""))]


SHOWN = [go(0, "/lamps", ""), click(3, NEXT, "/lamps"), go(3.4, "/lamps/7", "")]
AWAY = [click(60, NEXT, "/lamps/7"), go(60.5, "/lamps", ""), go(95, "/sofas", "")]

FRUSTRATED: dict[str, list[Row]] = {
    "three tries": [*SHOWN, *tried(10, 15, 20), *AWAY],
    "three tries of a form on its own page": [*SHOWN, *tried(10, 15, 20, page="/lamps/7"), *AWAY],
    "503": [
        *SHOWN,
        *[r for t in (10, 15, 20) for r in (*add(t), failed(t + 1, "/cart/add/7", 503), go(t + 3, "/lamps/7", ""))],
        *AWAY,
    ],
    "another form of another page works": [
        *SHOWN,
        *tried(10, 15, 20),
        click(28, NEXT, "/lamps/7"),
        go(28.5, "/questions/new", ""),
        typed(30, "/questions/new", NOTE),
        click(33, {"target_type": "button", "target_label": "Ask"}, "/questions/new"),
        go(33.7, "/questions", ""),
        *AWAY[1:],
    ],
    "whole at another time before": [*SHOWN, *add(5), go(5.6, "/lamps/7", ""), *tried(10, 15, 20), *AWAY],
}
CALM: dict[str, list[Row]] = {
    "the fourth try works": [*SHOWN, *tried(10, 15, 20), *add(25), go(25.8, "/cart", ""), *AWAY[1:]],
    "the fourth try works on its own page": [*SHOWN, *tried(10, 15, 20), *add(25), go(25.8, "/lamps/7", ""), *AWAY[1:]],
    "the same control of another page works": [
        *SHOWN,
        *tried(10, 15, 20),
        click(30, NEXT, "/lamps/7"),
        go(30.5, "/lamps/8", ""),
        *add(36, "/lamps/8"),
        go(36.5, "/lamps/8", ""),
        *AWAY[1:],
    ],
    "a later visit works": [
        *SHOWN,
        *tried(10, 15, 20),
        go(3_000, "/lamps/7", ""),
        *add(3_010),
        go(3_010.6, "/cart", ""),
        go(3_060, "/", ""),
    ],
    "one failed page": [*SHOWN, *tried(10), *AWAY],
    "one page that is missing": [*SHOWN, click(10, NEXT, "/lamps/7"), failed(10.4, "/gone", 404), *AWAY],
    "a wallboard whose page fails": [go(0, "/board", ""), *[failed(60 * i, "/board") for i in range(1, 40)]],
    "pages without input, the form's page shown twice at the end": [
        go(0, "/cart", ""),
        *[r for t in (10, 16, 21) for r in (failed(t, "/cart/code"), go(t + 2, "/cart", "back_forward"))],
        go(27, "/cart", ""),
        go(50, "/", ""),
    ],
}


@pytest.mark.parametrize("scene", FRUSTRATED)
def test_it_is_detected(scene: str) -> None:
    assert len(bodies(FRUSTRATED[scene])) == 1, why(FRUSTRATED[scene])


@pytest.mark.parametrize("scene", CALM)
def test_it_stays_silent(scene: str) -> None:
    assert bodies(CALM[scene]) == []


def test_the_failure_point_is_the_form_and_its_page() -> None:
    (found,) = bodies(FRUSTRATED["three tries"])
    assert found["primaryFailurePoint"] == '/lamps/:id › button "Put into cart" › /cart/add/:id → 500'


def test_without_the_status_nothing_is_known() -> None:
    plain = [{**row, "status": -1, "url": ""} for row in FRUSTRATED["three tries"]]
    assert bodies(plain) == []


def as_documents(rows: list[Row], took: float = 0.4, **values: object) -> list[Row]:
    """The same, seen by a collector that reports the request of each page instead of the page's status."""
    seen = []
    for row in rows:
        seen.append({**row, "status": -1, "url": ""} if row["event_type"] == "navigation" else row)
        if row["event_type"] == "navigation":
            at, status = (row["ts"] - T0) / 1000 + took, row["status"] if row["status"] > 0 else 200
            asked = {"url": row["route"], "method": "", "route": row["route"], **values}
            seen.append(answer(at, status, took, **asked))
    return sorted(seen, key=lambda row: row["ts"])


@pytest.mark.parametrize("method", ["", "POST"])
@pytest.mark.parametrize("took", [0.2, 0.4])
@pytest.mark.parametrize("scene", [s for s in FRUSTRATED if "own page" not in s or "whole" in s])
def test_it_is_detected_by_the_requests_of_pages(scene: str, took: float, method: str) -> None:
    assert len(bodies(as_documents(FRUSTRATED[scene], took, method=method))) == 1


@pytest.mark.parametrize("scene", CALM)
def test_the_requests_of_pages_stay_silent(scene: str) -> None:
    assert bodies(as_documents(CALM[scene])) == []


@pytest.mark.parametrize("pressed", [0.1, 1.4], ids=["while it is on its way", "on the failed page"])
def test_presses_at_a_failed_page_are_no_try_that_was_answered(pressed: float) -> None:
    """The page that the person goes back to is the answer of going back."""
    spot = {"x": 100, "y": 40}
    tries = [
        r for t in (10, 15, 20) for r in (*tried(t, page="/lamps/7/add"), click(t + 0.6 + pressed, ADD, "/lamps/7"))
    ]
    rows = sorted([{**r, **spot} if r["event_type"] == "click" else r for r in tries], key=lambda r: r["ts"])
    assert len(bodies(as_documents([*SHOWN, *rows, *AWAY]))) == 1
