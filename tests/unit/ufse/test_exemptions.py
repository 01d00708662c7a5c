"""Exceptions of a project: what they silence, what they do not, and how the silence is explained."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ufse
from tests.unit.ufse.scene import Row, answer, click, end, error, event, run, table
from tests.unit.ufse.verdicts.test_silent_controls import PRE, F, jn
from ufse import DEFAULT, Config
from ufse.exemptions import Exemption, identify_exemption, make_exemption

REFUSED = Exemption("expected_answer", endpoint="POST /api/orders", status=409, origin="set by Ann on 2026-01-05")
BROKEN = Exemption("expected_answer", endpoint="POST /api/orders", status=500)


def with_exemptions(*exemptions: Exemption) -> Config:
    return replace(DEFAULT, exemptions=exemptions)


def struggle(status: int = 500, session: str = "s", **values: Any) -> list[Row]:
    """Four presses of Pay within two seconds, each refused; then the person leaves."""
    rows = [event(0, "navigation", nav_type="link", session_id=session, **values)]
    for n in range(4):
        rows += [click(5 + n * 0.8, session_id=session, **values)]
        rows += [answer(5.3 + n * 0.8, status, 0.25, session_id=session, **values)]
    return [*rows, event(20, "session_end", session_id=session, **values)]


def judge(rows: list[Row], *exemptions: Exemption) -> ufse.Result:
    return run(rows, with_exemptions(*exemptions))


def test_an_expected_answer_is_no_failure_and_the_silence_names_the_exception() -> None:
    assert len(judge(struggle(409)).detections) == 1
    found = judge(struggle(409), REFUSED)
    assert found.detections == []
    (why,) = [silent.to_json() for silent in found.why_not]
    assert why["rule"] == "exempted"
    assert why["text"] == (
        "Silenced by your exception: POST /api/orders → 409 is no failure, set by Ann on 2026-01-05."
    )
    (candidate,) = why["candidates"]
    assert candidate["failurePoint"] == "/checkout › button#pay › POST /api/orders → 409"
    assert (candidate["score"] or 0) >= 80


def test_only_the_named_status_of_the_named_request_is_expected() -> None:
    assert len(judge(struggle(500), REFUSED).detections) == 1
    other = [{**row, "url": "/api/other"} if row["event_type"] == "network" else row for row in struggle(409)]
    assert len(judge(other, REFUSED).detections) == 1


def test_a_failure_beside_an_expected_answer_is_still_reported() -> None:
    both = struggle(500) + [answer(4.9 + n * 0.8 + 0.35, 409, 0.1, url="/api/cart") for n in range(4)]
    expected = replace(REFUSED, endpoint="POST /api/cart")
    (found,) = judge(both, expected).detections
    assert found.to_json()["failurePoint"]["feedback"] == "POST /api/orders → 500"


def test_the_error_that_an_expected_answer_raises_is_no_failure_either() -> None:
    thrown = struggle(409) + [error(5.31 + n * 0.8, "Uncaught (in promise) refused") for n in range(4)]
    assert judge(thrown, REFUSED).detections == []
    alone = [row for row in thrown if row["event_type"] != "network"]
    assert len(judge(alone).detections) == len(judge(alone, REFUSED).detections)


def slow(took: float) -> list[Row]:
    """A report that takes long, pressed again and again while it is awaited; then the person leaves."""
    rows = [event(0, "navigation", nav_type="link")]
    for n in range(3):
        at = 5 + n * (took + 1)
        rows += [click(at + k * 0.5) for k in range(5)] + [answer(at + took, 200, took)]
    return [*rows, event(5 + 3 * (took + 1) + 1, "session_end")]


def test_a_known_slow_request_is_not_slow_up_to_its_limit() -> None:
    limit = Exemption("known_slow", endpoint="POST /api/orders", limit_ms=12_000)
    waited = judge(slow(9))
    assert [d.to_json()["failurePoint"]["feedback"] for d in waited.detections] == ["POST /api/orders → slow"]
    assert judge(slow(9), limit).detections == []
    assert len(judge(slow(13), limit).detections) == 1
    assert len(judge(struggle(500), limit).detections) == 1


def test_clicks_on_a_decorative_control_are_no_rage() -> None:
    decorative = Exemption("decorative_control", route="/checkout", target="button#pay")
    once = [row for row in struggle(500) if row["event_type"] != "network"] + [answer(5.3, 500, 0.25)]
    before, after = judge(once), judge(once, decorative)
    assert len(before.detections) == 1
    assert after.detections == []
    assert "button#pay (/checkout)" in after.why_not[0].to_json()["text"]
    elsewhere = replace(decorative, route="/cart")
    assert len(judge(once, elsewhere).detections) == 1


@pytest.mark.parametrize(
    ("field", "value"), [("environment", "staging"), ("app_version", "2.0-rc1"), ("user_hash", "f" * 64)]
)
def test_visits_of_test_traffic_have_no_detection(field: str, value: str) -> None:
    tested = Exemption("test_traffic", traffic_field=field, value=value)
    rows = struggle(500, "a", **{field: value}) + struggle(500, "b", **{field: "another"})
    found = judge(rows, tested)
    assert [d.to_json()["sessionId"] for d in found.detections] == ["b"]
    assert [(w.to_json()["sessionId"], w.to_json()["rule"]) for w in found.why_not] == [("a", "exempted")]


def test_a_visit_that_is_silent_anyway_names_no_exception() -> None:
    calm = [event(0, "navigation", nav_type="link"), click(5), answer(5.3, 409, 0.25), event(30, "session_end")]
    (why,) = judge(calm, REFUSED).why_not
    assert why.to_json()["rule"] != "exempted"


def test_an_exception_changes_the_digest_and_its_author_does_not() -> None:
    assert with_exemptions().digest == DEFAULT.digest
    one, other = with_exemptions(REFUSED), with_exemptions(replace(REFUSED, origin="set by Bob"))
    assert one.digest == other.digest != DEFAULT.digest
    assert with_exemptions(REFUSED, BROKEN).digest == with_exemptions(BROKEN, REFUSED).digest
    assert identify_exemption("p", REFUSED) == identify_exemption("p", replace(REFUSED, origin=""))
    assert identify_exemption("p", REFUSED) != identify_exemption("q", REFUSED)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"kind": "odd"},
        {"kind": "expected_answer", "endpoint": "POST /x"},
        {"kind": "expected_answer", "endpoint": "POST /x", "status": 200},
        {"kind": "expected_answer", "endpoint": "POST /x", "status": "409"},
        {"kind": "expected_answer", "endpoint": "POST /x", "status": True},
        {"kind": "expected_answer", "endpoint": "POST /x", "status": 409, "route": "/x"},
        {"kind": "expected_answer", "endpoint": "POST\n/x", "status": 409},
        {"kind": "known_slow", "endpoint": "GET /x", "limit_ms": -1},
        {"kind": "known_slow", "endpoint": "GET /x", "limit_ms": 10**9},
        {"kind": "test_traffic", "traffic_field": "session_id", "value": "x"},
        {"kind": "test_traffic", "traffic_field": "environment", "value": ""},
        {"kind": "decorative_control", "route": "/", "target": "x" * 501},
        {"kind": "decorative_control", "route": "/", "target": "x", "origin": "y"},
    ],
)
def test_an_exception_that_does_not_fit_its_kind_is_refused(content: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"exception"):
        make_exemption(content)


def test_content_is_read_back() -> None:
    assert make_exemption(REFUSED.content()) == replace(REFUSED, origin="")


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False))
def test_any_order_of_rows_and_exceptions_gives_the_same_answer(random: Any) -> None:
    rows = struggle(409, "a") + struggle(500, "b") + struggle(500, "c", environment="staging") + slow(9)
    exemptions = [REFUSED, Exemption("test_traffic", traffic_field="environment", value="staging")]
    expected = judge(rows, *exemptions)
    events = table(rows)
    shuffled = random.sample(range(events.num_rows), events.num_rows)
    found = ufse.detect(events.take(shuffled), with_exemptions(*reversed(exemptions)), why_not=True)
    assert [d.to_json() for d in found.detections] == [d.to_json() for d in expected.detections]
    assert [w.to_json() for w in found.why_not] == [w.to_json() for w in expected.why_not]


def test_a_decorative_control_needs_no_answer() -> None:
    """A filled-in form whose control never answers, while others do."""
    rows = [*PRE, *F, *jn(22, 27, 33, 40), end(50, "/signup")]
    decorative = Exemption("decorative_control", route="/signup", target="button#join")
    assert [d.to_json()["failurePoint"]["feedback"] for d in judge(rows).detections] == ["never answered"]
    (silent,) = judge(rows, decorative).why_not
    assert silent.to_json()["rule"] == "exempted"
    assert len(judge(rows, replace(decorative, target="button#other")).detections) == 1
