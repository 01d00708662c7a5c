"""All streams. A new one is a folder beside this file, and a line here."""

from typing import Final

from collector.streams.faro.adapter import STREAM as FARO
from collector.streams.otlp.adapter import STREAM as OTLP
from collector.streams.stream import Stream

STREAMS: Final[tuple[Stream, ...]] = (OTLP, FARO)
"""In the order in which a format is guessed."""
