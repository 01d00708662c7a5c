"""One stored event in words, as the timeline of a detection has it, for every type of event.

The words come from the stored columns: what the collector masked or did not keep is not in them.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

from core.plurals import format_count

LONGEST_TEXT: Final = 160
"""Characters of a text that are shown."""
LONGEST_ROUTE: Final = 80
_REFUSED: Final = 400  # HTTP: status codes of errors
_LONG_MS: Final = 1_000  # a shorter request is not said to have taken long
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
Row = Mapping[str, object]


def describe_event(row: Row) -> str:
    """What happened, in one line of at most ``LONGEST_TEXT`` characters."""
    write = _WRITERS.get(_text(row, "event_type"))
    return _shorten(write(row) if write else _text(row, "event_type") or "event", LONGEST_TEXT)


def describe_route(row: Row) -> str:
    """The route, of at most ``LONGEST_ROUTE`` characters."""
    return _shorten(_text(row, "route"), LONGEST_ROUTE)


def is_failed_event(row: Row) -> bool:
    """Whether the event is an error, or a request that was refused, failed or got no answer."""
    kind, status = _text(row, "event_type"), _number(row, "status")
    if kind == "error":
        return True
    if kind in ("network", "navigation"):
        return status >= _REFUSED or (kind == "network" and status == 0) or _number(row, "body_error") == 1
    return kind == "form_submit" and _number(row, "valid") == 0


def _write_click(row: Row) -> str:
    number = max(_number(row, "clicks"), 1)
    notes = [
        *([f"{format_count(number, 'click')}"] if number > 1 else []),
        *(["disabled"] if _number(row, "disabled") == 1 else []),
        *(["no reaction"] if _number(row, "responded") == 0 else []),
        *([f"reported as {_text(row, 'verdict')}"] if _text(row, "verdict") else []),
    ]
    return f"clicked {_name_target(row) or 'the page'}{_in_brackets(notes)}"


def _write_input(row: Row) -> str:
    words = {"focus": "entered", "blur": "left", "change": "changed"}
    return f"{words.get(_text(row, 'action'), 'filled in')} {_name_target(row) or 'a field'}"


def _write_submit(row: Row) -> str:
    return f"submitted {_name_target(row) or 'the form'}{_in_brackets(['not valid'] if _number(row, 'valid') == 0 else [])}"


def _write_navigation(row: Row) -> str:
    kind, status = _text(row, "nav_type"), _number(row, "status")
    verb = {"reload": "reloaded", "back_forward": "went back or forward to"}.get(kind, "went to")
    if _number(row, "external") == 1:
        verb = "left for"
    if _number(row, "download") == 1:
        verb = "downloaded"
    return f"{verb} {_text(row, 'route') or 'a page'}{f' → {status}' if status >= _REFUSED else ''}"


def _write_network(row: Row) -> str:
    status, took = _number(row, "status"), _number(row, "duration_ms")
    request = " ".join(part for part in (_text(row, "method"), _text(row, "url")) if part) or "a request"
    answer = "no answer" if status == 0 else str(status) if status > 0 else "answer unknown"
    notes = [
        *(["an error in the body"] if _number(row, "body_error") == 1 else []),
        *(["aborted"] if _number(row, "aborted") == 1 else []),
        *([f"{took / 1000:.1f} s"] if took >= _LONG_MS else [f"{took} ms"] if took >= 0 else []),
    ]
    return f"{request} → {answer}{_in_brackets(notes)}"


def _write_error(row: Row) -> str:
    kind = _text(row, "error_type")
    what = {"validation": "validation error", "resource": "a resource did not load"}.get(kind, "error")
    message = _text(row, "message")
    return f"{what}: {message}" if message else what


def _write_performance(row: Row) -> str:
    took = _number(row, "duration_ms")
    what = _text(row, "perf_kind").replace("_", " ") or "performance"
    return f"{what} ({took / 1000:.1f} s)" if took >= 0 else what


def _write_scroll(row: Row) -> str:
    direction, depth = _text(row, "direction"), _number(row, "depth")
    return f"scrolled{f' {direction}' if direction else ''}{f' to {depth} %' if depth >= 0 else ''}"


def _write_hover(row: Row) -> str:
    return f"pointed at {_name_target(row) or 'the page'}"


def _write_loading(row: Row) -> str:
    return {"start": "loading began", "end": "loading ended"}.get(_text(row, "state"), "loading")


def _write_visibility(row: Row) -> str:
    return {"hidden": "the page was hidden", "visible": "the page was shown"}.get(
        _text(row, "state"), "visibility changed"
    )


def _write_end(_: Row) -> str:
    return "the session ended"


_WRITERS: Final[Mapping[str, Callable[[Row], str]]] = {
    "click": _write_click,
    "input": _write_input,
    "form_submit": _write_submit,
    "navigation": _write_navigation,
    "network": _write_network,
    "error": _write_error,
    "performance": _write_performance,
    "scroll": _write_scroll,
    "hover": _write_hover,
    "loading": _write_loading,
    "visibility": _write_visibility,
    "session_end": _write_end,
}
"""By type of event (docs/contracts/events.md, Event types)."""


def _name_target(row: Row) -> str:
    """``button#pay “Pay now”``; '' without a target."""
    kind, id_ = _text(row, "target_tag") or _text(row, "target_type"), _text(row, "target_id")
    name = f"{kind}#{id_}" if id_ else _text(row, "target_selector") or kind
    label = _text(row, "target_label")
    quoted = f"“{label}”" if label and label not in name else ""
    return " ".join(part for part in (name, quoted) if part)


def _in_brackets(notes: list[str]) -> str:
    return f" ({', '.join(notes)})" if notes else ""


def _text(row: Row, name: str) -> str:
    return _CONTROL.sub(" ", str(row[name] or "")).strip()


def _number(row: Row, name: str) -> int:
    value = row[name]
    return value if isinstance(value, int) else -1


def _shorten(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
