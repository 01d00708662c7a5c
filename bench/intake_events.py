"""Bodies of batches as a browser sends them, with a mark where each request puts its own session id."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

Event = dict[str, Any]

MARK: Final = "@@SESSION@@"
"""Stands where each request writes a session id that no other request has."""
_PAGES: Final = ("/", "/shop", "/shop/shoes", "/cart", "/checkout", "/account/orders", "/help/returns", "/search")
_CONTROLS: Final = (
    ("button", "pay", "Pay now"),
    ("button", "add-to-cart", "Add to cart"),
    ("link", "", "Continue shopping"),
    ("input", "zip", "ZIP code"),
    ("select", "size", "Size"),
    ("button", "", "Show more reviews"),
)
_CALLS: Final = ("/api/cart", "/api/orders/{n}", "/api/products/{n}/reviews", "/api/search", "/api/session", "/graphql")


def make_bodies(number: int, events: int, seed: int = 7) -> list[str]:
    """``number`` request bodies of ``events`` events each, of one session each: clicks, requests, scrolling, input, and so on
    in a fixed mix. Times are just before now, one to 900 ms apart."""
    chance = random.Random(seed)
    return [json.dumps(_make_batch(chance, events), separators=(",", ":")) for _ in range(number)]


def _make_batch(chance: random.Random, events: int) -> dict[str, Any]:
    at = datetime.now(UTC) - timedelta(seconds=events)
    made: list[Event] = []
    for sequence, event in zip(range(events), _walk_through_shop(chance), strict=False):
        at += timedelta(milliseconds=chance.randint(1, 900))
        stamp = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        made.append({**event, "timestamp": stamp, "sessionId": MARK, "seq": sequence})
    return {"events": made, "sdkVersion": "1.0.0", "appVersion": "2024.11.3", "environment": "production"}


def _walk_through_shop(chance: random.Random) -> Iterator[Event]:
    """Events without time and session, without end."""
    route = chance.choice(_PAGES)
    while True:
        kind = chance.choices(("act", "scroll", "input", "hover", "go"), (40, 20, 15, 10, 8))[0]
        if kind == "act":
            yield from _click_and_request(chance, route)
        elif kind == "scroll":
            depth = {"depth": chance.randint(0, 100), "direction": chance.choice(("up", "down"))}
            yield {"eventType": "scroll", "route": route, "metadata": depth}
        elif kind == "input":
            metadata = {"action": chance.choice(("focus", "change", "blur")), "fieldType": "text"}
            target = {"type": "input", "id": "zip", "tagName": "INPUT", "label": "ZIP code"}
            yield {"eventType": "input", "route": route, "target": target, "metadata": metadata}
        elif kind == "hover":
            yield {"eventType": "hover", "route": route, "target": _choose_control(chance)}
        else:
            before, route = route, chance.choice(_PAGES)
            metadata = {"from": before, "navigationType": "push"}
            yield {"eventType": "navigation", "route": route, "metadata": metadata}


def _click_and_request(chance: random.Random, route: str) -> Iterator[Event]:
    name = f"e{chance.getrandbits(40):x}"
    where = {"x": chance.randint(0, 1900), "y": chance.randint(0, 1000), "inputMethod": "mouse", "responded": True}
    target = _choose_control(chance)
    yield {"eventType": "click", "route": route, "target": target, "metadata": where, "eventId": name}
    answer = {
        "method": chance.choice(("GET", "POST")),
        "url": chance.choice(_CALLS).format(n=chance.randint(1, 99_999)),
        "status": chance.choices((200, 204, 422, 500), (80, 10, 5, 5))[0],
        "durationMs": chance.randint(5, 2_000),
    }
    yield {"eventType": "network", "route": route, "metadata": answer, "cause": name}
    if not chance.randrange(40):
        problem = {
            "errorType": "javascript",
            "message": f"Cannot read properties of undefined (reading '{chance.choice(('total', 'items', 'id'))}')",
            "source": "https://shop.example/assets/app.3f9c2b1.js",
            "frame": f"https://shop.example/assets/app.3f9c2b1.js:1:{chance.randint(1, 90_000)}",
        }
        yield {"eventType": "error", "route": route, "metadata": problem, "cause": name}


def _choose_control(chance: random.Random) -> Event:
    kind, name, label = chance.choice(_CONTROLS)
    target = {"type": kind, "tagName": kind.upper(), "label": label, "selector": f"main > div.card > {kind}"}
    return target | ({"id": name} if name else {})
