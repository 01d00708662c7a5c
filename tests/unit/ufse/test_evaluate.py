"""Figures of detections against labels."""

from ufse import evaluate


def detection(session: str, route: str = "/orders/:id", target: str = "button#pay") -> dict[str, object]:
    point = {"route": route, "target": target, "feedback": "x"}
    return {"sessionId": session, "failurePoint": point, "primaryFailurePoint": f"{route} › {target} › x"}


def label(session: str, frustrated: bool, route: str = "/orders/7", target: str = "pay") -> dict[str, object]:
    return {"sessionId": session, "frustrated": frustrated, "route": route, "target": target, "kind": "k"}


def test_counts_and_misses() -> None:
    labels = [
        label("hit", True),
        label("miss", True),
        label("wrong", True, "/home"),
        label("alarm", False),
        label("calm", False),
    ]
    found = evaluate([detection(s) for s in ("hit", "wrong", "alarm", "stranger", "hit")], labels)
    assert (found.true_positives, found.false_negatives, found.false_positives, found.true_negatives) == (
        2,
        1,
        1,
        1,
    )
    assert (round(found.precision, 3), round(found.recall, 3), found.point_accuracy) == (0.667, 0.667, 0.5)
    assert [m["sessionId"] for m in found.missed] == ["miss"]
    assert [m["sessionId"] for m in found.false_alarms] == ["alarm"]
    assert [m["sessionId"] for m in found.wrong_points] == ["wrong"]
    assert found.unlabelled == ["stranger"]
    assert found.to_json()["recall"] == 0.6667


def test_no_sessions_and_no_detections() -> None:
    assert (evaluate([], []).precision, evaluate([], []).recall) == (1.0, 1.0)
    assert evaluate([], [label("a", True)]).recall == 0.0


def test_a_label_without_a_target_accepts_any() -> None:
    assert evaluate([detection("a")], [label("a", True, "", "")]).point_accuracy == 1.0
