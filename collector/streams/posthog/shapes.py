"""The fields of PostHog's bodies that are read: a white list. All others are skipped while decoding, snapshots too."""

import msgspec


class CapturedProperties(msgspec.Struct, rename={
    "session": "$session_id", "window": "$window_id", "user": "$user_id", "url": "$current_url",
    "previous_path": "$prev_pageview_pathname", "library": "$lib", "library_version": "$lib_version",
    "event_type": "$event_type", "chain": "$elements_chain", "elements": "$elements", "text": "$el_text",
    "exceptions": "$exception_list", "exception_type": "$exception_type", "exception_message": "$exception_message",
    "dead_at": "$dead_click_event_timestamp", "snapshots": "$snapshot_data",
}):  # fmt: skip
    """`properties` of an event, of any types."""

    session: object = None
    window: object = None
    user: object = None
    url: object = None
    previous_path: object = None
    library: object = None
    library_version: object = None
    event_type: object = None
    chain: object = None
    elements: object = None
    text: object = None
    exceptions: object = None
    exception_type: object = None
    exception_message: object = None
    dead_at: object = None
    title: object = None
    navigation_type: object = None
    snapshots: msgspec.Raw = msgspec.Raw()


class Captured(msgspec.Struct):
    """One event of a body."""

    event: str
    uuid: object = None
    timestamp: object = None
    properties: CapturedProperties = msgspec.field(default_factory=CapturedProperties)


class Envelope(msgspec.Struct):
    """A body that is an object: a batch, or one event (``event`` is set)."""

    batch: list[msgspec.Raw] | None = None
    data: list[msgspec.Raw] | None = None
    event: msgspec.Raw = msgspec.Raw()
    sent_at: object = None


class Snapshot(msgspec.Struct):
    """One rrweb event: only its type is read. ``data`` is decoded for plugins (6) and pages (4) alone."""

    type: object = None
    data: msgspec.Raw = msgspec.Raw()


class PageData(msgspec.Struct):
    """`data` of rrweb's type 4."""

    href: object = None


class RequestPayload(msgspec.Struct, rename="camel"):
    """What the network plugin recorded."""

    requests: list[msgspec.Raw] = []
    is_initial: object = False


class PluginData(msgspec.Struct):
    """`data` of rrweb's type 6."""

    plugin: object = None
    payload: msgspec.Raw = msgspec.Raw()


class RecordedRequest(msgspec.Struct, rename="camel"):
    """One request; ``timestamp`` is its start in epoch milliseconds, ``duration`` in milliseconds."""

    name: object = None
    method: object = None
    status: object = None
    response_status: object = None
    initiator_type: object = None
    timestamp: object = None
    duration: object = None
    is_initial: object = False
