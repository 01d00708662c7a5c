"""What the routes of a project show is learned from new routes, kept, shown, and decided by people."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from core.errors import PermanentError
from stores.incidents.incident_store import IncidentStore
from ufse.grouping.routes import fold_route, split_route


@pytest.fixture
def store(postgres_url: str) -> Iterator[IncidentStore]:
    store = IncidentStore.connect(postgres_url)
    store.migrate()
    yield store
    store.close()


def tenants(first: int, last: int) -> list[list[str]]:
    names = [f"{a}{b}lon" for a in "bcdfghjklmnprstvwz" for b in "aeiou" for _ in "x"]
    more = [f"{a}{b}ter" for a in "bcdfghjklmnprstvwz" for b in "aeiou"]
    return [split_route(f"/shop/{name}/orders") for name in [*names, *more][first:last]]


def count_rows(url: str) -> int:
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT count(*) FROM project_routes").fetchone()[0]  # type: ignore[index]


def test_hundreds_of_values_are_a_parameter_and_five_are_names(store: IncidentStore, postgres_url: str) -> None:
    sections = [split_route(f"/section/{name}") for name in ("sport", "culture", "travel", "money", "local")]
    few = store.routes.learn_routes({"shop": [*tenants(0, 60), *sections]})["shop"]
    assert fold_route("/shop/bolon/orders", few) == "/shop/bolon/orders"
    # The rest comes later: the rules are the same as if all had come at once.
    many = store.routes.learn_routes({"shop": tenants(60, 140)})["shop"]
    assert fold_route("/shop/unheard/orders", many) == "/shop/:id/orders"
    assert fold_route("/section/sport", many) == "/section/sport"
    assert [(rule.place, rule.kind, rule.decided_by) for rule in store.routes.list_rules("shop")] == [
        ("/shop/*", "parameter", None)
    ]
    # Values of a parameter are not kept, and new ones add nothing.
    kept = count_rows(postgres_url)
    assert kept == 6
    store.routes.learn_routes({"shop": tenants(140, 180)})
    assert count_rows(postgres_url) == kept
    assert store.routes.read_rules(["shop", "blog"]) == {"shop": many}


def test_a_decision_of_a_person_wins(store: IncidentStore) -> None:
    store.routes.decide_rule("shop", "/shop/*", "name", "eve")
    store.routes.decide_rule("shop", "it", "word", "eve")
    rules = store.routes.learn_routes({"shop": [*tenants(0, 180), split_route("/it/a"), split_route("/de/a")]})["shop"]
    assert fold_route("/shop/bolon/orders", rules) == "/shop/bolon/orders"
    assert fold_route("/it/a", rules) == "/it/a"
    assert store.routes.forget_rule("shop", "it")
    assert not store.routes.forget_rule("shop", "it")
    again = store.routes.learn_routes({"shop": [split_route("/fr/b")]})["shop"]
    assert fold_route("/it/a", again) == "/a"
    with pytest.raises(PermanentError, match="no place"):
        store.routes.decide_rule("shop", "shop", "parameter", "eve")


def test_locale_or_department(store: IncidentStore) -> None:
    offices = [split_route(f"/{name}/requests") for name in ("finance", "legal", "hr", "it")]
    rules = store.routes.learn_routes({"desk": offices, "shop": [split_route("/it/cart"), split_route("/de/cart")]})
    assert fold_route("/it/requests", rules["desk"]) == "/it/requests"
    assert fold_route("/it/cart", rules["shop"]) == "/cart"
    assert {(rule.place, rule.kind) for rule in store.routes.list_rules("desk")} == {("it", "word"), ("hr", "word")}


def test_learners_at_once_learn_the_same(store: IncidentStore) -> None:
    parts = [tenants(n * 30, n * 30 + 30) for n in range(6)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda part: store.routes.learn_routes({"shop": part}), parts))
    assert [(rule.place, rule.kind) for rule in store.routes.list_rules("shop")] == [("/shop/*", "parameter")]


def test_routes_beyond_the_limit_are_not_kept(
    store: IncidentStore, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stores.incidents.project_routes.MOST_ROUTES", 10)
    store.routes.learn_routes({"shop": tenants(0, 60)})
    store.routes.learn_routes({"shop": tenants(60, 120)})
    assert count_rows(postgres_url) == 10
