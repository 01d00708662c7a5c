"""Dead letters of items that no adapter could read: they are read again, by the adapter as it is now."""

from collections.abc import Iterator, Mapping
from typing import Any

from collector.streams.conversion import reread_letter
from collector.streams.registry import STREAMS
from collector.streams.stream import UnreadableBody
from furrow.clients.access_log import ParsedLine

_SENDER = ("sdkVersion", "userAgent")


def read_letter_item(number: int, kept: Mapping[str, Any], project: str) -> Iterator[ParsedLine]:
    """The events of the item in line ``number``, or its reason if it is rejected again."""
    stream = next((known for known in STREAMS if known.name == kept["stream"]), None)
    if stream is None:
        yield ParsedLine(number, None, "is of an unknown stream")
        return
    try:
        reading = reread_letter(stream, kept)
    except UnreadableBody as reason:
        yield ParsedLine(number, None, f"{stream.name}: {reason}")
        return
    sender = {name: kept[name] for name in _SENDER if isinstance(kept.get(name), str)}
    for event in reading.events:
        yield ParsedLine(number, sender | event, project=project)
    for reject in reading.rejects:
        yield ParsedLine(number, None, f"{stream.name}.{reject.field}: {reject.reason}")
    if not reading.events and not reading.rejects:
        yield ParsedLine(number, None, f"is not for Furrow: {', '.join(reading.ignored) or 'nothing in it'}")


def describe_cut_letter(event: Mapping[str, Any]) -> str:
    """Why a letter cannot be sent again, with what was cut of it."""
    cut = event.get("cut")
    named = ", ".join(map(str, cut)) if isinstance(cut, list) else ""
    return "was truncated because it was too large to keep" + (f" ({named})" if named else "")
