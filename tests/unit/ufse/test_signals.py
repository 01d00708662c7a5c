"""Blocked, abandonment and confusion at their boundaries."""

import pytest

from tests.unit.ufse.scene import (
    CARD,
    Row,
    answer,
    bodies,
    click,
    end,
    error,
    event,
    go,
    signals,
    submit,
    typed,
    why,
)

PLUS = {"target_type": "button", "target_id": "qty-plus"}


def tries(*times: float, status: int = 500, took: float = 0.3) -> list[Row]:
    return [r for t in times for r in (click(t), answer(t + took + 0.02, status, took=took))]


def test_the_first_failure_alone_never_counts() -> None:
    assert why(tries(10)) == "no_behavioural_signal"


@pytest.mark.parametrize(("wait", "blocked"), [(29.9, True), (30.1, False)])
def test_the_retry_counts_within_30_s_of_the_answer(wait: float, blocked: bool) -> None:
    rows = [*tries(10, took=25), *tries(35.02 + wait, took=25), *tries(60.04 + 2 * wait + 1, took=25)]
    assert ("blocked" in signals(rows)) is blocked


def test_a_click_before_the_answer_is_the_same_attempt() -> None:
    rows = [click(10), click(14), answer(20, 500, took=9.9), end(100)]
    assert "blocked" not in signals([typed(5), *rows])


def test_a_double_click_is_one_attempt() -> None:
    rows = [click(10), answer(10.1, 500, took=0.08), click(10.3), answer(10.4, 500, took=0.08)]
    assert why([*rows, event(200, "scroll")]) == "no_behavioural_signal"


def test_two_failed_tries_are_blocked() -> None:
    (body,) = bodies(tries(10, 18))
    assert next(s for s in body["triggeringSignals"] if s["type"] == "blocked")["count"] == 1


def test_the_retry_that_succeeds() -> None:
    assert why([*tries(10, 18), *tries(26, status=200)]) == "resolved"


def test_corrected_fields_that_get_through() -> None:
    rows = [
        typed(5),
        submit(8, valid=0),
        error(8.01, "Required", "validation"),
        typed(11),
        submit(14, valid=1),
    ]
    assert bodies([*rows, go(20, "/home")]) == []


def test_several_errors_of_one_submit_are_one_attempt() -> None:
    errors = [error(8.01 + i / 100, f"field {i} is required", "validation") for i in range(5)]
    assert why([submit(8), *errors, event(300, "scroll")]) == "no_behavioural_signal"


def test_controls_made_to_be_repeated_are_never_blocked() -> None:
    rows = [r for i in range(4) for r in (click(10 + 5 * i, PLUS), answer(10.3 + 5 * i, 500, took=0.2))]
    assert "blocked" not in signals(rows)


def test_the_next_of_a_form_is_a_step_and_not_a_page_to_leaf_through() -> None:
    following = {"target_type": "button", "target_id": "next", "target_label": "Next"}
    step = [
        r for i in range(3) for r in (click(10 + 7 * i, following), submit(10.01 + 7 * i), answer(10.4 + 7 * i, 500))
    ]
    page = [r for i in range(3) for r in (click(10 + 7 * i, following), answer(10.4 + 7 * i, 500))]
    assert "blocked" in signals(step)
    assert "blocked" not in signals(page[:4])
    # A page that fails at each of three unhurried tries is a step that does not advance.
    assert "blocked" in signals(page)
    hurried = [r for i in range(5) for r in (click(10 + 0.8 * i, following), answer(10.4 + 0.8 * i, 500))]
    assert signals(hurried) & {"blocked", "rage"} == set()
    served = [r for i in range(7) for r in (click(10 + 7 * i, following), answer(10.4 + 7 * i, 500 if i % 2 else 200))]
    assert "blocked" not in signals(served)


def test_a_page_opened_after_an_unanswered_retry_is_its_success() -> None:
    bare = {"target_type": "button", "target_id": "", "target_label": ""}
    rows = [typed(2), click(5, bare), event(5.4, "network", status=0), typed(8), click(10, bare)]
    assert why([*rows, event(14, "navigation", "/orders/55"), end(30)]) == "resolved"


def test_failures_of_two_nameless_buttons_are_not_one_control() -> None:
    bare = {"target_type": "button", "target_id": "", "target_label": ""}
    rows = [r for i in range(2) for r in (click(10 + 6 * i, bare), answer(10.3 + 6 * i, 500, url=f"/api/{'ab'[i]}"))]
    assert bodies(rows) == []


FORM_500 = [
    typed(5),
    typed(6, target={"target_type": "input", "target_id": "name"}),
    submit(10),
    answer(10.4, 500),
]


@pytest.mark.parametrize(("after", "left"), [(60.0, True), (60.1, False)])
def test_left_within_60_s_of_the_answer(after: float, left: bool) -> None:
    assert ("abandonment" in signals([*FORM_500, go(10.4 + after, "/home")])) is left


def test_left_by_the_end_of_the_session() -> None:
    (body,) = bodies([*FORM_500, end(20)])
    assert body["endedFlow"] is True
    assert "The session ended in the flow on /checkout" in body["explanation"]


def test_an_end_without_an_event_is_weaker() -> None:
    """But who corrects a field after the form was refused, and then stops, gave up."""
    assert why(FORM_500) == "below_high"
    assert bodies([*FORM_500, typed(30)]) != []


@pytest.mark.parametrize(
    "leaving",
    [
        go(20, "/files/x", download=1),
        go(20, "/elsewhere", external=1),
        go(20, "/checkout/address", "back_forward"),
        event(20, "visibility", state="hidden"),
    ],
)
def test_what_is_not_leaving(leaving: Row) -> None:
    assert "abandonment" not in signals([*FORM_500, leaving, typed(90), end(200)])


@pytest.mark.parametrize(("back", "left"), [(59, False), (62, True)])
def test_coming_back_within_60_s_is_not_leaving(back: float, left: bool) -> None:
    rows = [*FORM_500, go(15, "/faq"), go(14 + back, "/checkout"), typed(15 + back), end(400)]
    assert ("abandonment" in signals(rows)) is left


def test_what_was_filled_in_before_an_earlier_success_began_nothing() -> None:
    other = {"target_type": "button", "target_id": "weather"}
    rows = [*FORM_500[:3], answer(10.4, 201), click(20, other), answer(20.3, 500, url="/api/weather", method="GET")]
    assert bodies([*rows, go(30, "/home")]) == []


def test_a_control_that_does_not_send_the_form_abandons_less() -> None:
    other = {"target_type": "button", "target_id": "weather"}
    rows = [*FORM_500[:2], click(8, other), answer(8.3, 500, url="/api/weather"), submit(30), go(40, "/home")]
    assert why(rows) == "below_high"


def test_printing_is_not_leaving() -> None:
    rows = [
        *FORM_500,
        click(19.9, {"target_type": "button", "target_id": "print-page"}),
        go(20, "/print", "push"),
    ]
    assert "abandonment" not in signals([*rows, go(25, "/checkout", "back_forward"), typed(90), end(200)])


def test_nothing_begun_nothing_abandoned() -> None:
    assert why([click(10), answer(10.3, 500), go(15, "/home")]) == "no_behavioural_signal"


@pytest.mark.parametrize("page", ["/thank-you", "/orders/77/confirmation", "/checkout/success"])
def test_a_thank_you_page_is_success(page: str) -> None:
    assert bodies([*FORM_500, go(12, page, "push"), go(20, "/home")]) == []


def test_what_another_form_was_thanked_for_is_no_success() -> None:
    other = [typed(15, "/transfer/new"), submit(16, "/transfer/new"), go(17, "/transfer/done", "push")]
    assert bodies([*FORM_500, go(14, "/transfer/new"), *other, end(20)])
    assert bodies([*FORM_500, go(14, "/checkout/done", "push"), *other, end(20)]) == []


@pytest.mark.parametrize("served", [True, False])
def test_a_form_that_serves_its_own_page_again_without_failure_was_accepted(served: bool) -> None:
    rows = [row for t in (5, 20) for row in (submit(t), {**answer(t + 0.3, 422, took=0.2), "url": "", "method": ""})]
    page = [go(40.5, "/checkout", "")] if served else []
    assert (bodies([typed(2), *rows, submit(40), *page, go(60, "/home", "link")]) == []) is served


def test_an_error_page_is_no_progress() -> None:
    assert bodies([*FORM_500, go(10.5, "/error", "push"), go(20, "/home")])


def oscillation(*routes: str, gap: float = 5) -> list[Row]:
    return [go(10 + gap * i, r) for i, r in enumerate(routes)]


RAGE_SLOW = [
    event(44.9, "performance", "/a", perf_kind="page_load", duration_ms=3900),
    *(click(46 + 0.4 * i, route="/a") for i in range(5)),
]


def test_confusion_with_a_slow_load_and_rage() -> None:
    rows = [*oscillation("/a", "/b", "/a", "/b", "/a", gap=7), go(41, "/a"), *RAGE_SLOW]
    (body,) = bodies(rows)
    assert {s["type"] for s in body["triggeringSignals"]} == {"confusion", "rage", "feedback"}
    assert body["severityType"] == "Performance"


@pytest.mark.parametrize(
    "routes",
    [
        ("/b", "/a", "/b"),
        ("/a", "/1", "/a", "/2", "/a", "/3"),
        ("/a", "/b", "/c", "/d", "/a"),
        ("/i/71", "/i/72", "/i/71", "/i/72", "/i/71"),
    ],
)
def test_too_few_changes_or_too_many_pages_are_no_confusion(routes: tuple[str, ...]) -> None:
    rows = [*oscillation(*routes, gap=5), go(41, "/a"), *RAGE_SLOW]
    assert bodies(rows) == []


def test_scroll_thrash_needs_six_reversals_in_15_s() -> None:
    def turning(count: int, gap: float) -> list[Row]:
        rows = [event(20 + gap * i, "scroll", "/a", direction="up" if i % 2 else "down") for i in range(count + 1)]
        return [go(10, "/a"), *rows, go(41, "/a"), *RAGE_SLOW]

    assert "confusion" in signals(turning(6, 2))
    assert bodies(turning(5, 2)) == []
    assert bodies(turning(6, 3.1)) == []


def test_confusion_alone_is_nothing() -> None:
    assert why(oscillation("/a", "/b", "/a", "/b", "/a", "/b")) == "no_negative_feedback"


LIST = {"target_type": "link", "target_id": "row-link"}
NAMED = {"target_type": "input", "target_id": "name"}


def opened(t: float, route: str, status: int, how: str = "link") -> list[Row]:
    """A page whose own data are answered with ``status``."""
    return [go(t, route, how), answer(t + 0.5, status, took=0.4, url=f"/api{route}", method="GET", route=route)]


def test_reloading_a_page_that_fails_is_a_retry() -> None:
    rows = [click(9.9, LIST, "/home"), *opened(10, "/orders", 500)]
    rows += [r for t in (18, 40) for r in opened(t, "/orders", 500, "reload")]
    assert "blocked" in signals([*rows, end(80, "/orders")])
    assert why([*rows, *opened(60, "/orders", 200, "reload"), end(80, "/orders")]) == "resolved"


def test_another_page_of_the_same_kind_is_no_retry() -> None:
    rows = []
    for i in range(4):
        t = 10 + 8 * i
        rows += [click(t - 0.1, LIST, "/home"), *opened(t, f"/items/{100 + i}", 200)]
        rows += [answer(t + 1.2, 500, took=0.2, url="/recommendations", method="GET", route=f"/items/{100 + i}")]
    assert bodies([*rows, end(60)]) == []


def test_a_page_that_came_is_not_missed_for_what_failed_beside_it() -> None:
    rows = []
    for i in range(4):
        t = 10 + 8 * i
        rows += [click(t - 0.1, LIST, "/home"), *opened(t, "/orders", 200), *opened(t + 4, "/home", 200)]
        rows += [answer(t + 5, 404, took=0.2, url="/flags", method="GET", route="/home")]
    assert bodies([*rows, end(60)]) == []


def test_a_slow_success_makes_up_for_a_failure() -> None:
    rows = [*tries(10, 18, status=413), click(30), answer(36, 201, took=5.9)]
    assert why([*rows, end(50)]) == "resolved"


def test_the_same_request_by_another_control_is_another_way() -> None:
    menu = {"target_type": "button", "target_id": "menu-pay"}
    rows = [*tries(10, 18), click(24, menu), answer(24.4, 200)]
    assert why([*rows, end(50)]) == "resolved"


@pytest.mark.parametrize(("route", "let_in"), [("/login", True), ("/profile", False)])
def test_a_login_is_achieved_by_another_door(route: str, let_in: bool) -> None:
    sign = {"target_type": "button", "target_id": "sign"}
    reset = {"target_type": "button", "target_id": "set-password"}
    rows = [r for t in (10, 18, 26) for r in (click(t, sign, route), answer(t + 0.4, 401, url="/token", route=route))]
    rows += [click(34, LIST, route), go(34.2, "/password"), typed(37, "/password")]
    rows += [click(40, reset, "/password"), answer(40.4, 200, url="/password", route="/password"), go(40.6, "/start")]
    assert (bodies([*rows, end(60, "/start")]) == []) is let_in


@pytest.mark.parametrize(("times", "left"), [((10,), False), ((10, 75), True)])
def test_two_tries_begin_a_flow_without_any_field(times: tuple[float, ...], left: bool) -> None:
    rows = [*tries(*times), go(times[-1] + 20, "/home")]
    assert ("abandonment" in signals(rows)) is left


def test_a_page_hidden_for_good_is_left() -> None:
    hidden = event(80, "visibility", state="hidden")
    assert "abandonment" in signals([*tries(10, 75), hidden])
    back = [event(90, "visibility", state="visible"), click(92), answer(92.4, 200), end(99)]
    assert bodies([*tries(10, 75), hidden, *back]) == []


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ([CARD], False),
        ([CARD, NAMED], True),
        ([{"target_type": "textarea", "target_id": "text"}], True),
    ],
)
def test_a_form_in_earnest_has_two_fields_or_a_text(fields: list[Row], told: bool) -> None:
    rows = [typed(4 + i, target=one) for i, one in enumerate(fields)]
    assert (bodies([*rows, submit(10), answer(10.4, 500), go(20, "/home")]) != []) is told


@pytest.mark.parametrize(("other", "told"), [("/api/tickets/71", True), ("/api/tickets/70", False)])
def test_closing_one_ticket_is_not_closing_another(other: str, told: bool) -> None:
    """A 409 after a success is a doubled click only where it is about the same thing."""
    shut = {"target_type": "button", "target_id": "shut"}
    rows = [click(5, shut), answer(5.4, 200, url="/api/tickets/70", method="PUT")]
    rows += [r for t in (12, 22) for r in (click(t, shut), answer(t + 0.4, 409, url=other, method="PUT"))]
    assert (bodies([*rows, end(40)]) != []) is told


def test_two_requests_each_tried_again_are_two_failure_points() -> None:
    code = {"target_type": "button", "target_id": "code"}
    first = [r for t in (10, 16) for r in (click(t, code), answer(t + 0.4, 500, url="/api/codes"))]
    assert len(bodies([*first, *tries(24, 30, 36), end(45)])) == 2


def test_each_further_try_counts_at_whatever_pace() -> None:
    (two,), (three,) = bodies([*tries(10, 75), end(90)]), bodies([*tries(10, 75, 140), end(150)])
    assert two["frustrationScore"] < three["frustrationScore"]


@pytest.mark.parametrize("how", ["external", "download"])
def test_a_session_that_ends_behind_an_external_link_was_not_left(how: str) -> None:
    form = [typed(5), typed(6, target={"target_type": "input", "target_id": "name"}), submit(10), answer(10.4, 500)]
    assert bodies([*form, end(22)]) != []
    for route in ("/checkout", "/partner"):
        assert bodies([*form, {**go(20, route), how: 1}, end(22)]) == []


_OTHER = {"url": "/api/terms", "method": "GET"}
_MEASURED = event(22.005, "performance", perf_kind="slow_response", duration_ms=12_000)


@pytest.mark.parametrize(
    ("came", "left"),
    [
        ([{**answer(22, 201), "duration_ms": -1}, _MEASURED], False),
        ([{**answer(22, 504), "duration_ms": -1}, _MEASURED], True),
        ([answer(10.5, 200, took=0.4, **_OTHER), _MEASURED], True),
        ([answer(10.4, 500), answer(10.6, 200, took=0.5, **_OTHER)], True),
    ],
)
def test_a_flow_whose_slow_answer_came_in_the_end_is_not_left(came: list[Row], left: bool) -> None:
    """The measurement and the loading phase of a slow answer came with it; another good answer is not the one missed."""
    pressed = [*FORM_500[:3], *(click(11.2 + 0.3 * i) for i in range(5))]
    spinner = [event(10.01, "loading", state="start"), event(22.008, "loading", state="end")]
    rows = [*pressed, *came, *spinner, go(40, "/home"), end(50, "/home")]
    assert ("abandonment" in signals(rows)) is left
