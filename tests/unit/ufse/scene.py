"""A small way to write sessions down: rows of EVENT_SCHEMA with everything unknown but what is said."""

from typing import Any
from uuid import UUID

import pyarrow as pa

from ufse import EVENT_SCHEMA, UNKNOWN_POSITION, Config, Detection, Result, detect

Row = dict[str, Any]
T0 = 1_705_312_800_000  # 2024-01-15T10:00:00Z
PAY = {"target_type": "button", "target_id": "pay", "target_label": "Pay now"}
FORM = {"target_type": "form", "target_id": "checkout-form"}
CARD = {"target_type": "input", "target_id": "card"}
_TRI = {n for n in EVENT_SCHEMA.names if EVENT_SCHEMA.field(n).type == pa.int8()}
_BLANK: Row = {
    n: "" if EVENT_SCHEMA.field(n).type == pa.string() else UNKNOWN_POSITION if n in ("x", "y") else -1
    for n in EVENT_SCHEMA.names
}


def event(t: float, kind: str, route: str = "/checkout", **values: Any) -> Row:
    """One event ``t`` seconds after T0."""
    ms = T0 + round(t * 1000)
    known = {
        "project": "p",
        "session_id": "s",
        "event_type": kind,
        "ts": ms,
        "received_ms": ms,
        "route": route,
    }
    return {**_BLANK, **known, "metadata": "{}", **values}


def click(t: float, target: Row | None = None, route: str = "/checkout", **values: Any) -> Row:
    return event(t, "click", route, **{**(PAY if target is None else target), **values})


def submit(t: float, route: str = "/checkout", **values: Any) -> Row:
    return event(t, "form_submit", route, **{**FORM, **values})


def typed(t: float, route: str = "/checkout", target: Row | None = None, **values: Any) -> Row:
    return event(t, "input", route, **{"action": "change", **(CARD if target is None else target), **values})


def answer(
    t: float, status: int, took: float = 0.2, url: str = "/api/orders", method: str = "POST", **values: Any
) -> Row:
    """A request that ended at ``t`` after ``took`` seconds."""
    return event(
        t,
        "network",
        **{"status": status, "duration_ms": round(took * 1000), "url": url, "method": method, **values},
    )


def error(t: float, message: str = "TypeError: x is undefined", kind: str = "javascript", **values: Any) -> Row:
    return event(t, "error", **{"message": message, "error_type": kind, **values})


def go(t: float, route: str, how: str = "link", **values: Any) -> Row:
    return event(t, "navigation", route, nav_type=how, **values)


def end(t: float, route: str = "/checkout") -> Row:
    return event(t, "session_end", route)


def table(rows: list[Row]) -> pa.Table:
    """A table of the rows; events without an identity get one from their place."""
    numbered = [{**r, "event_id": r["event_id"] or str(UUID(int=i + 1))} for i, r in enumerate(rows)]
    return pa.Table.from_pylist(numbered, schema=EVENT_SCHEMA)


def run(rows: list[Row], config: Config | None = None, *, why_not: bool = True) -> Result:
    return detect(table(rows), config or Config(), why_not=why_not)


def bodies(rows: list[Row], config: Config | None = None) -> list[Detection]:
    return [d.to_json() for d in run(rows, config).detections]


def signals(rows: list[Row], config: Config | None = None) -> set[str]:
    """Kinds of signals of all detections."""
    return {s["type"] for b in bodies(rows, config) for s in b["triggeringSignals"]}


def why(rows: list[Row], config: Config | None = None) -> str:
    """The rule at which the (only) visit fell."""
    return str(run(rows, config).why_not[0].to_json()["rule"])
