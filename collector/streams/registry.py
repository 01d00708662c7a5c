"""All streams. A new one is a folder beside this file, and a line here."""

from typing import Final

from collector.streams.amplitude.adapter import STREAM as AMPLITUDE
from collector.streams.datadog.adapter import STREAM as DATADOG
from collector.streams.faro.adapter import STREAM as FARO
from collector.streams.otlp.adapter import STREAM as OTLP
from collector.streams.posthog.adapter import STREAM as POSTHOG
from collector.streams.rrweb.adapter import STREAM as RRWEB
from collector.streams.sentry.adapter import STREAM as SENTRY
from collector.streams.stream import Stream

STREAMS: Final[tuple[Stream, ...]] = (SENTRY, DATADOG, OTLP, FARO, POSTHOG, AMPLITUDE, RRWEB)
"""In the order in which a format is guessed."""
