"""Agents of people are people's, whatever their devices are called; agents of programs are programs'."""

import subprocess
import sys
from pathlib import Path

import pytest
from crawleruseragents import CRAWLER_USER_AGENTS_DATA

from ufse.agents import is_machine_agent

DATA = Path(__file__).resolve().parents[2] / "data" / "agents"


def read_agents(name: str) -> list[str]:
    lines = (DATA / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


PEOPLE, PROGRAMS = read_agents("people.txt"), read_agents("programs.txt")
MISTAKEN = frozenset({"AP3A\\.240617\\.008", "Fluid"})
"""Entries of the list that are people's: a build of Android 15, and an old browser."""


def test_there_are_enough_of_each() -> None:
    assert len(PEOPLE) >= 40
    assert len(PROGRAMS) >= 60


@pytest.mark.parametrize("agent", PEOPLE)
def test_people_are_no_programs(agent: str) -> None:
    assert not is_machine_agent(agent)


@pytest.mark.parametrize("agent", PROGRAMS)
def test_programs_are_no_people(agent: str) -> None:
    assert is_machine_agent(agent)


def test_every_program_of_the_list_is_known() -> None:
    listed = {agent for entry in CRAWLER_USER_AGENTS_DATA for agent in entry["instances"]}
    missed = {agent for agent in listed if not is_machine_agent(agent)}
    of = {entry["pattern"] for entry in CRAWLER_USER_AGENTS_DATA if missed & set(entry["instances"])}
    assert len(listed) > 2_000
    assert of <= MISTAKEN


@pytest.mark.parametrize(
    "place",
    [
        "Mozilla/5.0 (Linux; Android 13; {0}) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/122.0.0.0 Mobile Safari/537.36",
        "Mozilla/5.0 (Linux; U; Android 9; de-de; {0} Build/PPR1.180610.011) AppleWebKit/534.30 (KHTML, like Gecko) "
        "Version/4.0 Mobile Safari/534.30",
        "Mozilla/5.0 (Linux; Android 8.1.0; {0} Build/O11019; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 "
        "Chrome/98.0.0.0 Mobile Safari/537.36",
        "Dalvik/2.1.0 (Linux; U; Android 10; {0} Build/QP1A.190711.020)",
    ],
)
@pytest.mark.parametrize(
    "device", ["Robot", "Scanbot/1", "Spider-7", "My Crawler", "Headless One", "Uptime X", "curl/9", "NVDA"]
)
def test_a_device_may_have_any_name(place: str, device: str) -> None:
    assert not is_machine_agent(place.format(device))


@pytest.mark.parametrize("name", ["Googlebot/2.1", "NeverSeenBot/0.1", "some-crawler", "Headless/1"])
def test_a_program_is_one_on_any_device(name: str) -> None:
    phone = "Mozilla/5.0 (Linux; Android 13; CUBOT P80) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/122.0.0.0 Mobile"
    assert is_machine_agent(f"{phone} Safari/537.36 (compatible; {name})")


@pytest.mark.parametrize("name", ["NVDA/2024.1", "JAWS/2024", "VoiceOver/10", "TalkBack/14.1"])
def test_assistive_technology_that_names_itself(name: str) -> None:
    assert is_machine_agent(f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) Gecko/20100101 Firefox/131.0 {name}")


def test_hostile_agents_cost_little() -> None:
    for agent in ("", "\0", "a" * 512, "(" * 512, "android;" * 64, "Android 1; u; " * 36, "[FB" * 170, "a@" * 256):
        is_machine_agent(agent)


def test_the_list_is_read_only_when_an_agent_is_judged() -> None:
    code = "import ufse.pipeline, sys; sys.exit('crawleruseragents' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
