"""What is read of Datadog's RUM events. Fields that are not named here are skipped while decoding: a white list.

Source: @datadog/browser-rum-core 7.16.2 ``rawRumEvent.types.ts`` and rum-events-format. Times are epoch milliseconds (``date``:
the start), durations nanoseconds.
"""

from typing import Final

import msgspec

Number = int | float | None


class Session(msgspec.Struct):
    id: str = ""
    type: str = ""


class PageState(msgspec.Struct):
    """``start``: nanoseconds after the start of the view; negative where the state is older."""

    state: str = ""
    start: Number = None


class View(msgspec.Struct):
    id: str = ""
    url: str = ""
    referrer: str = ""
    loading_type: str = ""


class User(msgspec.Struct):
    id: str | int | None = None


class ActionTarget(msgspec.Struct):
    name: str = ""


class Frustration(msgspec.Struct):
    type: list[str] = []


class Action(msgspec.Struct):
    """Of an action: its own ``id``. Of other events: the ids of running actions, newest first; one in old SDKs."""

    id: str | list[str] = ""
    type: str = ""
    target: ActionTarget | None = None
    frustration: Frustration | None = None
    loading_time: Number = None


class Resource(msgspec.Struct):
    id: str = ""
    type: str = ""
    method: str | None = None
    status_code: Number = None
    url: str = ""
    duration: Number = None


class ErrorPart(msgspec.Struct):
    id: str = ""
    message: str = ""
    source: str = ""
    handling: str = ""
    stack: str | None = None


class LongTask(msgspec.Struct):
    id: str = ""
    duration: Number = None


class InnerTarget(msgspec.Struct):
    selector: str | None = None
    composed_path_selector: str | None = None


class Position(msgspec.Struct):
    x: Number = None
    y: Number = None


class InnerAction(msgspec.Struct):
    """``name_source``: where the target's name comes from; ``position``: within the target, CSS pixels."""

    target: InnerTarget | None = None
    position: Position | None = None
    name_source: str = ""


class Inner(msgspec.Struct):
    action: InnerAction | None = None
    page_states: list[PageState] | None = None


class RumEvent(msgspec.Struct):
    """One line of a body."""

    type: str
    date: int | float
    source: str = "browser"
    version: str | None = None
    ddtags: str | None = None
    session: Session | None = None
    view: View | None = None
    usr: User | None = None
    action: Action | None = None
    resource: Resource | None = None
    error: ErrorPart | None = None
    long_task: LongTask | None = None
    inner: Inner | None = msgspec.field(default=None, name="_dd")


class Head(msgspec.Struct):
    """The first look at a line: which kind it is. Its values have not been checked."""

    type: msgspec.Raw = msgspec.Raw(b"null")
    date: msgspec.Raw = msgspec.Raw(b"null")
    session: msgspec.Raw = msgspec.Raw(b"")
    application: msgspec.Raw = msgspec.Raw(b"")


EVENT_DECODER: Final = msgspec.json.Decoder(RumEvent)
HEAD_DECODER: Final = msgspec.json.Decoder(Head)
