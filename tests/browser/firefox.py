"""Debian's firefox-esr as a browser of Selenium, without geckodriver (which Debian's stable release does not hold).

Firefox speaks the commands of WebDriver itself, over a socket: Marionette. A message is its length, a colon, and JSON:
``[0, id, command, parameters]`` there, ``[1, id, error, result]`` back (Firefox's source, remote/marionette). geckodriver only
translates HTTP into this, and so does ``Marionette.execute``.
"""

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from selenium.webdriver import FirefoxOptions, Remote

from tests.e2e.installation import until

FIREFOX = "/usr/bin/firefox-esr"
START_SECONDS = 60
ANSWER_SECONDS = 120
PREFERENCES: dict[str, object] = {
    "marionette.port": 0,  # a free one, which it writes into a file of the profile
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.disabledForTesting": True,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "network.proxy.type": 0,
    "extensions.update.enabled": False,
    "services.settings.server": "data:,",
}
COMMANDS = {
    "get": "Navigate",
    "refresh": "Refresh",
    "goBack": "Back",
    "goForward": "Forward",
    "close": "CloseWindow",
    "newWindow": "NewWindow",
    "w3cGetCurrentWindowHandle": "GetWindowHandle",
    "w3cGetWindowHandles": "GetWindowHandles",
    "switchToWindow": "SwitchToWindow",
    "switchToFrame": "SwitchToFrame",
    "switchToParentFrame": "SwitchToParentFrame",
    "findElement": "FindElement",
    "findElements": "FindElements",
    "clickElement": "ElementClick",
    "sendKeysToElement": "ElementSendKeys",
    "getElementText": "GetElementText",
    "w3cExecuteScript": "ExecuteScript",
    "actions": "PerformActions",
    "clearActionState": "ReleaseActions",
    "w3cGetAlertText": "GetAlertText",
    "w3cAcceptAlert": "AcceptAlert",
    "w3cDismissAlert": "DismissAlert",
    "getCurrentUrl": "GetCurrentURL",
    "getTitle": "GetTitle",
    "setTimeouts": "SetTimeouts",
    "newSession": "NewSession",
}


class Marionette:
    """What Selenium sends its commands to."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=ANSWER_SECONDS)
        self._stream = self._socket.makefile("rb")
        self._sent = 0
        self._receive()  # its greeting

    def execute(self, command: str, params: dict[str, Any]) -> dict[str, Any]:
        """The answer in Selenium's form: ``value``, and ``status`` where it is an error."""
        if command == "quit":
            return self._call("Marionette:Quit", {"flags": ["eForceQuit"]})
        return self._call(f"WebDriver:{COMMANDS[command]}", {k: v for k, v in params.items() if k != "sessionId"})

    def close(self) -> None:
        self._stream.close()
        self._socket.close()

    def _call(self, command: str, params: dict[str, Any]) -> dict[str, Any]:
        self._sent += 1
        message = json.dumps([0, self._sent, command, params]).encode()
        self._socket.sendall(b"%d:%b" % (len(message), message))
        _, answered, error, result = self._receive()
        assert answered == self._sent, f"{command}: an answer to another command"
        if error:
            return {"status": error["error"], "value": error}
        return {"value": result["value"] if isinstance(result, dict) and set(result) == {"value"} else result}

    def _receive(self) -> Any:
        length = b""
        while (byte := self._stream.read(1)) != b":":
            assert byte, "Firefox has closed the connection"
            length += byte
        return json.loads(self._stream.read(int(length)))


@contextmanager
def open_firefox(folder: Path) -> Iterator[Remote]:
    """A Firefox without a window, with a new profile in ``folder``; ended with the block."""
    profile = folder / "firefox"
    profile.mkdir()
    lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in PREFERENCES.items())
    (profile / "user.js").write_text("\n".join(lines))
    plain = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    command = [
        FIREFOX,
        "--headless",
        "--no-remote",
        "--marionette",
        "--width=1400",
        "--height=1000",
        "--profile",
        str(profile),
    ]
    with (folder / "firefox.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**plain, "HOME": str(folder)})
    try:
        marionette = Marionette(_wait_for_port(profile / "MarionetteActivePort"))
        try:
            driver = Remote(command_executor=marionette, options=FirefoxOptions())  # type: ignore[arg-type]
            yield driver
            with suppress(OSError, AssertionError):  # it may be gone before it answers
                driver.quit()
                process.wait(20)
        finally:
            marionette.close()
    finally:
        process.terminate()
        process.wait(20)


def _wait_for_port(file: Path) -> int:
    until(lambda: file.exists() and file.read_text().strip() != "", START_SECONDS)
    return int(file.read_text())
