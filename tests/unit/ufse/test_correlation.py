"""The five rules of correlation, each violated alone; one detection per failure point; machines."""

import pytest

from tests.unit.ufse.scene import Row, answer, bodies, click, end, error, go, submit, typed, why
from ufse import Config, Detection

RAGE = [click(10 + 0.4 * i) for i in range(5)]
FAILED = answer(10.5, 500, took=0.45)


def test_all_five_rules_hold() -> None:
    assert len(bodies([*RAGE, FAILED])) == 1


def test_rule_1_no_behavioural_signal() -> None:
    assert why([click(10), FAILED]) == "no_behavioural_signal"


def test_rule_2_no_feedback() -> None:
    assert why(RAGE) == "no_negative_feedback"


def test_rule_2_unattributed_feedback_is_not_enough() -> None:
    assert why([*RAGE, answer(60, 500)]) in {"unattributed", "background"}


def test_rule_3_another_session() -> None:
    assert bodies([*RAGE, {**FAILED, "session_id": "other"}]) == []


def test_rule_3_another_visit_of_the_same_client_session() -> None:
    later = [{**r, "ts": r["ts"] + 3_600_000, "received_ms": r["received_ms"] + 3_600_000} for r in RAGE]
    assert bodies([click(10), FAILED, *later]) == []


@pytest.mark.parametrize(("pause", "near"), [(29, True), (31, False)])
def test_rule_4_one_window(pause: float, near: bool) -> None:
    rows = [click(10), FAILED, *(click(10.5 + pause + 0.4 * i) for i in range(5))]
    assert bool(bodies(rows)) is near


def test_rule_4_waiting_is_not_counted() -> None:
    rows = [
        typed(2),
        click(10),
        submit(10),
        answer(60, 0, took=49.9),
        click(85),
        submit(85),
        answer(134, 0, took=48.9),
    ]
    assert bodies([*rows, go(150, "/home")])


def test_rule_5_another_flow() -> None:
    rows = [click(10), FAILED, go(14, "/blog"), *(click(15 + 0.4 * i, route="/blog") for i in range(5))]
    assert bodies(rows) == []


def test_two_errors_are_nothing() -> None:
    other = {"target_type": "button", "target_id": "other"}
    assert bodies([click(10), FAILED, click(20, other), error(20.1)]) == []


def test_rage_on_another_control_of_the_page_is_not_enough() -> None:
    dead = {"target_type": "button", "target_id": "promo"}
    assert why([click(5), answer(5.4, 500), *(click(10 + 0.4 * i, dead) for i in range(6))]) == "below_high"


def test_one_detection_for_one_failure_point() -> None:
    rows = [{**r, "ts": r["ts"] + 200_000 * i} for i in range(3) for r in [*RAGE, FAILED]]
    assert len(bodies(rows)) == 1


def test_the_earliest_failure_of_one_struggle_is_its_point() -> None:
    other = {"target_type": "button", "target_id": "paypal"}
    rows = [
        *RAGE,
        FAILED,
        *(click(20 + 0.4 * i, other) for i in range(5)),
        answer(20.6, 503, took=0.5, url="/api/pp"),
    ]
    assert [b["primaryFailurePoint"] for b in bodies(rows)] == ["/checkout › button#pay › POST /api/orders → 500"]


def test_two_problems_far_apart_are_two_detections() -> None:
    far = [
        {**r, "ts": r["ts"] + 300_000, "route": "/profile"}
        for r in [*RAGE, answer(10.5, 500, took=0.45, url="/api/me")]
    ]
    assert len(bodies([*RAGE, FAILED, *far])) == 2


def test_failures_come_before_rejections_as_the_point() -> None:
    rows = [
        typed(2),
        submit(5),
        answer(5.3, 422),
        submit(12),
        answer(12.3, 500),
        submit(20),
        answer(20.3, 500),
        end(30),
    ]
    assert bodies(rows)[0]["failurePoint"]["feedback"] == "POST /api/orders → 500"


def test_generated_ids_fold_so_that_sessions_meet() -> None:
    def at(number: int) -> Detection:
        target = {"target_type": "button", "target_id": f"row-{number}-retry"}
        rows = [click(10 + 0.4 * i, target, f"/orders/{number}") for i in range(5)]
        failed = answer(10.5, 500, took=0.45, url=f"/api/orders/{number}", route=f"/orders/{number}")
        (body,) = bodies([*rows, failed])
        return body

    one, two = at(8841), at(973)
    assert one["primaryFailurePoint"] == "/orders/:id › button#row-:id-retry › POST /api/orders/:id → 500"
    assert one["fingerprint"] == two["fingerprint"]
    assert one["detectionId"] == two["detectionId"]  # the same visit as far as anyone can tell


def test_projects_do_not_share_fingerprints() -> None:
    rows = [*RAGE, FAILED]
    (one,) = bodies(rows)
    (two,) = bodies([{**r, "project": "q"} for r in rows])
    assert one["fingerprint"] != two["fingerprint"]


@pytest.mark.parametrize(
    "values",
    [
        {"user_agent": "Mozilla/5.0 (compatible; bingbot/2.0)"},
        {"user_agent": "HeadlessChrome/120"},
        {"metadata": '{"assistiveTechnology":"NVDA"}'},
        {"metadata": '{"webdriver":true}'},
    ],
)
def test_machines_and_assistive_technology(values: Row) -> None:
    rows = [{**r, **values} for r in [*RAGE, FAILED]]
    assert why(rows) == "bot"


def test_a_denied_machine_is_a_person() -> None:
    rows = [{**r, "metadata": '{"webdriver":false,"assistive":"none"}'} for r in [*RAGE, FAILED]]
    assert len(bodies(rows)) == 1


def test_a_monster_with_thousands_of_failing_controls_is_bounded() -> None:
    rows = []
    for i in range(600):
        name = "".join(chr(97 + i // 26**k % 26) for k in range(3))
        target = {"target_type": "button", "target_id": name}
        rows += [click(i, target), answer(i + 0.3, 500, url=f"/api/{name}")]
    assert bodies(rows) == []
    rows += [click(700 + 0.4 * i) for i in range(5)]
    assert len(bodies([*rows, answer(700.5, 500, took=0.45)], Config(max_candidates=601))) == 1
    assert bodies([*rows, answer(700.5, 500, took=0.45)]) == []


def test_an_error_in_drawing_overlapping_answers_makes_none_of_them_a_success() -> None:
    burst = [click(20 + 0.6 * i) for i in range(3)]
    drawn = [answer(22 + 0.1 * i, 200, took=1.98 - 0.5 * i) for i in range(3)]
    rows = [
        *(r for t in (0, 10) for r in (click(t), answer(t + 0.5, 200, took=0.4), error(t + 0.52))),
        *burst,
        *drawn,
        error(22.25),
        error(22.26),
        end(25),
    ]
    assert len(bodies(rows)) == 1


def test_who_tries_again_in_vain_had_not_got_there_another_way() -> None:
    other = {"target_type": "button", "target_id": "add-note"}
    rows = [
        *(r for t in (0, 8) for r in (click(t), answer(t + 0.3, 500))),
        click(14, other),
        answer(14.3, 201, url="/api/notes"),
    ]
    assert bodies([*rows, end(20)]) == []
    assert len(bodies([*rows, click(18), answer(18.3, 500), end(20)])) == 1


def test_half_a_minute_in_vain_and_once_more_is_trying_again() -> None:
    def waiting(wait: float) -> list[Row]:
        second = wait + 4
        return [
            go(0, "/checkout"),
            click(1),
            answer(1 + wait, 0, took=wait, aborted=1),
            go(1 + wait, "/checkout", "reload"),
            click(1 + second),
            answer(1 + second + wait, 0, took=wait, aborted=1),
            end(1 + second + wait),
        ]

    assert len(bodies(waiting(40))) == 1
    assert bodies(waiting(20)) == []
