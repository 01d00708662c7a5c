"""Rules that a project's own routes show: deterministic, and the same in any order."""

import random

import pytest

from tests.unit.ufse.scene import answer, click, end, go, table
from ufse import detect, learn_history
from ufse.grouping.learned import NO_RULES, PARAMETER_VALUES, RouteRules, is_place, learn_rules
from ufse.grouping.routes import fold_route, split_route


def values(count: int, pattern: str) -> list[list[str]]:
    names = [f"{a}{b}{c}" for a in "bcdfglmnpr" for b in "aeiou" for c in "lmnst"]
    return [split_route(pattern.replace("*", name)) for name in names[:count]]


@pytest.mark.parametrize(("count", "folded"), [(5, False), (PARAMETER_VALUES - 1, False), (PARAMETER_VALUES, True)])
def test_a_place_with_many_values_holds_a_parameter(count: int, folded: bool) -> None:
    rules = learn_rules(values(count, "/shop/*/orders"))
    assert fold_route("/shop/unheard/orders", rules) == ("/shop/:id/orders" if folded else "/shop/unheard/orders")


def test_places_behind_a_parameter_are_joined() -> None:
    routes = [split_route(f"/{tenant[0]}/area/{area[0]}") for tenant in values(120, "*") for area in values(2, "*")]
    rules = learn_rules(routes)
    assert rules.places == {"/*": "parameter"}
    assert fold_route("/acme/area/north", rules) == "/:id/area/north"


def test_the_order_does_not_matter() -> None:
    routes = [*values(150, "/a/*"), *values(120, "/*/b"), split_route("/it/b"), split_route("/de/b")]
    mixed = random.Random(1).sample(routes, len(routes))
    assert learn_rules(routes) == learn_rules(mixed) == learn_rules([*mixed, *routes])


def test_what_was_learned_stays() -> None:
    known = RouteRules({"/shop/*": "parameter"})
    assert learn_rules(values(3, "/shop/*"), known).places == {"/shop/*": "parameter"}


def test_a_reserved_segment_is_no_value() -> None:
    rules = learn_rules(values(150, "/shop/*"))
    assert fold_route("/shop/new", rules) == "/shop/new"
    assert fold_route("/shop/settings", rules) == "/shop/settings"


def test_templates_win() -> None:
    rules = learn_rules(values(150, "/shop/*"))
    assert fold_route("/shop/[tenant]/orders", rules) == "/shop/:id/orders"
    assert fold_route("/users/alice/:tab", NO_RULES) == "/users/alice/:id"


def test_what_can_be_a_place() -> None:
    assert is_place("/shop/*", "parameter")
    assert not is_place("/shop", "name")
    assert is_place("it", "word")
    assert not is_place("/it/*", "locale")


def test_rules_change_the_fingerprint_and_keep_the_older_ones() -> None:
    def visit(session: str, route: str) -> list[dict[str, object]]:
        rows = [
            go(0, "/start"),
            *(r for i in range(5) for r in (click(10 + i, route=route), answer(10.2 + i, 500, route=route))),
        ]
        return [{**row, "session_id": session} for row in [*rows, go(20, "/home"), end(25, "/home")]]

    both = table([*visit("a", "/shop/acme/pay"), *visit("b", "/shop/globex/pay")])
    plain = [d.to_json() for d in detect(both).detections]
    others = [
        {**go(n, "/shop/" + route[1] + "/pay"), "session_id": f"c{n}"} for n, route in enumerate(values(150, "/shop/*"))
    ]
    learned = [d.to_json() for d in detect(both, history=learn_history(table(others))).detections]
    assert len({body["fingerprint"] for body in plain}) == 2
    assert len({body["fingerprint"] for body in learned}) == 1
    assert sorted(body["fingerprint"] for body in plain) == sorted(body["olderFingerprints"][-1] for body in learned)
    assert [body["detectionId"] for body in plain] == [body["detectionId"] for body in learned]
