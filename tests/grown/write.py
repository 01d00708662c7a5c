"""Grow sessions and write them: ``python -m tests.grown.write --out DIR --sessions N --seed S``."""

from __future__ import annotations

import argparse
import heapq
import json
import random
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tests.grown.lab import Lab
from tests.grown.lens import Lens, Shown
from tests.grown.noise import add_tab, lay_noise
from tests.grown.profiles import LAST_VISIT, PROFILES, Profile
from tests.grown.scenes_bad import BAD
from tests.grown.scenes_good import GOOD, retry_works
from tests.grown.shop import Shop
from tests.grown.stage import App, Scene
from tests.grown.world import Act, Pen, Truth

START = 1_795_000_000_000.0
SPAN = 6 * 24 * 3600 * 1000
SHARE = 0.3
WEAK_ENOUGH = 3
ODD_PAGE = re.compile(r"^/(basket|accounts/wishlists)/.*add/")


@dataclass
class Session:
    """A grown session: its events in order of arrival and its label."""

    shown: list[Shown]
    label: dict[str, Any]


def draw_scene(rng: random.Random, frustrated: bool) -> Scene:
    """Draw a scene."""
    scenes = BAD if frustrated else GOOD
    return rng.choices(scenes, [scene.weight for scene in scenes])[0]


def draw_app(rng: random.Random, profile: Profile, pen: Pen) -> App:
    """Draw one of the two applications, by the weights of the SDK."""
    shop = rng.random() * (profile.shop + profile.lab) < profile.shop
    return Shop(pen) if shop else Lab(pen)


def draw_profile(rng: random.Random, scene: Scene) -> Profile:
    """Draw an SDK; a later visit needs one whose session id lives on."""
    fitting = [p for p in PROFILES if not (scene.gap and p.name in LAST_VISIT)]
    return rng.choices(fitting, [p.shop + p.lab for p in fitting])[0]


def play_scene(rng: random.Random, scene: Scene, profile: Profile) -> tuple[App, Truth] | None:
    """Play a scene in an application, with a deed that suits it, and lay the noise over it."""
    pen = Pen(rng, START + rng.random() * SPAN)
    app = draw_app(rng, profile, pen)
    acts: list[Act] = [act for act in app.acts if scene.suits(act)]
    if not acts:
        return None
    truth = scene.play(app, rng.choice(acts))
    added = lay_noise(app, truth.scenario, rng)
    if truth.scenario == "many_tabs":
        for _ in range(rng.randint(1, 2)):
            second = Pen(rng, pen.now)
            other = Shop(second) if app.name == "oscar" else Lab(second)
            retry_works(other, rng.choice(other.acts))
            lay_noise(other, "", rng)
            add_tab(pen, second)
    return app, replace(truth, hard=truth.hard or added)


def prove_failure(shown: list[Shown]) -> str:
    """Tell how well the reported events show the failure: strong, weak or not at all."""
    if any(item.strong for item in shown):
        return "strong"
    counts: Counter[str] = Counter()
    for item in shown:
        if item.failure:
            counts[item.event["eventType"]] += 1
            counts["odd page"] += item.event["eventType"] == "navigation" and bool(ODD_PAGE.search(item.event["route"]))
            counts[json.dumps(item.event.get("target"))] += item.event["eventType"] in ("click", "form_submit")
    deeds = max((count for key, count in counts.items() if key.startswith("{")), default=0)
    if deeds >= WEAK_ENOUGH or (deeds >= 2 and counts["navigation"] >= 2) or counts["odd page"] >= 2:
        return "weak"
    return "none"


def name_suffering(lens: Lens, truth: Truth) -> str:
    """Name the target of a frustrated session as the SDK does."""
    if truth.control is None or lens.profile.clicks == "none":
        return ""
    target = lens.target_of(truth.control) or {}
    name = target.get("id") or target.get("selector") or target.get("label") or ""
    reported = {value for item in lens.shown for value in item.event.get("target", {}).values()}
    return name if name in reported else ""


def make_label(lens: Lens, truth: Truth, app: App, proof: str) -> dict[str, Any]:
    """Make the label of a session."""
    difficulty = "faint" if proof == "weak" else "hard" if truth.hard else "plain"
    return {
        "sessionId": lens.session,
        "frustrated": truth.frustrated,
        "route": truth.route if truth.frustrated else "",
        "target": name_suffering(lens, truth) if truth.frustrated else "",
        "kind": f"{lens.profile.name}-{app.name}/{truth.scenario}/{difficulty}",
    }


def grow_session(rng: random.Random, frustrated: bool) -> Session:
    """Grow one session; a frustrated one of which the SDK shows nothing is drawn anew."""
    while True:
        scene = draw_scene(rng, frustrated)
        profile = draw_profile(rng, scene)
        played = play_scene(rng, scene, profile)
        if played is None:
            continue
        app, truth = played
        lens = Lens(profile, app.name, rng)
        shown = lens.see_moments(app.pen.moments)
        if truth.scenario == "sdk_twice" or rng.random() < 0.02:
            lens.load_twice()
            shown = sorted(lens.shown, key=lambda item: item.arrival)
        proof = prove_failure(shown)
        if shown and (proof != "none" or not truth.frustrated):
            return Session(shown, make_label(lens, truth, app, proof))


def write_files(folder: Path, sessions: list[Session]) -> None:
    """Write events in order of arrival, and labels."""
    folder.mkdir(parents=True, exist_ok=True)
    streams: list[Iterable[tuple[float, int, int, Shown]]] = [
        [(item.arrival, index, place, item) for place, item in enumerate(session.shown)]
        for index, session in enumerate(sessions)
    ]
    with (folder / "events.jsonl").open("w", encoding="utf-8") as lines:
        for _, _, _, item in heapq.merge(*streams, key=lambda entry: entry[:3]):
            lines.write(json.dumps(item.event, ensure_ascii=False) + "\n")
    with (folder / "labels.jsonl").open("w", encoding="utf-8") as lines:
        for session in sessions:
            lines.write(json.dumps(session.label, ensure_ascii=False) + "\n")


def write_set(out: Path, sessions: int, seed: int) -> None:
    """Grow the sessions of a seed and write them."""
    master = random.Random(seed)
    bad = [index < round(sessions * SHARE) for index in range(sessions)]
    master.shuffle(bad)
    write_files(out, [grow_session(random.Random(f"{seed}:{index}"), value) for index, value in enumerate(bad)])


def run_command() -> None:
    """Read the arguments, grow the sessions and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sessions", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    write_set(asked.out, asked.sessions, asked.seed)


if __name__ == "__main__":
    run_command()
