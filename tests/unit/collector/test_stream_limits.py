"""The limits in docs/streams.md are the code's."""

from pathlib import Path

from collector.config import CollectorConfig
from collector.routes import streams

PAGE = (Path(__file__).parents[3] / "docs" / "streams.md").read_text()


def test_the_limits_of_the_page() -> None:
    fields = CollectorConfig.model_fields
    assert f"at most {streams.LARGEST_BYTES:,} bytes" in PAGE
    assert f"| items of a body | {streams.MAX_ITEMS:,} |" in PAGE
    assert f"| {streams.LARGE_PLACES} of a collector process, {streams.LARGE_PLACES // 2} of one address |" in PAGE
    places = fields["max_in_flight"].default // streams.PART_OF_BODIES
    assert f"| {places} of a collector process, {places // 2} of one address |" in PAGE
    assert f"{fields['body_seconds'].default:.0f} s in all" in PAGE
