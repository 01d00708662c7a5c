"""Recorded requests: each line is a body, is skipped as the description, or is reported."""

import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from collector.contract import open_lines
from collector.streams.registry import STREAMS
from furrow.clients.recorded_bodies import read_recorded_lines
from furrow.clients.stream_files import StreamFile, convert_stream_events

RECORDINGS = sorted((Path(__file__).resolve().parents[3] / "data/streams/datadog").glob("*.jsonl.gz"))


def test_a_recording_of_the_sdk_is_read_whole_and_recognised() -> None:
    assert RECORDINGS
    for path in RECORDINGS:
        read = list(read_recorded_lines(open_lines(path)))
        assert read
        assert not [line for line in read if line.problem]
        names = {found.name for line in read for found in STREAMS if line.sent and found.recognises(line.sent)}
        assert names == {"datadog"}


def test_a_line_that_is_no_request_is_reported_with_its_number() -> None:
    bad = [b' {"truth" : {}}', b"{}", b"no JSON", b'{"path":"/x","bodyBase64":"*"}', b'{"path":"//[","body":""}']
    assert [(line.number, bool(line.problem)) for line in read_recorded_lines(bad)] == [(n, True) for n in (2, 3, 4, 5)]


@given(st.binary())
def test_any_line_is_read_or_reported(raw: bytes) -> None:
    assert len(list(read_recorded_lines([raw]))) <= 1


def test_recorded_requests_become_events_and_a_foreign_body_is_reported() -> None:
    (stream,) = (stream for stream in STREAMS if stream.name == "datadog")
    lines = [*open_lines(RECORDINGS[0]), b'{"path":"/x","body":"no JSON"}']
    converted = list(convert_stream_events(StreamFile(stream, lambda: read_recorded_lines(lines))))
    assert any(line.event for line in converted)
    assert [line.number for line in converted if line.event is None][-1:] == [len(lines)]


def test_a_receipt_time_is_in_seconds_or_milliseconds() -> None:
    times = [b"1795788388.721", b"1795788388721", b"-1", b"1e300", b"0"]
    lines = [b'{"t":%s,"path":"/x","body":""}' % at for at in times]
    read = [line.sent.received_ms for line in read_recorded_lines(lines) if line.sent]
    assert read == [1_795_788_388_721, 1_795_788_388_721, 0, 0, 0]


def test_the_path_is_what_follows_the_key() -> None:
    paths = {
        "/intake/otlp/fk_1/v1/logs?a=1": "v1/logs",
        "/behind/a/proxy/intake/otlp/fk_1": "",
        "/v1/logs": "v1/logs",
        "/intake/v2/rum/events": "intake/v2/rum/events",
    }
    lines = [json.dumps({"path": path, "body": ""}).encode() for path in paths]
    assert [line.sent.path for line in read_recorded_lines(lines) if line.sent] == list(paths.values())
