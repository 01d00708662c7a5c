"""Pages of a hash router are pages: routes, ids in them, flows and background (docs/contracts/events.md)."""

from pathlib import Path
from typing import Any

import pytest

from collector.contract import normalise_batch, read_events
from collector.privacy import mask_metadata, mask_route
from tests.unit.ufse.scene import Row, answer, bodies, click, end, go, why
from ufse import detect
from ufse.patterns import find_flow_name, fold_path

FOUND = Path(__file__).parents[3] / "data" / "found"
SAVE = {"target_type": "button", "target_id": "save"}


def save(t: float, route: str, status: int = 500, url: str = "/api/orders") -> list[Row]:
    return [click(t, SAVE, route=route), answer(t + 0.4, status, url=url, route=route)]


def test_one_failure_on_each_of_two_hash_pages_is_no_retry() -> None:
    events, rejects = read_events(FOUND / "10a-hash-pages-merged.jsonl")
    assert not rejects
    assert detect(events).detections == []


@pytest.mark.parametrize("mark", ["#", "#!"])
@pytest.mark.parametrize("base", ["/", "/app", "/index.html"])
def test_the_pages_of_any_hash_router_are_judged_apart(base: str, mark: str) -> None:
    first, second, third = (f"{base}{mark}/{name}" for name in ("a", "b", "c"))
    rows = [*save(5, first), go(9, second), *save(15, second), go(19, third), *save(25, third, 201, "/api/c")]
    assert bodies([*rows, end(60, third)]) == []


def test_retries_on_one_hash_page_are_found_and_its_ids_are_folded() -> None:
    rows = [e for t in (5, 14, 23) for e in save(t, "/#/orders/8841/edit")]
    (body,) = bodies([*rows, end(30, "/#/orders/8841/edit")])
    assert body["primaryFailurePoint"] == "/#/orders/:id/edit › button#save › POST /api/orders → 500"


def test_leaving_a_hash_page_for_another_flow_is_leaving() -> None:
    failing = [e for t in (5, 45) for e in save(t, "/#/checkout")]
    (body,) = bodies([*failing, go(55, "/#/help"), end(70, "/#/help")])
    assert "abandonment" in {s["type"] for s in body["triggeringSignals"]}


def test_anchors_stay_on_their_page() -> None:
    rows = [e for t, place in ((5, "#top"), (14, "#pay"), (23, "#!pay")) for e in save(t, f"/checkout{place}")]
    (body,) = bodies([*rows, end(30)])
    assert body["failurePoint"]["route"] == "/checkout"


def test_polling_on_hash_pages_is_background() -> None:
    rows = [e for t, page in ((5, "a"), (14, "b"), (23, "c")) for e in save(t, f"/#/{page}")]
    moves = [go(9, "/#/b"), go(19, "/#/c")]
    assert why([*rows, *moves, end(60, "/#/c")]) in {"background", "no_behavioural_signal", "below_high"}


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("/#/orders/7", "/#/orders/7"),
        ("/#!/orders/7?tab=2", "/#!/orders/7"),
        ("https://shop.example/app?utm=1#/orders/7?token=abc", "/app#/orders/7"),
        ("#/orders", "/#/orders"),
        ("/a#section", "/a"),
        ("/a#!section", "/a"),
        ("/#/", "/"),
        ("/app#/", "/app"),
        ("/#/a#b", "/#/a"),
        ("/#/a&id_token=b", "/#/a"),
        ("/#/access_token=abc.def&state=x", "/"),
        ("/#/heroes;token=abc", "/#/heroes"),
        ("/#/users/bob@example.com/edit", "/#/users/:email/edit"),
        ("/#/users/bob%40example.com", "/#/users/:email"),
        ("/#/pay/4111111111111111", "/#/pay/:card"),
        ("/#/reset/Abc123Def456x", "/#/reset/:token"),
        ("/reset#/Abc123Def456x", "/reset#/:token"),
        ("/x&#64;example.com", "/:email"),
    ],
)
def test_the_page_of_a_hash_router_is_kept_and_masked(sent: str, stored: str) -> None:
    assert mask_route(sent) == stored
    assert mask_route(stored) == stored
    assert mask_metadata({"from": sent}) == {"from": stored}


def normalise(route: str, **values: Any) -> Any:
    event = {"eventType": "click", "timestamp": 1_700_000_000_000, "sessionId": "s", "route": route, **values}
    return normalise_batch({"events": [event]}, project="p", received_ms=1_700_000_000_000, salt=b"s")


def test_a_long_page_is_cut_and_its_event_is_kept() -> None:
    (row,) = normalise("/#/" + "a/" * 600).rows
    assert row.route.startswith("/#/a/a/")
    assert len(row.route) <= 512
    (reject,) = normalise("/" + "a" * 513 + "#/x").rejects
    assert reject.field == "route"


def test_the_identity_of_an_event_is_of_the_event_as_sent() -> None:
    """A client that sends again after an upgrade must not double its events: these ids are those of version 5."""
    assert normalise("/#/a").rows[0].event_id == "3a144adb-2387-2dfe-0416-5310c7ccfeb9"


def test_patterns_and_flows_of_hash_pages() -> None:
    assert fold_path("/app/#/orders/8841") == fold_path("/app#/orders/9902/?x=1") == "/app/#/orders/:id"
    assert fold_path("/orders/8841#top") == "/orders/:id"
    assert [find_flow_name(fold_path(r)) for r in ("/#/orders/8841", "/x/#!/app/orders", "/#/", "/#/a")] == [
        "orders",
        "orders",
        "",
        "a",
    ]
