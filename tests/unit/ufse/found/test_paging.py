"""Paging, stepping and carousels are known by what happens at each click, in any language; what fails each time is found."""

from pathlib import Path

import pytest

from collector.contract import read_events
from tests.unit.ufse.scene import Row, answer, bodies, click, end, error, go, signals, submit, typed
from ufse import detect

FOUND = Path(__file__).parents[3] / "data" / "found"
LABELS = [
    "Weiter",
    "Suivant",
    "Siguiente",
    "次へ",
    "下一页",
    "Далее",
    "Mehr laden",
    "Rückgängig",
    "→",
    "›",
    "Next",
    "التالي",
]
ROW = {"target_type": "link", "target_id": "row"}


def pager(label: str) -> Row:
    return {"target_type": "button", "target_label": label}


ICON = {"target_type": "svg", "target_tag": "svg", "target_label": "", "target_id": ""}


def test_the_found_case_is_silent() -> None:
    events, rejects = read_events(FOUND / "12-next-in-other-languages.jsonl")
    assert not rejects
    assert detect(events).detections == []


def plain(label: str) -> Row:
    return {"target_id": "", **pager(label)}


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("failing", [0, 1, 2, 3])
def test_a_stray_error_among_pagings_of_which_nothing_else_is_known(label: str, failing: int) -> None:
    rows = [click(5 + 0.5 * i, plain(label), route="/list") for i in range(5)]
    rows += [error(5.1 + 0.5 * failing, route="/list"), click(30, ROW, route="/list"), end(60, "/list")]
    assert bodies(rows) == []


@pytest.mark.parametrize("gap", [0.3, 0.9])
@pytest.mark.parametrize("count", [4, 7, 12])
def test_a_stray_error_among_pagings_of_other_pace_and_length(gap: float, count: int) -> None:
    rows = [click(5 + gap * i, ICON, route="/list", x=700, y=420) for i in range(count)]
    rows += [error(5.05, route="/list"), click(30, ROW, route="/list", x=200, y=300), end(60, "/list")]
    assert bodies(rows) == []


@pytest.mark.parametrize("label", LABELS)
def test_answered_pagings_of_which_one_fails(label: str) -> None:
    rows = [go(1, "/list"), answer(1.3, 200, url="/api/list", method="GET", route="/list")]
    for i in range(6):
        rows += [click(5 + 0.8 * i, plain(label), route="/list")]
        rows += [answer(5.4 + 0.8 * i, 500 if i == 2 else 200, url="/api/list", method="GET", route="/list")]
    assert bodies([*rows, end(60, "/list")]) == []


@pytest.mark.parametrize("label", LABELS)
def test_pages_that_change_at_each_click(label: str) -> None:
    rows = []
    for i in range(6):
        rows += [click(5 + 0.8 * i, plain(label), route=f"/list/{i}"), go(5.2 + 0.8 * i, f"/list/{i + 1}", "push")]
    assert bodies([*rows, error(6.7, route="/list/2"), end(60, "/list/6")]) == []


@pytest.mark.parametrize("label", LABELS)
def test_a_carousel_that_responds_while_something_else_fails(label: str) -> None:
    rows = [click(5 + 0.6 * i, plain(label), route="/", responded=1, x=700, y=420) for i in range(6)]
    assert bodies([*rows, answer(6.4, 500, url="/api/ads", method="GET", route="/"), end(60, "/")]) == []


@pytest.mark.parametrize("label", LABELS)
def test_slow_paging_of_which_one_page_is_tried_again(label: str) -> None:
    rows = []
    for i, status in enumerate((200, 200, 503, 200, 200)):
        rows += [click(5 + 4 * i, plain(label), route="/list")]
        rows += [answer(5.4 + 4 * i, status, url=f"/api/list/{min(i, 2)}", method="GET", route="/list")]
    assert bodies([*rows, end(60, "/list")]) == []


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("failing", [0, 1, 2])
def test_pagings_of_a_collector_that_reports_failures_only(label: str, failing: int) -> None:
    rows = [click(5 + 0.5 * i, plain(label), route="/list") for i in range(6)]
    rows += [answer(5.3 + 0.5 * failing, 503, took=0.2, url="/api/list", method="GET", route="/list")]
    assert bodies([*rows, click(30, ROW, route="/list"), end(60, "/list")]) == []


OTHERS = [label for label in LABELS if label not in {"→", "›", "Next"}]


@pytest.mark.parametrize("label", OTHERS)
def test_a_next_whose_quick_clicks_all_fail_is_found(label: str) -> None:
    rows = []
    for i in range(5):
        rows += [click(5 + 0.6 * i, plain(label), route="/list")]
        rows += [answer(5.4 + 0.6 * i, 500, url="/api/list", method="GET", route="/list")]
    assert "rage" in signals([*rows, end(20, "/list")])


@pytest.mark.parametrize("label", OTHERS)
def test_an_error_at_each_click_is_found(label: str) -> None:
    rows = [e for i in range(5) for e in (click(5 + 0.6 * i, plain(label)), error(5.1 + 0.6 * i))]
    assert "rage" in signals([*rows, click(30, ROW), end(60)])


@pytest.mark.parametrize("label", OTHERS)
def test_a_broken_control_after_which_nothing_is_used_is_found(label: str) -> None:
    rows = [click(5 + 0.5 * i, plain(label)) for i in range(5)]
    assert "rage" in signals([*rows, error(5.1), end(20)])


@pytest.mark.parametrize("label", OTHERS)
def test_what_fails_to_be_sent_is_found_whatever_follows(label: str) -> None:
    rows = [click(5 + 0.5 * i, plain(label)) for i in range(6)]
    assert "rage" in signals([*rows, answer(5.8, 503, took=0.2), click(30, ROW), end(60)])


@pytest.mark.parametrize("label", LABELS)
def test_a_next_that_fails_at_each_unhurried_try_is_found(label: str) -> None:
    rows = [typed(2, "/apply/2")]
    for i in range(4):
        rows += [
            click(5 + 9 * i, plain(label), route="/apply/2"),
            answer(5.4 + 9 * i, 500, url="/api/apply", route="/apply/2"),
        ]
    assert "blocked" in signals([*rows, go(50, "/"), end(60, "/")])


@pytest.mark.parametrize("label", LABELS)
def test_a_wizard_that_does_not_advance_is_found(label: str) -> None:
    rows = [typed(2, "/apply/2")]
    for i in range(4):
        t = 5 + 9 * i
        rows += [click(t, plain(label), route="/apply/2"), submit(t + 0.01, "/apply/2")]
        rows += [answer(t + 0.4, 422, url="/api/apply", route="/apply/2")]
    assert "blocked" in signals([*rows, go(50, "/"), end(60, "/")])
