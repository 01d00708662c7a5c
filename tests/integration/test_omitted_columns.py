"""A row of the spool omits what is unknown; the event store fills in the same values as the row's own defaults."""

import msgspec

from collector.contract import Row, SpoolRow
from stores.events.event_store import EventStore


def test_every_omitted_column_has_the_rows_own_default(event_store: EventStore) -> None:
    bare = SpoolRow("shop", "s-1", "00000000-0000-0000-0000-000000000001", "hover", 1, 2, 1_700_000_000_000, "", "/")
    line = msgspec.json.encode(bare)
    omitted = [field.name for field in msgspec.structs.fields(SpoolRow) if field.default is not msgspec.NODEFAULT]
    assert omitted
    assert not msgspec.json.decode(line).keys() & set(omitted)
    event_store.land_segment(line + b"\n", "token")
    names = ", ".join(omitted)
    stored = event_store.query_arrow(f"SELECT {names} FROM events").to_pylist()[0]
    assert stored == {name: getattr(bare, name) for name in omitted}


def test_a_row_with_every_column_lands_as_before(event_store: EventStore) -> None:
    whole = Row(
        "shop",
        "s-1",
        "00000000-0000-0000-0000-000000000001",
        "click",
        1,
        2,
        1_700_000_000_000,
        "",
        "/",
        x=0,
        responded=0,
    )
    line = msgspec.json.encode({name: getattr(whole, name) for name in Row.__struct_fields__})
    event_store.land_segment(line + b"\n", "token")
    stored = event_store.query_arrow("SELECT x, y, responded, disabled, status FROM events").to_pylist()[0]
    assert stored == {"x": 0, "y": -(2**31), "responded": 0, "disabled": -1, "status": -1}
