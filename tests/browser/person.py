"""A person at a browser: moves the mouse to what is there, presses, types key by key, and closes the tab."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from selenium.webdriver import ActionChains, Chrome, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.browser.conftest import wait_for
from tests.browser.faulty_front import BLANK, Fault, Front
from tests.e2e.installation import until

MOVE_MS: Final = 120
KEY_SECONDS: Final = 0.02
IMPATIENT_SECONDS: Final = 0.35
LOOK_SECONDS: Final = 0.6
"""How long a person looks at what came, before the next step."""
RUNS: Final = "return !!(window.furrow && furrow.session && furrow.session())"


@dataclass
class Person:
    """What one does during a visit. A place is a CSS selector, or an XPath that begins with ``/``."""

    browser: Chrome
    front: Front

    def see(self, place: str) -> WebElement:
        """The first element at the place that is shown, when there is one."""
        by = By.XPATH if place.startswith("/") else By.CSS_SELECTOR

        def shown(browser: Chrome) -> WebElement | None:
            return next((found for found in browser.find_elements(by, place) if found.is_displayed()), None)

        found = wait_for(self.browser, shown)
        assert found is not None
        return found

    def see_text(self, text: str) -> None:
        wait_for(self.browser, lambda browser: text in browser.find_element(By.TAG_NAME, "body").text)

    def see_answers(self, method: str, path: str, count: int) -> None:
        """When the proxy has answered ``count`` requests of the visit; ``path``: a regular expression."""
        until(lambda: self.front.count(method, path) >= count, 30)

    def press(self, place: str, times: int = 1) -> None:
        """Presses of the mouse; several of them as an impatient person makes them."""
        found = self.see(place)
        actions = ActionChains(self.browser, duration=MOVE_MS).scroll_to_element(found).move_to_element(found)
        for _ in range(times):
            actions = actions.click().pause(IMPATIENT_SECONDS if times > 1 else 0.0)
        actions.perform()

    def write(self, place: str, text: str) -> None:
        """Replaces what stands in a field."""
        self.press(place)
        actions = ActionChains(self.browser).key_down(Keys.CONTROL).send_keys("a").key_up(Keys.CONTROL)
        for key in text:
            actions = actions.send_keys(key).pause(KEY_SECONDS)
        actions.perform()

    def look(self, seconds: float = LOOK_SECONDS) -> None:
        ActionChains(self.browser).pause(seconds).perform()

    def go_back(self) -> None:
        self.browser.back()


@dataclass
class Visit:
    """What is left of a visit."""

    session: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    faults: int = 0
    """How often something threw within furrow.js."""


@contextmanager
def visiting(browser: Chrome, front: Front, path: str, visit: Visit, *faults: Fault) -> Iterator[Person]:
    """A visit in a tab of its own, as somebody whom furrow.js does not know yet; what else the browser stored stays. It has
    ended when the collector has accepted the end of the session."""
    window = browser.current_window_handle
    browser.get(front.address + BLANK)
    browser.execute_script("for (const area of [localStorage, sessionStorage]) area.removeItem('furrow')")
    front.begin_visit(*faults)
    browser.switch_to.new_window("tab")
    browser.get(front.address + path)
    wait_for(browser, lambda page: page.execute_script(RUNS))
    person = Person(browser, front)
    yield person
    person.look()
    browser.close()
    browser.switch_to.window(window)
    until(lambda: any(event["eventType"] == "session_end" for event in front.events()), 10)
    visit.events = front.events()
    (visit.session,) = {event["sessionId"] for event in visit.events}
    visit.faults = max(batch.get("faults", 0) for batch in front.batches)
