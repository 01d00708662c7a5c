"""The table of boundaries: for every number that decides, a scene just inside and a scene just outside of it.

A case names the number (a field of ``Config``, ``weights.`` and a field of ``Weights``, or a number of detection.md that no
field holds), says how to look at a scene, and what is to be seen on each side. ``test_boundaries`` runs the table as it is;
``test_mutations`` changes each number by its smallest step and asks that the table notices. Everything is seen through what
the engine gives out: detections, why-not traces and visits.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from tests.unit.ufse.scene import (
    Row,
    answer,
    click,
    end,
    error,
    event,
    go,
    run,
    submit,
    table,
    typed,
)
from ufse import DEFAULT, Config, Detection, sessionize
from ufse.weights import BLOCKED_MORE_LIMIT, REPEATED_LIMIT, TEXTS, Weights

Look = Callable[[list[Row], Config], object]

OPEN = Config(high_score=1, medium_score=0)
"""Emits whatever passes the correlation, so that signals and points can be read however few points they have."""
MINUTE, HOUR = 60, 3600


@dataclass(frozen=True)
class Case:
    """One boundary: ``look(inside)`` must be the first of ``gives``, ``look(outside)`` the second."""

    field: str
    name: str
    look: Look
    inside: list[Row]
    outside: list[Row]
    gives: tuple[object, object] = (True, False)
    config: Config = DEFAULT

    @property
    def label(self) -> str:
        return f"{self.field}: {self.name}"

    def seen(self, config: Config) -> tuple[object, object]:
        """What is seen of both scenes under a configuration."""
        return self.look(self.inside, config), self.look(self.outside, config)


# ---------------------------------------------------------------------------------------------- ways to look


def found(rows: list[Row], config: Config) -> bool:
    """Whether anything is emitted."""
    return bool(run(rows, config, why_not=False).detections)


def rule(rows: list[Row], config: Config) -> str:
    """``emitted``, or the rule at which the (only) visit fell."""
    result = run(rows, config)
    return "emitted" if result.detections else str(result.why_not[0].to_json()["rule"])


def reason(rows: list[Row], config: Config) -> str:
    """The words of the rule at which the (only) visit fell."""
    return str(run(rows, config).why_not[0].to_json()["text"])


def has(kind: str) -> Look:
    """Whether any detection rests on a signal of this kind."""

    def look(rows: list[Row], config: Config) -> bool:
        return any(s["type"] == kind for b in _bodies(rows, config) for s in b["triggeringSignals"])

    return look


def gained(weight: str) -> Look:
    """Points that the first detection got by a rule, 0 without the rule."""

    def look(rows: list[Row], config: Config) -> int:
        (body, *_) = _bodies(rows, config)
        return sum(p["points"] for p in body["points"] if p["rule"] == TEXTS[weight])

    return look


def point(part: str) -> Look:
    """A part of the first detection's failure point."""

    def look(rows: list[Row], config: Config) -> str:
        return str(dict(_bodies(rows, config)[0]["failurePoint"])[part])

    return look


def told(rows: list[Row], config: Config) -> int:
    """How many events the first detection's timeline tells."""
    return len(_bodies(rows, config)[0]["timeline"])


def severity(rows: list[Row], config: Config) -> str:
    return "".join(str(b["severityType"]) for b in _bodies(rows, config))


def visits(rows: list[Row], config: Config) -> int:
    return len(sessionize(table(rows), config))


def late(rows: list[Row], config: Config) -> int:
    return int(sessionize(table(rows), config).late_events.sum())


def truncated(rows: list[Row], config: Config) -> bool:
    return bool(sessionize(table(rows), config).truncated.any())


def _bodies(rows: list[Row], config: Config) -> list[Detection]:
    return [d.to_json() for d in run(rows, config, why_not=False).detections]


# ------------------------------------------------------------------------------------------- building blocks


def button(name: str) -> Row:
    return {"target_type": "button", "target_id": name}


X = button("x")
BARE = {"target_type": "button", "target_id": "", "target_label": ""}
NAME = {"target_type": "input", "target_id": "name"}


def hits(
    t: float, count: int = 4, gap: float = 0.401, target: Row | None = None, route: str = "/checkout"
) -> list[Row]:
    """Clicks in quick succession; the odd gap keeps the clock finer than whole seconds."""
    return [click(t + gap * i, target, route) for i in range(count)]


def rage(*after: Row) -> list[Row]:
    """Four clicks from 10.007 to 11.207, and what came of them."""
    return [*hits(10.007, gap=0.4), *after]


def tries(*times: float, status: int = 500, took: float = 0.3) -> list[Row]:
    """Single clicks, each with an answer ``took`` seconds later."""
    return [r for t in times for r in (click(t), answer(t + took, status, took=took))]


def thrice(*rows: Row, gap: float = 9.001) -> list[Row]:
    """The same three times over, ``gap`` seconds apart."""
    return [{**r, "ts": r["ts"] + round(i * gap * 1000)} for i in range(3) for r in rows]


def received(row: Row, t: float) -> Row:
    return {**row, "received_ms": row["received_ms"] - row["ts"] + event(t, "click")["ts"]}


def form(status: int = 500, t: float = 10.001) -> list[Row]:
    """Two fields filled in, the form sent, and its answer 400 ms later."""
    return [typed(5.001), typed(6.001, target=NAME), submit(t), answer(t + 0.4, status)]


def reloads(count: int, span: float) -> list[Row]:
    """A page that fails to load, and reloads spread evenly over ``span`` seconds, each failing too."""

    def failed(t: float) -> Row:
        return answer(t + 0.4, 500, url="/api/r", method="GET", route="/r")

    rows = [go(0.001, "/r"), failed(0.001)]
    for i in range(count):
        t = 5.001 + i * span / (count - 1)
        rows += [go(t, "/r", "reload"), failed(t)]
    return rows


def wandering(*times: float, routes: str = "abababab") -> list[Row]:
    """Page changes that end where a slow page is then hit in vain."""
    moves = [go(t, f"/{r}") for t, r in zip(times, routes[1:], strict=False)]
    t = times[-1] + 3
    here = moves[-1]["route"]
    slow = [event(t + 3.9, "performance", here, perf_kind="page_load", duration_ms=3900)]
    return [event(times[0] - 1, "scroll", f"/{routes[0]}"), *moves, go(t, here), *slow, *hits(t + 5, route=here)]


def turning(turns: int, span: float) -> list[Row]:
    """Scrolling that changes its direction ``turns`` times within ``span`` seconds, on a page that was slow."""
    first = event(4.2, "scroll", "/a", direction="up")
    rows = [
        event(5 + span * i / (turns - 1), "scroll", "/a", direction="up" if i % 2 else "down") for i in range(turns)
    ]
    slow = event(3.9, "performance", "/a", perf_kind="page_load", duration_ms=3800)
    t = 5 + span + 1
    return [go(0.001, "/a"), slow, first, *rows, *hits(t, route="/a")]


def repeats(*begins: float) -> list[Row]:
    """A click whose request fails, and then fails again at each of these times with nobody acting; then two more tries."""
    auto = [answer(10.3 + b, 503, took=0.1) for b in begins]
    t = 10.3 + (begins[-1] if begins else 0) + 1.001
    return [event(1.001, "scroll"), click(10.001), answer(10.2, 503, took=0.15), *auto, *tries(t, t + 8)]


def told_slow(after: float) -> list[Row]:
    """Two clicks a minute apart, each failing ``after`` seconds with an answer that is told to be slow, not how slow."""
    rows = []
    for t in (10.001, 70.001):
        at = t + after
        rows += [click(t), {**answer(at, 504), "duration_ms": -1}, event(at, "performance", perf_kind="slow_response")]
    return rows


def by_chance(every: int) -> list[Row]:
    """Clicks, of which one in ``every`` is followed by the failure of a request that the page makes by itself too."""
    hit = [answer(10.2 + 0.6 * n, 500, took=0.1, url="/api/side", method="GET") for n in range(0, 12, every)]
    alone = answer(2.2, 500, took=0.1, url="/api/side", method="GET")
    return [go(2, "/checkout"), alone, *(click(10 + 0.6 * n, X) for n in range(12)), *hit]


def many(count: int) -> list[Row]:
    """``count`` different controls that fail once each and are left alone, then one that is hit in vain."""
    rows = []
    for i in range(count):
        name = "".join(chr(97 + i // 26**k % 26) for k in range(3))
        rows += [click(i + 0.001, button(name)), answer(i + 0.3, 500, url=f"/api/{name}")]
    t = count + 100.001
    return [*rows, *hits(t), answer(t + 1.5, 500, took=0.2)]


def visited(count: int) -> list[Row]:
    return [click(i * 0.1) for i in range(count)]


def every_ten_minutes(span: float) -> list[Row]:
    return [*(click(10 * MINUTE * i) for i in range(int(span // (10 * MINUTE)) + 1)), click(span)]


def story(attempts: int, more: int) -> list[Row]:
    """``2 * attempts + more`` events that the timeline would tell."""
    rows = [r for i in range(attempts) for r in (click(10.001 + 0.4 * i), answer(10.3 + 0.4 * i, 500, took=0.25))]
    return [*rows, *(click(10.001 + 0.4 * (attempts + i)) for i in range(more))]


def worth(**points: int) -> Config:
    """A table of points in which only these rules count. Rules that signals declare are set apart from ``Weights``."""
    return Config().override_numbers({}, {**dict.fromkeys(TEXTS, 0), **points})


def weight(name: str, inside: list[Row], outside: list[Row], count: int = 1) -> Case:
    """A scene in which a rule gives its points ``count`` times, and one in which it gives none."""
    points = getattr(Weights(), name) * count
    return Case(f"weights.{name}", TEXTS[name], gained(name), inside, outside, (points, 0), OPEN)


# --------------------------------------------------------------------------------------------------- sessions

SESSIONS = [
    Case("visit_gap_ms", "15 min of silence", visits, [click(0), click(900)], [click(0), click(900.001)], (1, 2)),
    Case(
        "late_receipt_silence_ms",
        "75 min without a receipt",
        late,
        [click(0), received(click(5), 75 * MINUTE)],
        [click(0), received(click(5), 75 * MINUTE + 0.001)],
        (0, 1),
    ),
    Case(
        "visit_gap_ms",
        "what came late lies 15 min beside a visit",
        late,
        [click(0), received(click(900), 3 * HOUR)],
        [click(0), received(click(900.001), 3 * HOUR)],
        (1, 0),
    ),
    Case("max_visit_events", "10,000 actions", truncated, visited(10_000), visited(10_001), (False, True)),
    Case(
        "max_visit_ms",
        "12 hours",
        truncated,
        every_ten_minutes(12 * HOUR),
        every_ten_minutes(12 * HOUR + 0.001),
        (False, True),
    ),
]

# ------------------------------------------------------------------------------------------------ attribution

ATTRIBUTION = [
    Case(
        "network_start_window_ms",
        "a request begins 1 s after the last click",
        found,
        rage(answer(12.407, 500, took=0.2)),
        rage(answer(12.408, 500, took=0.2)),
    ),
    Case(
        "network_end_window_ms",
        "without a duration, 10 s until its end",
        found,
        rage({**answer(21.207, 500), "duration_ms": -1}),
        rage({**answer(21.208, 500), "duration_ms": -1}),
    ),
    Case("reaction_window_ms", "an error 2 s after the last click", found, rage(error(13.207)), rage(error(13.208))),
    Case(
        "reaction_window_ms",
        "a slow load 2 s after the last click",
        rule,
        rage(event(13.207, "performance", perf_kind="slow_response")),
        rage(event(13.208, "performance", perf_kind="slow_response")),
        ("below_high", "unattributed"),
    ),
    Case(
        "slow_ms",
        "an answer after 3 s",
        rule,
        rage(answer(14.207, 200, took=3)),
        rage(answer(14.207, 200, took=2.999)),
        ("resolved", "no_negative_feedback"),
    ),
    Case(
        "slow_ms",
        "a measured load of 3 s",
        rule,
        rage(event(13.107, "performance", perf_kind="page_load", duration_ms=3000)),
        rage(event(13.107, "performance", perf_kind="page_load", duration_ms=2999)),
        ("resolved", "no_negative_feedback"),
    ),
    Case(
        "slow_ms",
        "a loading phase of 3 s",
        rule,
        rage(event(11.3, "loading", state="start"), event(14.3, "loading", state="end")),
        rage(event(11.3, "loading", state="start"), event(14.299, "loading", state="end")),
        ("below_high", "no_negative_feedback"),
    ),
    Case(
        "slow_ms",
        "waited 3 s and gave up by leaving",
        severity,
        [typed(5.001), typed(6.001, target=NAME), submit(10.001), answer(13.001, 0, took=3, aborted=1), go(13, "/home")],
        [typed(5.001), typed(6.001, target=NAME), submit(10.001), answer(13, 0, took=2.999, aborted=1), go(13, "/home")],
        ("Performance", ""),
        OPEN,
    ),
    Case(
        "clock_slack_ms",
        "a request said to begin 5 ms before its click",
        found,
        thrice(click(10.001), answer(10.2, 200, took=0.1, url="/api/other"), answer(10.296, 500, took=0.3)),
        thrice(click(10.001), answer(10.2, 200, took=0.1, url="/api/other"), answer(10.295, 500, took=0.3)),
        config=OPEN,
    ),
    Case(
        "chain_window_ms",
        "an error 300 ms after the answer that it draws",
        found,
        thrice(click(10.001), answer(12.5, 200, took=2.4), error(12.8)),
        thrice(click(10.001), answer(12.5, 200, took=2.4), error(12.801)),
        config=OPEN,
    ),
    Case(
        "unrelated_actions",
        "an endpoint after two and after three unrelated actions",
        found,
        [click(1, X), answer(1.3, 500), *rage(answer(11.4, 500, took=0.1))],
        [*(r for i, n in enumerate("xy") for r in (click(1 + 3 * i, button(n)), answer(1.3 + 3 * i, 500))),
         *rage(answer(11.4, 500, took=0.1))],
    ),
    Case(
        "slow_end_window_ms",
        "an answer that is only told to be slow, 30 s after the click",
        found,
        told_slow(30),
        told_slow(30.001),
        config=OPEN,
    ),
    Case(
        "clicks_per_request",
        "a request that the page makes by itself too, after one in four clicks and after one in three",
        has("abandonment"),
        by_chance(4),
        by_chance(3),
        (False, True),
        OPEN,
    ),
    Case(
        "polled_answers",
        "one good answer that nothing caused at the address of a form, and two",
        found,
        [*tries(*range(10, 58, 6)), answer(70, 200, took=0.1)],
        [*tries(*range(10, 58, 6)), answer(70, 200, took=0.1), answer(79, 200, took=0.1)],
        (False, True),
    ),
    Case(
        "automatic_repeats",
        "five repeats by the application, and a sixth",
        found,
        repeats(1, 3, 7, 15, 31),
        repeats(1, 3, 7, 15, 31, 55),
        config=OPEN,
    ),
    Case(
        "automatic_repeat_window_ms",
        "the next repeat 30 s after the failure before",
        found,
        repeats(2, 32.1),
        repeats(2, 32.101),
        config=OPEN,
    ),
    Case("first_repeat_ms", "the first repeat 8 s after the request", found, repeats(7.85), repeats(7.851), config=OPEN),
    Case(
        "page_load_ms",
        "a page reads 2 s after it was opened",
        found,
        [go(1.001, "/checkout", "push"), answer(3.101, 500, took=0.1), *tries(20, 28, 36)],
        [go(1.001, "/checkout", "push"), answer(3.102, 500, took=0.1), *tries(20, 28, 36)],
        config=OPEN,
    ),
    Case("status", "500 is a failure, 499 a rejection", severity, rage(answer(11.4, 500, took=0.1)),
         rage(answer(11.4, 499, took=0.1)), ("Bug", "UX"), OPEN),
    Case("status", "408 is a failure, 407 a rejection", severity, rage(answer(11.4, 408, took=0.1)),
         rage(answer(11.4, 407, took=0.1)), ("Bug", "UX"), OPEN),
    Case("status", "429 is a failure, 428 a rejection", severity, rage(answer(11.4, 429, took=0.1)),
         rage(answer(11.4, 428, took=0.1)), ("Bug", "UX"), OPEN),
    Case("status", "0 is a failure, unknown is nothing", severity, rage(answer(11.4, 0, took=0.1)),
         rage(answer(11.4, -1, took=0.1)), ("Bug", ""), OPEN),
    Case("status", "400 is a rejection, 399 a success", severity, rage(answer(11.4, 400, took=0.1)),
         rage(answer(11.4, 399, took=0.1)), ("UX", ""), OPEN),
]  # fmt: skip

# ---------------------------------------------------------------------------------------------------- signals

FAILED = answer(11.9, 500, took=1.8)
GONE = form()

RAGE = [
    Case("rage_clicks", "four clicks", found, [*hits(10.007, 4), FAILED], [*hits(10.007, 3), FAILED]),
    Case(
        "rage_gap_ms",
        "1 s between the clicks",
        has("rage"),
        [*hits(10.007, gap=1.0), answer(10.5, 500, took=0.48)],
        [*hits(10.007, gap=1.001), answer(10.5, 500, took=0.48)],
        config=OPEN,
    ),
    Case("rage_reloads", "three reloads", has("rage"), reloads(3, 10), reloads(2, 10), config=OPEN),
    Case("rage_reload_window_ms", "three reloads in 30 s", has("rage"), reloads(3, 30), reloads(3, 30.001), config=OPEN),
    Case(
        "same_spot_px",
        "clicks on a nameless control 100 px apart",
        found,
        [*(click(10.007 + 0.4 * i, BARE, x=100 + 100 * i, y=50) for i in range(4)), FAILED],
        [*(click(10.007 + 0.4 * i, BARE, x=100 + 101 * i, y=50) for i in range(4)), FAILED],
    ),
    Case("human_click_gap_ms", "60 ms between the clicks", found, [*hits(10.007, 6, 0.06), FAILED],
         [*hits(10.007, 6, 0.059), FAILED]),
]  # fmt: skip

# The answer that must not eat the window: the click of 10.001 is answered after 25 s.
WAITED = tries(10.001, took=25)
BLOCKED = [
    Case("retry_window_ms", "tried again 30 s after the answer", has("blocked"), [*WAITED, *tries(65.001)],
         [*WAITED, *tries(65.002)], config=OPEN),
    # Something slow between keeps the struggle together, so that the window of the retry decides alone.
    Case(
        "retry_window_ms",
        "tried again 30 s after the failed answer, with something slow between",
        has("blocked"),
        [*tries(10.001), event(20, "performance", perf_kind="slow_response", duration_ms=9000), *tries(40.301)],
        [*tries(10.001), event(20, "performance", perf_kind="slow_response", duration_ms=9000), *tries(40.302)],
        config=OPEN,
    ),
    Case("double_click_ms", "a submit 500 ms after its click", point("target"),
         thrice(click(10.001), submit(10.501), answer(10.9, 500)),
         thrice(click(10.001), submit(10.502), answer(10.9, 500)), ("button#pay", "form#checkout-form"), OPEN),
    Case("blocked", "one failure and a retry", has("blocked"), tries(10.001, 18.001), tries(10.001), config=OPEN),
]  # fmt: skip

ABANDONMENT = [
    Case("abandon_window_ms", "left 60 s after the answer", has("abandonment"), [*GONE, go(70.401, "/home")],
         [*GONE, go(70.402, "/home")], config=OPEN),
    Case("abandon_window_ms", "the session ended 60 s after the answer", has("abandonment"), [*GONE, end(70.401)],
         [*GONE, end(70.402)], config=OPEN),
    Case("abandon_window_ms", "back in the flow after 60 s", has("abandonment"),
         [*GONE, go(15, "/faq"), typed(75.001), end(400)], [*GONE, go(15, "/faq"), typed(75), end(400)], config=OPEN),
]  # fmt: skip

CONFUSION = [
    Case("oscillation_transitions", "four changes", has("confusion"), wandering(10, 20, 30, 40), wandering(10, 20, 30),
         config=replace(OPEN, oscillation_paths=2)),  # fewer paths than changes, also when a change less is asked for
    Case("oscillation_window_ms", "four changes in 60 s", has("confusion"), wandering(10.001, 20, 50, 70.001),
         wandering(10, 20, 50, 70.001), config=OPEN),
    # Five changes asked for: with four, four paths can never be two visited twice.
    Case("oscillation_paths", "three paths", has("confusion"), wandering(10, 20, 30, 40, 50, routes="abcabc"),
         wandering(10, 20, 30, 40, 50, routes="abcdab"), config=replace(OPEN, oscillation_transitions=5)),
    Case("thrash_reversals", "six turns", has("confusion"), turning(6, 10), turning(5, 10), config=OPEN),
    Case("thrash_window_ms", "six turns in 15 s", has("confusion"), turning(6, 15), turning(6, 15.001), config=OPEN),
]  # fmt: skip

# ------------------------------------------------------------------------------------- correlation, score, limits

BY_POINTS = worth(failure=50, rage_same=30)
CORRELATION = [
    Case("correlation_gap_ms", "rage 30 s after the failure", rule, [*tries(10.001), *hits(40.301, target=X)],
         [*tries(10.001), *hits(40.302, target=X)], ("emitted", "outside_window"), OPEN),
    Case("correlation_gap_ms", "two struggles 30 s apart are one", lambda r, c: len(_bodies(r, c)),
         [*rage(answer(11.4, 500, took=0.1)), *hits(41.4, target=X), answer(42.7, 500, took=0.1, url="/api/x")],
         [*rage(answer(11.4, 500, took=0.1)), *hits(41.401, target=X), answer(42.7, 500, took=0.1, url="/api/x")],
         (1, 2)),
    Case("high_score", "80 points", rule, rage(answer(11.4, 500, took=0.1)), rage(answer(11.4, 404, took=0.1)),
         ("emitted", "below_high"), worth(failure=50, rejection=49, rage_same=30)),
    Case("medium_score", "50 points", lambda r, c: "Medium" in reason(r, c), rage(answer(11.4, 500, took=0.1)),
         rage(answer(11.4, 404, took=0.1)), config=worth(failure=20, rejection=19, rage_same=30)),
    Case("long_wait_ms", "waited 8 s", gained("long_wait"), [*tries(10.001, 25.001, took=8)],
         [*tries(10.001, 25.001, took=7.999)], (Weights().long_wait, 0), OPEN),
    Case("max_candidates", "the 200th failing action", found, many(199), many(200)),
    Case("timeline_events", "14 events to tell", told, story(7, 0), story(7, 1), (14, 14)),
]  # fmt: skip

RAGED = rage(answer(11.4, 500, took=0.1))
TRIED = tries(10.001, 18.001)
HERE = tries(10.001, 18.001, 26.001)
THERE = [{**r, "route": "/kitchen", "target_id": "buy"} for r in HERE]
IGNORED = [
    Case("ignored_routes", "a pattern that fits and one letter less", rule, HERE, THERE, ("ignored", "emitted"),
         replace(OPEN, ignored_routes=("/check*",))),
    Case("ignored_targets", "a pattern that fits and one letter more", rule, HERE, THERE, ("ignored", "emitted"),
         replace(OPEN, ignored_targets=("button#pay",))),
]  # fmt: skip

# ----------------------------------------------------------------------------------------------------- points

REJECTED = rage(answer(11.4, 422, took=0.1))
OPENED = [go(10.001, "/r"), answer(10.4, 500, url="/api/r", method="GET", route="/r", took=0.3)]
BY_FIELD = [typed(10.001), answer(10.3, 500, took=0.2, url="/api/check", method="GET"), go(20, "/home")]
LEFT, ENDED = [*GONE, go(20, "/home")], [*GONE, end(20)]
ONE_FIELD = [typed(5.001), click(10.001, X), answer(10.3, 500, took=0.2), go(20, "/home")]
ANSWERED = [
    go(0, "/plans"),
    click(2, X, "/plans"),
    answer(2.4, 200, url="/api/plans", method="GET", route="/plans"),
    click(4, X, "/plans"),
    answer(4.4, 200, url="/api/plans", method="GET", route="/plans"),
    go(6, "/checkout"),
]
SILENT = [*ANSWERED, typed(10.001), typed(13, target=NAME), *(click(t) for t in (20.001, 24, 29))]
RETURNED = [
    go(0, "/login"),
    *(
        r
        for t in (5.001, 20, 34)
        for r in (
            typed(t, "/login"),
            click(t + 4, X, "/login"),
            go(t + 5, "/home", "push"),
            go(t + 5.4, "/login", "replace"),
        )
    ),
]

POINTS = [
    weight("failure", RAGED, REJECTED),
    weight("crash", rage(error(11.4)), RAGED),
    weight("vague_error", rage(error(11.4, "")), rage(error(11.4))),
    weight("stray_error", [*rage(error(10.1)), click(20, X)], rage(error(10.1))),
    weight("rejection", REJECTED, RAGED),
    weight("validation", thrice(submit(10.001), error(10.1, "Required", "validation")), RAGED),
    weight("slow", rage(answer(14.207, 200, took=3)), RAGED),
    weight("attributed", RAGED, BY_FIELD),
    weight("attributed_field", BY_FIELD, RAGED),
    weight("rage_same", RAGED, TRIED),
    weight("rage_reload", [*OPENED, *(r for i in range(3) for r in (
        go(15.001 + 3 * i, "/r", "reload"), answer(15.4 + 3 * i, 500, url="/api/r", method="GET", route="/r")))], RAGED),
    weight("rage_reload_other", [*tries(10.001), *(go(15.001 + 3 * i, "/checkout", "reload") for i in range(3))], RAGED),
    weight("rage_page", [*OPENED, *hits(15.001, route="/r")], RAGED),
    weight("rage_near", [*tries(10.001), *hits(15.001, target=X)], RAGED),
    weight("blocked", TRIED, [*tries(10.001), *hits(15.001, target=X)]),
    weight("blocked_more", tries(10.001, 18.001, 26.001), TRIED),
    weight("blocked_more", tries(*(10.001 + 8 * i for i in range(2 + BLOCKED_MORE_LIMIT))), TRIED, BLOCKED_MORE_LIMIT),
    weight("blocked_more", tries(*(10.001 + 8 * i for i in range(3 + BLOCKED_MORE_LIMIT))), TRIED, BLOCKED_MORE_LIMIT),
    weight("abandoned", LEFT, ENDED),
    weight("abandoned_ended", ENDED, LEFT),
    weight("abandoned_silent", GONE, LEFT),
    weight("form_sent", LEFT, ONE_FIELD),
    weight("form_silent", [*form(500), typed(20)], LEFT),
    weight("tried_again", TRIED, RAGED),
    weight("confused", wandering(10, 20, 30, 40), LEFT),
    weight("vendor_verdict", [{**RAGED[0], "verdict": "rage"}, *RAGED[1:]], RAGED),
    weight("repeated", tries(10.001, 18.001), RAGED),
    weight("repeated", tries(*(10.001 + 8 * i for i in range(1 + REPEATED_LIMIT))), RAGED, REPEATED_LIMIT),
    weight("repeated", tries(*(10.001 + 8 * i for i in range(2 + REPEATED_LIMIT))), RAGED, REPEATED_LIMIT),
    weight("persisted", tries(10.001, 18.001, 26.001), TRIED),
    weight("long_wait", tries(10.001, 25.001, took=8), TRIED),
    weight("struggle_10", tries(10.001, 19.701), tries(10.001, 19.7)),
    weight("struggle_30", tries(10.001, 39.701), tries(10.001, 39.7)),
    weight("kinds_3", [*TRIED, *hits(25.001)], RAGED),
    weight("unresolved", RAGED, [*RAGED, *tries(20.001, status=200)]),
    weight("silent", SILENT, RAGED),
    weight("returned", RETURNED, RAGED),
    weight("resolved", [*RAGED, *tries(20.001, status=200)], RAGED),
]  # fmt: skip

TABLE = (*SESSIONS, *ATTRIBUTION, *RAGE, *BLOCKED, *ABANDONMENT, *CONFUSION, *CORRELATION, *IGNORED, *POINTS)


def mutants(field: str, config: Config) -> list[Config]:
    """``config`` with one number a step lower and a step higher: a point, a millisecond, an event; a list with nothing on it
    and with everything.
    """
    return [_with(config, field, step) for step in (-1, 1)]


def _with(config: Config, field: str, step: int) -> Config:
    if field.startswith("weights."):
        name = field.removeprefix("weights.")
        points: dict[str, Any] = {name: getattr(config.weights, name) + step}
        return replace(config, weights=replace(config.weights, **points))
    now = getattr(config, field)
    value: dict[str, Any] = {field: (() if step < 0 else ("*",)) if isinstance(now, tuple) else now + step}
    return replace(config, **value)
