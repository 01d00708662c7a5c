"""Controls that stay dead over a visit: pressed, left, filled in again, pressed again (issue 17, C 10c)."""

import pytest

from tests.unit.ufse.scene import Row, answer, bodies, click, end, event, go, submit, why
from tests.unit.ufse.verdicts.collectors import field

SAVE = {"target_type": "button", "target_id": "save-person", "target_label": "Save"}
OTHER = {"target_type": "button", "target_id": "list-view", "target_label": "List"}
HELP = {"target_type": "link", "target_id": "help", "target_label": "Help"}
PAGE = "/people/new"


def presses(*times: float, **values: object) -> list[Row]:
    return [click(t, SAVE, PAGE, **values) for t in times]


def served(t: float, **values: object) -> list[Row]:
    """Another control that is answered."""
    return [click(t, OTHER, "/people", **values), answer(t + 0.4, 200, 0.3, "/api/people", "GET", route="/people")]


def filled(t: float) -> list[Row]:
    return [field(t, "name", PAGE), field(t + 2, "phone", PAGE)]


def hidden(since: float, until: float) -> list[Row]:
    return [event(since, "visibility", PAGE, state="hidden"), event(until, "visibility", PAGE, state="visible")]


BEFORE = [go(0, "/people"), *served(2), *served(5), go(8, PAGE, "push")]
KNOWN = [go(0, "/people"), *served(2, responded=1), *served(5, responded=1), go(8, PAGE, "push")]
BURST = (40.0, 40.3, 40.5, 40.8)
DETOUR = [click(30, HELP, PAGE), go(30.3, "/help", "push"), go(36, PAGE, "back_forward")]

FRUSTRATED: dict[str, list[Row]] = {
    "explicit: after a detour, in anger": [
        *KNOWN,
        *filled(10),
        *presses(20, 25, responded=0),
        *[{**r, "responded": 1} if r["event_type"] == "click" else r for r in DETOUR],
        *presses(*BURST, responded=0),
        end(46, PAGE),
    ],
    "explicit: anger without a form": [*KNOWN, *presses(20, 27, *BURST, responded=0), end(46, PAGE)],
    "explicit: disabled although corrected again": [
        *KNOWN,
        *filled(10),
        *presses(20, 25, disabled=1),
        *filled(28),
        *presses(33, disabled=1),
        *filled(36),
        *presses(*BURST, disabled=1),
        end(46, PAGE),
    ],
    "explicit: disabled, and of the burst nothing is said": [
        *KNOWN,
        *filled(10),
        *presses(20, disabled=1),
        *presses(30, 30.3, 30.5, 30.8),
        *presses(36, 43, disabled=1),
        end(50, PAGE),
    ],
    "explicit: disabled although corrected again, and the page is left for a while after each press": [
        *KNOWN,
        *filled(10),
        *presses(20, disabled=1),
        *hidden(20.8, 26),
        *filled(28),
        *presses(33, disabled=1),
        *hidden(33.4, 37),
        *presses(41, disabled=1),
        *hidden(41.5, 44),
        end(46, PAGE),
    ],
    "implicit: after a detour": [*BEFORE, *filled(10), *presses(20, 25), *DETOUR, *presses(*BURST), end(46, PAGE)],
    "implicit: it waits for ever": [
        *BEFORE,
        *filled(10),
        *presses(20),
        *presses(24, 28, *BURST, loading=1),
        end(55, PAGE),
    ],
    "implicit: gone to another site at last": [
        *BEFORE,
        *filled(10),
        *presses(20, 25),
        *DETOUR,
        *presses(*BURST),
        go(47, "/people/new", "link", external=1),
    ],
}
CALM: dict[str, list[Row]] = {
    "each press, of which nothing is said, hides the page": [
        *KNOWN,
        *filled(10),
        *presses(20),
        *hidden(20.8, 26),
        *filled(28),
        *presses(33),
        *hidden(33.4, 37),
        *presses(41),
        *hidden(41.5, 44),
        end(46, PAGE),
    ],
    "two tries": [*KNOWN, *filled(10), *presses(20, 27, responded=0), end(46, PAGE)],
    "one burst": [*KNOWN, *filled(10), *presses(*BURST, responded=0), end(46, PAGE)],
    "it answered once": [
        *KNOWN,
        *filled(10),
        *presses(20, responded=1),
        *presses(25, 31, *BURST, responded=0),
        end(46, PAGE),
    ],
    "it works at last": [
        *KNOWN,
        *filled(10),
        *presses(20, 27, *BURST, responded=0),
        *presses(50),
        answer(50.6, 201, 0.4, "/api/people", route=PAGE),
        go(51, "/people/9", "push"),
        end(70, "/people/9"),
    ],
    "nobody's answers are known": [
        go(0, PAGE),
        *filled(10),
        *presses(20, 27, *BURST, responded=0),
        end(46, PAGE),
    ],
    "disabled, never corrected": [*KNOWN, *filled(10), *presses(20, 27, 33, 40, disabled=1), end(46, PAGE)],
    "disabled, corrected, and of the burst nothing is said": [
        *KNOWN,
        *filled(10),
        *presses(20, disabled=1),
        *filled(22),
        *presses(30, 30.3, 30.5, 30.8),
        *presses(36, 43, disabled=1),
        end(50, PAGE),
    ],
    "disabled, shown anew, and of the burst nothing is said": [
        *KNOWN,
        *filled(10),
        *presses(20, disabled=1),
        go(24, PAGE, "reload"),
        *presses(30, 30.3, 30.5, 30.8),
        *presses(36, 43, disabled=1),
        end(50, PAGE),
    ],
    "disabled, then a burst on the enabled control": [
        *KNOWN,
        *filled(10),
        *presses(20, disabled=1),
        *presses(30, 30.3, 30.5, 30.8, disabled=0),
        *presses(36, 43, disabled=1),
        end(50, PAGE),
    ],
    "disabled once, and one burst": [
        *KNOWN,
        *filled(10),
        *presses(20, disabled=1),
        *presses(30, 30.3, 30.5, 30.8),
        end(50, PAGE),
    ],
    "of the burst nothing is said, nor before": [
        *KNOWN,
        *filled(10),
        *presses(20),
        *presses(30, 30.3, 30.5, 30.8),
        *presses(36, 43, disabled=1),
        end(50, PAGE),
    ],
    "one press for each word": [
        *BEFORE,
        *[r for i in range(6) for r in (*filled(10 + 8 * i), *presses(14 + 8 * i))],
        end(70, PAGE),
    ],
    "a copy button": [
        *KNOWN,
        *[click(t, {"target_type": "button", "target_label": "Copy link"}, PAGE, responded=0) for t in (20, 27, 33)],
        end(46, PAGE),
    ],
    "a new tab opens each time": [
        *BEFORE,
        *filled(10),
        *[r for t in (20, 26, 32, 38) for r in (*presses(t), event(t + 0.3, "visibility", PAGE, state="hidden"))],
        end(60, PAGE),
    ],
    "it leads to another site": [
        *BEFORE,
        *filled(10),
        *[r for t in (20, 30, 40) for r in (*presses(t), go(t + 0.4, PAGE, "link", external=1))],
        end(60, PAGE),
    ],
    "its form is submitted and leads on": [
        *BEFORE,
        *filled(10),
        *presses(20, 26, 32),
        submit(32.01, PAGE),
        go(32.7, "/people/9", "push"),
        end(60, "/people/9"),
    ],
}


@pytest.mark.parametrize("scene", FRUSTRATED)
def test_it_is_detected(scene: str) -> None:
    assert len(bodies(FRUSTRATED[scene])) == 1, why(FRUSTRATED[scene])


@pytest.mark.parametrize("scene", CALM)
def test_it_stays_silent(scene: str) -> None:
    assert bodies(CALM[scene]) == []


def test_tries_of_two_controls_do_not_add_up() -> None:
    mixed = [{**row, "target_id": f"save-{i % 3}"} for i, row in enumerate(presses(20, 26, 32, responded=0))]
    assert bodies([*KNOWN, *filled(10), *mixed, end(46, PAGE)]) == []


def angry_at(target: Row) -> list[Row]:
    times = (20, 27, *BURST)
    return [
        *KNOWN,
        *[click(t, {**SAVE, "target_id": "", "target_label": "", **target}, PAGE, responded=0) for t in times],
        end(46, PAGE),
    ]


@pytest.mark.parametrize("tag", ["div", "ul", "tr", "nav", "section"])
@pytest.mark.parametrize(
    "selector", ["main > {}", "body {}:nth-child(2) > {}", "main > div:nth-of-type(3) > {}:last-child"]
)
def test_a_part_of_the_page_is_no_dead_control(tag: str, selector: str) -> None:
    place = {"target_type": tag, "target_tag": tag.upper(), "target_selector": selector.format(tag, tag)}
    assert bodies(angry_at(place)) == []


@pytest.mark.parametrize(
    "named",
    [
        {"target_selector": "main > div.save"},
        {"target_selector": "div[data-action='save']"},
        {"target_selector": "main > div", "target_label": "Save"},
        {"target_selector": "main > div", "target_id": "save-person"},
        {"target_selector": "main > button", "target_type": "button", "target_tag": "BUTTON"},
    ],
)
def test_a_container_with_a_name_may_be_a_dead_control(named: Row) -> None:
    assert bodies(angry_at({"target_type": "div", "target_tag": "DIV", **named})) != []
