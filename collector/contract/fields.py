"""The rules of single fields; each function raises ``Rejected`` when the value breaks a rule."""

from typing import Final, TypeAlias

from collector.contract.limits import (
    INT64,
    MAX_FIELD_SHOWN,
    MAX_IDEMPOTENCY_KEY,
    MAX_METADATA_BYTES,
    MAX_ROUTE,
    MAX_SESSION_ID,
    MAX_USER_ID,
)
from collector.contract.rows import ENCODER, Rejected
from collector.privacy import (
    cut,
    cut_query,
    cut_route,
    mask_metadata,
    mask_route,
    mask_small_metadata,
    mask_text,
)
from collector.privacy.cache import CACHED_LENGTH, Cache

Metadata: TypeAlias = tuple[dict[str, object], dict[str, object]]
"""As sent, and masked."""
_SMALL_METADATA: Final = MAX_METADATA_BYTES // 6
"""A character is at most six bytes of JSON: an object of so many characters need not be encoded to be measured."""
_ROUTES: Final = Cache(lambda route: mask_route(route)[:MAX_ROUTE])


def validate_session_id(value: object) -> str:
    if value is None or value == "":
        raise Rejected("sessionId", "is required")
    if not isinstance(value, str):
        raise Rejected("sessionId", "must be text")
    if len(value) > MAX_SESSION_ID or not value.isprintable():
        raise Rejected("sessionId", f"must be 1 to {MAX_SESSION_ID} printable characters")
    return value


def validate_route(value: object) -> str:
    if value is None or value == "":
        return ""  # unknown: the session's navigations name it (ufse/shapes.py)
    if type(value) is str and len(value) <= CACHED_LENGTH:
        return _ROUTES[value]
    if not isinstance(value, str):
        raise Rejected("route", "must be text")
    if len(value) > MAX_ROUTE:
        if len(cut_query(value)) > MAX_ROUTE:
            raise Rejected("route", f"is longer than {MAX_ROUTE} characters")
        value = cut(cut_route(value), MAX_ROUTE)
    return mask_route(value)[:MAX_ROUTE]


def validate_sequence(value: object) -> int:
    if type(value) is not int and type(value) is not float:
        raise Rejected("seq", "must be a number")
    if not 0 <= value <= INT64 or value != int(value):
        raise Rejected("seq", "must be a counter from 0 to 2^63 - 1")
    return int(value)


def validate_user_id(value: object) -> str:
    if isinstance(value, str):
        if len(value) > MAX_USER_ID:
            raise Rejected("userId", f"is longer than {MAX_USER_ID} characters")
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise Rejected("userId", "must be text")


def validate_idempotency_key(value: object) -> str:
    if not isinstance(value, str):
        raise Rejected("idempotencyKey", "must be text")
    if len(value) > MAX_IDEMPOTENCY_KEY:
        raise Rejected("idempotencyKey", f"is longer than {MAX_IDEMPOTENCY_KEY} characters")
    return value


def validate_target(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise Rejected("target", "must be an object")
    return value


def read_metadata(value: object) -> Metadata:
    """Valid metadata as sent, and masked."""
    if type(value) is dict and (masked := mask_small_metadata(value, _SMALL_METADATA)) is not None:
        return value, masked
    valid = validate_metadata(value)  # before it is masked: masking costs more than measuring
    return valid, mask_metadata(valid)


def validate_metadata(value: object) -> dict[str, object]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Rejected("metadata", "must be an object")
    length = 0
    for key, part in value.items():
        kind = type(part)
        if kind is str:
            length += len(part)
        elif kind is dict or kind is list:
            if not _is_position(part):
                raise Rejected(f"metadata.{_shorten_field_name(key)}", "must be a scalar or {x, y}")
            length += sum(len(inner) for inner in part.values() if isinstance(inner, str))
        # 64 covers a number, or the two of a position, with quotes and colons.
        length += len(key) + 64
    # A character is at most six bytes of JSON: only large objects must be encoded to be measured.
    if length * 6 > MAX_METADATA_BYTES and len(ENCODER.encode(value)) > MAX_METADATA_BYTES:
        raise Rejected("metadata", f"is larger than {MAX_METADATA_BYTES} bytes")
    return value


def _is_position(part: object) -> bool:
    return (
        isinstance(part, dict)
        and part.keys() <= {"x", "y"}
        and not any(isinstance(inner, dict | list) for inner in part.values())
    )


def _shorten_field_name(key: str) -> str:
    return mask_text(cut(key, MAX_FIELD_SHOWN))[:MAX_FIELD_SHOWN]
