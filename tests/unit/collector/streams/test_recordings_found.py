"""Which recordings of real SDKs are found: docs/streams.md counts them and names those that are not."""

import re
from pathlib import Path

from collector.streams.registry import STREAMS
from tests.streams.recordings import RECORDINGS, judge, list_recordings, read_all, read_recording

PAGE = Path(__file__).resolve().parents[4] / "docs" / "streams.md"
SDKS = ("amplitude", "datadog", "faro", "otel", "posthog", "sentry")
_BY_NAME = {"otel" if stream.name == "otlp" else stream.name: stream for stream in STREAMS}


def test_the_page_counts_what_is_found_and_names_what_is_not() -> None:
    frustrated, calm, found = set[str](), set[str](), set[str]()
    for sdk in SDKS:
        for path in list_recordings(sdk):
            recording = read_recording(path)
            name = f"{sdk}/{path.name.partition('.')[0]}"
            (frustrated if recording.frustrated else calm).add(name)
            if judge(read_all(_BY_NAME[sdk], recording.requests)):
                found.add(name)
    section = PAGE.read_text().partition("## Measured on recordings")[2].partition("\n## ")[0]
    rows = "\n".join(line for line in section.splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`([a-z]+/[\w-]+)`", rows)) == frustrated - found
    assert f"{len(frustrated)} of\nfrustrated people, {len(calm)} of calm ones" in section
    assert f"finds {len(found)} of the {len(frustrated)}, and nothing in the calm ones" in section
    assert not found & calm
    assert {path.name for path in RECORDINGS.iterdir()} == {*SDKS, "visit-shop", "recovered-shop"}
