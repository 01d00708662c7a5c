"""WebKit as a browser of Selenium: MiniBrowser of WebKitGTK, on a screen of its own (Xvfb)."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from glob import glob

from selenium.webdriver import Remote, WebKitGTKOptions
from selenium.webdriver.remote.client_config import ClientConfig
from selenium.webdriver.remote.remote_connection import RemoteConnection
from selenium.webdriver.webkitgtk.service import Service

DRIVER, SCREEN = "/usr/bin/WebKitWebDriver", "/usr/bin/Xvfb"
MINI_BROWSER = "/usr/lib/*/webkit2gtk-4.1/MiniBrowser"


@contextmanager
def open_webkit() -> Iterator[Remote]:
    """A MiniBrowser that keeps nothing on the disk; ended with the block."""
    options = WebKitGTKOptions()
    (options.binary_location,) = glob(MINI_BROWSER)
    options.add_argument("--automation")
    with _open_screen() as display:
        plain = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        service = Service(DRIVER, env={**plain, "DISPLAY": display, "NO_AT_BRIDGE": "1"})
        service.start()
        try:
            # Not Selenium's class WebKitGTK: it still calls what Selenium has deprecated, and a warning fails a test.
            connection = RemoteConnection(client_config=ClientConfig(remote_server_addr=service.service_url))
            with Remote(connection, options=options) as driver:
                yield driver
        finally:
            service.stop()


@contextmanager
def _open_screen() -> Iterator[str]:
    """The name of an X display without a monitor; Xvfb chooses one that is free."""
    command = [SCREEN, "-displayfd", "1", "-screen", "0", "1400x1000x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as screen:
        assert screen.stdout
        try:
            number = screen.stdout.readline().strip()
            assert number, "Xvfb did not start"
            yield f":{number}"
        finally:
            screen.terminate()
