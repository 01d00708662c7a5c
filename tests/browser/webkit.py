"""WebKit as a browser of Selenium: MiniBrowser of WebKitGTK, on a screen of its own (Xvfb)."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from glob import glob

from selenium.webdriver import WebKitGTK, WebKitGTKOptions
from selenium.webdriver.webkitgtk.service import Service

DRIVER, SCREEN = "/usr/bin/WebKitWebDriver", "/usr/bin/Xvfb"
MINI_BROWSER = "/usr/lib/*/webkit2gtk-4.1/MiniBrowser"


@contextmanager
def open_webkit() -> Iterator[WebKitGTK]:
    """A MiniBrowser that keeps nothing on the disk; ended with the block."""
    options = WebKitGTKOptions()
    (options.binary_location,) = glob(MINI_BROWSER)
    options.add_argument("--automation")
    with _open_screen() as display:
        plain = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        driver = WebKitGTK(options, Service(DRIVER, env={**plain, "DISPLAY": display, "NO_AT_BRIDGE": "1"}))
        try:
            driver.set_script_timeout(60)
            yield driver
        finally:
            driver.quit()


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
