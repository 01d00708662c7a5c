"""What each event type writes into its columns."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from collector.contract.limits import INT64, MAX_LABEL, MAX_NAME, MAX_TEXT, UNKNOWN_POSITION
from collector.contract.rows import Row
from collector.privacy import cut, cut_query, mask_name, mask_path, mask_source, mask_text, mask_version

_POINTERS: Final = frozenset({"mouse", "touch", "keyboard"})
_ACTIONS: Final = frozenset({"focus", "change", "blur"})
_DIRECTIONS: Final = frozenset({"up", "down"})
_NAVIGATIONS: Final = frozenset({"link", "push", "replace", "back_forward", "reload"})
_ERRORS: Final = frozenset({"javascript", "promise", "resource", "validation"})
_KINDS: Final = frozenset({"slow_response", "long_task", "page_load"})
_LOADING: Final = frozenset({"start", "end"})
_VISIBILITY: Final = frozenset({"hidden", "visible"})
_INT32: Final = 2**31 - 1


def _tri(value: object) -> int:
    return (1 if value else 0) if isinstance(value, bool) else -1


def _number(value: object, low: int, high: int, unknown: int = -1) -> int:
    kind = type(value)
    if (kind is int or kind is float) and low <= value <= high:  # type: ignore[operator]
        return int(value)  # type: ignore[call-overload,no-any-return]
    return unknown


def _one_of(value: object, allowed: frozenset[str]) -> str:
    return value if isinstance(value, str) and value in allowed else ""


def name_of(value: object) -> str:
    """A short text that is cut where it is too long (an id, a selector), masked; numbers are texts, too."""
    if type(value) is str:
        return mask_name(value if len(value) <= MAX_NAME else cut(value, MAX_NAME))[:MAX_NAME]
    return mask_name(str(value)) if type(value) is int and abs(value) < INT64 else ""


def version_of(value: object) -> str:
    """As ``name_of``, for versions: four numbers with dots are no address."""
    if type(value) is str:
        return mask_version(value if len(value) <= MAX_NAME else cut(value, MAX_NAME))[:MAX_NAME]
    return name_of(value)


def fill_target(row: Row, target: Mapping[str, Any]) -> None:
    get = target.get
    if (value := get("type")) is not None:
        row.target_type = name_of(value)
    if (value := get("id")) is not None:
        row.target_id = name_of(value)
    if (value := get("selector")) is not None:
        row.target_selector = name_of(value)
    if (value := get("tagName")) is not None:
        row.target_tag = name_of(value)
    if isinstance(value := get("label"), str):
        row.target_label = mask_text(value)[:MAX_LABEL]


def _click(row: Row, metadata: Mapping[str, Any], _: str) -> None:
    get = metadata.get
    x, y = get("x"), get("y")
    row.x = _number(get("clientX") if x is None else x, -_INT32, _INT32, UNKNOWN_POSITION)
    row.y = _number(get("clientY") if y is None else y, -_INT32, _INT32, UNKNOWN_POSITION)
    row.click_count = _number(get("clickCount"), 0, _INT32)
    row.input_method = _one_of(get("inputMethod"), _POINTERS)
    row.disabled = _tri(get("disabled"))
    row.loading = _tri(get("loading"))
    row.selection = _tri(get("selection"))
    row.responded = _tri(get("responded"))


def _input(row: Row, metadata: Mapping[str, Any], sent_type: str) -> None:
    implied = {"input_focus": "focus", "input_blur": "blur"}.get(sent_type, "")
    row.action = _one_of(metadata.get("action"), _ACTIONS) or implied
    row.field_type = name_of(metadata.get("fieldType"))


def _scroll(row: Row, metadata: Mapping[str, Any], _: str) -> None:
    row.depth = _number(metadata.get("depth"), 0, 100)
    row.direction = _one_of(metadata.get("direction"), _DIRECTIONS)


def _form_submit(row: Row, metadata: Mapping[str, Any], _: str) -> None:
    row.valid = _tri(metadata.get("valid"))


def _navigation(row: Row, metadata: Mapping[str, Any], _: str) -> None:
    get = metadata.get
    row.nav_from = _path(get("from"))
    row.nav_type = _one_of(get("navigationType"), _NAVIGATIONS)
    row.external = _tri(get("external"))
    row.download = _tri(get("download"))


def _error(row: Row, metadata: Mapping[str, Any], sent_type: str) -> None:
    get = metadata.get
    implied = "promise" if sent_type == "unhandled_rejection" else ""
    row.error_type = _one_of(get("errorType"), _ERRORS) or implied
    message, source = get("message"), get("source")
    row.message = mask_text(cut(message, MAX_TEXT))[:MAX_TEXT] if isinstance(message, str) else ""
    row.source = (
        mask_source(source if len(source) <= MAX_TEXT else cut(cut_query(source), MAX_TEXT))[:MAX_TEXT]
        if isinstance(source, str)
        else ""
    )
    row.third_party = _tri(get("thirdParty"))


def _network(row: Row, metadata: Mapping[str, Any], sent_type: str) -> None:
    get = metadata.get
    status = get("status")
    if status is None:
        # A request that failed without a status was never answered; one that succeeded was a 2xx
        # (detection.md).
        row.status = {"network_error": 0, "network_success": 200}.get(sent_type, -1)
    else:
        row.status = _number(status, 0, 999)
    row.method = name_of(get("method")).upper()
    row.url = _path(get("url"))
    row.duration_ms = _number(get("durationMs"), 0, INT64)
    row.aborted = _tri(get("aborted"))
    row.third_party = _tri(get("thirdParty"))


def _performance(row: Row, metadata: Mapping[str, Any], sent_type: str) -> None:
    implied = sent_type if sent_type in _KINDS else ""
    row.perf_kind = _one_of(metadata.get("kind"), _KINDS) or implied
    row.duration_ms = _number(metadata.get("durationMs"), 0, INT64)


def _loading(row: Row, metadata: Mapping[str, Any], _: str) -> None:
    row.state = _one_of(metadata.get("state"), _LOADING)


def _visibility(row: Row, metadata: Mapping[str, Any], _: str) -> None:
    row.state = _one_of(metadata.get("state"), _VISIBILITY)


def _path(value: object) -> str:
    if not isinstance(value, str) or not value:
        return ""
    return mask_path(value if len(value) <= MAX_TEXT else cut(cut_query(value), MAX_TEXT))[:MAX_TEXT]


FILL: Final[Mapping[str, Callable[[Row, Mapping[str, Any], str], None]]] = {
    "click": _click,
    "input": _input,
    "scroll": _scroll,
    "form_submit": _form_submit,
    "navigation": _navigation,
    "error": _error,
    "network": _network,
    "performance": _performance,
    "loading": _loading,
    "visibility": _visibility,
}
