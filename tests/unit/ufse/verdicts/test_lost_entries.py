"""A form that is sent, loaded anew without its entries, and filled in again (docs/decisions/0066)."""

import pytest

from tests.unit.ufse.scene import Row, answer, click, end, go, submit, table
from tests.unit.ufse.verdicts.collectors import count_detections, field, report_whole_seconds
from ufse import detect, learn_history

SEND = {"target_type": "button", "target_id": "send", "target_label": "Send"}
OPEN = {"target_type": "button", "target_id": "open", "target_label": "New claim"}
NEXT = {"target_id": "next", "target_label": "Next"}
PAGE = "/claim/new"
START = [
    go(0, "/claims"),
    click(1, OPEN, "/claims"),
    answer(1.5, 200, 0.4, "/api/claims", "GET", route="/claims"),
    click(3, OPEN, "/claims"),
    answer(3.5, 200, 0.4, "/api/claims/new", "GET", route="/claims"),
    go(4, PAGE, "push"),
]

MENU = {"target_type": "link", "target_id": "menu", "target_label": "Claims"}
READ = answer(0.6, 200, 0.4, "/api/claims", "GET", route="/claims")
PAGES = [
    click(1, MENU, "/claims"),
    go(1.3, "/claims/open", "push"),
    click(3, MENU, "/claims/open"),
    go(3.4, PAGE, "push"),
]
"""Two presses that pages answered."""


def fill(t: float) -> list[Row]:
    return [field(t, "name", PAGE), field(t + 3, "sum", PAGE)]


def send(t: float) -> list[Row]:
    return [click(t, SEND, PAGE), submit(t + 0.01, PAGE)]


def lose(t: float, count: int, sent: bool = True, after: float = 1.5, every: float = 20) -> list[Row]:
    """``count`` tries from ``t`` on, one ``every`` s: filled in at last, pressed, and ``after`` so long loaded anew."""
    return [
        row
        for begin in (t + every * i for i in range(count))
        for pressed in (begin + every - 14,)
        for row in (
            *fill(pressed - 6),
            *(send(pressed) if sent else [click(pressed, SEND, PAGE)]),
            go(pressed + after, PAGE, "reload"),
        )
    ]


STRUGGLES: dict[str, list[Row]] = {
    "three times": [*START, *lose(8, 3), end(90, PAGE)],
    "button without a submit": [*START, *lose(8, 3, sent=False), end(90, PAGE)],
    "four times, then elsewhere": [*START, *lose(8, 4), go(95, "/help", "push")],
    "a fourth try without an answer": [*START, *lose(8, 3), *fill(70), *send(76), end(110, PAGE)],
    "pages are the answers of the visit": [go(0, "/claims"), READ, *PAGES, *lose(8, 3), end(90, PAGE)],
    "one press that a request answered": [*START[:3], go(4, PAGE, "push"), *lose(8, 3), end(90, PAGE)],
    "one press that a request answered, without a submit": [
        *START[:3],
        go(4, PAGE, "push"),
        *lose(8, 4, sent=False),
        end(110, PAGE),
    ],
    "the client says that the page changed": [
        go(0, "/claims"),
        READ,
        *PAGES,
        *[{**r, "responded": 1} if r["event_type"] == "click" else r for r in lose(8, 3)],
        end(90, PAGE),
    ],
    "behind polls": sorted(
        [
            *START,
            *lose(8, 3),
            *[answer(2.2 + 9 * i, 200, 0.1, "/api/poll", "GET", route=PAGE) for i in range(9)],
            end(90, PAGE),
        ],
        key=lambda r: int(r["ts"]),
    ),
    "loaded anew at once": [*START, *lose(8, 3, sent=False, after=0.3), end(90, PAGE)],
    "drafts that fail beside it": sorted(
        [
            *START,
            *lose(8, 3),
            *[answer(6.4 + 4 * i, 500, 0.1, "/api/drafts", "PUT", route=PAGE) for i in range(20)],
            end(90, PAGE),
        ],
        key=lambda r: int(r["ts"]),
    ),
    "filling in takes long": [*START, *lose(8, 3, every=70), end(260, PAGE)],
    "sent once more without filling in": [
        *START,
        *lose(8, 3),
        *send(80),
        go(81.5, PAGE, "reload"),
        *send(100),
        go(101.5, PAGE, "reload"),
        end(120, PAGE),
    ],
    "a next that sends the form": [
        {**r, **NEXT} if r["event_type"] == "click" and r["target_id"] == "send" else r
        for r in [*START, *lose(8, 3, sent=False), end(90, PAGE)]
    ],
}
CALM: dict[str, list[Row]] = {
    "twice": [*START, *lose(8, 2), end(70, PAGE)],
    "sent at the fourth try": [
        *START,
        *lose(8, 3),
        *fill(70),
        *send(76),
        answer(77, 201, 0.7, "/api/claims", route=PAGE),
        go(77.2, "/thanks", "push"),
    ],
    "data entry whose page is loaded anew": [
        *START,
        *sorted(
            [*lose(8, 5), *[answer(14.8 + 20 * i, 201, 0.7, "/api/claims", route=PAGE) for i in range(5)]],
            key=lambda r: int(r["ts"]),
        ),
        end(120, PAGE),
    ],
    "a next after one filter that loads the page anew": [
        *START,
        *[
            row
            for t in (10, 30, 50, 70)
            for row in (
                *([field(t - 2, "name", PAGE)] if t == 10 else []),
                click(t, {**SEND, **NEXT}, PAGE),
                go(t + 1, PAGE, "reload"),
            )
        ],
        end(90, PAGE),
    ],
    "drafts that are saved beside it": sorted(
        [
            *START,
            *lose(8, 3),
            *[answer(14.4 + 20 * i, 200, 0.2, "/api/drafts", "PUT", route=PAGE) for i in range(3)],
            end(90, PAGE),
        ],
        key=lambda r: int(r["ts"]),
    ),
    "loaded anew by the person, after another press": [
        *START,
        *[
            row
            for t in (8, 28, 48)
            for row in (
                *fill(t),
                *send(t + 6),
                click(t + 7, {"target_type": "button", "target_id": "more"}, PAGE),
                go(t + 7.5, PAGE, "reload"),
            )
        ],
        end(90, PAGE),
    ],
    "a collector without requests": [go(0, "/claims"), go(4, PAGE, "push"), *lose(8, 4), end(120, PAGE)],
    "pages, and a collector without requests": [go(0, "/claims"), *PAGES, *lose(8, 4), end(120, PAGE)],
    "one press that a request failed": [
        go(0, "/claims"),
        READ,
        click(1, OPEN, "/claims"),
        answer(1.5, 404, 0.4, "/api/claims", "GET", route="/claims"),
        go(4, PAGE, "back_forward"),
        *lose(8, 4),
        end(120, PAGE),
    ],
    "one press that a page answered": [go(0, "/claims"), READ, *PAGES[2:], *lose(8, 4), end(120, PAGE)],
    "pages that nobody pressed for": [
        go(0, "/claims"),
        READ,
        go(2, "/claims/open", "back_forward"),
        go(4, PAGE, "back_forward"),
        *lose(8, 4),
        end(120, PAGE),
    ],
    "pages, and data entry with a request": [
        go(0, "/claims"),
        READ,
        *PAGES,
        *sorted(
            [*lose(8, 4), *[answer(14.8 + 20 * i, 201, 0.7, "/api/claims", route=PAGE) for i in range(4)]],
            key=lambda r: int(r["ts"]),
        ),
        end(120, PAGE),
    ],
    "another button leads on, and the next form is sent": [
        *START,
        *lose(8, 3),
        click(72, {"target_type": "button", "target_id": "by-hand", "target_label": "By hand"}, PAGE),
        answer(72.5, 200, 0.4, "/graphql", route=PAGE),
        go(72.7, "/claim/person", "push"),
        field(76, "birth", "/claim/person"),
        field(79, "street", "/claim/person"),
        click(82, {"target_type": "button", "target_id": "onward", "target_label": "Send on"}, "/claim/person"),
        submit(82.01, "/claim/person"),
        answer(82.5, 200, 0.4, "/graphql", route="/claim/person"),
        go(82.7, "/claim/sum", "push"),
        field(86, "excess", "/claim/sum"),
        click(88, {"target_type": "button", "target_id": "price", "target_label": "Price"}, "/claim/sum"),
        submit(88.01, "/claim/sum"),
        answer(88.5, 200, 0.4, "/graphql", route="/claim/sum"),
        go(88.7, "/claim/price", "push"),
        end(120, "/claim/price"),
    ],
    "loaded anew long after": [
        *START,
        *[x for i in range(3) for x in (*fill(8 + 40 * i), *send(14 + 40 * i), go(30 + 40 * i, PAGE, "reload"))],
        end(150, PAGE),
    ],
    "nothing filled in between": [
        *START,
        *fill(8),
        *[x for i in range(2) for x in (*send(14 + 10 * i), go(15 + 10 * i, PAGE, "reload"))],
        end(60, PAGE),
    ],
}


@pytest.mark.parametrize("scene", STRUGGLES)
def test_entries_lost_again_and_again_are_found(scene: str) -> None:
    assert count_detections(STRUGGLES[scene]) == 1


@pytest.mark.parametrize("scene", STRUGGLES)
def test_whole_seconds_hide_no_lost_entries(scene: str) -> None:
    assert count_detections(STRUGGLES[scene], report_whole_seconds) == 1


@pytest.mark.parametrize("scene", CALM)
def test_pages_loaded_anew_for_other_reasons_are_silent(scene: str) -> None:
    assert count_detections(CALM[scene]) == 0


@pytest.mark.parametrize("pause", [35, 50])
def test_who_pauses_after_filling_in_was_not_seen_to_struggle(pause: float) -> None:
    """Filling in is trying again; a pause after it is not."""
    story = [
        row
        for t in (10 + (pause + 12) * i for i in range(3))
        for row in (*fill(t), *send(t + 5 + pause), go(t + 6.5 + pause, PAGE, "reload"))
    ]
    assert count_detections([*START, *story, end(320, PAGE)]) == 0


# ---------------------------------------------------------------------------------------- what other sessions show

WHOLE_PAGES = [go(0, "/claims"), *PAGES, *lose(8, 3), end(90, PAGE)]
"""No request is reported, and no other session of the collector shows one."""


def others(count: int, page: str, how: str = "link", project: str = "p") -> list[Row]:
    """Other sessions, in which the form leads to ``page``."""
    story = [go(0, "/claims"), *PAGES, *fill(8), *send(14), go(15, page, how), *fill(40), *send(50), go(51, page, how)]
    return [
        {**r, "session_id": f"o{n}", "event_id": f"o{n}-{i}", "project": project}
        for n in range(count)
        for i, r in enumerate(story)
    ]


def count_with(rows: list[Row], known: list[Row]) -> int:
    history = learn_history(table([*rows, *known]))
    return len(detect(table(rows), history=history).detections)


@pytest.mark.parametrize("count", [5, 8, 40])
@pytest.mark.parametrize("page", ["/thanks", "/claim/9", "/claims"])
def test_entries_are_lost_where_the_form_leads_others_to_a_page(count: int, page: str) -> None:
    assert count_with(WHOLE_PAGES, others(count, page)) == 1


@pytest.mark.parametrize(
    "known",
    [[], others(4, "/thanks"), others(20, PAGE, "reload"), others(20, "/thanks", project="q")],
    ids=["nobody", "few", "it is loaded anew for everybody", "another project"],
)
def test_else_a_page_that_is_loaded_anew_may_have_saved(known: list[Row]) -> None:
    assert count_with(WHOLE_PAGES, known) == 0


def test_who_got_there_did_not_lose_anything() -> None:
    rows = [*WHOLE_PAGES[:-1], *fill(70), *send(76), go(77, "/thanks"), end(90, "/thanks")]
    assert count_with(rows, others(20, "/thanks")) == 0
