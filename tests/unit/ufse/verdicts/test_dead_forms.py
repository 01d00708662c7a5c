"""Forms whose control stays dead: loaded anew and filled in again, steps, disabled exports, applications of loaded pages.

Source: docs/decisions/0156. ``test_dead_controls`` has the rule itself.
"""

import pytest

from tests.unit.ufse.scene import Row, answer, bodies, click, end, go, why
from tests.unit.ufse.verdicts.collectors import field

SAVE = {"target_type": "button", "target_id": "save-person", "target_label": "Save"}
NEXT = {"target_type": "button", "target_id": "wizard-next-2", "target_label": "Next"}
EXPORT = {"target_type": "button", "target_id": "export-csv", "target_label": "Download CSV"}
OTHER = {"target_type": "button", "target_id": "list-view", "target_label": "List"}
LINK = {"target_type": "link", "target_id": "menu", "target_label": "Menu"}
PAGE = "/people/new"
BURST = (40.0, 40.3, 40.5, 40.8)


def presses(*times: float, control: Row = SAVE, route: str = PAGE, **values: object) -> list[Row]:
    return [click(t, control, route, **values) for t in times]


def served(t: float, **values: object) -> list[Row]:
    return [click(t, OTHER, "/people", **values), answer(t + 0.4, 200, 0.3, "/api/people", "GET", route="/people")]


def filled(t: float, route: str = PAGE, count: int = 2) -> list[Row]:
    return [field(t + i, f"f{i}", route) for i in range(count)]


BEFORE = [go(0, "/people"), *served(2), *served(5), go(8, PAGE, "push")]
KNOWN = [go(0, "/people"), *served(2, responded=1), *served(5, responded=1), go(8, PAGE, "push")]
LOADED = [go(0, "/"), click(2, LINK, "/"), go(2.5, "/people", "link"), click(5, LINK, "/people"), go(5.6, PAGE, "link")]
"""An application that loads every page."""


def read(t: float, route: str) -> Row:
    return answer(t, 200, 0.3, "/graphql", route=route)


def opened(t: float, name: str, origin: str, route: str) -> list[Row]:
    link = {"target_type": "link", "target_id": name, "target_label": name}
    return [click(t, link, origin), go(t + 0.2, route, "push"), read(t + 0.6, route)]


READ = [
    go(0, "/"),
    read(0.6, "/"),
    *opened(2, "boards", "/", "/boards"),
    *opened(3.5, "cycles", "/boards", "/cycles"),
    *opened(5, "people", "/cycles", "/people"),
    *opened(6.5, "add", "/people", PAGE),
]
"""Every page reads one address that serves everything, which is background."""


def anew(t: float) -> list[Row]:
    return [go(t, PAGE, "reload"), *filled(t + 2)]


FRUSTRATED: dict[str, list[Row]] = {
    "loaded anew, filled in again, pressed in anger": [
        *BEFORE,
        *filled(10),
        *presses(16),
        *anew(20),
        *presses(27),
        *presses(*BURST),
        end(60, PAGE),
    ],
    "loaded anew twice, with a burst": [
        *BEFORE,
        *filled(10),
        *presses(16),
        *anew(20),
        *presses(26, 26.3, 26.6),
        *anew(32),
        *presses(38),
        end(60, PAGE),
    ],
    "the client says that the try after it came to nothing": [
        *KNOWN,
        *filled(10),
        *presses(16, responded=0),
        *anew(20),
        *presses(27, *BURST, responded=0),
        end(60, PAGE),
    ],
    "a step of a form, in anger": [
        *BEFORE,
        *filled(10),
        *presses(16, 22, *BURST, control=NEXT),
        end(60, PAGE),
    ],
    "a step of a form, and the client says so": [
        *KNOWN,
        *filled(10),
        *presses(16, 22, *BURST, control=NEXT, responded=0),
        end(60, PAGE),
    ],
    "a step that says it in signs": [
        *BEFORE,
        *filled(10),
        *presses(16, 22, *BURST, control={**NEXT, "target_label": "Next >>"}),
        end(60, PAGE),
    ],
    "a disabled export, pressed in anger": [
        *KNOWN,
        *filled(10),
        *presses(16, 22, *BURST, control=EXPORT, disabled=1, responded=0),
        end(60, PAGE),
    ],
    "a disabled export, and of the burst it is only said that it came to nothing": [
        *KNOWN,
        *filled(10),
        *presses(16, control=EXPORT, disabled=1, responded=0),
        *presses(22, *BURST, control=EXPORT, responded=0),
        end(60, PAGE),
    ],
    "a disabled control called like one that leaves": [
        *KNOWN,
        *filled(10),
        *presses(16, 22, *BURST, control={**SAVE, "target_selector": "form button.is-cancel"}, disabled=1, responded=0),
        end(60, PAGE),
    ],
    "all pages are loaded, and no request is reported": [*LOADED, *filled(10), *presses(16, 22, *BURST), end(60, PAGE)],
    "all pages are loaded, and polling is reported": [
        *LOADED,
        *filled(10),
        *[answer(t, 404, 0.2, "/poll", "GET", route=PAGE) for t in (13, 18, 23, 28, 33, 38, 43, 48)],
        *presses(16, 22, *BURST),
        end(60, PAGE),
    ],
    "pages are read, presses are answered by pages": [*READ, *filled(10), *presses(16, 22, *BURST), end(60, PAGE)],
    "pages are read, and a link is followed at last": [
        *READ,
        *filled(10),
        *presses(16, 22, *BURST),
        click(50, LINK, PAGE),
        go(50.2, "/people", "push"),
        answer(50.7, 200, 0.4, "/graphql", route="/people"),
        end(60, "/people"),
    ],
}
CALM: dict[str, list[Row]] = {
    "loaded anew, filled in again, no burst": [
        *BEFORE,
        *filled(10),
        *presses(16),
        *anew(20),
        *presses(27),
        *anew(32),
        *presses(39),
        end(60, PAGE),
    ],
    "loaded anew, and it works": [
        *BEFORE,
        *filled(10),
        *presses(16),
        *anew(20),
        *presses(27, *BURST),
        answer(41.5, 201, 0.4, "/api/people", route=PAGE),
        go(42, "/people/9", "push"),
        end(60, "/people/9"),
    ],
    "corrected before each try, without loading": [
        *BEFORE,
        *filled(10),
        *presses(16),
        *filled(20),
        *presses(27),
        *filled(32),
        *presses(*BURST),
        end(60, PAGE),
    ],
    "another page was loaded anew": [
        *BEFORE,
        *filled(10),
        *presses(16),
        go(18, "/people", "push"),
        go(20, "/people", "reload"),
        go(22, PAGE, "push"),
        *filled(24),
        *presses(27),
        *filled(30),
        *presses(*BURST),
        end(60, PAGE),
    ],
    "paging through a list without fields": [*BEFORE, *presses(16, 22, *BURST, control=NEXT), end(60, PAGE)],
    "paging through a list with one filter": [
        *BEFORE,
        *filled(10, count=1),
        *presses(16, 22, *BURST, control=NEXT),
        end(60, PAGE),
    ],
    "a carousel beside a form": [
        *BEFORE,
        *filled(10),
        *presses(16, 22, *BURST, control={**NEXT, "target_selector": "div.carousel button.next"}),
        end(60, PAGE),
    ],
    "a step that answers": [
        *KNOWN,
        *filled(10),
        *presses(16, control=NEXT, responded=1),
        *presses(22, *BURST, control=NEXT, responded=0),
        end(60, PAGE),
    ],
    "an export that is not disabled": [
        *KNOWN,
        *filled(10),
        *presses(16, 22, *BURST, control=EXPORT, responded=0),
        end(60, PAGE),
    ],
    "an export that is disabled at first": [
        *KNOWN,
        *filled(10),
        *presses(16, control=EXPORT, disabled=1, responded=0),
        *presses(22, *BURST, control=EXPORT, disabled=0, responded=0),
        end(60, PAGE),
    ],
    "a disabled next": [
        *KNOWN,
        *presses(16, 22, *BURST, control=NEXT, disabled=1, responded=0),
        end(60, PAGE),
    ],
    "all pages are loaded, no burst": [*LOADED, *filled(10), *presses(16, 22, 30, 40), end(60, PAGE)],
    "all pages are loaded, one field": [*LOADED, *filled(10, count=1), *presses(16, 22, *BURST), end(60, PAGE)],
    "all pages are loaded, and it leads on at last": [
        *LOADED,
        *filled(10),
        *presses(16, 22, *BURST),
        *presses(50),
        go(51, "/people/9", "link"),
        end(60, "/people/9"),
    ],
    "the application also changes pages by itself": [
        *LOADED[:3],
        click(5, LINK, "/people"),
        go(5.6, PAGE, "push"),
        *filled(10),
        *presses(16, 22, *BURST),
        end(60, PAGE),
    ],
    "one page was opened": [
        go(0, "/"),
        click(2, LINK, "/"),
        go(2.5, PAGE, "link"),
        *filled(10),
        *presses(16, 22, *BURST),
        end(60, PAGE),
    ],
    "pages are read, no burst": [*READ, *filled(10), *presses(16, 22, 30, 40), end(60, PAGE)],
    "pages are read, one field": [*READ, *filled(10, count=1), *presses(16, 22, *BURST), end(60, PAGE)],
    "nothing is read": [
        *(row for row in READ if row["event_type"] != "network"),
        *filled(10),
        *presses(16, 22, *BURST),
        end(60, PAGE),
    ],
    "pages are read, and the press is answered at an address that serves everything": [
        *READ,
        *filled(10),
        *presses(16, 22, *BURST),
        *anew(44),
        *presses(52),
        answer(52.6, 200, 0.5, "/graphql", route=PAGE),
        end(60, PAGE),
    ],
    "pages are read, and another button of the page is answered": [
        *READ,
        *filled(10),
        *presses(16, 22, *BURST),
        click(50, {**OTHER, "target_id": "copy-link", "target_label": "Invite by mail"}, PAGE),
        answer(50.6, 200, 0.5, "/graphql", route=PAGE),
        end(60, PAGE),
    ],
    "one press for each of three records": [
        *KNOWN,
        *[
            row
            for i in range(3)
            for row in (
                go(10 + 10 * i, f"/people/{i + 1}", "link"),
                *presses(12 + 10 * i, 12.3 + 10 * i, 12.6 + 10 * i, route=f"/people/{i + 1}", responded=0),
            )
        ],
        end(60, "/people/3"),
    ],
}


@pytest.mark.parametrize("scene", FRUSTRATED)
def test_it_is_detected(scene: str) -> None:
    found = bodies(FRUSTRATED[scene])
    assert len(found) == 1, why(FRUSTRATED[scene])
    assert found[0]["failurePoint"]["feedback"] == "never answered"


@pytest.mark.parametrize("scene", CALM)
def test_it_stays_silent(scene: str) -> None:
    assert bodies(CALM[scene]) == []
