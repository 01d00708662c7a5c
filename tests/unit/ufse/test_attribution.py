"""Attribution windows, per-request answers, and background that is recognised by its behaviour."""

from typing import Any

import pytest

from tests.unit.ufse.scene import Row, answer, bodies, click, end, error, event, go, signals, submit, typed, why

X = {"target_type": "button", "target_id": "x"}


def retried(feedback: Row, *more: Row, gap: float = 6) -> list[Row]:
    """A click with one feedback event, three times over; what is given is placed for a click at 10 s."""
    rows = []
    for i in range(3):
        shift = round(i * gap * 1000)
        rows += [{**r, "ts": r["ts"] + shift} for r in (click(10), feedback, *more)]
    return rows


@pytest.mark.parametrize(("start", "caused"), [(0.0, True), (1.0, True), (1.02, False)])
def test_a_request_belongs_to_the_interaction_at_most_1_s_before_its_start(start: float, caused: bool) -> None:
    rows = retried(answer(10 + start + 4, 500, took=4), gap=9)
    assert bool(bodies(rows)) is caused


@pytest.mark.parametrize(("after", "caused"), [(10.0, True), (10.1, False)])
def test_without_a_duration_at_most_10_s_before_its_end(after: float, caused: bool) -> None:
    rows = retried({**answer(10 + after, 500), "duration_ms": -1}, gap=20)
    assert bool(bodies(rows)) is caused


@pytest.mark.parametrize(("after", "caused"), [(2.0, True), (2.1, False)])
def test_an_error_belongs_to_the_interaction_at_most_2_s_before(after: float, caused: bool) -> None:
    assert bool(bodies(retried(error(10 + after)))) is caused


def test_an_error_in_rendering_a_slow_answer_belongs_to_the_click() -> None:
    assert bodies(retried(answer(12.5, 200, took=2.4), error(12.6)))


def test_a_click_and_its_submit_are_one_action() -> None:
    rows = []
    for i in range(3):
        t = 10 + 6 * i
        rows += [click(t), submit(t + 0.01), answer(t + 0.4, 500)]
    rows += [submit(30), answer(30.3, 500)]
    (body,) = bodies(rows)
    assert body["failurePoint"]["target"] == "button#pay"
    blocked = next(s for s in body["triggeringSignals"] if s["type"] == "blocked")
    assert blocked["count"] == 3


def test_polling_that_falls_on_clicks_is_background() -> None:
    rows = [answer(3 + 5 * i, 503, took=0.1, url="/api/live", method="GET") for i in range(12)]
    assert why([*rows, *(click(12.5 + 0.3 * i, X) for i in range(5))]) == "background"


def test_polling_caught_by_its_pace_alone() -> None:
    polls = [answer(30 * i + 10, 503, took=0.1, url="/hb", method="GET") for i in range(3)]
    assert why([*polls, *(click(39.5 + 0.3 * i, X) for i in range(6))]) == "background"


def test_beacons_after_unrelated_interactions_are_background() -> None:
    rows = []
    for i, name in enumerate(("a", "b", "c")):
        rows += [click(3 * i, {"target_type": "button", "target_id": name})]
        rows += [answer(3 * i + 0.1, 500, took=0.05, url="/collect")]
    for i in range(6):
        rows += [click(20 + 0.3 * i), answer(20.1 + 0.3 * i, 500, took=0.05, url="/collect")]
    assert why(rows) == "background"


def test_one_address_for_everything_is_no_beacon() -> None:
    rows = []
    for i, name in enumerate(("a", "b", "c")):
        rows += [click(3 * i, {"target_type": "button", "target_id": name})]
        rows += [answer(3 * i + 0.1, 200, took=0.05, url="/graphql")]
    for i in range(5):
        rows += [click(20 + 0.4 * i), answer(20.3 + 0.4 * i, 500, took=0.2, url="/graphql")]
    rows += [go(30, "/home"), answer(30.3, 200, url="/graphql", route="/home")]
    (body,) = bodies(rows)
    assert body["failurePoint"]["target"] == "button#pay"


def test_repeats_by_the_application_are_no_retries() -> None:
    rows = [click(10), answer(10.2, 503, took=0.1)]
    rows += [answer(t, 503, took=0.1) for t in (11.2, 13.4, 17.6)]
    assert why([*rows, event(40, "scroll")]) == "no_behavioural_signal"


def test_repeats_by_the_application_that_work_are_a_success() -> None:
    rows = [typed(5), click(10), answer(10.2, 503, took=0.1), answer(12.3, 201, took=0.1), go(30, "/home")]
    assert why(rows) == "resolved"


@pytest.mark.parametrize(
    "noise",
    [
        error(10.1, "ResizeObserver loop limit exceeded"),
        error(10.1, "Script error."),
        error(10.1, "boom", source="chrome-extension://abc/x.js"),
        error(10.1, "Failed to load", kind="resource", source="/img/a.png"),
        answer(10.2, 404, url="/img/hero.webp", method="GET"),
        answer(10.2, 404, url="/fonts/x.woff2", method="GET"),
        answer(10.2, 500, method="OPTIONS"),
        answer(10.2, 0, aborted=1),
    ],
)
def test_noise_is_never_evidence(noise: Row) -> None:
    assert why(retried(noise)) == "background"


def test_an_awaited_request_given_up_by_leaving_is_slow() -> None:
    rows = [
        typed(5),
        typed(7, target=X),
        click(10),
        submit(10),
        answer(22, 0, took=11.9, aborted=1),
        go(22, "/home"),
    ]
    (body,) = bodies(rows)
    assert body["severityType"] == "Performance"
    assert body["failurePoint"]["feedback"] == "POST /api/orders → slow"


def test_a_request_that_the_page_leaving_killed_is_no_failure() -> None:
    rows = [typed(5), click(10), submit(10), answer(10.6, 0, took=0.5), go(10.6, "/home")]
    assert why(rows) == "background"


@pytest.mark.parametrize(("others", "counts"), [(0, True), (1, False)])
def test_a_third_party_counts_only_when_it_answers_this_action_alone(others: int, counts: bool) -> None:
    rows = [r for i in range(others) for r in (click(i, X), answer(i + 0.2, 503, url="/v1/pay", third_party=1))]
    rows += [
        {**r, "ts": r["ts"] + 5000 * i}
        for i in range(3)
        for r in (click(10), answer(10.3, 503, url="/v1/pay", third_party=1))
    ]
    assert bool(bodies(rows)) is counts


@pytest.mark.parametrize(("took", "told"), [(0.9, False), (1.0, True), (-1, False)])
def test_what_a_blocker_refuses_at_once_is_no_failure_of_a_third_party(took: float, told: bool) -> None:
    """A provider that is down keeps one waiting; how long an unknown answer took (-1) nobody can say."""
    rows = [
        {**r, "ts": r["ts"] + 6000 * i}
        for i in range(4)
        for r in (click(10), answer(10.1 + max(took, 0), 0, took=took, url="/v1/pay", third_party=1))
    ]
    assert (bodies(rows) != []) is told


@pytest.mark.parametrize(("second", "calm"), [(200, True), (500, False)])
def test_the_retry_of_the_same_request_decides(second: int, calm: bool) -> None:
    rows = [typed(5), click(10), submit(10), answer(10.3, 500), click(15), submit(15)]
    rows += [answer(15.2, 200, url="/api/ping", method="GET"), answer(15.3, second), go(25, "/home")]
    assert (not bodies(rows)) is calm


def test_409_after_a_success_is_no_failure() -> None:
    rows = [*(click(5 + 0.2 * i) for i in range(5)), answer(5.5, 201, took=0.45)]
    rows += [answer(5.6 + 0.1 * i, 409, took=0.3) for i in range(4)]
    assert bodies(rows) == []


def test_another_way_achieves_the_action() -> None:
    later = {"target_type": "button", "target_id": "pay-later"}
    rows = [r for i in range(3) for r in (click(5 + 5 * i), answer(5.3 + 5 * i, 500))]
    rows += [click(25, later), answer(25.3, 201, url="/api/invoice"), go(25.5, "/orders/7", "push")]
    assert why(rows) == "resolved"


@pytest.mark.parametrize("item", ["/accounts/1", "/accounts/2"])
def test_another_way_on_another_item_achieves_nothing_for_this_one(item: str) -> None:
    later = {"target_type": "button", "target_id": "pay-later"}
    here = [{**r, "route": "/accounts/1"} for i in range(3) for r in (click(5 + 5 * i), answer(5.3 + 5 * i, 500))]
    there = [go(20, item, "push"), click(25, later, item), {**answer(25.3, 201, url="/api/invoice"), "route": item}]
    assert bool(bodies([*here, *there])) is (item == "/accounts/2")


LATER = {"target_type": "button", "target_id": "export", "target_label": "Export"}
ITEM = {"target_type": "link", "target_id": "item", "target_label": "Item"}


def plain(t: float, status: int, url: str = "/api/orders", method: str = "POST", **values: Any) -> Row:
    """A request of which no duration is told."""
    return event(t, "network", **{"status": status, "url": url, "method": method, **values})


def measured(t: float, took: float) -> Row:
    return event(t, "performance", perf_kind="slow_response", duration_ms=round(took * 1000))


def test_a_slow_answer_measured_beside_its_request_tells_when_it_began() -> None:
    rows = [r for t in (10, 50) for r in (click(t), plain(t + 25, 504), measured(t + 25, 25))]
    assert "blocked" in signals([*rows, end(90)])
    assert bodies([r for r in rows if r["event_type"] != "performance"]) == []


def test_what_fails_long_after_the_answer_is_not_the_actions() -> None:
    """A connection lost while nobody does anything fails what runs in the background."""
    calm = [r for t in (10, 30) for r in (click(t), plain(t + 0.4, 200), plain(t + 6, 0, "/sync", "GET"))]
    assert bodies([*calm, end(45)]) == []


def test_the_document_of_a_page_belongs_to_the_page_and_not_to_the_link() -> None:
    rows = [click(10, ITEM, "/home"), answer(10.6, 500, took=0.5, url="/members", method="GET", route="/home")]
    rows += [go(10.6, "/members")]
    for t in (16, 24):
        rows += [go(t, "/members", "reload"), answer(t + 0.5, 500, took=0.4, url="/members", method="GET")]
    (body,) = bodies([*rows, end(30, "/members")])
    assert body["failurePoint"]["route"] == "/members"


def graph(t: float, status: int, took: float = 0.2) -> Row:
    return answer(t, status, took=took, url="/graphql")


def test_one_address_for_everything_is_judged_by_action() -> None:
    """Other operations are answered before, between and after; two actions fail."""
    opened = [go(1, "/checkout"), graph(1.4, 200), click(4, LATER), graph(4.4, 200)]
    tried = [r for t in (10, 20, 30) for r in (click(t), graph(t + 0.4, 500), graph(t + 6, 200))]
    assert "blocked" in signals([*opened, *tried, end(40)])
    other = {"target_type": "button", "target_id": "voucher"}
    more = [r for t in (50, 60) for r in (click(t, other), graph(t + 0.4, 500))]
    assert len(bodies([*opened, *tried, *more, end(70)])) > 0


def test_a_token_that_is_refreshed_is_a_success_of_the_same_click() -> None:
    opened = [go(1, "/checkout"), graph(1.4, 200), click(4, LATER), graph(4.4, 200)]
    tried = [r for t in (10, 20, 30) for r in (click(t), graph(t + 0.3, 401), graph(t + 0.7, 200))]
    assert bodies([*opened, *tried, end(40)]) == []


def test_an_error_in_drawing_belongs_to_the_answer_though_another_click_came() -> None:
    rows = []
    for i in range(5):
        t = 10 + 0.4 * i
        rows += [click(t), answer(t + 0.35, 200, took=0.3), error(t + 0.44)]
    (body,) = bodies([*rows, end(40)])
    assert "rage" in {s["type"] for s in body["triggeringSignals"]}


def test_what_typing_in_a_field_sends_again_and_again_is_background() -> None:
    rows = [r for i in range(5) for r in (typed(5 + 4 * i), answer(5.5 + 4 * i, 500, url="/drafts/save"))]
    assert bodies([*rows, submit(27), answer(27.4, 200), go(40, "/home")]) == []


@pytest.mark.parametrize(("failures", "told"), [(1, False), (2, True)])
def test_a_provider_fails_each_try_and_a_tag_once(failures: int, told: bool) -> None:
    rows = [r for t in (10, 20, 28) for r in (click(t),)]
    rows += [answer(t + 0.4, 503, url="/charge", third_party=1) for t in (10, 20)[:failures]]
    assert (bodies([*rows, end(40)]) != []) is told


def test_tries_at_an_even_pace_are_no_clock() -> None:
    """Three gaps of 20 s by chance; a poll keeps its pace more often and at ever other distances from the clicks."""
    rows = [r for t, late in ((10, 0.3), (30, 0.9), (49.5, 0.4)) for r in (click(t), plain(t + late, 500))]
    assert bodies([*rows, end(60)]) != []


def test_the_same_control_on_several_pages_is_one_action() -> None:
    """The menu's link fails on every page: that is the link's failure and no background."""
    cart = {"target_type": "link", "target_id": "cart"}
    rows = [go(1, "/a")]
    for i, route in enumerate(("/a", "/b", "/c", "/c")):
        t = 10 + 9 * i
        rows += [
            go(t - 2, route),
            click(t, cart, route),
            answer(t + 0.4, 502, url="/api/cart", method="GET", route=route),
        ]
    assert bodies([*rows, end(50, "/c")]) != []


def test_trying_again_on_the_opened_page_is_the_same_action() -> None:
    again = {"target_type": "button", "target_id": "retry"}
    rows = [click(10, ITEM, "/list"), go(10.1, "/list/77", "push")]
    rows += [answer(10.6, 500, took=0.4, url="/api/items/77", method="GET", route="/list/77")]
    for t in (14, 20):
        rows += [click(t, again, "/list/77"), answer(t + 0.4, 500, url="/api/items/77", method="GET", route="/list/77")]
    (body,) = bodies([*rows, end(25, "/list/77")])
    assert body["failurePoint"]["target"] == "link#item"


def test_even_patience_is_no_clock() -> None:
    lags = (0.2, 0.6, 0.3, 0.9, 0.5)
    rows = [r for i, lag in enumerate(lags) for r in (click(i * 20), answer(i * 20 + lag, 500, took=0))]
    assert signals([*rows, end(100)]) == {"feedback", "blocked", "abandonment"}


def test_however_a_page_is_opened_its_opening_is_one_thing() -> None:
    order: Row = {"route": "/orders/8841"}
    row, again = {"target_type": "link", "target_id": "order-row"}, {"target_type": "button", "target_id": "retry"}
    failed: Row = {"url": "/api/orders/8841", "method": "GET"}
    rows = [
        go(0, "/orders"),
        click(2, row, "/orders"),
        go(2.1, "/orders/8841", "push"),
        answer(2.4, 500, **failed, **order),
        go(6, "/orders/8841", "reload"),
        answer(6.4, 500, **failed, **order),
        *(r for t in (9, 12, 15) for r in (click(t, again, **order), answer(t + 0.3, 500, **failed, **order))),
        end(18, "/orders/8841"),
    ]
    assert len(bodies(rows)) == 1


def test_an_application_that_repeats_after_even_pauses_is_no_poll() -> None:
    rows = [
        *(r for t in (0, 30) for r in (click(t), *(answer(t + pause, 500) for pause in (0.3, 5.3, 10.3)))),
        end(60),
    ]
    assert signals(rows) == {"feedback", "blocked", "abandonment"}


def test_an_application_that_repeats_what_timed_out_is_no_poll() -> None:
    rows = [
        *(r for t in (0, 50) for r in (click(t), answer(t + 20, 504, took=20), answer(t + 41, 504, took=20))),
        end(100),
    ]
    assert signals(rows) == {"feedback", "blocked", "abandonment"}


def test_a_page_that_shows_itself_anew_with_its_answer_was_not_left() -> None:
    rows = [
        *(r for t in (0, 9) for r in (click(t), answer(t + 3, 0, took=0), go(t + 3.02, "/checkout", ""))),
        end(20),
    ]
    assert "feedback" in signals(rows)


@pytest.mark.parametrize("bracket", [True, False])
def test_without_a_duration_a_request_began_with_the_loading_phase_that_ends_with_it(bracket: bool) -> None:
    bad = {**answer(25, 504), "duration_ms": -1}
    phase = [event(10.02, "loading", state="start"), event(25.005, "loading", state="end")] if bracket else []
    assert bool(bodies(retried(bad, *phase, gap=18))) is bracket


def test_overlapping_loading_phases_end_in_the_order_in_which_they_began() -> None:
    rows: list[Row] = []
    for n, (began, ended) in enumerate(((10, 25), (11.5, 26), (13, 27))):
        other = {"target_type": "button", "target_id": ("save", "send", "print")[n]}
        rows += [click(began, other), event(began + 0.01, "loading", state="start")]
        bad = {**answer(ended, 504, url=f"/api/{'abc'[n]}"), "duration_ms": -1}
        rows += [bad, event(ended + 0.005, "loading", state="end")]
    rows += [click(30, {"target_type": "button", "target_id": "send"}), answer(30.3, 504, url="/api/b")]
    rows += [click(34, {"target_type": "button", "target_id": "send"}), answer(34.3, 504, url="/api/b")]
    (body,) = bodies(rows)
    assert body["failurePoint"]["target"] == "button#send"
    assert "3 attempts at button#send failed" in body["explanation"]


@pytest.mark.parametrize("every", [1, 5])
def test_what_follows_few_of_an_actions_clicks_follows_them_by_chance(every: int) -> None:
    """The page asks for it too, so that it has another cause than the clicks."""

    def side(t: float) -> Row:
        return answer(t, 502, took=0.1, url="/api/recommendations", method="GET")

    clicks = [click(10 + 0.6 * n, X) for n in range(15)]
    rows = [go(2, "/checkout"), side(2.2), *clicks, *(side(10.2 + 0.6 * n) for n in range(0, 15, every))]
    assert bool(bodies(rows)) is (every == 1)


def test_a_picture_that_a_script_asked_for_is_a_picture() -> None:
    assert bodies(retried(error(10.3, "Failed to load /js/pay.js", "resource", source="/js/vendor.js")))
    assert not bodies(retried(error(10.3, "Failed to load /img/a.png", "resource", source="/js/vendor.js")))


@pytest.mark.parametrize("polls", [1, 2])
def test_polling_at_the_address_of_a_form_is_not_the_forms_answer(polls: int) -> None:
    rows = retried(answer(10.3, 500, took=0.2, url="/graphql"))
    rows += [answer(30 + 9 * n, 200, took=0.1, url="/graphql") for n in range(polls)]
    assert bool(bodies(rows)) is (polls == 2)


def test_what_another_session_calls_a_control_changes_nothing() -> None:
    save = {"target_type": "button", "target_id": "x", "target_label": "Save"}
    mine = [row for n in range(5) for row in (click(10 + 0.8 * n, save), answer(10.3 + 0.8 * n, 500, took=0.2))]
    alone = bodies(mine)
    assert alone
    # A stepper is no control to rage on, and its label comes first.
    theirs = [{**row, "session_id": "other", "target_label": "+"} for row in mine]
    assert [one for one in bodies([*mine, *theirs]) if one["sessionId"] == "s"] == alone


def test_what_another_session_opens_changes_nothing() -> None:
    """Requests without a cause were once put down to the first event of the whole batch."""

    def dead(t: float) -> Row:
        return answer(t, 0, took=0.1, url="/api/a")

    mine = [
        dead(0.2),
        *(row for n in range(3) for row in (click(10 + 6 * n), dead(10.3 + 6 * n), click(13 + 6 * n, X))),
    ]
    mine += [dead(13.3 + 6 * n) for n in range(3)]
    theirs = [{**go(0, "/checkout", "reload"), "session_id": "other"}, {**dead(0.3), "session_id": "other"}]
    both = [one for one in bodies([*mine, *theirs]) if one["sessionId"] == "s"]
    assert [one["detectionId"] for one in both] == [one["detectionId"] for one in bodies(mine)]


def test_who_waits_for_an_answer_that_is_only_told_to_be_slow_caused_it() -> None:
    def waited(*between: Row) -> list[Row]:
        rows = []
        for t in (10.0, 70.0):
            late = [
                {**answer(t + 24, 504), "duration_ms": -1},
                event(t + 24.004, "performance", perf_kind="slow_response"),
            ]
            rows += [click(t), *({**r, "ts": r["ts"] + round((t - 10) * 1000)} for r in between), *late]
        return rows

    (body,) = bodies(waited())
    assert "24 s after the click" in body["explanation"]
    assert bodies(waited(click(33.0, X))), "a click too fresh to have waited changes nothing"
    assert not bodies(waited(answer(12, 200, url="/api/other"))), "the click was answered"
    assert not bodies(waited(go(15, "/elsewhere"), go(16, "/checkout"), click(17, route="/elsewhere")))


@pytest.mark.parametrize(
    ("pressed", "ended", "told"),
    [("in vain", "left", True), ("in vain", "timed out", True), ("once", "left", False), ("answered", "left", False)],
)
def test_who_presses_again_while_one_address_hangs_is_heard_above_its_polling(
    pressed: str, ended: str, told: bool
) -> None:
    """GraphQL with a poll at its only address: one operation hangs once, and is clicked four times meanwhile."""
    opened = [go(1, "/checkout"), graph(1.4, 200), *(graph(2 + 9 * i, 200) for i in range(5)), typed(30)]
    times = [40.5 + 0.4 * i for i in range(1 if pressed == "once" else 5)]
    clicks = [click(t) for t in times] + [graph(t + 0.3, 200) for t in times[1:] if pressed == "answered"]
    hung = graph(58, 504 if ended == "timed out" else 0, took=17.4)
    rows = [*opened, *clicks, {**hung, "aborted": 1} if ended == "left" else hung, go(58, "/home"), end(60, "/home")]
    assert bool(bodies(rows)) is told


def test_what_one_address_answered_before_a_failure_began_was_its_success() -> None:
    opened = [go(1, "/checkout"), graph(1.4, 200), click(4, LATER), graph(4.4, 200)]
    tried = [
        r for t, status in ((10, 500), (20, 500), (30, 200), (80, 500)) for r in (click(t), graph(t + 0.4, status))
    ]
    assert bodies([*opened, *tried, end(99)]) == []


@pytest.mark.parametrize(("poll", "told"), [(50.0, True), (57.5, True), (58.1, False)])
def test_what_one_address_answers_while_a_request_hangs_is_not_its_answer(poll: float, told: bool) -> None:
    """A poll that begins right after one of the impatient clicks looks like its answer."""
    opened = [go(1, "/checkout"), graph(1.4, 200), *(graph(2 + 9 * i, 200) for i in range(4)), typed(30)]
    clicks = [click(40.5 + 0.4 * i) for i in range(10)]
    rows = [*opened, *clicks, {**graph(58, 0, took=17.4), "aborted": 1}, end(58.2)]
    assert bool(bodies([*rows, click(poll - 0.1), graph(poll, 200, took=0.05)])) is told


def whole(t: int, kind: str, route: str, **values: Any) -> Row:
    return event(t, kind, route, **values)


@pytest.mark.parametrize(("asked_on", "calm"), [("/booking", True), ("/booked", False)])
def test_within_one_second_the_page_asked_on_tells_whose_answer_it_is(asked_on: str, calm: bool) -> None:
    """In whole seconds nobody knows the order: what still carries the form's page is the answer to the form."""
    code = {"target_type": "button", "target_id": "send-code"}
    refused = {"status": 404, "method": "POST", "url": "/api/sms"}
    rows = [r for t in (10, 20) for r in (click(t, code, "/booking"), whole(t + 1, "network", "/booking", **refused))]
    rows += [click(30, route="/booking"), submit(30, "/booking")]
    rows += [whole(30, "network", asked_on, status=200, method="POST", url="/api/book", duration_ms=231)]
    assert (bodies([*rows, go(30, "/booked"), end(50, "/booked")]) == []) is calm


@pytest.mark.parametrize("kind", ["link", "button"])
def test_within_one_second_a_link_that_leads_away_is_no_other_way(kind: str) -> None:
    """Where no address is told, the answer of the page that a link opened may stand before its navigation."""
    way = {"target_type": kind, "target_id": "other-thing"}
    rows = [r for t in (10, 20, 31) for r in (click(t), whole(t + 1, "network", "/checkout", status=500))]
    rows += [click(40, way), whole(40, "network", "/checkout", status=200), go(40, "/start"), end(50, "/start")]
    assert bool(bodies(rows)) is (kind == "link")


QUICK = {"target_type": "button", "target_id": "quick-save"}


def saved(route: str, *how: str) -> list[Row]:
    """A quick form on a page: clicked, or sent without a click, or sent by a click; accepted, and leading on."""
    told = {
        "clicked": [click(40, QUICK, route)],
        "sent": [submit(40.01, route)],
        "accepted": [{**answer(40.5, 200, url="/api/quick"), "route": route}],
        "led on": [go(40.6, "/trips", "push")],
    }
    return [go(30, route), typed(34, route), *(row for one in how for row in told[one])]


QUICK_PAGE = "/trips/48121/quick"


@pytest.mark.parametrize(
    ("after", "calm"),
    [
        (saved(QUICK_PAGE, "clicked", "sent", "accepted", "led on"), True),
        (saved(QUICK_PAGE, "clicked", "accepted", "led on"), True),
        (saved(QUICK_PAGE, "sent", "led on"), True),
        (saved(QUICK_PAGE, "clicked", "led on"), False),
        (saved(QUICK_PAGE, "clicked", "sent", "accepted"), False),
        (saved("/trips/48122/quick", "clicked", "sent", "accepted", "led on"), False),
        (saved("/places/48121/quick", "clicked", "sent", "accepted", "led on"), False),
        (saved("/trips/quick", "clicked", "sent", "accepted", "led on"), False),
    ],
)
def test_a_form_of_another_page_of_the_same_item_gets_over_the_failure(after: list[Row], calm: bool) -> None:
    long = "/trips/48121/edit"
    rows = [{**r, "route": long} for t in (10, 18) for r in (click(t), answer(t + 0.4, 500, url="/api/trips"))]
    assert (bodies([*rows, *after, end(70, "/trips")]) == []) is calm


def test_who_fails_again_after_another_page_of_the_item_had_not_got_over_it() -> None:
    long, quick = "/trips/48121/edit", "/trips/48121/quick"

    def fails(t: float) -> list[Row]:
        return [click(t, route=long), {**answer(t + 0.4, 500, url="/api/trips"), "route": long}]

    done = [click(30, QUICK, quick), {**answer(30.4, 200, url="/api/quick"), "route": quick}, go(30.6, long, "push")]
    rows = [*fails(10), *fails(18), go(25, quick), *done]
    assert bodies([*rows, end(70, long)]) == []
    assert bodies([*rows, *fails(40), end(70, long)]) != []


@pytest.mark.parametrize(("sent", "let_in"), [(41, True), (38, False)])
def test_within_one_second_another_click_on_the_next_page_does_not_take_the_answer(sent: int, let_in: bool) -> None:
    """A password is set and its page left within one second: the answer is that of the page that asked."""
    sign = {"target_type": "button", "target_id": "sign"}
    here, there = "/login", "/password"
    rows = [r for t in (10, 18, 26) for r in (
        click(t, sign, here), whole(t, "network", here, status=401, method="POST", url="/token"))]  # fmt: skip
    rows += [click(34, ITEM, here), go(34, there), typed(36, there), click(sent, {**sign, "target_id": "set"}, there)]
    rows += [go(41, "/start", "push"), click(41, ITEM, "/start")]
    rows += [whole(41, "network", there, status=200, method="POST", url="/password", duration_ms=400)]
    assert (bodies([*rows, go(42, "/list"), end(60, "/list")]) == []) is let_in


def test_within_one_second_the_last_click_on_the_page_is_the_one_answered() -> None:
    rows = [r for t in (10, 18, 26) for r in (click(t, X), click(t), whole(t, "network", "/checkout", status=500))]
    (body,) = bodies([*rows, end(40)])
    assert body["failurePoint"]["target"] == "button#pay"


def test_a_click_of_long_ago_on_the_page_that_an_answer_carries_did_not_ask_for_it() -> None:
    """Some collectors put down answers to the shell of the application."""
    rows = [click(5, X, "/shell"), go(6, "/checkout"), typed(8)]
    rows += [r for t in (20, 30, 40) for r in (click(t), whole(t, "network", "/shell", status=500))]
    assert bodies([*rows, end(50)]) != []
