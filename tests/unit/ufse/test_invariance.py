"""Invariants over generated sessions: what must not change a result, and in which direction the rest may change it.

Sessions are put together from small pieces of behaviour, so that a good part of them gives detections (which is tested): an
invariant that is only ever seen on silent sessions says little.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.unit.ufse import scene
from tests.unit.ufse.scene import T0, Row, answer, click, end, error, go, submit, table, typed
from ufse import DEFAULT, Detection, Result, WhyNot, detect

# A minute of computing; `test_properties.py` and `verdicts/test_order_and_company.py` are the quick ones of `make test`.
pytestmark = pytest.mark.long

EXAMPLES = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
PLACES = (
    ("/checkout", "pay", "/api/orders", "POST"),
    ("/checkout", "promo", "/api/promo", "POST"),
    ("/profile", "save", "/api/me", "PUT"),
    ("/orders/8841", "cancel-order", "/api/orders/8841", "DELETE"),
)
FAILING = (500, 500, 503, 422, 404, 0)
Place = tuple[str, str, str, str]

# --------------------------------------------------------------------------------------- pieces of behaviour


def press(t: float, place: Place) -> Row:
    return click(t, {"target_type": "button", "target_id": place[1]}, place[0])


def reply(t: float, place: Place, status: int, took: float) -> Row:
    return answer(t, status, took, url=place[2], method=place[3], route=place[0])


@st.composite
def hammering(draw: st.DrawFn, place: Place) -> list[Row]:
    """Quick clicks and one answer to the first or to each of them."""
    count, gap = draw(st.integers(3, 7)), draw(st.integers(90, 900)) / 1000
    status, each = draw(st.sampled_from((*FAILING, 200))), draw(st.booleans())
    clicks = [press(i * gap, place) for i in range(count)]
    if each:
        return [*clicks, *(reply(i * gap + 0.08, place, status, 0.07) for i in range(count))]
    return [*clicks, reply(count * gap + 1, place, status, count * gap + 0.99)]


@st.composite
def retrying(draw: st.DrawFn, place: Place) -> list[Row]:
    """The same action over and over, each time with the same answer."""
    count, pause = draw(st.integers(1, 4)), draw(st.integers(1_500, 33_000)) / 1000
    status, took = draw(st.sampled_from(FAILING)), draw(st.sampled_from((0.2, 0.7, 9.0)))
    return [r for i in range(count) for r in (press(i * (pause + took), place),
                                              reply(i * (pause + took) + took, place, status, took))]  # fmt: skip


@st.composite
def filling(draw: st.DrawFn, place: Place) -> list[Row]:
    """A form filled in and sent; then it is left, the session ends, or it is sent again."""
    status, after = draw(st.sampled_from((*FAILING, 201))), draw(st.integers(1, 70))
    fields = [typed(2.0 * i, place[0], {"target_type": "input", "target_id": f"field-{c}"}) for i, c in enumerate("ab")]
    sent = [submit(5.2, place[0]), reply(5.6, place, status, 0.35)]
    how = draw(st.sampled_from(("left", "ended", "again")))
    if how == "again":
        then = [
            typed(8.1, place[0]),
            submit(10.3, place[0]),
            reply(10.7, place, draw(st.sampled_from((201, status))), 0.3),
        ]
    else:
        then = [go(5.6 + after, "/home") if how == "left" else end(5.6 + after, place[0])]
    return [*fields, *sent, *then]


@st.composite
def waiting(draw: st.DrawFn, place: Place) -> list[Row]:
    """A slow answer, with impatience."""
    took, status = draw(st.integers(2_500, 25_000)) / 1000, draw(st.sampled_from((200, 504)))
    rows = [press(0, place), *(press(2 + 0.35 * i, place) for i in range(draw(st.integers(0, 5))))]
    return [*rows, reply(took, place, status, took - 0.02)]


@st.composite
def reloading(draw: st.DrawFn, place: Place) -> list[Row]:
    count, status = draw(st.integers(2, 5)), draw(st.sampled_from((500, 200)))
    moves = [go(6.1 * i, place[0], "reload" if i else "link") for i in range(count + 1)]
    answers = [answer(6.1 * i + 0.5, status, 0.3, url=place[2], method="GET", route=place[0]) for i in range(count + 1)]
    return [*moves, *answers]


@st.composite
def crashing(draw: st.DrawFn, place: Place) -> list[Row]:
    count, gap = draw(st.integers(1, 5)), draw(st.sampled_from((0.5, 7.3)))
    return [r for i in range(count) for r in (press(i * gap, place), error(i * gap + 0.1, "x is null", route=place[0]))]


@st.composite
def wandering(draw: st.DrawFn, place: Place) -> list[Row]:
    pages = draw(st.lists(st.sampled_from((place[0], "/faq", "/help")), min_size=3, max_size=7))
    return [go(4.3 * i, page) for i, page in enumerate(pages)]


@st.composite
def polling(draw: st.DrawFn, place: Place) -> list[Row]:
    status, pace = draw(st.sampled_from((200, 503))), draw(st.sampled_from((5, 10.5)))
    return [answer(pace * i, status, 0.1, url="/api/live", method="GET", route=place[0]) for i in range(6)]


@st.composite
def succeeding(draw: st.DrawFn, place: Place) -> list[Row]:
    took = draw(st.sampled_from((0.1, 0.9)))
    return [press(0, place), reply(took, place, 201, took)]


PIECES = (hammering, hammering, retrying, retrying, filling, filling, waiting, reloading, crashing, wandering, polling,
          succeeding)  # fmt: skip


def moved(rows: Sequence[Row], ms: int) -> list[Row]:
    """The rows ``ms`` milliseconds later, receipt included."""
    return [{**r, "ts": r["ts"] + ms, "received_ms": r["received_ms"] + ms} for r in rows]


def last(rows: Sequence[Row]) -> int:
    return max((int(r["ts"]) for r in rows), default=T0)


@st.composite
def sessions(draw: st.DrawFn, name: str = "s", project: str = "p") -> list[Row]:
    """One to four pieces one after the other; every event has an identity of its own."""
    rows: list[Row] = []
    for piece in draw(st.lists(st.sampled_from(PIECES), min_size=1, max_size=4)):
        place = draw(st.sampled_from(PLACES))
        pause = draw(st.integers(700, 95_000))
        rows += moved(draw(piece(place)), last(rows) - T0 + pause)
    named = [
        {**r, "session_id": name, "project": project, "event_id": f"{project}-{name}-{i:04d}"}
        for i, r in enumerate(rows)
    ]
    assume(len({r["ts"] % 1000 for r in named}) > 1)  # a clock finer than seconds, whatever it is shifted by
    return named


@st.composite
def companies(draw: st.DrawFn) -> list[list[Row]]:
    """Several sessions of two projects, two of which share their session ids."""
    names = [("p", "a"), ("p", "b"), ("q", "a"), ("q", "c")]
    return [draw(sessions(n, p)) for p, n in names[: draw(st.integers(2, 4))]]


# ------------------------------------------------------------------------------------------------ comparisons


def judged(rows: Sequence[Row]) -> Result:
    return detect(table(list(rows)), why_not=True)


def bodies(result: Result) -> list[Detection | WhyNot]:
    return [*(d.to_json() for d in result.detections), *(w.to_json() for w in result.why_not)]


def text(result: Result) -> str:
    return json.dumps(bodies(result), ensure_ascii=False)


def lines(*results: Result) -> list[str]:
    """Every detection and trace of several batches, in an order of their own."""
    return sorted(json.dumps(b, ensure_ascii=False) for r in results for b in bodies(r))


def timeless(result: Result, shift_ms: int) -> list[str]:
    """All that is told, with times as distances from T0 + ``shift_ms`` and without the ids that a start gives."""

    def ago(found: re.Match[str]) -> str:
        at = datetime.fromisoformat(found[0].replace("Z", "+00:00")).timestamp()
        return str(round(at * 1000) - T0 - shift_ms)

    told = []
    for body in bodies(result):
        kept = {k: v for k, v in body.items() if k not in ("detectionId", "visitId")}
        line = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", ago, json.dumps(kept, ensure_ascii=False))
        told.append(re.sub(r"\b\d\d:\d\d:\d\d\.\d{3}\b", "clock", line))
    return sorted(told)


def scores(result: Result) -> dict[str, int]:
    """Score per failure point, of detections and of candidates that were not emitted."""
    found = {b["primaryFailurePoint"]: int(b["frustrationScore"]) for b in (d.to_json() for d in result.detections)}
    for why in (w.to_json() for w in result.why_not):
        for candidate in why["candidates"]:
            found.setdefault(candidate["failurePoint"], int(candidate["score"] or 0))
    return found


def actions(result: Result) -> set[tuple[str, str]]:
    """Route and target of each detection, whatever failed there: of several struggles with one action the gravest is told."""
    points = [d.to_json()["failurePoint"] for d in result.detections]
    return {(p["route"], p["target"]) for p in points}


# ----------------------------------------------------------------------------------------- the generator itself


def test_a_good_part_of_the_generated_sessions_gives_detections() -> None:
    counts: list[int] = []

    @settings(max_examples=200, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(sessions())
    def collect(rows: list[Row]) -> None:
        counts.append(len(detect(table(rows)).detections))

    collect()
    assert sum(n > 0 for n in counts) >= 0.2 * len(counts)
    assert sum(n == 0 for n in counts) >= 0.2 * len(counts)


# -------------------------------------------------------------------------------------------------- invariants


@EXAMPLES
@given(sessions(), st.randoms(use_true_random=False))
def test_the_order_and_the_time_of_arrival_do_not_matter(rows: list[Row], rng: Any) -> None:
    """Receipts within 75 minutes of each other decide nothing."""
    mixed = [{**r, "received_ms": T0 + rng.randrange(75 * 60_000)} for r in rows]
    rng.shuffle(mixed)
    assert text(judged(mixed)) == text(judged(rows))


@EXAMPLES
@given(sessions(), st.data())
def test_events_sent_twice_do_not_matter(rows: list[Row], data: st.DataObject) -> None:
    again = data.draw(st.lists(st.sampled_from(rows), max_size=2 * len(rows)))
    late = data.draw(st.integers(0, 60 * 60_000))
    copies = [{**r, "received_ms": r["received_ms"] + late} for r in again]
    assert text(judged([*copies, *rows])) == text(judged(rows))


SHIFTS = st.integers(-(10**9), 10**9) | st.sampled_from((1, 37, 500, 999, 1000, -1, 86_400_000, 31_536_000_123))


@EXAMPLES
@given(sessions(), SHIFTS)
def test_a_session_at_another_time_is_judged_alike(rows: list[Row], shift: int) -> None:
    """By any number of milliseconds, as long as its clock is finer than seconds before and after."""
    assert timeless(judged(moved(rows, shift)), shift) == timeless(judged(rows), 0)


@EXAMPLES
@given(sessions(), st.integers(-(10**6), 10**6))
def test_a_clock_of_whole_seconds_is_judged_alike_at_another_second(rows: list[Row], seconds: int) -> None:
    """Only a shift by whole seconds: by others the clock would look finer than it is."""
    coarse = [{**r, "ts": r["ts"] // 1000 * 1000} for r in rows]
    shift = 1000 * seconds
    assert timeless(judged(moved(coarse, shift)), shift) == timeless(judged(coarse), 0)


@EXAMPLES
@given(companies(), st.data())
def test_batches_may_be_split_anywhere_between_sessions(company: list[list[Row]], data: st.DataObject) -> None:
    """With it: sessions do not influence each other, nor do projects, not even under the same session id."""
    whole = judged([r for rows in company for r in rows])
    parts: dict[int, list[Row]] = {}
    for rows in company:
        parts.setdefault(data.draw(st.integers(0, 2)), []).extend(rows)
    assert lines(*(judged(rows) for rows in parts.values())) == lines(whole)
    assert lines(*(judged(rows) for rows in company)) == lines(whole)


@EXAMPLES
@given(sessions(), st.text(alphabet="abcxyz0189-_", min_size=1, max_size=40))
def test_another_session_id_changes_ids_and_nothing_else(rows: list[Row], name: str) -> None:
    assume(name != "s")
    before, after = judged(rows), judged([{**r, "session_id": name} for r in rows])
    for one, two in zip(_by_time(before), _by_time(after), strict=True):
        assert {k: v for k, v in one.items() if k not in _IDS} == {k: v for k, v in two.items() if k not in _IDS}
        assert all(one[k] != two[k] for k in _IDS if k in one)


_IDS = ("sessionId", "visitId", "detectionId")


def _by_time(result: Result) -> list[dict[str, Any]]:
    return sorted(bodies(result), key=lambda b: (b["visitStart"], b.get("timestamp", ""), b.get("fingerprint", "")))


@EXAMPLES
@given(sessions())
def test_a_detection_rests_on_what_it_says(rows: list[Row]) -> None:
    """Two signals or more, one of them behaviour and one feedback, on different events of this one session."""
    known = {r["event_id"] for r in rows}
    points = set()
    for body in (d.to_json() for d in judged(rows).detections):
        signals = {s["type"]: set(s["eventIds"]) for s in body["triggeringSignals"]}
        assert set().union(*signals.values()) <= known
        behaviour = [ids for kind, ids in signals.items() if kind != "feedback"]
        assert any(ids - signals["feedback"] for ids in behaviour)
        assert body["timestamp"] == min(s["start"] for s in body["triggeringSignals"])
        assert body["lastSeen"] == max(s["end"] for s in body["triggeringSignals"])
        assert body["frustrationScore"] >= DEFAULT.high_score
        assert not body["resolved"]
        points.add(json.dumps(body["failurePoint"]))
    assert len(points) == len(judged(rows).detections)


# -------------------------------------------------------------------------------------------------- directions


@st.composite
def struggles(draw: st.DrawFn) -> tuple[list[Row], Place, int, int]:
    """A session that ends in tries at one place that fail: (rows, place, status of its answers, time of the last one)."""
    before = draw(st.just([]) | sessions())
    place = draw(st.sampled_from(PLACES))
    status, count = draw(st.sampled_from((500, 503, 422))), draw(st.integers(2, 4))
    pause = draw(st.integers(2_000, 25_000)) / 1000
    tries = [r for i in range(count) for r in (press(i * pause, place), reply(i * pause + 0.4, place, status, 0.37))]
    clicks = [press(count * pause + 0.3 * i, place) for i in range(draw(st.sampled_from((0, 4))))]
    rows = [*before, *moved([*tries, *clicks], last(before) - T0 + 100_003)]
    return rows, place, status, last(rows)


def numbered(rows: Sequence[Row]) -> list[Row]:
    return [{**r, "event_id": f"n{i:04d}"} for i, r in enumerate(rows)]


@EXAMPLES
@given(struggles(), st.integers(1_200, 25_000), st.sampled_from(("", "left", "ended", "scroll")))
def test_another_failing_try_never_lowers_a_score(
    struggle: tuple[list[Row], Place, int, int], wait: int, how: str
) -> None:
    rows, place, status, until = struggle
    after = {"left": [go(0, "/home")], "ended": [end(0, place[0])], "scroll": [scene.event(0, "scroll", place[0])]}
    finish = moved(after.get(how, []), until - T0 + 50_000)
    more = moved([press(0, place), reply(0.4, place, status, 0.37)], until - T0 + wait)
    less, greater = judged(numbered([*rows, *finish])), judged(numbered([*rows, *more, *finish]))
    low, high = scores(less), scores(greater)
    assert max(low.values()) <= max(high.values())
    assert actions(less) <= actions(greater)


@EXAMPLES
@given(struggles(), st.integers(2_001, 40_000), st.sampled_from(("left", "ended", "clicks")))
def test_leaving_or_more_clicks_never_lower_a_score(
    struggle: tuple[list[Row], Place, int, int], wait: int, what: str
) -> None:
    """What leads on within 2 s of a click may be its success, so that what comes here comes later."""
    rows, place, _, until = struggle
    more = {"left": [go(0, "/home")], "ended": [end(0, place[0])], "clicks": [press(0.3 * i, place) for i in range(4)]}
    less, greater = judged(numbered(rows)), judged(numbered([*rows, *moved(more[what], until - T0 + wait)]))
    assert max(scores(less).values()) <= max(scores(greater).values())
    assert actions(less) <= actions(greater)


@EXAMPLES
@given(struggles(), st.integers(1_200, 200_000), st.booleans())
def test_a_success_at_last_never_raises_a_score(
    struggle: tuple[list[Row], Place, int, int], wait: int, thanks: bool
) -> None:
    rows, place, _, until = struggle
    good = [press(0, place), reply(0.4, place, 201, 0.37), *([go(0.6, "/thank-you", "push")] if thanks else [])]
    before, after = judged(numbered(rows)), judged(numbered([*rows, *moved(good, until - T0 + wait)]))
    low, high = scores(after), scores(before)
    for name, score in low.items():
        assert score <= high.get(name, 0) or name not in high
    own = f" › button#{place[1]} › {place[3]} "
    assert not any(own in d.to_json()["primaryFailurePoint"] for d in after.detections)


# ------------------------------------------------------------------------------------------------- determinism

_DIGEST = "from tests.unit.ufse.test_invariance import digest; print(digest())"


def digest() -> str:
    """A hash over the bytes that the scenes of the explanations give."""
    from tests.unit.ufse.test_explanations import DETECTIONS, SILENT

    whole = hashlib.sha256()
    for rows in [*DETECTIONS.values(), *SILENT.values()]:
        whole.update(text(detect(table(rows), why_not=True)).encode())
    return whole.hexdigest()


def test_another_process_with_other_hashes_gives_the_same_bytes() -> None:
    """Python orders sets of texts anew in each process; nothing may depend on it."""
    root = os.path.dirname(os.path.abspath(__file__)).split(os.path.join("tests", "unit"))[0]
    for seed in ("1", "2"):
        told = subprocess.run(
            [sys.executable, "-c", _DIGEST],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
        assert told.stdout.strip() == digest()
