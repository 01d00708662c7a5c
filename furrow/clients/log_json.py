"""Access logs in JSON: Caddy, nginx (``log_format … escape=json``) and CloudFront.

Caddy and nginx write a line when the request has ended, and this is its time (https://caddyserver.com/docs/logging,
https://nginx.org/en/docs/http/ngx_http_log_module.html). The names of nginx's keys are chosen in its configuration: here are
those of its variables, and the usual others. Fields that are not named here are never read.
"""

from collections.abc import Mapping
from typing import Final

from furrow.clients.log_fields import read_record
from furrow.clients.log_lines import REQUEST, LogEntry, NoEvent, extract_path
from furrow.clients.log_times import read_time
from furrow.clients.visitors import find_line_addresses

_TIMES: Final = ("msec", "time_iso8601", "@timestamp", "timestamp", "time_local", "time", "ts", "date")
_ADDRESSES: Final = ("remote_addr", "remote_ip", "client_ip", "client", "clientip", "ip")
_FORWARDED: Final = ("http_x_forwarded_for", "x_forwarded_for", "proxy_add_x_forwarded_for", "xff", "http_x_real_ip")
_METHODS: Final = ("request_method", "method", "verb")
_TARGETS: Final = ("request_uri", "uri", "url", "path", "request_path")
_REFERERS: Final = ("http_referer", "http_referrer", "referer", "referrer")
_AGENTS: Final = ("http_user_agent", "user_agent", "agent")
_DURATIONS: Final = ("request_time", "duration_s", "duration")
_USERS: Final = ("remote_user", "user_id", "userid", "uid", "user")
_SESSIONS: Final = (
    "session_id",
    "session",
    "sessionid",
    "cookie_session",
    "cookie_sessionid",
    "cookie_session_id",
    "cookie_phpsessid",
    "cookie_jsessionid",
)


def read_json_record(record: Mapping[str, object]) -> LogEntry | None:
    """The request of a JSON object, None if it is not one of a known dialect. Raises NoEvent with the reason."""
    if "eventType" in record:  # an event of Furrow's own contract
        return None
    if isinstance(request := record.get("request"), dict) and "status" in record and "uri" in request:
        return _read_caddy(record, request)
    if "cs-uri-stem" in record and "sc-status" in record:
        return read_record({name: str(value) for name, value in record.items()}, encoded=True)
    target, address = _pick(record, _TARGETS) or _pick(record, ("request",)), _pick(record, _ADDRESSES)
    if target and address and "status" in record and _pick(record, _TIMES):
        return _read_nginx(record, address)
    return None


def _read_caddy(record: Mapping[str, object], request: Mapping[str, object]) -> LogEntry:
    headers = request.get("headers")
    known = headers if isinstance(headers, dict) else {}
    return _make_entry(
        record.get("ts"),
        _pick(request, ("client_ip", "remote_ip", "remote_addr")),
        _first(known.get("X-Forwarded-For")),
        f"{_pick(request, ('method',))} {_pick(request, ('uri',))}",
        record.get("status"),
        (_first(known.get("Referer")), _first(known.get("User-Agent"))),
        record.get("duration"),
        (_pick(record, ("user_id",)), ""),
    )


def _read_nginx(record: Mapping[str, object], address: str) -> LogEntry:
    target = _pick(record, _TARGETS)
    method = _pick(record, _METHODS)
    return _make_entry(
        next((record[name] for name in _TIMES if record.get(name)), None),
        address,
        _pick(record, _FORWARDED),
        f"{method} {target}" if method and target else _pick(record, ("request",)),
        record.get("status"),
        (_pick(record, _REFERERS), _pick(record, _AGENTS)),
        next((record[name] for name in _DURATIONS if name in record), None),
        (_pick(record, _USERS), _pick(record, _SESSIONS)),
    )


def _make_entry(
    time: object,
    address: str,
    forwarded: str,
    line: str,
    status: object,
    headers: tuple[str, str],
    duration: object,
    person: tuple[str, str],
) -> LogEntry:
    """``line``: method and target; ``headers``: referer and agent; ``duration`` in seconds; ``person``: user and session."""
    addresses = find_line_addresses(address, f'"{forwarded}"' if forwarded else "")
    timestamp, request, code = read_time(time), REQUEST.fullmatch(line), _read_number(status)
    if 0 not in addresses.at:
        raise NoEvent("no address of a visitor; let the server log addresses, not names")
    if not timestamp:
        raise NoEvent("no time with a time zone")
    if request is None or code is None or not 0 <= code < 1000:
        raise NoEvent("not an HTTP request")
    seconds = _read_number(duration)
    return LogEntry(
        addresses,
        timestamp,
        request["method"],
        extract_path(request["target"]),
        int(code),
        *headers,
        round(1000 * seconds) if seconds is not None and 0 <= seconds < 1e6 else None,
        *person,
    )


def _pick(record: Mapping[str, object], names: tuple[str, ...]) -> str:
    """The first text or number under one of the names, '' without one."""
    for name in names:
        value = record.get(name)
        if isinstance(value, str | int | float) and not isinstance(value, bool) and value not in ("", "-"):
            return str(value)
    return ""


def _first(values: object) -> str:
    """The first value of a header, which Caddy writes as a list."""
    return values[0] if isinstance(values, list) and values and isinstance(values[0], str) else ""


def _read_number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None
