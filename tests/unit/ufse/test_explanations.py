"""What the engine says, word for word: explanations of detections and the reasons for silence, beside their snapshots.

The snapshots in ``tests/data/explanations/`` are meant to be read: by whoever changes the prose, aloud. To write them anew
after a change that was meant, and then read the difference:

    python -m tests.unit.ufse.test_explanations --write
"""

import sys
from pathlib import Path

import pytest

from tests.unit.ufse.boundaries import (
    HOUR,
    NAME,
    OPENED,
    button,
    form,
    hits,
    received,
    tries,
    wandering,
)
from tests.unit.ufse.scene import Row, answer, click, end, error, event, go, run, submit, table, typed
from ufse import Config, Detection, detect

FOLDER = Path(__file__).resolve().parents[2] / "data" / "explanations"
SAVE, PROMO = button("save-address"), button("promo")

DETECTIONS: dict[str, list[Row]] = {
    "rage_500": [
        go(0.2, "/checkout"),
        *(r for i in range(5) for r in (click(10.1 + 0.4 * i), answer(10.4 + 0.4 * i, 500, took=0.25))),
    ],
    "blocked_by_422": [
        *form(422, 20.1),
        *(r for i in (1, 2, 3) for r in (typed(20.1 + 8 * i), submit(24.3 + 8 * i), answer(24.7 + 8 * i, 422))),
        end(70.2),
    ],
    "abandoned_after_500": [go(0.3, "/checkout"), *form(500), go(24.9, "/home"), end(60.1, "/home")],
    "session_ended_in_the_form": [*form(503), end(18.5)],
    "left_without_a_word": [*form(500), typed(21.7)],
    "impatient_at_a_gateway_time_out": [
        typed(5.1),
        click(10.1),
        submit(10.11),
        *hits(22.3, 5),
        answer(40.1, 504, took=29.9),
        click(52.4),
        submit(52.41),
        answer(82.3, 504, took=29.8),
        go(95.2, "/home"),
    ],
    "gave_up_waiting": [
        typed(5.1),
        typed(7.2, target=NAME),
        click(10.1),
        submit(10.11),
        answer(32.1, 0, took=21.9, aborted=1),
        go(32.2, "/home"),
    ],
    "reloads_of_a_failing_page": [
        r
        for t, how in ((0.001, "link"), (5.001, "reload"), (9.4, "reload"), (16.2, "reload"), (21.001, "reload"))
        for r in (go(t, "/r", how), answer(t + 0.4, 500, url="/api/r", method="GET", route="/r"))
    ],
    "wandering_to_a_slow_page": wandering(10.1, 18.3, 25.2, 33.4, 39.9),
    "crash_while_drawing": [
        r
        for i in range(5)
        for r in (click(10.1 + 0.5 * i), answer(10.3 + 0.5 * i, 200, took=0.15), error(10.32 + 0.5 * i))
    ],
    "form_that_never_validates": [
        typed(3.1),
        *(
            r
            for i in range(4)
            for r in (submit(8.1 + 9 * i, valid=0), error(8.13 + 9 * i, "Enter a valid card", "validation"))
        ),
        go(50.3, "/home"),
    ],
    "no_answer_from_the_network": [*tries(10.1, 19.4, 27.2, status=0, took=0.8), go(40.2, "/home")],
    "two_failure_points": [
        *hits(10.1, 5),
        answer(12.3, 500, took=2.1),
        *hits(300.2, 5, target=SAVE, route="/profile"),
        answer(302.2, 502, took=1.9, url="/api/me", method="PUT", route="/profile"),
    ],
}

SILENT: dict[str, list[Row]] = {
    "nothing_failed": hits(10.1, 6),
    "an_error_nobody_reacted_to": [*tries(10.1), event(60, "scroll")],
    "a_retry_that_succeeded": [*tries(10.1, 18.2), *tries(26.1, status=201)],
    "another_way_found": [
        *tries(5.1, 10.2),
        click(25.1, button("pay-later")),
        answer(25.4, 201, url="/api/invoice"),
        go(25.6, "/orders/7", "push"),
    ],
    "rage_on_another_control": [*tries(10.1), *hits(14.2, 5, target=PROMO)],
    "rage_on_a_page_that_failed_to_open": [
        *OPENED,
        *hits(13.2, 6, target=button("retry"), route="/r"),
        end(25.1, "/r"),
    ],
    "rage_long_after": [*tries(10.1), *hits(55.2, 5, target=PROMO)],
    "polling_that_fails": [
        *(answer(3.1 + 5 * i, 503, took=0.1, url="/api/live", method="GET") for i in range(12)),
        *hits(12.6, 5, target=PROMO),
    ],
    "an_error_without_an_action": [event(1.1, "scroll"), error(30.2), *hits(60.1, 5)],
    "noise_of_an_extension": [*hits(10.1, 5), error(12, "boom", source="chrome-extension://abc/x.js")],
    "a_slow_page_alone": [go(0.1, "/a"), event(6.2, "performance", "/a", perf_kind="page_load", duration_ms=6050)],
    "slow_but_answered": [*hits(10.1, 5), answer(18.2, 200, took=8)],
    "one_field_and_nothing_more": [r for r in form(500) if r["event_type"] != "input" or r["ts"] > typed(6)["ts"]],
    "a_bot": [{**r, "user_agent": "Mozilla/5.0 (compatible; bingbot/2.0)"} for r in DETECTIONS["rage_500"]],
    "metadata_of_a_screen_reader": [{**r, "metadata": '{"screenReader":true}'} for r in DETECTIONS["rage_500"]],
    "ignored_by_the_project": tries(10.1, 18.2, 26.3),
    "only_the_late_event_failed": [*hits(10.1, 5), received(answer(12, 500, took=1.8), 3 * HOUR)],
}
CONFIGS = {"ignored_by_the_project": Config(ignored_routes=("/checkout",))}


def detection_text(name: str) -> str:
    """What is told of the scene's detections: point, explanation, points, signals and timeline."""
    told = [_detection(d.to_json()) for d in detect(table(DETECTIONS[name])).detections]
    assert told, f"{name} is silent"
    return "\n\n".join(told) + "\n"


def _detection(body: Detection) -> str:
    lines = [body["primaryFailurePoint"], "", *body["explanation"].replace(". ", ".\n").splitlines(), ""]
    lines += [f"{p['points']:+4d}  {p['rule']}" for p in body["points"]]
    lines += [f"{body['frustrationScore']:4d}  {body['confidenceLevel']}, {body['severityType']}", ""]
    lines += [f"{s['type']}: {s['text']}" for s in body["triggeringSignals"]]
    lines += ["", *(f"{e['offsetMs'] / 1000:+8.3f} s  {e['text']}" for e in body["timeline"])]
    return "\n".join(lines)


def silence_text(name: str) -> str:
    """Why the scene's visits are silent: the first rule that stopped them, its words and the candidates."""
    result = run(SILENT[name], CONFIGS.get(name))
    assert not result.detections, f"{name} is not silent"
    lines = []
    for why in (w.to_json() for w in result.why_not):
        lines += [f"{why['rule']}: {why['text']}"]
        lines += [f"  {c['failurePoint']} [{c['rule']}, score {c['score']}] {c['text']}" for c in why["candidates"]]
    return "\n".join(lines) + "\n"


def texts() -> dict[str, str]:
    """Every snapshot by its file's name."""
    found = {f"detection_{name}.txt": detection_text(name) for name in DETECTIONS}
    return found | {f"silence_{name}.txt": silence_text(name) for name in SILENT}


@pytest.mark.parametrize("name", DETECTIONS)
def test_a_detection_is_told_as_in_its_snapshot(name: str) -> None:
    assert detection_text(name) == (FOLDER / f"detection_{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SILENT)
def test_a_silence_is_told_as_in_its_snapshot(name: str) -> None:
    assert silence_text(name) == (FOLDER / f"silence_{name}.txt").read_text(encoding="utf-8")


def test_there_is_no_snapshot_without_a_scene() -> None:
    wanted = {f"detection_{n}.txt" for n in DETECTIONS} | {f"silence_{n}.txt" for n in SILENT}
    assert {p.name for p in FOLDER.glob("*.txt")} == wanted


def main(arguments: list[str]) -> int:
    """Writes the snapshots with ``--write``; else says how."""
    if arguments != ["--write"]:
        print(__doc__)
        return 2
    FOLDER.mkdir(parents=True, exist_ok=True)
    found = texts()
    for old in FOLDER.glob("*.txt"):
        if old.name not in found:
            old.unlink()
    for name, text in found.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    print(f"{len(found)} snapshots in {FOLDER.name}/")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
