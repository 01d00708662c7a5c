"""Properties: any order of rows, any company in the batch, any text, a monotone score."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.labelled.generate import session
from tests.labelled.kinds import KINDS
from tests.unit.ufse.scene import Row, answer, click, run, table
from ufse import EVENT_SCHEMA, UNKNOWN_POSITION, Config, detect
from ufse.declared import declared_rules
from ufse.feedback import CRASH, FAILURE, INVALID, REJECTION, SLOW
from ufse.score import RAGE_PLACES, Evidence, compute_points, sum_points
from ufse.sessions import KINDS as EVENT_KINDS
from ufse.signals.model import LEFT, SILENCE

RELAXED = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def text(result: Any) -> str:
    return json.dumps(
        [[d.to_json() for d in result.detections], [w.to_json() for w in result.why_not]], ensure_ascii=False
    )


def labelled_rows() -> list[Row]:
    """Some labelled sessions of all sorts as rows, two visits apart in time, one project."""
    import tempfile
    from pathlib import Path

    from collector.contract import read_events

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.jsonl"
        lines = [json.dumps(e) for n in sorted(KINDS)[::4] for e in session(KINDS[n], 1)[0]]
        path.write_text("\n".join(lines), encoding="utf-8")
        rows: list[Row] = read_events(path)[0].to_pylist()
    return rows


ROWS = labelled_rows()
WHOLE = run(ROWS)


def test_the_labelled_rows_hold_both_detections_and_silence() -> None:
    assert len(WHOLE.detections) > 3
    assert len(WHOLE.why_not) > 5


@RELAXED
@given(st.randoms(use_true_random=False))
def test_any_order_of_rows_gives_the_same_bytes(rng: Any) -> None:
    rows = list(ROWS)
    rng.shuffle(rows)
    assert text(detect(pa.Table.from_pylist(rows, schema=EVENT_SCHEMA), why_not=True)) == text(WHOLE)


def test_each_session_alone_gives_what_it_gives_in_the_batch() -> None:
    by_session: dict[str, list[Row]] = {}
    for row in ROWS:
        by_session.setdefault(row["session_id"], []).append(row)
    alone = [detect(pa.Table.from_pylist(r, schema=EVENT_SCHEMA), why_not=True) for r in by_session.values()]
    found = sorted(json.dumps(d.to_json()) for r in alone for d in r.detections)
    silent = sorted(json.dumps(w.to_json()) for r in alone for w in r.why_not)
    assert found == sorted(json.dumps(d.to_json()) for d in WHOLE.detections)
    assert silent == sorted(json.dumps(w.to_json()) for w in WHOLE.why_not)


def test_dictionary_encoded_columns_and_copies_change_nothing() -> None:
    plain = pa.Table.from_pylist([*ROWS, *ROWS[::3]], schema=EVENT_SCHEMA)
    encoded = pa.table(
        {n: plain[n].dictionary_encode() if plain[n].type == pa.string() else plain[n] for n in plain.column_names}
    )
    assert text(detect(encoded, why_not=True)) == text(WHOLE)


WILD = st.text(alphabet=st.characters(codec="utf-8"), max_size=40) | st.sampled_from(
    [
        "",
        "<script>",
        "\x00\x1b[31m",
        "a" * 5000,
        "/orders/8841",
        "\u202e",
        "🤷" * 30,
        "::id::",
        "%00",
        "null",
        "..",
        "//",
    ]
)
NUMBER = st.sampled_from([-1, 0, 1, 2, 200, 404, 500, 999, 2**31 - 1, -(2**31)])


@st.composite
def wild_row(draw: st.DrawFn) -> Row:
    row: Row = {}
    for name in EVENT_SCHEMA.names:
        kind = EVENT_SCHEMA.field(name).type
        if kind == pa.string():
            row[name] = draw(WILD)
        elif kind == pa.int8():
            row[name] = draw(st.sampled_from([-1, 0, 1]))
        else:
            row[name] = draw(NUMBER)
    row["session_id"] = draw(st.sampled_from(["a", "b"]))
    row["project"] = "p"
    row["event_type"] = draw(st.sampled_from([*EVENT_KINDS, "unheard-of"]))
    row["ts"] = draw(st.integers(0, 60_000) | st.sampled_from([0, -1, 2**52, -(2**52)]))
    row["received_ms"] = draw(st.integers(0, 10**8))
    row["duration_ms"] = draw(st.sampled_from([-1, 0, 50, 5000, 2**40, -5]))
    row["target_id"] = draw(st.sampled_from(["", "pay", "\x00", "🤷", "x" * 900]))
    row["route"] = draw(st.sampled_from(["/a", "/b", "", "//", "/" + "é" * 600]))
    row["url"] = draw(st.sampled_from(["", "/api", "http://[", "/\x00", "/api/8841"]))
    row["status"] = draw(st.sampled_from([-1, 0, 200, 404, 409, 500, 999, -7]))
    return row


@RELAXED
@given(st.lists(wild_row(), max_size=40), st.randoms(use_true_random=False))
def test_no_values_crash_the_engine_or_depend_on_order(rows: list[Row], rng: Any) -> None:
    first = text(run(rows))
    json.loads(first)
    numbered = table(rows).to_pylist()
    rng.shuffle(numbered)
    assert text(detect(pa.Table.from_pylist(numbered, schema=EVENT_SCHEMA), why_not=True)) == first


@RELAXED
@given(WILD, WILD, WILD, WILD)
def test_hostile_texts_reach_the_detection_on_one_clean_line(
    identity: str, label: str, route: str, message: str
) -> None:
    target = {"target_type": "button", "target_id": identity, "target_label": label}
    path = "/" + route
    rows: list[Row] = [click(10 + 0.4 * i, target, path, user_agent=message) for i in range(6)]
    rows += [answer(10.2 + 0.4 * i, 500, took=0.15, url=path, route=path) for i in range(6)]
    for body in (d.to_json() for d in run(rows).detections):
        shown = [body["primaryFailurePoint"], body["explanation"], *(e["text"] for e in body["timeline"])]
        assert all(t.isprintable() or not any(ord(c) < 32 for c in t) for t in shown)
        json.dumps(body, ensure_ascii=False).encode()


def test_nulls_are_unknown() -> None:
    rows = [click(10 + 0.4 * i) for i in range(5)] + [answer(10.5, 500, took=0.45)]
    blank = [{k: None if v in ("", -1, UNKNOWN_POSITION) else v for k, v in r.items()} for r in table(rows).to_pylist()]
    result = detect(pa.Table.from_pylist(blank, schema=EVENT_SCHEMA), why_not=True)
    assert text(result) == text(run(rows))


RAGE_LADDER = [RAGE_PLACES.index(p) for p in ("", "near", "page", "reload_other", "same")]
LEFT_LADDER = [0, SILENCE, LEFT]
EVIDENCE = st.fixed_dictionaries(
    {
        "feedback": st.sampled_from([FAILURE, CRASH, REJECTION, INVALID, SLOW]),
        "by_field": st.booleans(),
        "vague": st.just(False),
        "stray": st.just(False),
        "rage": st.sampled_from(RAGE_LADDER),
        "retries": st.integers(0, 5),
        "left": st.sampled_from(LEFT_LADDER),
        "form_sent": st.booleans(),
        "confused": st.booleans(),
        "failures": st.integers(1, 6),
        "tries": st.integers(0, 6),
        "longest_wait_ms": st.integers(0, 30_000),
        "struggle_ms": st.integers(0, 90_000),
        "resolved": st.booleans(),
        "answered_late": st.booleans(),
    }
)
MORE: dict[str, list[Any]] = {
    "rage": RAGE_LADDER,
    "left": LEFT_LADDER,
    "retries": list(range(6)),
    "failures": list(range(1, 8)),
    "tries": list(range(8)),
    "confused": [False, True],
    "vendor": [False, True],
    "form_sent": [False, True],
    "longest_wait_ms": [0, 8_000, 60_000],
    "struggle_ms": [0, 10_000, 30_000, 10**6],
}


def score(known: dict[str, Any]) -> int:
    """The score of one cluster of which this is known."""
    columns = Evidence(
        **{name: np.array([value]) for name, value in known.items()},  # type: ignore[arg-type]
        declared=dict.fromkeys(declared_rules(), np.array([False])),
    )
    return int(sum_points(compute_points(columns, Config()))[0])


@given(EVIDENCE, st.sampled_from(sorted(MORE)), st.data())
def test_more_evidence_never_lowers_the_score(known: dict[str, Any], name: str, data: st.DataObject) -> None:
    ladder = MORE[name]
    low, high = sorted(data.draw(st.lists(st.integers(0, len(ladder) - 1), min_size=2, max_size=2)))
    assert score({**known, name: ladder[low]}) <= score({**known, name: ladder[high]})


@given(EVIDENCE)
def test_resolution_never_raises_the_score_and_stays_below_high(known: dict[str, Any]) -> None:
    resolved = score({**known, "resolved": True})
    assert resolved <= score({**known, "resolved": False})
    assert resolved < Config().high_score
