"""The commands that need no running installation, each from its start to its exit code."""

import contextlib
import gzip
import json
import os
import pty
import re
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from furrow.installation.demo_sessions import FRUSTRATED, SILENT, example_sessions
from tests.e2e.installation import FURROW, ROOT, environment


def furrow(*arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    command = [*FURROW, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment(**extra), timeout=300, check=False)


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    file = tmp_path / "events.jsonl"
    file.write_text("".join(json.dumps(event) + "\n" for session in example_sessions() for event in session))
    return file


@pytest.mark.long
def test_the_demo_does_the_main_job_and_leaves_nothing_behind(tmp_path: Path) -> None:
    told = furrow("demo", TMPDIR=str(tmp_path))
    assert told.returncode == 0, told.stderr
    assert "POST /api/orders → 500" in told.stdout
    assert "POST /api/coupons → 503" in told.stdout
    assert "Ticket: " in told.stdout
    assert "LoggedOnly" in told.stdout
    assert list(tmp_path.iterdir()) == []
    # psutil sees no command line of processes that end meanwhile.
    assert [p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(p.info["cmdline"] or [])] == []


def test_detect_finds_the_frustrated_sessions_of_a_file(examples: Path) -> None:
    told = furrow("detect", str(examples))
    assert told.returncode == 0, told.stderr
    detections = [json.loads(line) for line in told.stdout.splitlines()]
    assert len(detections) == sum(count for _, count in FRUSTRATED)
    assert all(detection["confidenceLevel"] == "High" for detection in detections)


def test_detect_explains_the_silent_sessions(examples: Path) -> None:
    told = furrow("detect", str(examples), "--explain")
    silent = [json.loads(line)["whyNot"] for line in told.stdout.splitlines() if line.startswith('{"whyNot"')]
    assert len(silent) == sum(count for _, count in SILENT)
    assert all(one["text"] for one in silent)


def test_detect_is_deterministic_and_names_bad_lines(examples: Path) -> None:
    with examples.open("a") as file:
        file.write('not json\n{"eventType": "teleport"}\n')
    first, second = furrow("detect", str(examples)), furrow("detect", str(examples))
    assert first.stdout == second.stdout
    assert "2 events rejected" in first.stderr


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    told = furrow("detect", str(tmp_path / "nothing.jsonl"))
    assert told.returncode != 0
    assert "Traceback" not in told.stderr


def test_send_without_a_collector_says_so(examples: Path) -> None:
    told = furrow("send", str(examples), "--url", "http://127.0.0.1:9", "--attempts", "1")
    assert told.returncode == 1
    assert "not delivered" in told.stdout
    assert "Traceback" not in told.stderr


def test_doctor_says_what_is_missing(tmp_path: Path) -> None:
    told = furrow("doctor", "--data-dir", str(tmp_path), "--port", "9", "--prefect-port", "9")
    assert told.returncode == 1
    assert "furrow up" in told.stdout
    assert "furrow-jira" in told.stdout


def test_doctor_fails_over_a_configured_server_that_is_away(tmp_path: Path) -> None:
    url = "postgresql://someone:hunter2@127.0.0.1:9/furrow"
    told = furrow(
        "doctor", "--data-dir", str(tmp_path), "--port", "9", "--prefect-port", "9", FURROW_INCIDENT_STORE_URL=url
    )
    assert told.returncode == 1
    assert "DOWN incident store" in told.stdout
    assert "hunter2" not in told.stdout + told.stderr


@pytest.mark.parametrize("command", [(), ("up",), ("demo",), ("send",), ("detect",), ("doctor",)])
def test_every_command_has_help(command: tuple[str, ...]) -> None:
    told = furrow(*command, "--help")
    assert told.returncode == 0
    assert "Usage" in told.stdout


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        told = furrow("up", "--data-dir", str(tmp_path / "data"), "--port", port)
    assert told.returncode == 1
    assert f"port {port}" in told.stderr


@pytest.mark.parametrize(
    ("variable", "value"), [("FURROW_PORT", "abc"), ("FURROW_CONFIRM_SESSIONS", "-1"), ("FURROW_PREFECT_PORT", "70000")]
)
def test_a_setting_that_cannot_be_is_named(variable: str, value: str) -> None:
    for command in (
        [*FURROW, "doctor"],
        [sys.executable, "-m", "collector"],
        [sys.executable, "-m", "furrow.server", "land"],
    ):
        told = subprocess.run(
            command, capture_output=True, text=True, env=environment(**{variable: value}), timeout=120, check=False
        )
        assert variable in used_wrongly(told)


def test_a_data_directory_that_cannot_be_one_is_said(examples: Path) -> None:
    told = furrow("up", "--data-dir", str(examples))
    assert told.returncode == 1
    assert told.stderr == f"furrow: {examples} cannot be used as data directory: Not a directory\n"


def test_two_parts_on_one_port_are_refused(tmp_path: Path) -> None:
    told = furrow("up", "--data-dir", str(tmp_path / "data"), "--port", "8299", "--prefect-port", "8299")
    assert "different ports" in used_wrongly(told)


def test_an_address_that_is_none_is_said_at_once(examples: Path) -> None:
    assert "is not the address of a collector" in used_wrongly(furrow("send", str(examples), "--url", "foo"))


def test_a_truncated_file_is_one_line(examples: Path) -> None:
    cut = examples.with_suffix(".gz")
    cut.write_bytes(gzip.compress(examples.read_bytes())[:-40])
    for command in ("send", "detect"):
        told = furrow(command, str(cut))
        assert told.returncode == 1, told.stdout
        assert told.stderr == "furrow: events.gz cannot be read: it is compressed (gzip), and cut off or damaged\n"
    packed = bytearray(gzip.compress(examples.read_bytes()))
    packed[100:110] = b"\xff" * 10
    cut.write_bytes(packed)
    for arguments in (("send", str(cut)), ("detect", str(cut)), ("evaluate", str(examples), str(cut))):
        told = furrow(*arguments)
        assert told.returncode == 1, told.stdout
        assert told.stderr == "furrow: events.gz cannot be read: it is compressed (gzip), and cut off or damaged\n"


def test_what_is_no_text_is_one_line(examples: Path) -> None:
    binary = examples.with_name("picture.jsonl")
    for content in (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0", bytes(range(128, 256)) * 40, "größe\n".encode("latin-1")):
        binary.write_bytes(content)
        assert "picture.jsonl is not a text file" in used_wrongly(furrow("detect", str(binary)))
        for kind in ("events", "combined", "dead-letters"):
            assert "picture.jsonl is not a text file" in used_wrongly(furrow("send", str(binary), "--format", kind))
    told = furrow("evaluate", str(examples), str(binary))
    assert told.returncode == 1
    assert told.stderr == "furrow: line 1 of the labels is not JSON: it is not text (UTF-8)\n"


def test_a_file_without_one_event_fails_and_one_is_no_plural(examples: Path) -> None:
    examples.write_text('{"eventType"\n')
    told = furrow("detect", str(examples))
    assert told.returncode == 1
    first, second, third = told.stderr.splitlines()
    assert first.startswith("line 1: not JSON: ")
    assert second == "1 event rejected"
    assert third.startswith("furrow: events.jsonl contains no events")


def used_wrongly(told: subprocess.CompletedProcess[str]) -> str:
    """One line on standard error, nothing else, and 2."""
    assert told.returncode == 2, told.stdout + told.stderr
    assert told.stdout == ""
    assert told.stderr.count("\n") == 1, told.stderr
    return told.stderr


def test_an_access_log_given_as_events_is_recognised_and_the_other_way_round(examples: Path) -> None:
    log = ROOT / "examples" / "access.log"
    assert "access.log looks like an access log: pass --format combined" in used_wrongly(furrow("send", str(log)))
    assert furrow("detect", str(log)).stdout.count('"primaryFailurePoint"') == 4, "it is read as what it is"
    packed = examples.with_suffix(".gz")
    packed.write_bytes(gzip.compress(log.read_bytes()))
    assert "--format combined" in used_wrongly(furrow("send", str(packed)))
    told = used_wrongly(furrow("send", str(examples), "--format", "combined"))
    assert "events.jsonl looks like events" in told


def test_what_cannot_be_asked_together_is_one_line() -> None:
    assert "pass either a SESSION" in used_wrongly(furrow("explain"))
    assert "pass either a SESSION" in used_wrongly(furrow("explain", "a-session", "--last", "3"))
    assert "--now cannot be combined" in used_wrongly(furrow("export", "--now", "--dry-run"))


def test_detect_prints_text_on_a_terminal_and_json_elsewhere(examples: Path) -> None:
    def on_a_terminal(*arguments: str) -> str:
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [*FURROW, *arguments], stdout=theirs, stderr=subprocess.DEVNULL, env=environment()
        ) as command:
            os.close(theirs)
            printed = b""
            with contextlib.suppress(OSError):  # how the end of a terminal is told
                while piece := os.read(ours, 65_536):
                    printed += piece
        os.close(ours)
        assert command.returncode == 0
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", printed.decode())

    printed = on_a_terminal("detect", str(examples), "--explain")
    assert "POST /api/orders → 500" in printed
    assert "silent  " in printed
    assert f"{sum(count for _, count in FRUSTRATED)} detections in" in printed
    assert not printed.startswith("{")
    lines = on_a_terminal("detect", str(examples), "--json").splitlines()
    assert all(json.loads(line)["detectionId"] for line in lines)


def test_up_refuses_what_is_for_a_collector_alone(tmp_path: Path) -> None:
    told = furrow("up", "--data-dir", str(tmp_path / "data"), FURROW_EVENTS_API_ONLY="1")
    assert "FURROW_EVENTS_API_ONLY is only for a collector that runs alone" in used_wrongly(told)
