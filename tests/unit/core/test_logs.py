"""What processes log, and how long it is kept: repeated lines are folded, files turned over, strangers' words left out."""

import logging
import subprocess
import sys
import time
from pathlib import Path

import pytest

from core.errors import TransientError
from core.logs import FOLD_AFTER, DiscreetFormatter, RepeatFilter
from furrow.installation.log_files import FILES, keep_logs_small, read_last_line, rotate_log


def lines_of(folding: RepeatFilter, *messages: str) -> list[str]:
    records = [logging.LogRecord("x", logging.INFO, "", 0, message, (n,), None) for n, message in enumerate(messages)]
    return [record.getMessage() for record in records if folding.filter(record)]


def test_a_line_that_repeats_is_folded() -> None:
    folding = RepeatFilter(seconds=60)
    assert len(lines_of(folding, *["refused %d"] * 1_000)) == FOLD_AFTER
    assert lines_of(folding, "another %d") == ["another 0"]


def test_the_number_of_those_left_out_is_told_with_the_next() -> None:
    folding = RepeatFilter(seconds=0.05)
    lines_of(folding, *["refused %d"] * 20)
    time.sleep(0.1)
    assert lines_of(folding, "refused %d") == [f"refused 0 (repeated {20 - FOLD_AFTER} times)"]
    time.sleep(0.1)
    assert lines_of(folding, "refused %d") == ["refused 0"]


def test_many_different_lines_are_not_remembered_for_ever() -> None:
    folding = RepeatFilter()
    for n in range(5_000):
        lines_of(folding, f"line {n} %d")
    assert len(folding._seen) <= 1_000


def raised(error: BaseException) -> str:
    try:
        try:
            raise ValueError("secret of a stranger")
        except ValueError as cause:
            raise error from cause
    except BaseException:
        return DiscreetFormatter("%(message)s").format(
            logging.LogRecord("x", logging.ERROR, "", 0, "failed", (), sys.exc_info())
        )


def test_a_traceback_shows_the_way_and_no_words_of_a_stranger() -> None:
    text = raised(KeyError("another secret"))
    assert "secret" not in text.replace('raise ValueError("secret of a stranger")', "")
    assert "KeyError" in text
    assert "ValueError" in text
    assert "caused by" in text
    assert __file__ in text
    assert "TransientError: Postgres is away" in raised(TransientError("Postgres is away"))
    assert "No space left" in raised(OSError(28, "No space left on device"))


# ------------------------------------------------------------------------------------------------------ files


def sizes(folder: Path) -> dict[str, int]:
    return {file.name: file.stat().st_size for file in folder.iterdir()}


def test_a_log_is_turned_over_when_it_is_full(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    with log.open("ab") as part:  # as a part holds it
        for n in range(8):
            part.write(b"%d" % n * 100)
            part.flush()
            assert not rotate_log(log, 100)
            part.write(b"x")
            part.flush()
            assert rotate_log(log, 100)
            assert log.stat().st_size == 0
    assert sizes(tmp_path) == {"part.log": 0, **{f"part.log.{n}": 101 for n in range(1, FILES)}}
    assert (tmp_path / "part.log.1").read_bytes() == b"7" * 100 + b"x"
    assert not rotate_log(tmp_path / "missing.log", 100)


def test_of_a_log_that_ran_away_the_end_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    log.write_bytes(b"a" * 1_000 + b"b" * 50)
    assert rotate_log(log, 100)
    assert sizes(tmp_path) == {"part.log": 0, "part.log.1": 200}
    assert (tmp_path / "part.log.1").read_bytes().endswith(b"b" * 50)


def test_a_log_that_cannot_be_turned_over_is_emptied(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    log.write_bytes(b"a" * 1_000)
    (tmp_path / "part.log.3").touch()
    (tmp_path / "part.log.4").mkdir()
    assert not rotate_log(log, 100)
    assert log.stat().st_size == 0


def test_a_process_that_logs_without_end_takes_bounded_room(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    with keep_logs_small(lambda: [log], 500_000), log.open("ab") as out:
        # Not as fast as a busy machine can write: the part must not outrun the thread that watches its log.
        chatter = "import time\nwhile True: print('x' * 999, flush=True); time.sleep(0.002)"
        part = subprocess.Popen([sys.executable, "-c", chatter], stdout=out)
        try:
            end = time.monotonic() + 30
            while len(sizes(tmp_path)) < FILES and time.monotonic() < end:
                time.sleep(0.05)
        finally:
            part.kill()
            part.wait()
    kept = sizes(tmp_path)
    assert len(kept) == FILES
    assert all(size <= 400_000 for name, size in kept.items() if name != "part.log")


@pytest.mark.parametrize(
    ("end", "words"),
    [
        ("Traceback\n  File x\nsqlalchemy.exc.OperationalError: (psycopg) it is away\n\n", "(psycopg) it is away"),
        ("ValueError: no number", "no number"),
        ("KeyError", "an error without a message"),
        ("furrow: the address is taken\n", "furrow: the address is taken"),
        ("2026 ERROR uvicorn: Error loading", "2026 ERROR uvicorn: Error loading"),
        ("", "the log is empty"),
    ],
)
def test_the_end_of_a_log_names_no_class(tmp_path: Path, end: str, words: str) -> None:
    log = tmp_path / "part.log"
    log.write_text(end)
    assert read_last_line(log) == words
