"""A rejected item of Datadog's as it is kept, and the way back: `collector.streams.datadog.wire` says which fields it has."""

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from collector.streams.datadog.controls import find_control
from collector.streams.datadog.events import find_frame_text, is_taken_error, is_taken_label, read_tag
from collector.streams.datadog.wire import RumEvent
from collector.streams.kept import keep_address, keep_item, keep_shape, list_fields
from collector.streams.stream import WireEvent

_FIELDS: Final = list_fields(RumEvent)
_MAX_MESSAGE: Final = 2_048  # as of an event
_ENVIRONMENT: Final = "env:"
_ATTRIBUTE: Final = re.compile(
    r'\[(?!data-t|data-qa|data-cy|role=|type=|disabled)[A-Za-z-]*="(?:\\.|[^"\\])*"\]', re.DOTALL
)
_KIND: Final = "kind"
"""Name of a session's ``type`` in a letter."""
_ADDRESSES: Final = (("view", "url", "page"), ("view", "referrer", "before"), ("resource", "url", "asked"))
"""The object, its address, and the name of the address in a letter."""


def keep_line(line: bytes) -> WireEvent:
    """The letter's ``event`` of a line that was rejected; empty if it is no JSON object.

    ``digest`` identifies an item without an id as if it had been accepted when it came.
    """
    try:
        raw = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    item = keep_shape(raw, _FIELDS)
    if not isinstance(item, dict):
        return {}
    session, user = _part(item, "session").pop("id", ""), _part(item, "usr").pop("id", "")
    if "type" in (kind := _part(item, "session")):  # whatever stands under `session` is masked as a secret
        item[_KIND] = kind.pop("type")
    _keep_places(item)
    _keep_error(_part(item, "error"))
    _keep_control(item)
    tag = read_tag(str(item.pop("ddtags", "")), _ENVIRONMENT)
    kept = keep_item("datadog", item | ({"ddtags": _ENVIRONMENT + tag} if tag else {}), session, user)
    return kept | {"digest": digest_line(line)}


def digest_line(line: bytes) -> str:
    """Identifies an item without an id."""
    return hashlib.sha256(line).hexdigest()[:32]


def restore_line(kept: Mapping[str, Any]) -> bytes:
    """The line of an item that `keep_line` has kept and a letter has masked."""
    item: dict[str, Any] = dict(kept["item"])
    for place, name, known in _ADDRESSES:
        if known in (part := _part(item, place)):
            part[name] = part[known]
    target = _part(_part(_part(item, "_dd"), "action"), "target")
    if isinstance(path := target.get("composed"), dict):
        target["composed_path_selector"] = path.get("selector")
    outside = (("session", "type", item, _KIND), ("session", "id", kept, "sessionId"), ("usr", "id", kept, "userId"))
    for place, name, holder, known in outside:
        if known in holder and isinstance(item.setdefault(place, {}), dict):
            item[place] = {**item[place], name: holder[known]}
    return msgspec.json.encode(item)


def _part(item: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The object of that name, or an empty one."""
    part = item.get(name)
    return part if isinstance(part, dict) else {}


def _keep_places(item: dict[str, Any]) -> None:
    """Addresses keep their origin: so they stand under names that are not masked as those of paths."""
    for place, name, known in _ADDRESSES:
        if name in (part := _part(item, place)):
            part[known] = keep_address(part.pop(name))


def _keep_error(error: dict[str, Any]) -> None:
    """Messages of the console and of errors that were handled never pass; of a stack only the frame that is read."""
    if "stack" in error and isinstance(error["stack"], str):
        error["stack"] = find_frame_text(error["stack"])
    if isinstance(error.get("message"), str):
        error["message"] = error["message"][:_MAX_MESSAGE]
    if not is_taken_error(error.get("source", ""), error.get("handling", "")):
        error.pop("message", None)
        error.pop("stack", None)


def _keep_control(item: dict[str, Any]) -> None:
    """A selector without attributes of the page; the text of an element only where it is the label of a control."""
    inner = _part(_part(item, "_dd"), "action")
    where, named = _part(inner, "target"), _part(_part(item, "action"), "target")
    path, plain = (where.get(name) for name in ("composed_path_selector", "selector"))
    control = find_control(path if isinstance(path, str) else None, plain if isinstance(plain, str) else None)
    if control is None or not is_taken_label(control, str(named.get("name", "")), str(inner.get("name_source", ""))):
        named.pop("name", None)
    if inner.get("name_source", "") not in ("", "text_content"):
        inner["name_source"] = "other"
    if isinstance(plain, str):
        where["selector"] = _ATTRIBUTE.sub("", plain)
    if isinstance(path, str):  # the name is masked as that of a selector
        where["composed"] = {"selector": _ATTRIBUTE.sub("", where.pop("composed_path_selector"))}
