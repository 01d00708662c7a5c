"""Names of people in log files and in Prefect's database."""

import json
import re
import sqlite3
from pathlib import Path

import pytest

from tasks.masking import MARK, Names, mask_file, mask_prefect_database
from tasks.report import code_span
from trackers.document import Code, Items, render_markdown, render_wiki
from trackers.log import escape_invisible

HASH = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ('["default", "abc", "why"]', f'["default", "{MARK}", "why"]'),
        ("session 'abc' ended", f"session '{MARK}' ended"),
        ("* `abc`: score", f"* `{MARK}`: score"),
        ("more: {{abc}}, score", f"more: {{{{{MARK}}}}}, score"),
        ('{"a": "{\\"sessionId\\": \\"abc\\"}"}', f'{{"a": "{{\\"sessionId\\": \\"{MARK}\\"}}"}}'),
        ("Key (project, session_id)=(default, abc) exists", f"Key (project, session_id)=(default, {MARK}) exists"),
        ("row contains (default, abc, 7).", f"row contains (default, {MARK}, 7)."),
        ('"abcd" "xabc" "abc d" "ABC"', '"abcd" "xabc" "abc d" "ABC"'),
        ("abc, abc. abc-d", "abc, abc. abc-d"),
        ("don't abc'", "don't abc'"),
        ("\"abc'", "\"abc'"),
        ("(abc)", "(abc)"),
    ],
)  # fmt: skip
def test_an_id_is_replaced_where_it_is_a_whole_quoted_value(text: str, masked: str) -> None:
    assert Names(["abc"]).replace_in_text(text) == masked


LOG = """\
2026-11-27 16:10:41,541 engine INFO lander.loop: 500 events of a segment landed
10:00:01.123 | INFO    | Flow run 'detect' - 1 new events in a 500 ms window, HTTP 500, line 1
2026-11-27 16:10:41.541 UTC [1] INFO: a (1) [500] <INFO> INFO=1 a=500
| title: POST /api/orders -> 500 on "Pay now" (/checkout): a form
"""


@pytest.mark.parametrize(
    "session", ["INFO", "a", "1", "500", "detect-1", ".", "furrow", "10:00:01.123 | INFO    | Flow run "]
)
def test_a_session_called_like_a_word_of_the_logs_leaves_the_logs_alone(session: str, tmp_path: Path) -> None:
    names = Names([session])
    assert names.replace_in_text(LOG) == LOG
    log = tmp_path / "engine.log"
    log.write_text(LOG + json.dumps(["default", session, "why"]) + "\n")
    assert mask_file(log, names) == 1
    assert log.read_text() == LOG + json.dumps(["default", "x" * len(session), "why"]) + "\n"


NAMES = [
    'say "hi"',
    "naïve",
    "a_b*c",
    "line\\n",
    "it's",
    "x@y.example",
    "frustrated-3",
    "☃ and 😀",
    "{{x}}",
    "a`b",
    "(1, 2)",
    "tab\there",
]


@pytest.mark.parametrize("name", NAMES)
def test_every_way_of_writing_it_is_found(name: str) -> None:
    for ascii_ in (True, False):
        once = json.dumps(name, ensure_ascii=ascii_)
        twice = json.dumps({"detection": once}, ensure_ascii=ascii_)
        for written in (once, twice, repr(name) if "\\" not in name else once):
            masked = Names([name]).replace_in_text(f"x {written} y")
            assert MARK in masked, written
            assert set(re.findall(r"\w+", masked)) <= {"x", "y", "erased", "detection"}


@pytest.mark.parametrize("name", [*NAMES, "plain"])
def test_every_way_in_which_tickets_and_artifacts_write_it_is_found(name: str) -> None:
    ticket = (Items(((Code(name), ", score 90"),)),)
    for text in (render_markdown(ticket), render_wiki(ticket), f"* {code_span(name)}: 3 → 4"):
        masked = Names([name]).replace_in_text("\n".join(map(escape_invisible, text.splitlines())))
        assert MARK in masked, text


def test_a_hash_is_replaced_wherever_it_stands() -> None:
    names = Names([], [HASH])
    assert names.replace_in_text(f"user uh:{HASH}, {HASH}.") == f"user uh:{MARK}, {MARK}."
    assert names.replace_in_text(f"x{HASH} {HASH}0 {HASH}-1") == f"x{HASH} {HASH}0 {HASH}-1"


@pytest.mark.parametrize("name", [" ", "`", "\t", "\x00"])
def test_a_name_of_nothing_visible_does_not_fill_empty_quotes(name: str) -> None:
    assert Names([name]).replace_in_text('"", \'\', "x"') == '"", \'\', "x"'


def test_many_names_are_all_found() -> None:
    names = Names(f"session-{n}" for n in range(1_000))
    text = " ".join(f'"session-{n}"' for n in range(1_100))
    assert names.replace_in_text(text).count(MARK) == 1_000


def test_a_file_keeps_its_length(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    log.write_bytes(b"'abc' began\n'abcd'\nended: 'abc'\n\xff 'na\xc3\xafve'\n")
    names = Names(["abc", "naïve", ""], [""])
    assert mask_file(log, names) == 3
    assert log.read_bytes() == b"'xxx' began\n'abcd'\nended: 'xxx'\n\xff 'xxxxxx'\n"
    assert mask_file(log, names) == 0
    assert mask_file(tmp_path / "nothing", names) == 0


def test_only_logs_artifacts_and_parameters_of_prefect_are_touched(tmp_path: Path) -> None:
    path = tmp_path / "prefect.db"
    database = sqlite3.connect(path)
    database.executescript("""
        CREATE TABLE log (message VARCHAR);
        CREATE TABLE flow_run (name VARCHAR, parameters JSON);
        CREATE TABLE artifact (data JSON, description VARCHAR);
        CREATE TABLE artifact_collection (data JSON, description VARCHAR);
        CREATE TABLE events (event VARCHAR, payload JSON);
    """)
    # Somebody named their session like our flow.
    document = json.dumps({"detect": ["of `detect`", 5, "detect", "# detect: Completed"]})
    database.executemany("INSERT INTO log VALUES (?)", [("detect ended",), ("of 'detect'",)])
    database.execute(
        "INSERT INTO flow_run VALUES ('detect', ?)", (json.dumps({"session_id": "detect", "x": "detect it"}),)
    )
    database.execute("INSERT INTO artifact VALUES (?, 'detect')", (document,))
    database.executemany(
        "INSERT INTO events VALUES (?, ?)", [("prefect.artifact.created", document), ("other", document)]
    )
    database.commit()
    names = Names(["detect"])
    assert mask_prefect_database(path, names) == 4
    assert database.execute("SELECT * FROM log").fetchall() == [("detect ended",), (f"of '{MARK}'",)]
    ((name, parameters),) = database.execute("SELECT * FROM flow_run").fetchall()
    assert (name, json.loads(parameters)) == ("detect", {"session_id": MARK, "x": "detect it"})
    masked = json.dumps({"detect": [f"of `{MARK}`", 5, MARK, "# detect: Completed"]})
    assert database.execute("SELECT * FROM artifact").fetchall() == [(masked, "detect")]
    assert [row[1] for row in database.execute("SELECT * FROM events")] == [masked, document]
    assert mask_prefect_database(path, names) == 0
    assert mask_prefect_database(tmp_path / "elsewhere.db", Names(["x"])) == 0
