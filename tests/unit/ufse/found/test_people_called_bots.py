"""Owners of devices and browsers with names like a bot's are heard; bots on the same devices are not (case 11a)."""

import json
from pathlib import Path

import pytest

from collector.contract import read_events
from ufse import detect

FILE = Path(__file__).resolve().parents[3] / "data" / "found" / "11a-people-called-bots.jsonl"
WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/122.0.0.0"


def count_detections(path: Path) -> int:
    return len(detect(read_events(path)[0]).detections)


def detected_with(agent: str, folder: Path) -> int:
    events = [json.loads(line) for line in FILE.read_text().splitlines()]
    mine = [{**event, "userAgent": agent} for event in events if event["sessionId"] == "u0"]
    path = folder / "events.jsonl"
    path.write_text("\n".join(json.dumps(event) for event in mine))
    return count_detections(path)


def test_all_six_people_are_heard() -> None:
    assert count_detections(FILE) == 6


@pytest.mark.parametrize(
    "agent",
    [
        f"Mozilla/5.0 (Linux; Android 14; Cubot X50) {WEBKIT} Mobile Safari/537.36",
        f"Mozilla/5.0 (Linux; Android 6.0; VR BOT 552) {WEBKIT} Mobile Safari/537.36",
        f"Mozilla/5.0 (Linux; Android 12; Dragon Touch Notepad) {WEBKIT} Safari/537.36",
        f"Mozilla/5.0 (Linux; Android 11; Smart Monitor M8) {WEBKIT} Safari/537.36",
        f"Mozilla/5.0 (Linux; Android 13; Spider 8) {WEBKIT} Safari/537.36",
        f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Safari/537.36 Comodo_Dragon/121.0.6167.140",
        "",
    ],
)
def test_other_people_are_heard_too(agent: str, tmp_path: Path) -> None:
    assert detected_with(agent, tmp_path) == 1


@pytest.mark.parametrize(
    "agent",
    [
        f"Mozilla/5.0 (Linux; Android 13; CUBOT P80) {WEBKIT} Mobile Safari/537.36 (compatible; Googlebot/2.1)",
        "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/130.0.0.0 Safari/537.36",
        "Mozilla/5.0 (compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
        "python-requests/2.32.3",
    ],
)
def test_programs_stay_unheard(agent: str, tmp_path: Path) -> None:
    assert detected_with(agent, tmp_path) == 0
