"""``python -m tests.simulated.write --out DIR --sessions N --seed S`` writes events.jsonl and labels.jsonl."""

import argparse
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from tests.simulated.applications import APPLICATIONS
from tests.simulated.failures import draw_failures
from tests.simulated.people import draw_person
from tests.simulated.recording import disturb, record
from tests.simulated.session import Session, worst

_FIRST: Final = datetime(2025, 3, 3, 6, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Simulated:
    """A session: its events with their arrival (ms since the first day), and its label."""

    events: list[tuple[float, Any]]
    label: dict[str, Any]


def simulate(seed: int, number: int) -> Simulated:
    """Session ``number`` of ``seed``; the same arguments give the same session."""
    rng = random.Random(f"{seed}/{number}")
    app, person = rng.choice(APPLICATIONS), draw_person(rng)
    weights = [task.weight for task in app.tasks]
    tasks = rng.choices(app.tasks, weights, k=rng.choices([1, 2, 3, 4], [35, 35, 20, 10])[0])
    wanted = [step.call.op for task in tasks for step in task.steps if step.call]
    steps = sum(len(task.steps) for task in tasks)
    failures = draw_failures(rng, app, wanted, 14_000.0 * steps)
    session = Session(rng, app, person, failures, tasks)
    session.run()
    name = f"{rng.getrandbits(96):024x}"
    start_ms = rng.randrange(14 * 86_400_000)
    start = _FIRST + timedelta(milliseconds=start_ms + person.skew_ms)
    events = record(session.moments, session.routes, app.collector, name, start)
    arrived = disturb(rng, list(events), app.collector.keys)
    frustrated, route, target = worst(session.struggles, app)
    broken = "+".join(sorted({failure.kind for failure in failures})) or "nothing"
    label = {"sessionId": name, "frustrated": frustrated, "route": route, "target": target}
    label["kind"] = f"{app.name}/{broken}/{person.temper}"
    return Simulated([(start_ms + at, event) for at, event in arrived], label)


def simulate_all(seed: int, count: int) -> Iterator[Simulated]:
    """``count`` sessions of ``seed``."""
    return (simulate(seed, number) for number in range(count))


def write(out: Path, sessions: int, seed: int) -> tuple[int, int]:
    """Write both files, events by arrival. Returns how many events there are and how many sessions are frustrated."""
    simulated = list(simulate_all(seed, sessions))
    events = sorted((pair for each in simulated for pair in each.events), key=lambda pair: pair[0])
    out.mkdir(parents=True, exist_ok=True)
    with (out / "events.jsonl").open("w") as lines:
        lines.writelines(json.dumps(event, separators=(",", ":")) + "\n" for _, event in events)
    with (out / "labels.jsonl").open("w") as lines:
        lines.writelines(json.dumps(each.label) + "\n" for each in simulated)
    return len(events), sum(each.label["frustrated"] for each in simulated)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sessions", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    events, frustrated = write(chosen.out, chosen.sessions, chosen.seed)
    print(f"{chosen.sessions} sessions, {frustrated} frustrated, {events} events in {chosen.out}")


if __name__ == "__main__":
    main()
