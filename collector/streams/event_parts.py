"""Parts of events that several streams make alike."""

from collections.abc import Mapping

from collector.contract.page_titles import UNKNOWN, find_title_status
from collector.streams.controls import Control
from collector.streams.lenient import read_route, read_text
from collector.streams.stream import WireEvent


class Unneeded(Exception):
    """This item is not for Furrow; its text is a fixed name of the kind."""


def make_action(kind: str, control: Control | None, metadata: Mapping[str, object]) -> WireEvent:
    """What a person did, of the event type ``kind``."""
    event: WireEvent = {"eventType": kind, "metadata": dict(metadata)}
    if control is not None:
        event["target"] = control.target
    return event


def make_page_view(title: object, previous: object, navigation_type: str = "") -> WireEvent:
    """A page. Its title passes only if it is a server's own error page; ``previous``: the address before it."""
    metadata: WireEvent = {"navigationType": navigation_type} if navigation_type else {}
    if origin := read_route(previous):
        metadata["from"] = origin
    if find_title_status(title) != UNKNOWN:
        metadata["title"] = read_text(title, 80)
    return {"eventType": "navigation", "metadata": metadata}


def make_error(kind: str, message: str, frame: str, *, promise: bool) -> WireEvent:
    """An uncaught error; ``frame``: ``file:line:column`` or empty."""
    text = f"{kind}: {message}" if kind and message and not message.startswith(kind) else message or kind
    metadata: WireEvent = {"errorType": "promise" if promise else "javascript", "message": text}
    if frame:
        metadata["frame"] = frame
    return {"eventType": "error", "metadata": metadata}


def make_frame(file: object, line: float | None, column: float | None) -> str:
    """``file:line:column`` without the query of the file's address; '' where file or line are unknown."""
    name = read_text(file, 400).partition("?")[0].partition("#")[0]
    return f"{name}:{int(line)}:{int(column or 0)}" if name and line is not None else ""
