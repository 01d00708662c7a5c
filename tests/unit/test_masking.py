"""Names of people in log files and in Prefect's database."""

import json
import sqlite3
from pathlib import Path

import pytest

from furrow.masking import MARK, mask_file, mask_prefect, mask_text, spellings


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("session abc ended", f"session {MARK} ended"),
        ("abc", MARK),
        ("abc, abc.", f"{MARK}, {MARK}."),
        ("abcd xabc abc-d abc_1", "abcd xabc abc-d abc_1"),
        ("`abc`:", f"`{MARK}`:"),
        ("ABC", "ABC"),
    ],
)
def test_a_name_is_replaced_where_it_stands_by_itself(text: str, masked: str) -> None:
    assert mask_text(text, spellings(["abc"])) == masked


@pytest.mark.parametrize("name", ['say "hi"', "naïve", "a_b*c", "line\\n"])
def test_every_way_of_writing_it_is_found(name: str) -> None:
    markdown = "".join(f"\\{c}" if c in "\\`*_{}[]()#!|~" else c for c in name)
    for written in (
        name,
        json.dumps(name),
        json.dumps(json.dumps(name)),
        json.dumps(name, ensure_ascii=False),
        markdown,
    ):
        assert name not in mask_text(f"<{written}>", spellings([name]))
        assert MARK in mask_text(f"<{written}>", spellings([name]))


def test_a_file_keeps_its_length(tmp_path: Path) -> None:
    log = tmp_path / "engine.log"
    log.write_bytes(b"abc began\nabcd\nended: abc\n")
    assert mask_file(log, spellings(["abc"])) == 2
    assert log.read_bytes() == b"xxx began\nabcd\nended: xxx\n"
    assert mask_file(log, spellings(["abc"])) == 0
    assert mask_file(tmp_path / "nothing", spellings(["abc"])) == 0


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
    document = json.dumps({"detect": ["of detect", 5]})
    database.execute("INSERT INTO log VALUES ('detect ended')")
    database.execute(
        "INSERT INTO flow_run VALUES ('detect', ?)", (json.dumps({"session_id": "detect", "x": "detect it"}),)
    )
    database.execute("INSERT INTO artifact VALUES (?, 'detect')", (document,))
    database.executemany(
        "INSERT INTO events VALUES (?, ?)", [("prefect.artifact.created", document), ("other", document)]
    )
    database.commit()
    assert mask_prefect(path, spellings(["detect"]), ["detect"]) == 5
    assert database.execute("SELECT * FROM log").fetchall() == [(f"{MARK} ended",)]
    ((name, parameters),) = database.execute("SELECT * FROM flow_run").fetchall()
    assert (name, json.loads(parameters)) == ("detect", {"session_id": MARK, "x": "detect it"})
    masked = json.dumps({"detect": [f"of {MARK}", 5]})
    assert database.execute("SELECT * FROM artifact").fetchall() == [(masked, MARK)]
    assert [row[1] for row in database.execute("SELECT * FROM events")] == [masked, document]
    assert mask_prefect(path, spellings(["detect"]), ["detect"]) == 0
    assert mask_prefect(tmp_path / "elsewhere.db", spellings(["x"]), ["x"]) == 0
