"""Sends by Apprise, in a process of its own (`trackers.alerts.apprise_process`).

Apprise connects as its many services want. In its own process every connection can be checked, whatever library makes it,
nothing of it stays in the memory of the engine, and it can be ended if it takes too long. The URL goes through a pipe: neither
arguments nor environment hold it.
"""

import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any, Final

from pydantic import SecretStr

from core.errors import PermanentError
from trackers.alerts.channel import ChannelContext, NotSent
from trackers.alerts.message import Message, render_html, render_marked, render_plain, strip_markup
from trackers.alerts.schemes import list_secret_parts
from trackers.http_errors import to_safe_line

_LIMIT_S: Final = 45.0
_COMMAND: Final = "import furrow; from trackers.alerts.apprise_process import serve_parent; serve_parent()"
_KEPT: Final = frozenset(
    {"PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR", "PYTHONPATH"}
)
_PROXIES: Final = frozenset({"http_proxy", "https_proxy", "all_proxy", "no_proxy"})


class AppriseChannel:
    """A URL of Apprise. For one thread."""

    def __init__(self, url: SecretStr, context: ChannelContext) -> None:
        """Start nothing yet. Raises PermanentError when Apprise does not know the URL, or Furrow does not allow it."""
        self._url = url
        self._context = context
        self._process: subprocess.Popen[bytes] | None = None

    def check_address(self) -> str:
        """What kind of channel the URL is. Nothing is sent. Raises PermanentError when it is none, or not allowed."""
        answer = self._ask({"check": True})
        if not answer["ok"]:
            raise PermanentError(self._make_safe(answer["reason"]))
        return str(answer["service"])

    def send_message(self, message: Message) -> None:
        """Send it. Raises NotSent."""
        title = strip_markup(message.title)
        bodies = {"text": render_plain(message), "html": render_html(message), "markdown": render_marked(message)}
        titles = {"text": message.title, "html": title, "markdown": title}
        answer = self._ask({"titles": titles, "bodies": bodies, "messageId": message.message_id})
        if not answer["ok"]:
            wait_s = answer.get("waitSeconds")
            raise NotSent(self._make_safe(answer["reason"]), doubtful=bool(answer["doubtful"]), wait_s=wait_s)

    def change_message(self, reference: Mapping[str, Any], message: Message) -> None:
        """Apprise cannot change a message, and its channels have no references."""
        raise NotSent("this channel cannot change a message", doubtful=False)

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _ask(self, request: Mapping[str, object]) -> dict[str, Any]:
        try:
            process = self._process = self._process or self._start_process()
            assert process.stdin is not None
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            answer = json.loads(self._read_line(process))
        except (OSError, ValueError) as error:
            self.close()
            # Whether a request was on its way is not known.
            reason = f"the sending process ended or took longer than {_LIMIT_S:.0f} s ({type(error).__name__})"
            raise NotSent(reason, doubtful=True) from None
        if not isinstance(answer, dict):
            raise NotSent("the sending process gave no answer", doubtful=True)
        return answer

    def _start_process(self) -> subprocess.Popen[bytes]:
        kept = {name: value for name, value in os.environ.items() if name in _KEPT or name.lower() in _PROXIES}
        process = subprocess.Popen(
            [sys.executable, "-c", _COMMAND], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=kept, bufsize=0
        )
        assert process.stdin is not None
        networks = [str(network) for network in self._context.reach.private]
        first = {"url": self._url.get_secret_value(), "privateNetworks": networks}
        process.stdin.write(json.dumps(first).encode() + b"\n")
        return process

    def _read_line(self, process: subprocess.Popen[bytes]) -> bytes:
        assert process.stdout is not None
        until, line = time.monotonic() + _LIMIT_S, b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while not line.endswith(b"\n"):
                if not selector.select(max(until - time.monotonic(), 0)):
                    raise TimeoutError
                if not (piece := os.read(process.stdout.fileno(), 65_536)):
                    raise ConnectionResetError
                line += piece
        return line

    def _make_safe(self, reason: object) -> str:
        return to_safe_line(reason, list_secret_parts(self._url))
