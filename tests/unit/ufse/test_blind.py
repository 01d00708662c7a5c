"""What a set of sessions by an author who did not know the rules found: each case is a clause of detection.md."""

from tests.unit.ufse.scene import Row, answer, bodies, click, end, error, event, go, submit, typed

NEXT = {"target_type": "button", "target_id": "next", "target_label": "Next"}
OTHER = {"target_type": "button", "target_id": "search-go", "target_label": "Search"}


def untimed(row: Row) -> Row:
    return {**row, "duration_ms": -1}


def slow(t: float, took: float) -> Row:
    return event(t, "performance", perf_kind="slow_response", duration_ms=round(took * 1000))


def test_in_one_second_a_click_after_the_answer_did_not_cause_it() -> None:
    def told(seq: int, row: Row) -> Row:
        return {**row, "seq": seq, "ts": row["ts"] // 1000 * 1000}

    link = {"target_type": "a", "target_id": "home"}
    rows = [typed(3), typed(4, target={"target_type": "input", "target_id": "zip"})]
    for t in (10, 20, 30):
        rows += [click(t), answer(t + 1, 403, took=0.05), click(t + 1, {**link, "target_id": f"home{t}"})]
    (body,) = bodies([told(i, row) for i, row in enumerate([*rows, go(32, "/"), end(34, "/")])])
    assert body["failurePoint"]["target"] == "button#pay"


def test_a_next_that_led_on_after_a_reload_was_achieved() -> None:
    page = "/onboarding/b"
    rows = [typed(1, page), typed(2, page, target={"target_type": "input", "target_id": "zip"})]
    for t in (5.0, 7.0):
        rows += [click(t, NEXT, page), error(t + 0.02, "Loading chunk failed.", route=page)]
    rows += [go(12, page, "reload")]
    lost = [*rows, end(20, page)]
    on = [click(18, NEXT, page), answer(18.2, 200, took=0.1, url="/api/onboarding", route=page)]
    assert bodies(lost)
    assert not bodies([*rows, *on, go(18.3, "/onboarding/c", "push"), end(25, "/onboarding/c")])


def test_what_was_slow_and_came_was_not_abandoned() -> None:
    rows = [typed(1), typed(2, target={"target_type": "input", "target_id": "zip"})]
    rows += [click(5), submit(5.001), *(click(6 + n / 3) for n in range(5)), answer(18, 201, took=12.99)]
    rows += [slow(18.004, 12.99), go(20, "/home", "link"), end(30, "/home")]
    assert not bodies(rows)


def test_what_a_page_asks_beside_everything_does_not_answer_a_click() -> None:
    def beside(t: float) -> Row:
        return untimed(answer(t, 200, url="/api/recommendations", method="GET"))

    rows = [go(0, "/checkout"), beside(0.3)]
    for t in (10, 25, 40):
        rows += [click(t), beside(t + 0.2), untimed(answer(t + 5, 500))]
    (body,) = bodies([*rows, end(55)])
    assert body["failurePoint"]["feedback"].endswith("500")


def test_a_crash_before_the_answer_does_not_undo_that_it_led_on() -> None:
    rows = [typed(1), typed(2, target={"target_type": "input", "target_id": "zip"})]
    rows += [row for t in (5, 9) for row in (click(t), error(t + 0.05))]
    rows += [click(14), error(14.05), answer(14.5, 200, took=0.45), go(14.6, "/orders", "push"), end(20, "/orders")]
    assert not bodies(rows)
    assert bodies([row for row in rows if row["route"] != "/orders"])


def test_a_side_request_does_not_answer_what_was_measured_as_slow() -> None:
    rows = [go(0, "/checkout"), answer(0.4, 200, url="/api/recommendations", method="GET")]
    rows += [typed(1), typed(2, target={"target_type": "input", "target_id": "zip"})]
    tries = [row for t in (5, 9, 13) for row in (click(t), submit(t + 0.001))]
    tries += [row for t in (5, 9) for row in (answer(20, 0, took=19.999 - t, aborted=1), slow(20, 19.999 - t))]
    tries += [answer(13.4, 200, url="/api/recommendations", method="GET")]
    assert bodies([*rows, *sorted(tries, key=lambda row: row["ts"]), end(28)])


def test_an_answer_that_comes_after_going_back_opened_no_page() -> None:
    rows = [go(0, "/checkout", "push"), typed(1), typed(2, target={"target_type": "input", "target_id": "zip"})]
    rows += [click(5), answer(14, 0, took=8.99), click(16), go(20, "/home", "back_forward")]
    rows += [answer(25, 0, took=8.99, route="/home"), go(30, "/checkout", "push"), click(35), answer(44, 0, took=8.99)]
    assert bodies([*rows, end(50)])


def test_what_was_waited_for_to_the_end_was_left() -> None:
    rows = [typed(1), typed(2, target={"target_type": "input", "target_id": "zip"})]
    rows += [click(5), submit(5.001), click(12), submit(12.001), answer(20, 0, took=14.999, aborted=1)]
    (body,) = bodies([*rows, end(26)])
    assert body["severityType"] == "Performance"
    assert not bodies([*rows, end(26), click(27), end(40)]), "it was aborted, and nobody left"
    answered = answer(13, 201, took=7.999)
    assert not bodies([*rows[:-1], answered, answer(20, 0, took=7.999, aborted=1), end(26)]), "another try was answered"


def test_who_is_sent_to_the_login_did_try() -> None:
    def sent_away(t: float) -> list[Row]:
        beside = answer(t + 0.2, 200, took=0.15, url="/api/recommendations", method="GET")
        return [click(t), beside, answer(t + 1, 403, took=0.98), go(t + 1, "/login", "replace")]

    rows = [go(0, "/checkout", "push"), *sent_away(5), go(12, "/checkout", "push"), *sent_away(20)]
    (body,) = bodies([*rows, end(60, "/login")])
    assert "tried again after a failure, at any pace" in body["explanation"]


def test_a_page_that_crashed_once_and_came_whole_came() -> None:
    def loaded(t: float) -> list[Row]:
        return [go(t, "/checkout", "reload"), event(t + 0.005, "performance", perf_kind="page_load", duration_ms=300)]

    rows = [*loaded(0), error(0.5), *loaded(9), *loaded(16), *loaded(22)]
    assert not bodies([*rows, end(40)])
    assert bodies([*loaded(0), error(0.5), *loaded(9), error(9.5), *loaded(16), error(16.5), end(40)])


def test_without_methods_another_control_achieves_by_leading_on() -> None:
    def nameless(row: Row) -> Row:
        return {**row, "method": ""}

    rows = [row for t in (5, 12) for row in (click(t), nameless(answer(t + 0.2, 503, took=0.15)))]
    way = [click(20, OTHER), nameless(answer(20.2, 200, took=0.15, url="/api/other"))]
    assert bodies([*rows, *way, end(40)])
    assert not bodies([*rows, *way, go(20.4, "/orders", "push"), end(40, "/orders")])


def test_beacons_that_a_blocker_refuses_with_every_page_are_background() -> None:
    """Their methods are not told, nor that they are a third party's, and each page has an address of its own."""

    def refused(t: float, route: str) -> list[Row]:
        return [answer(t + 0.3, 0, took=0.02, url=f"/c{route}", method="", route=route)]

    pages = [("/shop", 0.0), ("/shop/lamps", 20.0), ("/shop/lamps/7", 40.0)]
    opened = [row for route, t in pages for row in (go(t, route), *refused(t, route))]
    again = [row for t in (44.0, 48.0, 52.0) for row in (go(t, pages[-1][0], "reload"), *refused(t, pages[-1][0]))]
    assert not bodies([*opened, *again, end(60, pages[-1][0])])
