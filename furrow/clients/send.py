"""Sends a file of events to a collector over HTTP, in compressed batches, with retries.

Every event has an idempotency key, by default ``<SHA-256 of the decompressed file>:<line>``. So an interrupted run can be
repeated without duplicates.
"""

import gzip
import hashlib
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
import msgspec

from collector.contract import MAX_BODY_BYTES, MAX_EVENTS, REPLAY_HEADER, decode_json, open_lines
from collector.streams.kept import is_kept_item
from core.errors import PermanentError, WrongUse
from core.http_errors import describe_http_error
from core.package import VERSION
from core.plurals import format_count
from furrow.clients.access_log import ParsedLine, convert_log_lines, derive_default_salt, survey_log
from furrow.clients.stream_files import convert_stream_events, open_stream_file
from furrow.clients.stream_letters import describe_cut_letter, read_letter_item

Progress = Callable[["SendSummary"], None]

_ENVELOPE: Final = b'{"events":[]}'
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
_FIRST_WAIT_SECONDS = 0.5
_LONGEST_WAIT_SECONDS = 60.0
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class RejectedLine:
    """A rejected line: its number (from 1), the invalid field of the event ('' for the whole event), and the reason."""

    line: int
    field: str
    reason: str


@dataclass(slots=True)
class SendSummary:
    """Progress of sending a file, in events; ``retried`` counts requests.

    ``rejected``: lines that are not events, and events that the collector rejected. ``failed``: events that were not
    delivered, for the reason in ``problem``; sending the file again sends them.
    """

    sent: int = 0
    accepted: int = 0
    rejected: list[RejectedLine] = field(default_factory=list)
    retried: int = 0
    failed: int = 0
    problem: str = ""
    notice: str = ""
    """What is odd about an access log: which address of its lines was taken for the visitor's."""


class _Undeliverable(Exception):
    """The collector did not accept a batch after all attempts."""


def send_file(
    path: Path | str,
    url: str,
    api_key: str,
    fmt: str = "events",
    *,
    batch: int = MAX_EVENTS,
    progress: Progress | None = None,
    salt: bytes | None = None,
    operator_key: str = "",
    attempts: int = 8,
    timeout: float = 30.0,
    sleep: Callable[[float], None] = time.sleep,
) -> SendSummary:
    """Send a plain or gzip file to the collector at ``url``; ``progress`` is called after each batch.

    ``fmt``: ``events`` (one JSON event per line), ``combined`` (an access log; ``salt`` hashes the visitors and is derived
    from the key by default), ``dead-letters`` (rejected events, to be sent again) or the name of a stream. A batch is sent up
    to ``attempts`` times with exponential backoff, at least after ``Retry-After``; then it and all further batches count as
    failed. ``operator_key``: with it, each session of the file counts as an independent source when incidents are confirmed,
    although all come from this machine. Raises PermanentError when the collector refuses a key, OSError and ValueError
    when the file cannot be read.
    """
    summary = SendSummary()
    keys = {"x-api-key": api_key, **({"x-operator-key": operator_key} if operator_key else {})}
    sender = _BatchSender(url, keys, summary, attempts=attempts, timeout=timeout, sleep=sleep)
    with sender:
        for lines in _make_batches(
            _read_input_lines(Path(path), fmt, salt or derive_default_salt(api_key), summary), summary, batch
        ):
            if summary.problem:
                summary.failed += len(lines)
                continue
            try:
                sender.send_batch(lines)
            except _Undeliverable as reason:
                summary.problem = str(reason)
                summary.failed += len(lines)
            if progress:
                progress(summary)
    return summary


_GZIP_RATIO = 50  # half of what the collector accepts (collector.transport.body)
_NOT_A_COLLECTOR = "the server that answered is not a collector"


@dataclass(frozen=True, slots=True)
class _EncodedEvent:
    line: int
    json: bytes
    project: str = ""


class _Reject(msgspec.Struct):
    index: int
    """Of the event in the batch."""
    field: str
    reason: str


class _Receipt(msgspec.Struct):
    """The collector's answer to a batch."""

    accepted: int
    rejected: list[_Reject]


class _BatchSender:
    """A connection to a collector."""

    def __init__(
        self,
        url: str,
        keys: dict[str, str],
        summary: SendSummary,
        *,
        attempts: int,
        timeout: float,
        sleep: Callable[[float], None],
    ) -> None:
        if not all(key.isascii() and key.isprintable() for key in keys.values()):
            raise WrongUse("a key has only printable ASCII characters")
        base = url.rstrip("/")
        self._url = base if base.endswith("/v1/events") else f"{base}/v1/events"
        self._summary = summary
        self._attempts = attempts
        self._sleep = sleep
        self._client = httpx.Client(
            timeout=timeout,
            # A proxy of the environment cannot reach this machine's own addresses.
            trust_env=urlsplit(self._url).hostname not in _LOOPBACK,
            headers={
                **keys,
                "content-type": "application/json",
                "content-encoding": "gzip",
                "user-agent": f"furrow-send/{VERSION}",
            },
        )

    def __enter__(self) -> "_BatchSender":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def send_batch(self, events: list[_EncodedEvent]) -> None:
        """Send a batch and add the answer to the summary. Raises _Undeliverable, PermanentError."""
        plain = b'{"events":[' + b",".join(event.json for event in events) + b"]}"
        packed = gzip.compress(plain, compresslevel=3, mtime=0)
        headers = {REPLAY_HEADER: events[0].project} if events[0].project else {}
        if len(plain) > _GZIP_RATIO * len(packed):  # the collector would refuse it as a decompression bomb
            answer = self._deliver_body(plain, {**headers, "content-encoding": "identity"})
        else:
            answer = self._deliver_body(packed, headers)
        if any(not 0 <= reject.index < len(events) for reject in answer.rejected):
            raise _Undeliverable(_NOT_A_COLLECTOR)
        self._summary.sent += len(events)
        self._summary.accepted += answer.accepted
        for reject in answer.rejected:
            self._summary.rejected.append(RejectedLine(events[reject.index].line, reject.field, reject.reason))

    def _deliver_body(self, body: bytes, headers: dict[str, str]) -> _Receipt:
        for attempt in range(1, self._attempts + 1):
            wait = min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2 ** (attempt - 1)) * random.uniform(0.5, 1)
            try:
                response = self._client.post(self._url, content=body, headers=headers)
            except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
                raise WrongUse(
                    f"{self._url!r} is not the address of a collector, like http://127.0.0.1:8080"
                ) from error
            except httpx.TransportError as error:
                problem = f"the collector at {self._url} does not answer ({describe_http_error(error)})"
            else:
                if response.status_code == 202:
                    return _decode_receipt(response)
                problem = (
                    f"the collector at {self._url} answered {response.status_code}: {_read_error_message(response)}"
                )
                if response.status_code in (401, 403):
                    raise PermanentError(problem)
                if response.status_code not in _RETRIED:
                    raise _Undeliverable(problem)
                wait = max(wait, _parse_retry_after(response))
            if attempt < self._attempts:
                self._summary.retried += 1
                self._sleep(wait)
        raise _Undeliverable(f"{problem} ({format_count(self._attempts, 'attempt')})")


def _decode_receipt(response: httpx.Response) -> _Receipt:
    try:
        return msgspec.json.decode(response.content, type=_Receipt)
    except msgspec.MsgspecError:
        raise _Undeliverable(_NOT_A_COLLECTOR) from None


def _read_error_message(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["message"])[:300]
    except (ValueError, KeyError, TypeError):
        return response.reason_phrase


def _parse_retry_after(response: httpx.Response) -> float:
    asked = response.headers.get("retry-after", "")
    return min(_LONGEST_WAIT_SECONDS, float(asked)) if asked.isascii() and asked.isdigit() else 0.0


def _make_batches(lines: Iterator[ParsedLine], summary: SendSummary, max_events: int) -> Iterator[list[_EncodedEvent]]:
    """Group lines into batches within the collector's limits of events and bytes. Lines without an event go to
    ``summary.rejected``."""
    batch: list[_EncodedEvent] = []
    size = len(_ENVELOPE)
    for line in lines:
        if line.event is None:
            summary.rejected.append(RejectedLine(line.number, "", line.problem))
            continue
        event = _EncodedEvent(line.number, msgspec.json.encode(line.event), line.project)
        if len(_ENVELOPE) + len(event.json) > MAX_BODY_BYTES:
            summary.rejected.append(RejectedLine(line.number, "", f"larger than {MAX_BODY_BYTES} bytes"))
            continue
        full = len(batch) == min(max_events, MAX_EVENTS) or size + len(event.json) + 1 > MAX_BODY_BYTES
        if batch and (full or batch[0].project != event.project):
            yield batch
            batch, size = [], len(_ENVELOPE)
        batch.append(event)
        size += len(event.json) + 1
    if batch:
        yield batch


def _read_input_lines(path: Path, fmt: str, salt: bytes, summary: SendSummary) -> Iterator[ParsedLine]:
    if fmt == "combined":
        known = survey_log(path)
        summary.notice = known.visitor.notice
        return convert_log_lines(open_lines(path), known, salt=salt)
    if fmt not in ("events", "dead-letters"):
        return convert_stream_events(open_stream_file(path, fmt))
    return _read_json_lines(path, is_dead_letters=fmt == "dead-letters")


def _read_json_lines(path: Path, *, is_dead_letters: bool) -> Iterator[ParsedLine]:
    digest = hashlib.sha256()
    for raw in open_lines(path):
        digest.update(raw)
    file = digest.hexdigest()
    for number, raw in enumerate(open_lines(path), 1):
        if not raw.strip():
            continue
        try:
            event = decode_json(raw)
        except ValueError as error:
            yield ParsedLine(number, None, f"not JSON: {error}")
            continue
        project = ""
        if is_dead_letters and isinstance(event, dict):
            project, event = str(event.get("project") or ""), event.get("event")
        if not isinstance(event, dict):
            yield ParsedLine(number, None, "not an event" if is_dead_letters else "an event must be an object")
        elif is_dead_letters and event.get("truncated") is True:
            yield ParsedLine(number, None, describe_cut_letter(event))
        elif is_dead_letters and is_kept_item(event):
            yield from read_letter_item(number, event, project)
        else:
            if not event.get("idempotencyKey"):
                event["idempotencyKey"] = f"{file}:{number}"
            yield ParsedLine(number, event, project=project)
