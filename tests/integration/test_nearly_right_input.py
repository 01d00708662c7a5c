"""Input that is nearly right is taken or refused with a reason, on a real socket and in files; it is never silently lost."""

import gzip
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from collector.contract import read_events
from furrow.clients.send import send_file
from tests.integration.test_collector import BATCH, EVENT, KEY, code, config_for, lines, serving
from ufse import detect

FOUND = Path(__file__).resolve().parents[1] / "data" / "found"
PLAIN = json.dumps(BATCH).encode()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with serving(config_for(tmp_path_factory.mktemp("collector"))) as made:
        yield made


def damaged_body(name: str) -> bytes:
    """A found body, at a time that is not in the future."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()).encode()
    return (FOUND / name).read_bytes().replace(b"2026-11-20T10:00:00Z", now).replace(b"2026-11-20T10:00:01Z", now)


@pytest.mark.parametrize(("name", "field"), [("13a-nan.body", "metadata.x"), ("13c-cut-utf8.body", "target.label")])
@pytest.mark.parametrize("packed", [False, True])
def test_a_damaged_event_is_kept_and_sent_again(name: str, field: str, packed: bool, tmp_path: Path) -> None:
    config = config_for(tmp_path)
    body = damaged_body(name)
    headers = {**KEY, "content-type": "application/json", **({"content-encoding": "x-gzip"} if packed else {})}
    with serving(config) as client:
        answer = client.post("/v1/events", content=gzip.compress(body) if packed else body, headers=headers)
        assert (answer.status_code, answer.json()["accepted"]) == (202, 1)
        assert [(one["index"], one["field"]) for one in answer.json()["rejected"]] == [(1, field)]
        (letters,) = (config.spool_dir / "dead-letters").iterdir()
        assert len(letters.read_text().splitlines()) == 1
        again = send_file(letters, str(client.base_url), "test-key", "dead-letters")
        twice = send_file(letters, str(client.base_url), "test-key", "dead-letters")
    assert (again.accepted, again.rejected, twice.accepted) == (1, [], 1)
    stored = lines(config.spool_dir)
    assert len(stored) == 3
    assert len({one["event_id"] for one in stored}) == 2


@pytest.mark.parametrize(
    "kind",
    [
        "application/json; charset=utf-8; x=y",
        "application/json;x=y;charset=UTF-8",
        'application/json; charset="utf-8"; boundary="a;charset=latin1"',
        "Application/JSON ; Charset = utf8",
        "APPLICATION/JSON;CHARSET=US-ASCII",
        "text/plain; charset=UTF-8; format=flowed",
        "application/json;",
        "application/json;;;",
        'application/json; x="',
    ],
)
def test_media_types_with_parameters_are_taken(client: httpx.Client, kind: str) -> None:
    answer = client.post("/v1/events", content=PLAIN, headers={**KEY, "content-type": kind})
    assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "rejected": []})


@pytest.mark.parametrize(
    "kind",
    [
        "application/json; charset=utf-16",
        "application/json; x=y; charset=iso-8859-1",
        "application/json; charset=utf-8; charset=utf-16",
        "application/json; charset=klingon",
        'application/json; charset="windows-1252"',
        "application/json-seq",
        "x application/json",
        "",
    ],
)
def test_other_charsets_and_types_are_refused(client: httpx.Client, kind: str) -> None:
    answer = client.post("/v1/events", content=PLAIN, headers={**KEY, "content-type": kind})
    assert (answer.status_code, code(answer)) == (415, "unsupported_media_type")


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "GZip", "X-GZIP", "identity, gzip", "gzip,identity", "gzip,"])
def test_names_of_gzip_are_gzip(client: httpx.Client, encoding: str) -> None:
    answer = client.post("/v1/events", content=gzip.compress(PLAIN), headers={**KEY, "content-encoding": encoding})
    assert (answer.status_code, answer.json()) == (202, {"accepted": 1, "rejected": []})


@pytest.mark.parametrize("encoding", ["identity", "Identity", "identity, identity", ""])
def test_no_encoding_is_none(client: httpx.Client, encoding: str) -> None:
    answer = client.post("/v1/events", content=PLAIN, headers={**KEY, "content-encoding": encoding})
    assert answer.status_code == 202


@pytest.mark.parametrize(
    "encodings", [["gzip, gzip"], ["gzip", "gzip"], ["gzip", "x-gzip"], ["deflate"], ["br"], ["gzip, br"]]
)
def test_other_and_doubled_encodings_are_refused(client: httpx.Client, encodings: list[str]) -> None:
    body = gzip.compress(gzip.compress(PLAIN))
    headers = [*KEY.items(), *(("content-encoding", one) for one in encodings)]
    answer = client.post("/v1/events", content=body, headers=headers)
    assert (answer.status_code, code(answer)) == (415, "unsupported_media_type")


def test_what_is_written_as_text_arrives_as_numbers(tmp_path: Path) -> None:
    config = config_for(tmp_path)
    metadata = {"status": "500", "durationMs": "2150", "aborted": "false"}
    sent = {**EVENT, "eventType": "network", "metadata": metadata, "target": {"type": "button", "label": "é" * 81}}
    with serving(config) as client:
        answer = client.post("/v1/events", json={"events": [sent]}, headers=KEY)
        assert answer.json() == {"accepted": 1, "rejected": []}
    (stored,) = lines(config.spool_dir)
    assert (stored["status"], stored["duration_ms"], stored["aborted"]) == (500, 2150, 0)
    assert stored["target_label"] == "é" * 80


@pytest.mark.parametrize("name", ["15-status-as-text.jsonl", "16-label-of-81-characters.jsonl"])
def test_the_found_files_are_detections(name: str) -> None:
    table, rejects = read_events(FOUND / name)
    assert rejects == []
    assert len(detect(table).detections) == 1


def test_damaged_lines_of_a_file_are_named_and_the_others_sent(client: httpx.Client, tmp_path: Path) -> None:
    line = json.dumps(EVENT).encode()
    path = tmp_path / "events.jsonl"
    path.write_bytes(
        b"\n".join([line, line.replace(b'"metadata": {}', b'"metadata": {"x": NaN}'), b'{"route": "\xe2\x82"}', line])
    )
    summary = send_file(path, str(client.base_url), "test-key")
    assert (summary.accepted, [one.line for one in summary.rejected]) == (2, [2, 3])
    table, rejects = read_events(path)
    assert (table.num_rows, [one.index for one in rejects]) == (2, [1, 2])


def test_the_command_says_which_address_it_took(client: httpx.Client, tmp_path: Path) -> None:
    log = FOUND / "08b-proxy-address-last.log"
    command = [sys.executable, "-m", "furrow", "send", str(log), "--format", "combined", "--url", str(client.base_url)]
    done = subprocess.run(
        [*command, "--key", "test-key", "--data-dir", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.splitlines()) == (0, ["5 accepted, 0 rejected, 0 not delivered"])
    assert "warning: all lines come from 10.0.0.5" in done.stderr
