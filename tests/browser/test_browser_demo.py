"""``furrow demo --browser``: somebody presses the broken button of the shop, and reads the incident."""

import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

from core.browser_script import installed_browser_script
from tests.browser.conftest import CHROMIUM, DRIVER, FLAGS, wait_for

pytestmark = pytest.mark.browser
PERSON = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/145.0.0.0 Safari/537.36"
ROOT = Path(__file__).parents[2]


def press_and_leave(address: str, folder: Path) -> None:
    options = ChromeOptions()
    options.binary_location = CHROMIUM
    flags = (
        *FLAGS,
        "--disable-blink-features=AutomationControlled",
        f"--user-agent={PERSON}",
        f"--user-data-dir={folder}",
    )
    for flag in flags:
        options.add_argument(flag)
    plain = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    driver = Chrome(options, Service(DRIVER, env=plain))
    try:
        driver.get(address)
        wait_for(driver, lambda page: page.execute_script("return !!(window.furrow && window.furrow.session())"))
        button = driver.find_element(By.ID, "pay")
        for _ in range(4):
            button.click()
            threading.Event().wait(0.4)
        shop = driver.current_window_handle
        driver.switch_to.new_window("tab")
        other = driver.current_window_handle
        driver.switch_to.window(shop)
        driver.close()
        driver.switch_to.window(other)
        threading.Event().wait(3)
    finally:
        driver.quit()


def test_four_presses_in_a_real_browser_become_an_incident(tmp_path: Path) -> None:
    assert installed_browser_script() is not None, "browser/dist holds the built bundle"
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("FURROW_", "PREFECT_"))}
    command = [sys.executable, "-m", "furrow", "demo", "--browser"]
    # `true` stands for the person's browser: this test opens the address that is printed.
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**plain, "BROWSER": "true", "COLUMNS": "200"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    lines: list[str] = []
    pressed = False
    try:
        for line in process.stdout:
            lines.append(line)
            address = re.search(r"http://127\.0\.0\.1:\d+/checkout", line)
            if address and not pressed:
                pressed = True
                press_and_leave(address[0], tmp_path / "profile")
        assert process.wait(60) == 0, "".join(lines)
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)
    printed = "".join(lines)
    assert pressed, printed
    assert "incident draft: " in printed
    assert "POST /api/orders" in printed
    assert "Pay now" in printed
