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
from collector.contract.page_titles import find_title_status
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
from collector.privacy.cache import CACHED_LENGTH, Cache

_POINTERS: Final = frozenset({"mouse", "touch", "keyboard"})
_ACTIONS: Final = frozenset({"focus", "change", "blur"})
_DIRECTIONS: Final = frozenset({"up", "down"})
_NAVIGATIONS: Final = frozenset({"link", "push", "replace", "back_forward", "reload"})
_ERRORS: Final = frozenset({"javascript", "promise", "resource", "validation"})
_KINDS: Final = frozenset({"slow_response", "long_task", "page_load"})
_LOADING: Final = frozenset({"start", "end"})
_VISIBILITY: Final = frozenset({"hidden", "visible"})
_VERDICTS: Final = frozenset({"rage", "dead", "slow", "error"})
_VENDOR_VERDICTS: Final[Mapping[str, str]] = {
    "rage_click": "rage",
    "rageclick": "rage",
    "dead_click": "dead",
    "deadclick": "dead",
    "slow_click": "slow",
    "error_click": "error",
}
_VERDICT_NAMES: Final = _VERDICTS | _VENDOR_VERDICTS.keys()
_IMPLIED_ACTIONS: Final = {"input_focus": "focus", "input_blur": "blur"}
_IMPLIED_STATUS: Final = {"network_error": 0, "network_success": 200}
IMPLIED: Final = frozenset({*_IMPLIED_ACTIONS, *_IMPLIED_STATUS, "unhandled_rejection", "slow_response", "long_task"})
"""Values of `eventType` that say something that no metadata need to say again."""
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
        if len(value) <= CACHED_LENGTH:
            return _NAMES[value]
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
        row.target_label = (
            _LABELS[value]
            if len(value) <= CACHED_LENGTH
            else cut_label(mask_text(value if len(value) <= MAX_NAME else cut(value, MAX_NAME)))
        )


# The functions below leave what is absent as it is in a blank row: unknown.


def _fill_click_columns(row: Row, metadata: Mapping[str, Any], _: str) -> None:
    get = metadata.get
    if (value := get("clientX") if (x := get("x")) is None else x) is not None:
        row.x = _bounded_number(value, -_INT32, _INT32, UNKNOWN_POSITION)
    if (value := get("clientY") if (y := get("y")) is None else y) is not None:
        row.y = _bounded_number(value, -_INT32, _INT32, UNKNOWN_POSITION)
    if (value := get("clickCount")) is not None:
        row.click_count = _bounded_number(value, 0, _INT32)
    if (value := get("inputMethod")) is not None:
        row.input_method = _allowed_word(value, _POINTERS)
    if (value := get("disabled")) is not None:
        row.disabled = _tristate_value(value)
    if (value := get("loading")) is not None:
        row.loading = _tristate_value(value)
    if (value := get("selection")) is not None:
        row.selection = _tristate_value(value)
    if (value := get("responded")) is not None:
        row.responded = _tristate_value(value)
    if (value := get("count")) is not None:
        row.clicks = _bounded_number(value, 1, MAX_CLICKS)
    if (value := get("spanMs")) is not None:
        row.span_ms = _bounded_number(value, 0, MAX_SPAN_MS)
    if (value := get("frustrationTypes") if (sent := get("verdict")) is None else sent) is not None:
        row.verdict = _read_verdict(value)


def _read_verdict(sent: Any) -> str:
    """Another tool's verdict on a click: ``verdict``, or ``frustrationTypes``, as Datadog names it."""
    found = _allowed_word(sent, _VERDICT_NAMES)
    return _VENDOR_VERDICTS.get(found, found)


def _fill_verdict_columns(row: Row, metadata: Mapping[str, Any], _: str) -> None:
    row.responded = _tristate_value(metadata.get("responded"))
    sent = metadata.get("verdict")
    row.verdict = _read_verdict(metadata.get("frustrationTypes") if sent is None else sent)


def _fill_input_columns(row: Row, metadata: Mapping[str, Any], sent_type: str) -> None:
    row.action = _allowed_word(metadata.get("action"), _ACTIONS) or _IMPLIED_ACTIONS.get(sent_type, "")
    if (value := metadata.get("fieldType")) is not None:
        row.field_type = normalise_name(value)


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
    status = _bounded_number(get("status"), 100, 599)
    status = find_title_status(get("title")) if status < 0 else status
    if status >= 400:  # the page itself failed; of a page that came nothing more need be known
        row.status, row.url = status, row.route


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
    if (value := get("status")) is None:
        # A request that failed without a status was never answered; one that succeeded was a 2xx
        # (detection.md).
        row.status = _IMPLIED_STATUS.get(sent_type, -1)
    else:
        row.status = _bounded_number(value, 0, 999)
    if (value := get("method")) is not None:
        row.method = normalise_name(value).upper()
    if (value := get("url")) is not None:
        row.url = _normalise_path(value)
    if (value := get("durationMs")) is not None:
        row.duration_ms = _bounded_number(value, 0, INT64)
    if (value := get("aborted")) is not None:
        row.aborted = _tristate_value(value)
    if (value := get("bodyError")) is not None:
        row.body_error = _tristate_value(value)
    if (value := get("thirdParty")) is not None:
        row.third_party = _tristate_value(value)


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
    return _EVENT_IDS[value] if isinstance(value, str) and len(value) <= MAX_EVENT_ID else ""


def fill_reference_columns(row: Row, event: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
    """The ids by which events of a session refer to each other, and whether nobody saw the page yet.

    The ids stand beside ``eventType``, or in the metadata.
    """
    get, also = event.get, metadata.get
    if (value := get("eventId")) is not None or (value := also("eventId")) is not None:
        row.own_id = _normalise_event_id(value)
    if (value := get("cause")) is not None or (value := also("cause")) is not None:
        row.cause = _normalise_event_id(value)
    if (value := get("verdictFor")) is not None or (value := also("verdictFor")) is not None:
        row.verdict_for = _normalise_event_id(value)
        if row.verdict_for and row.event_type == "click":
            row.event_type = "verdict"  # what became known of an earlier click is no second click
    if (value := also("during")) is not None:
        row.during = _normalise_event_ids(value)
    if (value := also("prerendered")) is not None:
        row.prerendered = _tristate_value(value)


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


_NAMES: Final = Cache(lambda text: mask_name(text)[:MAX_NAME])
_LABELS: Final = Cache(lambda text: cut_label(mask_text(text)))
_EVENT_IDS: Final = Cache(mask_name)
"""Apart from the other names: each id is new, and would take the place of names that return."""

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
