"""Fills the columns of each event type."""

import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, Final

from collector.contract.limits import (
    INT64,
    MAX_CLICKS,
    MAX_EVENT_ID,
    MAX_EVENT_IDS,
    MAX_LABEL,
    MAX_NAME,
    MAX_SPAN_MS,
    MAX_TEXT,
    UNKNOWN_POSITION,
)
from collector.contract.rows import Row
from collector.privacy import (
    cut,
    cut_query,
    cut_route,
    mask_name,
    mask_path,
    mask_route,
    mask_source,
    mask_text,
    mask_version,
)

_POINTERS: Final = frozenset({"mouse", "touch", "keyboard"})
_ACTIONS: Final = frozenset({"focus", "change", "blur"})
_DIRECTIONS: Final = frozenset({"up", "down"})
_NAVIGATIONS: Final = frozenset({"link", "push", "replace", "back_forward", "reload"})
_ERRORS: Final = frozenset({"javascript", "promise", "resource", "validation"})
_KINDS: Final = frozenset({"slow_response", "long_task", "page_load"})
_LOADING: Final = frozenset({"start", "end"})
_VISIBILITY: Final = frozenset({"hidden", "visible"})
_VERDICTS: Final = frozenset({"rage", "dead", "slow", "error"})
_INT32: Final = 2**31 - 1
_TRUTHS: Final = {"true": 1, "false": 0}
_NUMBER: Final = re.compile(r"\s*[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d{1,3})?\s*", re.ASCII)
_NUMBER_LENGTH: Final = 32
_JOINER: Final = "\u200d"
_LONGEST_CHARACTER: Final = 24  # code points of an emoji with joined parts, or of a letter with its accents


def _tristate_value(value: object) -> int:
    if isinstance(value, str):
        return _TRUTHS.get(value.strip().lower(), -1)
    return (1 if value else 0) if isinstance(value, bool) else -1


def _bounded_number(value: object, low: int, high: int, unknown: int = -1) -> int:
    kind = type(value)
    if kind is str:
        value = _parse_number(value)  # type: ignore[arg-type]
    elif kind is not int and kind is not float:
        return unknown
    return int(value) if low <= value <= high else unknown  # type: ignore[operator,call-overload]


def _parse_number(text: str) -> float:
    """The number that a text holds and nothing else (``"500"``, ``" 2150.5 "``); else NaN, which is within no bounds."""
    return float(text) if len(text) <= _NUMBER_LENGTH and _NUMBER.fullmatch(text) else math.nan


def _allowed_word(value: object, allowed: frozenset[str]) -> str:
    if not isinstance(value, str) or value in allowed:
        return value if isinstance(value, str) else ""
    word = value.strip().lower() if len(value) <= _NUMBER_LENGTH else ""
    return word if word in allowed else ""


def cut_label(text: str) -> str:
    """The first ``MAX_LABEL`` characters of ``text``; a letter keeps its accents, and an emoji its parts."""
    if len(text) <= MAX_LABEL:
        return text
    at = MAX_LABEL
    while at > MAX_LABEL - _LONGEST_CHARACTER and (_continues(text[at]) or text[at - 1] == _JOINER):
        at -= 1
    return text[:at]


def _continues(character: str) -> bool:
    """Whether ``character`` belongs to the one before it: an accent, a joiner, a variant, a colour of skin."""
    return unicodedata.category(character) in ("Mn", "Me", "Mc") or character == _JOINER or "🏻" <= character <= "🏿"


def normalise_name(value: object) -> str:
    """A short text (an id, a selector), masked and cut to its limit. An integer becomes text; other types become ''."""
    if type(value) is str:
        return mask_name(value if len(value) <= MAX_NAME else cut(value, MAX_NAME))[:MAX_NAME]
    return mask_name(str(value)) if type(value) is int and abs(value) < INT64 else ""


def normalise_version(value: object) -> str:
    """As `normalise_name`, for versions: four numbers with dots are not an address."""
    if type(value) is str:
        return mask_version(value if len(value) <= MAX_NAME else cut(value, MAX_NAME))[:MAX_NAME]
    return normalise_name(value)


def fill_target_columns(row: Row, target: Mapping[str, Any]) -> None:
    get = target.get
    if (value := get("type")) is not None:
        row.target_type = normalise_name(value)
    if (value := get("id")) is not None:
        row.target_id = normalise_name(value)
    if (value := get("selector")) is not None:
        row.target_selector = normalise_name(value)
    if (value := get("tagName")) is not None:
        row.target_tag = normalise_name(value)
    if isinstance(value := get("label"), str):
        row.target_label = cut_label(mask_text(value if len(value) <= MAX_NAME else cut(value, MAX_NAME)))


def _fill_click_columns(row: Row, metadata: Mapping[str, Any], _: str) -> None:
    get = metadata.get
    x, y = get("x"), get("y")
    row.x = _bounded_number(get("clientX") if x is None else x, -_INT32, _INT32, UNKNOWN_POSITION)
    row.y = _bounded_number(get("clientY") if y is None else y, -_INT32, _INT32, UNKNOWN_POSITION)
    row.click_count = _bounded_number(get("clickCount"), 0, _INT32)
    row.input_method = _allowed_word(get("inputMethod"), _POINTERS)
    row.disabled = _tristate_value(get("disabled"))
    row.loading = _tristate_value(get("loading"))
    row.selection = _tristate_value(get("selection"))
    row.responded = _tristate_value(get("responded"))
    row.clicks = _bounded_number(get("count"), 1, MAX_CLICKS)
    row.span_ms = _bounded_number(get("spanMs"), 0, MAX_SPAN_MS)
    row.verdict = _allowed_word(get("verdict"), _VERDICTS)


def _fill_verdict_columns(row: Row, metadata: Mapping[str, Any], _: str) -> None:
    row.responded = _tristate_value(metadata.get("responded"))
    row.verdict = _allowed_word(metadata.get("verdict"), _VERDICTS)


def _fill_input_columns(row: Row, metadata: Mapping[str, Any], sent_type: str) -> None:
    implied = {"input_focus": "focus", "input_blur": "blur"}.get(sent_type, "")
    row.action = _allowed_word(metadata.get("action"), _ACTIONS) or implied
    row.field_type = normalise_name(metadata.get("fieldType"))


def _fill_scroll_columns(row: Row, metadata: Mapping[str, Any], _: str) -> None:
    row.depth = _bounded_number(metadata.get("depth"), 0, 100)
    row.direction = _allowed_word(metadata.get("direction"), _DIRECTIONS)


def _fill_form_columns(row: Row, metadata: Mapping[str, Any], _: str) -> None:
    row.valid = _tristate_value(metadata.get("valid"))


def _fill_navigation_columns(row: Row, metadata: Mapping[str, Any], _: str) -> None:
    get = metadata.get
    row.nav_from = _normalise_route(get("from"))
    row.nav_type = _allowed_word(get("navigationType"), _NAVIGATIONS)
    row.external = _tristate_value(get("external"))
    row.download = _tristate_value(get("download"))


def _fill_error_columns(row: Row, metadata: Mapping[str, Any], sent_type: str) -> None:
    get = metadata.get
    implied = "promise" if sent_type == "unhandled_rejection" else ""
    row.error_type = _allowed_word(get("errorType"), _ERRORS) or implied
    message, source = get("message"), get("source")
    row.message = mask_text(cut(message, MAX_TEXT))[:MAX_TEXT] if isinstance(message, str) else ""
    row.source = (
        mask_source(source if len(source) <= MAX_TEXT else cut(cut_query(source), MAX_TEXT))[:MAX_TEXT]
        if isinstance(source, str)
        else ""
    )
    row.third_party = _tristate_value(get("thirdParty"))
    row.frame = _normalise_frame(get("frame"))


def _fill_network_columns(row: Row, metadata: Mapping[str, Any], sent_type: str) -> None:
    get = metadata.get
    status = get("status")
    if status is None:
        # A request that failed without a status was never answered; one that succeeded was a 2xx
        # (detection.md).
        row.status = {"network_error": 0, "network_success": 200}.get(sent_type, -1)
    else:
        row.status = _bounded_number(status, 0, 999)
    row.method = normalise_name(get("method")).upper()
    row.url = _normalise_path(get("url"))
    row.duration_ms = _bounded_number(get("durationMs"), 0, INT64)
    row.aborted = _tristate_value(get("aborted"))
    row.body_error = _tristate_value(get("bodyError"))
    row.third_party = _tristate_value(get("thirdParty"))


def _fill_performance_columns(row: Row, metadata: Mapping[str, Any], sent_type: str) -> None:
    implied = sent_type if sent_type in _KINDS else ""
    row.perf_kind = _allowed_word(metadata.get("kind"), _KINDS) or implied
    row.duration_ms = _bounded_number(metadata.get("durationMs"), 0, INT64)


def _fill_loading_columns(row: Row, metadata: Mapping[str, Any], _: str) -> None:
    row.state = _allowed_word(metadata.get("state"), _LOADING)


def _fill_visibility_columns(row: Row, metadata: Mapping[str, Any], _: str) -> None:
    row.state = _allowed_word(metadata.get("state"), _VISIBILITY)


def _normalise_frame(value: object) -> str:
    """The top frame of a stack, ``file:line:column``, masked like a source."""
    if not isinstance(value, str):
        return ""
    return mask_source(value if len(value) <= MAX_NAME else cut(value, MAX_NAME))[:MAX_NAME]


def _normalise_event_id(value: object) -> str:
    """An id that a client gave to an event; '' for other types and for one that is too long (half of it is another id)."""
    if type(value) is int and 0 <= value <= INT64:
        return str(value)
    return mask_name(value) if isinstance(value, str) and len(value) <= MAX_EVENT_ID else ""


def fill_reference_columns(row: Row, event: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
    """The ids by which events of a session refer to each other, and whether nobody saw the page yet.

    The ids stand beside ``eventType``, or in the metadata.
    """
    for column, key in (("own_id", "eventId"), ("cause", "cause"), ("verdict_for", "verdictFor")):
        value = event.get(key)
        if value is None:
            value = metadata.get(key)
        if value is not None:
            setattr(row, column, _normalise_event_id(value))
    row.during = _normalise_event_ids(metadata.get("during"))
    row.prerendered = _tristate_value(metadata.get("prerendered"))
    if row.verdict_for and row.event_type == "click":
        row.event_type = "verdict"  # what became known of an earlier click is no second click


def _normalise_event_ids(value: object) -> str:
    """Ids that a client gave to events, separated by single spaces; '' for other types and for a text that is too long."""
    if not isinstance(value, str) or len(value) > MAX_EVENT_IDS:
        return ""
    return " ".join(filter(None, map(_normalise_event_id, value.split())))


def _normalise_path(value: object) -> str:
    if not isinstance(value, str) or not value:
        return ""
    return mask_path(value if len(value) <= MAX_TEXT else cut(cut_query(value), MAX_TEXT))[:MAX_TEXT]


def _normalise_route(value: object) -> str:
    if not isinstance(value, str) or not value:
        return ""
    return mask_route(value if len(value) <= MAX_TEXT else cut(cut_route(value), MAX_TEXT))[:MAX_TEXT]


FILL: Final[Mapping[str, Callable[[Row, Mapping[str, Any], str], None]]] = {
    "click": _fill_click_columns,
    "input": _fill_input_columns,
    "scroll": _fill_scroll_columns,
    "form_submit": _fill_form_columns,
    "navigation": _fill_navigation_columns,
    "error": _fill_error_columns,
    "network": _fill_network_columns,
    "performance": _fill_performance_columns,
    "loading": _fill_loading_columns,
    "visibility": _fill_visibility_columns,
    "verdict": _fill_verdict_columns,
}
