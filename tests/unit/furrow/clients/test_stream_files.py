"""Files of other SDKs: `furrow detect FILE` finds in each recording what the engine finds in what its adapter reads."""

import gzip
import json
import zlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from collector.streams.registry import STREAMS
from furrow.cli.app import app
from tests.streams.recordings import RECORDINGS, inflate, judge, read_all, read_recording

PATHS = sorted(RECORDINGS.glob("*/*.jsonl.gz"))
_NAMES = {"otel": "otlp"}
BY_NAME = {stream.name: stream for stream in STREAMS}
run = CliRunner()


def stream_of(path: Path) -> str:
    return _NAMES.get(path.parent.name, path.parent.name)


def detect(path: Path, *options: str) -> tuple[list[object], str]:
    """The detections that the command prints, and its messages."""
    result = run.invoke(app, ["detect", str(path), *options])
    assert result.exit_code == 0, result.output + str(result.exception)
    return [json.loads(line) for line in result.stdout.splitlines()], result.stderr


def as_found(detections: list[object]) -> list[tuple[object, ...]]:
    """What a person reads of a detection; times may differ by the clock that the receipt corrects."""
    found: list[dict[str, object]] = msgspec.convert(detections, list[dict[str, object]])
    return sorted(
        (str(one.get("route")), str(one.get("target")), one.get("score"), one.get("signals")) for one in found
    )


@pytest.mark.parametrize("path", PATHS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_recording_is_recognised_and_judged_as_its_requests_are(path: Path) -> None:
    found, messages = detect(path)
    expected = judge(read_all(BY_NAME[stream_of(path)], read_recording(path).requests))
    assert as_found(found) == as_found(msgspec.to_builtins(expected))
    assert f"--format {stream_of(path)} " in messages
    assert detect(path, "--format", stream_of(path))[0] == found
