"""All streams. A new one is a folder beside this file, and a line here."""

from typing import Final

from collector.streams.rrweb.adapter import STREAM as RRWEB
from collector.streams.sentry.adapter import STREAM as SENTRY
from collector.streams.stream import Stream

STREAMS: Final[tuple[Stream, ...]] = (SENTRY, RRWEB)
"""In the order in which a format is guessed."""
