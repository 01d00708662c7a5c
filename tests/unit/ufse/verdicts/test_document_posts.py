"""Forms that are sent by loading a page: the request without a duration ends in the instant in which the page is shown."""

import pytest

from tests.unit.ufse.scene import Row, answer, bodies, click, end, go, submit
from tests.unit.ufse.verdicts.collectors import field, fields

FORM_PAGE, SENT_TO = "/checkout/register", "/account/register"
SEND = {"target_type": "button", "target_id": "register", "target_label": "Weiter"}


def post(t: float, status: int, page: str = SENT_TO) -> list[Row]:
    """The form is sent at ``t``; its answer and the page at its own address come 1.2 s later, in one instant."""
    return [
        click(t, SEND, FORM_PAGE),
        submit(t + 0.01, FORM_PAGE),
        {**answer(t + 1.2, status, url=page, route=page), "duration_ms": -1},
        go(t + 1.2, page, "link"),
    ]


def back(t: float) -> list[Row]:
    return [go(t, FORM_PAGE, "back_forward"), field(t + 3, "f0", FORM_PAGE)]


@pytest.mark.parametrize("status", [500, 503, 422, 409])
@pytest.mark.parametrize("page", [SENT_TO, FORM_PAGE])
def test_a_form_whose_page_fails_again_and_again_is_found(status: int, page: str) -> None:
    rows = [go(0, FORM_PAGE), *fields(3, FORM_PAGE, 2), *post(12, status, page), *back(18), *post(24, status, page)]
    (body,) = bodies([*rows, *back(29), *post(35, status, page), end(60, page)])
    assert body["failurePoint"]["target"].endswith("register")
    assert body["failurePoint"]["feedback"] == f"POST {page} → {status}"


def test_a_form_that_is_accepted_at_the_second_try_is_silent() -> None:
    rows = [go(0, FORM_PAGE), *fields(3, FORM_PAGE, 2), *post(12, 500), *back(18), *post(24, 302, "/checkout/confirm")]
    assert bodies([*rows, end(60, "/checkout/confirm")]) == []


def test_a_form_that_fails_once_is_silent() -> None:
    rows = [go(0, FORM_PAGE), *fields(1, FORM_PAGE, 2), *post(12, 503), end(13.3, SENT_TO)]
    assert bodies(rows) == []


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_beacon_that_fails_when_the_page_of_an_accepted_form_opens_is_silent(count: int) -> None:
    """Another address than that of the page that is shown is no answer to the form."""
    rows = [go(0, FORM_PAGE), *fields(3, FORM_PAGE, 2)]
    for n in range(count):
        beacon = {**answer(13.2 + 20 * n, 503, url="/collect", route="/thanks"), "duration_ms": -1}
        rows += [
            *post(12 + 20 * n, 302, "/thanks")[:2],
            beacon,
            *post(12 + 20 * n, 302, "/thanks")[2:],
            *back(20 + 20 * n),
        ]
    assert bodies([*rows, end(90, FORM_PAGE)]) == []
