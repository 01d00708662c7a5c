"""The script that compares two versions of the engine sees what it is for."""

import json

from tests.compare_detections import SETS, compare, find_all


def test_a_reworded_sentence_is_no_other_judgement_and_a_moved_score_is() -> None:
    lines = list(find_all({"unseen": SETS["unseen"]}))
    assert compare(lines, lines) == (0, 0)
    name, kind, body = json.loads(lines[0])
    assert kind == "detection"
    reworded = json.dumps([name, kind, {**body, "explanation": "Other words."}], sort_keys=True)
    moved = json.dumps([name, kind, {**body, "frustrationScore": body["frustrationScore"] - 1}], sort_keys=True)
    assert compare(lines, [reworded, *lines[1:]]) == (1, 0)
    assert compare(lines, [moved, *lines[1:]]) == (1, 1)
