"""The fields of Amplitude's bodies that are read: a white list. All others are skipped while decoding."""

import msgspec


class TrackedProperties(msgspec.Struct, rename=lambda name: f"[Amplitude] {name.replace('_', ' ').title()}"):
    """`event_properties`, of any types. `page_url` and `url` have names of their own."""

    element_hierarchy: object = None
    element_tag: object = None
    element_text: object = None
    element_aria_label: object = None
    form_name: object = None
    page_title: object = None
    page_location: object = None
    previous_page_location: object = None
    request_method: object = None
    status_code: object = None
    completion_time: object = None
    duration: object = None
    kind: object = None
    message: object = None
    filename: object = None
    line_number: object = None
    column_number: object = None
    x: object = None
    y: object = None
    page_url: object = msgspec.field(default=None, name="[Amplitude] Page URL")
    url: object = msgspec.field(default=None, name="[Amplitude] URL")
    element_id: object = msgspec.field(default=None, name="[Amplitude] Element ID")
    form_id: object = msgspec.field(default=None, name="[Amplitude] Form ID")


class Tracked(msgspec.Struct):
    """One event; ``time`` and ``session_id`` (the session's start) in epoch milliseconds."""

    event_type: str
    time: object = None
    insert_id: object = None
    device_id: object = None
    session_id: object = None
    user_id: object = None
    library: object = None
    event_properties: msgspec.Raw = msgspec.Raw()


class Upload(msgspec.Struct):
    """A body."""

    events: list[msgspec.Raw]
    client_upload_time: object = None
