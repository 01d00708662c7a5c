"""What is kept of an item that an adapter cannot read: the fields of its white list, so that it can be read again.

A letter of such an item is ``{stream, item, sessionId, userId}``. Values of a wrong type stay of a wrong type, but only numbers
and times keep their content: what else stands in such a place is not known.
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import msgspec
from msgspec import inspect

from collector.privacy import mask_route
from collector.streams.lenient import read_origin
from collector.streams.stream import WireEvent

MAX_TEXT: Final = 16_384
"""Characters of a text that is kept; what is longer is cut, and the letter names it."""
MAX_KEPT: Final = 500
"""Items of one body that are kept so; of more only the reason is kept: a letter costs more than an item that is skipped."""
MAX_DEPTH: Final = 12
_MAX_NAMED: Final = 20  # places that a letter names as cut
_TEXT: Final = "[text]"
_NUMBER_OR_TIME: Final = re.compile(r"-?[0-9][0-9.:TZ+eE-]{0,39}|true|false")
_NO_ADDRESS: Final = "http://["  # as unreadable as what was sent
_SESSION, _USER = "sessionId", "userId"


def list_fields(shape: type[msgspec.Struct]) -> inspect.StructType:
    """The description of ``shape`` that `keep_shape` reads."""
    found = inspect.type_info(shape)
    assert isinstance(found, inspect.StructType)
    return found


def keep_shape(value: object, shape: inspect.Type, depth: int = 0) -> object:
    """The part of a decoded ``value`` that ``shape`` names."""
    types = shape.types if isinstance(shape, inspect.UnionType) else (shape,)
    for known in types if depth < MAX_DEPTH else ():
        if isinstance(known, inspect.StructType) and isinstance(value, dict):
            fields = {field.encode_name: field.type for field in known.fields}
            return {name: keep_shape(part, fields[name], depth + 1) for name, part in value.items() if name in fields}
        if isinstance(known, inspect.ListType) and isinstance(value, list):
            return [keep_shape(part, known.item_type, depth + 1) for part in value]
        if isinstance(known, inspect.StrType) and isinstance(value, str):
            return value
    return keep_value(value)


def keep_value(value: object) -> object:
    """A value of a type that was not expected, or a number."""
    if isinstance(value, dict):
        return {}
    if isinstance(value, list):
        return []
    if isinstance(value, str):
        return value if _NUMBER_OR_TIME.fullmatch(value) else _TEXT
    if isinstance(value, int) and abs(value) >= 2**63:
        return 1e300 if value > 0 else -1e300
    return value


def keep_address(url: object) -> object:
    """An address without query, its path masked. The origin stays: it tells a page's own requests from others."""
    if not isinstance(url, str):
        return keep_value(url)
    try:
        urlsplit(url)
    except ValueError:
        return _NO_ADDRESS
    return read_origin(url) + mask_route(url) if url else ""


def keep_item(stream: str, item: object, session: object, user: object) -> WireEvent:
    """The letter's ``event`` of an item. ``session`` and ``user`` stand outside it: they are masked as those of an event."""
    kept: WireEvent = {"stream": stream, "item": item}
    if isinstance(session, str) and session:
        kept[_SESSION] = session
    if isinstance(user, str | int) and not isinstance(user, bool) and user != "":
        kept[_USER] = str(user)
    return kept


def is_kept_item(kept: Mapping[str, object]) -> bool:
    """Whether the ``event`` of a letter is an item of a stream that is to be read again."""
    return isinstance(kept.get("stream"), str) and isinstance(kept.get("item"), dict)


def bound_texts(kept: WireEvent) -> WireEvent:
    """``kept`` with its long texts cut. Then it is marked as truncated, and ``cut`` names what was cut and its length."""
    cut: list[str] = []
    bounded = _bound(kept, "", cut)
    assert isinstance(bounded, dict)
    return {**bounded, "truncated": True, "cut": cut[:_MAX_NAMED]} if cut else bounded


def _bound(value: object, place: str, cut: list[str]) -> object:
    if isinstance(value, dict):
        return {name: _bound(part, f"{place}.{name}" if place else name, cut) for name, part in value.items()}
    if isinstance(value, list):
        return [_bound(part, place, cut) for part in value]
    if isinstance(value, str) and len(value) > MAX_TEXT:
        cut.append(f"{len(value)} characters of {place}")
        return value[:MAX_TEXT]
    return value
