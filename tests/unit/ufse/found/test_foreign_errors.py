"""Errors of extensions, in-app browsers and injected scripts, and errors at unload (docs/decisions/0040)."""

import json
import tomllib
from pathlib import Path

import pytest

import ufse
from tests.unit.ufse.found.files import count_detections
from tests.unit.ufse.scene import FORM, Row, answer, bodies, click, end, error, go, run, signals, submit, typed

NAME = {"target_type": "input", "target_id": "name"}
HOME = {"target_type": "link", "target_id": "home"}
PAY = {"target_type": "button", "target_id": "pay"}


@pytest.mark.parametrize(
    "name", ["02a-noise-after-answered-form.jsonl", "03a-form-page-unload.jsonl", "03b-link-unload-twice.jsonl"]
)
def test_the_found_inputs(name: str) -> None:
    assert count_detections(name) == 0


# -- errors at unload ----------------------------------------------------------------------------

TORN = [
    "Load failed",
    "TypeError: Failed to fetch",
    "NetworkError when attempting to fetch resource.",
    "Fehler beim Laden des Skripts",
    "Loading chunk 5 failed.",
    "Importing a module script failed.",
    "El servidor no ha respondido",
    "読み込みに失敗しました",
    "cancelado",
]


def filled() -> list[Row]:
    return [typed(1.01, "/form"), typed(2.02, "/form", NAME)]


@pytest.mark.parametrize("message", TORN)
@pytest.mark.parametrize(("early", "after"), [(0.1, 0.3), (0.6, 0.75), (0.05, 1.0), (0.02, 1.9)])
def test_an_error_before_a_forms_next_page_is_no_failure(message: str, early: float, after: float) -> None:
    rows = [*filled(), submit(8.02, "/form"), error(8.02 + early, message, "promise", route="/form")]
    assert run([*rows, go(8.02 + after, "/welcome"), end(60, "/welcome")]).detections == []


@pytest.mark.parametrize("kind", ["promise", "javascript", "resource"])
@pytest.mark.parametrize("how", ["link", "", "push"])
def test_an_error_before_a_links_page_is_no_failure(kind: str, how: str) -> None:
    rows = filled()[:1]
    for t in (8.02, 26.3, 41.7):
        rows += [click(t, HOME, "/form"), error(t + 0.2, "Loading chunk 7 failed /a.js", kind, route="/form")]
        rows += [go(t + 0.3, "/home", how), go(t + 12, "/form", "back_forward"), typed(t + 14, "/form")]
    assert run([*rows, end(80, "/form")]).detections == []


def test_an_error_before_a_reload_as_a_reaction_is_a_failure() -> None:
    rows: list[Row] = []
    for t in (8.02, 17.3, 29.1):
        rows += [
            click(t, HOME, "/form"),
            error(t + 0.2, "Loading chunk 7 failed.", route="/form"),
            go(t + 2, "/form", "reload"),
        ]
    assert len(bodies([*rows, end(60, "/form")])) == 1


def test_an_error_before_the_error_page_is_a_failure() -> None:
    rows = filled()
    for t in (8.02, 22.3):
        rows += [
            submit(t, "/form"),
            error(t + 0.2, "Load failed", "promise", route="/form"),
            go(t + 0.4, "/error", "link"),
        ]
        rows += [go(t + 6, "/form", "back_forward"), typed(t + 9, "/form"), typed(t + 10, "/form", NAME)]
    assert len(bodies([*rows, submit(36.1, "/form"), error(36.3, "Load failed", route="/form"), end(60, "/form")])) == 1


def test_an_error_of_the_old_page_after_the_new_one_opened_is_no_failure() -> None:
    rows = [*filled(), submit(8.02, "/form"), go(8.3, "/welcome"), error(8.5, "Load failed", "promise", route="/form")]
    assert run([*rows, end(60, "/welcome")]).detections == []


@pytest.mark.parametrize("ends", [0.0, 0.4, 0.9])
def test_an_error_at_the_end_of_the_page_is_no_failure(ends: float) -> None:
    rows = [*filled(), submit(8.02, "/form"), error(8.3, "Failed to fetch", "promise", route="/form")]
    assert run([*rows, end(8.3 + ends, "/form")]).detections == []


@pytest.mark.parametrize("message", TORN)
def test_the_same_error_on_a_page_that_stays_is_a_failure(message: str) -> None:
    rows = filled()
    for t in (8.02, 17.3, 29.1):
        rows += [submit(t, "/form"), error(t + 0.3, message, "promise", route="/form")]
    assert len(bodies([*rows, end(50, "/form")])) == 1


def test_rage_on_a_button_whose_fetches_fail_is_a_failure() -> None:
    rows = [
        r for i in range(5) for r in (click(8.1 + i * 0.5, PAY), error(8.3 + i * 0.5, "Failed to fetch", "promise"))
    ]
    assert len(bodies([*rows, go(20, "/home"), end(40, "/home")])) == 1


def test_an_error_long_before_the_person_leaves_is_a_failure() -> None:
    rows = filled()
    for t in (8.02, 17.3):
        rows += [submit(t, "/form"), error(t + 0.3, "Failed to fetch", "promise", route="/form")]
    assert len(bodies([*rows, go(25.2, "/home"), end(60, "/home")])) == 1


def test_a_failed_request_before_the_next_page_is_still_a_failure() -> None:
    rows = filled()
    for t in (8.02, 17.3, 29.1):
        rows += [submit(t, "/form"), answer(t + 0.25, 500, 0.2, route="/form")]
        rows += [error(t + 0.3, "Error: 500", "promise", route="/form")]
    assert len(bodies([*rows, go(29.9, "/home"), end(60, "/home")])) == 1


# -- errors of others ----------------------------------------------------------------------------

FAMILIES = tomllib.loads((Path(ufse.__file__).parent / "data" / "foreign_errors.toml").read_text("utf-8"))["family"]
MESSAGES = [m for f in FAMILIES for m in f["message"]]
SOURCES = [s for f in FAMILIES for s in f["source"]]


def struggle(**values: str) -> list[Row]:
    """A form sent three times with an error each time, and left."""
    message = values.pop("message", "Uncaught TypeError: x is not a function")
    rows = [typed(1.01), typed(2.02, target=NAME)]
    for t in (8.02, 17.3, 29.1):
        rows += [submit(t), error(t + 0.3, message, **values)]
    return [*rows, go(40, "/home"), end(60, "/home")]


def test_the_struggle_with_an_error_of_the_page_is_detected() -> None:
    assert len(bodies(struggle(source="/assets/app.js"))) == 1


@pytest.mark.parametrize("part", MESSAGES)
def test_a_listed_message_is_no_failure(part: str) -> None:
    assert run(struggle(message=f"Uncaught ReferenceError: Can't find {part.upper()} now")).detections == []


@pytest.mark.parametrize("part", SOURCES)
def test_a_listed_source_is_no_failure(part: str) -> None:
    source = f"https://any.example/x/{part[1:]}" if part.startswith("*") else f"{part}//abcdef/x.js"
    assert run(struggle(source=source)).detections == []


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family["name"])
def test_a_family_names_where_it_is_documented(family: dict[str, str]) -> None:
    assert family["seen"].startswith("https://")
    assert family["message"] or family["source"]
    assert all(part == part.lower() for part in [*family["message"], *family["source"]])


@pytest.mark.parametrize(
    ("stack", "own"),
    [
        (
            "TypeError: x\n at f (chrome-extension://abc/inject.js:1:2)\n at g (https://shop.example/a.js:3:4)",
            False,
        ),
        ("f@moz-extension://0-0/content.js:1:22\ng@https://shop.example/a.js:3:4", False),
        ("Error: x\n at sendDataToNative (iabjs://navigation_performance_logger_android:1:5098)", False),
        ("TypeError: x\n    at <anonymous>:1:22\n    at <anonymous>:5:1", False),
        ("TypeError: x\n at f (https://shop.example/a.js:1:22)\n at g (chrome-extension://abc/wrap.js:1:1)", True),
        ("TypeError: x\n at f (https://shop.example/a.js:1:22)\n at <anonymous>:1:1", True),
        ("TypeError: x\n at f (main.js:1:22)", True),
        ("", True),
    ],
)
@pytest.mark.parametrize("key", ["stack", "stackTrace"])
def test_the_stack_says_whose_error_it_is(stack: str, own: bool, key: str) -> None:
    assert (len(run(struggle(metadata=json.dumps({key: stack}))).detections) == 1) is own


# -- unknown errors of others, by behaviour -------------------------------------------------------

UNKNOWN = "Uncaught TypeError: q.zz is not a function"


@pytest.mark.parametrize("early", [0.02, 0.38])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_an_error_beside_an_answer_that_the_person_accepted_is_no_failure(early: float, method: str) -> None:
    rows = [typed(1.01), typed(3.02, target=NAME), submit(5.02), error(5.02 + early, UNKNOWN)]
    rows += [answer(5.3, 200, 0.25, "/api/form", method)]
    assert run([*rows, end(30)]).detections == []
    assert run([*rows, go(20, "/home"), end(50, "/home")]).detections == []


def test_an_error_after_a_good_answer_that_made_the_person_try_again_is_a_failure() -> None:
    rows = [typed(1.01), typed(3.02, target=NAME)]
    for t in (5.02, 14.3, 22.9):
        rows += [submit(t), answer(t + 0.3, 200, 0.25, "/api/form"), error(t + 0.32, UNKNOWN)]
    assert len(bodies([*rows, end(60)])) == 1


def test_one_message_on_two_pages_after_two_actions_is_no_failure() -> None:
    rows = [typed(1.01, "/profile"), typed(2.02, "/profile", NAME)]
    rows += [
        click(5.02, {"target_type": "button", "target_id": "save"}, "/profile"),
        error(5.3, UNKNOWN, route="/profile"),
    ]
    rows += [go(20, "/search", "push"), typed(24.1, "/search"), typed(26.1, "/search", NAME)]
    rows += [submit(30.02, "/search"), error(30.3, UNKNOWN, route="/search"), end(60, "/search")]
    assert run(rows).detections == []


def test_one_message_on_two_pages_of_which_one_was_tried_again_is_a_failure() -> None:
    rows = [click(3.02, {"target_type": "button", "target_id": "open"}, "/home"), error(3.3, UNKNOWN, route="/home")]
    rows += [go(10, "/checkout", "push"), typed(12.1), typed(13.2, target=NAME)]
    for t in (18.02, 27.3, 36.1):
        rows += [submit(t), error(t + 0.3, UNKNOWN)]
    assert len(bodies([*rows, end(60)])) == 1


def test_the_scene_has_the_forms_that_it_needs() -> None:
    assert FORM["target_type"] == "form"
    assert signals(struggle()) >= {"blocked"}
