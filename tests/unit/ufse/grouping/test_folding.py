"""Folding is a pure function: folding again changes nothing, and hostile texts cost no more than their length."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ufse.grouping.controls import group_control
from ufse.grouping.errors import fold_message_text, fold_script
from ufse.grouping.labels import fold_label
from ufse.grouping.routes import fold_route
from ufse.patterns import fold_path

WORDS = st.sampled_from(
    """Pay Save Delete Anna Message 3 items (12) $12.00 12,99 € 2024-05-12 14:30 Order #8841 Mon May 'x' "y z" … now Jetzt
    bezahlen of 7 days @tom a@b.de https://a.b/c ⏳ cus_N8x7Kp2 99+""".split()  # noqa: SIM905
)
SEGMENTS = st.sampled_from(
    """de en-GB it hr bs IT api v1 users alice new Orders 8841 x7Kp2 PROJ-7 index.html index.php Default.aspx @bob blog
    how-to-bake %2541 %2F a;b=1 :id foo.html.html search red+shoes t acme zh_CN fr
    550e8400-e29b-41d4-a716-446655440000""".split()  # noqa: SIM905
)
TEXTS = st.one_of(st.text(max_size=120), st.lists(WORDS, max_size=8).map(" ".join))


@given(TEXTS)
def test_a_label_is_folded_once(text: str) -> None:
    folded = fold_label(text)
    assert fold_label(folded) == folded


@given(st.one_of(st.text(max_size=120), st.lists(SEGMENTS, max_size=7).map(lambda parts: "/" + "/".join(parts))))
def test_a_route_is_folded_once(text: str) -> None:
    folded = fold_route(fold_path(text))
    if not any(mark in text for mark in "[]{}<>$*(:"):
        assert fold_route(folded) == folded


@given(TEXTS)
def test_a_message_is_folded_once(text: str) -> None:
    folded = fold_message_text(text)
    assert fold_message_text(folded) == folded


@given(TEXTS, TEXTS, TEXTS)
def test_any_control_has_a_group(identity: str, selector: str, label: str) -> None:
    assert group_control("control", identity, selector, label) == group_control("control", identity, selector, label)


def test_entities_of_odata_are_told_apart_by_name_and_not_by_key() -> None:
    keys = (
        "Orders(42)",
        "orders(7)",
        "Orders('A 1')",
        "Orders(guid'0050568D-393C-1ED4-9D97-E65F0F3FCC23')",
        "Orders(:id)",
    )
    assert {fold_route(f"/odata/{key}") for key in keys} == {"/odata/orders(:id)"}
    assert {fold_route(fold_path(f"/odata/{key}")) for key in keys} == {"/odata/orders(:id)"}
    assert fold_route("/odata/Customers(42)") != fold_route("/odata/Orders(42)")
    assert fold_route("/titles/Alien_(film)") != fold_route("/titles/Alien_(game)")


HOSTILE = [
    "a(" * 50_000 + ")",
    "a(" + "b=" * 50_000 + ")",
    "a" * 100_000,
    "a1" * 50_000,
    "'" * 100_000,
    '"a' * 50_000,
    "12:" * 33_000,
    "1 " * 50_000,
    "/a" * 50_000,
    "." * 100_000,
    ":nth-child(" * 9_000,
    "[a=" * 33_000,
    "de/" * 33_000,
    "%25" * 33_000,
    "x is not a function " * 5_000,
    "a." * 50_000,
    "a-" * 50_000,
    "http://" * 14_000,
    "(" * 100_000,
    "12,5 of " * 12_000,
    "cannot read property '" * 4_500,
    "json.parse: unexpected token " * 3_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: text[:12])
def test_hostile_texts_are_folded_in_bounded_time(text: str) -> None:
    for fold in (fold_label, fold_message_text, fold_script, lambda t: fold_route(fold_path(t))):
        fold(text)
    group_control("control", text, text, text)
    # A pattern that backtracks without bound would not come to an end here.
