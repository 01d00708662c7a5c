"""People visit two applications that nobody here wrote, and requests fail between them: what becomes an incident, and what not.

One is classic, pages and forms of a server: Django's administration. The other is one page that asks an API: Prefect's UI
(Vue), at the Prefect server of the installation. A proxy puts furrow.js into their pages and lets requests fail; the events go
to the real collector, and the flows judge them.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from selenium.webdriver import Chrome

from core.kept_secrets import PREFECT_AUTH
from tests.browser.admin_site import PASSWORD, USER
from tests.browser.conftest import open_as_person, wait_for
from tests.browser.faulty_front import PAGE_OF_A_FAILURE, Fault, Front, serve_front
from tests.browser.person import Person, Visit, visiting
from tests.e2e.installation import ROOT, Up, until
from tests.ports import free_port

pytestmark = pytest.mark.browser

GROUPS: Final = "/admin/auth/group/"
ADD_GROUP: Final = "/admin/auth/group/add/"
ADD_PAGE: Final = "/admin/flatpages/flatpage/add/"
SAVE: Final = "[name=_save]"

VARIABLES: Final = "/api/variables/"
ADD: Final = "//header[contains(., 'Variables')]//button"
NAME: Final = "form input[type=text]"
VALUE: Final = "form textarea"
CREATE: Final = "//*[@role='dialog']//button[normalize-space() = 'Create']"
CLOSE: Final = "//*[@role='dialog']//button[normalize-space() = 'Close']"
STATISTICS: Final = "/api/(flow|task)_runs/(count|history|lateness|filter)"


def lost(path: str, times: int = 1_000) -> Fault:
    """A form of the administration that is answered with an error page."""
    return Fault("POST", path, 500, PAGE_OF_A_FAILURE, "text/html", times=times)


def sign_in_to_the_administration(person: Person) -> None:
    person.write("#id_username", USER)
    person.write("#id_password", PASSWORD)
    person.press("[type=submit]")
    person.see("#user-tools")


def add_group(person: Person, name: str) -> None:
    person.write("#id_name", name)
    person.press(SAVE)


def work_in_the_administration(person: Person) -> None:
    """Signs in, adds a group, and corrects at once what the server refuses."""
    sign_in_to_the_administration(person)
    person.press(f"//a[@href = '{ADD_GROUP}']")
    add_group(person, "Editors")
    person.see_text("was added successfully")
    person.press("//a[contains(., 'Home')]")
    person.press(f"//a[@href = '{ADD_PAGE}']")
    person.write("#id_url", "about us")
    person.write("#id_title", "About us")
    person.press(SAVE)
    person.see(".errornote")
    person.look()
    person.write("#id_url", "/about/")
    person.press("#id_sites option")
    person.press(SAVE)
    person.see_text("was added successfully")


def lose_a_form_and_send_it_again(person: Person) -> None:
    add_group(person, "Reviewers")
    person.see_text("Server Error")
    person.look()
    person.go_back()
    person.press(SAVE)
    person.see_text("was added successfully")


def wait_for_a_slow_form(person: Person) -> None:
    add_group(person, "Translators")
    person.see_text("was added successfully")
    person.press("//a[text() = 'Translators']")
    person.see(SAVE)


def lose_a_form_again_and_again(person: Person) -> None:
    person.write("#id_name", "Printers")
    for _ in range(3):
        person.press(SAVE)
        person.see_text("Server Error")
        person.look()
        person.go_back()
        person.see(SAVE)


def sign_in_to_prefect(person: Person, secret: str) -> None:
    person.write("input[type=password]", secret)
    person.press("button[type=submit]")
    wait_for(person.browser, lambda page: "dashboard" in page.current_url)


def fill_in_variable(person: Person, name: str) -> None:
    """The form asks by itself whether the name is free: 404, it is."""
    person.see_answers("GET", "/api/health", 1)  # the last that the page asks when it opens
    person.see_answers("POST", f"{VARIABLES}filter", 1)
    person.look()
    person.press(ADD)
    person.write(NAME, name)
    person.write(VALUE, "1")
    person.see_answers("GET", f"{VARIABLES}name/{name}", 1)
    person.look()


def see_variable(person: Person, name: str) -> None:
    wait_for(person.browser, lambda page: not page.find_elements("css selector", VALUE))
    person.see_text(name)


def work_in_prefect(person: Person, secret: str) -> None:
    """Signs in, looks around while the statistics of each page fail, and saves a variable."""
    sign_in_to_prefect(person, secret)
    for page in ("Runs", "Dashboard", "Variables"):
        person.look()
        person.press(f"//a[normalize-space() = '{page}']")
        person.see(f"//a[normalize-space() = '{page}'][contains(@class, 'active')]")
    fill_in_variable(person, "first_of_all")
    person.press(CREATE)
    see_variable(person, "first_of_all")


def save_at_the_second_try(person: Person) -> None:
    fill_in_variable(person, "second_try")
    person.press(CREATE)
    person.see_answers("POST", VARIABLES, 1)
    person.look()
    person.press(CREATE)
    see_variable(person, "second_try")


def press_again_what_is_slow(person: Person) -> None:
    """The first press saves it, late; the other three are refused, because it is there."""
    fill_in_variable(person, "slow_one")
    person.press(CREATE, 4)
    see_variable(person, "slow_one")
    person.see_answers("POST", VARIABLES, 4)


def press_four_times_what_fails(person: Person) -> None:
    fill_in_variable(person, "never_saved")
    person.press(CREATE, 4)
    person.see_answers("POST", VARIABLES, 4)


def try_three_times_and_leave(person: Person) -> None:
    fill_in_variable(person, "cut_off")
    for n in range(3):
        person.press(CREATE)
        person.see_answers("POST", VARIABLES, n + 1)
        person.look(1.2)
    person.press(CLOSE)
    person.look()
    person.press("//a[normalize-space() = 'Dashboard']")
    wait_for(person.browser, lambda page: "dashboard" in page.current_url)


Story = tuple[str, tuple[Fault, ...], Callable[[Person], None]]
"""Where the visit begins, what goes wrong, and what the person does."""
IN_THE_ADMINISTRATION: Final[dict[str, Story]] = {
    "work": ("/admin/", (), work_in_the_administration),
    "sent again": (ADD_GROUP, (lost(ADD_GROUP, 1),), lose_a_form_and_send_it_again),
    "slow form": (ADD_GROUP, (Fault("POST", ADD_GROUP, wait=3.2),), wait_for_a_slow_form),
    "lost form": (ADD_GROUP, (lost(ADD_GROUP),), lose_a_form_again_and_again),
}
IN_PREFECT: Final[dict[str, Story]] = {
    "second try": ("/variables", (Fault("POST", VARIABLES, 503, "{}", times=1),), save_at_the_second_try),
    "slow save": ("/variables", (Fault("POST", VARIABLES, wait=4.0),), press_again_what_is_slow),
    "failing save": ("/variables", (Fault("POST", VARIABLES, 500, "{}"),), press_four_times_what_fails),
    "cut off": ("/variables", (Fault("POST", VARIABLES, cut=True),), try_three_times_and_leave),
}
FAILURE_POINTS: Final = {
    "lost form": ("/admin/auth/group/add", "button#_save", "POST /admin/auth/group/add → 500"),
    "failing save": ("/variables", "div button[type=button]", "POST /api/variables → 500"),
    "cut off": ("/variables", "div button[type=button]", "POST /api/variables → no answer"),
}


@contextmanager
def serve_administration(folder: Path) -> Iterator[str]:
    """The address of Django's administration, in a process of its own."""
    port = free_port()
    command = [sys.executable, "-m", "tests.browser.admin_site", str(folder), str(port)]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert process.poll() is None, (folder / "log").read_text()
        try:
            return httpx.get(address + "/admin/login/", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    try:
        until(answers, 30)
        yield address
    finally:
        process.kill()
        process.wait()


def play(browser: Chrome, front: Front, stories: dict[str, Story]) -> dict[str, Visit]:
    visits = {name: Visit() for name in stories}
    for name, (path, faults, act) in stories.items():
        with visiting(browser, front, path, visits[name], *faults) as person:
            act(person)
    return visits


def visit_administration(browser: Chrome, collector: str, folder: Path) -> dict[str, Visit]:
    with serve_administration(folder) as address, serve_front(Front(address, collector)) as front:
        return play(browser, front, IN_THE_ADMINISTRATION)


def visit_prefect(browser: Chrome, collector: str, address: str, secret: str) -> dict[str, Visit]:
    work = ("/", (Fault("POST", STATISTICS, 500, "{}"),), partial(work_in_prefect, secret=secret))
    with serve_front(Front(address, collector)) as front:
        return play(browser, front, {"variable": work, **IN_PREFECT})


@pytest.fixture(scope="module")
def visits(up: Up, visitor: Chrome, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Visit]:
    """All visits, after the flows have judged them; one person is in each application."""
    judged = up.get("/v1/status")["sessions"]["complete"]
    collector, prefect = (f"http://127.0.0.1:{port}" for port in (up.port, up.prefect_port))
    folder = tmp_path_factory.mktemp("admin")
    with ThreadPoolExecutor() as pool, open_as_person(tmp_path_factory.mktemp("second visitor")) as second:
        classic = pool.submit(visit_administration, visitor, collector, folder)
        one_page = pool.submit(visit_prefect, second, collector, prefect, up.secret(PREFECT_AUTH))
        visits = classic.result() | one_page.result()
    until(lambda: up.get("/v1/status")["sessions"]["complete"] >= judged + len(visits), 120)
    return visits


@pytest.fixture(scope="module")
def incidents(up: Up, visits: dict[str, Visit]) -> dict[str, list[dict[str, Any]]]:
    """Per visit: the incidents that show it."""
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in visits}
    names = {visit.session: name for name, visit in visits.items()}
    for listed in up.get("/v1/incidents?limit=100")["incidents"]:
        incident = up.get(f"/v1/incidents/{listed['incidentId']}")
        for example in incident["examples"]:
            if example["sessionId"] in names:
                found[names[example["sessionId"]]].append(incident)
    return found


def test_whoever_cannot_save_is_an_incident_with_the_right_failure_point(
    incidents: dict[str, list[dict[str, Any]]],
) -> None:
    found = {name: [tuple(one["failurePoint"].values()) for one in incidents[name]] for name in FAILURE_POINTS}
    assert found == {name: [point] for name, point in FAILURE_POINTS.items()}


def test_whoever_gets_there_is_none(incidents: dict[str, list[dict[str, Any]]]) -> None:
    calm = {name: found for name, found in incidents.items() if name not in FAILURE_POINTS}
    assert calm == {name: [] for name in calm}


def test_nothing_throws_within_the_script(visits: dict[str, Visit]) -> None:
    assert {name: visit.faults for name, visit in visits.items()} == dict.fromkeys(visits, 0)
