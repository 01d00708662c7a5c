"""A control stays one when its label animates, its selector carries states, its id is generated, or a part of it is hit."""

from pathlib import Path
from typing import Any

import pytest

from collector.contract import read_events
from tests.unit.ufse.scene import Row, answer, bodies, click, go, signals
from ufse import detect

FOUND = Path(__file__).parents[3] / "data" / "found"


def control(kind: str = "button", identity: str = "", selector: str = "", label: str = "", tag: str = "") -> Row:
    return {
        "target_type": kind,
        "target_id": identity,
        "target_selector": selector,
        "target_label": label,
        "target_tag": tag,
    }


def burst(targets: list[Row], status: int = 500, **values: Any) -> list[Row]:
    """Clicks 0.4 s apart, and one answer to the first of them."""
    rows = [click(10 + 0.4 * i, t, **values) for i, t in enumerate(targets)]
    return [*rows, answer(10.9 + 0.4 * len(targets), status, took=0.88 + 0.4 * len(targets))]


def retries(targets: list[Row], status: int = 500, **values: Any) -> list[Row]:
    """Tries 9 s apart, each with an answer of its own."""
    rows = []
    for i, t in enumerate(targets):
        rows += [click(10 + 9 * i, t, **values), answer(10.4 + 9 * i, status, took=0.3)]
    return rows


@pytest.mark.parametrize("name", ["04a-label-animates", "04b-selector-moves", "04d-useid-retries"])
def test_the_found_cases_are_detections(name: str) -> None:
    events, rejects = read_events(FOUND / f"{name}.jsonl")
    assert not rejects
    assert len(detect(events).detections) == 1


def labelled(*labels: str, **same: str) -> list[Row]:
    return [control(label=text, **same) for text in labels]


def with_ids(*ids: str, **same: str) -> list[Row]:
    return [control(identity=text, **same) for text in ids]


def selected(*selectors: str, **same: str) -> list[Row]:
    return [control(selector=text, **same) for text in selectors]


ONE_CONTROL = {
    "dots": labelled("Pay", "Pay.", "Pay..", "Pay..."),
    "ellipsis": labelled("Speichern", "Speichern…", "Speichern …", "Speichern"),
    "amount": labelled("Pay $12", "Pay $13", "Pay $1,299.00", "Pay $9"),
    "amount behind": labelled("12,99 € zahlen", "13,99 € zahlen", "14 € zahlen", "9,00 € zahlen"),
    "counter in brackets": labelled("Senden (3)", "Senden (2)", "Senden (1)", "Senden"),
    "percentage": labelled("Loading… 40 %", "Loading… 41 %", "Loading… 80 %", "Loading… 99 %"),
    "spinner": labelled("⠋ Laden", "⠙ Laden", "⠹ Laden", "⠸ Laden"),
    "countdown": labelled("Resend (29s)", "Resend (28s)", "Resend (27s)", "Resend (26s)"),
    "other words, one id": labelled("Pay", "Processing…", "Bitte warten", "Pay", identity="pay"),
    "numbers, one id": labelled("Order 1", "Order 2", "Order 3", "Order 4", identity="order"),
    "ids of React": with_ids(":r1:", ":r5:", ":ra:", ":r1f:", label="Pay"),
    "ids of React 19": with_ids("«r1»", "«r2»", "_r_3_", "_R_4a_", label="Pay"),
    "ids of Radix": with_ids("radix-:r1:", "radix-:r4:", "radix-«r7»", "radix-_r_9_", label="Pay"),
    "ids of Headless UI": with_ids(*(f"headlessui-menu-button-{n}" for n in (3, 7, 12, 20)), label="Konto"),
    "ids of Angular Material": with_ids(
        "mat-mdc-button-3", "mat-mdc-button-7", "mat-button-12", "mat-button-14", label="OK"
    ),
    "ids of Ember": with_ids("ember123", "ember131", "ember140", "ember152", label="Pay"),
    "ids of MUI": with_ids("mui-12", "mui-13", "mui-20", "mui-21", label="Pay"),
    "ids of ExtJS": with_ids(
        "button-1023-btnEl", "button-1031-btnEl", "button-1040-btnEl", "button-1050", label="Save"
    ),
    "ids are UUIDs": with_ids(*(f"550e8400-e29b-41d4-a716-44665544000{n}" for n in range(4)), label="Pay"),
    "ids are hashes": with_ids("a8f3c91e", "b7d2e80f", "c6a1f7b0", "d5e0a6c1", label="Pay"),
    "states": selected("button.pay", "button.pay.is-active", "button.pay.loading", "button.pay.Mui-disabled"),
    "states of an id": selected(*(f"#pay.state-{n}" for n in range(4)), identity=""),
    "Tailwind": selected(
        "button.pay.bg-blue-500",
        "button.pay.bg-blue-700",
        "button.pay.bg-gray-400.cursor-not-allowed",
        "button.pay.hover\\:bg-red-50",
    ),
    "unknown classes, one label": selected("button.xa", "button.xb", "button.xc.glow", "button.xd", label="Pay"),
    "CSS modules": selected(*(f"button.Button_pay__{h}" for h in ("3kJdx", "9aX1z", "x7Yz1", "Qv2bT"))),
    "emotion": selected(*(f"button.css-{h}" for h in ("1q2w3e4", "9z8y7x6", "a1b2c3", "zz9yy8")), label="Pay"),
    "styled-components": selected(
        "form > button.sc-bdVaJa.kXyZab",
        "form > button.sc-bdVaJa.fzbQAb",
        "form > button.sc-bdVaJa.iJQgSy",
        "form > button.sc-bdVaJa.hHKtfL",
        label="Pay",
    ),
    "Angular and Vue scopes": selected(
        "button.pay.ng-touched",
        "button.pay.ng-untouched[_ngcontent-abc-c12]",
        "button.pay[data-v-7ba5bd90]",
        "button.pay.svelte-1abc23",
    ),
    "ids of React in selectors": selected(*(f"#\\:r{n}\\: > button.pay" for n in range(1, 5))),
    "hashed test ids": selected(*(f'[data-testid="pay-{h}"]' for h in ("3f9a1c2", "8b2d4e6", "1a2b3c4", "9f8e7d6"))),
    "parts by ancestry": selected(
        "button#pay", "button#pay > span", "button#pay > svg > path", "button#pay > span.label > i"
    ),
    "parts by ancestry, by type": [
        control(identity="pay"),
        control("span", selector="#pay > span"),
        control("svg", selector="div.a > #pay > svg"),
        control("path", selector="#pay > svg > path"),
    ],
    "parts by ancestry, without label": [control("a", selector="a.buy", label="Buy"), *selected(*["a.buy > img"] * 3)],
    "the label is there at times": [
        *selected("form > .send", "form > .send", label="Send"),
        *selected("form > .send") * 2,
    ],
    "parts by label": [
        control(identity="pay", label="Pay"),
        control("span", label="Pay"),
        control("span", label="Pay"),
        control(identity="pay", label="Pay"),
    ],
}


@pytest.mark.parametrize("kind", ONE_CONTROL)
def test_one_control_is_raged_at(kind: str) -> None:
    (body,) = bodies(burst(ONE_CONTROL[kind]))
    assert {s["type"]: s["count"] for s in body["triggeringSignals"]} == {"rage": 4, "feedback": 1}


@pytest.mark.parametrize("kind", ONE_CONTROL)
def test_one_control_is_tried_again_and_is_not_background(kind: str) -> None:
    (body,) = bodies(retries(ONE_CONTROL[kind]))
    assert "blocked" in {s["type"] for s in body["triggeringSignals"]}


@pytest.mark.parametrize("kind", ONE_CONTROL)
def test_one_control_that_succeeds_at_last_is_silent(kind: str) -> None:
    first, second, third, fourth = ONE_CONTROL[kind]
    rows = [
        *retries([first, second, third]),
        click(37, fourth),
        answer(37.4, 201, took=0.3),
        go(38, "/orders/1", "push"),
    ]
    assert bodies(rows) == []


def test_the_spot_decides_where_texts_do_not() -> None:
    spots = [control(label="Pay"), control("svg", tag="svg"), control(label="40 %"), control("path", tag="path")]
    assert "rage" in signals(burst(spots, x=400, y=300))
    assert "rage" not in signals(burst(spots))
    counted = labelled("Like 12", "Like 13", "Like 14", "Like 15")
    assert "rage" in signals(burst(counted, x=400, y=300))
    assert "rage" not in signals(burst(counted))
    hashed = with_ids(*(f"pay-{h}" for h in ("3f9a1c2", "8b2d4e6", "1a2b3c4", "9f8e7d6")), label="Pay")
    assert "rage" in signals(burst(hashed, x=400, y=300))
    assert "rage" not in signals(burst(hashed))
    unnamed = with_ids(":r1:", ":r2:", ":r3:", ":r4:")
    assert "rage" in signals(burst(unnamed, x=400, y=300))
    assert "rage" not in signals(burst(unnamed))


@pytest.mark.parametrize(("apart", "raging"), [(12, True), (13, False)])
def test_one_spot_is_twelve_pixels_wide(apart: int, raging: bool) -> None:
    icons = [control(label="Pay"), control("svg", tag="svg"), control(label="Pay"), control("svg", tag="svg")]
    rows = [click(10 + 0.4 * i, t, x=400 + apart * (i % 2), y=300) for i, t in enumerate(icons)]
    assert ("rage" in signals([*rows, answer(12.5, 500, took=2.48)])) is raging


TWO_CONTROLS = {
    "rows with numeric ids": with_ids("delete-1", "delete-2", "delete-3", "delete-4", label="Delete"),
    "rows with long ids": with_ids(
        "row-8841-delete", "row-8842-delete", "row-8843-delete", "row-8844-delete", label="Delete"
    ),
    "rows by place": selected(*(f"tr:nth-child({n}) > td > button.delete" for n in range(1, 5)), label="Delete"),
    "tabs": with_ids("tab-1", "tab-2", "tab-3", "tab-4"),
    "fields' buttons": with_ids("address-1", "address-2", "address-3", "address-4"),
    "Pay and Cancel": labelled("Pay", "Cancel", "Pay", "Cancel"),
    "Pay and Cancel, one class": labelled("Pay", "Cancel", "Pay", "Cancel", selector="div > button.btn"),
    "numbered labels": labelled("Order 1", "Order 2", "Order 3", "Order 4"),
    "times of day": labelled("10:00 Uhr", "10:30 Uhr", "11:00 Uhr", "11:30 Uhr"),
    "generated ids with labels": [
        control(identity=f":r{n}:", label=text) for n, text in enumerate(("Pay", "Save", "Help", "Edit"))
    ],
    "opens and closes": selected("button.menu-open", "button.menu-close", "button.menu-open", "button.menu-close"),
    "icons of two controls": [control("svg", selector="#pay > svg"), control("svg", selector="#cancel > svg")] * 2,
}


@pytest.mark.parametrize("kind", TWO_CONTROLS)
def test_two_controls_stay_two(kind: str) -> None:
    assert "rage" not in signals(burst(TWO_CONTROLS[kind]))


@pytest.mark.parametrize("kind", [k for k in TWO_CONTROLS if k not in ("numbered labels", "times of day")])
def test_two_controls_on_one_spot_stay_two(kind: str) -> None:
    assert "rage" not in signals(burst(TWO_CONTROLS[kind], x=400, y=300))


def test_rows_with_generated_ids_at_other_places_stay_two() -> None:
    rows = [click(10 + 0.4 * i, control(identity=f":r{i}:", label="Delete"), x=700, y=200 + 150 * i) for i in range(4)]
    assert "rage" not in signals([*rows, answer(12.5, 500, took=2.48)])


def test_steppers_stay_steppers() -> None:
    for targets in (with_ids("qty-plus", "qty-plus", "qty-plus", "qty-minus"), selected(*[".qty-plus"] * 4)):
        assert bodies(burst(targets)) == []


def test_a_beacon_after_controls_with_generated_ids_is_background() -> None:
    rows = []
    for i, text in enumerate(("Size", "Colour", "Cart", "Cart")):
        rows += [
            click(2 + 5 * i, control(identity=f":r{i}:", label=text)),
            answer(2.2 + 5 * i, 500, url="/collect", took=0.1),
        ]
    rows += [click(40 + 0.4 * i, control(identity=f":r{i}:", label="Cart")) for i in range(4)]
    assert bodies([*rows, answer(41.8, 500, url="/collect", took=0.1)]) == []


def test_the_shown_name_is_readable_and_the_same_in_all_sessions() -> None:
    names = [
        bodies(retries(ids))[0]["failurePoint"]["target"]
        for ids in (ONE_CONTROL["ids of React"], ONE_CONTROL["ids of Ember"])
    ]
    assert names == ['button "Pay"', 'button "Pay"']
    assert bodies(retries(ONE_CONTROL["parts by ancestry"]))[0]["failurePoint"]["target"] == "button#pay"


def test_fields_with_generated_ids_are_as_many_as_their_labels() -> None:
    fields = [control("input", f"mat-input-{n}", label=text) for n, text in enumerate(("Name", "Street", "City"))]
    rows = [{**click(3 + i, f), "event_type": "input", "action": "change"} for i, f in enumerate(fields)]
    pay = [e for t in (8, 17) for e in (click(t, control(identity=":r9:", label="Pay")), answer(t + 0.3, 500))]
    (body,) = bodies([*rows, *pay, go(25, "/", "link")])
    assert {"abandonment", "blocked"} <= {s["type"] for s in body["triggeringSignals"]}
