"""deploy/otel-collector.yaml: it names what it uses, and its exporter sends where the stream `otlp` listens."""

from pathlib import Path

import yaml

from collector.streams.otlp.adapter import MAX_OTLP_BYTES
from collector.streams.registry import STREAMS

FILE = Path(__file__).parents[2] / "deploy/otel-collector.yaml"


def test_pipelines_use_what_is_configured() -> None:
    configuration = yaml.safe_load(FILE.read_text())
    used: dict[str, set[str]] = {"receivers": set(), "processors": set(), "exporters": set()}
    for pipeline in configuration["service"]["pipelines"].values():
        for kind, names in used.items():
            names.update(pipeline[kind])
    assert used == {kind: set(configuration[kind]) for kind in used}


def test_the_copy_goes_to_the_intake() -> None:
    configuration = yaml.safe_load(FILE.read_text())
    pipelines = configuration["service"]["pipelines"]
    assert [name for name, part in pipelines.items() if "otlphttp/furrow" in part["exporters"]] == [
        "traces/furrow",
        "logs/furrow",
    ]
    endpoint = configuration["exporters"]["otlphttp/furrow"]["endpoint"]
    name = endpoint.removeprefix("${env:FURROW_URL}/intake/").partition("/")
    assert name == ("otlp", "/", "${env:FURROW_INGEST_KEY}")
    assert name[0] in {stream.name for stream in STREAMS}
    # About 1.5 KiB a span in the recordings, with all of its attributes and events.
    assert configuration["processors"]["batch/furrow"]["send_batch_max_size"] * 1_536 < MAX_OTLP_BYTES
