"""The process in which Apprise sends. It reads one JSON object a line from its parent, and answers with one each.

The first line is the URL and the private networks that are allowed. Each connection of this process is checked right before it
is made (an audit hook of Python), whichever library makes it. It ends when the parent closes the pipe.
"""

import ipaddress
import json
import logging
import os
import socket
import sys
import urllib.request
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter

from core.errors import PermanentError
from trackers.alerts.schemes import UNSURE_STATUSES
from trackers.http_errors import seconds_until_retry
from trackers.transport import Reach, is_this_machine

_UNREACHABLE: Final = "the address is not allowed"


@dataclass
class _Attempt:
    """What happened while one message was sent."""

    connected: bool = False
    statuses: list[int] = field(default_factory=list)
    wait_s: float | None = None
    refusal: str = ""
    words: list[str] = field(default_factory=list)

    @property
    def doubtful(self) -> bool:
        """Whether a part of it arrived, or may have arrived."""
        if any(status < 300 or status in UNSURE_STATUSES for status in self.statuses):
            return True
        return self.connected and not self.statuses


class _Guard:
    """Checks every connection of this process, and notes what came of it."""

    def __init__(self, reach: Reach, host: str) -> None:
        self._reach = reach
        self._host = host
        self._proxies = _resolve_proxies()
        self.attempt = _Attempt()

    def install_hooks(self) -> None:
        """From now on, for as long as this process lives."""
        sys.addaudithook(self._check_event)
        connect, send = socket.socket.connect, HTTPAdapter.send
        guard = self

        def note_connection(self: socket.socket, address: Any) -> None:
            connect(self, address)
            guard.attempt.connected = True

        def note_answer(self: HTTPAdapter, *arguments: Any, **options: Any) -> requests.Response:
            answer = send(self, *arguments, **options)
            guard.attempt.statuses.append(answer.status_code)
            is_limit = answer.status_code == requests.codes.too_many_requests
            guard.attempt.wait_s = seconds_until_retry(answer.headers, is_limit=is_limit)
            return answer

        socket.socket.connect = note_connection  # type: ignore[method-assign, assignment]
        HTTPAdapter.send = note_answer  # type: ignore[method-assign]

    def _check_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in ("socket.connect", "socket.sendto"):
            return
        address = arguments[1]
        try:
            if not isinstance(address, tuple):
                raise PermanentError("a socket of this machine")
            ip = ipaddress.ip_address(str(address[0]).partition("%")[0])
            if str(ip) not in self._proxies:
                self._reach.check_address(self._host if ip.is_loopback else "the channel", ip)
        except (PermanentError, ValueError) as error:
            self.attempt.refusal = f"{_UNREACHABLE}: {error}"
            raise ConnectionRefusedError(_UNREACHABLE) from None


def _resolve_proxies() -> frozenset[str]:
    """Addresses of the proxies of the environment: they may be in a private network, and resolve names themselves."""
    found = set()
    for name, url in urllib.request.getproxies().items():
        host = urlsplit(url).hostname if name in ("http", "https", "all") else None
        if host:
            found |= {str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    return frozenset(found)


class _Words(logging.Handler):
    """Keeps what Apprise logs: its methods return only whether they succeeded."""

    def __init__(self, guard: _Guard) -> None:
        super().__init__(logging.WARNING)
        self._guard = guard

    def emit(self, record: logging.LogRecord) -> None:
        self._guard.attempt.words.append(record.getMessage())


def open_plugin(url: str, reach: Reach) -> Any:
    """Apprise's object for this URL. Raises PermanentError when there is none, or it is not allowed."""
    from apprise import Apprise, AppriseAsset

    asset = AppriseAsset(app_id="Furrow", app_desc="Furrow", app_url="", storage_mode="memory")
    plugin = Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    scheme = url.partition("://")[0].lower()
    if plugin is None:
        raise PermanentError(f"Apprise knows no channel of this form ({scheme}://)")
    host = str(getattr(plugin, "host", None) or "")
    secure = plugin.secure_protocol
    if not host and not secure:
        raise PermanentError(f"{scheme}:// is on this machine, and not a channel")
    open_schemes: tuple[str, ...] = (
        (plugin.protocol,) if isinstance(plugin.protocol, str) else tuple(plugin.protocol or ())
    )
    if secure and scheme in open_schemes and not plugin.secure and not is_this_machine(host):
        better = secure if isinstance(secure, str) else secure[0]
        raise PermanentError(f"{scheme}:// is not encrypted, which is for this machine alone; use {better}://")
    plugin.redirects = False  # what follows one would go to an address that nobody named
    return plugin


def serve_parent() -> None:
    """Answer the requests of the parent until it closes the pipe."""
    pipe = _take_pipe()
    first = json.loads(sys.stdin.buffer.readline())
    reach = Reach.from_setting(",".join(first["privateNetworks"]))
    logging.getLogger("apprise").setLevel(logging.WARNING)
    try:
        plugin = open_plugin(first["url"], reach)
        guard = _Guard(reach, str(plugin.host or ""))
    except (PermanentError, OSError) as error:
        for _ in sys.stdin.buffer:
            _answer(pipe, {"ok": False, "reason": str(error), "doubtful": False})
        return
    guard.install_hooks()
    logging.getLogger("apprise").addHandler(_Words(guard))
    for line in sys.stdin.buffer:
        request = json.loads(line)
        if request.get("check"):
            _answer(pipe, {"ok": True, "service": str(plugin.service_name)})
        else:
            _answer(pipe, _send_request(plugin, guard, request))


def _send_request(plugin: Any, guard: _Guard, request: dict[str, Any]) -> dict[str, object]:
    from apprise import Apprise

    guard.attempt = _Attempt()
    form = str(getattr(plugin.notify_format, "value", plugin.notify_format))
    form = form if form in request["bodies"] else "text"
    if isinstance(getattr(plugin, "payload_extras", None), dict):
        # Of JSON, XML and forms: a repetition has the same one, so that the receiver can tell.
        plugin.payload_extras["messageId"] = request["messageId"]
    sender = Apprise()
    sender.add(plugin)
    try:
        sent = sender.notify(title=request["titles"][form], body=request["bodies"][form], body_format=form)
    except Exception as error:  # whatever a plugin raises is the channel's failure, and the parent counts it
        sent = False
        guard.attempt.words.append(type(error).__name__)
    attempt = guard.attempt
    if sent and not attempt.refusal:
        return {"ok": True}
    reason = attempt.refusal or "; ".join(attempt.words[:3]) or "Apprise says only that it was not sent"
    return {"ok": False, "reason": reason, "doubtful": attempt.doubtful, "waitSeconds": attempt.wait_s}


def _take_pipe() -> int:
    """The answers' pipe; what libraries print goes to standard error."""
    pipe = os.dup(1)
    os.dup2(2, 1)
    return pipe


def _answer(pipe: int, answer: dict[str, object]) -> None:
    os.write(pipe, json.dumps(answer).encode() + b"\n")
