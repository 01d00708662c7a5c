"""Forms that are sent by loading a page, with durations: the request may begin long after the press (docs/decisions/0156)."""

import pytest

from tests.unit.ufse.scene import Row, answer, bodies, click, end, event, go, submit
from tests.unit.ufse.verdicts.collectors import field, fields, report_whole_seconds

FORM_PAGE, SENT_TO = "/portal/address", "/portal/address/save"
SEND = {"target_type": "button", "target_id": "send", "target_label": "Weiter"}
LINK = {"target_type": "link", "target_id": "more", "target_label": "More"}


def post(
    t: float, status: int, page: str = SENT_TO, late: float = 1.6, took: float = 0.7, sent: bool = True
) -> list[Row]:
    """Pressed at ``t``; the request begins ``late`` s later, and the page of its address is shown when it ends."""
    shown = t + late + took
    form = [submit(t + 0.01, FORM_PAGE)] if sent else []
    return [click(t, SEND, FORM_PAGE), *form, answer(shown, status, took, page, route=page), go(shown, page, "link")]


def back(t: float) -> list[Row]:
    return [go(t, FORM_PAGE, "back_forward"), field(t + 3, "f0", FORM_PAGE)]


def tries(status: int, **how: object) -> list[Row]:
    one = [go(0, FORM_PAGE), *fields(2, FORM_PAGE, 2), *post(12, status, **how), *back(21), *post(27, status, **how)]  # type: ignore[arg-type]
    return [*one, *back(36), *post(42, status, **how)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "how", [{}, {"sent": False}, {"page": FORM_PAGE}, {"late": 5.0}, {"took": 3.2}, {"late": 1.05}]
)
@pytest.mark.parametrize("status", [500, 504, 422])
def test_a_form_whose_page_fails_again_and_again_is_found(status: int, how: dict[str, object]) -> None:
    (body,) = bodies([*tries(status, **how), end(80, SENT_TO)])
    assert body["failurePoint"]["target"].endswith("send")
    assert body["failurePoint"]["feedback"] == f"POST {how.get('page', SENT_TO)} → {status}"


def test_in_whole_seconds_it_belongs_to_the_press_and_not_to_its_own_page() -> None:
    (body,) = bodies(report_whole_seconds([*tries(500, page=FORM_PAGE, late=0.2), end(80, FORM_PAGE)]))
    assert body["failurePoint"]["target"].endswith("send")


def test_a_form_that_is_accepted_at_last_is_silent() -> None:
    rows = [*tries(500), *back(52), *post(58, 302, "/portal/thanks"), end(80, "/portal/thanks")]
    assert bodies(rows) == []


def test_a_form_that_fails_once_is_silent() -> None:
    assert bodies([go(0, FORM_PAGE), *fields(1, FORM_PAGE, 2), *post(12, 503), end(15, SENT_TO)]) == []


def test_a_request_that_ends_away_from_its_page_stays_background() -> None:
    """A script's own request at the address of a page, 1.6 s after each press, with no page shown when it ends."""
    rows = [row for row in tries(500, page=FORM_PAGE) if row["event_type"] != "navigation" or row["nav_type"] != "link"]
    assert bodies([go(0, FORM_PAGE), *rows, end(80, FORM_PAGE)]) == []


def test_a_request_at_another_address_than_the_page_stays_background() -> None:
    rows = [{**row, "url": "/collect"} if row["event_type"] == "network" else row for row in tries(500)]
    assert bodies([*rows, end(80, SENT_TO)]) == []


def test_a_link_sends_no_form() -> None:
    rows = [{**row, **LINK} if row["event_type"] == "click" else row for row in tries(500, sent=False)]
    assert bodies([*rows, end(80, SENT_TO)]) == []


def test_a_page_that_is_read_is_not_sent() -> None:
    rows = [{**row, "method": "GET"} if row["event_type"] == "network" else row for row in tries(404, sent=False)]
    assert all("send" not in body["failurePoint"]["target"] for body in bodies([*rows, end(80, SENT_TO)]))


@pytest.mark.parametrize("late", [11.0, 20.0])
def test_a_request_that_begins_after_ten_seconds_has_another_cause(late: float) -> None:
    rows = [go(0, FORM_PAGE), *fields(2, FORM_PAGE, 2)]
    rows += [row for i in range(3) for row in (*post(12 + 40 * i, 500, late=late), *back(44 + 40 * i))]
    assert bodies([*rows, event(140, "session_end", FORM_PAGE)]) == []
