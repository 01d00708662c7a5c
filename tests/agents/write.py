"""Write a labelled set: python -m tests.agents.write --out DIR --sessions N --seed S."""

import argparse
import json
from pathlib import Path
from random import Random

from tests.agents.collectors import COLLECTORS, Collector, Event, Recorder
from tests.agents.labels import judge_session
from tests.agents.scenes import tell_story

FIRST_DAY = 1_772_409_600_000  # 2026-03-02T00:00:00Z
DAYS = 14

COLLECTOR_WEIGHTS: dict[str, dict[str, float]] = {
    "easy": {
        "rich": 6,
        "no-durations": 2,
        "whole-seconds": 2,
        "no-submit": 2,
        "failures-only": 2,
        "selectors": 1,
        "labels-only": 2,
        "generated-ids": 2,
        "types-only": 1.5,
        "doubled": 1.5,
        "access-log": 1.5,
        "graphql": 1.5,
    },
    "medium": {
        "rich": 3,
        "no-durations": 2,
        "whole-seconds": 2,
        "no-submit": 2,
        "failures-only": 2,
        "selectors": 2,
        "labels-only": 2,
        "generated-ids": 2.5,
        "types-only": 2,
        "doubled": 2,
        "access-log": 2,
        "graphql": 2,
    },
    "hard": {
        "rich": 1.5,
        "no-durations": 1.5,
        "whole-seconds": 2,
        "no-submit": 1.5,
        "failures-only": 2,
        "selectors": 2,
        "labels-only": 2,
        "generated-ids": 3,
        "types-only": 3,
        "doubled": 3,
        "access-log": 2,
        "graphql": 2,
    },
}


def choose_start(rng: Random) -> int:
    """Choose when a session begins: on some day, mostly between morning and late evening."""
    hour = min(23.5, max(0.0, rng.gauss(14.5, 3.8)))
    return FIRST_DAY + rng.randrange(DAYS) * 86_400_000 + int(hour * 3_600_000) + rng.randrange(3_600_000)


def name_session(rng: Random, collector: Collector) -> str:
    """Make a session id of the form the collector uses."""
    digits = f"{rng.getrandbits(128):032x}"
    if collector.name in ("access-log", "selectors"):
        return digits[:24]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def choose_difficulty(rng: Random) -> str:
    """Choose easy for a half, medium for a third, hard for the rest."""
    return rng.choices(("easy", "medium", "hard"), (3, 2, 1))[0]


def make_session(seed: int, number: int) -> tuple[list[tuple[int, Event]], dict[str, object]]:
    """Make one session: its events with their moments, and its label."""
    rng = Random(f"agents/{seed}/{number}")
    difficulty = choose_difficulty(rng)
    weights = COLLECTOR_WEIGHTS[difficulty]
    collector = COLLECTORS[rng.choices(list(weights), list(weights.values()))[0]]
    session = name_session(rng, collector)
    while True:
        story = tell_story(rng, difficulty, collector, choose_start(rng))
        recorder = Recorder(collector, session, rng)
        for fact in story.facts:
            recorder.record_fact(fact)
        if recorder.rows:
            break
    verdict = judge_session(story.records, recorder.give_sight())
    label: dict[str, object] = {
        "sessionId": session,
        "frustrated": verdict.frustrated,
        "route": verdict.route,
        "target": recorder.name_control(verdict.control),
        "kind": f"{story.app.name}/{story.failure}@{collector.name}/{difficulty}",
    }
    return recorder.rows, label


def write_set(out: Path, sessions: int, seed: int) -> None:
    """Write events.jsonl and labels.jsonl."""
    events: list[tuple[int, int, int, Event]] = []
    labels: list[dict[str, object]] = []
    for number in range(sessions):
        rows, label = make_session(seed, number)
        events.extend((at, number, place, event) for place, (at, event) in enumerate(rows))
        labels.append(label)
    events.sort(key=lambda row: row[:3])
    out.mkdir(parents=True, exist_ok=True)
    with (out / "events.jsonl").open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(row[3], ensure_ascii=False) + "\n" for row in events)
    with (out / "labels.jsonl").open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(label, ensure_ascii=False) + "\n" for label in labels)


def run_command() -> None:
    """Read the arguments and write the set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sessions", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    given = parser.parse_args()
    write_set(given.out, given.sessions, given.seed)


if __name__ == "__main__":
    run_command()
