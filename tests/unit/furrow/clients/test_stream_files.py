"""Files of other SDKs: `furrow detect FILE` finds in each recording what the engine finds in what its adapter reads."""

import base64
import gzip
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from pytest_httpserver import HTTPServer
from typer.testing import CliRunner

from collector.streams.registry import STREAMS
from furrow.cli.app import app
from furrow.clients.send import SendSummary, send_file
from tests.streams.recordings import RECORDINGS, inflate, judge, read_all, read_recording

PATHS = sorted(RECORDINGS.glob("*/*.jsonl.gz"))
_NAMES = {"otel": "otlp"}
BY_NAME = {stream.name: stream for stream in STREAMS}
run = CliRunner()


def stream_of(path: Path) -> str:
    sdk = path.name.removesuffix(".jsonl.gz") if path.parent.name.endswith("-shop") else path.parent.name
    return _NAMES.get(sdk, sdk)


def detect(path: Path, *options: str) -> tuple[list[Any], str]:
    """The detections that the command prints, and its messages."""
    result = run.invoke(app, ["detect", str(path), *options])
    assert result.exit_code == 0, result.output + str(result.exception)
    return [json.loads(line) for line in result.stdout.splitlines()], result.stderr


def without_agents(detections: list[Any]) -> list[Any]:
    """The file's requests name the browser; an adapter alone does not see it."""
    return [{**found, "context": {**found["context"], "userAgent": ""}} for found in detections]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_recording_is_recognised_and_judged_as_its_requests_are(path: Path) -> None:
    found, messages = detect(path)
    expected = judge(read_all(BY_NAME[stream_of(path)], read_recording(path).requests))
    assert without_agents(found) == without_agents(json.loads(msgspec.json.encode(expected)))
    assert f"--format {stream_of(path)} " in messages
    assert detect(path, "--format", stream_of(path))[0] == found


def bodies_of(path: Path) -> list[bytes]:
    """The inflated bodies of a recording that its stream recognises."""
    stream = BY_NAME[stream_of(path)]
    return [sent.content for raw in read_recording(path).requests if stream.recognises(sent := inflate(raw))]


def one_of(sdk: str, name: str) -> Path:
    return RECORDINGS / sdk / f"{name}.jsonl.gz"


def test_each_body_on_a_line_is_found_as_the_recording_is(tmp_path: Path) -> None:
    path = one_of("otel", "labelstudio-error_left")
    lines = tmp_path / "traces.jsonl"
    lines.write_bytes(b"\n".join(bodies_of(path)) + b"\n")
    found, messages = detect(lines)
    assert found == detect(path)[0] != []
    assert "--format otlp " in messages


def test_an_array_of_bodies_is_read(tmp_path: Path) -> None:
    path = one_of("otel", "labelstudio-error_left")
    array = tmp_path / "export.json"
    array.write_bytes(json.dumps([json.loads(body) for body in bodies_of(path)], indent=2).encode())
    assert detect(array)[0] == detect(path)[0]


@pytest.mark.parametrize("pack", [bytes, gzip.compress, zlib.compress, lambda raw: gzip.compress(gzip.compress(raw))])
@pytest.mark.parametrize(
    "body",
    [
        b"\n".join(bodies_of(one_of("datadog", "labelstudio-rage500"))),
        max(bodies_of(one_of("sentry", "oscar-rage500")), key=len),
        max(bodies_of(one_of("posthog", "oscar-rage500")), key=len),
        json.dumps(json.loads(max(bodies_of(one_of("amplitude", "oscar-rage500")), key=len)), indent=2).encode(),
    ],
    ids=["datadog", "sentry", "posthog", "amplitude"],
)
def test_a_raw_body_is_read_as_a_file(tmp_path: Path, body: bytes, pack: Callable[[bytes], bytes]) -> None:
    file = tmp_path / "body"
    file.write_bytes(pack(body))
    assert "is read as --format" in detect(file)[1]


def test_a_compressed_body_is_inflated_in_a_recorded_request_and_a_bomb_is_not(tmp_path: Path) -> None:
    lines = [
        {"path": "/x", "bodyBase64": base64.b64encode(gzip.compress(body)).decode()}
        for body in bodies_of(one_of("datadog", "labelstudio-rage500"))
    ]
    bomb = {"path": "/x", "bodyBase64": base64.b64encode(gzip.compress(bytes(11 << 20))).decode()}
    file = tmp_path / "recorded.jsonl"
    file.write_text("\n".join(map(json.dumps, [{"truth": {}}, *lines, bomb])))
    found, messages = detect(file)
    assert len(found) == len(detect(one_of("datadog", "labelstudio-rage500"))[0])
    assert f"line {len(lines) + 2}: a gzip body inflates to at most" in messages
    assert "1 event rejected" in messages


def test_rejects_are_reported_with_line_and_item_also_in_json(tmp_path: Path) -> None:
    good = bodies_of(one_of("datadog", "labelstudio-rage500"))[0].split(b"\n")
    file = tmp_path / "rum.ndjson"
    file.write_bytes(b"\n".join([*good, b'{"type":"action","date":"x"}', b"no JSON"]))
    _, messages = detect(file, "--json")
    assert f"line {len(good) + 1}: datadog." in messages
    assert f"line {len(good) + 2}: " in messages
    assert "2 events rejected" in messages


@pytest.mark.parametrize("command", ["detect", "send"])
def test_an_unknown_format_lists_the_known_ones(command: str) -> None:
    result = run.invoke(app, [command, str(PATHS[0]), "--format", "heap"])
    assert result.exit_code == 2
    shown = " ".join(result.stderr.replace("│", " ").split())
    assert all(name in shown for name in ("'heap'", "events", *BY_NAME))


@pytest.mark.parametrize(
    "content", [b'{"path":"/x","method":"POST","headers":{},"body":"{}"}', b"\x00\x01\x02", b'{"hello": 1}']
)
def test_an_unrecognised_file_lists_the_formats(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "unknown"
    file.write_bytes(content)
    result = run.invoke(app, ["detect", str(file)])
    assert result.exit_code
    assert all(name in str(result.exception) for name in BY_NAME)


def test_a_path_of_the_intake_is_cut(tmp_path: Path) -> None:
    """OTLP tells logs from traces by the path."""
    path = one_of("otel", "labelstudio-error_left")
    _, *lines = gzip.decompress(path.read_bytes()).splitlines()
    moved = [line.replace(b'"path":"/', b'"path":"/furrow/intake/otlp/fk_x/') for line in lines]
    assert moved != lines
    file = tmp_path / "recorded.jsonl"
    file.write_bytes(b' { "truth" : {} }\n' + b"\n".join(moved))
    assert detect(file)[0] == detect(path)[0]


def sent_events(server: HTTPServer, path: Path, fmt: str) -> tuple[list[dict[str, object]], SendSummary]:
    server.expect_request("/v1/events").respond_with_json({"accepted": 0, "rejected": []}, 202)
    summary = send_file(path, server.url_for("/v1/events"), "key", fmt)
    events: list[dict[str, object]] = []
    for request, _ in server.log:
        body = request.get_data()
        plain = gzip.decompress(body) if request.headers["Content-Encoding"] == "gzip" else body
        events += json.loads(plain)["events"]
    return events, summary


def test_what_is_sent_is_judged_as_the_recording_is(tmp_path: Path, httpserver: HTTPServer) -> None:
    path = one_of("posthog", "oscar-rage500")
    events, summary = sent_events(httpserver, path, "posthog")
    assert not summary.rejected
    assert all(event["idempotencyKey"] for event in events)
    assert all(event["sdkVersion"] for event in events)
    file = tmp_path / "events.jsonl"
    file.write_text("\n".join(map(json.dumps, events)))
    assert len(detect(file)[0]) == len(detect(path)[0]) > 0


def test_a_wrong_clock_is_corrected_once_for_a_session(tmp_path: Path, httpserver: HTTPServer) -> None:
    """A browser that is an hour slow; one request of it was delayed by a minute more."""
    properties = {"$session_id": "s", "$lib": "web", "$current_url": "https://shop.example/cart"}
    lines = []
    for sent, received in ((1_795_000_000_000, 3_600_000), (1_795_000_060_000, 3_660_000)):
        stamped = {"event": "$pageview", "uuid": str(sent), "timestamp": sent - 1_000, "properties": properties}
        body = json.dumps({"batch": [stamped], "sent_at": sent})
        headers = {"User-Agent": "Mozilla/5.0", "x": 1}
        recorded = {"t": sent + received, "method": "POST", "path": "/e/", "headers": headers, "body": body}
        lines.append(json.dumps(recorded))
    file = tmp_path / "recorded.jsonl"
    file.write_text("\n".join(lines))
    events, _ = sent_events(httpserver, file, "posthog")
    assert [event["timestamp"] for event in events] == [1_795_003_599_000, 1_795_003_659_000]
    assert [event["userAgent"] for event in events] == ["Mozilla/5.0"] * 2


def test_sending_a_recording_without_its_format_is_refused_with_the_format() -> None:
    result = run.invoke(app, ["send", str(PATHS[0])])
    assert "pass --format amplitude" in str(result.exception)


def test_a_file_of_own_events_stays_one(tmp_path: Path) -> None:
    """Also with the words of other formats in it."""
    metadata = {"event_type": "x", "device_id": "d", "session_id": "s", "$session_id": "s", "$lib": "web", "faro": 1}
    event = {"eventType": "click", "timestamp": 1_795_000_000_000, "sessionId": "s", "route": "/", "metadata": metadata}
    file = tmp_path / "events.jsonl"
    file.write_text(json.dumps(event) + "\n")
    assert detect(file) == ([], "")
