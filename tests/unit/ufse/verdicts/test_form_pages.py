"""Forms whose own page comes back with status 200 (docs/decisions/0152): refused, corrected, sent again as they were, and left.

Each calm scene differs from a struggle by one step.
"""

import pytest

from tests.unit.ufse.scene import Row, answer, click, end, go, submit, typed
from tests.unit.ufse.test_unanswered import look
from tests.unit.ufse.verdicts.collectors import count_detections, field

ADDRESS = "/checkout/address"
GO_ON = {"target_type": "button", "target_label": "Continue"}
LINK = {"target_type": "link", "target_label": "Checkout now"}
Fields = tuple[str, ...]
CORRECTED: tuple[Fields, ...] = (("name", "street", "zip"), ("zip",), ())
"""The fields changed before each try: filled in, corrected, sent again as it was."""


def fill(t: float, names: Fields, page: str = ADDRESS) -> list[Row]:
    return [field(t + i, name, page) for i, name in enumerate(names)]


def shop(t: float = 0.0) -> list[Row]:
    """Two pages opened by presses, the second with the form."""
    return [go(t, "/cart"), click(t + 4, LINK, "/cart"), go(t + 5, "/checkout"), click(t + 8, GO_ON, "/checkout")]


def refused(
    *tries: Fields, button: Row = GO_ON, page: str = ADDRESS, back: str = ADDRESS, how: str = "", gap: float = 14.0
) -> list[Row]:
    """The form on ``page``: before each try its fields are changed, after each try ``back`` is shown."""
    rows = [*shop(), go(9, page)]
    for i, names in enumerate(tries):
        t = 10 + gap * i
        rows += [*fill(t, names, page), click(t + 5, button, page), go(t + 7, back, how)]
    return rows


def take_last(rows: list[Row]) -> list[Row]:
    """Without the last page: the report of it was lost when the person left."""
    return rows[:-1]


def by_clicks(rows: list[Row]) -> list[Row]:
    """A collector that reports no changes of fields: a click into each instead (Datadog)."""
    into = {"event_type": "click", "action": "", "target_tag": "input"}
    return [{**r, **into} if r["event_type"] == "input" else r for r in rows]


def with_submits(rows: list[Row]) -> list[Row]:
    """A collector that reports the form's submit, too, some of them late (Amplitude)."""
    sent = [submit(0, ADDRESS, ts=r["ts"] + 600) for r in rows if r["event_type"] == "click" and r["route"] == ADDRESS]
    return sorted([*rows, *sent], key=lambda r: int(r["ts"]))


STRUGGLES: dict[str, list[Row]] = {
    "corrected, and again as it was": [*refused(*CORRECTED), end(60, ADDRESS)],
    "again as it was first": [*refused(("name", "street"), (), ("street",)), end(60, ADDRESS)],
    "four times": refused(*CORRECTED, ("zip",)),
    "its last page was not reported": take_last(refused(*CORRECTED)),
    "clicks into fields": by_clicks(refused(*CORRECTED)),
    "submits": with_submits(refused(*CORRECTED)),
    "words within words": refused(*CORRECTED, button={**GO_ON, "target_id": "credit-consort"}),
    "the page comes by a link": refused(*CORRECTED, how="link"),
}
NEW_ENTRIES: tuple[Fields, ...] = (("name", "street"), ("name", "street"), ())
CALM: dict[str, list[Row]] = {
    "each time changed": [*refused(("name", "street", "zip"), ("zip",), ("zip",)), end(60, ADDRESS)],
    "two tries": [*refused(("name", "street", "zip"), ()), end(60, ADDRESS)],
    "let through at the fourth try": [
        *refused(*CORRECTED),
        *fill(60, ("zip",)),
        click(64, GO_ON, ADDRESS),
        go(66, "/checkout/payment"),
        end(90, "/checkout/payment"),
    ],
    "let through before": [
        *shop(-100),
        go(-90, ADDRESS),
        *fill(-80, ("name", "street")),
        click(-75, GO_ON, ADDRESS),
        go(-73, "/checkout/payment"),
        *refused(*CORRECTED),
    ],
    "another page in the end": [*refused(*CORRECTED), go(60, "/checkout/thanks"), end(90, "/checkout/thanks")],
    "new entries": [*refused(*NEW_ENTRIES), end(60, ADDRESS)],
    "other fields are added": [*refused(("name", "street"), ("zip",), ()), end(60, ADDRESS)],
    "one field": [*refused(("name",), ("name",), ()), end(60, ADDRESS)],
    "nothing filled in": [*refused((), (), ()), end(60, ADDRESS)],
    "nothing corrected": [*refused(("name", "street", "zip"), (), ()), end(60, ADDRESS)],
    "another page comes": [*refused(*CORRECTED, back="/checkout/payment"), end(60, ADDRESS)],
    "the page within the application": [*refused(*CORRECTED, how="push"), end(60, ADDRESS)],
    "the person goes back": [*refused(*CORRECTED, how="back_forward"), end(60, ADDRESS)],
    "its last page was not reported, after a correction": take_last(refused(("name", "street", "zip"), (), ("zip",))),
    "a request answers": sorted(
        [*refused(*CORRECTED), *(answer(15.5 + 14 * i, 200, 0.3, "/api/address", route=ADDRESS) for i in range(3))],
        key=lambda r: int(r["ts"]),
    ),
    "a search": refused(*CORRECTED, button={**GO_ON, "target_label": "Search"}),
    "saved again": refused(*CORRECTED, button={**GO_ON, "target_label": "Save"}),
    "a page that searches": refused(*CORRECTED, page="/flights/search", back="/flights/search"),
    "the last of another item": [
        *refused(*CORRECTED[:2], page="/item/1", back="/item/1"),
        go(38, "/item/2"),
        click(43, GO_ON, "/item/2"),
        go(45, "/item/2"),
    ],
    "left by a link": [*refused(*CORRECTED), click(50, LINK, ADDRESS), go(51, "/about"), end(70, "/about")],
    "its page was not shown before": [r for r in refused(*CORRECTED) if r["ts"] != go(9, ADDRESS)["ts"]],
    "nothing else opens a page": refused(*CORRECTED)[4:],
}


@pytest.mark.parametrize("scene", STRUGGLES)
def test_a_form_whose_page_comes_back_is_found(scene: str) -> None:
    assert count_detections(STRUGGLES[scene]) == 1


@pytest.mark.parametrize("scene", CALM)
def test_its_neighbours_stay_silent(scene: str) -> None:
    assert count_detections(CALM[scene]) == 0


@pytest.mark.parametrize("scene", STRUGGLES)
def test_later_visits_in_which_the_person_gets_there_count(scene: str) -> None:
    later = 3 * 3_600
    again = [
        *fill(later + 10, ("name", "street", "zip")),
        click(later + 15, GO_ON, ADDRESS),
        go(later + 17, "/thank-you"),
    ]
    rows = [*STRUGGLES[scene], *shop(later), go(later + 9, ADDRESS), *again, end(later + 60, "/thank-you")]
    assert count_detections(rows) == 0


def test_the_first_look_reads_pages_that_are_shown_pressed_and_filled_in_three_times() -> None:
    rows = refused(*CORRECTED)
    assert look(*rows) == look(*by_clicks(rows)) == [True]
    # One field fewer, one page fewer, one press fewer.
    assert look(*(r for r in rows if r["target_id"] != "name" or r["event_type"] != "input")) == [True]
    assert look(*refused(("street",), ("street",), ())) == [False]
    assert look(*(r for r in rows if r["event_type"] != "navigation" or r["ts"] < rows[10]["ts"])) == [False]
    assert look(*refused(("name", "street", "zip"), ("zip",))) == [False]
    # Spread over pages.
    pages = [{**r, "route": f"{ADDRESS}/{i % 2}"} for i, r in enumerate(rows)]
    assert look(*pages) == [False]


def test_changes_of_other_fields_do_not_count_as_visits_of_them() -> None:
    """Entering and leaving a field is no change of it."""
    rows = refused(*CORRECTED)
    passed = [typed(t, ADDRESS, {"target_type": "input", "target_id": "zip"}, action="focus") for t in (38.5, 39.5)]
    assert count_detections(sorted([*rows, *passed], key=lambda r: int(r["ts"]))) == 1
