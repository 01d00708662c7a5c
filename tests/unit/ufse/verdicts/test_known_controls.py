"""Controls that answer other people, nearly each time, and never this one (docs/decisions/0158)."""

import pytest

from tests.unit.ufse.scene import Row, answer, click, end, event, go, table
from tests.unit.ufse.verdicts.collectors import field, report_failures_only
from ufse import detect, learn_history

ADD = {"target_type": "button", "target_id": "add", "target_label": "Add to cart"}
SHOW = {"target_type": "button", "target_id": "show", "target_label": "Show offers"}
COPY = {"target_type": "button", "target_id": "link-7", "target_label": "Get the link"}
NEXT = {"target_type": "button", "target_id": "next", "target_label": "Next"}
MENU = {"target_type": "link", "target_id": "menu", "target_label": "Jackets"}
PRINT = {"target_type": "button", "target_id": "print", "target_label": "Print receipt"}
LABEL = {"target_type": "button", "target_label": "Löschen"}
PAGE = "/p/jacket"
START = [
    go(0, "/shop"),
    click(2, SHOW, "/shop"),
    answer(2.4, 200, 0.3, "/api/offers", "GET", route="/shop"),
    go(5, PAGE, "push"),
]
PAGES = [go(0, "/shop"), click(2, MENU, "/shop"), go(2.9, "/sale"), click(4, MENU, "/sale"), go(5, PAGE)]
SIZE = field(9, "size", PAGE)
BURST = (14.0, 20.0, 20.3, 20.6, 27.0)


def press(*times: float, target: Row = ADD, **values: object) -> list[Row]:
    return [click(t, target, PAGE, **values) for t in times]


def as_sessions(stories: list[list[Row]], name: str = "o") -> list[Row]:
    return [
        {**r, "session_id": f"{name}{n}", "event_id": f"{name}{n}-{i}"}
        for n, story in enumerate(stories)
        for i, r in enumerate(story)
    ]


def others(
    count: int, answers: tuple[bool, ...] = (True, True), target: Row = ADD, page: str = "", name: str = "o"
) -> list[Row]:
    """Other sessions, in which each try of the control is answered or not: by a request, or by the page ``page``."""
    story = [go(0, "/shop"), click(2, MENU, "/shop"), go(2.5, PAGE)]
    for number, answered in enumerate(answers):
        t = 10.0 + 20 * number
        story += [field(t - 4, "size", PAGE), click(t, target, PAGE)]
        if answered and page:
            story += [go(t + 0.8, page), go(t + 10, PAGE, "back_forward")]
        elif answered:
            story.append(answer(t + 0.5, 201, 0.4, "/api/cart", route=PAGE))
    return as_sessions([[*story, end(200, PAGE)]] * count, name)


def count(rows: list[Row], known: list[Row]) -> int:
    history = learn_history(table([*rows, *known]))
    return sum(d.to_json()["sessionId"] == "s" for d in detect(table(rows), history=history).detections)


def beside_drafts(rows: list[Row]) -> list[Row]:
    """The application saves a draft every 4 s, which fails; some of it seems to answer a press."""
    drafts = [answer(6.3 + 4 * i, 500, 0.1, "/api/drafts", "PUT", route=PAGE) for i in range(10)]
    return sorted([*rows, *drafts], key=lambda r: int(r["ts"]))


FRUSTRATED: dict[str, tuple[list[Row], list[Row]]] = {
    "one field, no burst": ([*START, SIZE, *press(14, 20, 27), end(50, PAGE)], others(8)),
    "a burst, no field": ([*START, *press(*BURST), end(50, PAGE)], others(8)),
    "five sessions are enough": ([*START, SIZE, *press(14, 20, 27), end(50, PAGE)], others(5)),
    "it answers most tries only": ([*START, SIZE, *press(14, 20, 27), end(50, PAGE)], others(8, (True, True, False))),
    "dead for some others, too": (
        [*START, SIZE, *press(14, 20, 27), end(50, PAGE)],
        [*others(8), *others(6, (False, False), name="d")],
    ),
    "shown again, filled in again": (
        [
            *START,
            SIZE,
            *press(14, 20),
            click(24, MENU, PAGE),
            go(24.3, "/sale", "push"),
            go(30, PAGE, "back_forward"),
            field(33, "size", PAGE),
            *press(36, 42),
            end(60, PAGE),
        ],
        others(8),
    ),
    "what prints": ([*START, SIZE, *press(14, 20, 27, target=PRINT), end(50, PAGE)], others(8, target=PRINT)),
    "drafts that fail beside it": (beside_drafts([*START, SIZE, *press(14, 20, 27), end(50, PAGE)]), others(8)),
    "pages are the answers": ([*PAGES, SIZE, *press(*BURST), end(50, PAGE)], others(8, page="/cart")),
    "pages, and a collector without successes": (
        report_failures_only([*START, *PAGES, SIZE, *press(*BURST), end(50, PAGE)]),
        others(8, page="/cart"),
    ),
    "the client says that nothing came": (
        [
            *[{**r, "responded": 1} if r["event_type"] == "click" else r for r in START],
            SIZE,
            *press(14, 27, responded=0),
            go(33, PAGE, "reload"),
            field(36, "size", PAGE),
            *press(40, responded=0),
            end(60, PAGE),
        ],
        others(8),
    ),
}
TRIES = [*START, SIZE, *press(14, 20, 27), end(50, PAGE)]
CALM: dict[str, tuple[list[Row], list[Row]]] = {
    "two tries": ([*START, SIZE, *press(14, 20), end(50, PAGE)], others(20)),
    "one burst": ([*START, SIZE, *press(20, 20.3, 20.6, 20.9), end(50, PAGE)], others(20)),
    "double clicks": ([*START, SIZE, *press(14, 14.2, 27, 27.2), end(50, PAGE)], others(20)),
    "nobody knows it": (TRIES, []),
    "four sessions": (TRIES, others(4)),
    "another control": (TRIES, others(20, target=SHOW)),
    "another project": (TRIES, [{**r, "project": "q"} for r in others(20)]),
    "it never answers anybody": (TRIES, others(20, (False, False))),
    "it answers few sessions": (TRIES, [*others(8), *others(9, (False,), name="d")]),
    "it answers the first try only": (TRIES, others(20, (True, False, False))),
    "it answered once": ([*TRIES[:-1], answer(27.5, 200, 0.3, "/api/cart", route=PAGE), end(50, PAGE)], others(20)),
    "a page came at last": ([*TRIES[:-1], go(27.9, "/cart"), end(50, "/cart")], others(20)),
    "it shows that it waits": ([*START, SIZE, *press(14, 20), *press(27, loading=1), end(50, PAGE)], others(20)),
    "disabled": ([*START, SIZE, *press(14, 20, 27, disabled=1), end(50, PAGE)], others(20)),
    "another control of the page did it": (
        [*TRIES[:-1], click(33, COPY, PAGE), answer(33.4, 200, 0.3, "/api/link", route=PAGE), end(50, PAGE)],
        others(20),
    ),
    "a change before each": (
        [*START, *[r for t in (12, 20, 28, 36) for r in (field(t - 1, "size", PAGE), *press(t))], end(50, PAGE)],
        others(20),
    ),
    "rows of a list, once each": ([*START, *press(14, 20, 27, target=LABEL), end(50, PAGE)], others(20, target=LABEL)),
    "paging after one filter": (
        [*START, SIZE, *press(14, 20, 27, target=NEXT), end(50, PAGE)],
        others(20, target=NEXT),
    ),
    "a link": ([*START, SIZE, *press(14, 20, 27, target=MENU), end(50, PAGE)], others(20, target=MENU, page="/sale")),
    "nothing else is answered": ([go(0, PAGE), SIZE, *press(14, 20, 27), end(50, PAGE)], others(20)),
    "a collector without successes": (report_failures_only(TRIES), others(20)),
    "each try opens a tab": (
        [
            *START,
            SIZE,
            *[r for t in (14, 20, 27) for r in (*press(t), event(t + 0.6, "visibility", PAGE, state="hidden"))],
            end(50, PAGE),
        ],
        others(20),
    ),
    "text was selected": ([*START, SIZE, *press(14, 20, 27, selection=1), end(50, PAGE)], others(20)),
}


@pytest.mark.parametrize("scene", FRUSTRATED)
def test_a_control_that_answers_others_is_found(scene: str) -> None:
    rows, known = FRUSTRATED[scene]
    assert count(rows, known) == 1


@pytest.mark.parametrize("scene", CALM)
def test_other_controls_without_an_answer_are_silent(scene: str) -> None:
    rows, known = CALM[scene]
    assert count(rows, known) == 0


@pytest.mark.parametrize("answers", [(True,), (True, True), (True, False)])
def test_a_beacon_is_no_answer(answers: tuple[bool, ...]) -> None:
    """A tracker is told of each press by most browsers; a visitor's blocker says nothing about the control."""
    controls = [ADD, SHOW, COPY, LABEL]
    story = [go(0, PAGE), field(2, "size", PAGE)]
    for number, target in enumerate(controls * len(answers)):
        t = 10.0 + 9 * number
        story.append(click(t, target, PAGE))
        if answers[number % len(answers)]:
            story.append(answer(t + 0.2, 204, 0.1, "/collect", route=PAGE))
    assert count(TRIES, as_sessions([[*story, end(200, PAGE)]] * 20)) == 0


def test_without_a_history_each_session_is_judged_by_itself() -> None:
    for rows, _ in FRUSTRATED.values():
        assert not detect(table(rows)).detections


def test_the_order_and_the_cut_of_the_other_sessions_change_nothing() -> None:
    rows, known = FRUSTRATED["dead for some others, too"]
    assert count(rows, known[::-1]) == 1
    both = [learn_history(table(part)).controls.to_pylist() for part in ([*known, *rows], [*rows, *known[::-1]])]
    assert both[0] == both[1]
    facts = learn_history(table(known)).controls.to_pylist()
    assert [{k: f[k] for k in ("sessions", "answered_sessions", "tries", "answered", "paged")} for f in facts] == [
        {"sessions": 14, "answered_sessions": 8, "tries": 16, "answered": 16, "paged": 0}
    ]
