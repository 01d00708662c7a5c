"""From a body to batches of the contract: what the intake over HTTP and the commands that read files do alike."""

import logging
import re
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from collector.contract import MAX_EVENTS
from collector.contract.rows import Rejected
from collector.contract.times import validate_timestamp
from collector.streams.stream import Reading, SentBody, Stream, StreamAnswer, UnreadableBody, WireEvent
from core.metrics import count_degraded

_HALF_CHARACTER: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
_UNKNOWN: Final = rb"\\ufffd"
_log: Final = logging.getLogger("furrow.collector")


def read_content(stream: Stream, sent: SentBody) -> Reading:
    """What the adapter reads. Raises UnreadableBody, also where the adapter fails; that is counted.

    Half a character (an emoji that a page cut in two) becomes the mark for an unknown one: no JSON decoder takes it, and so it
    would cost the whole body.
    """
    try:
        if b"\\ud" in sent.content or b"\\uD" in sent.content:  # the search costs 60 ms for a megabyte
            sent = replace(sent, content=_HALF_CHARACTER.sub(_UNKNOWN, sent.content))
        return stream.read(sent)
    except UnreadableBody:
        raise
    except Exception as error:
        # An answer of 500 makes an SDK send the same body again, for ever or until its recording ends.
        count_degraded("streams", "adapter_failed")
        _log.error("the adapter of %s failed with %s at %s", stream.name, type(error).__name__, _find_place(error))
        raise UnreadableBody(f"the adapter failed ({type(error).__name__})") from None


def reread_letter(stream: Stream, kept: Mapping[str, object]) -> Reading:
    """What the item of a dead letter gives now. Raises UnreadableBody as `read_content`; a person may have changed the item."""
    if stream.reread is None:
        raise UnreadableBody(f"items of {stream.title} cannot be read again")
    read = stream.reread
    return read_content(replace(stream, read=lambda _: read(kept)), SentBody(b""))


def make_answer(stream: Stream, sent: SentBody, reading: Reading) -> StreamAnswer:
    """The answer that the vendor's SDK expects. One that cannot be made is a plain 200; that is counted."""
    try:
        return stream.answer(sent, reading)
    except Exception as error:
        # The events are durable: an answer of 500 would make the SDK send them again.
        count_degraded("streams", "answer_failed")
        _log.error("the answer of %s failed with %s at %s", stream.name, type(error).__name__, _find_place(error))
        return StreamAnswer()


def make_batches(stream: Stream, reading: Reading, *, dated: bool = True) -> Iterator[tuple[int, WireEvent]]:
    """The events of a reading as batches for `normalise_batch`, each with the index of its first event.

    ``dated``: the time of receipt is known; otherwise the time of sending corrects nothing and is left out.
    """
    for first in range(0, len(reading.events), MAX_EVENTS):
        yield (
            first,
            {
                "events": reading.events[first : first + MAX_EVENTS],
                "sentAt": find_sent_ms(reading) if dated else None,
                "sdkVersion": find_sdk_version(stream, reading),
            },
        )


def find_sent_ms(reading: Reading) -> int | None:
    """The client's time of sending, epoch milliseconds; a time that cannot be counts as none."""
    try:
        return None if reading.sent_ms is None else validate_timestamp(reading.sent_ms, "sentAt")
    except Rejected:
        return None  # the body names a time that cannot be: as if it named none


def find_sdk_version(stream: Stream, reading: Reading) -> str:
    """The vendor's SDK, or the format where the body names none."""
    return reading.sdk_version or stream.name


def _find_place(error: Exception) -> str:
    """File and line where ``error`` was raised: its text may hold parts of the body."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{last.filename}:{last.lineno}"
