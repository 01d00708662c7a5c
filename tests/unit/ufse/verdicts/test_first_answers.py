"""The first good answer of a control that failed, at an address that serves everything (docs/decisions/0153)."""

import pytest

from tests.unit.ufse.scene import Row, answer, bodies, click, end, error, go, submit
from tests.unit.ufse.verdicts.collectors import field

INVITE = {"target_type": "button", "target_id": "send-invite", "target_label": "Send invite"}
MENU = {"target_type": "link", "target_id": "menu", "target_label": "Members"}
PAGE = "/team/members"


def ask(t: float, status: int = 200, **values: object) -> Row:
    return answer(t, status, 0.3, "/graphql", route=PAGE, **values)


def browse(url: str = "/graphql") -> list[Row]:
    """Four unrelated links, each answered at the same address: it looks like a beacon."""
    return [
        row
        for i in range(4)
        for row in (
            click(2 + 4 * i, {**MENU, "target_id": f"menu-{i}"}, f"/team/{i}"),
            go(2.1 + 4 * i, f"/team/{i + 1}" if i < 3 else PAGE, "push"),
            answer(2.6 + 4 * i, 200, 0.3, url, route=f"/team/{i + 1}"),
        )
    ]


def crash(t: float, message: str = "TypeError: e.map is not a function", target: Row = INVITE) -> list[Row]:
    return [click(t, target, PAGE), submit(t + 0.01, PAGE), error(t + 0.05, message, route=PAGE)]


def press(t: float, target: Row = INVITE) -> list[Row]:
    return [click(t, target, PAGE), submit(t + 0.01, PAGE)]


def browse_later(t: float) -> list[Row]:
    ms = round(t * 1000)
    return [{**r, "ts": r["ts"] + ms, "received_ms": r["received_ms"] + ms} for r in browse()]


START = [go(0, "/team/0"), *browse(), field(20, "email", PAGE), field(23, "role", PAGE)]
BURST = [click(36 + 0.3 * i, INVITE, PAGE) for i in range(4)]
NAMES = {"target_type": "button", "target_id": "", "target_label": "Einladung senden"}

ACHIEVED: dict[str, list[Row]] = {
    "after two crashes": [*START, *crash(26), *crash(32), *press(42), ask(42.5), end(60, PAGE)],
    "after a burst of crashes": [*START, *crash(26), *crash(32), *BURST, *press(44), ask(44.5), end(60, PAGE)],
    "another language, no id": [
        *START,
        *crash(26, "TypeError: undefined is not an object", NAMES),
        *crash(32, "TypeError: undefined is not an object", NAMES),
        *press(42, NAMES),
        ask(42.6),
        end(60, PAGE),
    ],
    "after the page was loaded anew": [
        *START,
        *crash(26),
        *crash(32),
        go(38, PAGE, "reload"),
        field(40, "email", PAGE),
        *press(45),
        ask(45.4),
        end(60, PAGE),
    ],
    "its answer brought the failure before": [
        *START,
        *[
            r
            for t in (26, 32)
            for r in (*press(t), ask(t + 0.4), error(t + 0.5, "ApolloError: changed", "promise", route=PAGE))
        ],
        *press(42),
        ask(42.5),
        end(60, PAGE),
    ],
    "refused once, loaded anew, then answered": [
        *START,
        *press(26),
        ask(26.3, 0),
        error(26.35, "TypeError: Failed to fetch", "promise", route=PAGE),
        go(34, PAGE, "reload"),
        field(38, "email", PAGE),
        field(44, "role", PAGE),
        *press(48),
        ask(48.5),
        end(60, PAGE),
    ],
    "crashed twice, then answered in a later visit": [
        *START,
        *crash(26),
        *crash(32),
        end(40, PAGE),
        go(9_000, PAGE),
        *browse_later(9_002),
        field(9_025, "email", PAGE),
        *press(9_030),
        ask(9_030.5),
        end(9_060, PAGE),
    ],
    "behind polls that all fail": sorted(
        [
            *START,
            *crash(26),
            *crash(32),
            *press(42),
            ask(42.5),
            *[ask(24.1 + 7 * i, 401) for i in range(5)],
            end(60, PAGE),
        ],
        key=lambda r: int(r["ts"]),
    ),
}
STRUGGLES: dict[str, list[Row]] = {
    "no later try": [*START, *crash(26), *crash(32), *crash(38), end(60, PAGE)],
    "a beacon with every press": [
        *START,
        *[r for t in (26, 32, 38) for r in (*crash(t), ask(t + 0.6))],
        *press(42),
        ask(42.5),
        end(60, PAGE),
    ],
    "polls that are answered": sorted(
        [*START, *crash(26), *crash(32), *press(42), ask(42.5), *[ask(23.1 + 7 * i) for i in range(6)], end(66, PAGE)],
        key=lambda r: int(r["ts"]),
    ),
    "answered within a burst": [*START, *crash(26), *crash(32), *BURST, ask(37), end(60, PAGE)],
    "another control is answered": [
        *START,
        *crash(26),
        *crash(32),
        click(42, MENU, PAGE),
        ask(42.5),
        end(60, PAGE),
    ],
    "the last try crashes after its answer": [
        *START,
        *crash(26),
        *crash(32),
        *press(42),
        ask(42.4),
        error(42.5, "TypeError: e.map is not a function", route=PAGE),
        end(60, PAGE),
    ],
}


@pytest.mark.parametrize("scene", ACHIEVED)
def test_a_control_that_was_answered_at_last_is_achieved(scene: str) -> None:
    assert bodies(ACHIEVED[scene]) == []


@pytest.mark.parametrize("scene", STRUGGLES)
def test_what_is_sent_with_every_press_or_by_itself_is_no_answer(scene: str) -> None:
    assert len(bodies(STRUGGLES[scene])) == 1
